"""One trainer for teacher and student: seeded, resumable to the same bits, loud when it fails."""

from __future__ import annotations

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
    """How to train.

    folder            where state and journal live until the training is done
    fingerprint       of everything that decides the result; a state with another one is not resumed
    micro_batch_size   images of a minibatch that pass the network at once
    checkpoint_every  iterations between states: what a kill can cost
    log_every         iterations between journal entries
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


def train(
    fabric: Fabric,
    detector: nn.Module,
    minibatches: Dataset[list[Example]],
    settings: Settings,
    advance: Callable[[int, dict[str, float]], None],
) -> None:
    """Train `detector` in place, a minibatch per iteration of the schedule.

    A minibatch passes the network `micro_batch_size` images at a time; its loss is the mean over
    the passes, whichever of `fabric`'s processes makes them. `minibatches` are this process's part.
    It goes on from the state in `settings.folder` if there is one: killed and resumed, it ends with
    the bits of an undisturbed training on the same machine. `advance` hears the iteration and its
    losses. Raises TrainingError, naming the images, where a loss is no finite number.
    """
    schedule = settings.schedule
    optimizer = SGD(
        detector.parameters(),
        lr=schedule.base_lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    start = resume_at(settings)
    state = load_state(_state_path(settings)) if start else None
    if state:
        _log.warning("resuming at iteration %d", start)
        detector.load_state_dict(state["detector"])
        fabric.strategy.precision.load_state_dict(state["precision"])
    model, optimizer = fabric.setup(detector.train(), optimizer)
    if state:  # only now: momenta take the device of their weights
        optimizer.load_state_dict(state["optimizer"])
    learner = Learner(fabric, model, optimizer)
    journal = (
        MetricsLog(settings.folder / "journal.jsonl", start) if fabric.is_global_zero else None
    )
    for iteration, examples in _load(
        minibatches, range(start, schedule.iterations), settings.workers
    ):
        losses = _step(learner, examples, settings, iteration)
        last = iteration == schedule.iterations - 1
        if journal and (iteration % settings.log_every == 0 or last):
            journal.write(iteration, losses)
        advance(iteration, losses)
        if last or (iteration + 1) % settings.checkpoint_every == 0:
            _refuse_broken(detector, iteration)
        if (iteration + 1) % settings.checkpoint_every == 0 and fabric.is_global_zero:
            _checkpoint(settings, learner, detector, iteration + 1)
    if journal:
        journal.close()


@dataclass(frozen=True)
class Learner:
    """What learns: the model and its optimizer as `fabric` set them up."""

    fabric: Fabric
    model: Any
    optimizer: Optimizer


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
    """Return the loss of one pass, and what it is the sum of, by name."""
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


def _refuse_broken(detector: nn.Module, iteration: int) -> None:
    """Raise TrainingError where weights are no finite numbers: nothing may go on from them."""
    broken = [n for n, tensor in detector.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise TrainingError(
            f"iteration {iteration}: {len(broken)} weights are no finite numbers, such as "
            f"{broken[0]}; lower train.base_lr"
        )


def _load(
    minibatches: Dataset[list[Example]], which: range, workers: int
) -> Iterator[tuple[int, list[Example]]]:
    if workers:
        _allow_open_files()
    loader = DataLoader(minibatches, batch_size=None, sampler=which, num_workers=workers)
    return zip(which, loader, strict=True)


def _allow_open_files() -> None:
    """Lift the limit as far as a user may: every tensor from a worker is an open file."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _state_path(settings: Settings) -> Path:
    return settings.folder / "state.pt"


def resume_at(settings: Settings) -> int:
    """Return the iteration at which an interrupted training goes on, 0 where there is none."""
    path = _state_path(settings)
    if not path.is_file():
        return 0
    state = load_state(path)
    if state["fingerprint"] != settings.fingerprint:
        _log.warning("%s belongs to other params, data or code: starting from the beginning", path)
        return 0
    return int(state["iteration"])


def _checkpoint(settings: Settings, learner: Learner, detector: nn.Module, iteration: int) -> None:
    state = {
        "fingerprint": settings.fingerprint,
        "iteration": iteration,
        "detector": detector.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "precision": learner.fabric.strategy.precision.state_dict(),
    }
    save_state(_state_path(settings), state)
