import os
import subprocess

import pyarrow.parquet as pq
import pytest

from datastill.distill.shards import SCHEMA, Candidates, cut, delete_abandoned
from datastill.errors import DataError
from datastill.images.load import Refusal

BOX = [0.0, 0.0, 9.0, 9.0]


@pytest.fixture
def shard(tmp_path, listed):
    return next(cut(listed(3), {"0.png": "a", "1.png": "b", "2.png": "c"}, tmp_path / "shards"))


def test_shards_hold_all_images_once_and_in_order(tmp_path, listed):
    shards = list(cut(listed(7), {}, tmp_path, 3))
    assert [len(shard.images) for shard in shards] == [3, 3, 1]
    assert [image for shard in shards for image in shard.images] == listed(7)
    assert len({shard.path for shard in shards}) == 3


def test_a_shard_is_named_for_the_content_of_its_images(tmp_path, listed):
    (one,), (same,), (other,) = (
        cut(listed(2), {"0.png": "a", "1.png": last}, tmp_path) for last in "bbc"
    )
    assert one.path == same.path != other.path


def test_a_shard_is_named_for_the_ids_of_its_images(tmp_path, listed):
    digests = {"0.png": "a", "1.png": "b"}
    renumbered = [{**image, "id": image["id"] + 1} for image in listed(2)]
    (one,), (other,) = (cut(images, digests, tmp_path) for images in (listed(2), renumbered))
    assert one.path != other.path


def test_a_shard_comes_back_with_its_candidates_and_refusals(shard, table):
    candidates = table([(100, 0.5, BOX, [0.1, 0.2])])
    refused = [Refusal("1.png", "no readable image: é")]
    assert not shard.is_done
    shard.write(candidates, refused)
    assert shard.is_done
    assert shard.read().equals(candidates)
    assert shard.read(["score"]).column_names == ["score"]
    assert Candidates([shard]).refused() == refused
    assert [path.name for path in shard.path.parent.iterdir()] == [shard.path.name]


def test_equal_candidates_are_equal_bytes(tmp_path, listed, table):
    contents = []
    for folder in ("one", "other"):
        (shard,) = cut(listed(3), {}, tmp_path / folder)
        shard.write(table([(100, 0.5, BOX, [0.1, 0.2])]))
        contents.append(shard.path.read_bytes())
    assert contents[0] == contents[1]


def test_a_kill_while_a_shard_is_written_leaves_none(shard, table, monkeypatch):
    def half(table, path, **options):
        path.write_bytes(b"PAR1")
        raise RuntimeError("killed")

    candidates = table([(100, 0.5, BOX, [0.1])])
    with monkeypatch.context() as patch:
        patch.setattr(pq, "write_table", half)
        with pytest.raises(RuntimeError, match="killed"):
            shard.write(candidates)
    assert not shard.is_done
    shard.write(candidates)
    assert len(shard.read()) == 1


@pytest.mark.parametrize("place", [0.1, 0.3, 0.999])  # two pages and the end
def test_a_damaged_shard_is_named_and_not_read(shard, table, place):
    shard.write(table([(100 + i, i / 50, BOX, [0.1, 0.2]) for i in range(50)]))
    whole = shard.path.read_bytes()
    at = int(len(whole) * place)
    shard.path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    with pytest.raises(DataError, match=rf"{shard.path}: damaged .*delete it"):
        shard.read()


@pytest.mark.parametrize("columns", [("score",), ("image_id", "score"), ()])
def test_candidates_are_read_again_and_again_in_order(tmp_path, listed, table, columns):
    shards = list(cut(listed(100), {}, tmp_path, 1))
    for number, shard in enumerate(shards):
        shard.write(table([(100 + number, number / 100, BOX, [0.1, 0.2])]))
    candidates = Candidates(shards)
    for _ in range(2):
        parts = list(candidates.tables(*columns))
        assert all(tuple(part.column_names) == (columns or tuple(SCHEMA.names)) for part in parts)
        scores = [score for part in parts for score in part["score"].to_pylist()]
        assert scores == [number / 100 for number in range(100)]


def test_no_more_than_some_shards_are_held_at_once(tmp_path, listed, table):
    shards = list(cut(listed(200), {}, tmp_path, 1))
    for shard in shards:
        shard.write(table([(100, 0.5, BOX, [0.1, 0.2])]))
    assert max(map(len, Candidates(shards).tables())) <= 64


@pytest.mark.parametrize(
    "notes", [b"[[", b"{}", b'"text"', b"5", b"[1]", b'[["a"]]', b'[["a", 1]]']
)
def test_a_shard_whose_list_of_unreadable_images_is_damaged_is_named(shard, table, notes):
    candidates = table([(100, 0.5, BOX, [0.1])])
    shard.path.parent.mkdir()
    pq.write_table(candidates.replace_schema_metadata({b"datastill.refused": notes}), shard.path)
    with pytest.raises(DataError, match=rf"{shard.path}: damaged .*delete it"):
        shard.read(["score"])


def test_what_killed_processes_began_to_write_is_deleted_and_nothing_else(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = [f"1.parquet.{dead.pid}.partial", f"2.parquet.{os.getpid()}.partial", "3.parquet"]
    for name in names:
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / f"4.parquet.{dead.pid}.partial").write_text("")  # perhaps of another machine
    delete_abandoned(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], f"4.parquet.{dead.pid}.partial"}
    delete_abandoned(tmp_path / "none")
