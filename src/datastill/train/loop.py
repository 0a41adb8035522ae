"""One trainer for teacher and student: seeded, resumable to the same bits, loud when it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import SGD, Optimizer
from torch.utils.data import DataLoader, Dataset

from datastill.data.examples import Example
from datastill.errors import TrainingError
from datastill.model.checkpoint import load_state, save_state
from datastill.model.detector import Batch
from datastill.model.precision import Choice, resolve_precision
from datastill.train.journal import Journal
from datastill.train.schedule import Schedule

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """How to train, beside the schedule.

    folder            where state and journal live until the training is done
    fingerprint       of everything that decides the result; a state with another one is not resumed
    checkpoint_every  iterations between states: what a kill can cost
    log_every         iterations between journal entries
    workers           processes that load images; 0 loads between steps
    """

    folder: Path
    fingerprint: str
    seed: int
    precision: Choice
    momentum: float
    weight_decay: float
    checkpoint_every: int
    log_every: int
    workers: int


def train(
    detector: nn.Module,
    minibatches: Dataset[list[Example]],
    schedule: Schedule,
    settings: Settings,
    advance: Callable[[int, dict[str, float]], None],
) -> None:
    """Train `detector` in place, a minibatch per iteration of the schedule.

    It goes on from the state in `settings.folder` if there is one: killed and resumed, it ends with
    the bits of an undisturbed training on the same machine. `advance` hears the iteration and its
    losses. Raises TrainingError, naming the images, where a loss is no finite number.
    """
    fabric = Fabric(devices=1, precision=resolve_precision(settings.precision))
    optimizer = SGD(
        detector.parameters(),
        lr=schedule.base_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
    start = resume_at(settings)
    if start:
        _log.warning("resuming at iteration %d", start)
        state = load_state(_state_path(settings))
        detector.load_state_dict(state["detector"])
        optimizer.load_state_dict(state["optimizer"])
    model, optimizer = fabric.setup(detector.train(), optimizer)
    journal = Journal(settings.folder / "journal.jsonl", resume_at=start)
    for iteration, examples in _load(
        minibatches, range(start, schedule.iterations), settings.workers
    ):
        losses = _step(fabric, (model, optimizer), examples, (schedule, settings.seed, iteration))
        if iteration % settings.log_every == 0 or iteration == schedule.iterations - 1:
            journal.write(iteration, losses)
        advance(iteration, losses)
        if (iteration + 1) % settings.checkpoint_every == 0:
            _checkpoint(settings, detector, optimizer, iteration + 1)
    journal.close()


def _step(
    fabric: Fabric,
    learner: tuple[Any, Optimizer],
    examples: list[Example],
    when: tuple[Schedule, int, int],
) -> dict[str, float]:
    """Take one optimisation step and return its losses and learning rate."""
    (model, optimizer), (schedule, seed, iteration) = learner, when
    # torchvision samples anchors and boxes from the global generator: a function of the iteration.
    torch.manual_seed(seed * 1_000_003 + iteration)
    rate = schedule.rate(iteration)
    for group in optimizer.param_groups:
        group["lr"] = rate
    images = [fabric.to_device(example.image) for example in examples]
    losses = model(Batch(images, [fabric.to_device(example.target) for example in examples]))
    total = torch.stack(list(losses.values())).sum()
    if not torch.isfinite(total):
        ids = ", ".join(str(example.image_id) for example in examples)
        raise TrainingError(
            f"iteration {iteration}: the loss is {total.item()} on images {ids}; "
            "check their annotations or lower train.base_rate"
        )
    optimizer.zero_grad()
    fabric.backward(total)
    optimizer.step()
    named = {name.removeprefix("loss_"): float(loss.detach()) for name, loss in losses.items()}
    return {"loss": float(total.detach()), **named, "learning_rate": rate}


def _load(
    minibatches: Dataset[list[Example]], which: range, workers: int
) -> Iterator[tuple[int, list[Example]]]:
    loader = DataLoader(minibatches, batch_size=None, sampler=which, num_workers=workers)
    return zip(which, loader, strict=True)


def _state_path(settings: Settings) -> Path:
    return settings.folder / "state.pt"


def resume_at(settings: Settings) -> int:
    """Return the iteration at which an interrupted training goes on, 0 where there is none."""
    path = _state_path(settings)
    if not path.is_file():
        return 0
    state = load_state(path)
    if state["fingerprint"] != settings.fingerprint:
        _log.warning("%s belongs to other params or data: starting from the beginning", path)
        return 0
    return int(state["iteration"])


def _checkpoint(
    settings: Settings, detector: nn.Module, optimizer: Optimizer, iteration: int
) -> None:
    state = {
        "fingerprint": settings.fingerprint,
        "iteration": iteration,
        "detector": detector.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    save_state(_state_path(settings), state)
