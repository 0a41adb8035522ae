"""A chain for a person to read: a tree, from the number down to the source of the images."""

from __future__ import annotations

import io
import shutil
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from datastill.lineage.chain import Node
from datastill.lineage.dvc_lock import File

if TYPE_CHECKING:
    from datastill.lineage.verify import Verdict

AGAIN = ("model", "set")  # kinds of which one name means one thing in a profile
WIDTH = 1000  # columns where there is no terminal: nothing is cut
SHOWN = 10  # files without a verdict that are named
MARKS = {"same": "[green]✓[/]", "differs": "[bold red]✗[/]", "absent": "[dim]·[/]"}

Verdicts = Mapping[File, Sequence["Verdict"]]


def to_text(
    nodes: Sequence[Node], breaks: Sequence[str], verdicts: Sequence[Verdict] | None
) -> str:
    """Return the chains as trees; then what contradicts and, if `verdicts`, what was verified."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else WIDTH
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=width, highlight=False)
    found: dict[File, list[Verdict]] = {}
    for verdict in verdicts or []:
        found.setdefault(verdict.file, []).append(verdict)
    told: set[tuple[str, str]] = set()
    for node in nodes:
        tree = Tree(_title(node, ""))
        _grow(tree, node, found, told)
        console.print(tree, soft_wrap=not terminal)
    for text in breaks:
        console.print(f"[bold red]broken[/] {escape(text)}", soft_wrap=True)
    if verdicts is not None:
        for line in _summary(verdicts):
            console.print(line, soft_wrap=True)
    return "\n".join(line.rstrip() for line in written.getvalue().splitlines())


def _grow(tree: Tree, node: Node, found: Verdicts, told: set[tuple[str, str]]) -> None:
    """Hang on `tree` what is known of `node`; what was told already is not told again."""
    told.add((node.kind, node.name))
    for file in _told_files(node, found):
        tree.add(_file(file, found))
    if node.code is not None:
        tree.add(f"[dim]code as at {node.code[:8] or 'no commit that is here'}[/]")
    for role, source in node.sources.items():
        again = (source.kind, source.name) in told and source.kind in AGAIN
        title = _title(source, role) + (" [dim](above)[/]" if again else "")
        branch = tree.add(title)
        if not again:
            _grow(branch, source, found, told)


def _told_files(node: Node, found: Verdicts) -> list[File]:
    """Return the files to show: of a set its own, and the folder of all sets where it differs."""
    rest = [f for f in node.files[1:] if any(v.state == "differs" for v in found.get(f, []))]
    return [*node.files[:1], *rest] if node.kind == "set" else list(node.files)


def _title(node: Node, role: str) -> str:
    if node.kind == "source":
        return f"{node.name}: {escape(_told(node.facts))}"
    facts = escape(_LINES[node.kind](node.facts))
    words = "" if role in (node.name, node.kind) else role
    kind = "" if node.kind in ("value", "set") else node.kind
    named = " ".join(filter(None, (words, kind, f"[bold cyan]{escape(node.name)}[/]")))
    return ": ".join(filter(None, (named, facts)))


def _value(facts: Mapping[str, Any]) -> str:
    text = f"AP {facts['ap']:.2f}"
    if "ap_low" in facts:
        text += f" [{facts['ap_low']:.2f}, {facts['ap_high']:.2f}]"
    text += f", mean of {facts['seeds']} seeds" if facts["seeds"] > 1 else ""
    for gain in ("gain", "control_gain"):
        if gain in facts:
            text += f", {facts[gain]:+.2f} over {', '.join(facts[f'{gain}_over'])}"
    told = [*facts["lines"], *([facts["ablation"]] if "ablation" in facts else [])]
    return f"{text} (in {', '.join(told)})"


def _result(facts: Mapping[str, Any]) -> str:
    low, high = facts["interval"]
    where = (facts["device"], f"{facts['threads']} threads", facts["precision"])
    return (
        f"AP {facts['ap']:.2f} [{low:.2f}, {high:.2f}] on {facts['images']} images, measured at "
        f"{_commit(facts['code'])}, {', '.join(filter(None, where))}, torch {facts['torch']}"
    )


def _model(facts: Mapping[str, Any]) -> str:
    if "ensemble" in facts:
        return f"{', '.join(facts['ensemble'])} as one"
    return (
        f"{facts['backbone']} from {facts['start']}, {facts['iterations']:,} iterations "
        f"({facts['steps']:,} steps of {facts['batch']}), rate {facts['base_lr']:g}, "
        f"seed {facts['seed']}"
    )


def _annotations(facts: Mapping[str, Any]) -> str:
    text = (
        f"{facts['instances']:,} instances on {facts['images']:,} images from {facts['views']} "
        f"views, scored {facts['instance_threshold']:.4f} or more"
    )
    if facts["keypoint_threshold"] is not None:
        text += f", keypoints {facts['keypoint_threshold']:.4f} or more"
    return f"{text}, generated at {_commit(facts['code'])}"


def _counted(facts: Mapping[str, Any]) -> str:
    return f"{facts['images']:,} images" if "images" in facts else ""


def _told(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


_LINES = {
    "value": _value, "result": _result, "model": _model, "annotations": _annotations,
    "set": _counted,
}  # fmt: skip


def _commit(code: str) -> str:
    commit, plus, changes = code.partition("+")
    return f"{commit[:8]}{plus}{changes}"


def _file(file: File, found: Verdicts) -> str:
    digests = [f"md5 {file.md5[:8]}" if file.md5 else "", f"sha256 {file.sha256[:8]}"]
    text = f"[dim]{escape(file.path)}  {'  '.join(digests if file.sha256 else digests[:1])}[/]"
    verdicts = found.get(file, [])
    wrong = [verdict for verdict in verdicts if verdict.state == "differs"]
    for verdict in wrong[:1] or verdicts[:1]:
        text = f"{MARKS[verdict.state]} {text}"
    for verdict in wrong:
        text += f" [bold red]{escape(verdict.where)} {verdict.found}[/]"
    return text


def _summary(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [
        f"[bold red]differs[/] {escape(v.where)}: {v.found}"
        for v in verdicts
        if v.state == "differs"
    ]
    absent = [verdict.where for verdict in verdicts if verdict.state == "absent"]
    lines += [f"[dim]not here, so not verified:[/] {escape(path)}" for path in absent[:SHOWN]]
    if len(absent) > SHOWN:
        lines.append(f"[dim]and {len(absent) - SHOWN} more[/]")
    count = Counter(verdict.state for verdict in verdicts)
    return [
        *lines,
        f"{count['same']} as recorded, {count['differs']} differ, {count['absent']} not verified",
    ]
