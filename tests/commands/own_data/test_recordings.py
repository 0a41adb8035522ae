"""Command `new` on frames of one camera, and on an ordinary set beside it."""

import csv
import re

import pytest
from own_files import LABELS, OTHERS, labels, pictures, refused, whole, write
from PIL import Image
from places import ROOT
from tiny import picture

from datastill.commands.own_data.inputs import Division
from datastill.images.splits import Span

COUNT = 40
REASON = f"{COUNT} of {COUNT} labelled images show one recording"


def frame(number):
    """The same scene, in which a small object moves."""
    pixels = picture(7)
    pixels[20:22, number : number + 2] = 128
    return Image.fromarray(pixels)


@pytest.fixture
def recording(project):
    for number in range(COUNT):  # written as 0.jpg, 1.jpg, ... 39.jpg
        frame(number).save(project.mine / f"photos/{number}.jpg", quality=92)
    write(project.mine / "labels.json", labels([*range(0, COUNT, 2), *range(1, COUNT, 2)]))
    return project


def test_a_recording_is_split_by_time_with_a_gap_and_keeps_its_labels(recording, run):
    said = whole(run, *OTHERS)
    assert (
        f"{REASON}: val is the last 4 in the order of their names, the 2 before it are left out"
    ) in said
    assert "34 labelled images look like val's, as frames of one recording do" in said
    data = recording.params().data
    assert (data.leaks, data.leaks_reason) == ("allow", REASON)
    code, said = run("data", "--profile", "own")
    assert code == 0, said
    assert f"keeps 34 images of other sets that look like val's ({REASON})" in said
    assert pictures(recording.set("val")) == [36, 37, 38, 39]
    assert pictures(recording.set("labelled")) == list(range(34))


def test_frames_of_a_recording_that_are_labelled_later_are_noted_by_plan(recording, run):
    whole(run, *OTHERS)
    quick = ("plan", "own", "--no-pixels", "--probe-seconds", "0")
    assert "are in no set" not in run(*quick)[1]
    later = range(COUNT, COUNT + 3)
    for number in later:
        Image.fromarray(picture(number)).save(recording.mine / f"photos/{number}.jpg")
    write(recording.mine / "labels.json", labels([*range(COUNT), *later]))
    _, said = run(*quick)
    note = "3 of 43 images of labels.json are in no set; data.val.part.block ends at 40"
    assert said.count(note) == 1
    (recording.mine / "photos/42.jpg").unlink()  # an image that is not there has no place
    assert "2 of 42 images of labels.json are in no set" in run(*quick)[1]


def test_few_labels_of_a_recording_are_any_frames_before_the_gap(recording, run):
    whole(run, "--label-only", "5", "--val-fraction", "0.25")
    assert run("data", "--profile", "own")[0] == 0
    few, others, val = (pictures(recording.set(name)) for name in ("labelled", "unlabelled", "val"))
    assert val == list(range(30, 40))
    assert len(few) == 5
    assert few != list(range(5))
    assert sorted(few + others) == list(range(28))
    families = {image.get("family", image["id"]) for image in recording.set("val").images}
    assert len(families) == 5


def test_unlabelled_frames_of_the_same_recording_are_said_to_be(recording, run):
    for number in (1, 38):
        frame(number).save(recording.mine / f"others/{200 + number}.jpg", quality=80)
    said = whole(run, *OTHERS)
    assert "34 labelled and 2 unlabelled images look like val's" in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(recording.set("unlabelled")) == [100, 101, 102, 103, 104, 201, 238]


def test_a_copy_of_a_frame_of_val_is_an_error(recording, run):
    source = recording.mine / "photos/38.jpg"
    (recording.mine / "others/copy.jpg").write_bytes(source.read_bytes())
    said = refused(recording, run, *LABELS, *OTHERS)
    assert "1 images are in val and in another set, such as unlabelled/copy.jpg has the" in said


def test_the_gap_is_2_percent_of_a_long_recording():
    spans = Division(None, None, None, 3).spans(1000, has_val=False, recording=True)
    assert spans == {"val": Span(3, 0, None, (900, 1000)), "labelled": Span(3, 0, None, (0, 880))}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--val-count", "38"), "leaves none for training, with a gap of 2 before val"),
        (("--label-only", "34"), "fewer than the 34 images that are not in val or the gap"),
    ],
)
def test_a_gap_leaves_fewer_images(recording, run, arguments, expected):
    others = () if "--label-only" in arguments else OTHERS
    assert expected in refused(recording, run, *LABELS, *others, *arguments)


def test_labels_of_a_recording_with_val_of_its_own_are_divided_frame_by_frame(recording, run):
    numbers = range(50, 54)
    (recording.mine / "test").mkdir()
    for number in numbers:
        Image.fromarray(picture(number)).save(recording.mine / f"test/{number}.jpg")
    write(recording.mine / "test.json", labels(numbers))
    own = ("--val", "mine/test.json", "--val-images", "mine/test")
    whole(run, *own, "--label-only", "5")
    assert recording.params().data.leaks == "drop"
    assert run("data", "--profile", "own")[0] == 0
    parts = [pictures(recording.set(name)) for name in ("labelled", "unlabelled")]
    assert (len(parts[0]), sorted(parts[0] + parts[1])) == (5, list(range(COUNT)))


def test_val_of_its_own_from_the_same_recording_is_said_what_to_do_about(recording, run):
    content = labels(range(3))
    (recording.mine / "test").mkdir()
    for number in range(3):
        frame(number).save(recording.mine / f"test/{number}.jpg", quality=80)
    write(recording.mine / "test.json", content)
    said = whole(run, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test")
    assert "40 labelled images resemble val and will be left out" in said
    assert "write leaks: allow and a leaks_reason" in said


def test_a_mirrored_copy_between_labels_and_val_of_an_ordinary_set_is_dropped(project, run):
    (project.mine / "test").mkdir()
    copy = Image.fromarray(picture(3)[:, ::-1]).resize((56, 42))
    copy.save(project.mine / "test/50.jpg", quality=70)
    Image.fromarray(picture(51)).save(project.mine / "test/51.jpg")
    content = labels([50, 51])
    content["images"][0] |= {"width": 56, "height": 42}
    write(project.mine / "test.json", content)
    said = whole(run, *OTHERS, "--val", "mine/test.json", "--val-images", "mine/test")
    assert "1 labelled images resemble val and will be left out" in said
    assert "leaks: allow" not in said
    assert run("data", "--profile", "own")[0] == 0
    assert pictures(project.set("labelled")) == [n for n in range(20) if n != 3]


def test_an_ordinary_set_with_a_mirrored_copy_has_both_in_one_part(project, run):
    copy = Image.fromarray(picture(3)[:, ::-1])
    copy.save(project.mine / "photos/30.jpg", quality=70)
    write(project.mine / "labels.json", labels([*range(20), 30]))
    said = whole(run, *OTHERS, "--val-fraction", "0.5")
    assert "recording" not in said
    data = project.params().data
    assert (data.leaks, data.val.part.block) == ("drop", None)
    assert run("data", "--profile", "own")[0] == 0
    val = pictures(project.set("val"))
    assert (3 in val) == (30 in val)


MOUSE = ROOT.parent / "shared/real/mouse/labeled-data/m4s1"


@pytest.mark.slow
@pytest.mark.skipif(not MOUSE.is_dir(), reason=f"{MOUSE} is not there")
def test_frames_of_a_mouse_in_an_open_field_keep_at_least_9_of_10_labels(project, run):
    with next(MOUSE.glob("*.csv")).open(newline="") as file:
        _, names, _, *lines = csv.reader(file)
    category = {"id": 1, "name": "mouse", "keypoints": names[1::2]}
    content = {"images": [], "annotations": [], "categories": [category]}
    for number, (path, *cells) in enumerate(lines, start=1):
        points = [(float(x), float(y)) for x, y in zip(cells[::2], cells[1::2], strict=True) if x]
        keypoints = [v for x, y in zip(cells[::2], cells[1::2], strict=True)
                     for v in ((float(x), float(y), 2) if x else (0, 0, 0))]  # fmt: skip
        (left, right), (top, bottom) = (
            (min(each), max(each)) for each in zip(*points, strict=True)
        )
        name = path.rpartition("/")[2]
        content["images"].append({"id": number, "file_name": name, "width": 640, "height": 480})
        box = [left, top, max(right - left, 1), max(bottom - top, 1)]
        record = {"id": number, "image_id": number, "category_id": 1, "bbox": box, "iscrowd": 0}
        kept = {"keypoints": keypoints, "num_keypoints": len(points)}
        content["annotations"].append(record | kept)
    write(project.mine / "mouse.json", content)
    images = ("--labelled", "mine/mouse.json", "--images", str(MOUSE))
    code, said = run("new", "own", *images, *OTHERS)
    assert code == 0, said
    assert re.search(r"\d+ of 116 labelled images show one recording: val is the last 12", said)
    code, said = run("data", "--profile", "own")
    assert code == 0, said
    numbers = [
        [
            int(re.search(r"(\d+)[.]png", image["file_name"])[1])
            for image in project.set(name).images
        ]
        for name in ("labelled", "val")
    ]
    assert [sorted(each) for each in numbers] == [list(range(102)), list(range(104, 116))]
