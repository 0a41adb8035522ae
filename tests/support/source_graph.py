"""The package's own import graph, read from its source."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from places import ROOT

PACKAGE = ROOT / "src" / "datastill"
FILES = sorted(PACKAGE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def top(path: Path) -> str:
    """The layer or edge that a file belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Every module that a file names in an import, also within functions and TYPE_CHECKING."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules |= {str(node.module)}
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules |= {node.value} if node.value.startswith("datastill.") else set()
    return modules


@cache
def own_imports(path: Path) -> set[Path]:
    """The files of the package that a file imports, with the `__init__` that each passes."""
    files = {file for name in imported(path) if (file := _file_of(name))}
    for file in [*files]:
        files |= {folder / "__init__.py" for folder in file.parents if PACKAGE in folder.parents}
    return {file for file in files if file != path}


def _file_of(module: str) -> Path | None:
    first, *parts = module.split(".")
    if first != "datastill" or not parts:
        return None
    target = PACKAGE.joinpath(*parts)
    options = (target.with_suffix(".py"), target / "__init__.py")
    return next((file for file in options if file.is_file()), None)


@cache
def has_code(path: Path) -> bool:
    """Whether a file does more than say what it is."""
    return len(ast.parse(path.read_text()).body) > 1
