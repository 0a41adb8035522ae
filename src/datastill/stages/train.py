"""Stages `supervised` and `distilled`: a row's model from labelled and generated images."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
import uuid
from typing import Any

import torch
from lightning_fabric import Fabric

from datastill.coco.format import Coco, read_coco
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.results import COCO_DETECTIONS, max_detections
from datastill.coco.subsets import trainable
from datastill.errors import DataError, TrainingError
from datastill.io import atomic, digest, write_text
from datastill.model.backbones import published_detector
from datastill.model.checkpoint import load_into, save_weights
from datastill.model.detector import Detector, build_detector, count_parameters
from datastill.model.precision import resolve_precision
from datastill.model.pretrained import find_initial, start_from
from datastill.model.torchvision_detectors import find_published, start_from_coco
from datastill.progress import Steps
from datastill.project.image_sets import load
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment, fingerprint, training_code
from datastill.project.records import read_facts
from datastill.project.rows import DistilledRow, SupervisedRow
from datastill.tracking.live import follow_row, mirror_row
from datastill.training.dataset import Augmentation, Minibatches
from datastill.training.distributed import check_shares, launch
from datastill.training.loop import Settings, resume_at, train
from datastill.training.sampler import MixedSampler
from datastill.training.schedule import Schedule

SHARED_SETTINGS = {"momentum", "weight_decay", "checkpoint_every", "log_every"}
_PATIENCE = 40.0  # seconds: torchrun gives its workers 30

_log = logging.getLogger(__name__)


def run(profile: Profile, row: str) -> None:
    """Train `row` on as many devices as params specify; resume where a killed run stopped."""
    profile.params.row(row)
    processes = count_processes(profile)
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        _run_distributed(profile, row, processes)
    else:
        _run_here(profile, row, launch(profile.params.train.precision))


def count_processes(profile: Profile) -> int:
    """Return how many processes train together on this machine."""
    processes = profile.params.machine.processes
    return max(1, torch.cuda.device_count()) if processes == "auto" else processes


def _run_distributed(profile: Profile, row: str, processes: int) -> None:
    """Start this command once per process by torchrun; raise TrainingError if one fails."""
    settings = profile.params.train
    check_shares(settings.batch, settings.micro_batch_size, processes)
    _initial_detector(profile, row, _load_sets(profile, row)[1])  # reports its errors once
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    command = ("-m", "datastill", "train", row, "--profile", profile.params.profile)
    torchrun = subprocess.Popen([sys.executable, "-m", *launcher, *command])
    try:
        failed = torchrun.wait() != 0
    except BaseException:
        torchrun.terminate()  # it ends its workers, which would outlive it in their own sessions
        try:
            torchrun.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            torchrun.kill()
        raise
    if failed:
        raise TrainingError(f"{row}: one of {processes} processes failed; its message is above")


def _run_here(profile: Profile, row: str, fabric: Fabric) -> None:
    detector, minibatches, settings, card = _prepare(profile, row, fabric)
    if not fabric.is_global_zero:
        train(fabric, detector, minibatches, settings, lambda *_: None)
        return
    write_text(settings.folder / "card.json", json.dumps(card, indent=2))
    for part, origin in card.get("from_coco", {}).items():
        _log.info("%s: %s: %s", row, part, origin)
    began = time.monotonic()
    with follow_row(profile, row), Steps(f"training {row}", settings.schedule.iterations) as steps:
        steps.start_at(resume_at(settings))
        train(
            fabric, detector, minibatches, settings,
            lambda _, losses: steps.advance(note=f"loss {losses['loss']:.3f}"),
        )  # fmt: skip
    card["seconds"] = round(time.monotonic() - began, 1)
    kept = ("keypoints", "fingerprint", "categories", "max_detections")
    weights_card = {key: card[key] for key in kept if key in card}
    weights_card |= {"row": row, "backbone": profile.params.row(row).backbone}
    weights_card |= {"start": starting_weights(profile, row)}
    save_weights(profile.weights(row), detector, weights_card)
    write_text(profile.model(row) / "card.json", json.dumps(card, indent=2))
    with atomic(profile.model(row) / "journal.jsonl") as partial:  # never through a link of DVC's
        shutil.copyfile(settings.folder / "journal.jsonl", partial)
    shutil.rmtree(settings.folder)
    mirror_row(profile, row)


def _prepare(
    profile: Profile, row: str, fabric: Fabric
) -> tuple[Detector, Minibatches, Settings, dict[str, Any]]:
    """Return what `train` takes, and the card that describes the training run."""
    spec, params = profile.params.row(row), profile.params
    check_shares(params.train.batch, params.train.micro_batch_size, fabric.world_size)
    with fabric.rank_zero_first():
        sets, metadata = _load_sets(profile, row)
        most = max_detections(sets[0], params.task)
        detector, started = _initial_detector(profile, row, metadata, most)
    facts = {
        "row": spec.model_dump(exclude_none=True),
        "train": params.train.model_dump(exclude={"initial_files"}),
        "iterations": params.scaled_iterations(spec.iterations),
        "inputs": {role: digest(path) for role, path in profile.inputs(row).items()},
        **started,
        "precision": resolve_precision(params.train.precision),
        "categories": metadata.categories,
        **({"max_detections": most} if most > COCO_DETECTIONS[params.task] else {}),
    }
    settings = _settings(profile, row, fingerprint([facts, training_code()]))
    former = read_facts(settings.folder / "card.json")
    resumed = former.get("state") == settings.fingerprint
    card = {
        **facts,
        "name": row,
        "fingerprint": fingerprint(facts),
        "state": settings.fingerprint,
        "attempt": str(former["attempt"]) if resumed else uuid.uuid4().hex,
        "parameters": count_parameters(detector),
        "processes": fabric.world_size,
        "keypoints": metadata.skeleton.names,
        "code": code_version(),
        **environment(),
    }
    return detector, _minibatches(profile, row, sets, metadata, fabric), settings, card


def _load_sets(profile: Profile, row: str) -> tuple[list[Coco], Metadata]:
    spec = profile.params.row(row)
    paths = profile.inputs(row)
    labelled, negatives = load(profile, spec.labelled), profile.params.train.negatives
    sets = [trainable(labelled, profile.params.task, negatives=negatives)]
    if isinstance(spec, DistilledRow):
        load(profile, spec.unlabelled)
        profile.require(profile.annotations(row), "annotate", row)
        sets.append(read_coco(paths["generated"]))
    for path, coco in zip(paths.values(), sets, strict=True):
        if not coco.images:
            raise DataError(f"{path}: no image to train on")
    return sets, build_metadata(sets[0], profile.params.task)


def _initial_detector(
    profile: Profile, row: str, metadata: Metadata, most: int | None = None
) -> tuple[Detector, dict[str, Any]]:
    """Return the untrained detector of `row`, of at most `most` objects an image, and facts
    about its weights.

    initial    the digest of their file, or "random"
    from_coco  only if it starts from COCO: the origin of each part
    """
    spec, start = profile.params.row(row), starting_weights(profile, row)
    torch.manual_seed(spec.seed)
    detector = build_detector(
        spec.backbone, len(metadata.skeleton), categories=len(metadata.categories),
        train_all_layers=start == "random", max_detections=most,
    )  # fmt: skip
    files = profile.params.train.initial_files
    if start == "random":
        return detector, {"initial": "random"}
    if start == "teacher" and isinstance(spec, DistilledRow):
        return detector, {"initial": load_into(detector, profile.weights(spec.teacher))}
    if start == "coco":
        name = published_detector(spec.backbone, len(metadata.skeleton))
        path = find_published(name, files)
        origins = start_from_coco(path, name, detector, metadata)
        return detector, {"initial": digest(path), "from_coco": origins}
    return detector, {"initial": start_from(find_initial(spec.backbone, files), detector)}


def starting_weights(profile: Profile, row: str) -> str:
    """Return the weights from which `row` is trained: initial, coco, random or teacher."""
    return profile.params.row(row).ablation.start or profile.params.train.start


def labelled_share(profile: Profile, row: SupervisedRow) -> float:
    """Return the expected share of a student's minibatches that has human labels."""
    return row.ablation.labelled_share or profile.params.train.labelled_share


def _minibatches(
    profile: Profile, row: str, sets: list[Coco], metadata: Metadata, fabric: Fabric
) -> Minibatches:
    params, spec = profile.params.train, profile.params.row(row)
    sizes = tuple(len(coco.images) for coco in sets)
    share = labelled_share(profile, spec)
    iterations = profile.params.scaled_iterations(spec.iterations)
    sampler = MixedSampler(sizes, share, iterations, params.batch, spec.seed)
    sampler = sampler.part(fabric.global_rank, fabric.world_size)
    augmentation = Augmentation(
        (params.short_sides[0], params.short_sides[1]), params.long_side,
        metadata.skeleton.flip_indices, params.flip, params.quarter_turns,
        strong=spec.ablation.augmentation == "strong",
    )  # fmt: skip
    return Minibatches(sets, profile.images, sampler, augmentation, metadata.labels())


def _settings(profile: Profile, row: str, fingerprint: str) -> Settings:
    params, spec = profile.params.train, profile.params.row(row)
    iterations = profile.params.scaled_iterations(spec.iterations)
    return Settings(
        schedule=Schedule(iterations, params.base_lr, params.warmup, tuple(params.milestones)),
        folder=profile.training(row),
        fingerprint=fingerprint,
        seed=spec.seed,
        micro_batch_size=params.micro_batch_size,
        workers=profile.params.machine.workers,
        **params.model_dump(include=SHARED_SETTINGS),
    )
