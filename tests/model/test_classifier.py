import pytest
import torch
from torch.nn import functional

from datastill.model.classifier import Classifier
from datastill.model.detector import Batch, build_detector

QUESTIONS = {"what": 3, "hair": 2}


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return Classifier("small", QUESTIONS).eval()


def batch(images, *answers):
    return Batch(images, [{"answers": torch.tensor(a)} for a in answers])


def test_a_loss_is_the_cross_entropy_over_those_that_were_asked(classifier, images):
    pictures = images((48, 48), (48, 48), (48, 48))
    losses = classifier(batch(pictures, [0, 1], [2, -1], [1, 0]))
    logits = classifier.logits(pictures)
    assert {name: tuple(part.shape) for name, part in logits.items()} == {
        "what": (3, 3),
        "hair": (3, 2),
    }
    expected = functional.cross_entropy(logits["hair"][[0, 2]], torch.tensor([1, 0]))
    assert losses["hair"].item() == pytest.approx(expected.item(), abs=1e-6)
    expected = functional.cross_entropy(logits["what"], torch.tensor([0, 2, 1]))
    assert losses["what"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_body_is_shown_what_a_detector_shows_it(classifier, images):
    seen, (image,) = [], images((48, 48))
    classifier.body.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    classifier.logits([image])
    expected = build_detector("small", 5).rcnn.transform.normalize(image)
    torch.testing.assert_close(seen[0], expected)


def test_a_question_that_nobody_was_asked_costs_nothing(classifier, images):
    losses = classifier(batch(images((48, 48)), [1, -1]))
    assert losses["hair"].item() == 0
    assert losses["what"].item() > 0
