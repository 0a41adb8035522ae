"""What `datastill new` found, in words: sets, categories, sizes, keypoints, refusals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from datastill.coco.format import Coco
from datastill.coco.skeleton import build_skeleton
from datastill.commands.own_data.inspect import Survey

_NAMED = 12  # categories


def describe(found: Survey) -> Iterator[str]:
    """Yield a line per set and per thing to know about it."""
    yield f"task: {found.task}"
    for name in ("labelled", "unlabelled", "val"):
        yield f"{name}: {_contents(found, name)}"
        if sizes := _sizes(found.sets[name]):
            yield f"{name}: {sizes}"
        yield from _refused(found, name)
    yield f"labelled: {_instances(found.sets['labelled'], found.task)}"
    if found.task == "keypoints":
        yield f"labelled: {_mirrored(found.sets['labelled'])}"
    yield from found.notes


def _contents(found: Survey, name: str) -> str:
    coco = found.sets[name]
    if name == "unlabelled" and found.videos:
        return f"{found.videos:,} videos"
    story = f"{len(coco.images):,} images"
    if name != "unlabelled":
        story += f", {len(coco.annotations):,} annotations"
    elif coco.annotations:
        story += f", {len(coco.annotations):,} annotations that only the upper bound learns from"
    return f"{story}, a part of the labels' file" if name in found.spans else story


def _sizes(coco: Coco) -> str:
    if not coco.images:
        return ""
    sides = np.array([sorted((i["width"], i["height"])) for i in coco.images])
    (low, lower), (high, higher) = sides.min(axis=0), sides.max(axis=0)
    short, long = np.median(sides, axis=0)
    return (
        f"short side {low} to {high} pixels, median {short:g}; long side {lower} to {higher}, "
        f"median {long:g}"
    )


def _instances(coco: Coco, task: str) -> str:
    counts = Counter(a["category_id"] for a in coco.annotations)
    named = {category["id"]: category["name"] for category in coco.categories}
    shown = ", ".join(f"{named[i]} {count:,}" for i, count in counts.most_common(_NAMED))
    rest = f" and {len(counts) - _NAMED} more categories" if len(counts) > _NAMED else ""
    without = [name for number, name in named.items() if number not in counts]
    story = f"instances: {shown}{rest}"
    if without:
        story += f"; none of {', '.join(without[:_NAMED])}{' ...' if len(without) > _NAMED else ''}"
    if task == "keypoints":
        marked = [a["num_keypoints"] for a in coco.annotations if not a["iscrowd"]]
        points = len(coco.keypoint_names())
        story += f"; {np.mean(marked):.1f} of {points} keypoints marked on each"
    return story


def _mirrored(coco: Coco) -> str:
    """Return which keypoints change places in a mirror: wrong pairs teach left to be right."""
    skeleton = build_skeleton(coco.categories)
    pairs = [(i, j) for i, j in enumerate(skeleton.flip_indices) if i < j]
    if not pairs:
        return (
            "no keypoints change places in a mirror; where some should, give the category its "
            '"flip_pairs": [["left", "right"], ...]'
        )
    one, other = (skeleton.names[i] for i in pairs[0])
    return f"{len(pairs)} pairs of keypoints change places in a mirror, such as {one} and {other}"


def _refused(found: Survey, name: str) -> Iterator[str]:
    if refused := found.refused.get(name):
        first = f"{refused[0].file_name}: {refused[0].reason}"
        yield f"{name}: {len(refused):,} images would be refused, such as {first}"
