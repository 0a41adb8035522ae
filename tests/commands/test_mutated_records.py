"""Files of stages and of people, damaged at random: each is used or costs one message."""

import json
import shutil
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from mutations import COUNT, damaged, mutated, survive
from places import ROOT

from datastill.coco.format import read_coco
from datastill.coco.results import read_results
from datastill.commands import trace
from datastill.distill.annotations import EVIDENCE
from datastill.distill.shards import SCHEMA, Shard, refusals
from datastill.errors import DataError
from datastill.images.load import Refusal
from datastill.images.manifest import read_column
from datastill.inference.views import parse_settings
from datastill.lineage import chain
from datastill.project.loading import load_params
from datastill.project.profile import Profile
from datastill.project.records import parse_metrics, read_evidence, read_facts, read_model_card

ROW = "co-35_co-80"
CARD = {"fingerprint": "a", "inputs": {"labelled": "b"}, "code": "c", "attempt": "d"}


@pytest.fixture
def traced(tmp_path, monkeypatch):
    """The records of the miniature, without its data."""
    for name in ("params.yaml", "dvc.yaml", "dvc.lock", "results/miniature"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chain, "commit_of", lambda _: "")
    no_cache = subprocess.CompletedProcess([], returncode=1)
    monkeypatch.setattr(trace.subprocess, "run", lambda *_, **__: no_cache)
    profile = Profile(load_params(Path("params.yaml")))

    def run(_):
        """Return the chain of a row and of its line in a table; what is wrong in it is an error."""
        texts = []
        for target in (ROW, f"results/miniature/table1.csv:{ROW}"):
            text, holds = trace.run(profile, target, True, False)
            if not holds:
                raise DataError(text[:2000])
            texts.append(text)
        return texts

    return run


def other_values(rng, content):
    return json.dumps(mutated(rng, json.loads(content))).encode()


@pytest.mark.slow
def test_trace_of_damaged_records(traced):
    lock = Path("dvc.lock")
    whole = yaml.load(lock.read_text(), yaml.CSafeLoader)
    needed = ("data", "@co-35", f"@{ROW}", "tables")
    stages = {name: s for name, s in whole["stages"].items() if name.endswith(needed)}
    stages |= {name: s for name, s in whole["stages"].items() if name.startswith("tables")}
    small = {**whole, "stages": stages}
    survive(traced, lock, json.loads(json.dumps(small)), COUNT // 4)
    survive(traced, lock, yaml.safe_dump(small).encode(), COUNT // 12)
    for path in (f"metrics/{ROW}.json", f"annotations/{ROW}.json"):
        record = Path("results/miniature", path)
        for damage in (damaged, other_values):
            assert not survive(traced, record, record.read_bytes(), COUNT // 4, damage)
    table = Path("results/miniature/table1.csv")
    assert not survive(traced, table, table.read_bytes(), COUNT // 4)


@pytest.mark.slow
def test_params(tmp_path):
    content = (ROOT / "params.yaml").read_bytes()
    survive(load_params, tmp_path / "params.yaml", yaml.safe_load(content))
    survive(load_params, tmp_path / "params.yaml", content, COUNT // 12)


def test_metrics_and_cards(tmp_path):
    for kind in ("metrics", "annotations"):
        record = json.loads((ROOT / "results/miniature" / kind / f"{ROW}.json").read_text())
        (tmp_path / kind).mkdir()
        survive(read_facts, tmp_path / kind / "row.json", record)
    survive(read_facts, tmp_path / "card.json", CARD)
    metrics = json.loads((ROOT / f"results/miniature/metrics/{ROW}.json").read_text())
    survive(lambda path: parse_metrics(path.read_bytes(), "HEAD"), tmp_path / "m.json", metrics)


def test_cards_of_exported_models(tmp_path):
    views = asdict(load_params(ROOT / "params.yaml").views.settings())
    card = {"format": 1, "views": views, "thresholds": {"a": 0.5}, "lineage": {"weights": "0"}}

    def read(path):
        content = read_model_card(path)
        parse_settings(content["views"], "views")
        return content["lineage"]["weights"]

    survive(read, tmp_path / "card.json", card)


def test_sets_detections_and_manifest(tmp_path, coco, person):
    content = vars(coco([1, 2], [person(1, 1), person(2, 2)]))
    survive(lambda path: read_coco(path).by_image(), tmp_path / "set.json", content)
    box = {"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1.0, 2.0, 3.0, 4.0]}
    survive(lambda path: read_results(path, "again"), tmp_path / "one-view.json", [box, dict(box)])
    manifest = b"file_name,size,digest\na/1.png,7,00ff\na/2.png,8,00fe\n"
    survive(lambda path: read_column(path, "digest"), tmp_path / "manifest.csv", manifest)


def table(schema, rows=40):
    rng = np.random.default_rng(0)
    values = {
        field.name: [[1.0, 2.0, 3.0, 4.0]] * rows if pa.types.is_list(field.type)
        else ["match"] * rows if str(field.type).startswith(("string", "dictionary"))
        else (rng.integers(0, 2, rows).astype(bool).tolist() if pa.types.is_boolean(field.type)
        else [1] * rows)
        for field in schema
    }  # fmt: skip
    arrays = {name: pa.array(v) for name, v in values.items()}
    return pa.table({n: a.cast(schema.field(n).type) for n, a in arrays.items()})


def test_shards_and_evidence(tmp_path):
    shard = Shard(({"id": 1},), tmp_path / "a.parquet")
    shard.write(table(SCHEMA), [Refusal("a.png", "torn")])

    def read(_):
        table = shard.read()
        return table.to_pydict(), refusals(table)

    survive(read, shard.path, shard.path.read_bytes())
    path = tmp_path / "evidence.parquet"
    pq.write_table(table(EVIDENCE), path)
    survive(lambda path: str(read_evidence(path, 1, "again")), path, path.read_bytes())
