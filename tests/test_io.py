import hashlib
import os

import pytest

from datastill.errors import DataError
from datastill.io import atomic, digest, read_json, write_text


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": ' + "7" * 400 + "}", "a whole number of 400 digits"),
        ('{"a": ' + "7" * 9000 + "}", "a whole number of 9,000 digits"),
        ('{"a": "\\udcff"}', r"Half a character, \\udcff: line 1 column 8"),
        ('["\\ud83d\\ude00", "\\ud83d \\ude00"]', r"Half a character, \\ud83d: line 1 column 19"),
        ('["\\\\ud83d\\ude00"]', r"Half a character, \\ude00"),
        ('["\\uD83D\\uD83D\\uDE00"]', r"Half a character, \\uD83D: line 1 column 3"),
        ("[" * 100_000, "lists in lists, thousands deep"),
        ('{"a": ', "Expecting value"),
    ],
)
def test_json_that_nothing_else_could_hold_is_refused_by_its_reader(tmp_path, text, message):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=rf"a\.json: expected facts, .*{message}.*; fetch it$"):
        read_json(tmp_path / "a.json", "facts", "fetch it")


def test_whole_pairs_of_surrogates_and_long_fractions_are_read(tmp_path):
    (tmp_path / "a.json").write_text(
        '["\\ud83d\\ude00", 0.' + "1" * 400 + ', 12, "\\u00e9", "C:\\\\udata\\\\ud83d\\n"]'
    )
    assert read_json(tmp_path / "a.json") == ["😀", 1 / 9, 12, "é", "C:\\udata\\ud83d\n"]


def test_a_pipe_is_no_file_to_wait_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"a\.json: not a readable file: it is a pipe or a device"):
        read_json(tmp_path / "a.json")
