"""The backbones by name; plain data, so that reading params does not import torch."""

from dataclasses import replace

from datastill.errors import ParamsError
from datastill.model.config import BackboneSpec

_SMALL = BackboneSpec(
    widths=(32, 64, 128, 128), pyramid_width=64, normalised=True, finest_stride=4,
    anchor_sizes=(24, 48, 80, 128), proposals=(100, 50), rpn_samples=32,
    box_features=128, box_samples=16, positive_share=0.25, heatmap=28,
    # The field of view of Mask R-CNN's eight layers covers a 14 x 14 box; four dilated ones do too.
    keypoint_layers=((48, 1), (48, 2), (48, 4), (48, 2)),
)  # fmt: skip

# Objects may be small, so the finest level proposes too; without a keypoint head, boxes are cheap.
_SMALL_BOXES = replace(
    _SMALL, anchor_sizes=(12, 24, 48, 80, 128), proposals=(200, 100), rpn_samples=64,
    box_samples=64, positive_share=0.25,
)  # fmt: skip

# For photographs on a CPU: torchvision's MobileNetV2, up to its last layer of 320 channels. Every
# level proposes boxes of all sizes, as in torchvision's MobileNetV3: with one size a level, too few
# anchors fit an animal to train the RPN on a few images. Where objects are many, they are enough.
_MOBILENET = replace(
    _SMALL, widths=(24, 32, 96, 320), anchor_sizes=(24, 48, 96, 192), levels_of_all_sizes=4,
    proposals=(100, 300),
    body="mobilenet_v2", layers=("3", "6", "13", "17"), frozen=("0", "1", "2", "3"),
)  # fmt: skip
_MOBILENET_BOXES = replace(
    _MOBILENET, anchor_sizes=(12, 24, 48, 96, 192), levels_of_all_sizes=0, proposals=(200, 300),
    rpn_samples=64, box_samples=64,
)  # fmt: skip

# The paper's: Mask R-CNN's keypoint detector on a ResNet with a feature pyramid.
_RESNET50 = BackboneSpec(
    widths=(256, 512, 1024, 2048), pyramid_width=256, normalised=False, finest_stride=None,
    anchor_sizes=(32, 64, 128, 256, 512), proposals=(2000, 1000), rpn_samples=256,
    box_features=1024, box_samples=512, positive_share=0.25, heatmap=56,
    keypoint_layers=((512, 1),) * 8,
    body="resnet", blocks=(3, 4, 6, 3), frozen=("conv1", "bn1", "layer1"),  # Detectron's
)  # fmt: skip
# torchvision's Faster R-CNN on MobileNetV3; for keypoints, the head of the paper's cut in half.
_MOBILENET_V3 = replace(
    _RESNET50, widths=(160, 960), levels_of_all_sizes=3, min_objectness=0.05,
    keypoint_layers=((256, 1),) * 4,
    body="mobilenet_v3_large", layers=("13", "16"), frozen=tuple(map(str, range(7))),
)  # fmt: skip
_RESNET101 = replace(_RESNET50, blocks=(3, 4, 23, 3))

BACKBONES = {
    "small": _SMALL,
    # Half as wide throughout: a worse teacher, for figure 6; it has no initial weights.
    "slim": replace(
        _SMALL, widths=(16, 32, 64, 64), pyramid_width=32, box_features=64,
        keypoint_layers=((24, 1), (24, 2), (24, 4), (24, 2)),
    ),
    "mobilenet_v2": _MOBILENET,
    "mobilenet_v3_large": _MOBILENET_V3,  # has no initial weights, only those of COCO
    "resnet50": _RESNET50,
    "resnet101": _RESNET101,
    "resnext101_32x4d": replace(_RESNET101, groups=32, group_width=4),
    "resnext101_64x4d": replace(_RESNET101, groups=64, group_width=4),
}  # fmt: skip

# torchvision's detectors, trained on COCO: their backbone and keypoints, none for boxes.
PUBLISHED = {
    "keypointrcnn_resnet50_fpn": ("resnet50", 17),
    "fasterrcnn_resnet50_fpn": ("resnet50", 0),
    "fasterrcnn_mobilenet_v3_large_fpn": ("mobilenet_v3_large", 0),
}


def published_detector(backbone: str, keypoints: int) -> str:
    """Return torchvision's detector on `backbone` for keypoints or boxes, or else its only one.

    Raises ParamsError listing the backbones that have one.
    """
    published = {name: kind for name, kind in PUBLISHED.items() if kind[0] == backbone}
    if not published:
        known = ", ".join(dict.fromkeys(kind[0] for kind in PUBLISHED.values()))
        raise ParamsError(
            f"start: coco: torchvision has no detector on {backbone}, only on {known}"
        )
    return min(published, key=lambda name: bool(published[name][1]) != bool(keypoints))


def backbone_spec(name: str, keypoints: int = 1) -> BackboneSpec:
    """Return the spec of backbone `name` for a detector of keypoints or, without any, of boxes.

    Raises ParamsError listing the known names.
    """
    if name not in BACKBONES:
        raise ParamsError(f"backbone {name!r} is unknown; there are {', '.join(BACKBONES)}")
    boxes = {"small": _SMALL_BOXES, "mobilenet_v2": _MOBILENET_BOXES}
    return BACKBONES[name] if keypoints else boxes.get(name, BACKBONES[name])
