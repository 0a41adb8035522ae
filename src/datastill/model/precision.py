"""In which floating-point format a device computes."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

AUTO = "auto"
PRECISIONS = (AUTO, "32-true", "bf16-mixed", "16-mixed")  # Fabric's names


def resolve_precision(name: str) -> str:
    """Return what `auto` means here: bf16 where the hardware multiplies it, else fp32.

    That is every GPU since Ampere and every CPU with AMX or AVX512-BF16. Others emulate it, slowly.
    """
    if name != AUTO:
        return name
    if torch.cuda.is_available():
        return (
            "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        )
    able = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bf16-mixed" if able else "32-true"


def inference_precision(name: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which a detector predicts on `device`."""
    types = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
    resolved = resolve_precision(name)
    return torch.autocast(device.type, types.get(resolved), enabled=resolved in types)
