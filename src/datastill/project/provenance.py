"""The code, machine and libraries behind a number."""

import json
import platform
import re
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import datastill
from datastill.errors import DataError
from datastill.io import digest
from datastill.model.precision import gpu_name
from datastill.progress import note_once
from datastill.project.git import git
from datastill.project.release import RELEASE, installed_release

_PACKAGE = Path(datastill.__file__).parent


def code_version() -> str:
    """Return the git commit, marked `+changes` if the source differs from it.

    In a project of one's own, whose commits have no source, that is the release of datastill;
    "unknown", with a warning, without git, outside a repository, or in a folder of another one.
    """
    if RELEASE.is_file():
        return f"datastill {installed_release()}"
    try:
        outer = git("rev-parse", "--show-prefix", strict=True).strip()
        commit = git("rev-parse", "HEAD", strict=True).decode().strip()
    except DataError as error:
        note_once(f"the commit of the code is recorded as unknown: {str(error).splitlines()[0]}")
        return "unknown"
    if outer:
        note_once("the commit of the code is recorded as unknown: the repository here is another")
        return "unknown"
    # Every stage that runs changes dvc.lock, which affects no result.
    watched = ("src", "params.yaml", "pipelines", ":!*.lock")
    changed = git("status", "--porcelain", "--", *watched).strip()
    return f"{commit}+changes" if changed else commit


def environment() -> dict[str, Any]:
    """Return the facts about machine and libraries that can affect a number."""
    return {
        "device": gpu_name() or _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }


def inference_code() -> str:
    """Return a digest of the code that decides what a model detects and how shards hold it."""
    pixels = ("coco/image_header.py", "images/load.py", "images/geometry.py", "instances.py")
    shards = ("distill/candidates.py", "distill/shards.py")
    return _code(*pixels, "inference", "model", *shards)


def training_code() -> str:
    """Return a digest of the code that decides the outcome of a training run."""
    return _code("coco", "images", "model", "training")


def _code(*parts: str) -> str:
    paths = [_PACKAGE / part for part in parts]
    modules = [m for path in paths for m in (sorted(path.rglob("*.py")) or [path])]
    return fingerprint([digest(module) for module in modules])


def fingerprint(facts: Any) -> str:
    """Return a digest of everything in `facts`, the same for equal facts."""
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _processor() -> str:
    """Return the name of the CPU, on Linux with its generation, on which rounding depends."""
    cpu = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    name = str(cpu.get("cpu_name") or platform.processor() or platform.machine())
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    first, _, _ = facts.replace("cpu family", "family").partition("\n\n")
    numbers = re.findall(r"^(family|model)\s*: (\d+)$", first, re.MULTILINE)
    generation = ", ".join(" ".join(pair) for pair in numbers)
    return f"{name} ({generation})" if generation else name
