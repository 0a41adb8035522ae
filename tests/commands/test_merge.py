"""Command `merge`, as a user runs it: generated annotations, corrected, become human labels."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from datastill.coco.format import PERSON, read_coco

POINTS = PERSON["keypoints"]
KEPT = [v for i in range(17) for v in (10 + i, 20 + i, 2)]


def image(number, file_name, **changes):
    return {"id": number, "file_name": file_name, "width": 64, "height": 48, **changes}


def label(number, image_id, category=1, **changes):
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [9, 10, 16, 36],
        "area": 400,
        "iscrowd": 0,
        "keypoints": KEPT,
        "num_keypoints": 17,
        **changes,
    }


def content(images, annotations, categories=(PERSON,)):
    return {"images": images, "annotations": annotations, "categories": list(categories)}


BASE = content([image(1, "a.jpg"), image(2, "b.jpg")], [label(1, 1), label(2, 2)])


@pytest.fixture
def merge(tmp_path, datastill, monkeypatch):
    """Write the files (name: content), run the program; return exit code, what it says, labels."""
    monkeypatch.chdir(tmp_path)

    def command(files, *arguments):
        for name, written in files.items():
            Path(name).write_text(json.dumps(written))
        answer = datastill("merge", *files, "--to", "out.json", *arguments)
        labels = read_coco(Path("out.json")) if not answer.returncode else None
        return answer.returncode, answer.stdout + answer.stderr, labels

    return command


def by_name(coco):
    names = {each["id"]: each["file_name"] for each in coco.images}
    grouped = {name: [] for name in names.values()}
    for annotation in coco.annotations:
        grouped[names[annotation["image_id"]]].append(annotation)
    return grouped


def test_corrected_images_join_the_labels_whatever_numbers_the_tool_gave(merge):
    tool = content(
        [image(1, "c.jpg"), image(2, "d.jpg")],
        [label(1, 1, bbox=[1, 2, 3, 4]), label(2, 1, bbox=[5, 6, 7, 8]), label(3, 2)],
    )
    _, said, labels = merge({"base.json": BASE, "tool.json": tool})
    found = by_name(labels)
    assert {name: len(each) for name, each in found.items()} == {
        "a.jpg": 1, "b.jpg": 1, "c.jpg": 2, "d.jpg": 1,
    }  # fmt: skip
    assert [each["bbox"] for each in found["c.jpg"]] == [[1, 2, 3, 4], [5, 6, 7, 8]]
    for records in (labels.images, labels.annotations):
        assert len({record["id"] for record in records}) == len(records)
    assert [each["id"] for each in labels.images[:2]] == [1, 2]
    assert "no conflicts between files" in said
    assert not Path("out.conflicts.csv").exists()


def test_generated_annotations_that_nobody_touched_are_no_labels(merge):
    tool = content(
        [image(1, "c.jpg"), image(2, "d.jpg"), image(3, "e.jpg")],
        [label(1, 1, score=0.9), label(2, 1, score=0.8), label(3, 2, score=0.7), label(4, 2)],
    )
    _, said, labels = merge({"base.json": BASE, "tool.json": tool})
    found = by_name(labels)
    assert {name: len(each) for name, each in found.items()} == {
        "a.jpg": 1, "b.jpg": 1, "d.jpg": 2, "e.jpg": 0,
    }  # fmt: skip
    assert not any("score" in annotation for annotation in labels.annotations)
    assert "tool.json: 1 images are left out: all their annotations still have a score" in said
    assert "in all 4 images, 1 without labels, 4 labels" in said


def test_scored_images_are_taken_when_somebody_says_that_they_were_seen_to(merge):
    tool = content([image(1, "c.jpg")], [label(1, 1, score=0.9)])
    _, _, labels = merge({"base.json": BASE, "tool.json": tool}, "--scored")
    (kept,) = by_name(labels)["c.jpg"]
    assert "score" not in kept
    assert kept["bbox"] == label(1, 1)["bbox"]


def test_a_correction_wins_over_what_was_generated_without_a_conflict(merge):
    generated = content([image(1, "a.jpg"), image(2, "b.jpg")], [label(1, 1), label(2, 2, score=1)])
    tool = content([image(9, "b.jpg")], [label(1, 9, bbox=[1, 1, 9, 9])])
    _, said, labels = merge({"base.json": generated, "tool.json": tool})
    assert [each["bbox"] for each in by_name(labels)["b.jpg"]] == [[1, 1, 9, 9]]
    assert "no conflicts between files" in said


def test_where_people_disagree_the_later_file_wins_and_a_table_says_where(merge):
    first = content([image(1, "b.jpg"), image(2, "c.jpg")], [label(1, 1), label(2, 2)])
    second = content(
        [image(7, "c.jpg"), image(8, "b.jpg")],
        [label(1, 7, bbox=[1, 1, 9, 9]), label(2, 7), label(3, 8, bbox=[9.3, 10, 16, 36.4])],
    )
    _, said, labels = merge({"base.json": BASE, "one.json": first, "two.json": second})
    assert [each["bbox"] for each in by_name(labels)["c.jpg"]] == [[1, 1, 9, 9], [9, 10, 16, 36]]
    with Path("out.conflicts.csv").open(newline="") as file:
        assert [*csv.DictReader(file)] == [
            {
                "image": "c.jpg",
                "earlier": "one.json",
                "earlier_instances": "1",
                "taken": "two.json",
                "taken_instances": "2",
            }
        ]  # b.jpg differs by no more than a tool's rounding
    assert "1 images are labelled differently; the last file is taken" in said


@pytest.mark.parametrize(
    "change", [{"bbox": [10, 10, 16, 36]}, {"keypoints": [*KEPT[:-3], 26, 37, 2]}]
)
def test_one_box_or_keypoint_moved_by_a_pixel_is_a_conflict(merge, change):
    tool = content([image(9, "a.jpg")], [label(1, 9, **change)])
    _, said, _ = merge({"base.json": BASE, "tool.json": tool})
    assert "1 images are labelled differently" in said


def test_boxes_that_rounding_puts_in_another_order_are_the_same_ones(merge):
    sides = ([0, 50, 9, 9], [0.2, 5, 9, 9]), ([0.2, 5, 9, 9], [0.4, 50, 9, 9])
    base, tool = (
        content([image(1, "a.jpg")], [label(n, 1, bbox=box) for n, box in enumerate(boxes)])
        for boxes in sides
    )
    assert "no conflicts between files" in merge({"base.json": base, "tool.json": tool})[1]


def test_categories_and_keypoints_go_by_their_names(merge):
    base = content(
        [image(1, "a.jpg")], [label(1, 1, 7)], [{**PERSON, "id": 7}, {"id": 90, "name": "car"}]
    )
    turned = {**PERSON, "id": 1, "keypoints": POINTS[::-1]}
    points = [value for i in range(17) for value in KEPT[3 * (16 - i) : 3 * (16 - i) + 3]]
    tool = content(
        [image(1, "c.jpg")],
        [label(1, 1, 1, keypoints=points), label(2, 1, 3, keypoints=[])],
        [{"id": 3, "name": "car"}, turned, {"id": 5, "name": "unused"}],
    )
    _, _, labels = merge({"base.json": base, "tool.json": tool})
    person, car = by_name(labels)["c.jpg"]
    assert (person["category_id"], car["category_id"]) == (7, 90)
    assert person["keypoints"] == KEPT
    assert labels.categories == base["categories"]


def test_files_tell_images_apart_that_folders_or_tools_name_alike(merge, tmp_path):
    for name in ("mine/photos/1.jpg", "mine/others/1.jpg", "mine/others/deep/2.jpg"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    base = content([image(1, "1.jpg")], [label(1, 1)])
    tool = content(
        [image(1, "others/1.jpg"), image(2, "project-3/others/deep/2.jpg")],
        [label(1, 1, bbox=[1, 1, 9, 9]), label(2, 2)],
    )
    folders = ("--images", "mine/photos", "--images", "mine/others")
    _, said, labels = merge({"base.json": base, "tool.json": tool}, *folders)
    assert [*by_name(labels)] == ["photos/1.jpg", "others/1.jpg", "others/deep/2.jpg"]
    assert "no conflicts between files" in said
    assert "datastill new NAME --labelled out.json --images mine" in said
    Path("out.json").unlink()
    tool["images"][0]["file_name"] = "1.jpg"
    code, said, _ = merge({"base.json": base, "tool.json": tool}, *folders)
    assert code == 1
    assert "1.jpg: is in mine/photos and mine/others; put the folder's name before it" in said
    tool["images"][0]["file_name"] = "3.jpg"
    code, said, _ = merge({"base.json": base, "tool.json": tool}, *folders)
    assert (code, "3.jpg: no such image in mine/photos, mine/others" in said) == (1, True)


def unknown_category(tool):
    tool["categories"] = [{"id": 1, "name": "human"}]


def other_keypoints(tool):
    tool["categories"] = [{**PERSON, "keypoints": [*POINTS[:16], "tail"]}]


def other_size(tool):
    tool["images"][0] |= {"file_name": "a.jpg", "width": 65}


def twice(tool):
    tool["images"].append(image(2, "other/c.jpg"))


def lost_image(tool):
    tool["annotations"][0]["image_id"] = 5


def boxless(tool):
    tool["annotations"][0]["bbox"] = [1, 2, 3]


FAULTS = {
    unknown_category: "tool.json: expected the categories of the first file (person), found human",
    other_keypoints: "tool.json: category 'person': expected the keypoints",
    other_size: "tool.json: a.jpg is (65, 48), in base.json it is (64, 48)",
    twice: "tool.json: expected every image once, found other/c.jpg twice",
    lost_image: "tool.json: annotation 1 names an image it does not list",
    boxless: "expected bbox (x, y, w, h), found [1, 2, 3]",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_cannot_be_merged_costs_one_message_and_writes_nothing(merge, fault, tmp_path):
    tool = content([image(1, "c.jpg")], [label(1, 1)])
    fault(tool)
    code, said, _ = merge({"base.json": BASE, "tool.json": tool})
    assert code == 1
    assert FAULTS[fault] in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.json", "tool.json"]


def test_files_of_another_format_or_absent_or_already_there_are_refused(merge, tmp_path):
    code, said, _ = merge(
        {"base.json": BASE, "tool.json": [{"id": 1, "annotations": [], "data": {}}]}
    )
    assert (code, "found Label Studio's own JSON" in said) == (1, True)
    code, said, _ = merge({"base.json": BASE}, "base.json")
    assert (code, "expected every file once, found one of them twice" in said) == (1, True)
    code, said, _ = merge({"base.json": BASE}, "none.json")
    assert (code, "none.json: no such file" in said) == (1, True)
    Path("out.json").write_text("mine")
    code, said, _ = merge({"base.json": BASE, "tool.json": BASE})
    assert (code, "out.json exists" in said) == (1, True)
    assert Path("out.json").read_text() == "mine"


def test_generated_annotations_alone_make_no_labels(merge):
    generated = content([image(1, "a.jpg")], [label(1, 1, score=0.5)])
    code, said, _ = merge({"base.json": generated, "tool.json": generated})
    assert code == 1
    assert "expected labels, found only untouched generated ones" in said


def test_sizes_that_a_tool_left_out_are_those_of_the_files(merge, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in "ab":
        Image.new("RGB", (64, 48)).save(tmp_path / f"photos/{name}.jpg")
    bare = content([{"id": 5, "file_name": "b.jpg"}], [label(1, 5)])
    code, said, labels = merge({"base.json": BASE, "tool.json": bare}, "--images", "photos")
    assert code == 0
    assert [(each["width"], each["height"]) for each in labels.images] == [(64, 48)] * 2
    code, said, _ = merge({"base.json": BASE, "tool.json": bare}, "--to", "other.json")
    assert code == 1
    assert "tool.json: 1 images lack width or height, such as b.jpg" in said
    assert "--images" in said
