"""The peak memory of a training run, kept out of DVC because it differs between runs."""

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from datastill.errors import DataError
from datastill.io import digest, write_text
from datastill.project.profile import Profile
from datastill.project.records import read_facts


def peak_bytes() -> int:
    """Return the peak memory of this process or, if larger, of one of its ended children."""
    unit = 1 if sys.platform == "darwin" else 1024
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return unit * max(resource.getrusage(each).ru_maxrss for each in whose)


@contextmanager
def record_usage(profile: Profile, row: str) -> Iterator[None]:
    """Record the peak memory of the block, which trains `row`, if it ends without an error.

    Of a distributed training run both the first process, which knows the GPU's, and the one that
    started all of them do so; the larger values stay.
    """
    yield
    path, card = profile.usage(row), profile.model(row) / "card.json"
    if not card.is_file():
        return
    usage = {"card": digest(card), "peak_bytes": peak_bytes()}
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        usage["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
    try:
        former = read_facts(path)
    except DataError:  # a damaged file costs no training run
        former = {}
    if former.get("card") == usage["card"]:
        usage |= {k: max(v, usage.get(k, 0)) for k, v in former.items() if k != "card"}
    write_text(path, json.dumps(usage) + "\n")
