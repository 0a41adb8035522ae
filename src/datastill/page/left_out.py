"""Images that a run left out, and near-duplicates of val."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from datastill.coco.image_header import DEFAULT_LIMIT, image_size
from datastill.errors import DataError
from datastill.images.load import image_path
from datastill.page.blocks import Entry, Gallery, Group, Picture, Section, Table, Text
from datastill.page.finished_run import FinishedRun
from datastill.page.pictures import thumbnail

_SHOWN, _LISTED = 6, 50  # pictures, lines of a table
_TWIN = re.compile(r"shows the same as (.+) \(\d+ bits of its hash differ\)", re.DOTALL)


def left_out_section(run: FinishedRun) -> Section:
    """Return the refused images, and those that look like val's, with what they resemble."""
    refused = _read(run.files.manifest.with_name("refused.csv"))
    unread = [
        (row, each["file_name"], each["reason"])
        for row in run.specs
        for each in run.annotation_card(row).get("images_refused", [])
    ]
    allowed = _read(run.files.allowed)
    blocks: list[Any] = [
        Text(
            f"{refused['file_name'].nunique():,} images were left out of the sets, "
            f"{len({name for _, name, _ in unread}):,} could not be read when they were annotated; "
            f"{allowed['file_name'].nunique():,} look like an image of val and stay."
        )
    ]
    if unread:
        lines = pd.DataFrame(unread, columns=["set", "file_name", "reason"])
        refused = pd.concat([refused, lines], ignore_index=True)
    for title, table in (("Left out", refused), ("Like val, and kept", allowed)):
        if len(table):
            blocks.append(Group(f"{title}: {len(table):,}", [*_listing(run, table)]))
    intro = "Files that were refused with the reason, and near-duplicates by perceptual hash."
    return Section("left-out", "Left out and near-duplicates", intro, blocks)


def _read(path: Path) -> pd.DataFrame:
    columns = ["set", "file_name", "reason"]
    return (
        pd.read_csv(path, dtype=str).fillna("") if path.is_file() else pd.DataFrame(columns=columns)
    )


def _listing(run: FinishedRun, table: pd.DataFrame) -> Iterator[Any]:
    first = table.drop_duplicates("file_name").head(_SHOWN)
    entries = []
    for line in first.to_dict("records"):
        twin = _TWIN.search(line["reason"])
        pictures = [Picture(_picture(run, line["file_name"]), "image")]
        pictures += [Picture(_picture(run, twin[1]), "looks like")] if twin else []
        reason = f"like {twin[1].rpartition('/')[2]}" if twin else line["reason"]
        entries.append(Entry(pictures, reason, line["file_name"]))
    if any(picture.uri for entry in entries for picture in entry.pictures):
        yield Gallery("", "", entries)
    rows = table[["set", "file_name", "reason"]].head(_LISTED).to_numpy().tolist()
    title = f"The first {len(rows)} as a list"
    yield Group(title, [Table(["set", "image", "reason"], rows, numbers=3)], open=False)


def _picture(run: FinishedRun, file_name: str) -> str | None:
    try:
        width, height = size = image_size(image_path(run.files.images, file_name))
        DEFAULT_LIMIT.check(size)
    except (DataError, OSError, ValueError):
        return None
    record = {"file_name": file_name, "width": width, "height": height}
    return thumbnail(run.files.images, record, [], run.metadata)
