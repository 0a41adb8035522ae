"""Stages `supervised` and `distilled`: one row's labelled and generated images become a model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from datastill.coco.format import Coco, digest, read_coco, write_text
from datastill.coco.metadata import Subject, subject
from datastill.coco.subsets import with_keypoints, with_objects
from datastill.errors import DataError, TrainingError
from datastill.model.checkpoint import load_into, save_weights
from datastill.model.detector import Detector, build_detector, count_parameters
from datastill.model.precision import resolve_precision
from datastill.model.pretrained import find_initial, start_from
from datastill.progress import Steps
from datastill.project import DistilledRow, SupervisedRow
from datastill.project.profile import Place, check_annotated
from datastill.project.provenance import code_version, environment, fingerprint, training_code
from datastill.stages import data
from datastill.tracking.row_record import follower, mirror_row
from datastill.training.dataset import Augmentation, Minibatches
from datastill.training.distributed import check_shares, launch
from datastill.training.loop import Settings, resume_at, train
from datastill.training.sampler import MixedSampler
from datastill.training.schedule import Schedule

_PATIENCE = 40.0  # seconds: torchrun gives its workers 30


@dataclass(frozen=True)
class Materials:
    """What a row is trained on: the labelled set and, for a student, the generated annotations."""

    sets: tuple[Coco, ...]
    subject: Subject
    digests: dict[str, str]  # SHA-256 of each file, by what it is to the row


def run(place: Place, row: str) -> None:
    """Train `row`, going on where a killed training stopped, on as many devices as asked for."""
    place.params.row(row)
    processes = count_processes(place)
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        _run_together(place, row, processes)
    else:
        _run_here(place, row, launch(place.params.train.precision))


def count_processes(place: Place) -> int:
    """Return how many processes train together on this machine."""
    asked = place.params.machine.processes
    return max(1, torch.cuda.device_count()) if asked == "auto" else asked


def _run_together(place: Place, row: str, processes: int) -> None:
    """Let torchrun start this very command that many times; raises TrainingError if one fails."""
    how = place.params.train
    check_shares(how.batch, how.images_per_pass, processes)
    _fresh_detector(place, row, _materials(place, row).subject)  # or it fails here, once
    share = ("--standalone", "--nproc-per-node", str(processes))
    command = ("-m", "datastill", "train", row, "--profile", place.params.profile)
    together = subprocess.Popen([sys.executable, "-m", "torch.distributed.run", *share, *command])
    try:
        failed = together.wait() != 0
    finally:
        _end(together)
    if failed:
        raise TrainingError(f"{row}: one of {processes} processes failed; its message is above")


def _end(together: subprocess.Popen[bytes]) -> None:
    """Have torchrun end its workers, which have sessions of their own and outlive it otherwise."""
    if together.poll() is None:
        together.terminate()
        try:
            together.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            together.kill()


def _run_here(place: Place, row: str, fabric: Fabric) -> None:
    spec, params = place.params.row(row), place.params
    check_shares(params.train.batch, params.train.images_per_pass, fabric.world_size)
    with fabric.rank_zero_first():
        materials = _materials(place, row)
        detector, initial = _fresh_detector(place, row, materials.subject)
    facts = {
        "row": spec.model_dump(exclude_none=True),
        "train": params.train.model_dump(exclude={"initial_files"}),
        "iterations": params.scaled(spec.iterations),
        "inputs": materials.digests,
        "initial": initial,
        "precision": resolve_precision(params.train.precision),
        "categories": materials.subject.categories,
    }
    settings = _settings(place, row, fingerprint([facts, training_code()]))
    card = {
        **facts,
        "name": row,
        "fingerprint": fingerprint(facts),
        "state": settings.fingerprint,
        "attempt": _attempt(settings),
        "parameters": count_parameters(detector),
        "processes": fabric.world_size,
        "keypoints": materials.subject.skeleton.names,
        "code": code_version(),
        **environment(),
    }
    if fabric.is_global_zero:
        write_text(settings.folder / "card.json", json.dumps(card, indent=2))
    began = time.monotonic()
    _train(place, row, fabric, (detector, materials, settings))
    if fabric.is_global_zero:
        card["seconds"] = round(time.monotonic() - began, 1)
        stable = {
            "row": row,
            "backbone": spec.backbone,
            "start": start(place, row),
            "keypoints": materials.subject.skeleton.names,
            "fingerprint": card["fingerprint"],
            "categories": materials.subject.categories,
        }
        save_weights(place.weights(row), detector, stable)
        _finish(place, row, settings.folder, card)
        mirror_row(place, row)


def _train(
    place: Place, row: str, fabric: Fabric, what: tuple[Detector, Materials, Settings]
) -> None:
    detector, materials, settings = what
    how, iterations = place.params.train, settings.schedule.iterations
    sampler = _sampler(place, row, materials, settings)
    augmentation = Augmentation(
        (how.short_sides[0], how.short_sides[1]),
        how.long_side,
        materials.subject.skeleton.swap,
        strong=place.params.row(row).ablation.augmentation == "strong",
    )
    mine = sampler.part(fabric.global_rank, fabric.world_size)
    labels = materials.subject.labels()
    minibatches = Minibatches(materials.sets, place.images, mine, augmentation, labels)
    if not fabric.is_global_zero:
        train(fabric, detector, minibatches, settings, lambda *_: None)
        return
    with follower(place, row), Steps(f"training {row}", iterations) as steps:
        steps.start_at(resume_at(settings))
        train(
            fabric, detector, minibatches, settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip


def _materials(place: Place, row: str) -> Materials:
    spec = place.params.row(row)
    paths = place.inputs(row)
    useful = with_objects if place.params.task == "boxes" else with_keypoints
    labelled = useful(data.load(place, spec.labelled))
    sets = [labelled]
    if isinstance(spec, DistilledRow):
        data.load(place, spec.unlabelled)
        check_annotated(place, row)
        sets.append(read_coco(paths["generated"]))
    for path, coco in zip(paths.values(), sets, strict=True):
        if not coco.images:
            raise DataError(f"{path}: no image to train on")
    digests = {name: digest(path) for name, path in paths.items()}
    return Materials(tuple(sets), subject(labelled, place.params.task), digests)


def _fresh_detector(place: Place, row: str, what: Subject) -> tuple[Detector, str]:
    """Return the untrained detector of `row` and the digest of its initial weights, or "random"."""
    spec, begin = place.params.row(row), start(place, row)
    torch.manual_seed(spec.seed)
    detector = build_detector(
        spec.backbone,
        len(what.skeleton),
        categories=len(what.categories),
        thawed=begin == "random",
    )
    if begin == "random":
        return detector, "random"
    if begin == "teacher" and isinstance(spec, DistilledRow):
        return detector, load_into(detector, place.weights(spec.teacher))
    files = place.params.train.initial_files
    return detector, start_from(find_initial(spec.backbone, files), detector)


def start(place: Place, row: str) -> str:
    """Return which weights the training of `row` starts from: initial, random or teacher."""
    return place.params.row(row).ablation.start or place.params.train.start


def _sampler(place: Place, row: str, materials: Materials, settings: Settings) -> MixedSampler:
    how, iterations = place.params.train, settings.schedule.iterations
    share = labelled_share(place, place.params.row(row))
    sizes = tuple(len(coco.images) for coco in materials.sets)
    return MixedSampler(sizes, share, iterations, how.batch, settings.seed)


def labelled_share(place: Place, row: SupervisedRow) -> float:
    """Return which share of a student's minibatches has human labels, in expectation."""
    return row.ablation.labelled_share or place.params.train.labelled_share


def _settings(place: Place, row: str, fingerprint: str) -> Settings:
    how, spec = place.params.train, place.params.row(row)
    iterations = place.params.scaled(spec.iterations)
    return Settings(
        schedule=Schedule(iterations, how.base_rate, how.warmup, tuple(how.drops)),
        folder=place.training(row),
        fingerprint=fingerprint,
        seed=spec.seed,
        images_per_pass=how.images_per_pass,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        checkpoint_every=how.checkpoint_every,
        log_every=how.log_every,
        workers=place.params.machine.workers,
    )


def _attempt(settings: Settings) -> str:
    """Return the id of this training: that of the one it resumes, or a new one."""
    path = settings.folder / "card.json"
    card: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if card.get("state") == settings.fingerprint:
        return str(card["attempt"])
    return uuid.uuid4().hex


def _finish(place: Place, row: str, folder: Path, card: dict[str, Any]) -> None:
    """Move what the training leaves behind to the model; the state has done its work."""
    write_text(place.model(row) / "card.json", json.dumps(card, indent=2))
    shutil.copy(folder / "journal.jsonl", place.model(row) / "journal.jsonl")
    shutil.rmtree(folder)
