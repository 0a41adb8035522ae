import hashlib

import pytest

from datastill.io import atomic, digest, write_text


def test_a_partial_file_becomes_the_whole_one_under_a_suffix_of_ones_own(tmp_path):
    path = tmp_path / "some" / "where" / "table.bin"
    with atomic(path, ".1.partial") as partial:
        partial.write_bytes(b"rows")
        assert [file.name for file in path.parent.iterdir()] == ["table.bin.1.partial"]
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"rows"]


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "before")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "after \ud800")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_a_digest_is_the_sha_256_of_the_bytes(tmp_path):
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(256)) * 5000)
    assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
