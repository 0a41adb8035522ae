import io
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from datastill.data.coco import PERSON, Coco, write_coco
from datastill.data.images import read_image
from datastill.distill import annotate
from datastill.distill.annotate import (
    Density,
    Selection,
    Teacher,
    density,
    find_candidates,
    generate,
    select,
)
from datastill.distill.predict import Inference, predict
from datastill.distill.select import Threshold
from datastill.distill.views import View, all_views
from datastill.errors import DataError
from datastill.instances import Instances


def listed(count):
    return [
        {"id": 100 + i, "file_name": f"{i}.png", "width": 40, "height": 30} for i in range(count)
    ]


def person(image_id, box, area, keypoints, iscrowd=0):
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": box,
        "area": area,
        "iscrowd": iscrowd,
        "num_keypoints": keypoints,
    }


def table(rows):
    """Candidates (image_id, score, box, probabilities), keypoint i at (10 + i, 20 + i)."""
    return pd.DataFrame(
        [
            (
                image_id,
                score,
                np.array(box, dtype=float),
                np.array([[10.0 + i, 20.0 + i, p] for i, p in enumerate(points)]).ravel(),
            )
            for image_id, score, box, points in rows
        ],
        columns=["image_id", "score", "box", "keypoints"],
    )


def at(instance, keypoint):
    return Selection(Threshold(instance, 1, 1, False), Threshold(keypoint, 1, 1, False))


@pytest.fixture
def folder(tmp_path):
    """Seven images whose grey value is their number, and the records of them."""
    for i in range(7):
        Image.new("RGB", (40, 30), (i, i, i)).save(tmp_path / f"{i}.png")
    return tmp_path


class Fake:
    """Stands in for `predict`: image i has i % 3 people, told by its grey value; counts calls."""

    def __init__(self, fail_at=None):
        self.seen, self.fail_at = [], fail_at

    def __call__(self, detector, images, inference):
        numbers = [int(image[0, 0, 0]) for image in images]
        if self.fail_at in numbers:
            raise RuntimeError("power cut")
        self.seen.append(numbers)
        return [self.people(number) for number in numbers]

    def people(self, number):
        n = number % 3
        scores = torch.tensor([0.9, 0.4][:n]) - number / 100
        points = torch.rand((n, 17, 3), generator=torch.Generator().manual_seed(number))
        boxes = torch.tensor([[1.0, 2.0, 30.0, 20.0]]).expand(n, 4) + number
        return Instances(boxes, scores, torch.ones(n), points)


def look(folder, monkeypatch, fake, images=None, shards="shards"):
    """All candidates of the seven images, in shards of three."""
    monkeypatch.setattr(annotate, "SHARD", 3)
    monkeypatch.setattr(annotate, "predict", fake)
    heard = []
    images = listed(7) if images is None else images
    found = find_candidates(Teacher(None, None), images, folder, folder / shards, heard.append)
    return found, heard


def test_density_counts_people_with_keypoints_who_are_no_crowd():
    labelled = Coco(
        listed(4),
        [
            person(100, [0, 0, 10, 20], 100, 10),
            person(100, [5, 5, 10, 10], 80, 5),
            person(101, [0, 0, 40, 30], 1200, 17, iscrowd=1),
            person(102, [0, 0, 5, 5], 25, 0),
        ],
        [PERSON],
    )
    assert density(labelled) == Density(2 / 4, 7.5, pytest.approx((0.5 + 0.8) / 2))


@pytest.mark.parametrize(
    "annotations",
    [[], [person(100, [0, 0, 5, 5], 25, 0)], [person(100, [0, 0, 5, 5], 25, 9, iscrowd=1)]],
)
def test_a_set_without_people_to_count_is_an_error(annotations):
    with pytest.raises(DataError, match="no instance with keypoints"):
        density(Coco(listed(2), annotations, [PERSON]))


def test_candidates_are_one_row_each_in_the_order_of_the_images(folder, monkeypatch):
    fake = Fake()
    found, heard = look(folder, monkeypatch, fake)
    assert heard == [3, 3, 1]
    assert fake.seen == [[0, 1, 2], [3, 4, 5], [6]]
    assert found["image_id"].tolist() == [101, 102, 102, 104, 105, 105]
    assert found["score"].tolist() == pytest.approx([0.89, 0.88, 0.38, 0.86, 0.85, 0.35])
    assert found["box"].iloc[3].tolist() == [5, 6, 34, 24]
    points = annotate.keypoint_array(found)
    assert points.shape == (6, 17, 3)
    assert points[4:] == pytest.approx(fake.people(5).keypoints.numpy())


def test_candidates_are_the_predictions_of_a_real_detector(folder, detector, noise, swap):
    for i, size in enumerate([(30, 40), (44, 30), (30, 40)]):
        pixels = noise(*size, i).permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i}.png")
    inference = Inference(View(48, 100), all_views([40, 56], 100, flip=True), swap)
    teacher = Teacher(detector, inference)
    found = find_candidates(teacher, listed(3), folder, folder / "shards", lambda done: None)
    images = [read_image(folder / f"{i}.png") for i in range(3)]
    expected = predict(detector, images, inference)
    assert found["image_id"].tolist() == [100] * 4 + [101] * 4 + [102] * 4
    assert found["score"].tolist() == torch.cat([e.scores for e in expected]).tolist()
    assert np.stack(found["box"]).tolist() == torch.cat([e.boxes for e in expected]).tolist()
    points = torch.cat([e.keypoints for e in expected]).tolist()
    assert annotate.keypoint_array(found).tolist() == points


def test_a_second_look_predicts_nothing_and_finds_the_same(folder, monkeypatch):
    first, _ = look(folder, monkeypatch, Fake())
    again = Fake()
    second, heard = look(folder, monkeypatch, again)
    assert again.seen == []
    assert heard == [3, 3, 1]
    pd.testing.assert_frame_equal(second, first)


def test_an_interrupted_look_goes_on_at_the_shard_that_is_missing(folder, monkeypatch):
    with pytest.raises(RuntimeError, match="power cut"):
        look(folder, monkeypatch, Fake(fail_at=4))
    resumed = Fake()
    found, _ = look(folder, monkeypatch, resumed)
    assert resumed.seen == [[3, 4, 5], [6]]
    assert found["image_id"].tolist() == [101, 102, 102, 104, 105, 105]


def test_a_half_written_shard_is_not_read(folder, monkeypatch):
    whole, _ = look(folder, monkeypatch, Fake())
    shards = sorted((folder / "shards").iterdir())
    assert len(shards) == 3
    half = shards[1].read_bytes()[:500]
    shards[1].unlink()
    shards[1].with_name(shards[1].name + ".partial").write_bytes(half)
    resumed = Fake()
    found, _ = look(folder, monkeypatch, resumed)
    assert resumed.seen == [[3, 4, 5]]
    pd.testing.assert_frame_equal(found, whole)
    assert sorted((folder / "shards").iterdir()) == shards


def test_a_kill_while_a_shard_is_written_leaves_none(folder, monkeypatch):
    def cut(table, path, **options):
        path.write_bytes(b"PAR1")
        raise RuntimeError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", cut)
        with pytest.raises(RuntimeError, match="disk full"):
            look(folder, monkeypatch, Fake())
    resumed = Fake()
    look(folder, monkeypatch, resumed)
    assert resumed.seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_shard_without_a_find_changes_no_column(folder, monkeypatch):
    images = [listed(7)[i] for i in (0, 3, 6, 1, 2, 4)]
    found, _ = look(folder, monkeypatch, Fake(), images=images)
    assert found["image_id"].tolist() == [101, 102, 102, 104]
    assert (found["image_id"].dtype, found["score"].dtype) == ("int64", "float64")
    assert annotate.keypoint_array(found).shape == (4, 17, 3)


def test_finding_nothing_at_all_is_an_error_that_says_in_how_many_images(folder, monkeypatch):
    images = [listed(7)[i] for i in (0, 3, 6)]
    found, _ = look(folder, monkeypatch, Fake(), images=images)
    assert len(found) == 0
    with pytest.raises(DataError, match="nothing in 3 images"):
        select(found, 3, Density(1.0, 9.0, 0.5))


def test_instances_match_per_image_and_keypoints_per_kept_instance():
    box = [0, 0, 10, 10]
    candidates = table(
        [
            (100, 0.9, box, [0.9, 0.1]),
            (100, 0.2, box, [0.99, 0.98]),
            (101, 0.6, box, [0.5, 0.4]),
            (103, 0.7, box, [0.3, 0.8]),
            (103, 0.5, box, [0.97, 0.96]),
        ]
    )
    # 0.75 * 4 images are 3 instances: 0.9, 0.7, 0.6; 4 / 3 * 3 are 4 of their 6 keypoints.
    assert select(candidates, 4, Density(0.75, 4 / 3, 0.5)) == Selection(
        Threshold(0.6, 3, 3, exhausted=False), Threshold(0.4, 4, 4, exhausted=False)
    )


def test_candidates_too_few_for_the_density_are_all_kept_and_it_is_said():
    candidates = table([(100, 0.1, [0, 0, 9, 9], [0.9, 0.2])])
    assert select(candidates, 4, Density(0.75, 2.0, 0.5)) == Selection(
        Threshold(0.1, 3, 1, exhausted=True), Threshold(0.2, 2, 2, exhausted=False)
    )


def test_a_generated_annotation_is_the_one_worked_out_by_hand():
    candidates = table(
        [
            (101, 0.87654321, [1.001, 2.0, 11.004, 22.0], [0.5, 0.3, 0.31]),
            (100, 0.3, [0, 0, 9, 9], [0.9, 0.9, 0.9]),
        ]
    )
    unlabelled = Coco(listed(2), [], [{**PERSON, "id": 7}])
    generated = generate(candidates, at(0.5, 0.31), unlabelled, area_share=0.5)
    assert generated.images == unlabelled.images
    assert generated.categories == unlabelled.categories
    assert generated.annotations == [
        {
            "id": 1,
            "image_id": 101,
            "category_id": 7,
            "iscrowd": 0,
            "score": 0.8765,
            "bbox": [1.0, 2.0, 10.0, 20.0],
            "area": 100.0,
            "keypoints": [10.0, 20.0, 2, 0, 0, 0, 12.0, 22.0, 2],
            "num_keypoints": 2,
        }
    ]


def random_candidates(rng, images):
    return table(
        [
            (100 + i, rng.random(), [*(rng.random(2) * 10), *(15 + rng.random(2) * 10)], points)
            for i in range(images)
            for points in rng.random((rng.poisson(4), 17))
        ]
    )


@pytest.fixture
def generated():
    """Annotations of 400 images as dense as wanted: 1.7 people with 11.3 keypoints."""
    rng, wanted = np.random.default_rng(0), Density(1.7, 11.3, 0.6)
    candidates = random_candidates(rng, 400)
    unlabelled = Coco(listed(400), [], [{**PERSON, "id": 3}])
    return generate(candidates, select(candidates, 400, wanted), unlabelled, wanted.area_share)


def test_generated_annotations_are_as_dense_as_wanted(generated):
    people = generated.annotations
    assert len(people) / 400 == pytest.approx(1.7, rel=0.02)
    assert np.mean([p["num_keypoints"] for p in people]) == pytest.approx(11.3, rel=0.02)


def test_generated_annotations_are_coco_to_pycocotools(generated, tmp_path):
    write_coco(tmp_path / "generated.json", generated)
    with redirect_stdout(io.StringIO()):
        coco = COCO(tmp_path / "generated.json")
    people = coco.loadAnns(coco.getAnnIds(catIds=[3], iscrowd=False))
    assert len(people) == len(generated.annotations) == len({p["id"] for p in people})
    for p in people:
        x, y, v = np.array(p["keypoints"]).reshape(17, 3).T
        assert p["num_keypoints"] == (v > 0).sum()
        assert not x[v == 0].any()
        assert not y[v == 0].any()
        assert set(v) <= {0, 2}
        assert 0 <= p["score"] <= 1
        assert p["area"] == pytest.approx(0.6 * p["bbox"][2] * p["bbox"][3], abs=0.01)
    assert coco.loadCats(3)[0]["keypoints"] == PERSON["keypoints"]


def test_the_truth_of_the_unlabelled_set_has_no_say(folder, monkeypatch):
    truth = [person(100 + i, [0, 0, 20, 20], 400, 17) for i in range(7)]
    results = []
    for shards, annotations in (("without", []), ("with", truth)):
        unlabelled = Coco(listed(7), annotations, [PERSON])
        found, _ = look(folder, monkeypatch, Fake(), unlabelled.images, shards)
        selection = select(found, 7, Density(0.5, 9.0, 0.5))
        results.append(generate(found, selection, unlabelled, 0.5))
    assert results[0] == results[1]
    assert len(results[0].annotations) == 4
