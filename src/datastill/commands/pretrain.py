"""Command `pretrain`: a backbone's initial weights, learned on drawn things and kept in git."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from datastill.errors import ParamsError
from datastill.model.classifier import Classifier
from datastill.model.pretrained import accuracies, initial_weights, save_initial
from datastill.progress import Steps
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment, fingerprint
from datastill.synthetic.classification import QUESTIONS, Answers, draw_things
from datastill.training.dataset import Example
from datastill.training.distributed import launch
from datastill.training.loop import Settings, resume_at, train
from datastill.training.sampler import MixedSampler
from datastill.training.schedule import Schedule


class ThingMinibatches(Dataset[list[Example]]):
    """Minibatch number i of a training on drawn things; targets hold "answers" (q,)."""

    def __init__(
        self, pictures: NDArray[np.uint8], answers: Answers, sampler: MixedSampler
    ) -> None:
        self._pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2)
        self._answers = torch.from_numpy(answers)
        self._sampler = sampler

    def __len__(self) -> int:
        return len(self._sampler)

    def __getitem__(self, iteration: int) -> list[Example]:
        """Return the examples of minibatch `iteration`."""
        return [
            Example(
                draw.index,
                draw.source,
                self._pictures[draw.index],
                {"answers": self._answers[draw.index]},
            )
            for draw in self._sampler[iteration]
        ]


def run(profile: Profile, backbone: str, target: Path | None = None) -> str:
    """Train the body of `backbone` on drawn things; return how well it tells new ones apart.

    The weights go into the package unless a `target` is named. A killed training goes on where it
    was.
    """
    how = profile.params.initial
    if how is None:
        raise ParamsError(f"{profile.params.params_file}: section `initial` is null: nothing to do")
    torch.manual_seed(how.seed)
    classifier = Classifier(backbone, {name: len(words) for name, words in QUESTIONS.items()})
    total = how.pictures + how.held_out
    with Steps("drawing things", total) as steps:
        pictures, answers = draw_things(total, how.side, how.seed, steps.advance)
    began = time.monotonic()
    _train(profile, backbone, classifier, (pictures[: how.pictures], answers[: how.pictures]))
    right = _right(classifier, pictures[how.pictures :], answers[how.pictures :])
    path = target or initial_weights(backbone)
    card = {
        "backbone": backbone,
        "initial": how.model_dump(),
        "accuracies": right,
        "seconds": round(time.monotonic() - began),
        "code": code_version(),
        **environment(),
    }
    save_initial(path, classifier, card)
    shutil.rmtree(_folder(profile, backbone))
    lines = [
        f"{question}: {100 * share:.0f} % right, {100 / len(QUESTIONS[question]):.0f} % by chance"
        for question, share in right.items()
    ]
    return "\n".join([*lines, str(path)])


def _folder(profile: Profile, backbone: str) -> Path:
    return profile.training(f"initial-{backbone}")


def _train(
    profile: Profile,
    backbone: str,
    classifier: Classifier,
    drawn: tuple[NDArray[Any], NDArray[Any]],
) -> None:
    how, like = profile.params.initial, profile.params.train
    assert how is not None
    iterations = how.epochs * how.pictures // how.batch
    sampler = MixedSampler((how.pictures,), 1.0, iterations, how.batch, how.seed)
    schedule = Schedule(iterations, how.base_lr, how.warmup, tuple(like.milestones))
    facts = [backbone, how.model_dump(), like.milestones, like.momentum, like.weight_decay]
    settings = Settings(
        schedule=schedule,
        folder=_folder(profile, backbone),
        fingerprint=fingerprint(facts),
        seed=how.seed,
        micro_batch_size=how.batch,
        momentum=like.momentum,
        weight_decay=like.weight_decay,
        checkpoint_every=like.checkpoint_every,
        log_every=like.log_every,
        workers=0,
    )
    with Steps("learning what they are", iterations) as steps:
        steps.start_at(resume_at(settings))
        train(
            launch(like.precision),
            classifier, ThingMinibatches(*drawn, sampler), settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip


def _right(
    classifier: Classifier, pictures: NDArray[Any], answers: NDArray[Any]
) -> dict[str, float]:
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return accuracies(classifier.cpu().eval(), images, torch.from_numpy(answers))
