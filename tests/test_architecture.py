"""The layout is a promise: these tests read the source and hold it to it."""

import ast
import io
import tokenize
from collections import Counter

import pytest
from source_graph import FILES, PACKAGE, imported, own_imports, relative, top

LAYERS = ["lazy_compiler", "errors", "instances", "progress", "io", "coco", "images"]
LAYERS += ["synthetic", "sources", "model", "training", "inference", "distill"]
LAYERS += ["evaluation", "report", "page"]
EDGES = ["project", "tracking", "lineage", "scheduler", "stages", "commands", "cli", "__main__"]
HOMES = {"mlflow": {"tracking"}, "typer": {"cli"}, "pydantic": {"project"}}
HOMES |= {"yaml": {"project", "coco"}}  # params.yaml, and YOLO's data.yaml
VAGUE = {"utils", "helpers", "common", "misc", "core", "base", "manager", "handler"}
RETIRED = {
    *("Place", "Brought", "Seen", "Look", "look", "Found", "_Sum", "Mean", "sight", "through"),
    *("looking", "looked_for", "asked_for", "plain", "weigh", "alone", "_elect", "swap", "thawed"),
    *("crown", "lists", "base_rate", "drops", "images_per_pass", "most_refused", "told", "mine"),
    *("theirs", "how", "what", "story", "found"),
}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_only_flow_downstream(path):
    order = [*LAYERS, *EDGES]
    assert top(path) in [*order, "__init__"], "a new module needs a place"
    if top(path) != "__init__":
        later = order[order.index(top(path)) + 1 :]
        upward = {relative(file) for file in own_imports(path) if top(file) in later}
        assert not upward, f"{relative(path)} must not import {sorted(upward)}"


def test_no_module_imports_itself_by_a_detour():
    graph = {path: own_imports(path) - {path.parent / "__init__.py"} for path in FILES}
    while True:
        leaves = {path for path, needs in graph.items() if not needs & graph.keys()}
        if not leaves:
            break
        graph = {path: needs for path, needs in graph.items() if path not in leaves}
    assert sorted(map(relative, graph)) == []


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_outside_libraries_stay_at_their_edge(path):
    for library, modules in HOMES.items():
        if top(path) not in modules:
            assert library not in {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_module_names_its_subject_and_stays_short(path):
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring
    assert "?" not in docstring.partition("\n\n")[0]
    assert text.count("\n") <= 300
    assert path.stem not in VAGUE


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_function_is_longer_than_forty_lines(path):
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, functions):
            assert node.end_lineno - node.lineno < 40, node.name


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_names_are_those_of_the_field(path):
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME}
    assert not names & RETIRED
    assert not {name for name in names if name.startswith("least_")}


def test_no_two_modules_share_a_name():
    """A stage or a command may bear the word of what it calls."""
    named = (p for p in FILES if top(p) not in ("stages", "commands", "cli", "__main__"))
    counts = Counter(path.stem for path in named if path.stem != "__init__")
    assert [name for name, count in counts.items() if count > 1] == []


def test_the_stages_are_the_modules_of_their_commands():
    stages = {path.stem for path in (PACKAGE / "stages").glob("*.py")}
    words = "data teacher ensemble train annotate evaluate curves tables report"
    assert stages == {"__init__", *words.split()}


def test_no_folder_holds_more_than_its_share():
    lines = Counter()
    for path in FILES:
        lines[top(path)] += path.read_text().count("\n")
    folder, most = lines.most_common(1)[0]
    assert most <= 0.15 * lines.total(), folder
