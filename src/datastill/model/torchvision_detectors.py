"""torchvision's detectors, trained on COCO: starting weights and ready teachers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor
from torchvision.models import get_model_weights
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.ops import FrozenBatchNorm2d

from datastill.coco.format import PERSON
from datastill.coco.metadata import Metadata, card_metadata
from datastill.errors import DataError
from datastill.model.backbones import PUBLISHED
from datastill.model.detector import Detector, build_detector
from datastill.model.pretrained import fetch_once, read_tensors

FROM_COCO = "from COCO"
_BOX_PREDICTOR = "roi_heads.box_predictor."
PARTS = {  # and what the names of their tensors start with
    "body": "backbone.body.",
    "pyramid": "backbone.fpn.",
    "RPN": "rpn.",
    "box head": "roi_heads.box_head.",
    "box predictor": _BOX_PREDICTOR,
    "keypoint head": "roi_heads.keypoint_head.",
    "keypoint predictor": "roi_heads.keypoint_predictor.",
}
_SOME = 5  # tensors that an error names


def published_weights(name: str) -> Any:
    """Return torchvision's entry of the weights of detector `name`: its url and its meta."""
    return get_model_weights(name).DEFAULT


def find_published(name: str, files: Mapping[str, str]) -> Path:
    """Return the file of detector `name`: that of its backbone in `files`, or torchvision's.

    Raises DataError if it is absent and cannot be downloaded.
    """
    backbone, _ = PUBLISHED[name]
    if backbone not in files:
        advice = f"name another in train.initial_files.{backbone}"
        return fetch_once(published_weights(name).url, advice)
    path = Path(files[backbone]).expanduser()
    if not path.is_file():
        raise DataError(f"{path}: no such file; train.initial_files.{backbone} names it")
    return path


def published_metadata(name: str) -> Metadata:
    """Return what torchvision's detector `name` predicts, with COCO's ids."""
    if PUBLISHED[name][1]:
        return card_metadata([PERSON], keypoints=True)
    labels = enumerate(published_weights(name).meta["categories"])
    categories = [{"id": i, "name": name} for i, name in labels if i and name != "N/A"]
    return card_metadata(categories, keypoints=False)


def start_from_coco(
    path: Path, name: str, detector: Detector, metadata: Metadata
) -> dict[str, str]:
    """Give `detector` every layer that fits from torchvision's detector `name`, stored at `path`.

    Returns the origin of each part. Predictors that differ keep their fresh weights: of
    categories, matched by name, one by one; of keypoints all, unless they are COCO's. torchvision's
    detectors of boxes also have outputs for 10 categories without objects, which are left out.
    Nothing in the file is executed. Raises DataError if it is damaged or has other tensors.
    """
    published = _load(path, name).state_dict()
    own, meta = detector.rcnn.state_dict(), published_weights(name).meta
    origins = {}
    for part, prefix in PARTS.items():
        tensors = [each for each in own if each.startswith(prefix)]
        if part == "box predictor":
            origins[part] = _start_categories(own, published, metadata, meta["categories"])
        elif tensors and (misfit := _misfit(part, metadata, meta.get("keypoint_names"))):
            origins[part] = f"fresh: {misfit}"
        elif tensors:
            for each in tensors:
                own[each].copy_(published[each])
            origins[part] = FROM_COCO
    return origins


def _load(path: Path, name: str) -> GeneralizedRCNN:
    """Return torchvision's detector `name` of the file at `path`, its layers named as ours."""
    backbone, keypoints = PUBLISHED[name]
    categories = len(published_weights(name).meta["categories"]) - 1  # with the background
    with torch.device("meta"):  # takes the tensors of the file instead of memory for its own
        rcnn = build_detector(backbone, keypoints, categories=categories).rcnn
    wanted = f"{path}: expected the tensors of torchvision's {name}"
    try:
        # Also takes the names by which torchvision published them, before its layers were renamed.
        missing, unexpected = rcnn.load_state_dict(read_tensors(path), strict=False, assign=True)
    except (SafetensorError, RuntimeError, TypeError, AttributeError) as error:
        lines = str(error).splitlines()
        raise DataError(f"{wanted}; {' '.join(line.strip() for line in lines[:2])}") from None
    faults = {"without": missing, "with others": unexpected}
    if listed := [f"{fault} {_some(names)}" for fault, names in faults.items() if names]:
        raise DataError(f"{wanted}; it is {' and '.join(listed)}")
    if backbone.startswith("resnet"):
        _absorb_eps(rcnn)
    return rcnn


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SOME} more" if len(names) > _SOME else ""
    return ", ".join(names[:_SOME]) + more


def _absorb_eps(rcnn: GeneralizedRCNN) -> None:
    """Scale frozen normalisations so that their eps has no effect.

    torchvision sets that of its ResNets on COCO to 0; so the weights alone are the function.
    """
    for norm in rcnn.modules():
        if isinstance(norm, FrozenBatchNorm2d):
            norm.weight = norm.weight * (1 + norm.eps / norm.running_var).sqrt()


def _misfit(part: str, metadata: Metadata, published: list[str] | None) -> str:
    """Return why a part for keypoints does not fit, "" if it does, as all others do."""
    if not part.startswith("keypoint"):
        return ""
    if published is None:
        return "a detector of boxes has none"
    names = [*metadata.skeleton.names]
    if part == "keypoint head" or names == published:
        return ""
    if len(names) != len(published):
        return f"{len(names)} keypoints instead of {len(published)}"
    return "other keypoints than COCO's"


def _start_categories(
    own: Mapping[str, Tensor],
    published: Mapping[str, Tensor],
    metadata: Metadata,
    categories: list[str],
) -> str:
    """Copy the outputs of the categories that COCO has, and then of the background."""
    names = [category["name"] for category in metadata.categories]
    index = {name: label for label, name in enumerate(categories) if label}
    rows = {label: index[name] for label, name in enumerate(names, 1) if name in index}
    fresh = [name for name in names if name not in index]
    if not rows:
        return f"fresh: COCO has no {_some(fresh)}"
    rows[0] = 0
    for each in (name for name in own if name.startswith(_BOX_PREDICTOR)):
        outputs = published[each].unflatten(0, (len(categories), -1))
        own[each].unflatten(0, (1 + len(names), -1))[[*rows]] = outputs[[*rows.values()]]
    return f"{FROM_COCO}; fresh: COCO has no {_some(fresh)}" if fresh else FROM_COCO
