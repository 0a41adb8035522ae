"""What a detector looks for, and which label of its network is which category of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.coco.format import Coco, Record, Task
from datastill.coco.skeleton import NO_SKELETON, Skeleton, build_skeleton, keypoint_category
from datastill.errors import DataError


@dataclass(frozen=True)
class Metadata:
    """The categories that are looked for and the keypoints of the one that has any.

    categories  as in the data, by ascending id: label i of a network is the i-th, counted from 1
    skeleton    without keypoints for boxes alone
    """

    categories: tuple[Record, ...]
    skeleton: Skeleton = NO_SKELETON

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the COCO ids of the categories, in the order of their labels."""
        return tuple(category["id"] for category in self.categories)

    @property
    def sigmas(self) -> tuple[float, ...] | None:
        """Return OKS's, None for boxes."""
        return self.skeleton.sigmas or None

    def labels(self) -> dict[int, int]:
        """Return the network's label of every category id."""
        return {number: label for label, number in enumerate(self.ids, start=1)}


def build_metadata(coco: Coco, task: Task) -> Metadata:
    """Return what a detector trained on `coco` looks for.

    Raises DataError where that is nothing.
    """
    known = sorted(coco.categories, key=lambda category: category["id"])
    if task == "keypoints":
        only = keypoint_category(known)
        known = [only] if only else []
    if not known:
        raise DataError(f"expected categories to look for ({task}), found none")
    return Metadata(tuple(known), build_skeleton(known) if task == "keypoints" else NO_SKELETON)


def card_metadata(categories: Sequence[Record], keypoints: bool) -> Metadata:
    """Return what a model looks for by the `categories` in its card."""
    return Metadata(tuple(categories), build_skeleton(categories) if keypoints else NO_SKELETON)


def category_ids(labels: Tensor, ids: tuple[int, ...]) -> Tensor:
    """Return the COCO ids (n,) of a network's `labels` (n,), of which `ids` lists all."""
    return torch.tensor(ids, device=labels.device)[labels - 1]
