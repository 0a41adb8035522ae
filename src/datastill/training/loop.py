"""The trainer of teacher and student: seeded, and resumable to the same bits."""

import logging
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, Dataset

from datastill.errors import TrainingError
from datastill.images.geometry import unit_interval
from datastill.model.checkpoint import load_state, save_state
from datastill.model.detector import Batch
from datastill.training.dataset import Example
from datastill.training.metrics_log import MetricsLog
from datastill.training.schedule import Schedule

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """Settings of a training run.

    folder            of the state and metrics log until the run is done
    fingerprint       of everything that decides the result; only a state with the same is resumed
    micro_batch_size  images per forward pass
    checkpoint_every  iterations between states: the most that a kill costs
    log_every         iterations between entries of the metrics log
    workers           processes that load images; 0 loads between steps
    """

    schedule: Schedule
    folder: Path
    fingerprint: str
    seed: int
    micro_batch_size: int
    momentum: float
    weight_decay: float
    checkpoint_every: int
    log_every: int
    workers: int


@dataclass(frozen=True)
class Learner:
    """The model and its optimizer as `fabric` set them up."""

    fabric: Fabric
    model: Any
    optimizer: Optimizer


def train(
    fabric: Fabric,
    detector: nn.Module,
    minibatches: Dataset[list[Example]],
    settings: Settings,
    advance: Callable[[int, dict[str, float]], None],
) -> None:
    """Train `detector` in place, a minibatch per iteration of the schedule.

    A minibatch passes the network `micro_batch_size` images at a time; its loss is the mean over
    the passes of all of `fabric`'s processes. `minibatches` are this process's part. Resumes from
    the state in `settings.folder` if there is one, with a result bit-identical to an uninterrupted
    run on the same machine. `advance` receives each iteration and its losses. Raises TrainingError,
    naming the images, if a loss is not finite.
    """
    state, iterations = _find_state(settings), settings.schedule.iterations
    learner, start = _set_up(fabric, detector, settings, state), state["iteration"]
    log = MetricsLog(settings.folder / "journal.jsonl", start) if fabric.is_global_zero else None
    for iteration, examples in _load(minibatches, range(start, iterations), settings.workers):
        losses = _step(learner, examples, settings, iteration)
        last = iteration == iterations - 1
        if log and (iteration % settings.log_every == 0 or last):
            log.write(iteration, losses)
        advance(iteration, losses)
        checkpoint = (iteration + 1) % settings.checkpoint_every == 0
        if last or checkpoint:
            _check_finite(detector, iteration)
        if checkpoint and fabric.is_global_zero:
            _save(settings, learner, detector, iteration + 1)


def resume_at(settings: Settings) -> int:
    """Return the iteration at which an interrupted run resumes, 0 if there is none."""
    return int(_find_state(settings)["iteration"])


def _find_state(settings: Settings) -> dict[str, Any]:
    """Return the state to resume from, at iteration 0 if there is none for these settings."""
    path = settings.folder / "state.pt"
    if not path.is_file():
        return {"iteration": 0}
    state = load_state(path)
    if state["fingerprint"] != settings.fingerprint:
        _log.warning("%s belongs to other params, data or code: starting from iteration 0", path)
        return {"iteration": 0}
    return state


def _set_up(
    fabric: Fabric, detector: nn.Module, settings: Settings, state: dict[str, Any]
) -> Learner:
    rate, momentum, decay = settings.schedule.base_lr, settings.momentum, settings.weight_decay
    optimizer: Optimizer = SGD(detector.parameters(), rate, momentum, weight_decay=decay)
    resumed = state["iteration"] > 0
    if resumed:
        _log.warning("resuming at iteration %d", state["iteration"])
        detector.load_state_dict(state["detector"])
        fabric.strategy.precision.load_state_dict(state["precision"])
    model, optimizer = fabric.setup(detector.train(), optimizer)
    if resumed:  # after setup: momenta take the device of their weights
        optimizer.load_state_dict(state["optimizer"])
    return Learner(fabric, model, optimizer)


def _step(
    learner: Learner, examples: list[Example], settings: Settings, iteration: int
) -> dict[str, float]:
    """Take one optimisation step and return its losses and learning rate."""
    fabric = learner.fabric
    rate = settings.schedule.rate(iteration)
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    size = settings.micro_batch_size
    passes = [examples[start : start + size] for start in range(0, len(examples), size)]
    learner.optimizer.zero_grad()
    sums: dict[str, Tensor] = {}
    for number, images in enumerate(passes, start=fabric.global_rank * len(passes)):
        # torchvision samples anchors and boxes from the global generator: a function of the pass.
        torch.manual_seed(settings.seed * 1_000_003 + iteration + (number << 40))
        more = number + 1 < (fabric.global_rank + 1) * len(passes)
        with fabric.no_backward_sync(learner.model, enabled=more):
            losses = _losses(learner, images, iteration)
            fabric.backward(losses["loss"] / len(passes))
        for name, loss in losses.items():
            sums[name] = sums.get(name, 0) + loss.detach() / len(passes)
    learner.optimizer.step()
    means: Any = fabric.all_reduce(torch.stack(list(sums.values())), reduce_op="mean")
    return {**dict(zip(sums, means.tolist(), strict=True)), "learning_rate": rate}


def _losses(learner: Learner, examples: list[Example], iteration: int) -> dict[str, Tensor]:
    """Return the loss of one pass and its components, by name."""
    device = learner.fabric.to_device
    images = [unit_interval(device(example.image)) for example in examples]
    parts = learner.model(Batch(images, [device(example.target) for example in examples]))
    total = torch.stack(list(parts.values())).sum()
    if not torch.isfinite(total):
        ids = ", ".join(str(example.image_id) for example in examples)
        raise TrainingError(
            f"iteration {iteration}: the loss is {total.item()} on images {ids}; "
            "check their annotations or lower train.base_lr"
        )
    return {"loss": total, **{name.removeprefix("loss_"): part for name, part in parts.items()}}


def _check_finite(detector: nn.Module, iteration: int) -> None:
    """Raise TrainingError if a weight is not finite: neither state nor model may contain it."""
    broken = [n for n, tensor in detector.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise TrainingError(
            f"iteration {iteration}: {len(broken)} weights are not finite, such as {broken[0]}; "
            "lower train.base_lr"
        )


def _load(
    minibatches: Dataset[list[Example]], iterations: range, workers: int
) -> Iterator[tuple[int, list[Example]]]:
    if workers:  # every tensor from a worker is an open file
        _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    loader = DataLoader(minibatches, batch_size=None, sampler=iterations, num_workers=workers)
    return zip(iterations, loader, strict=True)


def _save(settings: Settings, learner: Learner, detector: nn.Module, iteration: int) -> None:
    state = {
        "fingerprint": settings.fingerprint,
        "iteration": iteration,
        "detector": detector.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "precision": learner.fabric.strategy.precision.state_dict(),
    }
    save_state(settings.folder / "state.pt", state)
