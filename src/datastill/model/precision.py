"""In which floating-point format a device computes."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]  # Fabric's names
Choice = Precision | Literal["auto"]


def resolve_precision(name: Choice) -> Precision:
    """Return what `auto` means here: bf16 where the hardware multiplies it, else fp32.

    That is every GPU since Ampere and every CPU with AMX. Others are slower in bf16 than in fp32,
    those with AVX512-BF16 alone among them.
    """
    if name != "auto":
        return name
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        )
    return "bf16-mixed" if torch.cpu._is_amx_tile_supported() else "32-true"


def inference_precision(name: Choice, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a detector predicts on `device`."""
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    resolved = resolve_precision(name)
    return torch.autocast(device.type, types.get(resolved), enabled=resolved in types)
