import cv2
import numpy as np
import pytest
from PIL import Image

from datastill.coco.format import PERSON, Coco
from datastill.images.leaks import Leak, find_leaks
from datastill.images.manifest import examine
from datastill.synthetic.keypoint_scenes import draw_people


def listing(**names):
    """A set of images by name, which is their path with __ for / and without its suffix: id."""
    images = [
        {"id": number, "file_name": f"{name.replace('__', '/')}.jpg", "width": 160, "height": 120}
        for name, number in names.items()
    ]
    return Coco(images, [], [PERSON])


def drawn(number):
    return draw_people("leaks", number, 3, "everyday", (160, 120)).image


@pytest.fixture
def write(tmp_path):
    """Write pictures by name, and return the manifest of the images in these sets."""

    def build(pictures, *sets):
        for name, pixels in pictures.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name, quality=90)
        sizes = {name: pixels.shape[:2] for name, pixels in pictures.items()}
        images = [image for coco in sets for image in coco.images if image["file_name"] in sizes]
        for image in images:
            image["height"], image["width"] = sizes[image["file_name"]]
        manifest, refused = examine(tmp_path, images, lambda _: None)
        assert refused == []
        return manifest

    return build


def test_coco_images_are_known_by_id_whether_named_as_in_2014_or_2017():
    val = listing(val2017__000000000139=139, val2014__COCO_val2014_000000000285=285)
    others = {
        "co-80": listing(train2014__COCO_train2014_000000000139=139, x__000000000001=1),
        "un-120": listing(train2017__000000000285=285),
    }
    assert find_leaks(val, others, None) == [
        Leak(
            "co-80",
            "train2014/COCO_train2014_000000000139.jpg",
            "is val2017/000000000139.jpg by its id",
        ),
        Leak(
            "un-120",
            "train2017/000000000285.jpg",
            "is val2014/COCO_val2014_000000000285.jpg by its id",
        ),
    ]


def test_the_same_id_under_another_name_is_no_leak():
    val = listing(val__kitchen=1, val__clip_b_0002=2)
    others = {"mine": listing(train__garden=1, train__clip_a_0002=2, train__kitchen=3)}
    assert find_leaks(val, others, None) == []


def test_of_frames_with_the_same_number_and_name_their_content_tells(write):
    val, other = listing(val__frame_1=1, val__frame_2=2), listing(mine__frame_1=1, mine__frame_2=2)
    names = {"val/frame_1": 0, "val/frame_2": 1, "mine/frame_1": 2, "mine/frame_2": 1}
    manifest = write({f"{name}.jpg": drawn(n) for name, n in names.items()}, val, other)
    assert [leak.file_name for leak in find_leaks(val, {"mine": other}, manifest)] == [
        "mine/frame_2.jpg"
    ]
    unseen = manifest[manifest["file_name"] != "val/frame_1.jpg"]
    assert len(find_leaks(val, {"mine": other}, unseen)) == 2


def test_without_a_manifest_only_ids_are_compared(write):
    val, other = listing(val__a=1), listing(train__b=2)
    manifest = write({"val/a.jpg": drawn(0), "train/b.jpg": drawn(0)}, val, other)
    assert find_leaks(val, {"mine": other}, None) == []
    assert len(find_leaks(val, {"mine": other}, manifest)) == 1


def test_the_same_bytes_are_found_under_any_name(write):
    val, other = listing(val__a=1, val__b=2), listing(train__c=3, train__d=4)
    pictures = {"val/a.jpg": 0, "val/b.jpg": 1, "train/c.jpg": 2, "train/d.jpg": 1}
    manifest = write({name: drawn(number) for name, number in pictures.items()}, val, other)
    assert find_leaks(val, {"mine": other}, manifest) == [
        Leak("mine", "train/d.jpg", "has the very bytes of val/b.jpg")
    ]


def test_images_that_show_nothing_are_known_by_their_bytes_alone(write):
    black, white = (np.full((120, 160, 3), level, np.uint8) for level in (0, 255))
    val, other = listing(val__a=1), listing(train__b=2, train__c=3)
    manifest = write({"val/a.jpg": black, "train/b.jpg": black, "train/c.jpg": white}, val, other)
    assert [leak.file_name for leak in find_leaks(val, {"mine": other}, manifest)] == [
        "train/b.jpg"
    ]


def test_a_mirrored_smaller_copy_of_another_encoding_is_found_and_no_other_picture(write):
    copy = cv2.resize(drawn(7)[:, ::-1], (112, 84), interpolation=cv2.INTER_AREA)
    val = listing(**{f"val__{number}": number for number in range(12)})
    other = listing(**{f"train__{number}": number for number in range(100, 112)}, train__copy=99)
    pictures = {image["file_name"]: drawn(image["id"]) for image in [*val.images, *other.images]}
    manifest = write({**pictures, "train/copy.jpg": copy}, val, other)
    (leak,) = find_leaks(val, {"mine": other}, manifest)
    assert (leak.set, leak.file_name) == ("mine", "train/copy.jpg")
    assert leak.reason.startswith("shows the same as val/7.jpg (")


def test_an_image_is_told_once_by_the_strongest_evidence(write):
    val = listing(val__000000000001=1, val__b=2, val__c=3)
    other = listing(train__000000000001=1, train__x=12, train__y=13)
    pictures = {
        image["file_name"]: drawn(image["id"] % 10) for image in [*val.images, *other.images]
    }
    pictures["train/y.jpg"] = cv2.resize(drawn(3), (120, 90), interpolation=cv2.INTER_AREA)
    manifest = write(pictures, val, other)
    found = {leak.file_name: leak.reason for leak in find_leaks(val, {"mine": other}, manifest)}
    assert found.pop("train/y.jpg").startswith("shows the same as val/c.jpg (")
    assert found == {
        "train/000000000001.jpg": "has the very bytes of val/000000000001.jpg",
        "train/x.jpg": "has the very bytes of val/b.jpg",
    }


def test_a_file_in_several_sets_is_told_of_the_first(write):
    val, one, other = listing(val__a=1), listing(pool__b=2), listing(pool__b=2)
    manifest = write({"val/a.jpg": drawn(0), "pool/b.jpg": drawn(0)}, val, one)
    (leak,) = find_leaks(val, {"one": one, "other": other}, manifest)
    assert leak.set == "one"


def test_the_very_file_of_val_in_another_set_is_found(write):
    val, other = listing(pool__a=1, pool__b=2), listing(pool__b=7, pool__c=8)
    pictures = {f"pool/{name}.jpg": drawn(number) for number, name in enumerate("abc")}
    manifest = write(pictures, val, listing(pool__c=8))
    (leak,) = find_leaks(val, {"mine": other}, manifest)
    assert leak == Leak("mine", "pool/b.jpg", "has the very bytes of pool/b.jpg")


def test_files_that_the_manifest_lacks_are_compared_by_id_alone(write):
    val = listing(val__a=1, val__000000000005=5)
    other = listing(train__a_copy=2, train__000000000005=5, train__broken=6)
    manifest = write({"val/a.jpg": drawn(0), "train/a_copy.jpg": drawn(0)}, val, other)
    assert {leak.file_name for leak in find_leaks(val, {"mine": other}, manifest)} == {
        "train/a_copy.jpg",
        "train/000000000005.jpg",
    }
