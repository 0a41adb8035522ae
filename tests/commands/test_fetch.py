import hashlib
import io
import shutil
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import refuse
from filelock import FileLock

from datastill.commands import fetch
from datastill.sources.download import Archive

Usage = namedtuple("Usage", "total used free")
PHOTOS = {"train2017/": "", "train2017/1.jpg": "one" * 99, "train2017/2.jpg": "two"}
LABELS = {"annotations/instances_train2017.json": "{}"}


def packed(path, content):
    """Write a zip archive below the web root; return what is published about it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in content.items():
            target.writestr(name, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
    digest = hashlib.md5(stream.getvalue()).hexdigest()
    return Archive(f"{path.parent.name}/{path.name}", path.stat().st_size, f"md5:{digest}")


@pytest.fixture
def coco(web, monkeypatch):
    """A server with a COCO of two tiny archives."""
    published = (
        packed(web.root / "annotations" / "annotations_trainval2017.zip", LABELS),
        packed(web.root / "zips" / "train2017.zip", PHOTOS),
    )
    monkeypatch.setattr(fetch, "COCO", published)
    return web


@pytest.fixture
def datastill_fetch(datastill):
    """Run `datastill fetch coco`; return exit status, output and errors."""

    def run(url, *options):
        answer = datastill("fetch", "coco", "--base-url", url, *options)
        return answer.returncode, answer.stdout, answer.stderr

    return run


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in Path(folder).rglob("*")
        if path.is_file() and path.suffix in (".jpg", ".json", ".zip", ".partial", ".bad")
    }


def test_fetch_unpacks_all_and_asks_for_nothing_twice(coco, datastill_fetch):
    code, output, errors = datastill_fetch(coco.url)
    assert code == 0, errors
    assert files("coco") == {**LABELS, **{k: v for k, v in PHOTOS.items() if v}}
    labels, photos = fetch.COCO
    assert output.splitlines()[:2] == [
        f"annotations_trainval2017.zip: 1 files, {labels.digest} as published",
        f"train2017.zip: 2 files, {photos.digest} as published",
    ]
    assert "Licence: annotations CC BY 4.0" in Path("coco/SOURCE.txt").read_text()
    assert Path("coco/SOURCE.txt").read_text() in output + "\n"
    assert len(coco.asked) == 2
    code, output, _ = datastill_fetch(coco.url)
    assert (code, len(coco.asked)) == (0, 2)
    assert output.count("already there") == 2


def test_only_and_to_and_keep_mean_what_they_say(coco, datastill_fetch):
    options = ("--only", "train2017", "--to", "a/b", "--keep")
    assert datastill_fetch(coco.url + "/", *options)[0] == 0
    assert coco.asked == ["/zips/train2017.zip"]
    kept = Path("a/b/train2017.zip")
    assert kept.read_bytes() == (coco.root / "zips" / "train2017.zip").read_bytes()
    shutil.rmtree("a/b/train2017")
    assert datastill_fetch(coco.url, *options)[0] == 0
    assert Path("a/b/train2017/2.jpg").read_text() == "two"
    assert len(coco.asked) == 1


def test_what_was_removed_is_fetched_again(coco, datastill_fetch):
    datastill_fetch(coco.url)
    Path("coco/train2017/1.jpg").unlink()
    assert datastill_fetch(coco.url)[0] == 0
    assert Path("coco/train2017/1.jpg").exists()
    assert coco.asked[2:] == ["/zips/train2017.zip"]


def test_a_file_is_missed_though_another_archive_fills_its_folder(
    coco, datastill_fetch, monkeypatch
):
    published = [
        packed(coco.root / f"annotations/a{year}.zip", {f"annotations/{year}.json": "{}"})
        for year in (2014, 2017)
    ]
    monkeypatch.setattr(fetch, "COCO", published)
    assert datastill_fetch(coco.url)[0] == 0
    Path("coco/annotations/2014.json").unlink()
    assert datastill_fetch(coco.url)[0] == 0
    assert Path("coco/annotations/2014.json").exists()
    assert len(coco.asked) == 3


def test_an_archive_published_anew_is_fetched_anew(coco, datastill_fetch, monkeypatch):
    datastill_fetch(coco.url)
    more = packed(coco.root / "zips" / "train2017.zip", {**PHOTOS, "train2017/3.jpg": "three"})
    monkeypatch.setattr(fetch, "COCO", [more])
    assert datastill_fetch(coco.url)[0] == 0
    assert Path("coco/train2017/3.jpg").read_text() == "three"


def test_an_unknown_archive_costs_one_message(coco, datastill_fetch):
    result = datastill_fetch(coco.url, "--only", "train2071")
    refuse(result, "no archive 'train2071'; there are annotations_trainval2017, train2017")
    assert not Path("coco").exists()


def test_a_wrong_digest_is_refused_and_a_rerun_downloads_anew(coco, datastill_fetch):
    there = coco.root / "zips" / "train2017.zip"
    right = there.read_bytes()
    there.write_bytes(right[::-1])
    refuse(datastill_fetch(coco.url), "coco/train2017.zip: expected md5", "train2017.zip.bad: run")
    assert not Path("coco/train2017").exists()
    there.write_bytes(right)
    code, output, _ = datastill_fetch(coco.url)
    assert code == 0
    assert output.startswith("annotations_trainval2017.zip: already there, 1 files")
    assert Path("coco/train2017/2.jpg").read_text() == "two"


@pytest.mark.parametrize("name", ["../evil", "/evil"])
def test_an_unsafe_archive_unpacks_nothing_anywhere(coco, datastill_fetch, monkeypatch, name):
    evil = packed(coco.root / "zips" / "train2017.zip", {**PHOTOS, name: "evil"})
    monkeypatch.setattr(fetch, "COCO", [evil])
    refuse(datastill_fetch(coco.url), "coco/train2017.zip: member", name, "nothing of it")
    assert {path.name for path in Path("coco").iterdir()} == {"train2017.zip", ".fetch.lock"}
    assert not Path("evil").exists()


@pytest.mark.parametrize("step", ["download", "verify", "unpack"])
def test_a_killed_run_is_gone_on_with(coco, datastill_fetch, monkeypatch, step):
    work = getattr(fetch, step)

    def killed(*arguments):
        def progress(done):
            raise KeyboardInterrupt

        return work(*arguments[:-1], progress)

    with monkeypatch.context() as patch:
        patch.setattr(fetch, step, killed)
        assert datastill_fetch(coco.url)[0] != 0
    asked = len(coco.asked)
    assert datastill_fetch(coco.url)[0] == 0
    assert files("coco") == {**LABELS, **{k: v for k, v in PHOTOS.items() if v}}
    assert len(coco.asked) - asked == (2 if step == "download" else 1)


def disk(monkeypatch, free):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: Usage(2**40, 0, free))


def test_a_full_disk_is_noticed_before_anything_is_asked_for(coco, datastill_fetch, monkeypatch):
    monkeypatch.setattr(fetch, "COCO", [replace(a, size=8 * 10**9) for a in fetch.COCO])
    disk(monkeypatch, 3 * 10**9)
    refuse(datastill_fetch(coco.url), "coco: 24.0 GB of disk needed, 3.0 GB free")
    refuse(datastill_fetch(coco.url, "--keep"), "coco: 32.0 GB of disk needed")
    assert coco.asked == []


def test_an_archive_that_unpacks_to_more_than_the_disk_is_refused(
    coco, datastill_fetch, monkeypatch
):
    bomb = packed(coco.root / "zips" / "train2017.zip", {"train2017/1.jpg": "0" * 10**7})
    monkeypatch.setattr(fetch, "COCO", [bomb])
    disk(monkeypatch, 10**6)
    refuse(datastill_fetch(coco.url), "of disk needed")
    assert not Path("coco/train2017").exists()


def test_an_unreachable_server_costs_one_message(coco, datastill_fetch):
    size = fetch.COCO[0].size
    result = datastill_fetch("http://127.0.0.1:1")
    refuse(
        result, "http://127.0.0.1:1/annotations/annotations_trainval2017.zip: expected", str(size)
    )
    refuse(result, "Connection refused; check the connection and run again")


def test_a_folder_that_cannot_be_made_costs_one_message(coco, datastill_fetch):
    Path("coco").write_text("a file")
    refuse(datastill_fetch(coco.url), "coco: File exists; free disk space or fix permissions")


def test_two_fetches_do_not_write_to_one_folder(coco, datastill_fetch):
    Path("coco").mkdir()
    with FileLock("coco/.fetch.lock"):
        refuse(datastill_fetch(coco.url), "coco: another fetch is running there")
    assert coco.asked == []


def test_every_archive_of_coco_has_a_size_and_a_digest():
    assert len({archive.name for archive in fetch.COCO}) == 6
    for archive in fetch.COCO:
        algorithm, _, digest = archive.digest.partition(":")
        assert len(digest) == 2 * hashlib.new(algorithm).digest_size
        assert archive.size > 10**6


def test_an_empty_address_is_not_taken_for_the_official_one(datastill, tmp_path):
    for name in ("coco", "cells"):
        answer = datastill("fetch", name, "--base-url", "", "--to", tmp_path / name, cwd=tmp_path)
        assert answer.returncode == 1
        assert "--base-url: expected an address, found none" in answer.stderr
