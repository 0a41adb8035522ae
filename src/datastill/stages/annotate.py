"""Stage `annotate`: a teacher's ensembled predictions become a row's generated annotations."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from datastill.coco.format import Coco, Record, read_coco, stream_coco
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.subsets import subset
from datastill.distill.annotations import EvidenceFile, generate, with_verdicts
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.categories import BoxDensity, box_density, select_boxes
from datastill.distill.ray_engine import Job, find_on_cluster
from datastill.distill.shards import Candidates, Shard, cut
from datastill.distill.thresholds import Density, Rules, Selection, density, select
from datastill.errors import DataError, ParamsError
from datastill.images.contact_sheet import SHOWN, write_contact_sheet
from datastill.images.load import Refusal, load_image
from datastill.images.manifest import read_column
from datastill.inference.predictor import card_categories
from datastill.inference.views import Inference, build_inference
from datastill.io import digest, write_text
from datastill.model.checkpoint import load_detector
from datastill.model.detector import Detector
from datastill.progress import Steps
from datastill.project.image_sets import load
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment, fingerprint, inference_code
from datastill.project.rows import DistilledRow
from datastill.report.annotation_card import Outcome, Tally, annotation_card, area_shares

SAMPLE = 256  # labelled images that a teacher looks at again, to compare

_log = logging.getLogger(__name__)


def inference(profile: Profile, what: Metadata, multi: bool) -> Inference:
    """Return the profile's inference, with all views (`multi`) or the plain one alone."""
    return build_inference(profile.params.views.settings(), what, None if multi else 1)


def teacher_inference(profile: Profile, row: str, *, multi: bool = True) -> Inference:
    """Return how the teacher of `row` looks at its unlabelled set, or with one view alone."""
    asked, what = distilled(profile, row).ablation, row_metadata(profile, row)
    views = asked.views if multi else 1
    how = build_inference(profile.params.views.settings(), what, views)
    return replace(how, average=asked.average or how.average)


def load_model(profile: Profile, row: str, what: Metadata) -> tuple[Detector, dict[str, Any]]:
    """Return the trained detector of `row`, on the GPU if there is one, and its card.

    Raises DataError where it looks for something else than `what`.
    """
    if row in profile.params.ensembles and not profile.weights(row).is_file():
        command = f"datastill ensemble {row}{profile.option}"
        raise DataError(f"{profile.weights(row)}: no such file; run `{command}` first")
    detector, card = load_detector(profile.weights(row))
    check_model(profile, row, card, what)
    return detector.to("cuda" if torch.cuda.is_available() else "cpu"), card


def check_model(profile: Profile, row: str, card: dict[str, Any], what: Metadata) -> None:
    """Raise DataError where the model of `row`, with this `card`, looks for something else."""
    theirs, ours = (
        [(c["id"], c["name"]) for c in known]
        for known in (card_categories(profile.weights(row), card), what.categories)
    )
    if tuple(card["keypoints"]) != what.skeleton.names or theirs != ours:
        raise DataError(
            f"{profile.weights(row)}: looks for {_told(theirs, card['keypoints'])}, the data have "
            f"{_told(ours, what.skeleton.names)}; train row {row} again"
        )


def _told(categories: list[tuple[int, str]], keypoints: Sequence[str]) -> str:
    names = [f"{number} {name}" for number, name in categories]
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(keypoints)} keypoints of {some}" if keypoints else f"boxes of {some}"


def run(profile: Profile, row: str) -> None:
    """Annotate the unlabelled set of `row` with its teacher; say loudly where that falls short."""
    spec, code = distilled(profile, row), code_version()
    labelled = load(profile, spec.labelled)
    boxes = profile.params.task == "boxes"
    wanted = box_density(labelled) if boxes else density(labelled)
    unlabelled = unlabelled_subset(profile, row)
    candidates = find(profile, row, unlabelled.images)
    sample = labelled.images[:: -(-len(labelled.images) // SAMPLE)]
    seen = find(profile, row, sample, multi=False)
    refused = _refused(profile, row, candidates, len(unlabelled.images))
    lost = {refusal.file_name for refusal in refused}
    readable = [image for image in unlabelled.images if image["file_name"] not in lost]
    selection = _select(candidates, len(readable), wanted, _rules(profile))
    images = _kept_images(profile, readable, candidates, selection)
    tally = _write(profile, row, (images, unlabelled.categories), (candidates, selection, wanted))
    outcome = Outcome(
        row, labelled, unlabelled, readable, images, refused,
        candidates, seen, len(sample), selection, wanted, tally,
    )  # fmt: skip
    card = annotation_card(profile, outcome)
    for warning in card["warnings"]:
        _log.warning(warning)
    shown = Coco(images[:SHOWN], tally.shown, unlabelled.categories)
    write_contact_sheet(profile.sheet(row), profile.images, shown, profile.params.task)
    provenance = {**_provenance(profile, row), "code": code, **environment()}
    text = json.dumps({**card, "provenance": provenance}, indent=2) + "\n"
    write_text(profile.annotation_card(row), text)


def distilled(profile: Profile, row: str) -> DistilledRow:
    """Return the distilled row called `row`; raises ParamsError where it is none."""
    spec = profile.params.row(row)
    if not isinstance(spec, DistilledRow):
        names = ", ".join(profile.params.distilled)
        raise ParamsError(f"row {row!r} has no unlabelled set to annotate; these have: {names}")
    return spec


def unlabelled_subset(profile: Profile, row: str) -> Coco:
    """Return the unlabelled set of `row`, or the random part of it that the row asks for.

    Of one seed, a smaller part lies within every larger one.
    """
    spec = distilled(profile, row)
    every = load(profile, spec.unlabelled)
    if spec.ablation.fraction is None:
        return every
    order = np.random.default_rng([spec.seed, 4]).permutation(len(every.images))
    some = sorted(order[: max(1, round(spec.ablation.fraction * len(order)))].tolist())
    return subset(every, [every.images[i] for i in some])


def row_metadata(profile: Profile, row: str) -> Metadata:
    """Return what the models of `row` look for: what its labelled set has."""
    labelled = read_coco(profile.image_set(profile.params.row(row).labelled))
    return build_metadata(labelled, profile.params.task)


def find(profile: Profile, row: str, images: list[Record], *, multi: bool = True) -> Candidates:
    """Return what the teacher of `row` finds in `images`; it looks only where it has not yet."""
    spec = distilled(profile, row)
    shards = _shards(profile, row, images, multi)
    known = [shard for shard in shards if shard.is_done]
    found = Candidates(known)
    if _forgotten(profile, known, found) or len(known) < len(shards):
        found = Candidates(shards)
        done = sum(len(shard.images) for shard in shards if shard.is_done)
        what = row_metadata(profile, row)
        detector, _ = load_model(profile, spec.teacher, what)
        how = teacher_inference(profile, row, multi=multi)
        told = f"annotating {spec.unlabelled}" if multi else f"looking at {spec.labelled} again"
        with Steps(told, len(images)) as steps:
            steps.start_at(done)
            if profile.params.machine.engine == "ray":
                weights = profile.weights(spec.teacher).absolute()
                job = Job(weights, profile.images.absolute(), how, torch.get_num_threads())
                find_on_cluster(job, shards, steps.advance)
            else:
                find_candidates(Teacher(detector, how), shards, profile.images, steps.advance)
    return found


def _shards(profile: Profile, row: str, images: list[Record], multi: bool) -> list[Shard]:
    spec = distilled(profile, row)
    weights = profile.weights(spec.teacher)
    how = asdict(teacher_inference(profile, row, multi=multi))
    key = fingerprint([digest(weights), how, inference_code()])[:16] if weights.is_file() else "none"
    return list(cut(images, read_column(profile.manifest, "digest"), profile.work / "shards" / key))


def _forgotten(profile: Profile, shards: Sequence[Shard], found: Candidates) -> bool:
    """Delete what was `found` in those of `shards` that list images which can be read by now.

    A disk was away, say. What is broken for good stays listed, and its shard as it is.
    """
    lost = {refusal.file_name for refusal in found.refused()} if shards else set()
    healed = [
        shard
        for shard in shards
        if any(image["file_name"] in lost and _opens(profile, image) for image in shard.images)
    ]
    for shard in healed:
        shard.path.unlink(missing_ok=True)  # by another row of this teacher, meanwhile
    return bool(healed)


def _opens(profile: Profile, image: Record) -> bool:
    try:
        load_image(profile.images, image)
    except DataError:
        return False
    return True


def _refused(profile: Profile, row: str, candidates: Candidates, images: int) -> list[Refusal]:
    refused = candidates.refused()
    limit = profile.params.select.max_unreadable_fraction
    if len(refused) > limit * images:
        first = refused[0]
        raise DataError(
            f"{row}: {len(refused)} of {images} images cannot be read, such as {first.file_name} "
            f"({first.reason}); select.max_unreadable_fraction allows {limit:.0%}"
        )
    return refused


def _select(
    candidates: Candidates, images: int, wanted: Density | BoxDensity, rules: Rules
) -> Selection:
    if isinstance(wanted, BoxDensity):
        return select_boxes(candidates, images, wanted, rules)
    return select(candidates, images, wanted, rules)


def _rules(profile: Profile) -> Rules:
    return Rules(
        **profile.params.select.model_dump(exclude={"images_without", "max_unreadable_fraction"})
    )


def _kept_images(
    profile: Profile, images: list[Record], candidates: Candidates, selection: Selection
) -> list[Record]:
    if profile.params.select.images_without == "keep":
        return images
    busy: set[int] = set()
    for table in candidates.tables("image_id", "category_id", "score"):
        busy |= set(table["image_id"].to_numpy()[selection.keeps(table)].tolist())
    return [image for image in images if image["id"] in busy]


def _write(
    profile: Profile,
    row: str,
    where: tuple[list[Record], list[Record]],
    what: tuple[Candidates, Selection, Density | BoxDensity],
) -> Tally:
    """Write annotations and evidence, both in one go over the shards."""
    (images, categories), (candidates, selection, wanted) = where, what
    tally = Tally()

    def judged(evidence: EvidenceFile) -> Iterator[pa.Table]:
        for table in candidates.tables():
            verdicts = with_verdicts(table, selection, profile.params.select.instances)
            evidence.add(verdicts)
            yield verdicts

    kept = {image["id"] for image in images}
    shown = {image["id"] for image in images[:SHOWN]}
    with EvidenceFile.create(profile.candidates(row)) as evidence:
        records = generate(judged(evidence), area_shares(wanted, categories))
        records = (record for record in records if record["image_id"] in kept)
        stream_coco(profile.annotations(row), images, tally.counted(records, shown), categories)
    return tally


def _provenance(profile: Profile, row: str) -> dict[str, Any]:
    spec = distilled(profile, row)
    return {
        "annotations": digest(profile.annotations(row)),
        "teacher_weights": digest(profile.weights(spec.teacher)),
        "views": len(teacher_inference(profile, row).views),
    }
