import random

import pytest
import torch

from datastill.inference.box_voting import vote
from datastill.instances import Instances


def boxes_of(*rows):
    """A view's boxes from (x1, y1, x2, y2, score, label)."""
    table = torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)
    return Instances(table[:, :4], table[:, 4], table[:, 5].long(), torch.zeros(len(table), 0, 3))


def parts(prediction):
    return prediction.instances, prediction.evidence


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in (a, b)]
    return shared / (sum(areas) - shared)


def slowly(views, voting_iou, most):
    """The same in plain Python: (box, score, label, views, spread) of every winner."""
    union = [(*row, v) for v, view in enumerate(views) for row in rows_of(view)]
    winners = []
    for label in {row[5] for row in union}:
        mine = sorted((r for r in union if r[5] == label), key=lambda r: -r[4])
        kept = []
        for row in mine:
            if all(overlap(row[:4], other[:4]) <= 0.5 for other in kept):
                kept.append(row)
        for row in kept:
            voters = [v for v in mine if v is row or overlap(v[:4], row[:4]) >= voting_iou]
            total = sum(v[4] for v in voters)
            box = [sum(v[4] * v[i] for v in voters) / total for i in range(4)]
            spread = sum(1 - overlap(v[:4], box) for v in voters) / len(voters)
            winners.append((box, row[4], label, len({v[6] for v in voters}), spread))
    return sorted(winners, key=lambda winner: -winner[1])[:most]


def rows_of(view):
    return [
        (*map(float, box), float(score), int(label))
        for box, score, label in zip(view.boxes, view.scores, view.labels, strict=True)
    ]


def random_views(seed, views=6):
    """Views that see the same dozen objects of three categories, each a little elsewhere."""
    rng = random.Random(seed)
    objects = []
    for _ in range(12):
        x, y = rng.uniform(0, 80), rng.uniform(0, 80)
        size = rng.uniform(10, 40), rng.uniform(10, 40)
        objects.append((x, y, x + size[0], y + size[1], rng.choice([1, 3, 90])))
    return [
        boxes_of(
            *(
                (*(side + rng.gauss(0, 1.5) for side in thing[:4]), rng.uniform(0.05, 1), thing[4])
                for thing in objects
                if rng.random() < 0.7
            )
        )
        for _ in range(views)
    ]


def test_the_winner_is_the_one_worked_out_by_hand():
    views = [
        boxes_of((0, 0, 10, 10, 0.8, 1)),
        boxes_of((1, 0, 11, 10, 0.4, 1), (0, 0, 10, 10, 0.9, 2)),  # IoU 90 / 110 with the first
        boxes_of((0, 3, 10, 13, 0.6, 1)),  # IoU 70 / 130: suppressed, and without a vote
    ]
    found, evidence = parts(vote(views, 0.8, 100))
    assert found.labels.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.8])
    assert found.boxes[0].tolist() == [0, 0, 10, 10]
    assert found.boxes[1].tolist() == pytest.approx([1 / 3, 0, 31 / 3, 10])
    assert evidence.views.tolist() == [1, 2]
    near, far = 29 / 31, 28 / 32  # IoU of the mean, a third of a pixel away, with both
    assert evidence.box_spread.tolist() == pytest.approx([0, 1 - (near + far) / 2])


@pytest.mark.parametrize("voting_iou", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(8))
def test_winners_are_those_of_a_slow_election(seed, voting_iou):
    views = random_views(seed)
    found, evidence = parts(vote(views, voting_iou, 15))
    expected = slowly(views, voting_iou, 15)
    assert found.scores.tolist() == pytest.approx([winner[1] for winner in expected])
    assert found.labels.tolist() == [winner[2] for winner in expected]
    assert evidence.views.tolist() == [winner[3] for winner in expected]
    boxes = torch.tensor([winner[0] for winner in expected])
    torch.testing.assert_close(found.boxes, boxes, rtol=0, atol=1e-4)
    spread = torch.tensor([winner[4] for winner in expected])
    torch.testing.assert_close(evidence.box_spread, spread, rtol=0, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_views_changes_nothing(seed):
    views = random_views(seed)
    tied = [  # all scores tie: only their places tell boxes apart
        Instances(v.boxes, torch.full_like(v.scores, 0.5), v.labels, v.keypoints) for v in views
    ]
    for some in (views, tied):
        shuffled = random.Random(seed).sample(some, len(some))
        (first, evidence), (again, other) = (parts(vote(v, 0.7, 100)) for v in (some, shuffled))
        assert first.labels.tolist() == again.labels.tolist()
        torch.testing.assert_close(first.boxes, again.boxes, rtol=0, atol=1e-5)
        assert torch.equal(first.scores, again.scores)
        assert evidence.views.tolist() == other.views.tolist()


def test_a_category_neither_suppresses_nor_votes_for_another():
    views = [boxes_of((0, 0, 10, 10, 0.9, 1), (0, 0, 10, 11, 0.5, 2))]
    found, evidence = parts(vote(views, 0.5, 100))
    assert found.boxes.tolist() == [[0, 0, 10, 10], [0, 0, 10, 11]]
    assert evidence.views.tolist() == [1, 1]


def test_views_that_see_nothing_elect_nothing():
    found, evidence = parts(vote([boxes_of(), boxes_of()], 0.8, 100))
    assert len(found) == len(evidence.views) == len(evidence.box_spread) == 0
    assert found.keypoints.shape == (0, 0, 3)
