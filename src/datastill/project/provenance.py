"""Where a number comes from: code, machine and libraries."""

from __future__ import annotations

import json
import platform
import subprocess
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import datastill
from datastill.io import digest

_PACKAGE = Path(datastill.__file__).parent


def code_version() -> str:
    """Return the git commit, marked `+changes` where the source differs from it."""
    commit = _git("rev-parse", "HEAD") or "unknown"
    # dvc.lock changes with every stage that runs; it decides nothing.
    changed = _git("status", "--porcelain", "--", "src", "params.yaml", "pipelines", ":!*.lock")
    return f"{commit}+changes" if changed else commit


def environment() -> dict[str, Any]:
    """Return the facts about machine and libraries that can move a number."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }


def looking_code() -> str:
    """Return a digest of the code that decides what a model finds in an image."""
    modules = [_PACKAGE / "images/load.py", _PACKAGE / "instances.py"]
    return fingerprint([digest(module) for module in modules + _modules("inference", "model")])


def training_code() -> str:
    """Return a digest of the code that decides what a training makes of its sets."""
    return fingerprint([digest(m) for m in _modules("coco", "images", "model", "training")])


def _modules(*parts: str) -> list[Path]:
    return [module for part in parts for module in sorted((_PACKAGE / part).rglob("*.py"))]


def fingerprint(facts: Any) -> str:
    """Return a digest of everything in `facts`, the same for equal facts."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _processor() -> str:
    name = (
        torch.cpu.get_capabilities().get("cpu_name")
        if hasattr(torch.cpu, "get_capabilities")
        else None
    )
    return str(name or platform.processor() or platform.machine())


def _git(*arguments: str) -> str:
    try:
        answer = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
