import errno
import hashlib
import io
import shutil
import zipfile
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from file_server import refuse

from datastill.commands import fetch
from datastill.sources import download
from datastill.sources.download import Archive
from datastill.sources.published_sets import PublishedFile, PublishedSet, read_published_set

Usage = namedtuple("Usage", "total used free")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"BCCD/a 1.xml": "one" * 99, "BCCD/images/b.jpg": "two", "LICENSE": "MIT"}
REAL = Path(__file__).parents[3] / "shared/real"


@pytest.fixture
def published(web, monkeypatch):
    """A server of a repository's folder; the package lists its files as the set `cells`."""
    folder = web.root / "owner/repository" / COMMIT / "examples"
    files = []
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
        files.append(PublishedFile(path, len(text), hashlib.sha256(text.encode()).hexdigest()))
    about = (
        "Cells",
        "owner/repository",
        COMMIT,
        "examples",
        "MIT, see LICENSE",
        "A. Author, Cells",
    )
    monkeypatch.setattr(fetch, "read_published_set", lambda _: PublishedSet(*about, tuple(files)))
    web.folder = folder
    return web


@pytest.fixture
def fetch_cells(datastill):
    """Run `datastill fetch cells`; return exit status, output and errors."""

    def run(*options):
        answer = datastill("fetch", "cells", *options)
        return answer.returncode, answer.stdout, answer.stderr

    return run


def contents(folder="data/cells"):
    """Return the text of all files but the lock and the note on their source."""
    own = (".fetch.lock", "SOURCE.txt")
    files = [p for p in Path(folder).rglob("*") if p.is_file() and p.name not in own]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_files_come_once_with_their_licence_and_citation(published, fetch_cells):
    code, output, errors = fetch_cells("--base-url", published.url)
    assert code == 0, errors
    assert contents() == FILES
    note = Path("data/cells/SOURCE.txt").read_text()
    assert note in output
    assert f"From: https://github.com/owner/repository/tree/{COMMIT}/examples\n" in note
    assert "Licence: MIT, see LICENSE\nCitation: A. Author, Cells\n" in note
    assert len(published.asked) == 3
    code, output, _ = fetch_cells("--base-url", published.url)
    assert (code, len(published.asked)) == (0, 3)
    assert output.startswith("data/cells: 0 files fetched, 3 already there")
    assert not Path("data/cells/.fetching").exists()


def test_a_file_that_was_removed_is_the_only_one_fetched_again(published, fetch_cells):
    fetch_cells("--base-url", published.url, "--to", "a/b")
    Path("a/b/LICENSE").unlink()
    assert fetch_cells("--base-url", published.url, "--to", "a/b")[0] == 0
    assert contents("a/b") == FILES
    assert published.asked[3:] == [f"/owner/repository/{COMMIT}/examples/LICENSE"]


def test_a_wrong_checksum_costs_one_message_and_the_file(published, fetch_cells):
    file = published.folder / "BCCD/images/b.jpg"
    file.write_text("owt")
    refuse(
        fetch_cells("--base-url", published.url),
        f"{COMMIT}/examples/BCCD/images/b.jpg: expected sha256",
        hashlib.sha256(b"owt").hexdigest(),
        "it is deleted: run again",
    )
    assert "owt" not in contents().values()
    file.write_text("two")
    assert fetch_cells("--base-url", published.url)[0] == 0
    assert contents() == FILES


def test_a_file_of_another_size_or_none_costs_one_message(published, fetch_cells):
    (published.folder / "LICENSE").write_text("MIT, too")
    refuse(fetch_cells("--base-url", published.url), "LICENSE: expected 3 bytes, the server has 8")
    (published.folder / "LICENSE").unlink()
    refuse(fetch_cells("--base-url", published.url), "LICENSE: expected a file, found HTTP status")
    assert "LICENSE" not in contents()


def test_a_killed_run_resumes_with_the_missing_files(published, fetch_cells, monkeypatch):
    append = download._append

    def killed(archive, part, response, progress):
        if archive.name == "b.jpg":
            part.path.write_text("t")
            raise KeyboardInterrupt
        append(archive, part, response, progress)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_append", killed)
        assert fetch_cells("--base-url", published.url)[0] != 0
    there = {path for path in contents() if not path.startswith(".fetching/")}
    assert "BCCD/images/b.jpg" not in there
    asked = len(published.asked)
    assert fetch_cells("--base-url", published.url)[0] == 0
    assert contents() == FILES
    assert len(published.asked) - asked == 3 - len(there)


def test_a_disk_that_fills_up_keeps_no_half_file(published, fetch_cells, monkeypatch):
    append = download._append

    def fill(archive, part, response, progress):
        if archive.name == "b.jpg":
            part.path.write_text("t")
            raise OSError(errno.ENOSPC, "No space left on device", str(part.path))
        append(archive, part, response, progress)

    with monkeypatch.context() as patch:
        patch.setattr(download, "_append", fill)
        refuse(fetch_cells("--base-url", published.url), "No space left on device; free disk space")
    kept = contents()
    assert kept.items() <= FILES.items()
    assert "BCCD/images/b.jpg" not in kept
    assert not Path("data/cells/.fetching").exists()
    assert fetch_cells("--base-url", published.url)[0] == 0
    assert contents() == FILES


def test_a_full_disk_is_noticed_before_anything_is_asked_for(published, fetch_cells, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: Usage(2**40, 0, 100))
    refuse(fetch_cells("--base-url", published.url), "data/cells: 0.0 GB of disk needed")
    assert published.asked == []
    assert contents() == {}


def test_another_file_in_the_way_is_kept_and_named(published, fetch_cells):
    Path("data/cells").mkdir(parents=True)
    Path("data/cells/LICENSE").write_text("own")
    refuse(fetch_cells("--base-url", published.url), "data/cells/LICENSE: differs", "move it away")
    assert contents() == {"LICENSE": "own"}


def test_from_takes_files_by_their_path_or_else_by_their_name(published, fetch_cells, tmp_path):
    labels, images = tmp_path / "labels", tmp_path / "photographs"
    shutil.copytree(published.folder, labels)
    images.mkdir()
    shutil.move(labels / "BCCD/images/b.jpg", images / "b.jpg")
    (labels / "b.jpg").write_text("another file of this name")
    refuse(fetch_cells("--from", labels), f"{labels}/b.jpg: expected 3 bytes with sha256")
    assert contents() == {}
    assert fetch_cells("--from", labels, "--from", images)[0] == 0
    assert contents() == FILES
    assert published.asked == []
    assert (images / "b.jpg").read_text() == "two"


def test_from_a_folder_without_a_file_costs_one_message(published, fetch_cells, tmp_path):
    (published.folder / "LICENSE").unlink()
    refuse(fetch_cells("--from", published.folder), "no LICENSE in", "another --from")
    assert contents() == {}
    refuse(fetch_cells("--from", tmp_path / "nowhere"), "nowhere: no such folder")


def test_a_disk_that_fills_up_while_copying_keeps_no_half_file(published, fetch_cells, monkeypatch):
    copy = shutil.copyfile

    def fill(origin, target):
        if origin.name == "b.jpg":
            Path(target).write_text("t")
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copy(origin, target)

    monkeypatch.setattr(shutil, "copyfile", fill)
    refuse(fetch_cells("--from", published.folder), "No space left on device; free disk space")
    assert contents().keys() == {"BCCD/a 1.xml"}


@pytest.mark.parametrize(("name", "count"), [("mouse", 120), ("cells", 733)])
def test_the_package_lists_the_published_files(name, count):
    listed = read_published_set(name)
    assert len({file.path for file in listed.files}) == count
    assert all(len(file.sha256) == 64 and file.size > 0 for file in listed.files)
    assert len(listed.commit) == 40
    file = replace(listed.files[0], path="a b.png")
    folder = f"{listed.folder}/" if listed.folder else ""
    address = f"https://h/{listed.repository}/{listed.commit}/{folder}a%20b.png"
    assert listed.url(file, "https://h/") == address


@pytest.mark.parametrize(
    ("name", "folders"), [("mouse", ["mouse"]), ("cells", ["blood-cells-voc", "blood-cells"])]
)
def test_the_real_sets_are_those_that_the_package_lists(datastill, tmp_path, name, folders):
    if not REAL.is_dir():
        pytest.skip(f"no real data in {REAL}")
    options = [option for folder in folders for option in ("--from", REAL / folder)]
    answer = datastill("fetch", name, "--to", tmp_path, *options)
    assert answer.returncode == 0, answer.stderr


def test_people_are_taken_from_zips_that_stay(datastill, tmp_path, monkeypatch):
    content = {"zips/val2017.zip": "val2017/1.jpg", "annotations/annotations_trainval2017.zip": "a"}
    archives = []
    for url, member in content.items():
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            file.writestr(member, "content")
        digest = f"md5:{hashlib.md5(stream.getvalue()).hexdigest()}"
        archives.append(Archive(url, len(stream.getvalue()), digest))
        (tmp_path / archives[-1].name).write_bytes(stream.getvalue())
    monkeypatch.setattr(fetch, "COCO", [*archives, Archive("zips/train2017.zip", 1, "md5:0")])
    monkeypatch.chdir(tmp_path)
    Path("data/coco").mkdir(parents=True)
    Path("data/coco/val2017.zip").symlink_to(tmp_path / "val2017.zip")  # as a killed run leaves it
    answer = datastill("fetch", "people", "--from", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert Path("data/coco/val2017/1.jpg").read_text() == "content"
    assert [path.name for path in Path("data/coco").glob("*.zip")] == []
    assert all((tmp_path / archive.name).is_file() for archive in archives)
    again = datastill("fetch", "people", "--from", tmp_path / "nowhere")
    assert (again.returncode, again.stdout.count("already there")) == (0, 2)
    refused = datastill("fetch", "people", "--from", tmp_path / "nowhere", "--to", "other")
    assert (
        "no annotations_trainval2017.zip in" in refused.stderr or "no val2017.zip" in refused.stderr
    )
    assert refused.returncode == 1


def test_zips_that_are_others_are_refused_and_stay(datastill, tmp_path, monkeypatch):
    archives = [Archive(f"zips/{name}.zip", 3, "md5:0") for name in ("val2017", "a")]
    monkeypatch.setattr(
        fetch, "COCO", [archives[0], replace(archives[1], url="annotations_trainval2017.zip")]
    )
    monkeypatch.chdir(tmp_path)
    for name in ("val2017.zip", "annotations_trainval2017.zip"):
        Path(name).write_text("zip")
    answer = datastill("fetch", "people", "--from", tmp_path)
    assert answer.returncode == 1
    assert "val2017.zip: expected md5 0" in answer.stderr
    assert Path("val2017.zip").read_text() == "zip"
