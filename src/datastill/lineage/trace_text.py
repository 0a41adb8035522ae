"""A chain as text: a tree from the number down to the source of the images."""

import io
import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape as markup_escape
from rich.tree import Tree

from datastill.lineage.chain import Node
from datastill.lineage.dvc_lock import File
from datastill.lineage.verify import Verdict
from datastill.progress import escaped

ONCE = ("model", "set")  # kinds whose names are unique in a profile
WIDTH = 1000  # columns if there is no terminal: nothing is truncated
SHOWN = 10  # unverified files to name
MARKS = {"same": "[green]✓[/]", "differs": "[bold red]✗[/]", "absent": "[dim]·[/]"}

Verdicts = Mapping[File, Sequence[Verdict]]


def to_text(
    nodes: Sequence[Node],
    breaks: Sequence[str],
    verdicts: Sequence[Verdict] | None,
    terminal: bool = False,
) -> str:
    """Return the chains as trees, then the contradictions and, if any, the verdicts.

    Coloured, and as wide as it, for a terminal; names are without control characters.
    """
    width = shutil.get_terminal_size().columns if terminal else WIDTH
    output = io.StringIO()
    console = Console(file=output, force_terminal=terminal, width=width, highlight=False)
    by_file: dict[File, list[Verdict]] = defaultdict(list)
    for verdict in verdicts or []:
        by_file[verdict.file].append(verdict)
    shown: set[tuple[str, str]] = set()
    for node in nodes:
        tree = Tree(_title(node, ""))
        _grow(tree, node, by_file, shown)
        console.print(tree, soft_wrap=not terminal)
    broken = [f"[bold red]broken[/] {escape(contradiction)}" for contradiction in breaks]
    for line in broken + ([] if verdicts is None else _summary(verdicts)):
        console.print(line, soft_wrap=True)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def escape(text: str) -> str:
    """Return a name for the console: its brackets are no markup, its control characters text."""
    return markup_escape(escaped(text))


def _grow(tree: Tree, node: Node, verdicts: Verdicts, shown: set[tuple[str, str]]) -> None:
    """Add to `tree` the files, code and sources of `node`; a model or set is shown once."""
    shown.add((node.kind, node.name))
    for file in node.files:
        # of a set its own file, and the folder of all sets only if it differs
        if node.kind != "set" or file == node.files[0] or _wrong(verdicts.get(file, [])):
            tree.add(_file(file, verdicts.get(file, [])))
    if node.code is not None:
        tree.add(f"[dim]code as at {_commit(node.code) or 'no commit that is here'}[/]")
    for role, source in node.sources.items():
        again = source.kind in ONCE and (source.kind, source.name) in shown
        branch = tree.add(_title(source, role) + (" [dim](above)[/]" if again else ""))
        if not again:
            _grow(branch, source, verdicts, shown)


def _title(node: Node, role: str) -> str:
    facts = escape(_FACTS[node.kind](node.facts))
    if node.kind == "source":
        return f"{node.name}: {facts}"
    words = "" if role in (node.name, node.kind) else role
    kind = "" if node.kind in ("value", "set") else node.kind
    name = " ".join(filter(None, (words, kind, f"[bold cyan]{escape(node.name)}[/]")))
    return ": ".join(filter(None, (name, facts)))


def _value(facts: Mapping[str, Any]) -> str:
    text = f"AP {facts['ap']:.2f}"
    if "ap_low" in facts:
        text += f" [{facts['ap_low']:.2f}, {facts['ap_high']:.2f}]"
    text += f", mean of {facts['seeds']} seeds" if facts["seeds"] > 1 else ""
    for gain in ("gain", "control_gain"):
        if gain in facts:
            text += f", {facts[gain]:+.2f} over {', '.join(facts[f'{gain}_over'])}"
    ablation = [facts["ablation"]] if "ablation" in facts else []
    return f"{text} (in {', '.join([*facts['lines'], *ablation])})"


def _result(facts: Mapping[str, Any]) -> str:
    low, high = facts["interval"]
    machine = (facts["device"], f"{facts['threads']} threads", facts["precision"])
    return (
        f"AP {facts['ap']:.2f} [{low:.2f}, {high:.2f}] on {facts['images']} images, measured at "
        f"{_commit(facts['code'])}, {', '.join(filter(None, machine))}, torch {facts['torch']}"
    )


def _model(facts: Mapping[str, Any]) -> str:
    if "ensemble" in facts:
        return f"{', '.join(facts['ensemble'])} as one"
    if "ready" in facts:
        return f"{facts['ready']}, not trained here"
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


_FACTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "value": _value,
    "result": _result,
    "model": _model,
    "annotations": _annotations,
    "set": lambda facts: f"{facts['images']:,} images" if "images" in facts else "",
    "source": lambda facts: ", ".join(f"{k} {v}" for k, v in facts.items() if v is not None),
}


def _commit(code: str) -> str:
    """Return a commit in short; a release as it is."""
    commit, plus, changes = code.partition("+")
    return code if code.startswith("datastill ") else f"{commit[:8]}{plus}{changes}"


def _file(file: File, verdicts: Sequence[Verdict]) -> str:
    md5, sha256 = (f"md5 {file.md5[:8]}" if file.md5 else ""), f"sha256 {file.sha256[:8]}"
    digests = f"{md5}  {sha256}" if file.sha256 else md5
    wrong = _wrong(verdicts)
    mark = "".join(f"{MARKS[verdict.state]} " for verdict in (wrong or verdicts)[:1])
    differences = (f" [bold red]{escape(v.where)} {v.difference}[/]" for v in wrong)
    return f"{mark}[dim]{escape(file.path)}  {digests}[/]{''.join(differences)}"


def _wrong(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.state == "differs"]


def _summary(verdicts: Sequence[Verdict]) -> list[str]:
    lines = [f"[bold red]differs[/] {escape(v.where)}: {v.difference}" for v in _wrong(verdicts)]
    absent = [verdict.where for verdict in verdicts if verdict.state == "absent"]
    lines += [f"[dim]not here, so not verified:[/] {escape(path)}" for path in absent[:SHOWN]]
    if len(absent) > SHOWN:
        lines.append(f"[dim]and {len(absent) - SHOWN} more[/]")
    count = Counter(verdict.state for verdict in verdicts)
    totals = f"{count['same']} as recorded, {count['differs']} differ, {count['absent']} not"
    return [*lines, f"{totals} verified"]
