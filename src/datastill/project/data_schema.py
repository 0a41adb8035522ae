"""Section `data` of params.yaml: the image sets and their sources."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from datastill.coco.image_header import DEFAULT_LIMIT, MOST_MEGAPIXELS
from datastill.project.section import Natural, Positive, Section, Seed, SetName


class DrawnImages(Section):
    """A set to draw: `images` is the paper's number, divided by `scale.images`."""

    images: Positive
    style: Literal["everyday", "sport", "household"]


class Redrawn(Section):
    """A set that chance chose, drawn again from another seed: drawings, a part, video frames."""

    redraws: str
    seed: Seed


class Union(Section):
    """The union of other sets."""

    union: Annotated[list[str], Field(min_length=1)]


class AnnotatedImages(Section):
    """The images that `annotations` lists, except those of the files `without`.

    annotations  COCO JSON, a DeepLabCut CSV, a folder of Pascal VOC XML or a list of `ImageSets`,
                 a YOLO data.yaml or folder of labels, a folder of LabelMe JSON
    images       folders to search; the first that has the file is used
    count        number of images, null if unknown
    All paths are relative to `data.root`.
    """

    annotations: str
    without: list[str]
    images: Annotated[list[str], Field(min_length=1)]
    count: Positive | None


class Part(Section):
    """Images `skip` to `skip + take`, or all from `skip` on, of a random order.

    Near-duplicates count as one image, so that no two parts share them.

    block  images number start to end (end excluded) in the natural order of their file names (img2
           before img10), taken before the random order; near-duplicates within it count as images
           of their own, since a recording's all look alike
    """

    seed: Seed
    skip: Natural
    take: Positive | None
    block: Annotated[list[Natural], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _block_holds_images(self) -> Self:
        if self.block and self.block[0] >= self.block[1]:
            raise ValueError(f"block: expected [start, end] with start < end, found {self.block}")
        return self


class PartOfImages(AnnotatedImages):
    """A part of the images that a COCO JSON lists, so that one file makes several sets."""

    part: Part


class ImageFolder(Section):
    """All images of a folder, except those of the sets `without`; without annotations."""

    folder: str
    without: list[str]
    count: Positive | None


class Videos(Section):
    """Random frames of every video in a folder, or in a text file that lists videos.

    per_video  frames per video, one from each of as many segments of equal length
    repeats    whether near-duplicates of earlier frames are kept
    count      number of videos
    """

    videos: str
    per_video: Positive
    seed: Seed
    repeats: Literal["keep", "drop"]
    count: Positive | None


def _kind(spec: Any) -> str:
    """Return the kind of set of `spec`, by the key that only this kind has.

    It is not a key of the file, so errors leave it out of their paths.
    """
    has = spec if isinstance(spec, Mapping) else getattr(spec, "model_fields_set", ())
    kinds = ("folder", "videos", "union", "part", "redraws", "style")
    return f"{next((kind for kind in kinds if kind in has), 'annotations')} set"


def _kind_of_drawn(spec: Any) -> str:
    return kind if (kind := _kind(spec)) in ("union set", "redraws set") else "style set"


def _kind_of_val(spec: Any) -> str:
    return kind if (kind := _kind(spec)) == "part set" else "annotations set"


Annotations = (
    Annotated[AnnotatedImages, Tag("annotations set")] | Annotated[PartOfImages, Tag("part set")]
)
FileSet = Annotated[
    Annotations
    | Annotated[ImageFolder, Tag("folder set")]
    | Annotated[Videos, Tag("videos set")]
    | Annotated[Redrawn, Tag("redraws set")]
    | Annotated[Union, Tag("union set")],
    Discriminator(_kind),
]


DrawnSet = Annotated[
    Annotated[DrawnImages, Tag("style set")]
    | Annotated[Redrawn, Tag("redraws set")]
    | Annotated[Union, Tag("union set")],
    Discriminator(_kind_of_drawn),
]


class DrawnData(Section):
    """Image sets that the project draws itself; DVC redraws them when `watched` changes."""

    source: Literal["drawn"]
    watched: str
    seed: int
    width: Positive
    height: Positive
    sets: dict[SetName, DrawnSet]
    val: DrawnImages


class FileData(Section):
    """Image sets from files below `root`; DVC rebuilds them when `watched` changes.

    leaks         images of other sets that are also in val: refuse them with an error, or drop
                  them; or allow those that only look like val's, such as frames of one recording
    leaks_reason  why they are allowed
    keypoint_margin  around the keypoints of an object that has no box, as a fraction of the longer
                  side of their extent; at least 10 pixels
    max_megapixels  of an image or a video's frames; those with more are refused undecoded
    """

    source: Literal["files"]
    watched: str
    root: str
    leaks: Literal["refuse", "drop", "allow"]
    leaks_reason: str | None = None
    keypoint_margin: Annotated[float, Field(ge=0)] = 0.15
    max_megapixels: Annotated[float, Field(gt=0, le=MOST_MEGAPIXELS)] = DEFAULT_LIMIT.megapixels
    sets: dict[SetName, FileSet]
    val: Annotated[Annotations, Discriminator(_kind_of_val)]

    @model_validator(mode="after")
    def _allowed_for_a_reason(self) -> Self:
        if self.leaks == "allow" and not (self.leaks_reason or "").strip():
            raise ValueError("leaks: allow needs a leaks_reason, such as `frames of one recording`")
        return self


def original_set(sets: Mapping[str, Any], name: str) -> str:
    """Return the set that `name` redraws, or the union whose parts its parts redraw, or `name`.

    `sets` is section `data.sets` as plain data.
    """
    spec = sets.get(name, {})
    if "redraws" in spec:
        return str(spec["redraws"])
    unions = {other: spec["union"] for other, spec in sets.items() if "union" in spec}
    parts = [original_set(sets, part) for part in unions.get(name, ())]
    redrawn = parts != unions.get(name, [])
    return next((union for union, names in unions.items() if redrawn and names == parts), name)


Data = Annotated[DrawnData | FileData, Field(discriminator="source")]
