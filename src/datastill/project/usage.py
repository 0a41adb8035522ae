"""What a stage took: kept beside its files on this machine, not in DVC, as no run repeats it."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datastill.io import write_text

_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes, of getrusage


@contextmanager
def record_usage(path: Path) -> Iterator[None]:
    """Write the wall time and the peak memory of the block to `path` if it ends without an error.

    Memory is that of the largest process in bytes, data workers included, since the program began.
    """
    began = time.monotonic()
    yield
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usage = {
        "seconds": round(time.monotonic() - began, 1),
        "peak_bytes": max(resource.getrusage(each).ru_maxrss for each in whose) * _UNIT,
    }
    torch = sys.modules.get("torch")  # importing it would cost more than most stages
    if torch and torch.cuda.is_initialized():
        usage["peak_gpu_bytes"] = torch.cuda.max_memory_allocated()
    write_text(path, json.dumps(usage) + "\n")
