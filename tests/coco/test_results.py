import numpy as np
import pytest
import torch

from datastill.coco.results import coco_results, read_results, rounded
from datastill.errors import DataError
from datastill.instances import Instances


@pytest.mark.parametrize("decimals", [2, 3, 4, 6])
def test_columns_are_rounded_as_single_numbers_are(decimals):
    rng = np.random.default_rng(0)
    halves = (rng.integers(-2_000_000, 2_000_000, 20_000) + 0.5) / 10**decimals
    values = np.concatenate([halves, np.arange(-99, 99) / 8, rng.normal(0, 500, 20_000)])
    assert [repr(v) for v in rounded(values, decimals).tolist()] == [
        repr(round(v, decimals)) for v in values.tolist()
    ]
    assert not np.array_equal(values.round(decimals), rounded(values, decimals))


@pytest.fixture
def instances():
    return Instances(
        torch.tensor([[1.0, 2.0, 4.25, 8.0], [0.0, 0.0, 0.1, 0.2]]),
        torch.tensor([0.75, 0.123456789]),
        torch.tensor([3, 1]),
        torch.tensor([[[1.005, 2.0, 0.50004]], [[1 / 3, -1 / 3, 1.0]]]),
    )


def test_fields_come_in_the_order_and_with_the_decimals_that_are_named(instances):
    first, second = coco_results(instances, {"bbox": 1, "score": 6, "keypoints": (2, 2, 4)})
    assert list(first) == ["category_id", "bbox", "score", "keypoints"]
    assert first == {
        "category_id": 3,
        "bbox": [1, 2, 3.2, 6],
        "score": 0.75,
        "keypoints": [1.0, 2.0, 0.5],
    }
    assert second["score"] == 0.123457
    assert second["keypoints"] == [0.33, -0.33, 1.0]
    assert list(coco_results(instances, {"score": 6})[0]) == ["category_id", "score"]


def test_no_keypoints_and_no_instances_are_left_out(instances):
    none = torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64)
    assert coco_results(Instances(*none, torch.zeros(0, 2, 3)), {"bbox": 2, "keypoints": 2}) == []
    boxes = Instances(instances.boxes, instances.scores, instances.labels, torch.zeros(2, 0, 3))
    assert list(coco_results(boxes, {"bbox": 2, "keypoints": 2})[0]) == ["category_id", "bbox"]


@pytest.mark.parametrize(
    "text",
    ["", "[{", "{}", "[1]", '[{"image_id": 1, "category_id": 1, "score": 0.5}]',
     '[{"image_id": 1, "category_id": 1, "score": "high", "bbox": [1, 2, 3, 4]}]',
     '[{"image_id": 1, "category_id": 1, "score": 0.5, "keypoints": [null, 2, 1]}]'],
)  # fmt: skip
def test_damaged_results_are_named_with_the_advice(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json: expected COCO results, .*; evaluate again"):
        read_results(tmp_path / "a.json", "evaluate again")
