"""What `new` chooses for data of any size, and from what."""

import pytest

from datastill.coco.format import Coco
from datastill.commands.own_data.autoconfig import CPU, GPU, SetStats, choose, measure


@pytest.mark.parametrize(
    ("task", "images", "epochs"), [("keypoints", 64_115, "32.4"), ("boxes", 118_287, "17.6")]
)
def test_what_is_like_coco_gets_the_papers_schedule_on_a_gpu(task, images, epochs):
    """Keypoints are learned from the images that have any: 64,115 of co-115's 118,287."""
    chosen = choose(SetStats(480, (0.05, 0.2, 0.5), images), GPU, task)
    assert (chosen.iterations, chosen.student_iterations) == (130_000, 360_000)
    assert f"{epochs} epochs of {images:,} images, as in the paper" in chosen.why_iterations


@pytest.mark.parametrize(("images", "iterations"), [(20, 1_000), (10**6, 130_000)])
def test_iterations_stay_within_what_a_machine_does(images, iterations):
    known = SetStats(480, (0.1, 0.2, 0.3), images)
    assert choose(known, GPU, "boxes").iterations == iterations


@pytest.mark.parametrize(
    ("box", "hardware", "side"),
    [
        (0.2, GPU, 640),  # 128 pixels, the middle anchor, are a fifth of it
        (0.05, GPU, 800),  # the most
        (0.4, CPU, 168),
    ],
)
def test_boxes_get_the_size_of_the_anchors(box, hardware, side):
    known = SetStats(480, (box / 2, box, 2 * box), 9)
    assert choose(known, hardware, "keypoints").side == side


def test_boxes_are_measured_by_the_short_side_and_crowds_are_none():
    images = [{"id": 1, "width": 100, "height": 50}, {"id": 2, "width": 80, "height": 200}]
    found = [(1, [0, 0, 10, 40], 0), (2, [0, 0, 16, 16], 0), (2, [0, 0, 80, 80], 1)]
    boxes = [
        {"id": n, "image_id": image, "category_id": 1, "bbox": box, "iscrowd": crowd}
        for n, (image, box, crowd) in enumerate(found)
    ]
    known = measure(Coco(images, boxes, [{"id": 1, "name": "cell"}]), "boxes")
    assert (known.short_side, known.images) == (65, 2)
    assert known.box_sides[1] == pytest.approx(0.3)
