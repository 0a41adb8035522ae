"""The feature pyramid of a view, computed only around the boxes that will be pooled.

A third of the computation of a ResNet-50 on a view is the last 3x3 convolutions of the pyramid,
mostly on the finest level; people cover little of an image, and nothing on most levels.
"""

from collections.abc import Sequence
from math import log2

from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.poolers import LevelMapper

from datastill.model.detector import SIZE_DIVISIBLE, Detector
from datastill.model.matmul_roi_align import MatmulRoIAlign
from datastill.model.model_ensemble import ModelEnsemble

_MARGIN = 2  # cells that pooling reads beyond a box: interpolation, and boxes smaller than a cell
_HALO = 1  # cells that a 3x3 convolution reads beyond its result

Region = tuple[slice, slice]  # rows and columns of a feature map


def features_around(
    detector: Detector, images: Sequence[Tensor], boxes: Sequence[Tensor]
) -> tuple[ImageList, dict[str, Tensor]]:
    """Return what `detector.features` does for `images` (3, h, w) in [0, 1], but zero where
    `detector.heatmaps` does not read for the `boxes` (n, 4) of each.
    """
    if isinstance(detector, ModelEnsemble):
        return detector.features(images)
    transform, backbone = detector.rcnn.transform, detector.rcnn.backbone
    sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
    tensors = transform.batch_images([transform.normalize(each) for each in images], SIZE_DIVISIBLE)
    maps = backbone.body(tensors)
    pool = detector.rcnn.roi_heads.keypoint_roi_pool
    # pixels per cell; one cell more or less at the edge does not matter
    ratios = {name: tensors.shape[-1] / level.shape[-1] for name, level in maps.items()}
    strides = {name: int(2 ** round(log2(ratio))) for name, ratio in ratios.items()}
    regions = [_regions(pool, each, strides) for each in boxes]
    return ImageList(tensors, sizes), _pyramid(backbone.fpn, maps, regions)


def _regions(pool: nn.Module, boxes: Tensor, strides: dict[str, int]) -> dict[str, Region]:
    """Return the region of each level, if any, that `boxes` of one image are pooled from.

    Slices without an end stand for a whole level.
    """
    if isinstance(pool, MatmulRoIAlign):
        return {pool.level: (slice(0, None), slice(0, None))}
    first, last = (int(log2(stride)) for stride in (min(strides.values()), max(strides.values())))
    levels = LevelMapper(first, last, pool.canonical_scale, pool.canonical_level)([boxes])
    regions = {}
    for number, (name, stride) in enumerate(strides.items()):
        cells = boxes[levels == number] / stride
        if len(cells):
            x1, y1 = (cells[:, :2].amin(0).floor().int() - _MARGIN).clamp(min=0).tolist()
            x2, y2 = (cells[:, 2:].amax(0).ceil().int() + _MARGIN).tolist()
            regions[name] = slice(y1, y2), slice(x1, x2)
    return regions


def _pyramid(
    fpn: FeaturePyramidNetwork, maps: dict[str, Tensor], regions: Sequence[dict[str, Region]]
) -> dict[str, Tensor]:
    """Return every level, finest first, exact in the `regions` of each image."""
    levels: dict[str, Tensor] = {}
    above = None
    stages = [*zip(maps, fpn.inner_blocks, fpn.layer_blocks, strict=True)]
    for name, inner, layer in reversed(stages):
        lateral = inner(maps[name])
        if above is not None:
            lateral = lateral + interpolate(above, size=lateral.shape[-2:], mode="nearest")
        above = lateral
        levels[name] = _level(layer, lateral, [each.get(name) for each in regions])
    return dict(reversed(levels.items()))


def _level(layer: nn.Module, inner: Tensor, regions: Sequence[Region | None]) -> Tensor:
    """Return `layer` of `inner` (n, c, h, w), of every image only in its region."""
    if all(region and region[0].stop is None for region in regions):
        return layer(inner)
    level = inner.new_zeros(inner.shape)  # contiguous, as pooling reads it
    for one, result, region in zip(inner, level, regions, strict=True):
        if region:
            wider = [slice(max(0, side.start - _HALO), side.stop + _HALO) for side in region]
            wide = layer(one[None, :, *wider])[0]
            result[:, *region] = wide[:, *map(_inside, region, wider, result.shape[1:])]
    return level


def _inside(side: slice, wider: slice, length: int) -> slice:
    """Return `side` counted from the start of `wider`; both end with the map."""
    return slice(side.start - wider.start, min(side.stop, length) - wider.start)
