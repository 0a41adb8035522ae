import os
import re
import signal
import subprocess
import sys

import pytest
import torch
from lightning_fabric import Fabric
from places import ROOT

from datastill.errors import DataError, TrainingError
from datastill.project.section import MAX_SEED
from datastill.training.loop import resume_at, train
from datastill.training.metrics_log import read_metrics_log

KILLED = """
import os, runpy, signal, sys
from pathlib import Path
from datastill.training.loop import train

whole = Path.write_bytes
heard = []

def write_half(path, content):
    if len(heard) < 6:
        return whole(path, content)
    whole(path, content[: len(content) // 2])
    print(heard, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

Path.write_bytes = write_half
prepare = runpy.run_path(sys.argv[1])["prepare_training"]
train(**vars(prepare(Path(sys.argv[2]))), advance=lambda i, losses: heard.append(i))
"""


def run(training):
    """Train to the end; return the iterations heard and a copy of the weights."""
    heard = []
    train(**vars(training), advance=lambda iteration, losses: heard.append(iteration))
    return heard, {k: v.clone() for k, v in training.detector.state_dict().items()}


def interrupt(training, at):
    def advance(iteration, losses):
        if iteration == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(**vars(training), advance=advance)


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def differ(one, other):
    return any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def undisturbed_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("undisturbed")


@pytest.fixture(scope="module")
def undisturbed(prepare, undisturbed_folder):
    """The weights of an undisturbed run; its metrics log is in `undisturbed_folder`."""
    return run(prepare(undisturbed_folder))[1]


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(prepare, tmp_path, undisturbed):
    torch.rand(7)  # the state of the global generator does not matter
    heard, weights = run(prepare(tmp_path / "again"))
    assert heard == list(range(8))
    assert_same_bits(weights, undisturbed)
    assert differ(run(prepare(tmp_path / "other", seed=6))[1], undisturbed)


def test_processes_that_load_images_change_no_bit(prepare, tmp_path, undisturbed):
    assert_same_bits(run(prepare(tmp_path / "workers", workers=1))[1], undisturbed)


@pytest.mark.parametrize(("at", "resumed"), [(1, 0), (4, 3), (5, 3), (6, 6)])
def test_an_interrupted_run_ends_with_the_bits_of_an_undisturbed_one(
    prepare, tmp_path, undisturbed, at, resumed
):
    interrupt(prepare(tmp_path), at)
    # Other initial weights: what is not in the state has to show, except at the beginning.
    training = prepare(tmp_path, initial=1 if resumed else 0)
    assert resume_at(training.settings) == resumed
    heard, weights = run(training)
    assert heard == list(range(resumed, 8))
    assert_same_bits(weights, undisturbed)


def test_momenta_are_loaded_when_the_weights_are_on_their_device(prepare, tmp_path, monkeypatch):
    interrupt(prepare(tmp_path), 5)
    loaded, setup = [], Fabric.setup

    def watched(fabric, detector, optimizer):
        loaded.append(len(optimizer.state))
        return setup(fabric, detector, optimizer)

    monkeypatch.setattr(Fabric, "setup", watched)
    run(prepare(tmp_path))
    assert loaded == [0], "on a GPU they would stay behind on the CPU"


@pytest.mark.slow
def test_a_run_killed_while_it_writes_a_state_resumes_from_the_one_before(
    prepare, tmp_path, undisturbed
):
    conftest = ROOT / "tests" / "support" / "short_training.py"
    child = subprocess.run(
        [sys.executable, "-c", KILLED, conftest, tmp_path],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert child.stdout == "[0, 1, 2, 3, 4, 5]\n"
    heard, weights = run(prepare(tmp_path, initial=1))
    assert heard == [3, 4, 5, 6, 7]
    assert_same_bits(weights, undisturbed)


def test_a_finished_run_is_not_repeated(prepare, tmp_path):
    _, weights = run(prepare(tmp_path, iterations=6))
    heard, again = run(prepare(tmp_path, iterations=6, initial=1))
    assert heard == []
    assert_same_bits(again, weights)


def test_the_state_of_another_run_is_not_resumed_and_a_warning_says_so(
    prepare, tmp_path, undisturbed, caplog
):
    interrupt(prepare(tmp_path, fingerprint="another", seed=9), 4)
    heard, weights = run(prepare(tmp_path))
    assert heard == list(range(8))
    assert_same_bits(weights, undisturbed)
    assert "starting from iteration 0" in caplog.text


def test_the_log_of_a_resumed_run_is_that_of_an_undisturbed_one(
    prepare, tmp_path, undisturbed, undisturbed_folder
):
    interrupt(prepare(tmp_path), 5)
    run(prepare(tmp_path))
    expected, resumed = (
        [
            {name: value for name, value in entry.items() if name != "time"}
            for entry in read_metrics_log(folder / "journal.jsonl")
        ]
        for folder in (undisturbed_folder, tmp_path)
    )
    assert [entry["step"] for entry in expected] == [0, 3, 6, 7]
    assert resumed == expected
    parts = {"classifier", "box_reg", "keypoint", "objectness", "rpn_box_reg"}
    for entry in expected:
        assert entry.keys() == {"step", "loss", "learning_rate"} | parts
        assert entry["loss"] == pytest.approx(sum(entry[part] for part in parts), rel=1e-5)


def test_every_iteration_is_reported_with_the_rate_of_the_schedule(prepare, tmp_path):
    rates = []
    training = prepare(tmp_path, base_lr=0.03)
    train(**vars(training), advance=lambda i, losses: rates.append(losses["learning_rate"]))
    expected = [0.01, 0.02, 0.03, 0.03, 0.03, 0.03, 0.003, 0.0003]
    assert rates == pytest.approx(expected)


def test_a_loss_that_is_not_finite_stops_the_run_and_names_iteration_and_images(prepare, tmp_path):
    training = prepare(tmp_path)

    def poison(iteration, losses):
        if iteration == 3:
            training.detector.rcnn.roi_heads.box_predictor.cls_score.bias.data.fill_(torch.nan)

    ids = ", ".join(str(example.image_id) for example in training.minibatches[4])
    message = re.escape(f"iteration 4: the loss is nan on images {ids};")
    with pytest.raises(TrainingError, match=message):
        train(**vars(training), advance=poison)
    assert resume_at(training.settings) == 3
    assert [entry["step"] for entry in read_metrics_log(tmp_path / "journal.jsonl")] == [0, 3]


@pytest.mark.parametrize(("iterations", "at"), [(8, 2), (2, 1)], ids=["state", "end"])
def test_weights_that_are_not_finite_are_never_kept(prepare, tmp_path, iterations, at):
    training = prepare(tmp_path, iterations=iterations)

    def poison(iteration, losses):
        if iteration == at:
            training.detector.rcnn.roi_heads.box_predictor.cls_score.bias.data[0] = torch.nan

    with pytest.raises(TrainingError, match=rf"iteration {at}: 1 weights .*cls_score\.bias"):
        train(**vars(training), advance=poison)
    assert resume_at(training.settings) == 0


def test_steps_are_those_of_sgd_with_momentum_and_weight_decay(prepare, tmp_path):
    """By the formula: v <- 0.9 v + g + 0.1 w, w <- w - rate v."""
    training = prepare(tmp_path, iterations=3, weight_decay=0.1)
    named = dict(training.detector.named_parameters())
    weights, gradients = [{n: p.detach().clone() for n, p in named.items()}], []

    def watch(iteration, losses):
        weights.append({n: p.detach().clone() for n, p in named.items()})
        gradients.append({n: p.grad.clone() for n, p in named.items()})

    train(**vars(training), advance=watch)
    for name in named:
        speed = 0
        for i, gradient in enumerate(gradients):
            before = weights[i][name]
            speed = 0.9 * speed + gradient[name] + 0.1 * before
            expected = before - training.settings.schedule.rate(i) * speed
            torch.testing.assert_close(weights[i + 1][name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_losses_go_down_on_one_image(prepare, tmp_path):
    training = prepare(tmp_path, iterations=30, sets=((1, 1),), base_lr=0.02)
    losses = []
    train(**vars(training), advance=lambda i, step: losses.append(step["loss"]))
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])


@pytest.mark.slow
def test_a_mixed_run_learns_from_both_sets(prepare, tmp_path):
    def mixed(name, labelled=0.0, generated=0.0):
        return prepare(tmp_path / name, sets=((1, 4, labelled), (50, 3, generated)))

    minibatches = mixed("whole").minibatches
    drawn = [example for i in range(8) for example in minibatches[i]]
    assert {example.source for example in drawn} == {0, 1}
    assert all((example.image_id >= 50) == (example.source == 1) for example in drawn)
    _, whole = run(mixed("whole"))
    assert_same_bits(run(mixed("again"))[1], whole)
    assert differ(run(mixed("labelled", labelled=2.0))[1], whole)
    assert differ(run(mixed("generated", generated=2.0))[1], whole)


def test_an_image_that_is_gone_is_named(prepare, tmp_path):
    training = prepare(tmp_path)
    for image in (tmp_path / "images").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"\d\.png: no such image"):
        run(training)


def test_the_largest_seed_of_params_yaml_trains_in_many_passes(prepare, tmp_path):
    training = prepare(tmp_path, iterations=1, batch=16, micro_batch_size=1, seed=MAX_SEED)
    assert run(training)[0] == [0]
