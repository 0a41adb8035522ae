"""The rule by which a set is called a recording."""

import numpy as np
import pandas as pd
import pytest

from datastill.coco.format import Coco
from datastill.images.recordings import alike, recorded_groups


def frames(count):
    return Coco([{"id": n, "file_name": f"cam/img{n}.png"} for n in range(count)], [], [])


def recorded(groups):
    return recorded_groups(frames(len(groups)), groups)


ALONE = range(100, 200)  # images without a near-duplicate


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([0] * 5, {0}),
        ([0] * 4, set()),  # too few to tell
        ([0] * 11 + [*ALONE[:9]], {0}),
        ([0] * 10 + [*ALONE[:10]], set()),  # half of them, not more
        ([0] * 9 + [1] * 9 + [0] * 9 + [*ALONE[:3]], {0, 1}),  # dark, light and dark again
        ([0] * 10 + [1] * 10 + [0] * 3 + [1] * 3, {0, 1}),
        ([0] * 10 + [1] * 10, set()),  # one camera after the other
        ([0, 1] * 10, set()),  # clips in disorder
        ([n // 2 for n in range(40)], set()),  # every picture twice
        ([0] * 3 + [n // 6 for n in range(6, 60)] + [0] * 3 + [*ALONE[:40]], set()),  # small groups
        ([], set()),
    ],
)
def test_a_recording_is_mostly_of_one_group_or_of_groups_that_take_turns(groups, expected):
    assert recorded(groups) == expected


def test_groups_take_turns_in_the_natural_order_of_the_names():
    groups = [0] * 9 + [1] * 9 + [0] * 3 + [1] * 3  # sorted as text, img1 and img10 are neighbours
    coco = frames(len(groups))
    mixed = np.random.default_rng(0).permutation(len(groups))
    coco = Coco([coco.images[i] for i in mixed], [], [])
    assert recorded_groups(coco, [groups[i] for i in mixed]) == {0, 1}


def test_frames_of_one_video_are_alike_whatever_they_show():
    coco = frames(4)
    for image, video in zip(coco.images, ("v", None, "w", "v"), strict=True):
        image |= {"video": video} if video else {}
    names = [image["file_name"] for image in coco.images]
    manifest = pd.DataFrame({"file_name": names, "digest": names, "likeness": "0" * 32})
    assert alike(coco, manifest[::-1]) == [0, 1, 2, 0]
