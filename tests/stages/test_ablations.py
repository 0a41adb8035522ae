"""Rows that depart from the paper's method, for real, through their stages."""

import json
from contextlib import nullcontext

import pandas as pd
import pytest
import torch
from safetensors import safe_open

from datastill.project.profile import open_profile
from datastill.stages import annotate, ensemble, evaluate, tables, train
from datastill.training.schedule import Schedule

TEACHERS = {"first": "co-35", "second": "co-115", "third": "co-35"}


@pytest.fixture
def ablated(copy, monkeypatch):
    """Runs a row that departs from co-35_co-80 through its stages up to `last`."""

    def run(last="annotate", teacher="co-35", iterations=360000, **ablation):
        params = copy.params()
        like = params["distilled"]["co-35_co-80"]
        spec = {**like, "teacher": teacher, "iterations": iterations, "ablation": ablation}
        params["ensembles"] = {"both": TEACHERS}
        params["distilled"]["other"] = spec
        copy.write_params(params)
        monkeypatch.chdir(copy.root)
        profile = open_profile("miniature")
        if teacher == "both":
            ensemble.run(profile, "both")
        annotate.run(profile, "other")
        if last == "train":
            train.run(profile, "other")
        return copy.root

    return run


def card(root, row="other"):
    return json.loads((root / f"results/miniature/annotations/{row}.json").read_text())


def evidence(root, row="other"):
    return pd.read_parquet(root / f"work/miniature/annotations/{row}.parquet")


def images(root, row):
    text = (root / f"work/miniature/annotations/{row}.json").read_text()
    return [image["id"] for image in json.loads(text)["images"]]


def test_of_a_part_of_the_unlabelled_images_only_these_are_annotated(ablated):
    root = ablated(fraction=0.5)
    some, every = images(root, "other"), images(root, "co-35_co-80")
    assert len(some) == round(len(every) / 2)
    assert set(some) < set(every)
    assert some != every[: len(some)]
    assert set(evidence(root)["image_id"]) <= set(some)
    smaller = images(ablated(fraction=0.25), "other")
    assert set(smaller) < set(some)


def test_one_view_is_the_plain_one(ablated):
    root = ablated(views=1)
    assert card(root)["provenance"]["views"] == 1
    assert card(root, "co-35_co-80")["provenance"]["views"] == 4
    assert {n for counts in evidence(root)["agreeing"] for n in counts} <= {0, 1}


def test_logits_are_averaged_where_a_row_asks_for_it(ablated):
    root = ablated(average="logits")
    ours, papers = evidence(root), evidence(root, "co-35_co-80")
    assert ours["score"].equals(papers["score"])
    assert not ours["keypoints"].apply(tuple).equals(papers["keypoints"].apply(tuple))


def test_three_models_annotate_as_one(ablated):
    root = ablated(teacher="both", views=1)
    assert card(root)["teacher"] == "both"
    assert evidence(root)["score"].equals(evidence(root, "co-35_co-80")["score"])
    together, alone = evidence(root), evidence(ablated(views=1))
    assert not together["keypoints"].apply(tuple).equals(alone["keypoints"].apply(tuple))


@pytest.fixture
def calls(monkeypatch):
    """Minibatches and settings that the stage gives to the loop, which does not run."""
    captured = []

    def capture(fabric, detector, minibatches, settings, advance):
        captured.append((minibatches, settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", capture)
    monkeypatch.setattr(train, "follow_row", lambda *_: nullcontext())
    return captured


def test_the_mix_and_the_distortion_are_those_of_the_row(ablated, calls):
    for more in ({}, {"augmentation": "strong"}):
        with pytest.raises(KeyboardInterrupt):
            ablated("train", labelled_share=0.01, **more)
    plain, strong = ([e for i in range(5) for e in batches[i]] for batches, _ in calls)
    assert sum(example.source for example in plain) > 0.9 * len(plain)  # not the profile's 0.4
    generated = [(a, b) for a, b in zip(plain, strong, strict=True) if a.source]
    assert any(not torch.equal(a.image, b.image) for a, b in generated)


def test_the_loop_gets_seed_and_schedule_of_row_and_params(copy, calls, monkeypatch):
    params = copy.params()
    params["supervised"]["co-35"]["seed"] = 5
    params["train"] |= {"milestones": [0.5], "base_lr": 0.01, "weight_decay": 0.002}
    copy.write_params(params)
    monkeypatch.chdir(copy.root)
    with pytest.raises(KeyboardInterrupt):
        train.run(open_profile("miniature"), "co-35")
    ((minibatches, settings),) = calls
    assert (settings.seed, settings.momentum, settings.weight_decay) == (5, 0.9, 0.002)
    assert settings.schedule == Schedule(50, 0.01, params["train"]["warmup"], (0.5,))
    assert len(minibatches) == 50


def test_a_student_starts_from_its_teacher_where_it_is_asked(ablated):
    root = ablated("train", iterations=36000, start="teacher")
    made = json.loads((root / "work/miniature/models/other/card.json").read_text())
    assert made["row"]["ablation"] == {"start": "teacher"}
    metrics = json.loads((root / "results/miniature/metrics/co-35.json").read_text())
    assert made["initial"] == metrics["provenance"]["weights"]
    student = root / "work/miniature/models/other/weights.safetensors"
    with safe_open(student, "pt") as weights:
        assert json.loads(weights.metadata()["card"])["start"] == "teacher"


def test_a_student_can_be_the_next_teacher_and_its_student_is_another_line(ablated):
    root = ablated("train", teacher="co-35_co-80", iterations=36000)
    assert card(root)["teacher"] == "co-35_co-80"
    assert not evidence(root)["score"].equals(evidence(root, "co-35_co-80")["score"])
    profile = open_profile("miniature")
    evaluate.run(profile, "other")
    assert "distilled, round 2" in tables.run(profile)
    lines = pd.read_csv(root / "results/miniature/table1.csv")
    assert lines["round"].tolist() == [1, 2, 1, 1]
