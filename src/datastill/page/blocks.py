"""Blocks of the page: what a section consists of, and the template shows."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Text:
    """A paragraph; `tone`: lead, note or none."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table of text; columns from `numbers` on are numbers. A cell may be a (text, href) pair.

    slider  name of the rows' variable, if a slider is to go through them; `start` is its row
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    numbers: int = 1
    slider: str = ""
    start: int = 0


@dataclass(frozen=True)
class Chart:
    """A chart and what it shows."""

    svg: Markup
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Picture:
    """A thumbnail, with the name of what it shows."""

    uri: str | None
    label: str = ""


@dataclass(frozen=True)
class Entry:
    """Pictures of one image side by side, a caption, and the image's file."""

    pictures: Sequence[Picture]
    caption: str
    file_name: str = ""

    @property
    def short_name(self) -> str:
        return self.file_name.rpartition("/")[2]


@dataclass(frozen=True)
class Gallery:
    """Entries under one heading; `columns` is the number of pictures of the widest entry."""

    title: str
    caption: str
    entries: Sequence[Entry]

    @property
    def columns(self) -> int:
        return max((len(entry.pictures) for entry in self.entries), default=1)


@dataclass(frozen=True)
class Download:
    """A file within the page."""

    file_name: str
    label: str
    uri: str


@dataclass(frozen=True)
class Code:
    """Text in a typewriter face."""

    text: str


@dataclass(frozen=True)
class Group:
    """Blocks under a heading; one that is not `open` shows only that until clicked."""

    title: str
    blocks: Sequence[Any]
    open: bool = True
    id: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    id: str
    title: str
    intro: str
    blocks: Sequence[Any] = field(default_factory=list)


def coco_download(file_name: str, label: str, content: Mapping[str, Any]) -> Download:
    """Return COCO JSON to save from the page."""
    text = json.dumps(content, separators=(",", ":"))
    code = base64.b64encode(text.encode()).decode()
    return Download(file_name, label, f"data:application/json;base64,{code}")


def printable(text: str) -> str:
    """Return text without line breaks and control characters, such as those of ANSI sequences."""
    return _CONTROLS.sub("", text.replace("\n", " "))


def fraction(value: float | None, decimals: int = 2) -> str:
    """Return a number for a cell, a dash for none."""
    return "-" if value is None else f"{value:.{decimals}f}"
