"""The summary that `datastill new` prints: sets, categories, sizes, keypoints, refused images."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from datastill.coco.format import Coco
from datastill.coco.skeleton import build_skeleton
from datastill.commands.own_data.inputs import InspectedSet
from datastill.commands.own_data.inspect import Inspection
from datastill.images.families import mark_families
from datastill.report.pages import describe_ap

_MAX_NAMES = 12  # of categories
# Half the interval of a paired gain times the square root of the images (or families) of val: 43 to
# 62 in this project's drawn tables of several seeds; near AP 100, as for the mouse, only 9.
_SPREAD = 45


def describe(inspection: Inspection) -> Iterator[str]:
    """Yield one line per fact, set by set."""
    yield f"task: {inspection.task}"
    for name in ("labelled", "unlabelled", "val"):
        inspected = inspection.sets[name]
        part = ", a part of the labels' file" if name in inspection.spans else ""
        yield f"{name}: {_contents(name, inspected)}{part}"
        if inspected.coco.images:
            yield f"{name}: {_sizes(inspected.coco)}"
        if refused := inspected.refused:
            first = f"{refused[0].file_name}: {refused[0].reason}"
            yield f"{name}: {len(refused):,} images would be refused, such as {first}"
    labelled = inspection.sets["labelled"].coco
    if inspection.task == "keypoints":
        yield f"labelled: {_instances(labelled)}; {_marked(labelled)}"
        yield f"labelled: {_mirrored(labelled)}"
    else:
        yield f"labelled: {_instances(labelled)}"
    if empty := len(labelled.images) - len({a["image_id"] for a in labelled.annotations}):
        yield (
            f"labelled: {empty:,} images without objects, which no row trains on; "
            "train.negatives: keep makes them background"
        )
    val = inspection.sets["val"]
    yield from (f"val: {note}" for note in describe_ap(val.coco, inspection.task))
    yield _least_gain(val)
    yield from inspection.notes


def _contents(name: str, inspected: InspectedSet) -> str:
    images, annotations = len(inspected.coco.images), len(inspected.coco.annotations)
    if inspected.videos:
        return f"{inspected.videos:,} videos"
    if name != "unlabelled":
        return f"{images:,} images, {annotations:,} annotations"
    use = f", {annotations:,} annotations that only the upper bound learns from"
    return f"{images:,} images{use if annotations else ''}"


def _least_gain(val: InspectedSet) -> str:
    """Say what gain the size of val can show at all."""
    images = mark_families(val.coco, val.manifest).images
    families = len({image.get("family", image["id"]) for image in images})
    least = min(100, _SPREAD / math.sqrt(families))
    kind = "images" if families == len(images) else "independent images"
    lost = f"a gain below about {least:.0f} AP cannot be distinguished from chance"
    return f"val: with {families:,} {kind}, {lost}"


def _sizes(coco: Coco) -> str:
    sides = np.array([sorted((i["width"], i["height"])) for i in coco.images])
    (low, lower), (high, higher) = sides.min(axis=0), sides.max(axis=0)
    short, long = np.median(sides, axis=0)
    long_sides = f"long side {lower} to {higher}, median {long:g}"
    return f"short side {low} to {high} pixels, median {short:g}; {long_sides}"


def _instances(coco: Coco) -> str:
    counts = Counter(a["category_id"] for a in coco.annotations)
    names = {category["id"]: category["name"] for category in coco.categories}
    shown = _list([f"{names[i]} {count:,}" for i, count in counts.most_common()])
    without = _list([name for number, name in names.items() if number not in counts])
    return f"instances: {shown}{f'; none of {without}' if without else ''}"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more categories" if len(names) > _MAX_NAMES else ""
    return ", ".join(names[:_MAX_NAMES]) + more


def _marked(coco: Coco) -> str:
    marked = np.mean([a["num_keypoints"] for a in coco.annotations if not a["iscrowd"]])
    return f"{marked:.1f} of {len(coco.keypoint_names())} keypoints marked on each"


def _mirrored(coco: Coco) -> str:
    """Describe which keypoints mirroring swaps: wrong pairs would confuse left and right."""
    skeleton = build_skeleton(coco.categories)
    pairs = [(i, j) for i, j in enumerate(skeleton.flip_indices) if i < j]
    if not pairs:
        advice = 'if some should, give the category "flip_pairs": [["left", "right"], ...]'
        return f"no keypoints change sides in a mirror image; {advice}"
    one, other = (skeleton.names[i] for i in pairs[0])
    example = f"such as {one} and {other}"
    return f"{len(pairs)} pairs of keypoints change sides in a mirror image, {example}"
