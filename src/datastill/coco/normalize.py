"""The readers of published labels, and their normalization to datastill's."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from datastill.coco.box_convention import check_convention
from datastill.coco.completion import MIN_SIDE, complete, expect
from datastill.coco.cvat import read_cvat
from datastill.coco.deeplabcut import read_deeplabcut
from datastill.coco.format import Coco, Record, parse_coco
from datastill.coco.keypoint_box import BOX_MARGIN
from datastill.coco.labelme import read_labelme
from datastill.coco.pascal_voc import read_pascal_voc
from datastill.coco.repair import is_id, repair
from datastill.coco.skeleton import build_skeleton, keypoint_category
from datastill.coco.sniff import (
    check_has_images,
    is_cvat,
    is_deeplabcut,
    is_labelme,
    is_pascal_voc,
    is_yolo,
    other_format,
    other_json,
)
from datastill.coco.yolo import read_yolo
from datastill.errors import DataError
from datastill.io import read_json
from datastill.progress import note_once

_VIDEO = ("video", "video_id", "vid_id")  # an image's video: ours; TAO's and BDD's; PoseTrack's
_OTHER_FORMATS: tuple[tuple[Callable[[Path], bool], str, Callable[[Path], Coco]], ...] = (
    (is_deeplabcut, "DeepLabCut's labels", read_deeplabcut),
    (is_cvat, "CVAT for images", read_cvat),
    (is_pascal_voc, "Pascal VOC", read_pascal_voc),
    (is_yolo, "YOLO labels", read_yolo),
    (is_labelme, "LabelMe JSON", read_labelme),
)
_WIDEST = 2**31  # pixels
_FETCH = "correct its name, or export or fetch it again"
_ADVICE = "export it as COCO JSON from the tool it comes from, or convert it"


def read_published(path: Path) -> Coco:
    """Read published labels; raises DataError naming a bad file.

    They are a DeepLabCut project, its CSV or h5, XML of CVAT, a folder of Pascal VOC XML, a list of
    VOC's `ImageSets`, a YOLO data.yaml or folder of labels, a folder of LabelMe JSON, or COCO JSON,
    with or without `annotations`.
    """
    if reader := _other_reader(path):
        return reader(path)
    content = read_json(path, "COCO JSON", _FETCH)
    content = {"annotations": [], **content} if isinstance(content, dict) else content
    return repair(path, parse_coco(path, content, _FETCH))


def _other_reader(path: Path) -> Callable[[Path], Coco] | None:
    """Return the reader of a format other than COCO JSON, None if `path` has no such format."""
    check_has_images(path)
    for recognises, name, reader in _OTHER_FORMATS:
        if recognises(path):
            note_once(f"{path}: read as {name}")
            return reader
    return None


def read_labels(path: Path) -> Coco:
    """Read human labels as `read_foreign` does.

    Raises DataError, naming the file, also if it lacks images or labels or has generated ones.
    """
    coco = read_foreign(path)
    expect(coco.images, path, "images", f"none; {_ADVICE}")
    expect(coco.annotations, path, "annotations", f"none; {_ADVICE}")
    if generated := [a["id"] for a in coco.annotations if "score" in a]:
        raise DataError(
            f"{path}: expected human labels, found {len(generated):,} generated annotations (with "
            f"a score), such as {generated[0]}; have them corrected, then `datastill merge` makes "
            "labels of them"
        )
    return coco


def read_foreign(path: Path) -> Coco:
    """Read labels as `read_published` does, and check COCO's references.

    Raises DataError, naming the file, if it is absent or of another format, its categories lack
    names or ids of their own or are not all listed, or an image has no file name.
    """
    if reader := _other_reader(path):
        return reader(path)
    other = other_format(path)
    content = None if other else read_json(path, "COCO JSON", _FETCH)
    other = other or other_json(content)
    expect(not other, path, "COCO JSON (images, annotations, categories)", f"{other}; {_ADVICE}")
    coco = repair(path, parse_coco(path, content, _FETCH))
    names, ids = ([category.get(key) for category in coco.categories] for key in ("name", "id"))
    for key, values in (("a name", names), ("an id", ids)):
        distinct = values and all(v not in (None, *values[:i]) for i, v in enumerate(values))
        own = distinct and (key == "an id" or all(isinstance(v, str) for v in values))
        expect(own, path, f"{key} of its own for every category", values)
    if nameless := [i["id"] for i in coco.images if not isinstance(i.get("file_name"), str)]:
        raise DataError(f"{path}: images {nameless[:5]} have no file_name")
    known = set(ids)
    if lost := [a["id"] for a in coco.annotations if a.get("category_id") not in known]:
        raise DataError(f"{path}: annotations {lost[:5]} name categories that it does not list")
    return coco


def learned_categories(coco: Coco, task: str) -> list[Record]:
    """Return the categories that `task` learns.

    For keypoints: the category that has them; for boxes: id and name of all, by ascending id.
    Raises DataError if there is none, one has no whole number as its id or no name, or, for
    keypoints, several have them or the skeleton is malformed.
    """
    if task == "boxes":
        _check_named(coco.categories)
        named = [{"id": each["id"], "name": each["name"]} for each in coco.categories]
        return sorted(named, key=lambda each: each["id"])
    category = keypoint_category(coco.categories)
    if not category:
        raise DataError("expected one category with keypoints, found none")
    _check_named([category])
    build_skeleton([category])
    return [category]


def _check_named(categories: list[Record]) -> None:
    wrong = [c for c in categories if not is_id(c["id"]) or not isinstance(c.get("name"), str)]
    if wrong or not categories:
        first = wrong[0] if wrong else "none"
        raise DataError(f"expected categories with a number as their id and a name, found {first}")


def normalize(
    coco: Coco,
    *categories: Record,
    source: Path | str = "labels",
    keypoint_margin: float = BOX_MARGIN,
) -> tuple[Coco, int]:
    """Return the completed annotations of `categories`, minus empty boxes, and the number of those.

    Images keep the video they are from, if the file says so, as `video`.
    Missing fields are filled in: if a category has keypoints, `keypoints` with none marked and
    `num_keypoints` counted from v; `bbox`, also without extent, around the marked keypoints with
    `keypoint_margin`; `iscrowd` 0; `area`, also if it is 0, that of the mask (polygons or RLE) or
    else of the box; masks are dropped. Notes name `source`.
    Raises DataError naming the image or annotation that is malformed, if boxes are in another
    convention, and if one of `categories` means something else in the file.
    """
    for category in categories:
        _check_same(coco, category)
    images = [_image(image) for image in coco.images]
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    for key, value in (("id", "an id"), ("file_name", "a file")):
        for most, times in Counter(image[key] for image in images).most_common(1):
            expect(times == 1, f"image {most}", f"{value} of its own", f"it {times} times")
    for a in coco.annotations:
        expect("category_id" in a, f"annotation {a['id']}", "a category_id", "none")
    known = {category["id"]: category for category in categories}
    learned = [a for a in coco.annotations if a["category_id"] in known]
    notes = Counter[str]()
    annotations = [
        complete(a, known[a["category_id"]], sizes, notes, keypoint_margin) for a in learned
    ]
    check_convention(annotations, sizes)
    for note, times in notes.items():
        note_once(f"{source}: {times:,} {note}")
    kept = [a for a in annotations if min(a["bbox"][2:]) >= MIN_SIDE]
    return Coco(images, kept, list(categories)), len(annotations) - len(kept)


def _check_same(coco: Coco, category: Record) -> None:
    """Raise DataError if `coco` does not have val's `category` under its id."""
    listed = next((each for each in coco.categories if each["id"] == category["id"]), None)
    if listed is None and not coco.annotations:
        return
    name, keypoints = category["name"], category.get("keypoints")
    if listed is None or listed.get("name") != name:
        other = f"{listed.get('name')!r} under it" if listed else "no such id"
        raise DataError(f"category {category['id']}: expected {name!r} as in val, found {other}")
    given = listed.get("keypoints") or keypoints
    same = not keypoints or given == keypoints
    expect(same, f"category {name!r}", f"val's keypoints {keypoints}", given)


def _image(image: Record) -> Record:
    subject, size = f"image {image['id']!r}", (image.get("width"), image.get("height"))
    expect(isinstance(image.get("file_name"), str), subject, "a file_name", "none")
    positive = all(type(side) is int and 0 < side < _WIDEST for side in size)
    expect(positive, subject, "width and height in pixels", size)
    expect(is_id(image["id"]), subject, "a whole number of 64 bits as its id", repr(image["id"]))
    videos = (image.get(key) for key in _VIDEO)
    video = next((each for each in videos if isinstance(each, int | str) and each != ""), None)
    kept = {key: image[key] for key in ("id", "file_name", "width", "height")}
    return kept if video is None else {**kept, "video": video}
