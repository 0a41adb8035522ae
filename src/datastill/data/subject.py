"""What a detector looks for, and which label of its network is which category of the data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from datastill.data.coco import Coco, Record, Task
from datastill.errors import DataError


@dataclass(frozen=True)
class Subject:
    """The categories that are looked for and, of people, the keypoints.

    categories  {"id", "name"} by ascending id: label i of a network is the i-th, counted from 1
    keypoints   their names, () for boxes alone
    """

    categories: tuple[Record, ...]
    keypoints: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """Return the COCO ids of the categories, in the order of their labels."""
        return tuple(category["id"] for category in self.categories)

    def labels(self) -> dict[int, int]:
        """Return the network's label of every category id."""
        return {number: label for label, number in enumerate(self.ids, start=1)}


def subject(coco: Coco, task: Task) -> Subject:
    """Return what a detector trained on `coco` looks for.

    Raises DataError where that is nothing.
    """
    known = sorted(coco.categories, key=lambda category: category["id"])
    if task == "keypoints":
        known = [category for category in known if category.get("keypoints")][:1]
    if not known:
        raise DataError(f"expected categories to look for ({task}), found none")
    plain = tuple({"id": each["id"], "name": each["name"]} for each in known)
    return Subject(plain, coco.keypoint_names() if task == "keypoints" else ())


def category_ids(labels: Tensor, ids: tuple[int, ...]) -> Tensor:
    """Return the COCO ids (n,) of a network's `labels` (n,), of which `ids` lists all."""
    return torch.tensor(ids, device=labels.device)[labels - 1]
