"""Labels of DeepLabCut and Lightning Pose, read as COCO."""

import csv
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from datastill.coco.format import Coco, Record, image_id
from datastill.coco.image_header import opened
from datastill.coco.keypoint_box import Point
from datastill.coco.sniff import DEEPLABCUT_FILES, SLEAP_ADVICE, other_format
from datastill.errors import DataError
from datastill.progress import note_once

_HEADER = ("scorer", "individuals", "bodyparts", "coords")
_BODY_PARTS = re.compile(r"^(?:multianimal)?bodyparts: *\n((?: *- .*\n)+)", re.MULTILINE)
_EXPECTED = "expected a DeepLabCut CSV (rows scorer, bodyparts, coords)"
_ADVICE = "convert other labels to COCO JSON"
_UNIQUE = "single"  # the individual of unique body parts
_Columns = dict[tuple[str, str, str], int]


@dataclass(frozen=True)
class _Table:
    """A CollectedData CSV: columns (individual, body part, "x" or "y") and rows of labels."""

    columns: _Columns
    index_width: int  # columns that name the image
    rows: list[tuple[int, list[str]]]  # line in the file, cells

    @property
    def individuals(self) -> list[str]:
        return [*dict.fromkeys(individual for individual, _, _ in self.columns)]

    @property
    def body_parts(self) -> list[str]:
        return [*dict.fromkeys(body_part for _, body_part, _ in self.columns)]


def read_deeplabcut(path: Path) -> Coco:
    """Read labeled-data/<video>/CollectedData_<scorer>.csv, or those of a whole project.

    For the .h5 of the same name, the CSV beside it is read. Lightning Pose's CSV lies beside
    `labeled-data`. Of a folder's files, those without rows are left out. The file names are
    relative to the project; an image's `video` is its folder. The one category is `animal`; a body
    part without coordinates is not labelled (v = 0), an animal without any is left out, and so are
    points that belong to no animal (`single`). Animals have no box. The size is that of the image
    file; an image that is absent or damaged has room for its keypoints instead, so that it can be
    reported later.
    Raises DataError naming the file if it is absent, empty or malformed or lacks a body part.
    """
    images: list[Record] = []
    annotations: list[Record] = []
    sources: dict[str, Path] = {}
    names: list[str] = []
    for file, table in _filled(path, [(file, _read_table(file)) for file in _tables(path)]):
        names = names or table.body_parts
        if table.body_parts != names:
            raise DataError(f"{file}: expected body parts {names}, found {table.body_parts}")
        for image, animals in _rows(file, table):
            name = image["file_name"]
            if (other := sources.setdefault(name, file)) != file:
                raise DataError(f"{path}: {name} is in {other} and {file}; name one of them")
            images.append(image)
            annotations += animals
    _note(path, images, annotations)
    return Coco(images, annotations, [{"id": 1, "name": "animal", "keypoints": names}])


def _tables(path: Path) -> list[Path]:
    """Return the CSV files that `path` stands for; raises DataError for none, or for a choice."""
    if path.is_dir():
        beside, inside = (sorted(path.glob(pattern)) for pattern in DEEPLABCUT_FILES)
        if len(beside) > 1:
            shown = ", ".join(file.name for file in beside)
            raise DataError(f"{path}: expected one CSV file of labels, found {shown}; name one")
        return beside or inside
    if path.suffix.lower() == ".csv" or not path.is_file():
        return [path]
    table = path.with_suffix(".csv")
    if not table.is_file():
        raise DataError(
            f"{path}: expected {table.name} beside it, as DeepLabCut writes both, found none; "
            f"write it in DeepLabCut's Python: `import pandas; pandas.read_hdf({path.name!r})"
            f".to_csv({table.name!r})`; if it is SLEAP's, {SLEAP_ADVICE}"
        )
    note_once(f"{path}: {table.name} beside it is read instead")
    return [table]


def _filled(path: Path, tables: Sequence[tuple[Path, _Table]]) -> list[tuple[Path, _Table]]:
    """Return the tables that have rows; raises DataError if none has."""
    empty = [file for file, table in tables if not table.rows]
    if len(empty) == len(tables):
        raise DataError(f"{path}: expected a row per image, found none")
    if empty:
        count = f"{len(empty):,} of {len(tables):,}"
        note_once(f"{path}: tables without rows are left out: {count}, such as {empty[0]}")
    return [(file, table) for file, table in tables if table.rows]


def _rows(path: Path, table: _Table) -> Iterator[tuple[Record, list[Record]]]:
    """Yield every image with the annotations of its animals."""
    names = ["/".join(c[: table.index_width]).replace("\\", "/") for _, c in table.rows]
    project = _project(path, names)
    _check_complete(path, table, project / "config.yaml")
    for name, (line, cells) in zip(names, table.rows, strict=True):
        animals = [_points(path, line, cells, table, each) for each in table.individuals]
        image = _image(project, name, [p for points in animals for p in points if p])
        yield (
            image,
            [_annotation(image, i, points) for i, points in enumerate(animals) if any(points)],
        )


def _project(path: Path, names: Sequence[str]) -> Path:
    """Return the images' folder: two above DeepLabCut's CSV, the one of Lightning Pose's."""
    folder = path.absolute().parent
    places = (folder.parent.parent, folder)
    return next((p for p in places if any((p / name).is_file() for name in names)), places[0])


def _note(path: Path, images: Sequence[Record], annotations: Sequence[Record]) -> None:
    if empty := len(images) - len({each["image_id"] for each in annotations}):
        note_once(f"{path}: {empty:,} of {len(images):,} images have no label: no animal in them")


def _read_table(path: Path) -> _Table:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(row)]
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct its name or fetch it") from None
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: {_EXPECTED}, found no readable text: {error}") from None
    header = {row[0]: row for _, row in lines[:4] if row[0] in _HEADER}
    if not {"bodyparts", "coords"} <= header.keys() or "x" not in header["coords"]:
        raise DataError(f"{path}: {_EXPECTED}, found {other_format(path)}; {_ADVICE}")
    body_parts, coords = header["bodyparts"], header["coords"]
    individuals = header.get("individuals", [""] * len(coords))
    width, rows = coords.index("x"), lines[len(header) :]
    if odd := [line for line, row in lines if len(row) != len(coords)]:
        raise DataError(f"{path}, line {odd[0]}: expected {len(coords)} cells as in the header")
    if width == 1 and rows and rows[0][1][0].isdecimal():
        raise DataError(
            f"{path}: expected labels of images, found those of frames in a video, by number; name "
            "a CollectedData CSV, which names its images"
        )
    keys = list(zip(individuals, body_parts, coords, strict=True))[width:]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise DataError(f"{path}: expected one column {' '.join(twice[0]).strip()}, found several")
    columns = {key: width + i for i, key in enumerate(keys)}
    return _Table(_without_unique(path, columns), width, rows)


def _without_unique(path: Path, columns: _Columns) -> _Columns:
    """Return the columns without those of `single`: points of the scene, not of an animal."""
    animals = {key: column for key, column in columns.items() if key[0] != _UNIQUE}
    points = dict.fromkeys(
        body_part for individual, body_part, _ in columns if individual == _UNIQUE
    )
    if not animals or not points or {*points} & {body_part for _, body_part, _ in animals}:
        return columns
    note_once(f"{path}: {', '.join(points)} belong to no individual and are left out")
    return animals


def _check_complete(path: Path, table: _Table, config: Path) -> None:
    """Raise DataError if a body part of the header or of `config` lacks its columns."""
    try:
        listed = _BODY_PARTS.search(config.read_text(encoding="utf-8") + "\n")
    except (OSError, ValueError):
        listed = None
    given = [line.strip(" -\"'") for line in listed[1].splitlines()] if listed else []
    body_parts = dict.fromkeys([*given, *table.body_parts])
    needed = ((i, b, axis) for i in table.individuals for b in body_parts for axis in ("x", "y"))
    for individual, body_part, axis in needed:
        if (individual, body_part, axis) not in table.columns:
            owner = f" of {individual}" if individual else ""
            source = f"as {config} lists" if body_part in given else "as the header begins"
            raise DataError(
                f"{path}: expected columns x and y of body part {body_part!r}{owner}, {source}, "
                f"found no {axis}; export the labels again"
            )


def _points(
    path: Path, line: int, cells: Sequence[str], table: _Table, individual: str
) -> list[Point | None]:
    """Return the keypoints of an individual in pixels, None for each that is not labelled."""
    points: list[Point | None] = []
    for body_part in table.body_parts:
        texts = [cells[table.columns[individual, body_part, axis]] for axis in ("x", "y")]
        try:
            x, y = (float(text) if text.strip() else math.nan for text in texts)
        except ValueError:
            x = y = math.inf
        if math.isinf(x) or math.isinf(y) or math.isnan(x) != math.isnan(y):
            raise DataError(
                f"{path}, line {line}: expected x and y of {body_part!r} in pixels, or neither, "
                f"found {texts}; correct the line"
            )
        points.append(None if math.isnan(x) else (x, y))
    return points


def _image(project: Path, file_name: str, points: Iterable[Point]) -> Record:
    *folders, _ = file_name.split("/")
    try:
        with opened(project / file_name) as image:
            width, height = image.size
    except DataError:
        width, height = (
            max(1, math.ceil(max(side))) for side in zip((1.0, 1.0), *points, strict=True)
        )
    record = {"id": image_id(file_name), "file_name": file_name, "width": width, "height": height}
    return record | ({"video": folders[-1]} if folders else {})


def _annotation(image: Record, number: int, points: Sequence[Point | None]) -> Record:
    return {
        "id": image_id(f"{image['file_name']}/{number}"),
        "image_id": image["id"],
        "category_id": 1,
        "keypoints": [value for point in points for value in ((*point, 2) if point else (0, 0, 0))],
    }
