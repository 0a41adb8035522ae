"""Annotating on a real Ray cluster of this machine, with actors that may die."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from datastill.coco.format import PERSON_KEYPOINTS
from datastill.coco.skeleton import infer_flip_indices
from datastill.distill.candidates import Teacher, find_candidates
from datastill.distill.ray_engine import ActorSpec, find_on_cluster, pool
from datastill.distill.shards import cut
from datastill.errors import DataError
from datastill.inference.views import Inference, View, all_views
from datastill.model.checkpoint import load_detector, save_weights
from datastill.model.detector import build_detector

PARTNERS = infer_flip_indices(PERSON_KEYPOINTS)
HOW = Inference(View(96, 200), all_views([64, 96], 200, flip=True), PARTNERS)


@pytest.mark.parametrize(
    ("nodes", "needs", "room"),
    [
        ([{"CPU": 16.0}], {"num_cpus": 4}, 4),
        ([{"CPU": 2.0}, {"CPU": 3.0}], {"num_cpus": 3}, 1),  # 4 threads, and no node has as many
        ([{"CPU": 5.0}, {"CPU": 9.0}, {}], {"num_cpus": 4}, 3),
        ([{"CPU": 9.0, "GPU": 2.0}, {"CPU": 9.0, "GPU": 1.0}], {"num_gpus": 1}, 3),
        ([{}], {"num_cpus": 1}, 1),
    ],
)
def test_actors_ask_for_what_one_machine_has_and_are_as_many_as_find_room(nodes, needs, room):
    assert pool(nodes, 4) == (needs, room)


@pytest.fixture
def images(tmp_path):
    """Forty noisy images, some without a file."""
    generator = torch.Generator().manual_seed(0)
    for i in range(0, 40):
        pixels = torch.randint(0, 256, (96, 128, 3), generator=generator, dtype=torch.uint8)
        if i % 13 != 12:
            Image.fromarray(pixels.numpy()).save(tmp_path / f"{i}.png")
    return [{"id": i, "file_name": f"{i}.png", "width": 128, "height": 96} for i in range(40)]


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(3)
    card = {"backbone": "small", "keypoints": list(PERSON_KEYPOINTS), "start": "initial"}
    path = tmp_path / "weights.safetensors"
    save_weights(path, build_detector("small", 17), card)
    return path


def actors():
    """The processes of the pool, by pid."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if command.startswith(b"ray::") and b"Annotator" in command:
            found.append(int(folder.name))
    return found


def kill_one(folder, killed):
    """Kill an actor as soon as two shards are there."""
    while len(list(folder.glob("*.parquet"))) < 2:
        time.sleep(0.02)
    pid = actors()[0]
    os.kill(pid, signal.SIGKILL)
    killed.append(len(list(folder.glob("*.parquet"))))


def content(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.parquet")}


@pytest.mark.slow
def test_a_cluster_writes_the_same_bytes_even_where_a_worker_is_killed(
    tmp_path, images, weights, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    threads = torch.get_num_threads()
    detector, _ = load_detector(weights)
    local = list(cut(images, {}, tmp_path / "local", 2))
    find_candidates(Teacher(detector, HOW), local, tmp_path, [].append)
    shards = list(cut(images, {}, tmp_path / "ray", 2))
    heard, killed = [], []
    killer = threading.Thread(target=kill_one, args=(tmp_path / "ray", killed), daemon=True)
    killer.start()
    find_on_cluster(ActorSpec(weights, tmp_path, HOW, threads), shards, heard.append)
    killer.join(timeout=5)
    assert killed[0] < 20
    assert sum(heard) == 40
    assert len(content(tmp_path / "local")) == 20
    assert content(tmp_path / "ray") == content(tmp_path / "local")


@pytest.mark.slow
def test_what_is_wrong_with_a_shard_comes_back_as_one_message(tmp_path, images, weights):
    outside = [{**images[0], "file_name": "../secret.png"}]
    shards = list(cut(outside, {}, tmp_path / "ray"))
    with pytest.raises(DataError, match="leaves the image folder"):
        find_on_cluster(ActorSpec(weights, tmp_path, HOW, 1), shards, [].append)
