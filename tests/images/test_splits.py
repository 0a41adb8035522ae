import numpy as np
import pandas as pd
import pytest
from tiny import picture

from datastill.coco.format import Coco
from datastill.errors import DataError
from datastill.images.perceptual_hash import perceptual_hash as hash_of
from datastill.images.splits import Span, duplicate_groups, take_span

COUNT = 40


def images(link="photos"):
    return [{"id": 3 * n, "file_name": f"{link}/{n}.jpg", "width": 64} for n in range(COUNT)]


def whole(link="photos"):
    annotations = [{"id": n, "image_id": 3 * (n // 2)} for n in range(2 * COUNT)]
    return Coco(images(link), annotations, [{"id": 7, "name": "cell"}])


def manifest(shown=range(COUNT), link="photos"):
    """Image number n shows picture `shown[n]`; digests all differ: they are re-encoded."""
    lines = [
        {
            "file_name": f"{link}/{n}.jpg",
            "digest": f"d{n}",
            "likeness": hash_of(picture(what)),
        }
        for n, what in enumerate(shown)
    ]
    return pd.DataFrame(lines)


def numbers(coco):
    return [image["id"] // 3 for image in coco.images]


def three(seed=0, coco=None, seen=None):
    spans = [Span(seed, 0, 4), Span(seed, 4, 10), Span(seed, 14, None)]
    seen = manifest() if seen is None else seen
    return [take_span(coco or whole(), span, seen) for span in spans]


def test_parts_that_follow_each_other_share_nothing_and_lose_nothing():
    parts = three()
    assert [len(each.images) for each in parts] == [4, 10, COUNT - 14]
    assert sorted(n for each in parts for n in numbers(each)) == list(range(COUNT))
    for each in parts:
        ids = {image["id"] for image in each.images}
        assert [a for a in whole().annotations if a["image_id"] in ids] == each.annotations
        assert each.categories == whole().categories


def test_a_part_is_the_same_whatever_the_sequence_in_the_file_and_the_name_of_its_link():
    turned = Coco(images()[::-1], whole().annotations, whole().categories)
    linked = three(coco=whole("elsewhere"), seen=manifest(link="elsewhere"))
    for mine, other, third in zip(three(), three(coco=turned), linked, strict=True):
        assert sorted(numbers(mine)) == sorted(numbers(other)) == sorted(numbers(third))


def test_another_seed_makes_another_order():
    assert len({tuple(numbers(three(seed)[1])) for seed in range(5)}) == 5


def test_no_picture_is_in_two_parts():
    shown = [n // 3 for n in range(COUNT)]  # every picture three times, the last one once
    for seed in range(10):
        pictures = [{shown[n] for n in numbers(each)} for each in three(seed, seen=manifest(shown))]
        assert not pictures[0] & pictures[1] | pictures[1] & pictures[2] | pictures[0] & pictures[2]
        assert set.union(*pictures) == set(shown)


def test_every_image_is_as_likely_to_be_in_a_part():
    times, seen = np.zeros(COUNT), manifest()
    for seed in range(400):
        times[numbers(take_span(whole(), Span(seed, 0, 10), seen))] += 1
    expected, deviation = 100, np.sqrt(400 * 0.25 * 0.75)
    assert np.abs(times - expected).max() < 4.5 * deviation


def test_an_image_that_does_not_open_is_in_one_part_alone():
    parts = three(seen=manifest().drop(index=[5, 6]))
    assert sorted(n for each in parts for n in numbers(each)) == list(range(COUNT))


@pytest.mark.parametrize("blank", ["0" * 32])
def test_families_are_joined_through_others_and_blank_images_by_their_bytes_alone(blank):
    one, other = (hash_of(picture(n)) for n in (1, 2))
    near = f"{int(one, 16) ^ 0b111111111111111:032x}"  # 15 bits off
    far = f"{int(near, 16) ^ (0b111111111111111 << 40):032x}"  # 15 bits further
    hashes = [one, other, near, far, blank, blank, blank]
    digests = ["a", "b", "c", "d", "e", "f", "e"]
    assert duplicate_groups(digests, hashes) == [0, 1, 0, 0, 4, 5, 4]
    videos = [None, "v", None, None, None, "v", None]
    assert duplicate_groups(digests, hashes, videos) == [0, 1, 0, 0, 4, 1, 4]
    videos = ["v", 0, None, None, 0, None, "v"]
    assert duplicate_groups(digests, hashes, videos) == [0, 0, 0, 0, 0, 5, 0]


def test_a_block_is_of_the_natural_order_and_near_duplicates_in_it_count_on_their_own():
    alike = manifest([0] * COUNT)  # a recording: 9.jpg comes before 10.jpg
    parts = [Span(3, 0, 5, (0, 11)), Span(3, 5, None, (0, 11)), Span(0, 0, None, (13, COUNT))]
    few, others, val = (numbers(take_span(whole(), part, alike)) for part in parts)
    assert (len(few), sorted(few + others)) == (5, list(range(11)))
    assert val == list(range(13, COUNT))


def test_the_order_within_a_block_is_random():
    drawn = {
        tuple(numbers(take_span(whole(), Span(seed, 0, 5, (0, 20)), manifest())))
        for seed in range(5)
    }
    assert len(drawn) == 5


@pytest.mark.parametrize("block", [(30, COUNT + 1), (COUNT, COUNT + 5), (7, 7), (8, 7)])
def test_a_block_without_images_or_beyond_them_is_an_error(block):
    with pytest.raises(DataError, match=f"^block .{block[0]}, {block[1]}.: .* up to {COUNT}"):
        take_span(whole(), Span(0, 0, None, block), manifest())
