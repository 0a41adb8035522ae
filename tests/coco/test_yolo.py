from itertools import pairwise

import pytest
from PIL import Image

from datastill.coco.normalize import learned_categories, normalize, read_labels, read_published
from datastill.coco.skeleton import build_skeleton
from datastill.errors import DataError

POSE = "names: [hand]\ntrain: images\nkpt_shape: [3, 3]\nflip_idx: [0, 2, 1]\n"
HAND = "0 0.5 0.5 0.5 0.5 0.25 0.5 2 0.5 0.9 1 0 0 0"


@pytest.fixture
def yolo(tmp_path):
    """Write images of 40 x 20 pixels with these lines of labels, in the folders of `split`."""

    def write(split="", images="images", labels="labels", **lines):
        for name, text in lines.items():
            (tmp_path / images / split).mkdir(parents=True, exist_ok=True)
            (tmp_path / labels / split).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 20)).save(tmp_path / images / split / f"{name}.png")
            if text is not None:
                (tmp_path / labels / split / f"{name}.txt").write_text(text)
        return tmp_path

    return write


def write_config(root, text="names: [cat, dog]\ntrain: images\n"):
    (root / "data.yaml").write_text(text)
    return root / "data.yaml"


def names(coco):
    return [image["file_name"] for image in coco.images]


def test_fractions_of_the_image_become_boxes_in_pixels(yolo):
    root = yolo(a="1 0.5 0.5 0.5 0.2\n\n0 0.25 0.5 0.5 1\n", b="", c=None)
    coco = read_labels(write_config(root))
    assert [(a["category_id"], a["bbox"]) for a in coco.annotations] == [
        (2, [10, 8, 20, 4]),
        (1, [0, 0, 20, 20]),
    ]
    assert names(coco) == ["images/a.png", "images/b.png"], "c has no labels; b has no objects"
    assert (coco.images[0]["width"], coco.images[0]["height"]) == (40, 20)
    assert coco.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    normalized, flat = normalize(coco, *learned_categories(coco, "boxes"))
    assert ([a["area"] for a in normalized.annotations], flat) == ([80, 400], 0)


def test_what_is_not_taken_as_it_is_is_said(yolo, caplog):
    root = yolo("train", a="0 0.9 0.5 0.4 0.5", b=None)
    yolo("val", c="0 0.5 0.5 1.001 1")
    (root / "images/train/d.png").write_text("no image")
    (root / "labels/train/d.txt").write_text("0 0.5 0.5 0.5 0.5")
    text = "names: {0: cat}\ntrain: images/train\nval: images/val\n"
    coco = read_published(write_config(root, text))
    assert [a["bbox"] for a in coco.annotations] == [[28, 5, 12, 10], [0, 0, 40, 20]]
    assert names(coco) == ["images/train/a.png", "images/val/c.png"]
    for note in (
        "the images of images/train and images/val are taken together",
        "1 images have no label file",
        "1 images cannot be opened",
        "1 boxes extend beyond their image and are clipped",
    ):
        assert note in caplog.text


@pytest.mark.parametrize(
    "keys",
    [
        "path: .\ntrain: images/train\n",
        "path: /somewhere/else\ntrain: images/train/\n",
        "train: ../images/train\n",  # as Roboflow writes it
        "train: [images/train]\n",
        "train: train.txt\n",
        "train: images\\train\n",
    ],
)
def test_the_images_of_a_split_are_found_below_the_folder_of_data_yaml(yolo, keys):
    root = yolo("train", a="0 0.5 0.5 0.5 0.5")
    (root / "train.txt").write_text("./images/train/a.png\n")
    coco = read_published(write_config(root, f"names: [cat]\n{keys}"))
    assert (names(coco), len(coco.annotations)) == (["images/train/a.png"], 1)


@pytest.mark.parametrize("path", ["../far", "/etc", "absent"])
def test_a_split_that_is_elsewhere_is_named_and_not_read(yolo, tmp_path, path):
    root = tmp_path / "set"
    root.mkdir()
    yolo(images="far", labels="far", a="0 0.5 0.5 0.5 0.5")
    with pytest.raises(DataError, match=rf"data.yaml: expected the images of '{path}' below .*set"):
        read_published(write_config(root, f"names: [cat]\ntrain: {path}\n"))


@pytest.mark.parametrize("named", ["labels", ".", "labels/train"])
@pytest.mark.parametrize("classes", ["classes.txt", "data.yaml"])
def test_a_folder_of_labels_has_its_images_beside_it(yolo, named, classes):
    root = yolo("train", a="1 0.5 0.5 0.5 0.5")
    (root / classes).write_text("cat\ndog\n" if classes == "classes.txt" else "names: [cat, dog]")
    coco = read_labels(root / named)
    assert names(coco) == ["images/train/a.png"]
    assert coco.categories == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]


def test_labels_may_lie_beside_their_images_or_in_a_folder_of_another_name(yolo):
    root = yolo(images="mixed", labels="mixed", a="0 0.5 0.5 0.5 0.5")
    (root / "mixed/classes.txt").write_text("cat\n")
    (root / "mixed/train.txt").write_text("mixed/a.png\n")
    (root / "mixed/a.tif").write_text("no image")
    assert names(read_published(root / "mixed")) == ["a.png"]
    yolo(images="set/images", labels="set/boxes", b="0 0.5 0.5 0.5 0.5")
    (root / "set/boxes/classes.txt").write_text("cat\n")
    assert names(read_published(root / "set/boxes")) == ["images/b.png"]


def test_a_configuration_without_splits_stands_for_the_labels_beside_it(yolo):
    config = write_config(yolo(a="0 0.5 0.5 0.5 0.5"), "names: [cat]\n")
    assert names(read_labels(config)) == ["images/a.png"]


def test_a_label_file_without_an_image_or_classes_without_names_are_named(yolo):
    root = yolo(a="0 0.5 0.5 0.5 0.5")
    with pytest.raises(DataError, match=r"labels: expected the names of its classes in data.yaml"):
        read_published(root / "labels")
    (root / "classes.txt").write_text("cat\n")
    (root / "images/a.png").unlink()
    with pytest.raises(DataError, match=r"a.txt: expected its image a.\* in .*images.* found none"):
        read_published(root / "labels")


def test_a_turned_photograph_is_measured_as_it_is_displayed(yolo):
    root = yolo(a="0 0.5 0.5 0.5 0.5")
    (root / "images/a.png").unlink()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(root / "images/a.jpg", exif=exif)
    coco = read_published(write_config(root))
    assert (coco.images[0]["width"], coco.images[0]["height"]) == (20, 40)
    assert coco.annotations[0]["bbox"] == [5, 10, 10, 20]


def test_a_polygon_is_a_box_with_a_mask(yolo):
    coco = read_labels(write_config(yolo(a="0 0.25 0 0.5 0 0.5 0.5\n")))
    assert coco.annotations[0]["bbox"] == [10, 0, 10, 10]
    (cat,) = normalize(coco, *learned_categories(coco, "boxes"))[0].annotations
    assert cat["area"] == pytest.approx(50, abs=10), "half of the box"


def test_poses_have_keypoints_and_their_mirror_partners(yolo):
    coco = read_labels(write_config(yolo(a=HAND), POSE))
    normalized, _ = normalize(coco, *learned_categories(coco, "keypoints"))
    (hand,) = normalized.annotations
    assert hand["bbox"] == [10, 5, 20, 10]
    assert hand["keypoints"] == [10, 10, 2, 20, 18, 1, 0, 0, 0]
    assert hand["num_keypoints"] == 2
    skeleton = build_skeleton(coco.categories)
    assert skeleton.names == ("keypoint_1", "keypoint_2", "keypoint_3")
    assert (skeleton.flip_indices, skeleton.left) == ((0, 2, 1), {1})


def test_keypoints_of_two_numbers_are_marked_unless_both_are_zero(yolo):
    text = "names: [cat, hand]\ntrain: images\nkpt_shape: [2, 2]\nkpt_names: {1: [tip, end]}\n"
    coco = read_labels(write_config(yolo(a="1 0.5 0.5 0.5 0.5 0.25 0 0 0"), text))
    assert coco.annotations[0]["keypoints"] == [10, 0, 2, 0, 0, 0]
    (category,) = coco.categories  # the only one that is used has them
    assert (category["name"], category["keypoints"]) == ("hand", ["tip", "end"])


def test_names_of_sleap_io_have_mirror_partners(yolo):
    text = "path: .\nnames: {0: animal}\nkpt_shape: [3, 3]\nflip_idx: [0, 1, 2]\n"
    text += "node_names: [nose, ear_left, ear_right]\nskeleton: [[0, 1]]\ntrain: images\n"
    skeleton = build_skeleton(read_labels(write_config(yolo(a=HAND), text)).categories)
    assert skeleton.names == ("nose", "ear_left", "ear_right")
    assert skeleton.flip_indices == (0, 2, 1)


def test_coco_people_are_coco_people(yolo):
    flips = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    text = f"names: [person]\ntrain: images\nkpt_shape: [17, 3]\nflip_idx: {flips}\n"
    coco = read_labels(write_config(yolo(a="0 .5 .5 .5 .5" + " 0.5 0.5 2" * 17), text))
    skeleton = build_skeleton(coco.categories)
    assert (skeleton.names[0], skeleton.sigmas_from) == ("nose", "coco")
    assert skeleton.flip_indices == tuple(flips)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0.5 0.5 0.2", "expected class, x, y, width and height"),
        ("0 0.5 0.5 0.2 0.2 0.9", "expected class, x, y, width and height"),
        ("0 0.5 0.5 0.2 wide", "expected numbers"),
        ("0 0.5 0.5 0.2 nan", "expected numbers"),
        ("2 0.5 0.5 0.2 0.2", r"expected a class of .*data.yaml \(0 to 1\)"),
        ("0.5 0.5 0.5 0.2 0.2", "expected a class of"),
        ("0 20 10 5 5", "expected fractions of the image's width and height"),
        ("0 .5 .5 .5 .5" + " .5 .5 2" * 4, ".*; for keypoints, name a data.yaml with kpt_shape"),
    ],
)
def test_a_malformed_line_is_named(yolo, line, expected):
    config = write_config(yolo(a=f"0 0.5 0.5 0.2 0.2\n{line}\n"))
    with pytest.raises(DataError, match=f"a.txt, line 2: {expected}") as caught:
        read_labels(config)
    assert f"found {line!r}; correct the line" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0 0.5 0.5 0.5 0.5", r"expected 14 numbers: class, .* and 3 for each of 3 keypoints"),
        (HAND.replace("0.9 1", "0.9 3"), "expected 0, 1 or 2 as the third number"),
        (HAND.replace("0.9 1", "9 1"), "expected fractions"),
    ],
)
def test_a_malformed_pose_is_named(yolo, line, expected):
    with pytest.raises(DataError, match=f"a.txt, line 1: {expected}"):
        read_labels(write_config(yolo(a=line), POSE))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "bodyparts: [nose]\n",
            "expected a YOLO data.yaml with the names .* found the keys bodyparts",
        ),
        ("names: cat\n", "names: expected a list of classes, found 'cat'"),
        ("names: {0: cat, 3: cat}\n", "expected a name of its own for .* 'cat' 2 times; rename"),
        ("names: [cat]\ntrain: labels\n", "expected images with label files"),
        ("names: [\n", "expected YAML"),
        (POSE.replace("[3, 3]", "[3, 4]"), r"kpt_shape: expected \[keypoints, 2 or 3\]"),
        (POSE.replace("[0, 2, 1]", "[1, 2, 0]"), "flip_idx: expected the keypoints 0 to 2"),
        (POSE.replace("[0, 2, 1]", "[0, 2]"), "flip_idx: expected the keypoints 0 to 2"),
    ],
)
def test_a_malformed_configuration_is_named(yolo, text, expected):
    with pytest.raises(DataError, match=f"data.yaml: {expected}"):
        read_labels(write_config(yolo(a=HAND), text))


def test_an_absent_configuration_is_named(tmp_path):
    with pytest.raises(DataError, match=r"data.yaml: no such file"):
        read_labels(tmp_path / "data.yaml")


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{former}'] * 9)}]\n" for former, name in pairwise("abcdefghij")
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{LAUGHS}names: *j\n", "aliases that stand for more than 10,000,000 values"),
        (f"{LAUGHS}names: [a]\ntrain: *j\n", "aliases that stand for"),
        ("names: &a [*a]\n", "more than 50 deep"),
        (f"names: {'[' * 3000}{']' * 3000}", "recursion"),
        ('names: ["\\ud800"]\n', "surrogates not allowed"),
        (f"names: {{{'9' * 400}: a}}\n", "a whole number above 1e\\+300"),
        ("names: {99999999999: a}\n", "expected a list of classes"),
        ("names: [a]\nkpt_shape: [999999999, 3]\n", "kpt_shape: expected"),
    ],
)
def test_yaml_without_end_is_one_message(yolo, text, message):
    config = write_config(yolo(a="0 0.5 0.5 0.5 0.5"), text)
    with pytest.raises(DataError, match=rf"data\.yaml: .*{message}") as refusal:
        read_published(config)
    assert len(str(refusal.value)) < 500
