from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from datastill.errors import DataError
from datastill.io import digest
from datastill.model.checkpoint import read_card
from datastill.model.classifier import Classifier
from datastill.model.detector import build_detector
from datastill.model.pretrained import (
    accuracies,
    find_initial,
    initial_weights,
    save_initial,
    start_from,
)


@pytest.fixture
def classifier():
    torch.manual_seed(1)
    contiguous = {"memory_format": torch.contiguous_format}
    return Classifier("small", {"what": 3, "hair": 2}).to(**contiguous)


@pytest.fixture
def saved(tmp_path, classifier):
    path = tmp_path / "initial.safetensors"
    save_initial(path, classifier, {"seed": 7})
    return path


def test_a_detector_starts_from_the_body_and_keeps_its_other_fresh_weights(
    saved, classifier, detector
):
    fresh = {name: tensor.clone() for name, tensor in detector.state_dict().items()}
    assert start_from(saved, detector) == digest(saved)
    learned = classifier.body.state_dict()
    for name, tensor in detector.state_dict().items():
        _, _, own = name.partition("backbone.body.")
        expected = learned[own].half().to(tensor.dtype) if own else fresh[name]
        assert torch.equal(tensor, expected), name


def test_a_state_dict_of_pytorch_gives_its_body_and_leaves_its_classifier(tmp_path, classifier):
    learned = classifier.body.state_dict()
    torch.save({**learned, "fc.weight": torch.ones(3, 128)}, tmp_path / "imagenet.pth")
    detector = build_detector("small", 17)
    start_from(tmp_path / "imagenet.pth", detector)
    body = detector.rcnn.backbone.body.state_dict()
    assert all(torch.equal(body[name], tensor) for name, tensor in learned.items())


class Intruder:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_never_run(tmp_path, detector):
    torch.save({"stem": Intruder(tmp_path / "harm")}, tmp_path / "imagenet.pth")
    with pytest.raises(DataError, match=r"imagenet\.pth: damaged, or not plain data"):
        start_from(tmp_path / "imagenet.pth", detector)
    assert not (tmp_path / "harm").exists()


def test_a_file_of_ones_own_comes_before_the_package_and_torchvision():
    mine = {"small": "mine.safetensors", "resnet50": "~/mine.pth"}
    assert find_initial("small", mine) == Path("mine.safetensors")
    assert find_initial("resnet50", mine) == Path.home() / "mine.pth"
    assert find_initial("small", {}) == initial_weights("small")


def test_a_backbone_without_published_weights_asks_for_a_file(detector):
    with pytest.raises(DataError, match=r"resnext101_32x4d.*train\.initial_files.*start: random"):
        start_from(find_initial("resnext101_32x4d", {}), detector)


def test_torchvisions_weights_are_downloaded_once_and_checked(tmp_path, monkeypatch):
    asked = []

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    paths = {find_initial("resnet50", {}) for _ in range(2)}
    assert paths == {tmp_path / "checkpoints" / "resnet50-0676ba61.pth"}
    assert asked == [("https://download.pytorch.org/models/resnet50-0676ba61.pth", "0676ba61")]


def test_weights_that_cannot_be_downloaded_say_where_to_put_them(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    with pytest.raises(DataError, match=rf"no route.*{tmp_path}.*initial_files\.resnet101"):
        find_initial("resnet101", {})


def test_the_card_comes_back(saved):
    assert read_card(saved) == {"seed": 7}


def test_no_initial_weights_is_an_error_that_says_how_to_do_without(tmp_path, detector):
    with pytest.raises(DataError, match=r"absent.safetensors: .* `train.start: random`"):
        start_from(tmp_path / "absent.safetensors", detector)


@pytest.mark.parametrize("damage", ["text", "other"])
def test_weights_of_something_else_are_refused(tmp_path, detector, damage):
    path = tmp_path / "initial.safetensors"
    if damage == "text":
        path.write_text("not at all")
    else:
        save_file({"stem.0.weight": torch.zeros(2)}, path)
    with pytest.raises(DataError, match=r"initial\.safetensors: not initial weights"):
        start_from(path, detector)


def test_accuracy_counts_the_asked_alone(classifier, images):
    pictures = (torch.stack(images((32, 32), (32, 32), (32, 32))) * 255).byte()
    guesses = classifier.eval().logits(list(pictures.float() / 255))
    what, hair = (guesses[name].argmax(1) for name in ("what", "hair"))
    wrong = (what[1] + 1) % 3
    answers = torch.stack(
        [
            torch.stack([what[0], wrong, what[2]]),
            torch.stack([hair[0], torch.tensor(-1), torch.tensor(-1)]),
        ],
        dim=1,
    )
    assert accuracies(classifier, pictures, answers) == {"what": 0.667, "hair": 1.0}


def test_the_weights_in_the_package_fit_their_backbone_and_tell_things_apart():
    path = initial_weights("small")
    start_from(path, build_detector("small", 17))
    card = read_card(path)
    assert card["backbone"] == "small"
    assert "+changes" not in card["code"]
    assert card["accuracies"]["what"] > 0.8
    assert path.stat().st_size < 2 * 2**20


def test_boxes_start_from_the_same_initial_weights_as_keypoints():
    path = initial_weights("small")
    bodies = []
    for detector in (build_detector("small", 17), build_detector("small", 0, categories=5)):
        start_from(path, detector)
        bodies.append(detector.rcnn.backbone.body.state_dict())
    assert all(torch.equal(tensor, bodies[1][name]) for name, tensor in bodies[0].items())
