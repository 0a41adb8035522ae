"""Command `pretrain`: a backbone's initial weights, learned from drawn pictures and kept in git."""

import shutil
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from datastill.commands.output_folder import make_folder
from datastill.errors import ParamsError
from datastill.model.classifier import Classifier
from datastill.model.pretrained import accuracies, initial_weights, save_initial
from datastill.progress import Steps
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment, fingerprint
from datastill.project.schema import Initial
from datastill.stages.train import SHARED_SETTINGS
from datastill.synthetic.classification import QUESTIONS, draw_pictures
from datastill.training.dataset import Example
from datastill.training.distributed import launch
from datastill.training.loop import Settings, resume_at, train
from datastill.training.sampler import MixedSampler
from datastill.training.schedule import Schedule


class PictureMinibatches(Dataset[list[Example]]):
    """Minibatches of pictures (n, 3, h, w) uint8; targets hold "answers" (q,)."""

    def __init__(self, pictures: Tensor, answers: Tensor, sampler: MixedSampler) -> None:
        self._pictures, self._answers, self._sampler = pictures, answers, sampler

    def __len__(self) -> int:
        return len(self._sampler)

    def __getitem__(self, iteration: int) -> list[Example]:
        """Return the examples of minibatch `iteration`."""
        return [
            Example(d.index, d.source, self._pictures[d.index], {"answers": self._answers[d.index]})
            for d in self._sampler[iteration]
        ]


def run(profile: Profile, backbone: str, target: Path | None = None) -> str:
    """Train the body of `backbone` on drawn pictures; return its accuracies on held-out ones.

    The weights are written to the package unless `target` is given. A killed run resumes.
    """
    initial = profile.params.initial
    if initial is None:
        raise ParamsError(f"{profile.params.params_file}: section `initial` is null: nothing to do")
    path = target or initial_weights(backbone)
    make_folder(path.parent)
    torch.manual_seed(initial.seed)
    classifier = Classifier(backbone, {name: len(words) for name, words in QUESTIONS.items()})
    total = initial.pictures + initial.held_out
    with Steps("drawing pictures", total) as steps:
        drawn, drawn_answers = draw_pictures(total, initial.side, initial.seed, steps.advance)
    pictures, answers = torch.from_numpy(drawn).permute(0, 3, 1, 2), torch.from_numpy(drawn_answers)
    began = time.monotonic()
    settings = _settings(profile, backbone, initial)
    iterations = settings.schedule.iterations
    sampler = MixedSampler((initial.pictures,), 1.0, iterations, initial.batch, initial.seed)
    _train(profile, classifier, PictureMinibatches(pictures, answers, sampler), settings)
    held_out = slice(initial.pictures, None)
    right = accuracies(classifier.cpu().eval(), pictures[held_out], answers[held_out])
    card = {
        "backbone": backbone,
        "initial": initial.model_dump(),
        "accuracies": right,
        "seconds": round(time.monotonic() - began),
        "code": code_version(),
        **environment(),
    }
    save_initial(path, classifier, card)
    shutil.rmtree(settings.folder)
    lines = [
        f"{question}: {100 * share:.0f} % right, {100 / len(QUESTIONS[question]):.0f} % by chance"
        for question, share in right.items()
    ]
    return "\n".join([*lines, str(path)])


def _train(
    profile: Profile, classifier: Classifier, minibatches: PictureMinibatches, settings: Settings
) -> None:
    fabric = launch(profile.params.train.precision)
    with Steps("training the classifier", len(minibatches)) as steps:
        steps.start_at(resume_at(settings))
        train(
            fabric, classifier, minibatches, settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip


def _settings(profile: Profile, backbone: str, initial: Initial) -> Settings:
    shared = profile.params.train
    iterations = initial.epochs * initial.pictures // initial.batch
    deciding = (shared.milestones, shared.momentum, shared.weight_decay)
    return Settings(
        schedule=Schedule(iterations, initial.base_lr, initial.warmup, tuple(shared.milestones)),
        folder=profile.training(f"initial-{backbone}"),
        fingerprint=fingerprint([backbone, initial.model_dump(), *deciding]),
        seed=initial.seed,
        micro_batch_size=initial.batch,
        workers=0,
        **shared.model_dump(include=SHARED_SETTINGS),
    )
