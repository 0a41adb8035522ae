"""Torchvision without torch's compiler, which is half of what a command waits for at its start.

torchvision.ops imports the compiler to ask one question, and only ever asks it on a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Let what is imported inside go on without torch's compiler, unless it is imported already.

    A stand-in answers for it: the one function that torchvision takes imports the compiler when it
    is called, any other name does so at once.
    """
    if _COMPILER in sys.modules:
        yield
        return
    stand_in = ModuleType(_COMPILER)
    vars(stand_in).update(is_compile_supported=_is_compile_supported, __getattr__=_of_the_compiler)
    sys.modules[_COMPILER] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is stand_in:
            del sys.modules[_COMPILER]


def _is_compile_supported(device_type: Any) -> Any:
    return import_module(_COMPILER).is_compile_supported(device_type)


def _of_the_compiler(name: str) -> Any:
    if name.startswith("__"):  # what Python itself asks a module for, which has its own answer
        raise AttributeError(name)
    del sys.modules[_COMPILER]
    return getattr(import_module(_COMPILER), name)
