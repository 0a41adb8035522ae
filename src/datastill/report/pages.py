"""Display of each table: its columns, titles and sentences, in Markdown and as text."""

from collections.abc import Iterator, Sequence

import pandas as pd

from datastill.coco.format import Coco, Task
from datastill.coco.metadata import build_metadata
from datastill.coco.results import COCO_DETECTIONS, max_detections
from datastill.report.render import (
    Column,
    Record,
    ap_cell,
    gain_cell,
    legend,
    markdown_grid,
    number,
    several,
    several_seeds,
    shown,
    text_grid,
    word,
    wrapped,
)

TITLES = {
    "table2": "Table 2: number of iterations",
    "table3": "Table 3: multi-transform inference at test time",
    "figure5": "Figure 5: fraction of unlabelled images "
    "(batches of labelled : unlabelled = 1 : fraction)",
    "figure6": "Figure 6: quality of the teacher",
    "beyond": "Beyond the paper: one departure from the method per row",
}
XS = {"figure5": "fraction", "figure6": "teacher AP"}  # the quantity in column `x`
NOTE = (
    "Intervals (95 %) cover the sampling of val images{seeds}; gains are paired over the images"
    "{pairs}. A gain is not distinguishable from none if its p-value, corrected for all gains of "
    "the table (Holm), is 0.05 or more."
)
SEEDS_NOTE = " The standard deviation between seeds is {sd}{source}."
EQUAL = (
    " All rows of a section train for the same number of iterations, so each gain is over a "
    "control."
)
PIXELS = (
    "RMSE is the root-mean-square error of the labelled keypoints of detected objects in pixels of "
    "the original image: lower is better, so an improvement is a negative gain. PCK@0.1 is the "
    "percentage of all labelled keypoints, missed objects included, whose error is at most a tenth "
    "of the diagonal of the object's box. Gains in RMSE are paired as those in AP are, and "
    "corrected separately from them."
)
PIXELS_OF_IMAGES = " Intervals and verdicts of RMSE do not cover the variation between seeds."
SIGMAS = {  # by their source
    "coco": "AP is by OKS with COCO's sigmas.",
    "given": "AP is by OKS with the sigmas that the data give.",
    "constant": "AP is by OKS with sigma {0:.3f}, the median of COCO's, for every keypoint: those "
    "of these keypoints are unknown, so AP may be high despite visible errors and is not "
    "comparable with that of other data.",
}
CONTROL = " Control: the same labels and number of iterations, without generated annotations."


def training(line: Record) -> str:
    """Return the role of a line, and the round of a student's student."""
    return f"{line['role']}, round {line['round']}" if line.get("round", 1) > 1 else line["role"]


def _thousands(line: Record) -> str:
    iterations = line["iterations"]
    return f"{iterations // 1000}k" if iterations % 1000 == 0 else str(iterations)


def _paper(line: Record) -> str:
    gain = number("paper_gain", "+z.1f")(line)
    return number("paper_ap")(line) + (gain and f" ({gain})")


def _without_paper(table: pd.DataFrame) -> bool:
    return bool(table["paper_ap"].isna().all())


TRAINING = Column("training", training)
SEEDS = Column("seeds", word("seeds"), right=True)
AP = Column("AP [95 %]", ap_cell)
GAIN = Column("gain [95 %]", gain_cell("gain"))
OVER_CONTROL = Column("over control", gain_cell("control_gain"))
RMSE_GAINS = (
    Column("RMSE gain [95 %]", gain_cell("rmse_gain")),
    Column("RMSE over control", gain_cell("rmse_control_gain")),
)
SIZES = {"AP50": "ap50", "AP75": "ap75", "APS": "ap_small", "APM": "ap_medium", "APL": "ap_large"}

PAGE = (
    TRAINING,
    Column("labelled", word("labelled")),
    Column("unlabelled", word("unlabelled")),
    Column("backbone", word("backbone"), applies=several("backbone")),
    Column("iterations", number("iterations", ","), right=True),
    SEEDS,
    Column("AP [95 %]", ap_cell, applies=lambda table: not several_seeds(table)),
    Column("AP [95 %] ± sd of seeds", ap_cell, applies=several_seeds),
    *(Column(heading, number(name), right=True) for heading, name in SIZES.items()),
    GAIN,
    OVER_CONTROL,
    Column("RMSE", number("rmse"), right=True),
    Column("PCK@0.1", number("pck10"), right=True),
    *RMSE_GAINS,
    Column("paper AP", number("paper_ap"), right=True),
    Column("paper gain", number("paper_gain", "+z.1f"), right=True),
)
TERMINAL = (
    TRAINING, Column("iter.", _thousands), SEEDS, AP, GAIN, OVER_CONTROL,
    Column("RMSE", number("rmse"), applies=_without_paper), Column("paper (gain)", _paper),
)  # fmt: skip


def _of_views(table: pd.DataFrame) -> bool:
    return "table3" in set(table["table"])


ABLATION_PAGE = (
    Column("row", word("row")),
    Column("ablation", word("ablation")),
    Column("iterations", number("iterations", ",")),
    Column("test views", word("test_views"), applies=several("test_views")),
    Column(XS["figure5"], number("x", "g"), applies=lambda table: "figure5" in set(table["table"])),
    Column(XS["figure6"], number("x"), applies=lambda table: "figure6" in set(table["table"])),
    Column("seeds", word("seeds"), applies=several_seeds),
    AP,
    Column("AP50", number("ap50")),
    Column("AP75", number("ap75")),
    Column("gain over", word("over")),
    GAIN,
    Column("over control [95 %]", gain_cell("control_gain"), applies=lambda t: not _of_views(t)),
    Column("gain minus teacher's gain [95 %]", gain_cell("control_gain"), applies=_of_views),
    Column("paper AP", number("paper_ap")),
    Column("paper gain", number("paper_gain", "+z.1f")),
)
ABLATION_TERMINAL = [column for column in ABLATION_PAGE if column.heading not in ("AP50", "AP75")]


def to_markdown(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """Return a table for a page: its titles, columns with values, and sentences, `notes` last."""
    parts = _ablation_parts if "row" in table else _comparison_parts
    return "\n\n".join([*parts(table), *notes]) + "\n"


def describe_ap(val: Coco, task: Task) -> list[str]:
    """Return sentences on what AP on `val` is by: the sigmas of OKS, and how many detections an
    image may have, if more than COCO's.
    """
    skeleton, most = build_metadata(val, task).skeleton, max_detections(val, task)
    notes = [SIGMAS[skeleton.sigmas_from].format(*skeleton.sigmas)] if skeleton.sigmas else []
    if most > (usual := COCO_DETECTIONS[task]):
        notes.append(
            f"AP counts up to {most} detections per image and category (twice the objects in the "
            f"fullest image) instead of COCO's {usual}."
        )
    return notes


def to_text(table: pd.DataFrame, notes: Sequence[str] = ()) -> str:
    """Return the table for a terminal; a gain followed by ~ is not distinguishable from none."""
    below = [*legend(table), *wrapped(notes)]
    if "row" in table:
        ours = table[table["role"] != "paper"]
        grid = text_grid(shown(ABLATION_TERMINAL, ours), ours)
        return "\n".join([TITLES[table["table"].iloc[0]], *grid, *below]) + "\n"
    several_backbones = several("backbone")(table)
    sections = table.groupby("table", sort=False)
    parts = ["\n".join(_lines(section, several_backbones)) for _, section in sections]
    return "\n\n".join([*parts, "\n".join(below)]).rstrip() + "\n"


def _lines(section: pd.DataFrame, several_backbones: bool) -> Iterator[str]:
    yield from wrapped([title(section)])
    for backbone, part in section.groupby("backbone", sort=False):
        yield from [str(backbone)] if several_backbones else []
        yield from text_grid(shown(TERMINAL, part), part)
    yield from wrapped(gaps(section))


def title(section: pd.DataFrame) -> str:
    """Return what a section compares, such as "1a: co-35 labelled, co-80 unlabelled"."""
    line = section[section["role"] == "distilled"].iloc[0]
    kinds = ("labelled", "unlabelled")  # also the names of the sets of `datastill new`
    sets = (f"{line[kind]} {'images' if line[kind] == kind else kind}" for kind in kinds)
    return f"{line['table']}: {', '.join(sets)}"


def gaps(section: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence per distilled line on the share of the gap that it closes."""
    students = (section["role"] == "distilled").sum()
    for line in section[section["gap_closed"].notna()].to_dict("records"):
        upper = section[section["role"] == "upper bound"]["labelled"].iloc[0]
        which = f" ({line['backbone']}, {line['iterations']:,} iterations)" if students > 1 else ""
        low, high = (number(f"gap_closed_{end}", ".0f")(line) for end in ("low", "high"))
        yield (
            f"Distillation{which} reaches {line['gap_closed']:.0f} % [{low}, {high}] of the gain "
            f"from the true labels of {line['unlabelled']} (upper bound: {upper})."
        )


def _comparison_parts(table: pd.DataFrame) -> Iterator[str]:
    page = shown(PAGE, table)
    for _, section in table.groupby("table", sort=False):
        yield from (f"**{title(section)}**", markdown_grid(page, section), *gaps(section))
    lengths = table.groupby("table")["iterations"].nunique()
    yield note(table) + (EQUAL if (lengths == 1).all() else "")
    yield from pixels_note(table)


def pixels_note(table: pd.DataFrame) -> Iterator[str]:
    """Yield what RMSE and PCK mean, if the table has them."""
    if "rmse" in table and table["rmse"].notna().any():
        borrowed = table["seed_sd"].notna().all() and not several_seeds(table)
        yield PIXELS + (PIXELS_OF_IMAGES if borrowed else "")


def _ablation_parts(table: pd.DataFrame) -> Iterator[str]:
    name, ours = table["table"].iloc[0], table[table["role"] != "paper"]
    points = table[table["role"] == "paper"]
    yield f"**{TITLES[name]}**"
    if name in XS:
        yield f"![{TITLES[name]}]({name}.png)"
    yield markdown_grid(shown(ABLATION_PAGE, ours), ours)
    if len(points):
        pairs = zip(points["x"], points["paper_ap"], strict=True)
        listed = ", ".join(f"{x:g}: {ap:.1f}" for x, ap in pairs)
        yield f"The paper's AP by {XS[name]}: {listed}."
    controlled = table["control"].notna().any() and not _of_views(table)
    yield note(ours) + (CONTROL if controlled else "")


def note(table: pd.DataFrame) -> str:
    """Return how to read the intervals and verdicts, and the variation between seeds."""
    first = table.iloc[0]
    if pd.isna(first["seed_sd"]):
        return NOTE.format(seeds="", pairs="") + " They do not cover the variation between seeds."
    source = "" if several_seeds(table) else ", borrowed from a profile with several seeds"
    known = {"AP": first["seed_sd"], "a gain": first["seed_gain_sd"]}
    known = {name: sd for name, sd in known.items() if not pd.isna(sd)}
    pairs = " and the seeds" if "a gain" in known else ""
    sds = " and ".join(f"{sd:.1f} for {name}" for name, sd in known.items())
    seeds = NOTE.format(seeds=" and of seeds", pairs=pairs)
    return seeds + SEEDS_NOTE.format(sd=sds, source=source)
