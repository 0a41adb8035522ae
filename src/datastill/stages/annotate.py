"""Stage `annotate`: a row's generated annotations from a teacher's ensembled predictions."""

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import compress

import numpy as np
import pandas as pd
import torch

from datastill.coco.format import Coco, Record, read_coco, write_coco
from datastill.coco.image_records import ImageRecords, image_ids
from datastill.coco.metadata import Metadata, build_metadata
from datastill.coco.subsets import subset
from datastill.distill.annotations import EvidenceFile, generate, with_verdicts
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.ray_engine import ActorSpec, find_on_cluster
from datastill.distill.shards import (
    Candidates,
    Shard,
    cut,
    delete_abandoned,
    return_freed_memory,
)
from datastill.distill.thresholds import Rules, Selection, box_density, keypoint_density, select
from datastill.errors import DataError
from datastill.evaluation.annotation_card import AnnotatedRow, annotation_card
from datastill.evaluation.quality_text import quality_line, shortfall
from datastill.images.contact_sheet import SHOWN, write_contact_sheet
from datastill.images.load import Refusal, load_image
from datastill.images.manifest import read_column
from datastill.inference.views import Inference
from datastill.io import digest, write_text
from datastill.progress import Steps, on_one_line
from datastill.project.image_sets import VAL, load
from datastill.project.profile import Profile
from datastill.project.provenance import code_version, environment, fingerprint, inference_code
from datastill.project.row_models import distilled, load_model, teacher_inference, unlabelled_subset
from datastill.project.rows import DistilledRow, SupervisedRow
from datastill.project.schema import Select

SAMPLE = 128  # labelled images, at most, that a teacher predicts on for comparison; as many of val

_log = logging.getLogger(__name__)


def run(profile: Profile, row: str) -> str:
    """Annotate the unlabelled set of `row` with its teacher; return a line on expected quality.

    That is estimated on images of val, from which the teacher has not learned. Nothing is chosen by
    it: below `select.min_expected_precision`, if given, the stage stops before it writes anything.
    Warns of every shortfall.
    """
    task, spec, code = profile.params.task, distilled(profile, row), code_version()
    labelled = load(profile, spec.labelled)
    held_out = _held_out(profile, spec.teacher, {spec.labelled: labelled})
    inference = teacher_inference(profile, row, build_metadata(labelled, task))
    annotated = _annotated(profile, row, labelled, held_out, inference)
    _check_expected(annotated)
    return_freed_memory()
    _write(profile, annotated)
    provenance = {
        "annotations": digest(profile.annotations(row)),
        "teacher_weights": digest(profile.weights(spec.teacher)),
        "views": len(inference.views),
        "code": code,
    }
    return _report(profile, annotated, provenance | environment())


def _annotated(
    profile: Profile, row: str, labelled: Coco, held_out: Coco, inference: Inference
) -> AnnotatedRow:
    """Return the row with its teacher's candidates and their selection, before anything is kept."""
    task, teacher = profile.params.task, distilled(profile, row).teacher
    density = (box_density if task == "boxes" else keypoint_density)(labelled)
    unlabelled, metadata = unlabelled_subset(profile, row), build_metadata(labelled, task)
    candidates = find(profile, teacher, metadata, inference, unlabelled.images)
    single_scale = teacher_inference(profile, row, metadata, single_scale=True)
    refused = _refused(profile, row, candidates)
    unreadable = {refusal.file_name for refusal in refused}
    readable = ImageRecords(i for i in unlabelled.images if i["file_name"] not in unreadable)
    rules = profile.params.selection(row)
    selection = select(candidates, len(readable), density, _thresholds_by(rules))
    return AnnotatedRow(
        row=row,
        teacher=teacher,
        task=task,
        rules=rules.model_dump(),
        labelled=labelled,
        unlabelled=unlabelled,
        readable=readable,
        images=_kept_images(rules.images_without, readable, candidates, selection),
        refused=refused,
        candidates=candidates,
        sample=find(profile, teacher, metadata, single_scale, _some(labelled.images)),
        held_out=held_out,
        held_out_candidates=find(profile, teacher, metadata, inference, held_out.images),
        density=density,
        selection=selection,
        brightness=read_column(profile.manifest, "brightness"),
    )


def find(
    profile: Profile,
    teacher: str,
    metadata: Metadata,
    inference: Inference,
    images: Sequence[Record],
) -> Candidates:
    """Return the candidates of `teacher` in `images`; only missing shards need inference."""
    shards = _shards(profile, teacher, inference, images)
    candidates = Candidates([shard for shard in shards if shard.is_done])
    if not _delete_outdated(profile, candidates) and candidates.images == len(images):
        return candidates
    detector = load_model(profile, teacher, metadata)
    label = f"predicting with {teacher} through {len(inference.views)} view(s)"
    with Steps(label, len(images)) as steps:
        steps.start_at(sum(len(shard.images) for shard in shards if shard.is_done))
        if profile.params.machine.engine == "ray":
            weights, root = profile.weights(teacher).absolute(), profile.images.absolute()
            actor = ActorSpec(weights, root, inference, torch.get_num_threads())
            find_on_cluster(actor, shards, steps.advance)
        else:
            return_freed_memory()
            find_candidates(Teacher(detector, inference), shards, profile.images, steps.advance)
    return_freed_memory()
    return Candidates(shards)


def _shards(
    profile: Profile, teacher: str, inference: Inference, images: Sequence[Record]
) -> list[Shard]:
    weights, key = profile.weights(teacher), "none"
    if weights.is_file():
        key = fingerprint([digest(weights), asdict(inference), inference_code()])[:16]
    folder = profile.work / "shards" / key
    delete_abandoned(folder)
    return list(cut(images, read_column(profile.manifest, "digest"), folder))


def _delete_outdated(profile: Profile, candidates: Candidates) -> bool:
    """Delete the shards that refused an image that is readable now; return whether any did.

    A disk may have been unavailable. An image that is still damaged stays refused.
    """
    refused = {refusal.file_name for refusal in candidates.refused()}
    if not refused:
        return False
    outdated = [
        shard
        for shard in candidates.shards
        if any(image["file_name"] in refused and _opens(profile, image) for image in shard.images)
    ]
    for shard in outdated:
        shard.path.unlink(missing_ok=True)  # another row with this teacher may have deleted it
    return bool(outdated)


def _opens(profile: Profile, image: Record) -> bool:
    try:
        load_image(profile.images, image)
    except DataError:
        return False
    return True


def _some(images: Sequence[Record]) -> Sequence[Record]:
    """Return SAMPLE of the images at most, evenly spread."""
    return images[:: -(-len(images) // SAMPLE)]


def _held_out(profile: Profile, teacher: str, loaded: Mapping[str, Coco]) -> Coco:
    """Return some of val; raises DataError if a model of the teacher was trained on any of it.

    What a teacher from elsewhere was trained on is not known here.

    loaded  image sets that need not be read again, by name
    """
    val = load(profile, VAL)
    held_out = subset(val, _some(val.images))
    names = {image["file_name"] for image in held_out.images}
    for name in sorted({name for row in profile.params.models(teacher) for name in _sets(row)}):
        images = (loaded.get(name) or read_coco(profile.image_set(name))).images
        if common := sorted(names & {image["file_name"] for image in images}):
            raise DataError(
                f"{teacher}: {len(common)} images of val, such as {common[0]}, are in {name}, on "
                "which it was trained; val must hold other images"
            )
    return held_out


def _sets(row: SupervisedRow) -> list[str]:
    return [row.labelled, *([row.unlabelled] if isinstance(row, DistilledRow) else [])]


def _check_expected(annotated: AnnotatedRow) -> None:
    """Raise DataError if the rules give a minimum and the expected precision is not as high."""
    minimum, expected = annotated.rules["min_expected_precision"], annotated.expected
    if minimum is not None and (expected is None or expected.precision < minimum):
        reason = shortfall(expected, boxes=annotated.boxes)
        raise DataError(f"{annotated.row}: {reason}; select.min_expected_precision is {minimum:g}")


def _thresholds_by(rules: Select) -> Rules:
    return Rules(**rules.model_dump(include={*Rules.__dataclass_fields__}))


def _refused(profile: Profile, row: str, candidates: Candidates) -> list[Refusal]:
    refused, images = candidates.refused(), candidates.images
    limit = profile.params.select.max_unreadable_fraction
    if len(refused) > limit * images:
        first = refused[0]
        raise DataError(
            f"{row}: {len(refused)} of {images} images cannot be read, such as {first.file_name} "
            f"({first.reason}); select.max_unreadable_fraction allows {limit:.0%}"
        )
    return refused


def _kept_images(
    images_without: str, images: Sequence[Record], candidates: Candidates, selection: Selection
) -> Sequence[Record]:
    if images_without == "keep":
        return images
    tables = candidates.tables("image_id", "category_id", "score")
    annotated = [np.unique(t["image_id"].to_numpy()[selection.keeps(t)]) for t in tables]
    kept = np.isin(image_ids(images), np.concatenate([*annotated, np.empty(0, np.int64)]))
    return ImageRecords(compress(images, kept))


def _write(profile: Profile, annotated: AnnotatedRow) -> None:
    """Write annotations and evidence, in one pass over the shards; fill the tally."""
    images = annotated.images
    remembered = images if annotated.unlabelled.annotations else images[:SHOWN]
    dropped = {*np.setdiff1d(image_ids(annotated.readable), image_ids(images)).tolist()}
    rule = profile.params.select.instances
    with EvidenceFile.create(profile.evidence(annotated.row)) as evidence:
        tables = annotated.candidates.tables()
        verdicts = (evidence.add(with_verdicts(t, annotated.selection, rule)) for t in tables)
        records = generate(verdicts, annotated.density.area_shares)
        records = (record for record in records if record["image_id"] not in dropped)
        counted = annotated.tally.counted(records, {*image_ids(remembered).tolist()})
        coco = Coco(images, [], annotated.unlabelled.categories)
        write_coco(profile.annotations(annotated.row), coco, counted)
    return_freed_memory()


def _like_val(profile: Profile, annotated: AnnotatedRow) -> dict[str, int]:
    """Return how many images of the row look like val's but stay, by the reason given."""
    if not profile.allowed.is_file():
        return {}
    names = [i["file_name"] for i in (*annotated.labelled.images, *annotated.unlabelled.images)]
    allowed = pd.read_csv(profile.allowed, dtype=str)
    return dict(Counter(allowed.loc[allowed["file_name"].isin(names), "allowed_because"]))


def _report(profile: Profile, annotated: AnnotatedRow, provenance: dict[str, object]) -> str:
    """Write the card and the contact sheet, log the card's warnings, and return its quality."""
    row, records = annotated.row, annotated.tally.records
    generated = Coco(annotated.images, records, annotated.unlabelled.categories)
    shown = subset(generated, annotated.images[:SHOWN])
    write_contact_sheet(profile.sheet(row), profile.images, shown, profile.params.task)
    card = annotation_card(annotated)
    for warning in card["warnings"]:
        _log.warning(on_one_line(warning))
    card |= {"like_val": _like_val(profile, annotated), "provenance": provenance}
    text = json.dumps(card, indent=2) + "\n"
    write_text(profile.annotation_card(row), text)
    return quality_line(card)
