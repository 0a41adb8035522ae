import pytest
import yaml
from PIL import Image

from datastill.coco.format import Coco
from datastill.coco.normalize import learned_categories, normalize, read_labels
from datastill.coco.skeleton import build_skeleton
from datastill.coco.yolo_writer import write_yolo
from datastill.errors import DataError

HAND = {"id": 7, "name": "hand", "keypoints": ["tip", "left", "right"]}
PETS = ({"id": 3, "name": "cät"}, {"id": 9, "name": "no: dog"})
POINTS = [100.0 / 3, 17.171, 2, 0, 0, 0, 7.0001, 3.3333, 1]


@pytest.fixture
def images(tmp_path):
    """Images of 111 x 77 pixels."""
    for name in ("day/images/a.png", "day/b.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (111, 77)).save(path)
    return tmp_path / "photos"


def coco(*annotations, categories=PETS):
    names = ("day/images/a.png", "day/b.png")
    records = [
        {"id": n, "file_name": name, "width": 111, "height": 77} for n, name in enumerate(names, 1)
    ]
    return Coco(records, [{"id": n, **a} for n, a in enumerate(annotations, 1)], [*categories])


def box(*bbox, image=1, category=3, **other):
    return {"image_id": image, "category_id": category, "bbox": [*bbox], "score": 0.9, **other}


def read(folder, task):
    content = read_labels(folder / "data.yaml")
    return normalize(content, *learned_categories(content, task))[0]


def test_boxes_are_read_back_as_they_were(images, tmp_path):
    boxes = [(0.3333, 5.5555, 70.0 / 3, 10.1234), (1, 2, 109.9999, 74.9999), (100, 70, 20, 20)]
    content = coco(*(box(*each, category=c) for each, c in zip(boxes, (3, 9, 9), strict=True)))
    assert write_yolo(tmp_path / "yolo", content, images) == 0
    again = read(tmp_path / "yolo", "boxes")
    assert [image["file_name"] for image in again.images] == [
        "images/day/a.png",
        "images/day/b.png",
    ]
    assert [each["name"] for each in again.categories] == ["cät", "no: dog"]
    assert [each["category_id"] for each in again.annotations] == [1, 2, 2]
    expected = [*boxes[:2], (100, 70, 11, 7)]  # clipped to the image
    for each, bbox in zip(again.annotations, expected, strict=True):
        assert each["bbox"] == pytest.approx(bbox, abs=1e-3)
        assert each["image_id"] == again.images[0]["id"]
    assert (tmp_path / "yolo/labels/day/b.txt").read_text() == "", "an image without objects"


def test_poses_are_read_back_with_their_mirror_partners(images, tmp_path):
    other = {"id": 3, "name": "cat"}
    pose = box(5, 6, 50, 40, category=7, keypoints=POINTS, num_keypoints=2)
    content = coco(pose, box(1, 1, 5, 5), categories=(other, HAND))
    write_yolo(tmp_path / "yolo", content, images)
    config = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert config["names"] == {0: "hand"}
    assert (config["kpt_shape"], config["flip_idx"]) == ([3, 3], [0, 2, 1])
    again = read(tmp_path / "yolo", "keypoints")
    (hand,) = again.annotations
    assert hand["keypoints"] == pytest.approx(POINTS, abs=1e-3)
    assert build_skeleton(again.categories).names == ("tip", "left", "right")
    assert build_skeleton(again.categories).flip_indices == (0, 2, 1)


def test_crowds_are_left_out_and_an_earlier_set_is_replaced(images, tmp_path):
    write_yolo(tmp_path / "yolo", coco(box(1, 1, 5, 5)), images)
    (tmp_path / "yolo/labels/old.txt").write_text("")
    assert write_yolo(tmp_path / "yolo", coco(box(1, 1, 5, 5, iscrowd=1)), images) == 1
    assert not (tmp_path / "yolo/labels/old.txt").exists()
    assert (tmp_path / "yolo/labels/day/a.txt").read_text() == ""


def test_a_yolo_data_set_of_others_is_never_replaced(images, tmp_path):
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo/data.yaml").write_text("train: images\n")
    with pytest.raises(DataError, match=r"yolo: expected .* that datastill wrote"):
        write_yolo(tmp_path / "yolo", coco(), images)
    assert (tmp_path / "yolo/data.yaml").read_text() == "train: images\n"


def test_of_a_linked_earlier_set_only_the_link_is_replaced(images, tmp_path):
    write_yolo(tmp_path / "disk", coco(), images)
    for target in ("disk", "nowhere"):
        link = tmp_path / f"yolo-{target}"
        link.symlink_to(tmp_path / target)
        write_yolo(link, coco(box(1, 1, 5, 5)), images)
        assert not link.is_symlink()
        assert (link / "labels/day/a.txt").read_text()
    assert (tmp_path / "disk/labels/day/a.txt").read_text() == ""


def test_nothing_is_written_over_another_folder_or_without_images(images, tmp_path):
    with pytest.raises(DataError, match="photos: expected no folder, or a YOLO data set"):
        write_yolo(images, coco(), images)
    (images / "day/a.jpg").symlink_to(images / "day/b.png")
    twin = coco()
    twin.images[1] |= {"file_name": "day/a.jpg"}
    with pytest.raises(DataError, match=r"found 2 whose labels would be day/a.txt"):
        write_yolo(tmp_path / "yolo", twin, images)
    (images / "day/b.png").unlink()
    with pytest.raises(DataError, match=r"1 are absent, such as day/b.png"):
        write_yolo(tmp_path / "yolo", coco(), images)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
