"""A profile of hostile names: its data stage has run, what other stages write is made by hand."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from finished_runs import FILE, HOSTILE, write_annotations, write_rows
from hands import draw_set, own_params

from datastill.coco.format import Coco, read_coco, write_coco
from datastill.io import write_text
from datastill.project.profile import open_profile
from datastill.stages import data, tables

COUNTS = {"labelled": 10, "unlabelled": 10, "val": 20}


def _hostile(name):
    return FILE.format(Path(name).stem).replace(".png", ".jpg")


def _rename(root, name):
    """Give the files of a set, its categories and keypoints names that would like to be markup."""
    files = sorted((root / name).iterdir())
    (root / name / _hostile("")).parent.mkdir()
    for path in files:
        path.rename(root / name / _hostile(path.name))
    labels = root / f"{name}.json"
    if labels.is_file():
        content = json.loads(labels.read_text())
        for image in content["images"]:
            image["file_name"] = _hostile(image["file_name"])
        for number, category in enumerate(content["categories"]):
            category["name"] = f"{number} {HOSTILE}"
            points = [f"{each} {HOSTILE}" for each in category.get("keypoints", ())]
            category |= {"keypoints": points} if points else {}
        labels.write_text(json.dumps(content))


@pytest.fixture(scope="session")
def _finished_project(tmp_path_factory):
    """The project's root, written once."""
    root, first = tmp_path_factory.mktemp("hostile") / "project", 1
    for name, count in COUNTS.items():
        draw_set(root / "hands", name, count, first)
        _rename(root / "hands", name)
        first += count
    raw = own_params()
    raw["evaluate"]["with_views"] = []
    write_text(root / "params.yaml", yaml.safe_dump(raw, sort_keys=False))
    with chdir(root):
        profile = open_profile("miniature")
        data.run(profile)
        val, unlabelled = (read_coco(profile.image_set(name)) for name in ("val", "unlabelled"))
        write_rows(profile, val, "keypoints")
        truths = [
            {**annotation, "image_id": image["id"]}
            for image, annotation in zip(unlabelled.images, val.annotations, strict=False)
        ]
        truth = Coco(unlabelled.images, truths, val.categories)
        write_annotations(profile, truth, "keypoints")
        write_coco(profile.annotations("student"), truth)
        tables.run(profile)
    return root


@pytest.fixture
def untrained(_finished_project, tmp_path, monkeypatch):
    """The profile, with a copy of its project as the working folder."""
    monkeypatch.chdir(shutil.copytree(_finished_project, tmp_path / "project", symlinks=True))
    return open_profile("miniature")
