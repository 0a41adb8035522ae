"""Several real processes, started as a user starts them: by torchrun."""

import json
import os
import re
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from lightning_fabric import Fabric
from places import ROOT

from datastill.errors import TrainingError
from datastill.training.distributed import check_shares, launch
from datastill.training.loop import train
from datastill.training.metrics_log import read_metrics_log

STEPS = 20
HOW = {"iterations": STEPS, "sets": ((1, 6), (100, 6)), "batch": 4, "log_every": 1}
TOGETHER = """
import json, os, runpy, sys
from pathlib import Path
from datastill.training.loop import train

prepare, folder = runpy.run_path(sys.argv[1])["prepare_training"], Path(sys.argv[2])
rank = os.environ["RANK"]
how = json.loads(sys.argv[3])
broken = how.pop("broken", None)
training = prepare(folder / rank, **how)
if rank == broken:  # its losses are none
    training.detector.register_forward_hook(
        lambda _, __, losses: {name: loss * float("nan") for name, loss in losses.items()}
    )
seen = [[(e.source, e.image_id) for e in training.minibatches[i]] for i in range(how["iterations"])]
(folder / f"seen-{rank}.json").write_text(json.dumps(seen))
try:
    train(**vars(training), advance=lambda i, losses: None)
except Exception as error:
    print(error, file=sys.stderr, flush=True)
    raise SystemExit(3)
"""


def start(folder, processes=2, **changes):
    script = folder / "together.py"
    script.write_text(TOGETHER)
    launcher = ("torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    conftest = ROOT / "tests" / "support" / "short_training.py"
    arguments = (str(script), str(conftest), str(folder), json.dumps({**HOW, **changes}))
    # Threads add up in another order, and one proposal more or less is no rounding.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", *launcher, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def heard(folder, rank):
    seen = json.loads((folder / f"seen-{rank}.json").read_text())
    return read_metrics_log(folder / str(rank) / "journal.jsonl"), seen


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_and_share_its_minibatches(tmp_path):
    for processes in (1, 2):
        (tmp_path / str(processes)).mkdir()
        answer = start(tmp_path / str(processes), processes)
        assert answer.returncode == 0, answer.stderr[-3000:]
    alone, seen = heard(tmp_path / "1", 0)
    together, first = heard(tmp_path / "2", 0)
    nothing, second = heard(tmp_path / "2", 1)
    assert [len(journal) for journal in (alone, together, nothing)] == [STEPS, STEPS, 0]
    for theirs, ours in zip(alone, together, strict=True):
        del theirs["time"], ours["time"]
        assert ours == pytest.approx(theirs, rel=1e-3)
    assert [one + other for one, other in zip(first, second, strict=True)] == seen
    assert [(tmp_path / "2" / rank / "state.pt").exists() for rank in "01"] == [True, False]


@pytest.mark.parametrize("rank", [0, 1])
def test_gradients_are_exchanged_after_the_last_pass_alone(prepare, tmp_path, monkeypatch, rank):
    training = prepare(tmp_path, iterations=2, batch=4, micro_batch_size=1)
    held, seeds = [], []

    def hold(fabric, module, enabled=True):
        held.append(enabled)
        seeds.append(torch.initial_seed())
        return nullcontext()

    monkeypatch.setattr(Fabric, "global_rank", property(lambda _: rank))
    monkeypatch.setattr(Fabric, "no_backward_sync", hold)
    train(**vars(training), advance=lambda *_: None)
    assert held == [True, True, True, False] * 2
    assert seeds == [5 * 1_000_003 + i + ((4 * rank + n) << 40) for i in range(2) for n in range(4)]


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed"])
def test_a_process_computes_in_the_precision_asked_for(name):
    assert launch(name).strategy.precision.precision == name


@pytest.mark.slow
def test_a_broken_loss_in_one_process_ends_all_and_names_the_images(tmp_path):
    answer = start(tmp_path, broken="1")
    assert answer.returncode != 0
    assert re.search(r"iteration 0: the loss is nan on images \d+, \d+; check", answer.stderr)


def test_passes_add_up_to_the_gradient_of_their_mean(prepare, tmp_path):
    """Accumulation against a hand-made step: SGD on the mean of the losses of both passes."""
    training = prepare(tmp_path / "whole", iterations=1, batch=4, weight_decay=0.0, momentum=0.0)
    before = {k: v.clone() for k, v in training.detector.named_parameters()}
    train(**vars(training), advance=lambda i, losses: None)
    by_hand = prepare(tmp_path / "hand", iterations=1, batch=4)
    examples, seed = by_hand.minibatches[0], by_hand.settings.seed
    total = 0
    for number in (0, 1):
        mine = examples[2 * number : 2 * number + 2]
        torch.manual_seed(seed * 1_000_003 + (number << 40))
        images = [example.image.float() / 255 for example in mine]
        losses = by_hand.detector.train().rcnn(images, [example.target for example in mine])
        total = total + sum(losses.values()) / 2
    total.backward()
    rate = training.settings.schedule.rate(0)
    for (name, learned), (_, fresh) in zip(
        training.detector.named_parameters(), by_hand.detector.named_parameters(), strict=True
    ):
        expected = before[name] - rate * fresh.grad
        torch.testing.assert_close(learned, expected, rtol=1e-4, atol=1e-7, msg=name)


@pytest.mark.parametrize(("batch", "size", "processes"), [(16, 2, 3), (16, 5, 1), (4, 4, 2)])
def test_unequal_shares_are_refused(batch, size, processes):
    with pytest.raises(TrainingError, match=r"machine\.processes"):
        check_shares(batch, size, processes)


def test_equal_shares_are_fine():
    check_shares(16, 2, 8)
    check_shares(16, 16, 1)
