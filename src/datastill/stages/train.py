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

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.subsets import trainable
from datastill.errors import DataError, TrainingError
from datastill.io import digest, write_text
from datastill.model.checkpoint import load_into, save_weights
from datastill.model.detector import Detector, build_detector, count_parameters
from datastill.model.precision import resolve_precision
from datastill.model.pretrained import find_initial, start_from
from datastill.progress import Steps
from datastill.project.image_sets import load
from datastill.project.profile import Profile, check_annotated
from datastill.project.provenance import code_version, environment, fingerprint, training_code
from datastill.project.rows import DistilledRow, SupervisedRow
from datastill.tracking.live import follow_row, mirror_row
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
    metadata: Metadata
    digests: dict[str, str]  # SHA-256 of each file, by what it is to the row


def run(profile: Profile, row: str) -> None:
    """Train `row`, going on where a killed training stopped, on as many devices as asked for."""
    profile.params.row(row)
    processes = count_processes(profile)
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        _run_together(profile, row, processes)
    else:
        _run_here(profile, row, launch(profile.params.train.precision))


def count_processes(profile: Profile) -> int:
    """Return how many processes train together on this machine."""
    asked = profile.params.machine.processes
    return max(1, torch.cuda.device_count()) if asked == "auto" else asked


def _run_together(profile: Profile, row: str, processes: int) -> None:
    """Let torchrun start this very command that many times; raises TrainingError if one fails."""
    how = profile.params.train
    check_shares(how.batch, how.micro_batch_size, processes)
    _fresh_detector(profile, row, _materials(profile, row).metadata)  # or it fails here, once
    share = ("--standalone", "--nproc-per-node", str(processes))
    command = ("-m", "datastill", "train", row, "--profile", profile.params.profile)
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


def _run_here(profile: Profile, row: str, fabric: Fabric) -> None:
    spec, params = profile.params.row(row), profile.params
    check_shares(params.train.batch, params.train.micro_batch_size, fabric.world_size)
    with fabric.rank_zero_first():
        materials = _materials(profile, row)
        detector, initial = _fresh_detector(profile, row, materials.metadata)
    facts = {
        "row": spec.model_dump(exclude_none=True),
        "train": params.train.model_dump(exclude={"initial_files"}),
        "iterations": params.scaled(spec.iterations),
        "inputs": materials.digests,
        "initial": initial,
        "precision": resolve_precision(params.train.precision),
        "categories": materials.metadata.categories,
    }
    settings = _settings(profile, row, fingerprint([facts, training_code()]))
    card = {
        **facts,
        "name": row,
        "fingerprint": fingerprint(facts),
        "state": settings.fingerprint,
        "attempt": _attempt(settings),
        "parameters": count_parameters(detector),
        "processes": fabric.world_size,
        "keypoints": materials.metadata.skeleton.names,
        "code": code_version(),
        **environment(),
    }
    if fabric.is_global_zero:
        write_text(settings.folder / "card.json", json.dumps(card, indent=2))
    began = time.monotonic()
    _train(profile, row, fabric, (detector, materials, settings))
    if fabric.is_global_zero:
        card["seconds"] = round(time.monotonic() - began, 1)
        stable = {
            "row": row,
            "backbone": spec.backbone,
            "start": start(profile, row),
            "keypoints": materials.metadata.skeleton.names,
            "fingerprint": card["fingerprint"],
            "categories": materials.metadata.categories,
        }
        save_weights(profile.weights(row), detector, stable)
        _finish(profile, row, settings.folder, card)
        mirror_row(profile, row)


def _train(
    profile: Profile, row: str, fabric: Fabric, what: tuple[Detector, Materials, Settings]
) -> None:
    detector, materials, settings = what
    how, iterations = profile.params.train, settings.schedule.iterations
    sampler = _sampler(profile, row, materials, settings)
    augmentation = Augmentation(
        (how.short_sides[0], how.short_sides[1]),
        how.long_side,
        materials.metadata.skeleton.flip_indices,
        strong=profile.params.row(row).ablation.augmentation == "strong",
    )
    mine = sampler.part(fabric.global_rank, fabric.world_size)
    labels = materials.metadata.labels()
    minibatches = Minibatches(materials.sets, profile.images, mine, augmentation, labels)
    if not fabric.is_global_zero:
        train(fabric, detector, minibatches, settings, lambda *_: None)
        return
    with follow_row(profile, row), Steps(f"training {row}", iterations) as steps:
        steps.start_at(resume_at(settings))
        train(
            fabric, detector, minibatches, settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip


def _materials(profile: Profile, row: str) -> Materials:
    spec = profile.params.row(row)
    paths = profile.inputs(row)
    labelled = trainable(load(profile, spec.labelled), profile.params.task)
    sets = [labelled]
    if isinstance(spec, DistilledRow):
        load(profile, spec.unlabelled)
        check_annotated(profile, row)
        sets.append(read_coco(paths["generated"]))
    for path, coco in zip(paths.values(), sets, strict=True):
        if not coco.images:
            raise DataError(f"{path}: no image to train on")
    digests = {name: digest(path) for name, path in paths.items()}
    return Materials(tuple(sets), build_metadata(labelled, profile.params.task), digests)


def _fresh_detector(profile: Profile, row: str, what: Metadata) -> tuple[Detector, str]:
    """Return the untrained detector of `row` and the digest of its initial weights, or "random"."""
    spec, begin = profile.params.row(row), start(profile, row)
    torch.manual_seed(spec.seed)
    detector = build_detector(
        spec.backbone,
        len(what.skeleton),
        categories=len(what.categories),
        train_all_layers=begin == "random",
    )
    if begin == "random":
        return detector, "random"
    if begin == "teacher" and isinstance(spec, DistilledRow):
        return detector, load_into(detector, profile.weights(spec.teacher))
    files = profile.params.train.initial_files
    return detector, start_from(find_initial(spec.backbone, files), detector)


def start(profile: Profile, row: str) -> str:
    """Return which weights the training of `row` starts from: initial, random or teacher."""
    return profile.params.row(row).ablation.start or profile.params.train.start


def _sampler(profile: Profile, row: str, materials: Materials, settings: Settings) -> MixedSampler:
    how, iterations = profile.params.train, settings.schedule.iterations
    share = labelled_share(profile, profile.params.row(row))
    sizes = tuple(len(coco.images) for coco in materials.sets)
    return MixedSampler(sizes, share, iterations, how.batch, settings.seed)


def labelled_share(profile: Profile, row: SupervisedRow) -> float:
    """Return which share of a student's minibatches has human labels, in expectation."""
    return row.ablation.labelled_share or profile.params.train.labelled_share


def _settings(profile: Profile, row: str, fingerprint: str) -> Settings:
    how, spec = profile.params.train, profile.params.row(row)
    iterations = profile.params.scaled(spec.iterations)
    return Settings(
        schedule=Schedule(iterations, how.base_lr, how.warmup, tuple(how.milestones)),
        folder=profile.training(row),
        fingerprint=fingerprint,
        seed=spec.seed,
        micro_batch_size=how.micro_batch_size,
        momentum=how.momentum,
        weight_decay=how.weight_decay,
        checkpoint_every=how.checkpoint_every,
        log_every=how.log_every,
        workers=profile.params.machine.workers,
    )


def _attempt(settings: Settings) -> str:
    """Return the id of this training: that of the one it resumes, or a new one."""
    path = settings.folder / "card.json"
    card: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if card.get("state") == settings.fingerprint:
        return str(card["attempt"])
    return uuid.uuid4().hex


def _finish(profile: Profile, row: str, folder: Path, card: dict[str, Any]) -> None:
    """Move what the training leaves behind to the model; the state has done its work."""
    write_text(profile.model(row) / "card.json", json.dumps(card, indent=2))
    shutil.copy(folder / "journal.jsonl", profile.model(row) / "journal.jsonl")
    shutil.rmtree(folder)
