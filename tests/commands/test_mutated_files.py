"""Weights, videos, pages and MLflow's database, damaged at random: at most one message each."""

import itertools
import json
import shutil
from dataclasses import asdict

import pytest
from mlflow_runs import RECORD, runs
from mutations import COUNT, damaged, survive
from places import ROOT
from tiny import write_video

from datastill.commands import readme
from datastill.inference.predictor import CARD, WEIGHTS, load_folder
from datastill.io import digest
from datastill.model.checkpoint import load_detector, save_weights
from datastill.model.detector import build_detector
from datastill.project.loading import load_params
from datastill.sources.video_decoding import all_frames
from datastill.tracking.store import Store
from datastill.tracking.sync import mirror


def damaged_head(rng, content):
    """Return weights whose card and list of tensors are damaged, and not the tensors."""
    end = 8 + int.from_bytes(content[:8], "little")
    return damaged(rng, content[:end]) + content[end:]


@pytest.mark.slow
def test_weights_alone_and_in_an_exported_folder(tmp_path):
    names = ["tip", "root"]
    category = {"id": 1, "name": "leaf", "keypoints": names, "skeleton": [[1, 2]]}
    card = {"backbone": "small", "start": "initial", "keypoints": names, "categories": [category]}
    weights = tmp_path / WEIGHTS
    save_weights(weights, build_detector("small", 2), card)
    views = asdict(load_params(ROOT / "params.yaml").views.settings())
    exported = {"format": 1, "views": views, "lineage": {"weights": digest(weights)}}
    (tmp_path / CARD).write_text(json.dumps(exported))
    whole = weights.read_bytes()
    survive(lambda path: load_detector(path)[1], weights, whole, COUNT // 4, damage=damaged_head)
    assert not survive(lambda path: load_folder(path.parent).settings, weights, whole, COUNT // 4)


def test_videos(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, range(4))
    survive(lambda path: [frame.tobytes() for frame in all_frames(path)], path, path.read_bytes())


def test_pages_in_another_encoding(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = "é\n<!-- generated: a.md -->\nä\n<!-- /generated -->\n".encode()
    survive(lambda _: [*readme.blocks()], tmp_path / "README.md", 3 * page)


@pytest.mark.slow
def test_the_database_of_mlflow(tmp_path):
    path, numbers = tmp_path / "mlflow.db", itertools.count()
    mirror(Store(f"sqlite:///{path}", "datastill/test", 30), RECORD)

    def read(_):
        copied = shutil.copy(path, tmp_path / f"{next(numbers)}.db")  # MLflow keeps files open
        return runs(Store(f"sqlite:///{copied}", "datastill/test", 30))

    survive(read, path, path.read_bytes(), COUNT // 20)
