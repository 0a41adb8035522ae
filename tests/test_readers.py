"""Foreign data enter by their readers alone: these tests read the source."""

import ast

import pytest
from source_graph import FILES, relative

READERS = {  # of text or tables that datastill did not make in this process
    "io.py": "the reader of JSON",
    "coco/yolo_config.py": "the reader of YOLO's YAML",
    "project/loading.py": "the reader of params.yaml, expected.yaml and dvc.lock",
    "project/records.py": "the reader of records and evidence",
    "distill/shards.py": "the reader of shards",
    "model/checkpoint.py": "the reader of weights",
    "images/manifest.py": "the reader of the manifest",
    "coco/deeplabcut.py": "the reader of DeepLabCut's tables",
    "lineage/table_rows.py": "the reader of our tables",
    "project/measured_claims.py": "the reader of our tables for the claims",
}
OURS = {  # written by this process, this package or the program that is asked
    "coco/image_records.py": "records of this process",
    "sources/published_sets.py": "a list in the package",
    "report/paper.py": "a table in the package",
    "distill/ray_engine.py": "a task of this process",
    "tracking/sync.py": "tags that it set itself",
    "scheduler/graph.py": "what DVC answers",
    "commands/picture.py": "a table of this profile",
    "project/lock_backup.py": "DVC's list of locks: damaged, it is dropped",
    "commands/rm.py": "DVC's list of locks, with an error of its own",
    "commands/fetch.py": "a note beside an archive: damaged, it counts as none",
    "stages/annotate.py": "a table of stage data",
    "page/evidence_reader.py": "candidates of stage annotate, a group at a time",
    "page/finished_run.py": "tables of this profile",
    "page/left_out.py": "tables of stage data",
}
BARE = {"loads", "load", "safe_load", "read_parquet", "read_table", "ParquetFile", "read_csv"}
BARE |= {"DictReader", "reader"}
LIBRARIES = {"json", "yaml", "pd", "pq", "csv"}


def bare_reads(path):
    """Every call in a module that parses a file or text without checking its values."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            library = node.func.value
            if isinstance(library, ast.Name) and library.id in LIBRARIES and node.func.attr in BARE:
                yield f"{library.id}.{node.func.attr}, line {node.lineno}"


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_foreign_data_are_parsed_in_their_reader_alone(path):
    if relative(path) not in READERS | OURS:
        assert not [*bare_reads(path)]


def test_every_exception_is_still_one():
    assert {relative(path) for path in FILES if [*bare_reads(path)]} == {*READERS, *OURS}
