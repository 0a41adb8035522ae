"""Recognition of annotation formats other than COCO JSON."""

from collections import Counter
from pathlib import Path
from typing import Any

from datastill.errors import DataError

_SAMPLE = 4096  # characters: enough to recognise a format
_BY_KEYS = {  # of JSON: only this format has them
    ("shapes", "imagePath"): "LabelMe JSON of one image; name its folder instead",
    ("_via_img_metadata",): "a VIA project",
    ("samples",): "a FiftyOne dataset",
    ("licenses", "images"): "COCO JSON of images alone, without annotations",
    ("type", "features"): "GeoJSON",
}
_BY_KEYS_OF_FIRST = {  # of a JSON list: those of its first record
    ("image_id", "category_id", "score"): "COCO results: detections, not a data set",
    ("image_id", "bbox"): "a bare list of annotations",
    ("annotations", "data"): "Label Studio's own JSON",
    ("predictions", "data"): "Label Studio's own JSON",
    ("shapes", "imagePath"): "LabelMe JSON",
}
SLEAP_ADVICE = (
    "write labels and frames as a YOLO data set with `sio convert labels.slp -o FOLDER --to "
    "ultralytics` (pip install sleap-io) and name FOLDER/data.yaml"
)
DEEPLABCUT_FILES = (  # beside the project's `labeled-data` or in it; or in a video's folder
    "CollectedData*.csv",
    "labeled-data/*/CollectedData_*.csv",
)
_OF_FOLDERS = {".txt": "YOLO text", ".xml": "Pascal VOC XML", ".json": "JSON"}  # by suffix


def other_format(path: Path) -> str | None:
    """Return what `path` is if it cannot be JSON; None if it may be JSON or is absent."""
    if path.is_dir():
        suffixes = Counter(file.suffix.lower() for file in path.iterdir() if file.is_file())
        for suffix, count in suffixes.most_common():
            if suffix in _OF_FOLDERS:
                return f"a folder with {count:,} files of {_OF_FOLDERS[suffix]}"
        return "a folder"
    return _other_text(path) if path.is_file() else None


def _other_text(path: Path) -> str | None:
    suffix, start = path.suffix.lower(), _start(path)
    if start is None:
        return "an archive; unpack it first" if suffix in {".zip", ".gz", ".tar"} else "no text"
    if suffix == ".xml" or start.lstrip().startswith("<"):
        return (
            "Pascal VOC XML of one image; name its folder instead"
            if "<annotation" in start
            else "XML"
        )
    if suffix in {".csv", ".tsv"}:
        return f"a table with the columns {start.splitlines()[0]!r}" if start else "an empty table"
    if suffix in {".yaml", ".yml"}:
        return "YAML, as of a YOLO data set"
    return "YOLO text of one image; name its folder instead" if _is_yolo(start) else None


def _start(path: Path) -> str | None:
    """Return the first characters of a text file, None if it is not text, or a pipe."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = file.read(_SAMPLE)
    if b"\0" in content:
        return None
    try:
        return content.decode("utf-8-sig", "strict" if len(content) < _SAMPLE else "ignore")
    except UnicodeDecodeError:
        return None


def check_has_images(path: Path) -> None:
    """Raise DataError if `path` is a file of SLEAP's, whose images are frames in a video."""
    suffix, start = path.suffix.lower(), _start(path) if path.is_file() else ""
    columns = (start or "").partition("\n")[0] if suffix == ".csv" else ""
    is_table = {"frame_idx", "instance.score"} <= {*columns.strip().split(",")}
    if is_table or path.name.lower().endswith((".slp", ".analysis.h5")):
        raise DataError(
            f"{path}: expected labels of images, found SLEAP's, of frames in a video; "
            f"{SLEAP_ADVICE}"
        )


def is_deeplabcut(path: Path) -> bool:
    """Return whether `path` is a table, or a folder with DeepLabCut's or Lightning Pose's."""
    if not path.is_dir():
        return path.suffix.lower() in {".csv", ".h5", ".hdf5"}
    return any(map(any, (path.glob(pattern) for pattern in DEEPLABCUT_FILES)))


def is_cvat(path: Path) -> bool:
    """Return whether `path` is XML of CVAT, or a folder with some."""
    files = path.glob("*.xml") if path.is_dir() else [path] if path.suffix.lower() == ".xml" else []
    return any("<annotations" in (_start(file) or "") for file in files if file.is_file())


def is_pascal_voc(path: Path) -> bool:
    """Return whether `path` is a folder of XML, or a list of images in VOC's `ImageSets`."""
    listed = path.suffix.lower() == ".txt" and "ImageSets" in path.absolute().parts
    return listed or any(path.glob("*.xml"))


def is_yolo(path: Path) -> bool:
    """Return whether `path` is a `data.yaml`, or a folder with one or with YOLO label files."""
    if path.suffix.lower() in {".yaml", ".yml"} and not path.is_dir():
        return True
    return (path / "data.yaml").is_file() or any(map(is_yolo_text, path.rglob("*.txt")))


def is_yolo_text(path: Path) -> bool:
    """Return whether a file begins with lines of five numbers or more."""
    return _is_yolo(_start(path) or "")


def is_labelme(path: Path) -> bool:
    """Return whether `path` is a folder with JSON of LabelMe, directly or in folders."""
    return any('"shapes"' in (_start(file) or "") for file in path.rglob("*.json"))


def _is_yolo(start: str) -> bool:
    lines = [line.split() for line in start.splitlines()[:3] if line.strip()]
    try:
        return bool(lines) and all(len(line) >= 5 and [*map(float, line)] for line in lines)
    except ValueError:
        return False


def other_json(content: Any) -> str | None:
    """Return the format of the JSON `content`, None if it is COCO's."""
    if isinstance(content, list):
        first = content[0] if content and isinstance(content[0], dict) else {}
        return _by_keys(first, _BY_KEYS_OF_FIRST) or f"a JSON list of {len(content):,}"
    if not isinstance(content, dict):
        return f"JSON that is one {type(content).__name__}"
    if {"images", "annotations", "categories"} <= content.keys():
        return None
    keys = ", ".join([*content][:5]) or "none"
    return _by_keys(content, _BY_KEYS) or f"JSON with the keys {keys}"


def _by_keys(record: dict[str, Any], formats: dict[tuple[str, ...], str]) -> str | None:
    return next((name for keys, name in formats.items() if {*keys} <= record.keys()), None)
