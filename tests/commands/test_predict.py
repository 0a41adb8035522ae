"""Command `predict`, as a user types it, on drawn hands."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

import datastill as datastill_package
from datastill.coco.format import image_id
from datastill.commands.export import write_model
from datastill.commands.predict import find_files, run
from datastill.commands.predictors import find_predictor
from datastill.errors import DataError, ParamsError
from datastill.images.load import read_image
from datastill.inference.multi_transform import predict as predict_directly
from datastill.inference.views import Inference, View, all_views, build_inference
from datastill.model.checkpoint import load_detector
from datastill.project.row_models import row_metadata

HANDS = "hands/val"


@pytest.fixture
def command(profile, datastill):
    """Run `datastill predict` with these arguments; return its exit code, stdout and stderr."""

    def predict(*arguments):
        answer = datastill("predict", *arguments)
        return answer.returncode, answer.stdout, answer.stderr

    return predict


def test_a_folder_of_images_becomes_coco_results_that_pycocotools_reads(profile, command, tmp_path):
    to = tmp_path / "new" / "results.json"
    code, out, _ = command("teacher", HANDS, "--to", to)
    assert code == 0
    results = json.loads(to.read_text())
    assert f"{len(results)} objects on 12 images: {to}" in out
    beside = json.loads((tmp_path / "new" / "results.images.json").read_text())
    truth = COCO()
    truth.dataset = {**beside, "annotations": []}
    truth.createIndex()
    loaded = truth.loadRes(str(to))
    assert len(loaded.anns) == len(results) > 0
    assert {cat["name"] for cat in loaded.cats.values()} == {"hand"}
    for image in beside["images"]:
        assert image["id"] == image_id(image["file_name"])
        assert Path(image["file_name"]).is_file()
        assert (image["width"], image["height"]) == (160, 120)
    for result in results:
        assert image_id(result["file_name"]) == result["image_id"]


def test_what_is_found_is_what_evaluation_found(profile, command):
    """The same model on the same files, through another door."""
    evaluated = json.loads(profile.detections("teacher").read_text())
    _, out, _ = command("teacher", HANDS)
    found = json.loads(out)
    assert [round(r["score"], 5) for r in found] == [round(r["score"], 5) for r in evaluated]
    for mine, theirs in zip(found, evaluated, strict=True):
        assert mine["category_id"] == 3
        np.testing.assert_allclose(mine["keypoints"], theirs["keypoints"], atol=0.006)


def test_boxes_lie_in_the_image_and_every_finger_has_a_probability(profile, command):
    _, out, _ = command("teacher", f"{HANDS}/041.jpg")
    (found, *_) = json.loads(out)
    x, y, width, height = found["bbox"]
    assert min(x, y) >= 0
    assert x + width <= 160
    assert y + height <= 120
    assert len(found["keypoints"]) == 15
    assert all(0 < p <= 1 for p in found["keypoints"][2::3])


@pytest.mark.parametrize("views", ["all", "4"])
def test_all_views_are_those_of_multi_transform_inference(profile, command, views):
    _, out, _ = command("teacher", f"{HANDS}/041.jpg", "--views", views)
    detector, _ = load_detector(profile.weights("teacher"))
    flip_indices = row_metadata(profile, "student").skeleton.flip_indices
    how = Inference(View(128, 360), all_views([96, 128], 360, flip=True), flip_indices)
    (expected,) = predict_directly(detector, [read_image(Path(f"{HANDS}/041.jpg"))], how)
    found = np.array([r["keypoints"] for r in json.loads(out)]).reshape(-1, 5, 3)
    np.testing.assert_allclose(found, expected.keypoints, atol=0.006)


def test_the_views_and_the_vote_are_those_of_the_params(profile):
    settings = replace(profile.params.views.settings(), flip=False, long_side=200, voting_iou=0.7)
    how = build_inference(settings, row_metadata(profile, "student"), None)
    assert how.views == (View(96, 200), View(128, 200))
    assert (how.single_scale, how.voting_iou) == (View(128, 360), 0.7)


def test_fewer_views_are_those_closest_to_the_plain_one(profile):
    model = find_predictor("teacher", "miniature").model
    views = model.inference(3).views
    assert [(v.short_side, v.flip) for v in views] == [(128, False), (128, True), (96, False)]
    assert model.inference(1).views == (View(128, 360),)


@pytest.mark.parametrize("views", ["0", "5", "many", "-1", "1.5"])
def test_a_wrong_number_of_views_is_told_before_anything_is_written(command, tmp_path, views):
    to = tmp_path / "results.json"
    code, _, told = command("teacher", HANDS, f"--views={views}", "--to", to)
    assert code == 1
    assert "--views: expected" in told
    assert not list(tmp_path.iterdir())


def test_bad_images_are_named_and_the_rest_is_done(command, tmp_path):
    good = Path(f"{HANDS}/041.jpg").read_bytes()
    for name, content in {"a.jpg": good, "b.jpg": good[:500], "c.png": b"", "d.txt": b"x"}.items():
        (tmp_path / name).write_bytes(content)
    code, out, told = command("teacher", tmp_path, "nowhere.jpg")
    assert code == 0
    assert {Path(r["file_name"]).name for r in json.loads(out)} == {"a.jpg"}
    for name in ("b.jpg: no readable", "c.png: no readable", "nowhere.jpg: no such file"):
        assert name in told
    assert "d.txt" not in told


def test_the_user_says_how_large_an_image_may_be(command, tmp_path):
    path = str(tmp_path / "large.png")
    Image.fromarray(np.zeros((90, 120, 3), np.uint8)).save(path)
    code, _, said = command("student", path, "--max-megapixels", "0.010799")
    assert (code, "it has 120 x 90 pixels, more than 10,799; " in said) == (1, True)
    assert "or raise --max-megapixels" in said
    assert command("student", path, "--max-megapixels", "0.0108")[0] == 0
    for wrong in ("nan", "0", "20000"):
        code, _, said = command("student", path, "--max-megapixels", wrong)
        assert (code, "--max-megapixels: expected a number above 0" in said) == (1, True)


def test_where_no_image_can_be_read_nothing_is_written(command, tmp_path):
    (tmp_path / "empty").mkdir()
    code, _, told = command("teacher", tmp_path / "empty", "--to", tmp_path / "r.json")
    assert code == 1
    assert "expected images, found none that can be read" in told
    assert not list(tmp_path.glob("*.json"))


@pytest.mark.parametrize("to", ["a.jpg", "a.PNG", "a.mp4", "image"])
def test_results_do_not_replace_an_image(tmp_path, monkeypatch, to):
    """Such as the first of `--to *.jpg`, or an input."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParamsError, match=f"--to: expected .*, found an image or video: .*{to}"):
        find_files(["b.jpg", "image"], tmp_path / to)
    assert find_files(["b.jpg"], Path("results.json")) == (["b.jpg"], [])


@pytest.mark.parametrize("name", ["a.mp4", "a.jpg"])
@pytest.mark.parametrize("named", ["in/{}", "in", "link/{}"])
def test_nothing_is_drawn_over_an_input_or_beside_it(tmp_path, monkeypatch, name, named):
    """A video would be lost, and pictures be images for the next prediction on their folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("in", "link", "other"):
        Path(folder).mkdir()
    Path("in", name).touch()
    Path("link", name).symlink_to(Path("in", name).absolute())
    to = Path("tables") if name == "a.mp4" else Path("results.json")
    with pytest.raises(ParamsError, match=f"--draw: in has .*{name}, .*choose a folder of its own"):
        find_files([named.format(name)], to, Path("in"))
    assert any(find_files([named.format(name)], to, Path("other")))


@pytest.mark.parametrize(
    ("to", "foreign", "ours"),
    [
        ("x.json", '{"images": []}', ["[]\n", '[{"image_id": 7, "file_name": "a.jpg"}]']),
        ("x/a.csv", "frame,time\n0,0.0\n", ["scorer,datastill,", "frame,category,x,y,"]),
    ],
)
def test_results_replace_former_ones_and_no_other_file(tmp_path, monkeypatch, to, foreign, ours):
    """Such as labels, or the times of a video's frames."""
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    name, asked = ("a.jpg", Path(to)) if to == "x.json" else ("a.mp4", Path("x"))
    for text in ["", *ours]:
        Path(to).write_text(text)
        assert any(find_files([name], asked))
    Path(to).write_text(foreign)
    with pytest.raises(ParamsError, match=f"--to: {to} is there, and no prediction wrote it"):
        find_files([name], asked)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="a folder of Linux")
@pytest.mark.parametrize("option", ["--to=/proc/x/y.json", "--to=/proc/y.json", "--draw=/proc/x"])
def test_a_folder_that_cannot_be_made_is_one_sentence(command, option):
    code, _, said = command("teacher", f"{HANDS}/041.jpg", option)
    assert code == 1
    assert "datastill: /proc" in said
    assert "folder cannot be made or written to: No such file or directory; choose" in said


def test_pictures_show_what_was_found(profile, command, tmp_path):
    _, out, _ = command("teacher", f"{HANDS}/041.jpg", "--draw", tmp_path / "drawn")
    (path,) = (tmp_path / "drawn").iterdir()
    drawn, plain = cv2.imread(str(path)), cv2.imread(f"{HANDS}/041.jpg")
    assert drawn.shape == plain.shape
    best = json.loads(out)[0]
    x, y, _ = np.rint(best["keypoints"][:3]).astype(int)
    assert tuple(drawn[y, x]) == (60, 220, 250)  # a wrist has no side
    changed = (drawn != plain).any(-1).mean()
    assert 0 < changed < 0.5


def test_pictures_leave_out_what_is_below_the_score_asked_for(profile, command, tmp_path):
    plain = cv2.imread(f"{HANDS}/041.jpg")
    changed = []
    for score in (0, 0.999):
        folder = tmp_path / f"{score}"
        command("teacher", f"{HANDS}/041.jpg", "--draw", folder, "--min-score", score)
        (path,) = folder.iterdir()
        changed.append((cv2.imread(str(path)) != plain).any())
    assert changed == [True, False]


def test_the_same_image_named_twice_is_looked_at_once(command):
    _, once, _ = command("teacher", f"{HANDS}/041.jpg")
    _, twice, _ = command("teacher", f"{HANDS}/041.jpg", f"{HANDS}/041.jpg")
    assert once == twice


def test_what_is_neither_folder_nor_row_is_told_with_the_rows(command, tmp_path):
    code, _, told = command(tmp_path, HANDS)
    assert code == 1
    assert "neither a model folder (no card.json in it) nor a row; rows: teacher, student" in told


def test_a_folder_predicts_what_its_row_does_and_needs_no_profile(profile, tmp_path, monkeypatch):
    mine = run(find_predictor("teacher", "miniature", 2), [HANDS], None, None)
    write_model(profile, "teacher", tmp_path / "moved")
    image = str(Path(HANDS).resolve())
    monkeypatch.chdir(tmp_path)
    found = run(find_predictor("moved", "nowhere", 2), [image], None, None)
    loaded = datastill_package.load("moved", 2).predict(sorted(Path(image).iterdir()))
    boxes = [[(r["bbox"], r["keypoints"]) for r in json.loads(text)] for text in (mine, found)]
    assert boxes[0] == boxes[1] == [(r["bbox"], r["keypoints"]) for each in loaded for r in each]


def test_a_loaded_folder_draws_from_where_its_row_matches_the_objects_of_val(profile, tmp_path):
    """As many detections on val as there are hands reach the threshold, in the row as exported."""
    write_model(profile, "teacher", tmp_path / "model")
    loaded = datastill_package.load(tmp_path / "model")
    assert loaded.thresholds == find_predictor("teacher", "miniature").thresholds
    val = json.loads(profile.image_set("val").read_text())
    hands = sum(bool(a["num_keypoints"]) and not a["iscrowd"] for a in val["annotations"])
    detections = json.loads(profile.detections("teacher").read_text())
    assert 0 < hands < len(detections)
    assert len(loaded.visible(detections)) == hands
    with pytest.raises(DataError, match=r"card\.json: no such file; `datastill export ROW`"):
        datastill_package.load(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "not the weights of its card"),
        (lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors: no such file"),
        (lambda f: (f / "card.json").write_text("{"), "found other text"),
        (lambda f: (f / "card.json").write_text('{"row": 1}'), "the card of an exported model"),
    ],
)
def test_a_folder_that_is_no_model_is_one_message(profile, tmp_path, spoil, message):
    spoil(write_model(profile, "teacher", tmp_path / "model"))
    with pytest.raises(DataError, match=message):
        find_predictor(str(tmp_path / "model"), "miniature")


def test_predicting_loads_no_library_that_it_does_not_need(profile):
    script = (
        "import sys; from datastill.commands import predict, predictors; "
        "predictor = predictors.find_predictor('teacher', 'miniature'); "
        f"predict.run(predictor, ['{HANDS}/041.jpg'], None, None); "
        "print({'mlflow', 'pandas', 'cv2', 'matplotlib', 'lightning_fabric'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert answer.stdout == "set()\n", answer.stderr
