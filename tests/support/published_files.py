"""torchvision's detectors with random weights, in files like those that torchvision publishes."""

import re
import shutil
from collections import OrderedDict

import pytest
import torch
from torchvision.models import get_model, get_model_weights

# The files are older than the names that these layers have now.
FORMER = {
    r"^rpn\.head\.conv\.0\.0\.": "rpn.head.conv.",
    r"^(backbone\.fpn\.\w+_blocks\.\d)\.0\.": r"\1.",
}


def as_published(name):
    for now, before in FORMER.items():
        name = re.sub(now, before, name)
    return name


def plausible(name):
    """The state dict of torchvision's detector `name`, with norms that keep numbers in range."""
    torch.manual_seed(5)
    rcnn = get_model(name, weights=None, weights_backbone=None)
    state = OrderedDict(rcnn.state_dict())
    scale, steep = ((0.3, 0.6), 20) if "resnet" in name else ((1, 1.4), 120)
    for each, tensor in state.items():
        if each.endswith("running_var"):
            tensor.uniform_(0.5, 2).view(-1)[0] = 1e-6  # here eps matters
            state[each.replace("running_var", "running_mean")].normal_(0, 0.1)
            state[each.replace("running_var", "weight")].uniform_(*scale).view(-1)[0] = 3e-4
            state[each.replace("running_var", "bias")].normal_(0, 0.1)
    names = get_model_weights(name).DEFAULT.meta["categories"]
    state["roi_heads.box_predictor.cls_score.weight"].mul_(steep)
    absent = [label for label, category in enumerate(names) if category == "N/A"]
    state["roi_heads.box_predictor.cls_score.bias"][absent] = -100  # never seen in training
    state["roi_heads.box_predictor.bbox_pred.weight"].mul_(5)
    if name.startswith("keypoint"):
        state["roi_heads.keypoint_predictor.kps_score_lowres.weight"].mul_(100)
    return state


@pytest.fixture(scope="session")
def published_file(tmp_path_factory):
    """Write the file of torchvision's detector of that name, once; return its path."""
    folder = tmp_path_factory.mktemp("published")

    def write(name):
        path = folder / f"{name}.pth"
        if not path.is_file():
            # Frozen normalisations, which torchvision trains with, count no batches.
            state = {n: t for n, t in plausible(name).items() if "num_batches" not in n}
            torch.save(OrderedDict((as_published(n), t) for n, t in state.items()), path)
        return path

    yield write
    shutil.rmtree(folder)  # pytest would keep hundreds of MB


@pytest.fixture
def published(published_file, monkeypatch):
    """torchvision's detector of that name, made by torchvision as if it had fetched the file."""

    def build(name, **settings):
        weights = get_model_weights(name).DEFAULT
        state = torch.load(published_file(name), weights_only=True)
        monkeypatch.setattr(type(weights), "get_state_dict", lambda *_, **__: state)
        return get_model(name, weights=weights, **settings).eval()

    return build
