"""Training examples: annotated images, augmented, as tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datastill.coco.format import Coco, Record
from datastill.errors import DataError
from datastill.images.geometry import mirror_boxes, resize, turn_boxes
from datastill.images.load import load_image
from datastill.training.sampler import MixedSampler

KEPT_BYTES = 2**28  # sets of fewer decoded bytes are kept in memory, by every loading process


@dataclass(frozen=True)
class Example:
    """One image and its targets; `image_id` identifies it in set `source`, as in Draw."""

    image_id: int
    source: int
    image: Tensor  # (3, h, w) uint8, network scale
    # boxes (n, 4) x1 y1 x2 y2, labels (n,), keypoints (n, k, 3), ignored regions (m, 4) like boxes
    target: dict[str, Tensor]


@dataclass(frozen=True)
class Augmentation:
    """Random horizontal flip, keypoints exchanged by `flip_indices`, and a random scale.

    flip           whether half of the images are mirrored
    quarter_turns  whether images are also turned by 0, 90, 180 or 270 degrees
    strong         whether images with generated annotations also get strong augmentation
    """

    short_sides: tuple[int, int]  # drawn uniformly between the two, both included
    long_side: int
    flip_indices: tuple[int, ...]
    flip: bool = True
    quarter_turns: bool = False
    strong: bool = False

    def __call__(
        self, image: Tensor, target: dict[str, Tensor], rng: np.random.Generator, source: int = 0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return `image` (3, h, w) uint8 of set `source` and its `target` changed together."""
        if self.flip and rng.random() < 0.5:
            image, target = image.flip(-1), mirror(target, image.shape[-1], self.flip_indices)
        if self.quarter_turns:
            for _ in range(rng.integers(4)):
                image, target = turn(image, target)
        low, high = self.short_sides
        image, target = rescale(image, target, int(rng.integers(low, high + 1)), self.long_side)
        if self.strong and source:
            from datastill.training.strong_augment import distort  # imports torch's compiler

            image = distort(image, rng)
        return image, target


def mirror(target: dict[str, Tensor], width: int, flip_indices: Sequence[int]) -> dict[str, Tensor]:
    """Return `target` mirrored, keypoints exchanged for their partners."""
    x, y, v = target["keypoints"][:, list(flip_indices)].unbind(-1)
    return {
        **target,
        "boxes": mirror_boxes(target["boxes"], width),
        "keypoints": torch.stack([torch.where(v > 0, width - x, 0), y, v], dim=-1),
        "ignored": mirror_boxes(target["ignored"], width),
    }


def turn(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return image and target turned clockwise by 90 degrees, which keeps boxes exact."""
    height, width = image.shape[-2:]
    x, y, v = target["keypoints"].unbind(-1)
    return image.rot90(-1, (-2, -1)), {
        **target,
        "boxes": turn_boxes(target["boxes"], (height, width), 1),
        "keypoints": torch.stack([torch.where(v > 0, height - y, 0), x, v], dim=-1),
        "ignored": turn_boxes(target["ignored"], (height, width), 1),
    }


def rescale(
    image: Tensor, target: dict[str, Tensor], short_side: int, long_side: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return image and target at that scale; x and y scale by slightly different factors."""
    scaled = resize(image, short_side, long_side)
    y, x = (new / old for new, old in zip(scaled.shape[-2:], image.shape[-2:], strict=True))
    factors = torch.tensor([x, y]).repeat(2)
    return scaled, {
        **target,
        "boxes": target["boxes"] * factors,
        "keypoints": target["keypoints"] * torch.tensor([x, y, 1.0]),
        "ignored": target["ignored"] * factors,
    }


def as_target(
    annotations: Sequence[Record], keypoints: int, labels: Mapping[int, int] | None = None
) -> dict[str, Tensor]:
    """Return the tensors of one image's COCO annotations; crowds become regions to ignore.

    `labels` are the network's by category id; None means a single category.
    Raises DataError if an annotation's category has no label.
    """
    single = [annotation for annotation in annotations if not annotation.get("iscrowd")]
    crowds = [annotation for annotation in annotations if annotation.get("iscrowd")]
    points = [a["keypoints"] for a in single] if keypoints else []
    return {
        "boxes": _boxes(single),
        "labels": torch.tensor([_label(a, labels) for a in single], dtype=torch.int64),
        "keypoints": torch.tensor(points, dtype=torch.float32).reshape(len(single), keypoints, 3),
        "ignored": _boxes(crowds),
    }


def _boxes(annotations: Sequence[Record]) -> Tensor:
    boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32).reshape(-1, 4)
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)


def _label(annotation: Record, labels: Mapping[int, int] | None) -> int:
    if labels is None:
        return 1
    if (category := annotation["category_id"]) in labels:
        return labels[category]
    odd, known = annotation["id"], sorted(labels)
    raise DataError(f"annotation {odd}: expected a category of {known}, found {category}")


class _PackedTargets:
    """The targets of a set, one array per kind: small, and shared by loading processes."""

    def __init__(self, coco: Coco, keypoints: int, labels: Mapping[int, int] | None) -> None:
        objects = coco.by_image()
        self.images = coco.images
        targets = [as_target(objects[image["id"]], keypoints, labels) for image in coco.images]
        self._arrays = {name: torch.cat([t[name] for t in targets]) for name in targets[0]}
        self._starts = {k: [0, *accumulate(len(t[k]) for t in targets)] for k in targets[0]}

    def target(self, index: int) -> dict[str, Tensor]:
        spans = {name: slice(*starts[index : index + 2]) for name, starts in self._starts.items()}
        return {name: array[spans[name]].clone() for name, array in self._arrays.items()}


class Minibatches(Dataset[list[Example]]):
    """The minibatches of a training run by iteration, identical in every process and call.

    labels  the network's by category id; None if there is one category
    """

    def __init__(
        self,
        sets: Sequence[Coco],
        root: Path,
        sampler: MixedSampler,
        augmentation: Augmentation,
        labels: Mapping[int, int] | None = None,
    ) -> None:
        self._sets = [_PackedTargets(coco, len(augmentation.flip_indices), labels) for coco in sets]
        self._root, self._sampler, self._augmentation = root, sampler, augmentation
        pixels = sum(image["width"] * image["height"] for coco in sets for image in coco.images)
        self._kept: dict[str, Tensor] | None = {} if 3 * pixels <= KEPT_BYTES else None

    def __len__(self) -> int:
        return len(self._sampler)

    def __getitem__(self, iteration: int) -> list[Example]:
        """Return the examples of minibatch `iteration`; raises DataError for a bad image file."""
        examples = []
        for draw in self._sampler[iteration]:
            packed = self._sets[draw.source]
            record = packed.images[draw.index]
            image = self._load(record)
            rng = np.random.default_rng([self._sampler.seed, 2, iteration, draw.slot])
            image, target = self._augmentation(image, packed.target(draw.index), rng, draw.source)
            examples.append(Example(record["id"], draw.source, image, target))
        return examples

    def _load(self, record: Record) -> Tensor:
        """Return the image (3, h, w) uint8 of `record`, decoded once if all sets fit in memory."""
        if self._kept is None:
            return load_image(self._root, record)
        name = record["file_name"]
        if name not in self._kept:
            self._kept[name] = load_image(self._root, record)
        return self._kept[name].clone()
