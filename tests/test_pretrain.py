"""Initial weights, made as `datastill pretrain` makes them, from a handful of pictures."""

import signal
import subprocess
import time

import pytest

from datastill.model.detector import build_detector
from datastill.model.initial import read_card, start_from


@pytest.fixture
def small(project):
    """A project that learns initial weights in seconds."""
    params = project.params()
    params["initial"] |= {"pictures": 64, "held_out": 32, "side": 48, "epochs": 4, "batch": 8}
    project.write_params(params)
    return project


def test_it_writes_weights_that_a_training_starts_from_and_says_what_they_know(small):
    answer = small.run("datastill", "pretrain", "small", "--to", "initial.safetensors")
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "seen from: " in answer.stdout
    path = small.root / "initial.safetensors"
    start_from(path, build_detector("small", 17))
    card = read_card(path)
    assert card["initial"]["pictures"] == 64
    assert 0 <= card["accuracies"]["what"] <= 1


def test_a_killed_one_goes_on_to_the_same_weights(small):
    command = ["datastill", "pretrain", "small", "--to"]
    assert small.run(*command, "whole.safetensors").returncode == 0
    state = small.root / "work/miniature/training/initial/state.pt"
    killed = subprocess.Popen(
        [*command, "resumed.safetensors"],
        cwd=small.root, env=small.environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not state.is_file() and time.monotonic() < deadline and killed.poll() is None:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert state.is_file(), "the training was to be killed after its first state"
    answer = small.run(*command, "resumed.safetensors")
    assert "resuming" in answer.stderr
    whole, resumed = (build_detector("small", 17) for _ in range(2))
    for detector, name in ((whole, "whole"), (resumed, "resumed")):
        start_from(small.root / f"{name}.safetensors", detector)
    ours, theirs = (d.rcnn.backbone.body.state_dict() for d in (whole, resumed))
    assert all((ours[name] == theirs[name]).all() for name in ours)
