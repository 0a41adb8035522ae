"""Annotating again, and asking why, after a real `dvc repro`: through the command line."""

import json
import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from datastill.errors import DataError
from datastill.evaluation import quality_text
from datastill.project import image_sets, row_models
from datastill.project.image_sets import load
from datastill.project.profile import Profile, open_profile
from datastill.project.row_models import row_metadata, teacher_inference, unlabelled_subset
from datastill.stages import annotate as annotate_stage

ROW = "co-35_co-80"


def evidence(project):
    return pd.read_parquet(project.root / f"work/miniature/annotations/{ROW}.parquet")


def card(project):
    return json.loads((project.root / f"results/miniature/annotations/{ROW}.json").read_text())


@pytest.fixture
def annotate(copy, datastill):
    """Run `datastill annotate` with other values in section `select`."""

    def run(**select):
        params = copy.params()
        params["select"] |= select
        copy.write_params(params)
        return datastill("annotate", ROW, cwd=copy.root)

    return run


def shards(project):
    files = sorted((project.root / "work/miniature/shards").rglob("*.parquet"))
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_another_rule_decides_anew_and_looks_at_no_image(copy, annotate):
    before, looked = card(copy), shards(copy)
    least = round(float(np.median(evidence(copy)["score"])), 6)
    answer = annotate(instances="fixed", min_score=least)
    assert answer.returncode == 0
    assert "predicting" not in answer.stderr
    assert shards(copy) == looked
    found = evidence(copy)
    assert found["accepted"].equals(found["score"] >= least)
    assert card(copy)["instances"] == found["accepted"].sum() != before["instances"]


def test_annotating_again_gives_the_same_bytes(copy, annotate):
    path = copy.root / f"work/miniature/annotations/{ROW}.json"
    before = path.read_bytes()
    assert annotate().returncode == 0
    assert path.read_bytes() == before


def test_images_without_annotations_are_dropped_where_the_params_say_so(copy, annotate):
    before = card(copy)
    answer = annotate(images_without="drop", instances="prior", per_image=0.3)
    assert answer.returncode == 0
    after = card(copy)
    assert after["images_without_annotations"] > 0
    assert after["images"] == before["images"] - after["images_without_annotations"]
    content = json.loads((copy.root / f"work/miniature/annotations/{ROW}.json").read_text())
    assert {i["id"] for i in content["images"]} == {a["image_id"] for a in content["annotations"]}


def test_doubtful_candidates_become_regions_to_ignore_where_the_params_say_so(copy, annotate):
    before = card(copy)
    assert annotate(min_ignored=0.06).returncode == 0
    after, found = card(copy), evidence(copy)
    assert after["ignored"] == found["ignored"].sum() > before["ignored"] == 0
    assert after["quality"] == before["quality"]
    content = json.loads((copy.root / f"work/miniature/annotations/{ROW}.json").read_text())
    assert sum(a["iscrowd"] for a in content["annotations"]) == after["ignored"]
    assert sum(1 - a["iscrowd"] for a in content["annotations"]) == after["instances"]


def test_regions_to_ignore_go_with_the_images_that_are_dropped(copy, annotate):
    answer = annotate(images_without="drop", instances="prior", per_image=0.3, min_ignored=1e-6)
    assert answer.returncode == 0, answer.stderr
    found = evidence(copy)
    content = json.loads((copy.root / f"work/miniature/annotations/{ROW}.json").read_text())
    there = {image["id"] for image in content["images"]}
    assert there == set(found[found["accepted"]]["image_id"]) < set(found["image_id"])
    assert {a["image_id"] for a in content["annotations"]} == there
    assert card(copy)["ignored"] == found[found["image_id"].isin(there)]["ignored"].sum() > 0


def test_the_card_says_what_other_thresholds_would_have_given(reproduced):
    found = card(reproduced)
    curve = found["sensitivity"]
    thresholds = [point["threshold"] for point in curve]
    assert thresholds == sorted(thresholds, reverse=True)
    assert len(curve) >= 3
    densities = [point["instances_per_image"] for point in curve]
    assert densities == sorted(densities)
    recalls = [point["recall50"] for point in curve]
    assert recalls == sorted(recalls)
    in_force = min(
        curve, key=lambda p: abs(p["threshold"] - found["thresholds"]["instance"]["value"])
    )
    assert in_force["precision50"] == pytest.approx(found["quality"]["precision50"], abs=0.02)
    assert in_force["recall50"] == pytest.approx(found["quality"]["recall50"], abs=0.02)


def test_the_card_compares_the_unlabelled_set_with_the_labelled_one(reproduced):
    drift = card(reproduced)["drift"]
    assert set(drift["shift"]) == {"size", "aspect", "brightness"}
    assert sum(drift["labelled"]["images_by_instances"]) == 12  # 35,504 at 1:3000
    assert sum(drift["unlabelled"]["images_by_instances"]) == 28
    per_image = sum(drift["unlabelled"]["candidates_per_image_by_score"])
    assert per_image == pytest.approx(len(evidence(reproduced)) / 28, abs=0.01)
    in_force = drift["unlabelled"]["found_per_image"]
    assert in_force == pytest.approx(card(reproduced)["instances_per_image"], abs=0.001)
    assert sum(drift["labelled"]["candidates_per_image_by_score"]) > 0


def test_other_code_looks_again(copy, monkeypatch):
    before = shards(copy)
    views = copy.root / "src/datastill/inference/views.py"
    views.write_text(views.read_text() + "# what it finds may be other\n")
    monkeypatch.setenv("PYTHONPATH", str(copy.root / "src"))
    assert copy.run("datastill", "annotate", ROW).returncode == 0
    assert len(shards(copy)) == 2 * len(before)
    choosing = copy.root / "src/datastill/distill/thresholds.py"
    choosing.write_text(choosing.read_text() + "# what is chosen may be other\n")
    assert copy.run("datastill", "annotate", ROW).returncode == 0
    assert len(shards(copy)) == 2 * len(before)


def test_labelled_images_that_are_gone_are_made_again_to_be_compared(copy):
    before = card(copy)["drift"]
    shutil.rmtree(copy.root / "work/miniature/images/co-35")
    shutil.rmtree(copy.root / "work/miniature/shards")
    assert copy.run("datastill", "annotate", ROW).returncode == 0
    assert card(copy)["drift"] == before


def test_what_could_not_be_read_is_looked_at_again_once_it_can(copy, annotate):
    """A network disk that was away: its images are no longer lost to every row of the teacher."""
    before, found = evidence(copy), card(copy)
    shutil.rmtree(copy.root / "work/miniature/shards")
    picture = copy.root / "work/miniature/images/co-80/000003.jpg"
    content = picture.read_bytes()
    picture.write_bytes(content[:200].ljust(len(content), b"\0"))
    assert annotate(max_unreadable_fraction=0.5).returncode == 0
    assert [each["file_name"] for each in card(copy)["images_refused"]] == ["co-80/000003.jpg"]
    looked = shards(copy)
    assert annotate().returncode == 0
    assert shards(copy) == looked  # it is as broken as before
    picture.write_bytes(content)
    answer = annotate()
    assert answer.returncode == 0
    assert "predicting" in answer.stderr
    pd.testing.assert_frame_equal(evidence(copy), before)
    assert card(copy)["instances"] == found["instances"]


def test_unreadable_images_are_named_and_too_many_are_an_error(copy, annotate):
    shutil.rmtree(copy.root / "work/miniature/shards")
    picture = copy.root / "work/miniature/images/co-80/000003.jpg"
    content = picture.read_bytes()
    picture.write_bytes(content[:200].ljust(len(content), b"\0"))  # of the same size
    answer = annotate(max_unreadable_fraction=0.0)
    assert answer.returncode == 1
    assert "1 of 28 images cannot be read" in answer.stderr
    assert "000003.jpg" in answer.stderr


def test_why_tells_of_every_candidate_what_was_decided_and_draws_it(reproduced, datastill):
    found = evidence(reproduced)
    image_id = int(found["image_id"].iloc[0])
    mine = found[found["image_id"] == image_id]
    answer = datastill("why", ROW, image_id, cwd=reproduced.root)
    assert answer.returncode == 0, answer.stderr
    assert f"{len(mine)} candidates of teacher co-35" in answer.stdout
    assert answer.stdout.count("accepted: score") == mine["accepted"].sum()
    assert answer.stdout.count("rejected: score") == (~mine["accepted"]).sum()
    assert answer.stdout.count("left_ankle") == len(mine)
    picture = reproduced.root / answer.stdout.splitlines()[-1]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_why_does_not_draw_what_other_weights_see(copy, datastill):
    """Such as those of a teacher trained again since it annotated."""
    models = copy.root / "work/miniature/models"
    shutil.copy(models / ROW / "weights.safetensors", models / "co-35")
    answer = datastill("why", ROW, int(evidence(copy)["image_id"].iloc[0]), cwd=copy.root)
    assert answer.returncode == 1
    assert f"other weights than these decided on the candidates of {ROW}; run" in answer.stderr
    assert not answer.stdout


def test_why_of_an_image_that_is_not_there_is_one_message(reproduced, datastill):
    answer = datastill("why", ROW, 7, cwd=reproduced.root)
    assert answer.returncode == 1
    assert "co-80: no image 7; its ids run from" in answer.stderr


def test_why_of_an_image_that_the_teacher_was_not_asked_about_says_so(copy, datastill, monkeypatch):
    params = copy.params()
    params["distilled"][ROW]["ablation"] = {"fraction": 0.5}
    copy.write_params(params)
    content = json.loads((copy.root / "work/miniature/data/co-80.json").read_text())
    monkeypatch.chdir(copy.root)
    asked = {image["id"] for image in unlabelled_subset(open_profile("miniature"), ROW).images}
    other = next(image["id"] for image in content["images"] if image["id"] not in asked)
    answer = datastill("why", ROW, other, cwd=copy.root)
    assert answer.returncode == 1
    assert f"no image {other} in the 0.5 of co-80 that its teacher annotates" in answer.stderr


def test_ray_is_asked_where_the_params_say_so(profile, monkeypatch):
    asked = []
    monkeypatch.setattr(
        annotate_stage, "find_on_cluster", lambda actor, shards, _: asked.append((actor, shards))
    )
    monkeypatch.setattr(
        annotate_stage, "inference_code", lambda: "other, so that no shard is known"
    )
    machine = profile.params.machine.model_copy(update={"engine": "ray"})
    other = Profile(profile.params.model_copy(update={"machine": machine}))
    images = load(profile, "unlabelled").images
    metadata = row_metadata(other, "student")
    inference = teacher_inference(other, "student", metadata)
    annotate_stage.find(other, "teacher", metadata, inference, images)
    ((actor, shards),) = asked
    assert actor.weights == profile.weights("teacher").absolute()
    assert [image for shard in shards for image in shard.images] == images


def test_the_expected_quality_stands_beside_the_true_one_and_decides_nothing(
    profile, monkeypatch, caplog
):
    annotations = profile.annotations("student").read_bytes()
    line = annotate_stage.run(profile, "student")
    found = json.loads(profile.annotation_card("student").read_text())
    expected = found["expected"]
    assert expected["images"] == 12  # all of val
    low, high = expected["precision_interval"]
    assert low < expected["precision"] < high
    assert line.startswith(f"student: expected precision {expected['precision']:.2f} [{low:.2f}")
    warned = [each for each in found["warnings"] if "the expected precision" in each]
    assert bool(warned) == (expected["precision"] < quality_text.POOR)
    monkeypatch.setattr(quality_text, "POOR", expected["precision"] + 0.01)
    annotate_stage.run(profile, "student")
    assert "student: the expected precision of the annotations is" in caplog.text
    assert profile.annotations("student").read_bytes() == annotations


def test_too_low_an_expected_precision_stops_before_anything_is_written(profile):
    annotate_stage.run(profile, "student")
    select = profile.params.select.model_copy(update={"min_expected_precision": 0.999})
    strict = Profile(profile.params.model_copy(update={"select": select}))
    paths = [getattr(profile, name)("student") for name in ("annotations", "evidence", "sheet")]
    paths.append(profile.annotation_card("student"))
    before = [path.stat().st_mtime_ns for path in paths]
    with pytest.raises(
        DataError, match=r"expected precision .*; select.min_expected_precision is 0\.999"
    ):
        annotate_stage.run(strict, "student")
    assert [path.stat().st_mtime_ns for path in paths] == before


def test_what_the_teacher_was_trained_on_tells_nothing_of_it(profile):
    learned = profile.params.supervised["teacher"].model_copy(update={"labelled": "val"})
    params = profile.params.model_copy(update={"supervised": {"teacher": learned}})
    with pytest.raises(DataError, match=r"teacher: 12 images of val, such as .* are in val"):
        annotate_stage.run(Profile(params), "student")


def test_every_image_set_is_read_once(profile, monkeypatch):
    read, counts = image_sets.read_coco, Counter()
    monkeypatch.setattr(image_sets, "read_coco", lambda path: counts.update([path]) or read(path))
    monkeypatch.setattr(row_models, "read_coco", lambda path: counts.update([path]) or read(path))
    annotate_stage.run(profile, "student")
    assert counts == {profile.image_set(name): 1 for name in ("labelled", "unlabelled", "val")}
