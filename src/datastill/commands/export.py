"""Command `export`: a row's model and generated annotations, for use outside the project."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datastill.coco.format import digest, read_coco, write_text
from datastill.coco.metadata import subject_of
from datastill.errors import DataError
from datastill.inference.predictor import CARD, FORMAT, WEIGHTS, categories_found
from datastill.model.checkpoint import load_detector
from datastill.project import DistilledRow
from datastill.project.profile import Place, read_facts
from datastill.tracking import Champion, crown
from datastill.tracking.row_record import record, store

ANNOTATIONS = "annotations.json"
BEST = "best"


def run(place: Place, row: str, to: Path | None, champion: bool) -> str:
    """Write what is known of `row` to a folder; return what is there now.

    `best` is the row with the highest AP on val. Raises DatastillError where the row is not
    trained, or not evaluated and yet to be the champion, or MLflow refuses it.
    """
    name = best(place) if row == BEST and row not in place.params.rows() else row
    folder = to or place.export(name)
    lines = [f"{write_model(place, name, folder)}: the model, for `datastill predict {folder}`"]
    if place.annotations(name).is_file():
        lines.append(f"{write_annotations(place, name, folder)}: its generated annotations")
    if champion:
        lines.append(_crown(place, name))
    return "\n".join(lines)


def best(place: Place) -> str:
    """Return the row with the highest AP on val; raises DataError where none is evaluated."""
    measured = {row: _measured(place, row) for row in place.params.rows()}
    aps = {row: metrics["ap"] for row, metrics in measured.items() if metrics}
    if not aps:
        command = f"datastill evaluate ROW{place.option}"
        raise DataError(f"{place.results}: no row is evaluated; run `{command}` first")
    return max(aps, key=lambda row: aps[row])


def write_model(place: Place, row: str, folder: Path) -> Path:
    """Write weights and card to `folder`; the card comes last, and makes it a model.

    Raises DataError where that is the folder of a training, which has a card of its own.
    """
    if folder.resolve().parent == place.model(row).resolve().parent:
        raise DataError(f"{folder}: expected another folder than that of a training")
    card = model_card(place, row)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    shutil.copyfile(place.weights(row), folder / WEIGHTS)
    write_text(folder / CARD, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return folder


def model_card(place: Place, row: str) -> dict[str, Any]:
    """Return all that using a model takes, how good it is, and what it came from."""
    place.params.row(row)
    _, inside = load_detector(place.weights(row))
    categories = categories_found(place.weights(row), inside)
    skeleton = subject_of(categories, bool(inside["keypoints"])).skeleton
    measured = _measured(place, row)
    return {
        "format": FORMAT,
        "name": row,
        "profile": place.params.profile,
        "task": place.params.task,
        "backbone": inside["backbone"],
        "categories": categories,
        "keypoints": skeleton.names,
        "swap": skeleton.swap,
        "oks": skeleton.oks(),
        "views": place.params.views.model_dump(),
        "measured": {
            key: measured[key]
            for key in measured
            if key.startswith("ap") or key in ("interval", "images", "instances", "with_views")
        },
        "lineage": _lineage(place, row),
    }


def _measured(place: Place, row: str) -> dict[str, Any]:
    """Return what was measured of these very weights, {} where they were not."""
    metrics = read_facts(place.metrics(row))
    weights = place.weights(row)
    known = metrics.get("provenance", {}).get("weights")
    return metrics if weights.is_file() and known == digest(weights) else {}


def _lineage(place: Place, row: str) -> dict[str, Any]:
    spec, trained = place.params.row(row), read_facts(place.model(row) / "card.json")
    sets = {spec.labelled, "val"}
    lineage = {
        "weights": digest(place.weights(row)),
        "datastill": version("datastill"),
        **{key: trained.get(key) for key in ("code", "fingerprint", "attempt", "iterations")},
        "seed": spec.seed,
        "initial": trained.get("initial"),
    }
    if isinstance(spec, DistilledRow):
        sets |= {spec.unlabelled}
        evidence = read_facts(place.annotation_card(row)).get("provenance", {})
        lineage |= {
            "teacher": spec.teacher,
            "teacher_weights": evidence.get("teacher_weights"),
            "annotations": trained.get("inputs", {}).get("generated"),
        }
    paths = {name: place.image_set(name) for name in sorted(sets)}
    digests = {name: digest(path) for name, path in paths.items() if path.is_file()}
    return lineage | {"image_sets": digests}


def write_annotations(place: Place, row: str, folder: Path) -> Path:
    """Write the annotations generated for `row` as annotation tools read them."""
    generated = read_coco(place.annotations(row))
    spec = place.params.row(row)
    teacher = spec.teacher if isinstance(spec, DistilledRow) else ""
    info = {
        "description": f"annotations generated by datastill's teacher {teacher} for row {row}",
        "version": version("datastill"),
        "contributor": f"datastill/{place.params.profile}",
        "images": f"file names are relative to {place.images.as_posix()}",
        "sha256": digest(place.annotations(row)),
    }
    categories = [{"supercategory": each["name"], **each} for each in generated.categories]
    content = {"info": info, "licenses": [], **vars(generated), "categories": categories}
    write_text(folder / ANNOTATIONS, json.dumps(content, separators=(",", ":")))
    return folder / ANNOTATIONS


def _crown(place: Place, row: str) -> str:
    """Register the model of `row` as the profile's champion; return what to do with it."""
    measured = _measured(place, row)
    if not measured:
        command = f"datastill evaluate {row}{place.option}"
        raise DataError(f"{row}: its AP is not known; run `{command}` first")
    name = f"datastill-{place.params.profile}"
    with TemporaryDirectory() as folder:
        model = write_model(place, row, Path(folder) / "model")
        champion = Champion(name, digest(place.weights(row)), measured["ap"], model)
        number = crown(store(place), record(place, row), champion)
    better = best(place)
    advice = (
        f"; {better} has a higher AP" if measured["ap"] < _measured(place, better)["ap"] else ""
    )
    return (
        f"models:/{name}@champion is version {number}: {row}, AP {measured['ap']}{advice}\n"
        f"MLFLOW_TRACKING_URI={place.params.tracking.uri} mlflow models serve "
        f"-m models:/{name}@champion --env-manager local -h 127.0.0.1 -p 5001"
    )
