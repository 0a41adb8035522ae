"""Options, folders and divisions that `new` accepts or refuses."""

import shutil

import pytest
from own_files import LABELS, OTHERS, refused, whole, write_images
from PIL import Image


def test_a_folder_that_is_absent_is_refused(project, run):
    said = refused(project, run, *LABELS[:2], "--images", "mine/nowhere", *OTHERS)
    assert "mine/nowhere: expected a folder of images, found none" in said


def test_a_folder_of_unlabelled_images_must_hold_some_and_others_than_the_labelled(project, run):
    (project.mine / "empty").mkdir()
    (project.mine / "photos/inside").mkdir()
    shutil.copytree(project.mine / "photos", project.mine / "copies")
    write_images(project.mine / "mixed", [60])
    (project.mine / "mixed/clip.mp4").touch()
    for name, expected in {
        "empty": "mine/empty: expected images or videos, found none",
        "photos/inside": "mine/photos/inside: expected images or videos, found none",
        "nowhere": "mine/nowhere: expected a folder of images or videos, found nothing there",
        "photos": "mine/photos: all 20 unlabelled images are labelled ones or copies of them",
        ".": "found 46 images and 1 videos",
        "mixed": "found 1 images and 1 videos",
        "copies": "mine/copies: all 20 unlabelled images are labelled ones or copies of them",
    }.items():
        assert expected in refused(project, run, *LABELS, "--unlabelled", f"mine/{name}")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--val-fraction", "0.01"), "0.01 of 20 labelled images leaves none for val"),
        (("--val-fraction", "0.99"), "0.99 of 20 labelled images leaves none for training"),
        (("--val-fraction", "nan"), "--val-fraction: expected a number between 0 and 1, found nan"),
        (("--val-fraction", "0"), "0 of 20 labelled images leaves none for val"),
        (("--val-count", "20"), "20 of 20 labelled images leaves none for training"),
        (("--val-count", "-1"), "-1 of 20 labelled images leaves none for val"),
        (
            ("--val-count", "2", "--val-fraction", "0.1"),
            "--val-fraction or --val-count, found both",
        ),
        (("--val", "mine/labels.json", "--val-count", "2"), "omit --val-fraction and --val-count"),
        (("--val-images", "mine/photos"), "--val-images: expected --val too"),
        (("--label-only", "3"), "expected --unlabelled or --label-only, found both"),
        (("--task", "masks"), "--task: expected keypoints or boxes"),
        (("--max-megapixels", "0"), "--max-megapixels: expected a number above 0, at most 10,000"),
        (("--max-megapixels", "20000"), "at most 10,000, found 20000"),
        (("--max-megapixels", "nan"), "at most 10,000, found nan"),
    ],
)
def test_a_division_that_cannot_be_is_refused(project, run, arguments, expected):
    assert expected in refused(project, run, *LABELS, *OTHERS, *arguments)


def test_labels_for_all_need_a_number_that_leaves_some_unlabelled(project, run):
    said = refused(project, run, *LABELS)
    assert "expected --unlabelled, or --label-only N" in said
    for number in ("0", "15", "99"):
        said = refused(project, run, *LABELS, "--label-only", number, "--val-count", "5")
        assert f"--label-only {number}: expected fewer than the 15 images" in said


def test_images_above_the_limit_are_refused_with_the_option_that_raises_it(project, run):
    assert "max_megapixels" not in whole(run, *OTHERS)
    assert project.params().data.max_megapixels == 100
    text = (project.root / "pipelines/own/params.yaml").read_text()
    assert "max_megapixels" not in text
    Image.new("RGB", (100, 100)).save(project.mine / "others/large.png")
    limit = ("--max-megapixels", "0.0099")
    code, said = run("new", "small", *LABELS, *OTHERS, *limit)
    assert code == 0
    assert (
        "unlabelled: 1 images would be refused, such as others/large.png: it has 100 x 100 pixels, "
        "more than 9,900; make it smaller or cut it up, or raise --max-megapixels"
    ) in said
    assert project.params("small").data.max_megapixels == 0.0099
    code, said = run("new", "large", *LABELS, *OTHERS, "--max-megapixels", "0.01")
    assert code == 0
    assert "refused" not in said
    limit = ("--max-megapixels", "0.003")
    assert "none of 20 images can be used" in refused(
        project, run, *LABELS, *OTHERS, *limit, name="no"
    )
