"""Stages `supervised` and `distilled`: one row's labelled and generated images become a model."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from datastill.data.coco import Coco, digest, mirror_swap, read_coco, write_text
from datastill.data.examples import Augmentation, Minibatches
from datastill.data.mixing import MixedSampler
from datastill.data.sets import with_keypoints
from datastill.errors import DataError
from datastill.model.checkpoint import save_weights
from datastill.model.detector import Detector, build_detector, count_parameters
from datastill.model.initial import initial_weights, start_from
from datastill.model.precision import resolve_precision
from datastill.params import DistilledRow
from datastill.progress import Steps
from datastill.stages import data
from datastill.stages.place import Place
from datastill.stages.provenance import code_version, environment, fingerprint
from datastill.stages.records import follower, mirror_row
from datastill.train.loop import Settings, resume_at, train
from datastill.train.schedule import Schedule


@dataclass(frozen=True)
class Materials:
    """What a row is trained on: the labelled set and, for a student, the generated annotations."""

    sets: tuple[Coco, ...]
    names: tuple[str, ...]  # keypoint names
    digests: dict[str, str]  # SHA-256 of each file, by what it is to the row


def run(place: Place, row: str) -> None:
    """Train `row`, going on where a killed training stopped."""
    spec, params = place.params.row(row), place.params
    materials = _materials(place, row)
    detector, initial = _fresh_detector(place, row, len(materials.names))
    facts = {
        "row": spec.model_dump(),
        "train": params.train.model_dump(),
        "iterations": params.scaled(spec.iterations),
        "inputs": materials.digests,
        "initial": initial,
        "precision": resolve_precision(params.train.precision),
    }
    settings = _settings(place, row, fingerprint(facts))
    schedule = Schedule(
        params.scaled(spec.iterations),
        params.train.base_rate,
        params.train.warmup,
        tuple(params.train.drops),
    )
    card = {
        **facts,
        "name": row,
        "fingerprint": settings.fingerprint,
        "attempt": _attempt(settings),
        "parameters": count_parameters(detector),
        "keypoints": materials.names,
        "code": code_version(),
        **environment(),
    }
    write_text(settings.folder / "card.json", json.dumps(card, indent=2))
    minibatches = _minibatches(place, materials, schedule.iterations, spec.seed)
    began = time.monotonic()
    with (
        follower(place, row),
        Steps(f"training {row}", schedule.iterations) as steps,
    ):
        steps.start_at(resume_at(settings))
        train(
            detector, minibatches, schedule, settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip
    card["seconds"] = round(time.monotonic() - began, 1)
    stable = {
        "row": row,
        "backbone": spec.backbone,
        "keypoints": materials.names,
        "fingerprint": settings.fingerprint,
    }
    save_weights(place.weights(row), detector, stable)
    _finish(place, row, settings.folder, card)
    mirror_row(place, row)


def _materials(place: Place, row: str) -> Materials:
    spec = place.params.row(row)
    paths = place.inputs(row)
    labelled = with_keypoints(data.load(place, spec.labelled))
    sets = [labelled]
    if isinstance(spec, DistilledRow):
        data.load(place, spec.unlabelled)
        sets.append(read_coco(paths["generated"]))
    for path, coco in zip(paths.values(), sets, strict=True):
        if not coco.images:
            raise DataError(f"{path}: no image to train on")
    digests = {name: digest(path) for name, path in paths.items()}
    return Materials(tuple(sets), labelled.keypoint_names(), digests)


def _fresh_detector(place: Place, row: str, keypoints: int) -> tuple[Detector, str]:
    """Return the untrained detector of `row` and the digest of its initial weights, or "random"."""
    spec = place.params.row(row)
    torch.manual_seed(spec.seed)
    detector = build_detector(spec.backbone, keypoints)
    if place.params.train.start == "random":
        return detector, "random"
    return detector, start_from(initial_weights(spec.backbone), detector)


def _minibatches(place: Place, materials: Materials, iterations: int, seed: int) -> Minibatches:
    train = place.params.train
    sizes = tuple(len(coco.images) for coco in materials.sets)
    low, high = train.short_sides
    return Minibatches(
        materials.sets,
        place.images,
        MixedSampler(sizes, train.labelled_share, iterations, train.batch, seed),
        Augmentation((low, high), train.long_side, mirror_swap(materials.names)),
    )


def _settings(place: Place, row: str, fingerprint: str) -> Settings:
    train = place.params.train
    return Settings(
        folder=place.training(row),
        fingerprint=fingerprint,
        seed=place.params.row(row).seed,
        precision=train.precision,
        momentum=train.momentum,
        weight_decay=train.weight_decay,
        checkpoint_every=train.checkpoint_every,
        log_every=train.log_every,
        workers=train.workers,
    )


def _attempt(settings: Settings) -> str:
    """Return the id of this training: that of the card it resumes, or a new one."""
    path = settings.folder / "card.json"
    card: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if card.get("fingerprint") == settings.fingerprint:
        return str(card["attempt"])
    return uuid.uuid4().hex


def _finish(place: Place, row: str, folder: Path, card: dict[str, Any]) -> None:
    """Move what the training leaves behind to the model; the state has done its work."""
    write_text(place.model(row) / "card.json", json.dumps(card, indent=2))
    shutil.copy(folder / "journal.jsonl", place.model(row) / "journal.jsonl")
    shutil.rmtree(folder)
