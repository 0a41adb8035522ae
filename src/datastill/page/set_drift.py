"""Differences between each labelled and unlabelled set, with examples from both ends."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from datastill.coco.format import Record
from datastill.distill.drift import LARGE
from datastill.evaluation.image_pairs import Numbers
from datastill.page.blocks import Chart, Entry, Gallery, Picture, Section, Table, Text
from datastill.page.finished_run import FinishedRun, Setting, setting_groups
from datastill.page.pictures import thumbnail
from datastill.page.svg_charts import ROLES, histogram

_SHOWN = 6  # images at each end
_COLOURS = {"labelled": ROLES["control"], "unlabelled": ROLES["student"]}
_MEASURES = {
    "size": "size, binary logarithm of the side in pixels",
    "aspect": "aspect, binary logarithm of width over height",
    "brightness": "brightness, 0 to 255",
}


def drift_section(run: FinishedRun) -> Section:
    """Return how the unlabelled images differ from the labelled ones, a group per setting."""
    groups = setting_groups(run, lambda setting: _blocks(run, setting))
    intro = (
        "How the unlabelled images differ from the labelled ones. Thresholds that match the "
        "labelled set's density assume that both show as many objects per image."
    )
    return Section("drift", "Labelled and unlabelled", intro, groups)


def _blocks(run: FinishedRun, setting: Setting) -> Iterator[Any]:
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
    sets = {name: run.sample(getattr(setting, name))[0].images for name in _COLOURS}
    measured = {name: _measures(run, images) for name, images in sets.items()}
    yield _brightness(setting, {name: each[:, -1] for name, each in measured.items()})
    yield from _ends(run, _distances(*measured.values()), sets["unlabelled"])
    for warning in card["warnings"]:
        yield Text(f"Warning: {warning}.")


def _brightness(setting: Setting, values: Mapping[str, Numbers]) -> Chart:
    ends = np.concatenate([*values.values()])
    edges = np.linspace(np.nanmin(ends) - 1, np.nanmax(ends) + 1, 18)
    shares = {name: 100 * np.histogram(each, edges)[0] / len(each) for name, each in values.items()}
    series = {name: (_COLOURS[name], each.tolist()) for name, each in shares.items()}
    title, labels = f"Brightness, {setting.title}", ("mean brightness of an image", "% of images")
    return Chart(
        histogram(title, series, edges.tolist(), labels),
        "Share of the images by brightness, of a sample where a set is large.",
    )


def _measures(run: FinishedRun, images: Sequence[Record]) -> Numbers:
    """Return size, aspect and brightness of each image, (n, 3)."""
    brightness = run.manifest_column("brightness", images)
    rows = [
        (
            np.log2(image["width"] * image["height"]) / 2,
            np.log2(image["width"] / image["height"]),
            float(brightness.get(image["file_name"], "nan")),
        )
        for image in images
    ]
    return np.array(rows, dtype=float).reshape(-1, len(_MEASURES))


def _distances(labelled: Numbers, unlabelled: Numbers) -> Numbers:
    """Return how far each unlabelled image is from the mean labelled one, in sd, (n,)."""
    scale = np.maximum(np.nanstd(labelled, axis=0), (0.05, 0.05, 1.0))
    apart = (unlabelled - np.nanmean(labelled, axis=0)) / scale
    return np.nan_to_num(np.sqrt(np.square(apart).sum(axis=1)))


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
        caption = "Standard deviations from the mean labelled image in size, aspect and brightness."
        yield Gallery(f"{title} the labelled images", caption, entries)
