"""Device and floating-point format of all computation."""

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # Fabric's names
Choice = Precision | Literal["auto"]


def best_device() -> torch.device:
    """Return the GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def gpu_name() -> str:
    """Return the name of the GPU, "" without one."""
    return torch.cuda.get_device_name() if best_device().type == "cuda" else ""


def resolve_precision(name: Choice) -> Precision:
    """Return what `auto` means here: bf16 if the hardware multiplies it, else fp32.

    That is every GPU since Ampere and every CPU with AMX. Others, even CPUs with AVX512-BF16, are
    slower in bf16 than in fp32.
    """
    if name != "auto":
        return name
    if best_device().type == "cpu":
        return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"


def inference_precision(name: Choice, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a detector predicts on `device`."""
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    resolved = resolve_precision(name)
    return torch.autocast(device.type, types.get(resolved), enabled=resolved in types)
