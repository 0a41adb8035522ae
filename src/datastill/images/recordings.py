"""Recordings: image sets that are mostly frames of one camera, which look alike."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from datastill.coco.format import Coco
from datastill.images.folders import natural_order
from datastill.images.splits import duplicate_groups

_MIN_FRAMES = 5  # alike: augmentation rarely makes as many of one image


def alike(coco: Coco, manifest: pd.DataFrame) -> list[int]:
    """Return for every image the first of its group: equal bytes, near-duplicates, one `video`.

    `manifest` has `digest` and `likeness` by `file_name`, for every image.
    """
    known = manifest.set_index("file_name").loc[[image["file_name"] for image in coco.images]]
    videos = [image.get("video") for image in coco.images]
    return duplicate_groups(known["digest"].tolist(), known["likeness"].tolist(), videos)


def recorded_groups(coco: Coco, groups: Sequence[int]) -> set[int]:
    """Return those of `groups` (one per image) that are one recording; none if it is no recording.

    They are the groups with a tenth of the images and at least 5, if together they hold more than
    half of the images and

    - one of them alone does, or
    - they take turns in the natural order of the file names, as scenes of one camera do, and at
      most every fourth image changes the group. Several cameras one after the other do not return
      to a group; clips in random order change it at every second image or more often.
    """
    sizes = Counter(groups)
    large = {group for group, size in sizes.items() if size >= max(_MIN_FRAMES, len(groups) / 10)}
    pairs = zip((image["file_name"] for image in coco.images), groups, strict=True)
    frames = [group for _, group in sorted(pairs, key=lambda pair: natural_order(pair[0]))]
    frames = [group for group in frames if group in large]
    runs = 1 + sum(one != other for one, other in pairwise(frames))
    largest = max((sizes[group] for group in large), default=0)
    take_turns = len(large) < runs <= len(frames) / 4
    is_recording = largest > len(groups) / 2 or (len(frames) > len(groups) / 2 and take_turns)
    return large if is_recording else set()
