"""Metadata: the categories and keypoints that a detector predicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.coco.format import Coco, Record, Task
from datastill.coco.skeleton import NO_SKELETON, Skeleton, build_skeleton
from datastill.errors import DataError


@dataclass(frozen=True)
class Metadata:
    """The categories that a detector predicts and the keypoints of the one with keypoints.

    categories  as in the data, by ascending id: label i of a network is the i-th, counted from 1
    skeleton    NO_SKELETON for boxes
    """

    categories: tuple[Record, ...]
    skeleton: Skeleton = NO_SKELETON

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the COCO ids of the categories, in the order of their labels."""
        return tuple(category["id"] for category in self.categories)

    @property
    def sigmas(self) -> tuple[float, ...] | None:
        """Return OKS's sigmas, None for boxes."""
        return self.skeleton.sigmas or None

    def labels(self) -> dict[int, int]:
        """Return the network's label of every category id."""
        return {number: label for label, number in enumerate(self.ids, start=1)}


def build_metadata(coco: Coco, task: Task) -> Metadata:
    """Return what a detector trained on `coco` predicts; raises DataError if that is nothing."""
    categories = sorted(coco.categories, key=lambda category: category["id"])
    if task == "keypoints":
        categories = [category for category in categories if category.get("keypoints")]
    if not categories:
        raise DataError(f"expected categories for the task {task}, found none")
    return card_metadata(categories, task == "keypoints")


def card_metadata(categories: Sequence[Record], keypoints: bool) -> Metadata:
    """Return what a model with these `categories` in its card predicts."""
    return Metadata(tuple(categories), build_skeleton(categories) if keypoints else NO_SKELETON)


def category_ids(labels: Tensor, ids: tuple[int, ...]) -> Tensor:
    """Return the COCO ids (n,) of a network's `labels` (n,); `ids` lists those of all labels."""
    return torch.tensor(ids, device=labels.device)[labels - 1]
