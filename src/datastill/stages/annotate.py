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

from datastill.coco.format import (
    Coco,
    Record,
    digest,
    read_coco,
    stream_coco,
    write_text,
)
from datastill.coco.metadata import Subject, subject
from datastill.coco.subsets import only
from datastill.commands.show import SHOWN, draw_sheet
from datastill.distill.annotations import EvidenceFile, generate, with_verdicts
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.categories import BoxDensity, box_density, select_boxes
from datastill.distill.ray_engine import Job, find_on_cluster
from datastill.distill.shards import Candidates, Shard, cut
from datastill.distill.thresholds import Density, Rules, Selection, density, select
from datastill.errors import DataError, ParamsError
from datastill.images.load import Refusal, load_image
from datastill.images.manifest import read_column
from datastill.inference.multi_transform import Inference
from datastill.inference.predictor import categories_found, through
from datastill.model.checkpoint import load_detector
from datastill.model.detector import Detector
from datastill.progress import Steps
from datastill.project import DistilledRow
from datastill.project.profile import Place
from datastill.project.provenance import code_version, environment, fingerprint, looking_code
from datastill.report.annotation_card import Outcome, Tally, annotation_card, area_shares
from datastill.stages import data

SAMPLE = 256  # labelled images that a teacher looks at again, to compare

_log = logging.getLogger(__name__)


def inference(place: Place, what: Subject, multi: bool) -> Inference:
    """Return the profile's inference, with all views (`multi`) or the plain one alone."""
    return through(place.params.views.model_dump(), what, None if multi else 1)


def looking(place: Place, row: str, *, multi: bool = True) -> Inference:
    """Return how the teacher of `row` looks at its unlabelled set, or with one view alone."""
    asked, what = distilled(place, row).ablation, looked_for(place, row)
    views = asked.views if multi else 1
    how = through(place.params.views.model_dump(), what, views)
    return replace(how, average=asked.average or how.average)


def load_model(place: Place, row: str, what: Subject) -> tuple[Detector, dict[str, Any]]:
    """Return the trained detector of `row`, on the GPU if there is one, and its card.

    Raises DataError where it looks for something else than `what`.
    """
    if row in place.params.ensembles and not place.weights(row).is_file():
        command = f"datastill ensemble {row}{place.option}"
        raise DataError(f"{place.weights(row)}: no such file; run `{command}` first")
    detector, card = load_detector(place.weights(row))
    check_model(place, row, card, what)
    return detector.to("cuda" if torch.cuda.is_available() else "cpu"), card


def check_model(place: Place, row: str, card: dict[str, Any], what: Subject) -> None:
    """Raise DataError where the model of `row`, with this `card`, looks for something else."""
    theirs, ours = (
        [(c["id"], c["name"]) for c in known]
        for known in (categories_found(place.weights(row), card), what.categories)
    )
    if tuple(card["keypoints"]) != what.skeleton.names or theirs != ours:
        raise DataError(
            f"{place.weights(row)}: looks for {_told(theirs, card['keypoints'])}, the data have "
            f"{_told(ours, what.skeleton.names)}; train row {row} again"
        )


def _told(categories: list[tuple[int, str]], keypoints: Sequence[str]) -> str:
    names = [f"{number} {name}" for number, name in categories]
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"{len(keypoints)} keypoints of {some}" if keypoints else f"boxes of {some}"


def run(place: Place, row: str) -> None:
    """Annotate the unlabelled set of `row` with its teacher; say loudly where that falls short."""
    spec, code = distilled(place, row), code_version()
    labelled = data.load(place, spec.labelled)
    boxes = place.params.task == "boxes"
    wanted = box_density(labelled) if boxes else density(labelled)
    unlabelled = asked_for(place, row)
    candidates = find(place, row, unlabelled.images)
    sample = labelled.images[:: -(-len(labelled.images) // SAMPLE)]
    seen = find(place, row, sample, multi=False)
    refused = _refused(place, row, candidates, len(unlabelled.images))
    lost = {refusal.file_name for refusal in refused}
    readable = [image for image in unlabelled.images if image["file_name"] not in lost]
    selection = _select(candidates, len(readable), wanted, _rules(place))
    images = _kept_images(place, readable, candidates, selection)
    tally = _write(place, row, (images, unlabelled.categories), (candidates, selection, wanted))
    outcome = Outcome(
        row, labelled, unlabelled, readable, images, refused,
        candidates, seen, len(sample), selection, wanted, tally,
    )  # fmt: skip
    card = annotation_card(place, outcome)
    for warning in card["warnings"]:
        _log.warning(warning)
    draw_sheet(place, row, Coco(images[:SHOWN], tally.shown, unlabelled.categories))
    provenance = {**_provenance(place, row), "code": code, **environment()}
    text = json.dumps({**card, "provenance": provenance}, indent=2) + "\n"
    write_text(place.annotation_card(row), text)


def distilled(place: Place, row: str) -> DistilledRow:
    """Return the distilled row called `row`; raises ParamsError where it is none."""
    spec = place.params.row(row)
    if not isinstance(spec, DistilledRow):
        names = ", ".join(place.params.distilled)
        raise ParamsError(f"row {row!r} has no unlabelled set to annotate; these have: {names}")
    return spec


def asked_for(place: Place, row: str) -> Coco:
    """Return the unlabelled set of `row`, or the random part of it that the row asks for.

    Of one seed, a smaller part lies within every larger one.
    """
    spec = distilled(place, row)
    every = data.load(place, spec.unlabelled)
    if spec.ablation.fraction is None:
        return every
    order = np.random.default_rng([spec.seed, 4]).permutation(len(every.images))
    some = sorted(order[: max(1, round(spec.ablation.fraction * len(order)))].tolist())
    return only(every, [every.images[i] for i in some])


def looked_for(place: Place, row: str) -> Subject:
    """Return what the models of `row` look for: what its labelled set has."""
    labelled = read_coco(place.image_set(place.params.row(row).labelled))
    return subject(labelled, place.params.task)


def find(place: Place, row: str, images: list[Record], *, multi: bool = True) -> Candidates:
    """Return what the teacher of `row` finds in `images`; it looks only where it has not yet."""
    spec = distilled(place, row)
    shards = _shards(place, row, images, multi)
    known = [shard for shard in shards if shard.is_done]
    found = Candidates(known)
    if _forgotten(place, known, found) or len(known) < len(shards):
        found = Candidates(shards)
        done = sum(len(shard.images) for shard in shards if shard.is_done)
        what = looked_for(place, row)
        detector, _ = load_model(place, spec.teacher, what)
        how = looking(place, row, multi=multi)
        told = f"annotating {spec.unlabelled}" if multi else f"looking at {spec.labelled} again"
        with Steps(told, len(images)) as steps:
            steps.start_at(done)
            if place.params.machine.engine == "ray":
                weights = place.weights(spec.teacher).absolute()
                job = Job(weights, place.images.absolute(), how, torch.get_num_threads())
                find_on_cluster(job, shards, steps.advance)
            else:
                find_candidates(Teacher(detector, how), shards, place.images, steps.advance)
    return found


def _shards(place: Place, row: str, images: list[Record], multi: bool) -> list[Shard]:
    spec = distilled(place, row)
    weights = place.weights(spec.teacher)
    how = asdict(looking(place, row, multi=multi))
    key = fingerprint([digest(weights), how, looking_code()])[:16] if weights.is_file() else "none"
    return list(cut(images, read_column(place.manifest, "digest"), place.work / "shards" / key))


def _forgotten(place: Place, shards: Sequence[Shard], found: Candidates) -> bool:
    """Delete what was `found` in those of `shards` that list images which can be read by now.

    A disk was away, say. What is broken for good stays listed, and its shard as it is.
    """
    lost = {refusal.file_name for refusal in found.refused()} if shards else set()
    healed = [
        shard
        for shard in shards
        if any(image["file_name"] in lost and _opens(place, image) for image in shard.images)
    ]
    for shard in healed:
        shard.path.unlink(missing_ok=True)  # by another row of this teacher, meanwhile
    return bool(healed)


def _opens(place: Place, image: Record) -> bool:
    try:
        load_image(place.images, image)
    except DataError:
        return False
    return True


def _refused(place: Place, row: str, candidates: Candidates, images: int) -> list[Refusal]:
    refused = candidates.refused()
    if len(refused) > place.params.select.most_refused * images:
        first = refused[0]
        raise DataError(
            f"{row}: {len(refused)} of {images} images cannot be read, such as {first.file_name} "
            f"({first.reason}); select.most_refused allows {place.params.select.most_refused:.0%}"
        )
    return refused


def _select(
    candidates: Candidates, images: int, wanted: Density | BoxDensity, rules: Rules
) -> Selection:
    if isinstance(wanted, BoxDensity):
        return select_boxes(candidates, images, wanted, rules)
    return select(candidates, images, wanted, rules)


def _rules(place: Place) -> Rules:
    return Rules(**place.params.select.model_dump(exclude={"images_without", "most_refused"}))


def _kept_images(
    place: Place, images: list[Record], candidates: Candidates, selection: Selection
) -> list[Record]:
    if place.params.select.images_without == "keep":
        return images
    busy: set[int] = set()
    for table in candidates.tables("image_id", "category_id", "score"):
        busy |= set(table["image_id"].to_numpy()[selection.keeps(table)].tolist())
    return [image for image in images if image["id"] in busy]


def _write(
    place: Place,
    row: str,
    where: tuple[list[Record], list[Record]],
    what: tuple[Candidates, Selection, Density | BoxDensity],
) -> Tally:
    """Write annotations and evidence, both in one go over the shards."""
    (images, categories), (candidates, selection, wanted) = where, what
    evidence, tally = EvidenceFile(place.candidates(row)), Tally()

    def judged() -> Iterator[pa.Table]:
        for table in candidates.tables():
            verdicts = with_verdicts(table, selection, place.params.select.instances)
            evidence.add(verdicts)
            yield verdicts

    kept = {image["id"] for image in images}
    records = generate(judged(), area_shares(wanted, categories))
    records = (record for record in records if record["image_id"] in kept)
    shown = {image["id"] for image in images[:SHOWN]}
    stream_coco(place.annotations(row), images, tally.counted(records, shown), categories)
    evidence.close()
    return tally


def _provenance(place: Place, row: str) -> dict[str, Any]:
    spec = distilled(place, row)
    return {
        "annotations": digest(place.annotations(row)),
        "teacher_weights": digest(place.weights(spec.teacher)),
        "views": len(looking(place, row).views),
    }
