"""Initial weights, made as `datastill pretrain` makes them, from a handful of pictures."""

import signal
import subprocess
import time

import numpy as np
import pytest
import torch

from datastill.commands.pretrain import PictureMinibatches
from datastill.model.checkpoint import read_card
from datastill.model.detector import build_detector
from datastill.model.pretrained import start_from
from datastill.synthetic.classification import draw_pictures
from datastill.training.sampler import MixedSampler


@pytest.fixture
def small(project):
    """A project that learns initial weights in seconds."""
    params = project.params()
    params["initial"] |= {"pictures": 64, "held_out": 32, "side": 48, "epochs": 4, "batch": 8}
    project.write_params(params)
    return project


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights_and_reports_accuracies(small, datastill):
    """And a backbone's unfinished run is not another backbone's to resume."""

    def pretrain(backbone, name):
        answer = datastill("pretrain", backbone, "--to", name, cwd=small.root)
        assert answer.returncode == 0, answer.stderr
        return answer

    assert "seen from: " in pretrain("small", "whole.safetensors").stdout
    card = read_card(small.root / "whole.safetensors")
    assert card["initial"]["pictures"] == 64
    assert 0 <= card["accuracies"]["what"] <= 1
    command = ["datastill", "pretrain", "small", "--to", "resumed.safetensors"]
    kill_after_its_first_state(small, command)
    assert "resuming" not in pretrain("slim", "slim.safetensors").stderr
    assert read_card(small.root / "slim.safetensors")["backbone"] == "slim"
    assert "resuming" in pretrain("small", "resumed.safetensors").stderr
    whole, resumed = (body(small.root / f"{name}.safetensors") for name in ("whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def kill_after_its_first_state(project, command):
    state = project.root / "work/miniature/training/initial-small/state.pt"
    training = subprocess.Popen(
        command, cwd=project.root, env=project.environment, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline and training.poll() is None:
        time.sleep(0.01)
    training.send_signal(signal.SIGKILL)
    training.wait()
    assert state.is_file(), "the training was to be killed after its first state"


def body(path):
    """The backbone of a detector that starts from these weights."""
    detector = build_detector("small", 17)
    start_from(path, detector)
    return detector.rcnn.backbone.body.state_dict()


def test_a_minibatch_holds_pictures_with_their_own_answers():
    pictures, answers = draw_pictures(20, 48, seed=3, advance=lambda _: None)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    batches = PictureMinibatches(
        images, torch.from_numpy(answers), MixedSampler((20,), 1.0, 5, 8, 0)
    )
    assert len(batches) == 5
    for example in batches[3]:
        assert np.array_equal(example.image.permute(1, 2, 0), pictures[example.image_id])
        assert example.target["answers"].tolist() == answers[example.image_id].tolist()
