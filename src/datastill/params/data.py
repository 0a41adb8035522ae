"""Section `data` of params.yaml: the image sets and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from datastill.params.section import Natural, Positive, Section


class DrawnImages(Section):
    """A set to draw: `images` is the paper's number, divided by `scale`."""

    images: Positive
    style: Literal["everyday", "sport", "household"]


class Union(Section):
    """A set made of other sets."""

    union: Annotated[list[str], Field(min_length=1)]


class AnnotatedImages(Section):
    """The images that a COCO JSON lists, less those of the files `without`.

    images   folders to look in, the first that has the file
    count    how many images that makes; null where nobody knows
    All paths are relative to `data.root`.
    """

    annotations: str
    without: list[str]
    images: Annotated[list[str], Field(min_length=1)]
    count: Positive | None


class ImageFolder(Section):
    """All images of a folder, without annotations."""

    folder: str
    count: Positive | None


class Videos(Section):
    """One random frame of every video of a folder, or of a text file that lists them.

    repeats  whether frames that show the same picture as an earlier one stay
    """

    videos: str
    seed: Natural
    repeats: Literal["keep", "drop"]
    count: Positive | None


def _kind(spec: Any) -> str:
    """Return which kind of set `spec` is, by the key that only this kind has."""
    has = spec if isinstance(spec, Mapping) else getattr(spec, "model_fields_set", ())
    return next((kind for kind in ("folder", "videos", "union") if kind in has), "annotations")


FileSet = Annotated[
    Annotated[AnnotatedImages, Tag("annotations")]
    | Annotated[ImageFolder, Tag("folder")]
    | Annotated[Videos, Tag("videos")]
    | Annotated[Union, Tag("union")],
    Discriminator(_kind),
]


class DrawnData(Section):
    """Image sets that the project draws itself; `watched` is what DVC redoes them for."""

    source: Literal["drawn"]
    watched: str
    seed: int
    width: Positive
    height: Positive
    sets: dict[str, DrawnImages | Union]
    val: DrawnImages


class FileData(Section):
    """Image sets from files below `root`; `watched` is what DVC redoes them for.

    leaks  images of other sets that are also in val: refused with an error, or dropped
    """

    source: Literal["files"]
    watched: str
    root: str
    leaks: Literal["refuse", "drop"]
    sets: dict[str, FileSet]
    val: AnnotatedImages


Data = Annotated[DrawnData | FileData, Field(discriminator="source")]
