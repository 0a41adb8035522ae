import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.errors import DataError
from datastill.images.load import load_image
from datastill.training import dataset
from datastill.training.dataset import Augmentation, Minibatches, as_target, mirror, rescale
from datastill.training.sampler import MixedSampler

SWAP = infer_flip_indices(PERSON_KEYPOINTS)
FACE = infer_flip_indices(("nose", "left_eye", "right_eye"))


def target(boxes, keypoints):
    return {
        "boxes": torch.tensor(boxes),
        "labels": torch.ones(len(boxes), dtype=torch.int64),
        "keypoints": torch.tensor(keypoints),
        "ignored": torch.tensor(boxes[:1]) + 1,
    }


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def same(one, other):
    return (
        (one.image_id, one.source) == (other.image_id, other.source)
        and torch.equal(one.image, other.image)
        and equal(one.target, other.target)
    )


@pytest.fixture
def minibatches(tmp_path, coco, person, write_images):
    """Minibatches of 4 from five labelled and seven generated images, some without people."""

    def build(seed=0):
        labelled = coco(range(10, 15), [person(10), person(12, 2), person(12, 3)], "labelled")
        generated = coco(range(200, 207), [person(204, 4)], "generated")
        for content in (labelled, generated):
            write_images(tmp_path, content)
        sampler = MixedSampler((5, 7), 0.6, 12, 4, seed)
        augmentation = Augmentation((20, 40), 60, SWAP)
        return Minibatches([labelled, generated], tmp_path, sampler, augmentation)

    return build


def test_only_generated_images_are_distorted_where_that_is_asked(tmp_path, coco, write_images):
    sets = [coco([10], folder="labelled"), coco([200], folder="generated")]
    for content in sets:
        write_images(tmp_path, content)
    for strong in (False, True):
        augmentation = Augmentation((20, 40), 60, SWAP, strong=strong)
        batches = Minibatches(sets, tmp_path, MixedSampler((1, 1), 0.5, 4, 4, 0), augmentation)
        seen = [(e.source, e.image.unique().tolist()) for i in range(4) for e in batches[i]]
        assert {source for source, _ in seen} == {0, 1}
        assert all(levels == [10] for source, levels in seen if source == 0)
        assert any(levels != [200] for source, levels in seen if source == 1) == strong


def test_every_place_iteration_and_seed_has_a_scale_of_its_own(tmp_path, coco, write_images):
    content = coco([1])  # one image: the sampler always draws the same
    write_images(tmp_path, content)

    def sides(seed):
        sampler = MixedSampler((1,), 1.0, 6, 4, seed)
        batches = Minibatches([content], tmp_path, sampler, Augmentation((20, 200), 999, SWAP))
        return [tuple(e.image.shape[-2] for e in batches[i]) for i in range(6)]

    assert all(len(set(batch)) > 2 for batch in sides(0))
    assert len(set(sides(0))) == 6
    assert sides(0) != sides(1)


def test_in_a_mirror_x_counts_from_the_other_border_and_sides_change():
    seen = target(
        [[10.0, 20.0, 30.0, 60.0]], [[[50.0, 25.0, 2.0], [12.0, 22.0, 1.0], [0.0, 0.0, 0.0]]]
    )
    mirrored = mirror(seen, 100, FACE)
    assert mirrored["boxes"].tolist() == [[70, 20, 90, 60]]
    assert mirrored["ignored"].tolist() == [[69, 21, 89, 61]]
    assert mirrored["keypoints"].tolist() == [[[50, 25, 2], [0, 0, 0], [88, 22, 1]]]
    assert mirrored["labels"] is seen["labels"]


def test_mirroring_twice_is_the_identity():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 50, (9, 2, 2)).cumsum(axis=1).reshape(9, 4).astype(np.float32)
    points = rng.integers(1, 96, (9, 17, 3)).astype(np.float32)
    points[..., 2] %= 3
    points[points[..., 2] == 0] = 0
    seen = target(corners.tolist(), points.tolist())
    once = mirror(seen, 97, SWAP)
    assert not equal(once, seen)
    assert equal(mirror(once, 97, SWAP), seen)


def test_x_and_y_scale_by_their_own_factors():
    image = torch.zeros(3, 30, 50, dtype=torch.uint8)
    seen = target([[10.0, 15.0, 50.0, 30.0]], [[[50.0, 30.0, 2.0], [25.0, 3.0, 1.0], [0.0] * 3]])
    scaled, rescaled = rescale(image, seen, 20, 999)
    assert scaled.shape == (3, 20, 33)
    assert rescaled["boxes"].numpy() == pytest.approx(np.array([[6.6, 10, 33, 20]]))
    assert rescaled["ignored"].numpy() == pytest.approx(np.array([[7.26, 32 / 3, 33.66, 62 / 3]]))
    points = np.array([[[33, 20, 2], [16.5, 2, 1], [0, 0, 0]]])
    assert rescaled["keypoints"].numpy() == pytest.approx(points)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("quarter_turns", [False, True])
def test_boxes_and_keypoints_stay_on_what_they_marked(flip, quarter_turns):
    image = torch.zeros(3, 40, 60, dtype=torch.uint8)
    image[:, 8:24, 4:16] = 255
    seen = target([[4.0, 8.0, 16.0, 24.0]], [[[10.0, 16.0, 2.0], [5.0, 9.0, 2.0], [15.0, 9, 2]]])
    augment = Augmentation((20, 80), 999, FACE, flip, quarter_turns)
    centres, ways = set(), set()
    for seed in range(80):
        changed, marked = augment(image, seen, np.random.default_rng(seed))
        (box,), (points,) = marked["boxes"], marked["keypoints"]
        lit = (changed[0] > 127).nonzero()
        found = torch.tensor([*lit.min(0).values.flip(0), *(lit.max(0).values + 1).flip(0)])
        assert (found - box).abs().max() <= 0.75
        assert torch.allclose(points[0, :2], (box[:2] + box[2:]) / 2)
        across, down = (points[2, :2] - points[1, :2]).sign().tolist()
        height, width = changed.shape[-2:]
        centres.add((round(float(points[0, 0] / width), 1), round(float(points[0, 1] / height), 1)))
        ways.add((across, down) if width > height else (across, down, "turned"))
    # the face is at 0.2, 0.4; a quarter turn clockwise takes x, y to 1 - y, x
    upright, turned = {(0.2, 0.4)}, {(0.6, 0.2), (0.8, 0.6), (0.4, 0.8)}
    if flip:
        upright, turned = upright | {(0.8, 0.4)}, turned | {(0.6, 0.8), (0.2, 0.6), (0.4, 0.2)}
    assert centres == (upright | turned if quarter_turns else upright)
    sideways = {(0, 1, "turned"), (0, -1, "turned")}
    assert ways == ({(1, 0), (-1, 0), *sideways} if quarter_turns else {(1, 0)})


def test_short_sides_are_drawn_from_all_between_the_two_and_half_are_flipped():
    image = torch.zeros(3, 30, 60, dtype=torch.uint8)
    image[..., :30] = 200
    augment = Augmentation((20, 23), 999, FACE)
    nobody = as_target([], 3)
    rngs = map(np.random.default_rng, range(400))
    changed = [augment(image, nobody, rng)[0] for rng in rngs]
    _, counts = np.unique([each.shape[-2] for each in changed], return_counts=True)
    assert counts / 400 == pytest.approx([0.25] * 4, abs=0.065)
    assert np.mean([bool(each[0, 0, 0] == 0) for each in changed]) == pytest.approx(0.5, abs=0.075)


def test_annotations_become_corners_and_points(person):
    made = as_target([person(), person(bbox=[1, 2, 3, 4.5])], 17)
    assert made["boxes"].tolist() == [[5, 6, 15, 26], [1, 2, 4, 6.5]]
    assert made["labels"].tolist() == [1, 1]
    assert made["keypoints"].shape == (2, 17, 3)
    assert made["keypoints"][1].ravel().tolist() == pytest.approx(person()["keypoints"])


def test_a_crowd_is_a_region_to_ignore_and_no_person(person):
    made = as_target([person(iscrowd=1), person(bbox=[1, 2, 3, 4])], 17)
    assert made["boxes"].tolist() == [[1, 2, 4, 6]]
    assert made["ignored"].tolist() == [[5, 6, 15, 26]]
    assert len(made["labels"]) == len(made["keypoints"]) == 1


def test_every_image_keeps_its_own_people_and_regions(tmp_path, coco, person, write_images):
    crowds = [person(10), person(10, 2, iscrowd=1), person(11, 3, iscrowd=1), person(12, 4)]
    content = coco(range(10, 13), crowds, "labelled")
    write_images(tmp_path, content)
    sampler = MixedSampler((3,), 1.0, 6, 2, 0)
    batches = Minibatches([content], tmp_path, sampler, Augmentation((20, 40), 60, SWAP))
    counts = {
        (e.image_id, len(e.target["labels"]), len(e.target["ignored"]))
        for i in range(6)
        for e in batches[i]
    }
    assert counts == {(10, 1, 1), (11, 0, 1), (12, 1, 0)}


@pytest.mark.parametrize("crowds", [0, 1])
def test_an_image_without_people_gives_empty_tensors_of_the_right_shapes(person, crowds):
    made = as_target([person(iscrowd=1)] * crowds, 17)
    assert {name: tuple(value.shape) for name, value in made.items()} == {
        "boxes": (0, 4),
        "labels": (0,),
        "keypoints": (0, 17, 3),
        "ignored": (crowds, 4),
    }
    assert made["labels"].dtype == torch.int64
    assert made["boxes"].dtype == made["keypoints"].dtype == torch.float32


def test_empty_targets_can_be_mirrored_and_rescaled():
    image, nobody = torch.zeros(3, 30, 50, dtype=torch.uint8), as_target([], 17)
    assert equal(mirror(nobody, 50, SWAP), nobody)
    assert equal(rescale(image, nobody, 20, 999)[1], nobody)


def test_boxes_need_no_keypoints_and_have_the_labels_of_their_categories():
    box = {"id": 5, "bbox": [1, 2, 3, 4], "iscrowd": 0}
    objects = [{**box, "category_id": 90}, {**box, "category_id": 3}]
    crowd = {**box, "category_id": 3, "iscrowd": 1}
    made = as_target([objects[0], crowd, objects[1]], 0, {3: 1, 44: 2, 90: 3})
    assert made["labels"].tolist() == [3, 1]
    assert made["keypoints"].shape == (2, 0, 3)
    assert as_target([], 0, {3: 1})["keypoints"].shape == (0, 0, 3)
    with pytest.raises(DataError, match=r"annotation 5: expected a category of \[1, 2\], found 90"):
        as_target(objects, 0, {1: 1, 2: 2})


def test_boxes_without_keypoints_are_mirrored_and_rescaled():
    image, box = torch.zeros(3, 30, 50, dtype=torch.uint8), {"bbox": [5, 3, 10, 12]}
    made = as_target([{**box, "category_id": 7, "iscrowd": 0}], 0, {7: 1})
    mirrored = mirror(made, 50, infer_flip_indices(()))
    assert mirrored["boxes"].tolist() == [[35, 3, 45, 15]]
    assert mirrored["keypoints"].shape == (1, 0, 3)
    _, scaled = Augmentation((60, 60), 999, ())(image, made, np.random.default_rng(0))
    assert scaled["boxes"][:, 3].tolist() == [30]
    assert scaled["labels"].tolist() == [1]


def test_examples_are_those_that_the_sampler_draws(minibatches):
    batches, sampler = minibatches(), MixedSampler((5, 7), 0.6, 12, 4, 0)
    assert len(batches) == 12
    seen = set()
    for i in range(12):
        for example, draw in zip(batches[i], sampler[i], strict=True):
            image_id = (10, 200)[draw.source] + draw.index
            assert (example.image_id, example.source) == (image_id, draw.source)
            assert example.image.unique().tolist() == [image_id]
            people = {10: 1, 12: 2, 204: 1}.get(image_id, 0)
            assert example.target["boxes"].shape == (people, 4)
            assert example.target["keypoints"].shape == (people, 17, 3)
            seen.add(image_id)
    assert seen == {*range(10, 15), *range(200, 207)}


def test_a_minibatch_is_the_same_in_whatever_order_it_is_asked_for(minibatches):
    one, other = minibatches(), minibatches()
    forward = [one[i] for i in range(12)]
    backward = [other[i] for i in reversed(range(12))]
    for batch, again in zip(forward, reversed(backward), strict=True):
        assert all(map(same, batch, again))


def test_a_minibatch_is_the_same_in_another_process(minibatches):
    batches = minibatches()
    loaded = DataLoader(batches, batch_size=None, sampler=range(3, 7), num_workers=2)
    for i, batch in zip(range(3, 7), loaded, strict=True):
        assert all(map(same, batch, batches[i]))


def test_an_image_looks_different_every_time_and_with_every_seed(minibatches):
    batches, others = minibatches(), minibatches(seed=1)
    sizes = [e.image.shape[-2] for i in range(12) for e in batches[i] if e.image_id == 10]
    assert len(sizes) > 3
    assert len(set(sizes)) > len(sizes) / 2
    assert not all(map(same, batches[0], others[0]))


def test_an_image_file_that_is_gone_is_named_and_so_is_one_outside(tmp_path, coco, write_images):
    content, sampler = coco([1]), MixedSampler((1,), 1.0, 1, 1, 0)
    batches = Minibatches([content], tmp_path, sampler, Augmentation((20, 40), 60, SWAP))
    with pytest.raises(DataError, match=r"a/1\.png: no such image"):
        batches[0]
    write_images(tmp_path, content)
    assert batches[0][0].image_id == 1
    content.images[0]["file_name"] = "../1.png"
    with pytest.raises(DataError, match="leaves the image folder"):
        batches[0]


def test_sets_that_fit_in_memory_are_decoded_once_to_the_same_examples(minibatches, monkeypatch):
    decoded = []

    def counted(root, record):
        decoded.append(record["file_name"])
        return load_image(root, record)

    monkeypatch.setattr(dataset, "load_image", counted)
    batches = minibatches()
    kept = [example for iteration in range(12) for example in batches[iteration]]
    assert len(decoded) == len(set(decoded)) < len(kept)
    monkeypatch.setattr(dataset, "KEPT_BYTES", 0)
    batches, decoded[:] = minibatches(), []
    read = [example for iteration in range(12) for example in batches[iteration]]
    assert len(decoded) == len(read)
    assert all(map(same, kept, read))
