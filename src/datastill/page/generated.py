"""Generated annotations of each setting: scores, other thresholds, quality and galleries."""

from collections.abc import Iterator, Mapping
from typing import Any

from datastill.page.blocks import Chart, Section, Table, Text, fraction
from datastill.page.evidence_reader import BINS, score_counts
from datastill.page.finished_run import SAMPLED, FinishedRun, Setting, setting_groups
from datastill.page.galleries import galleries
from datastill.page.svg_charts import ROLES, histogram

_EXPECTED = (
    "Expected values are estimated on images of val, from which no model has learned; true ones "
    "compare with the labels of the unlabelled set, where these are known."
)


def generated_section(run: FinishedRun) -> Section:
    """Return what the teacher wrote on the unlabelled images, a group per setting."""
    groups = setting_groups(run, lambda setting: _blocks(run, setting))
    intro = (
        "What the teacher wrote on the unlabelled images. Numbers count all of them; pictures are "
        f"from a fixed sample of at most {SAMPLED:,} images of each set."
    )
    return Section("generated", "Generated annotations", intro, groups)


def _blocks(run: FinishedRun, setting: Setting) -> Iterator[Any]:
    card, evidence = run.annotation_card(setting.student), run.files.evidence(setting.student)
    if not card:
        yield Text(f"Row {setting.student} has no annotations yet.", tone="note")
        return
    yield Text(
        f"{setting.teacher} annotated {card['images']:,} images with {card['instances']:,} "
        f"objects for {setting.student}; {card['images_without_annotations']:,} images got none."
    )
    readable = card["images"] + card["images_without_annotations"]
    if card["rules"].get("images_without") == "keep":
        readable = card["images"]
    if evidence.is_file():
        counts = score_counts(evidence) / max(1, readable)
        threshold = card["thresholds"]["instance"]["value"]
        line = threshold if run.metadata.sigmas else None
        series = {"candidates": (ROLES["student"], counts.tolist())}
        title = f"Scores of candidates, {setting.title}"
        yield Chart(
            histogram(title, series, BINS.tolist(), ("score", "per image"), line),
            "All candidates of the teacher by score"
            + ("; those right of the line became annotations." if line is not None else "."),
        )
    yield _quality(card)
    yield Text(_EXPECTED, tone="note")
    yield _sensitivity(card)
    for warning in card["warnings"]:
        yield Text(f"Warning: {warning}.")
    if evidence.is_file():
        yield from galleries(run, setting)


def _quality(card: Mapping[str, Any]) -> Table:
    expected, true = card.get("expected") or {}, card.get("quality") or {}
    rows = []
    for name in ("precision", "recall"):
        estimate = fraction(expected.get(name))
        if ends := expected.get(f"{name}_interval"):
            estimate += f" [{ends[0]:.2f}, {ends[1]:.2f}]"
        rows.append([name, estimate, *(fraction(true.get(f"{name}{at}")) for at in (50, 75))])
    headings = ["", "expected at 0.5 [95 %]", "true at 0.5", "true at 0.75"]
    return Table(headings, rows, "Quality of the annotations.")


def _sensitivity(card: Mapping[str, Any]) -> Table:
    lines = card["sensitivity"]
    key = "threshold" if "threshold" in lines[0] else "share"
    rows = [
        [
            fraction(line[key], 4 if key == "threshold" else 2),
            fraction(line["instances_per_image"]),
            fraction(line["precision50"]),
            fraction(line["recall50"]),
        ]
        for line in lines
    ]
    used = card["thresholds"]["instance"]["value"] if key == "threshold" else 1
    start = min(range(len(lines)), key=lambda i: abs(lines[i][key] - used))
    names = {"threshold": "score threshold", "share": "share of the wanted boxes"}
    headings = [names[key], "objects per image", "true precision", "true recall"]
    caption = "Annotations at other thresholds; the marked row is the one in use."
    return Table(headings, rows, caption, numbers=0, slider=names[key], start=start)
