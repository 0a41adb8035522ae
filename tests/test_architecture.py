"""The layout is a promise: these tests read the source and hold it to it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "datastill"
LAYERS = ["errors", "instances", "progress", "io", "coco", "images", "synthetic", "sources"]
LAYERS += ["model", "training", "inference", "distill", "evaluation", "report"]
EDGES = ["project", "tracking", "lineage", "scheduler", "stages", "commands", "cli", "__main__"]
HOMES = {"mlflow": "tracking", "typer": "cli", "yaml": "project", "pydantic": "project"}
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def top(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_only_flow_downstream(path):
    own = {module.split(".")[1] for module in imported(path) if module.startswith("datastill.")}
    assert top(path) in [*LAYERS, *EDGES, "__init__"], "a new module needs a place"
    if top(path) in LAYERS:
        upstream = set(LAYERS[: LAYERS.index(top(path)) + 1])
        assert own <= upstream, f"{top(path)} must not import {sorted(own - upstream)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_outside_libraries_stay_at_their_edge(path):
    for library, module in HOMES.items():
        if top(path) != module:
            assert library not in {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is_and_stays_short(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert text.count("\n") <= 300
    assert path.stem not in {"utils", "helpers", "common", "misc", "core", "base"}
