"""The params.yaml and dvc.yaml of your own data: commented templates, filled in."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from string import Template
from textwrap import indent
from typing import Any

import yaml

from datastill.progress import escaped
from datastill.project.release import RELEASE
from datastill.project.yaml_rules import differs

_MATCH = "match # paper: match the keypoints per instance; or match_by_type, fixed, agreement"
_OF_TASK = {
    "keypoints": {"table": "table1", "keypoints": _MATCH},
    "boxes": {"table": "table4", "keypoints": "null # boxes have none"},
}
_UPPER = """  all: # the upper bound: labels for all images
    labelled: all
    backbone: {backbone}
    iterations: {iterations}
    seed: {seed}
"""
_ROUND = """  {name}: # its teacher is the previous student: the paper's future work
    labelled: labelled
    unlabelled: unlabelled
    teacher: {teacher}
    backbone: {backbone}
    iterations: {student}
    seed: {seed}
"""
_STAGES = f"""\
# The stages of every profile: `datastill new` copies this file to pipelines/NAME, where DVC runs
# it; .dvcignore hides it here. All stages depend on the release of datastill in {RELEASE}.
"""


def own_params(
    values: Mapping[str, Any],
    data: Mapping[str, Any],
    views: Sequence[int],
    comments: Sequence[str],
    rounds: int = 1,
) -> str:
    """Return the text of a params.yaml.

    values  of the template's names; data  its section `data`; views  short sides; comments  at its
    head; rounds  of annotating and retraining, each with the previous student as teacher
    """
    student = "labelled_unlabelled"  # in the template
    names = [student, *(f"{student}_round-{number}" for number in range(2, rounds + 1))]
    blocks = {
        "data": _block(data),
        "views": indent(_block([*views]), "  "),
        "comments": "\n".join("# " + escaped(" ".join(comment.split())) for comment in comments),
        "upper": _UPPER.format(**values) if "all" in data["sets"] else "",
        "rounds": "".join(_ROUND.format(name=n, teacher=t, **values) for t, n in pairwise(names)),
    }
    template = Template(Path(__file__).with_name("own.yaml").read_text())
    return template.substitute(values, **blocks, **_OF_TASK[values["task"]])


def own_stages() -> str:
    """Return the text of a dvc.yaml whose stages depend on the release, not on source files."""
    text = Path(__file__).with_name("stages.yaml").read_text()
    for line in (r"#.*\n", r" +- src/.*\n", r" +deps:\n(?= +params:)"):  # the last reads only code
        text = re.sub(f"^{line}", "", text, flags=re.MULTILINE)
    recorded = rf"\1- {RELEASE}:\n\1    - version\n\g<0>"
    return _STAGES + re.sub(r"^( +)- \$\{params_file\}:\n", recorded, text, flags=re.MULTILINE)


def plain_yaml(value: Any) -> str:
    """Return `value` as YAML in the order and style of every params.yaml."""
    return yaml.dump(value, Dumper=_Nested, sort_keys=False, allow_unicode=True, width=10_000)


def _block(value: Any) -> str:
    return indent(plain_yaml(value).rstrip(), "  ")


class _Nested(yaml.SafeDumper):
    """Indents lists below their key, and quotes the text that DVC would read as a number."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = "'" if differs(data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Nested.add_representer(str, _Nested.represent_str)
