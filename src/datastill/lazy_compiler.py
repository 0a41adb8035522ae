"""Deferred import of torch's compiler.

torchvision.ops imports the compiler for one check, which it only makes on a GPU. Without the
compiler `import torchvision` takes 1.7 s instead of 3.7 s, `datastill predict` on one image 1.8 s
instead of 2.9 s, and `datastill evaluate` starts 1.1 s sooner (2 cores, files in the page cache,
bytecode compiled, medians of 7).
"""

import importlib.util
import sys
from functools import partial
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


class TorchvisionFinder(MetaPathFinder):
    """Import hook that loads torchvision, once, without torch's compiler."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the spec of torchvision with a loader that defers the compiler, else None."""
        if name != "torchvision":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and _COMPILER not in sys.modules:
            loader: Any = spec.loader
            loader.exec_module = partial(_without_compiler, loader.exec_module)
        return spec


def _without_compiler(execute: Any, module: ModuleType) -> None:
    """Execute `module` with a stand-in for torch's compiler.

    The one function that torchvision takes from it imports the compiler when it is called; any
    other name is taken from the compiler itself, at once.
    """
    stand_in: Any = ModuleType(_COMPILER)
    load = partial(importlib.import_module, _COMPILER)
    stand_in.is_compile_supported = lambda device: load().is_compile_supported(device)
    stand_in.__getattr__ = _import_name
    sys.modules[_COMPILER] = stand_in
    try:
        execute(module)
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]


def _import_name(name: str) -> Any:
    if name.startswith("__"):  # the import machinery reads these; modules define them themselves
        raise AttributeError(name)
    del sys.modules[_COMPILER]
    return getattr(importlib.import_module(_COMPILER), name)
