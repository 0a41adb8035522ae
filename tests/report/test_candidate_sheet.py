import numpy as np
import pytest

from datastill.report.candidate_sheet import Candidate, verdict_sheet


def candidate(box, accepted=True, views=()):
    heatmaps = np.zeros((2, 28, 28), np.float32)
    heatmaps[:, 14, 14] = 0.3
    points = np.array([[box[0] + 5, box[1] + 5, 0.3], [box[0] + 9, box[1] + 9, 0.2]])
    return Candidate(
        np.array(box, dtype=float), 0.7, accepted, points, np.array([True, False]), heatmaps,
        np.array(views, np.float32).reshape(-1, 2, 2),
    )  # fmt: skip


GREY = np.full((240, 320, 3), 90, np.uint8)


def test_verdicts_heatmap_and_views_stand_side_by_side():
    sheet = verdict_sheet(GREY, [candidate([20, 20, 120, 200], views=[[[30, 30], [40, 40]]])])
    assert sheet.shape == (360, 3 * 480, 3)
    verdicts, heat, views = np.split(sheet, 3, axis=1)
    assert (verdicts == [90, 235, 120]).all(2).any()
    assert not (verdicts == [240, 80, 70]).all(2).any()
    peak = np.unravel_index(heat.sum(2).argmax(), heat.shape[:2])
    assert peak == pytest.approx((110 * 1.5, 70 * 1.5), abs=8)  # the middle of the box
    assert (views == [80, 190, 255]).all(2).any()


def test_a_rejected_candidate_is_red_and_a_box_over_the_border_is_cut():
    sheet = verdict_sheet(GREY, [candidate([-30, 20, 200, 300], accepted=False)])
    red, green, _ = np.moveaxis(sheet[:, :480].astype(int), 2, 0)
    assert (red - green > 100).sum() > 300


def test_an_image_without_candidates_is_shown_as_it_is():
    assert (verdict_sheet(GREY, [])[:, :480] == 90).all()
