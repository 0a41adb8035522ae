import io
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

from datastill.coco.format import PERSON, Coco, write_coco
from datastill.distill import annotations as generating
from datastill.distill.annotations import EVIDENCE, EvidenceFile, generate, with_verdicts
from datastill.distill.thresholds import Density, Rules, Selection, Threshold, select


def at(instance, keypoint):
    return Selection(Threshold(instance, 1, 1, False), Threshold(keypoint, 1, 1, False))


@pytest.fixture
def two(table):
    """A candidate to accept and one to reject."""
    return table(
        [
            (101, 0.87654321, [1.001, 2.0, 11.004, 22.0], [0.5, 0.3, 0.31]),
            (100, 0.3, [0, 0, 9, 9], [0.9, 0.9, 0.9]),
        ]
    )


def test_a_generated_annotation_is_the_one_worked_out_by_hand(two):
    judged = with_verdicts(two, at(0.5, 0.31), "match")
    assert list(generate([judged], {1: 0.5})) == [
        {
            "id": 1,
            "image_id": 101,
            "category_id": 1,
            "iscrowd": 0,
            "score": 0.8765,
            "bbox": [1.0, 2.0, 10.0, 20.0],
            "area": 100.0,
            "keypoints": [10.0, 20.0, 2, 0, 0, 0, 12.0, 22.0, 2],
            "num_keypoints": 2,
        }
    ]


def test_annotations_are_numbered_on_over_the_tables(two):
    judged = with_verdicts(two, at(0.1, 0.1), "match")
    numbers = [a["id"] for a in generate([judged, judged.slice(0, 0), judged], {1: 0.5})]
    assert numbers == [1, 2, 3, 4]


def test_evidence_of_many_tables_has_every_candidate_once_and_in_order(two, tmp_path, monkeypatch):
    monkeypatch.setattr(generating, "_GROUP", 3)
    with EvidenceFile.create(tmp_path / "row.parquet") as file:
        for _ in range(5):
            file.add(with_verdicts(two, at(0.5, 0.31), "match"))
    assert pd.read_parquet(tmp_path / "row.parquet")["image_id"].tolist() == [101, 100] * 5


def test_evidence_says_of_every_candidate_what_was_decided_and_why(two, tmp_path):
    with EvidenceFile.create(tmp_path / "row.parquet") as file:
        file.add(with_verdicts(two, at(0.5, 0.31), "match"))
        assert not (tmp_path / "row.parquet").exists()
    evidence = pd.read_parquet(tmp_path / "row.parquet")
    assert list(evidence.columns) == EVIDENCE.names
    assert evidence["accepted"].tolist() == [True, False]
    assert evidence["threshold"].tolist() == [0.5, 0.5]
    assert np.stack(evidence["kept"]).tolist() == [[True, False, True], [False] * 3]
    assert [path.name for path in tmp_path.iterdir()] == ["row.parquet"]


@pytest.fixture
def generated(table, in_memory, listed):
    """Annotations of 400 images as dense as wanted: 1.7 people with 11.3 keypoints."""
    rng, wanted = np.random.default_rng(0), Density({1: 1.7}, {1: 0.6}, 11.3, (0.5,) * 17)
    rows = [
        (100 + i, rng.random(), [*(rng.random(2) * 10), *(15 + rng.random(2) * 10)], points)
        for i in range(400)
        for points in rng.random((rng.poisson(4), 17))
    ]
    candidates = in_memory(table(rows[:300]), table(rows[300:]))
    selection = select(candidates, 400, wanted, Rules())
    judged = [with_verdicts(part, selection, "match") for part in candidates.tables()]
    people = list(generate(judged, wanted.area_shares))
    return Coco(listed(400), people, [PERSON])


def test_generated_annotations_are_as_dense_as_wanted(generated):
    people = generated.annotations
    assert len(people) / 400 == pytest.approx(1.7, rel=0.02)
    assert np.mean([p["num_keypoints"] for p in people]) == pytest.approx(11.3, rel=0.02)


def test_generated_annotations_are_coco_to_pycocotools(generated, tmp_path):
    write_coco(tmp_path / "generated.json", generated)
    with redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "generated.json")
    people = coco.loadAnns(coco.getAnnIds(catIds=[1], iscrowd=False))
    assert len(people) == len(generated.annotations) == len({p["id"] for p in people})
    for p in people:
        x, y, v = np.array(p["keypoints"]).reshape(17, 3).T
        assert p["num_keypoints"] == (v > 0).sum()
        assert not x[v == 0].any()
        assert not y[v == 0].any()
        assert set(v) <= {0, 2}
        assert 0 <= p["score"] <= 1
        assert p["area"] == pytest.approx(0.6 * p["bbox"][2] * p["bbox"][3], abs=0.01)
    assert coco.loadCats(1)[0]["keypoints"] == PERSON["keypoints"]


def test_what_is_ignored_becomes_a_crowd_and_is_named_in_the_evidence(two):
    band = Selection(Threshold(0.5, 1, 1, False), Threshold(0.1, 1, 1, False), ignored=0.3)
    judged = with_verdicts(two, band, "prior")
    assert judged["rule"].to_pylist() == ["prior", "prior"]
    assert judged["accepted"].to_pylist() == [True, False]
    assert judged["ignored"].to_pylist() == [False, True]
    person, crowd = generate([judged], {1: 0.5})
    assert (person["iscrowd"], crowd["iscrowd"]) == (0, 1)
    assert crowd["bbox"] == [0, 0, 9, 9]
    assert crowd["keypoints"] == [0] * 9
    assert crowd["num_keypoints"] == 0


@pytest.mark.parametrize("least", [None, 0.31, 0.6])
def test_the_band_ends_below_the_threshold_and_may_be_empty(two, least):
    band = Selection(Threshold(0.5, 1, 1, False), Threshold(0.1, 1, 1, False), ignored=least)
    assert with_verdicts(two, band, "match")["ignored"].to_pylist() == [False, False]
