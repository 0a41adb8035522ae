"""Kinds of errors, from teacher to student."""

from collections.abc import Iterator
from typing import Any

from datastill.evaluation.box_errors import KINDS as BOX_KINDS
from datastill.evaluation.box_errors import box_errors
from datastill.evaluation.image_pairs import NEAR
from datastill.evaluation.keypoint_errors import KINDS, keypoint_errors
from datastill.page.blocks import Chart, Group, Section, Table
from datastill.page.finished_run import FinishedRun, Setting, setting_groups
from datastill.page.side_by_side import counted_pairs
from datastill.page.svg_charts import bars, stacked

_KEYPOINTS = (
    "Each marked keypoint of val by what became of it (Ronchi & Perona, 2017). Jitter: near, but "
    "not exact. Inversion: at another keypoint of the same object, as left for right. Swap: at a "
    "keypoint of another object. Miss: at none. Undetected: the object was not found. Each "
    "model is judged by its surest detections, as many as val has objects."
)
_BOXES = (
    "What is wrong with false and missed detections (TIDE, 2020), and the AP50 that would be "
    "gained if all errors of one kind were corrected: the higher, the more it matters. The kinds "
    "do not add up, because correcting one uncovers others."
)


def error_section(run: FinishedRun) -> Section:
    """Return the error kinds of each setting's models."""
    blocks, intro = (_keypoints, _KEYPOINTS) if run.metadata.sigmas else (_boxes, _BOXES)
    groups = setting_groups(run, lambda setting: blocks(run, setting) if setting.roles else ())
    return Section("errors", "Kinds of errors", intro, groups)


def _keypoints(run: FinishedRun, setting: Setting) -> Iterator[Any]:
    sigmas = run.metadata.sigmas or ()
    pairs = {role: counted_pairs(run, row) for role, row in setting.roles.items()}
    counts = {role: keypoint_errors(each, sigmas) for role, each in pairs.items()}
    shares = {
        role: (100 * each.sum(axis=1) / max(1, each.sum())).tolist()
        for role, each in counts.items()
    }
    title = f"Kinds of keypoint errors, {setting.title}"
    yield Chart(stacked(title, shares, KINDS), "All keypoints of val, by kind.", wide=True)
    rows = []
    for role, each in pairs.items():
        partners = [image.partners(NEAR) for image in each]
        objects = sum(len(image.truths) for image in each)
        matched = sum(int((taken >= 0).sum()) for taken in partners)
        detected = sum(map(len, partners))
        counted = (objects, matched, objects - matched, detected - matched)
        rows.append([role, *(f"{number:,}" for number in counted)])
    headings = ["", "objects", "found (OKS ≥ 0.1)", "missed", "false detections"]
    yield Table(headings, rows)
    if len(counts) > 1 and "student" in counts:
        (before, old), (after, new) = [*counts.items()][-2:]
        change = [
            [name, *(_change(old, new, kind, point) for kind in range(len(KINDS)))]
            for point, name in enumerate(run.metadata.skeleton.names)
        ]
        caption = f"{after.capitalize()} minus {before}, in percentage points."
        yield Group("By keypoint", [Table(["keypoint", *KINDS], change, caption)], open=False)


def _change(before: Any, after: Any, kind: int, point: int) -> str:
    old, new = (100 * each[kind, point] / max(1, each[:, point].sum()) for each in (before, after))
    return f"{new - old:+z.1f}"


def _boxes(run: FinishedRun, setting: Setting) -> Iterator[Any]:
    errors = {role: box_errors(run.pairs(row)) for role, row in setting.roles.items()}
    costs = {role: [each[kind][1] for kind in BOX_KINDS] for role, each in errors.items()}
    title = f"AP50 lost by kind of error, {setting.title}"
    yield Chart(bars(title, BOX_KINDS, costs, "AP50 lost"), "AP50 that each kind costs.")
    rows = [[r, *(f"{each[kind][0]:,}" for kind in BOX_KINDS)] for r, each in errors.items()]
    yield Table(["errors, all scores", *BOX_KINDS], rows)
