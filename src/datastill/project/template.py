"""The params.yaml of a new profile: a template with its reasons, filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from textwrap import indent
from typing import Any

import yaml

_TEMPLATE = Path(__file__).parent / "own.yaml"
_INDENT = "  "
_OF_TASK = {
    "keypoints": {
        "table": "table1",
        "keypoints": "match # paper: match the keypoints per instance; or match_by_type, fixed, agreement",
    },
    "boxes": {"table": "table4", "keypoints": "null # boxes have none"},
}
_UPPER = """  all: # the upper bound: labels for all images
    labelled: all
    backbone: {backbone}
    iterations: {iterations}
    seed: {seed}
"""
_STUDENT = "labelled_unlabelled"  # in the template
_ROUND = """  {name}: # taught by the student before it: the paper's future work
    labelled: labelled
    unlabelled: unlabelled
    teacher: {teacher}
    backbone: {backbone}
    iterations: {student}
    seed: {seed}
"""


def own_params(
    values: Mapping[str, Any],
    data: Mapping[str, Any],
    views: Sequence[int],
    found: Sequence[str],
    rounds: int = 1,
) -> str:
    """Return the text of a params.yaml.

    values  of the template's names; data  its section `data`; views  short sides; found  comments;
    rounds  of annotating and retraining, each with the student before as teacher
    """
    upper = _UPPER.format(**values) if "all" in data["sets"] else ""
    blocks = {
        "data": _block(data),
        "views": indent(_block([*views]), _INDENT),
        "found": "\n".join("# " + " ".join(line.split()) for line in found),
        "upper": upper,
        "rounds": "".join(_round(number, values) for number in range(2, rounds + 1)),
    }
    return Template(_TEMPLATE.read_text()).substitute(values, **blocks, **_OF_TASK[values["task"]])


def _round(number: int, values: Mapping[str, Any]) -> str:
    before = _STUDENT if number == 2 else f"{_STUDENT}_round-{number - 1}"
    return _ROUND.format(name=f"{_STUDENT}_round-{number}", teacher=before, **values)


def plain_yaml(value: Any) -> str:
    """Return `value` as YAML in the order and the form of all params.yaml."""
    return yaml.dump(value, Dumper=_Nested, sort_keys=False, allow_unicode=True, width=10_000)


def _block(value: Any) -> str:
    return indent(plain_yaml(value).rstrip(), _INDENT)


class _Nested(yaml.SafeDumper):
    """Writes lists deeper than their key, as all params.yaml do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True
