"""Exported models as ONNX files, for onnxruntime and others that run without PyTorch.

A file holds the single-scale model, in fp32. It takes one image (3, h, w) uint8 RGB of any size;
boxes and keypoints are in its pixels. Like the model, it expects the scale of its training, which
its metadata names. Resizing is left to the caller: ONNX's antialiased `Resize` differs by up to 11
of 255 from PyTorch's in onnxruntime 1.32, Pillow's by 1.

>>> import numpy as np
>>> from onnxruntime import InferenceSession
>>> from PIL import Image, ImageOps
>>> session = InferenceSession("model.onnx")
>>> scale = session.get_modelmeta().custom_metadata_map
>>> image = ImageOps.exif_transpose(Image.open("a.png")).convert("RGB")
>>> short, long = int(scale["short_side"]), int(scale["long_side"])
>>> factor = min(short / min(image.size), long / max(image.size))
>>> size = tuple(round(side * factor) for side in image.size)
>>> pixels = np.asarray(image.resize(size, Image.Resampling.BILINEAR)).transpose(2, 0, 1)
>>> boxes, scores, labels, *keypoints = session.run(None, {"image": pixels})
>>> back = np.divide(image.size, size)  # to the pixels of the image
>>> boxes = boxes * np.tile(back, 2)
>>> points = [each[..., :2] * back for each in keypoints]
"""

import json
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from datastill.commands.onnx_graph import DetectorGraph
from datastill.errors import ParamsError
from datastill.inference.predictor import WEIGHTS, ReadyModel, load_folder
from datastill.io import atomic, digest

FILE = "model.onnx"
OUTPUTS = ("boxes", "scores", "labels", "keypoints")
_TRACED = (100, 150)  # any height and width that need padding


def run(folder: Path) -> str:
    """Write the model of an exported `folder` as ONNX beside its weights; return what was written.

    Raises ParamsError without the extra `onnx`, otherwise as `load_folder`.
    """
    require_onnx()
    model = load_folder(folder)
    program = _trace(model)
    program.model.metadata_props.update(_metadata(model, folder))
    with atomic(folder / FILE) as partial:
        program.save(partial, external_data=False)
    return f"{folder / FILE}: the single-scale model for onnxruntime"


def require_onnx() -> None:
    """Raise ParamsError if the exporter's libraries are not installed."""
    if missing := [name for name in ("onnx", "onnxscript") if find_spec(name) is None]:
        raise ParamsError(f"--onnx needs {' and '.join(missing)}: `uv pip install datastill[onnx]`")


def _trace(model: ReadyModel) -> Any:
    """Return torch's ONNX program of the model: outputs (n, ...) of an image (3, height, width).

    torch's older exporter, which follows a trace, refuses this graph.
    """
    graph = DetectorGraph(model.detector.cpu(), model.metadata.ids).eval()
    names = OUTPUTS if model.detector.heatmap else OUTPUTS[:3]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of torchvision's own code
        program: Any = torch.onnx.export(
            graph, (torch.zeros(3, *_TRACED, dtype=torch.uint8),), dynamo=True, verbose=False,
            input_names=["image"], output_names=names,
            dynamic_shapes=({1: "height", 2: "width"},),
        )  # fmt: skip
    for output in program.model.graph.outputs:
        output.shape[0] = "n"  # torch's name is a formula
    return program


def _metadata(model: ReadyModel, folder: Path) -> dict[str, str]:
    """Return what a user of the file needs to know, as ONNX stores it: text by name."""
    return {
        "short_side": str(model.settings.plain_short_side),
        "long_side": str(model.settings.plain_long_side),
        "categories": json.dumps({each["id"]: each["name"] for each in model.metadata.categories}),
        "keypoints": json.dumps([*model.metadata.skeleton.names]),
        "weights": digest(folder / WEIGHTS),
    }
