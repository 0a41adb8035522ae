"""Differences between each labelled and unlabelled set, with examples from both ends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from datastill.coco.format import Record
from datastill.distill.drift import LARGE
from datastill.evaluation.image_pairs import Numbers
from datastill.images.manifest import read_column
from datastill.page.blocks import Chart, Entry, Gallery, Group, Picture, Section, Table, Text
from datastill.page.finished_run import SETTINGS, FinishedRun, Setting
from datastill.page.pictures import thumbnail
from datastill.page.svg_charts import ROLES, histogram

_SHOWN = 6  # images at each end
_MEASURES = {
    "size": "size, binary logarithm of the side in pixels",
    "aspect": "aspect, binary logarithm of width over height",
    "brightness": "brightness, 0 to 255",
}


def drift_section(run: FinishedRun) -> Section:
    """Return how the unlabelled images differ from the labelled ones, a group per setting."""
    brightness = {n: float(v) for n, v in read_column(run.files.manifest, "brightness").items()}
    groups = [
        Group(setting.title, [*_blocks(run, setting, brightness)], open=number == 0)
        for number, setting in enumerate(run.settings[:SETTINGS])
    ]
    intro = (
        "How the unlabelled images differ from the labelled ones. Thresholds that match the "
        "labelled set's density assume that both show as many objects per image."
    )
    return Section("drift", "Labelled and unlabelled", intro, groups)


def _blocks(run: FinishedRun, setting: Setting, brightness: Mapping[str, float]) -> Iterator[Any]:
    card = run.annotation_card(setting.student).get("drift")
    if not card:
        yield Text("Not measured: the set has no generated annotations.", tone="note")
        return
    rows = [
        [
            _MEASURES[name], f"{card['labelled'][name]:.2f}", f"{card['unlabelled'][name]:.2f}",
            f"{shift:+.2f}" + (", large" if abs(shift) >= LARGE else ""),
        ]
        for name, shift in card["shift"].items()
    ]  # fmt: skip
    caption = f"Means, and the shift in the labelled set's standard deviations; {LARGE} is large."
    yield Table(["", "labelled", "unlabelled", "shift"], rows, caption)
    counts = [card[each]["images_by_instances"] for each in ("labelled", "unlabelled")]
    shares = [[f"{100 * n / max(1, sum(each)):.0f} %" for n in each] for each in counts]
    names = [*map(str, range(len(counts[0]) - 1)), f"{len(counts[0]) - 1} +"]
    lines = [["labelled", *shares[0]], ["unlabelled, generated", *shares[1]]]
    yield Table(["images with so many objects", *names], lines)
    labelled, (unlabelled, _) = (
        run.sample(setting.labelled)[0].images,
        run.sample(setting.unlabelled),
    )
    values = {
        name: np.array([brightness.get(image["file_name"], np.nan) for image in images])
        for name, images in (("labelled", labelled), ("unlabelled", unlabelled.images))
    }
    ends = np.concatenate([*values.values()])
    edges = np.linspace(np.nanmin(ends) - 1, np.nanmax(ends) + 1, 18)
    colours = {"labelled": ROLES["control"], "unlabelled": ROLES["student"]}
    series = {name: (colours[name], _percent(each, edges)) for name, each in values.items()}
    title = f"Brightness, {setting.title}"
    yield Chart(histogram(title, series, edges.tolist(), "mean brightness of an image"),
                "Share of the images by brightness, of a sample where a set is large.")  # fmt: skip
    yield from _ends(run, _distances(labelled, unlabelled.images, brightness), unlabelled.images)
    for warning in card["warnings"]:
        yield Text(f"Warning: {warning}.")


def _percent(values: Numbers, edges: Numbers) -> list[float]:
    shares: list[float] = (100 * np.histogram(values, edges)[0] / max(1, len(values))).tolist()
    return shares


def _distances(
    labelled: Sequence[Record], unlabelled: Sequence[Record], brightness: Mapping[str, float]
) -> Numbers:
    """Return how far each unlabelled image is from the mean labelled one, in sd."""

    def measures(images: Sequence[Record]) -> Numbers:
        return np.array(
            [
                (
                    np.log2(image["width"] * image["height"]) / 2,
                    np.log2(image["width"] / image["height"]),
                    brightness.get(image["file_name"], np.nan),
                )
                for image in images
            ]
        )

    known, others = measures(labelled), measures(unlabelled)
    scale = np.maximum(np.nanstd(known, axis=0), (0.05, 0.05, 1.0))
    distance = np.sqrt(np.square((others - np.nanmean(known, axis=0)) / scale).sum(axis=1))
    return np.nan_to_num(distance)


def _ends(run: FinishedRun, distances: Numbers, images: Sequence[Record]) -> Iterator[Gallery]:
    order = np.argsort(-distances, kind="stable")
    for title, chosen in (("Most unlike", order[:_SHOWN]), ("Most like", order[::-1][:_SHOWN])):
        entries = [
            Entry(
                [Picture(thumbnail(run.files.images, images[i], [], run.metadata))],
                f"{distances[i]:.1f}",
                images[i]["file_name"],
            )
            for i in chosen.tolist()
        ]
        caption = "Distance from the mean labelled image in size, aspect and brightness, in sd."
        yield Gallery(f"{title} the labelled images", caption, entries)
