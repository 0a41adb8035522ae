"""Command `export`: a row's model and generated annotations, for use outside the project."""

import json
import shutil
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datastill.coco.format import read_coco
from datastill.coco.metadata import card_metadata
from datastill.coco.yolo_writer import check_writable, write_yolo
from datastill.commands import export_onnx
from datastill.commands.evaluated import match_thresholds
from datastill.commands.restore import restore
from datastill.errors import DataError
from datastill.evaluation.pixel_errors import NAMES
from datastill.inference.predictor import CARD, FORMAT, WEIGHTS, card_categories
from datastill.io import atomic, digest, write_text
from datastill.model.checkpoint import load_detector
from datastill.project.profile import Profile
from datastill.project.records import read_facts, read_model_card
from datastill.project.rows import DistilledRow
from datastill.tracking.champion import promote, registered_name
from datastill.tracking.run_record import current_metrics
from datastill.tracking.store import without_password

ANNOTATIONS = "annotations.json"
# in a model's card, besides AP
_MEASURED = ("interval", *NAMES, "pixel_intervals", "images", "families", "instances", "with_views")


def run(  # noqa: PLR0913  # an argument per option
    profile: Profile,
    row: str,
    to: Path | None,
    champion: bool,
    yolo: bool = False,
    onnx: bool = False,
) -> str:
    """Write the model and annotations of `row` to a folder; return a text on what was written.

    `best` is the row with the highest AP on val; with `yolo`, the annotations are also written as a
    YOLO data set, with `onnx` the model as an ONNX file. Raises DatastillError if the row is not
    trained, for `yolo` if it has no annotations or `folder/yolo` is not a set of an export, if the
    extra for `onnx` is not installed, if the champion is not evaluated, or if MLflow refuses it.
    """
    if onnx:
        export_onnx.require_onnx()
    name = best(profile) if row == "best" and row not in profile.params.rows() else row
    folder = to or profile.export(name)
    if yolo:
        _prepare_yolo(profile, name, folder / "yolo")
    lines = [f"{write_model(profile, name, folder)}: the model, for `datastill predict {folder}`"]
    if onnx:
        lines.append(export_onnx.run(folder))
    if profile.annotations(name).is_file():
        lines.append(f"{write_annotations(profile, name, folder)}: its generated annotations")
    if yolo:
        lines.append(write_yolo_set(profile, name, folder / "yolo"))
    if champion:
        lines.append(_promote(profile, name))
    return "\n".join(lines)


def best(profile: Profile) -> str:
    """Return the row with the highest AP on val; raises DataError if none is evaluated here."""
    rows = profile.params.rows()
    aps = {row: metrics["ap"] for row in rows if (metrics := current_metrics(profile, row))}
    if not aps:
        measured = [row for row in rows if profile.metrics(row).is_file()]
        absent = [path for row in measured if not (path := profile.weights(row)).is_file()]
        if absent:
            pipeline = Path(profile.params.params_file).with_name("dvc.yaml")
            advice = f"run `dvc pull {pipeline}` or `dvc repro {pipeline}`"
            raise DataError(f"{absent[0]}: no such file, only its metrics are here; {advice}")
        command = f"datastill evaluate ROW{profile.option}"
        raise DataError(f"{profile.results}: no row is evaluated; run `{command}` first")
    return max(aps, key=lambda row: aps[row])


def write_model(profile: Profile, row: str, folder: Path) -> Path:
    """Write card and weights to `folder`, which is a model's once they are those of its card.

    Raises DataError if files of these names are there already, unless an export wrote them.
    """
    others = [name for name in (CARD, WEIGHTS, ANNOTATIONS) if (folder / name).exists()]
    if others and not _is_export(folder):
        reason = f"{others[0]} is there, and no export wrote it; export to another folder"
        raise DataError(f"{folder}: {reason}")
    card = model_card(profile, row)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / export_onnx.FILE).unlink(missing_ok=True)
    write_text(folder / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    with atomic(folder / WEIGHTS) as partial:
        shutil.copyfile(profile.weights(row), partial)
    return folder


def _is_export(folder: Path) -> bool:
    with suppress(DataError):
        return bool(read_model_card(folder / CARD))
    return False


def model_card(profile: Profile, row: str) -> dict[str, Any]:
    """Return the model's settings for prediction, its metrics and its lineage."""
    profile.params.row(row)
    _, card = load_detector(profile.weights(row))
    categories = card_categories(profile.weights(row), card)
    skeleton = card_metadata(categories, bool(card["keypoints"])).skeleton
    metrics = current_metrics(profile, row)
    return {
        "format": FORMAT,
        "name": row,
        "profile": profile.params.profile,
        "task": profile.params.task,
        "backbone": card["backbone"],
        "categories": categories,
        "keypoints": skeleton.names,
        "swap": skeleton.flip_indices,
        "oks": skeleton.oks(),
        "views": asdict(profile.params.views.settings()),
        "thresholds": match_thresholds(profile, row),
        "measured": {k: v for k, v in metrics.items() if k.startswith("ap") or k in _MEASURED},
        "lineage": _lineage(profile, row),
    }


def _lineage(profile: Profile, row: str) -> dict[str, Any]:
    spec, trained = profile.params.row(row), read_facts(profile.model(row) / "card.json")
    sets = {spec.labelled, "val"}
    lineage = {
        "weights": digest(profile.weights(row)),
        "datastill": version("datastill"),
        **{key: trained.get(key) for key in ("code", "fingerprint", "attempt", "iterations")},
        "seed": spec.seed,
        "initial": trained.get("initial"),
    }
    if isinstance(spec, DistilledRow):
        sets |= {spec.unlabelled}
        provenance = read_facts(profile.annotation_card(row)).get("provenance", {})
        lineage |= {
            "teacher": spec.teacher,
            "teacher_weights": provenance.get("teacher_weights"),
            "annotations": trained.get("inputs", {}).get("generated"),
        }
    paths = ((name, profile.image_set(name)) for name in sorted(sets))
    return lineage | {"image_sets": {name: digest(path) for name, path in paths if path.is_file()}}


def write_annotations(profile: Profile, row: str, folder: Path) -> Path:
    """Write the annotations generated for `row` in the form that annotation tools read."""
    generated, spec = read_coco(profile.annotations(row)), profile.params.row(row)
    teacher = spec.teacher if isinstance(spec, DistilledRow) else ""
    info = {
        "description": f"annotations generated by datastill's teacher {teacher} for row {row}",
        "version": version("datastill"),
        "contributor": f"datastill/{profile.params.profile}",
        "images": f"file names are relative to {profile.images.as_posix()}",
        "sha256": digest(profile.annotations(row)),
    }
    categories = [{"supercategory": each["name"], **each} for each in generated.categories]
    content = {"info": info, "licenses": [], **vars(generated), "categories": categories}
    write_text(folder / ANNOTATIONS, json.dumps(content, separators=(",", ":")))
    return folder / ANNOTATIONS


def _prepare_yolo(profile: Profile, row: str, folder: Path) -> None:
    """Restore the images annotated for `row`; raises DataError if `write_yolo_set` would."""
    spec = profile.params.row(row)
    if not isinstance(spec, DistilledRow) or not profile.annotations(row).is_file():
        raise DataError(f"{row}: expected generated annotations for --yolo, found none")
    restore(profile, [spec.unlabelled])
    check_writable(folder, read_coco(profile.annotations(row)), profile.images)


def write_yolo_set(profile: Profile, row: str, folder: Path) -> str:
    """Write the annotations generated for `row` as a YOLO data set; return a text on it."""
    crowds = write_yolo(folder, read_coco(profile.annotations(row)), profile.images)
    left_out = f"; {crowds:,} crowds are left out: YOLO has none" if crowds else ""
    return f"{folder / 'data.yaml'}: the same as a YOLO data set, with links to images{left_out}"


def _promote(profile: Profile, row: str) -> str:
    """Register the model of `row` as the profile's champion; return how to serve it."""
    metrics = current_metrics(profile, row)
    if not metrics:
        command = f"datastill evaluate {row}{profile.option}"
        raise DataError(f"{row}: its AP is not known; run `{command}` first")
    name = registered_name(profile)
    with TemporaryDirectory() as folder:
        model = write_model(profile, row, Path(folder) / "model")
        number = promote(profile, row, metrics["ap"], model)
    higher = metrics["ap"] < current_metrics(profile, better := best(profile))["ap"]
    advice = f"; {better} has a higher AP" if higher else ""
    return (
        f"models:/{name}@champion is version {number}: {row}, AP {metrics['ap']}{advice}\n"
        f"MLFLOW_TRACKING_URI={without_password(profile.params.tracking.uri)} mlflow models serve "
        f"-m models:/{name}@champion --env-manager local -h 127.0.0.1 -p 5001"
    )
