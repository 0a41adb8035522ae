import pytest
import torch

from datastill.model.precision import inference_precision, resolve_precision


@pytest.fixture
def hardware(monkeypatch):
    """Pretend that this machine can do these things and no others."""

    def pretend(*abilities):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: "amx" in abilities)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: "avx" in abilities)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in abilities)
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation=True: including_emulation or "ampere" in abilities,
        )

    return pretend


@pytest.mark.parametrize("abilities", [(), ("amx", "avx"), ("cuda", "ampere")])
@pytest.mark.parametrize("name", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_named_precision_is_taken_whatever_the_hardware(hardware, name, abilities):
    hardware(*abilities)
    assert resolve_precision(name) == name


@pytest.mark.parametrize(
    ("abilities", "precision"),
    [
        ((), "32-true"),
        (("amx",), "bf16-mixed"),
        (("avx",), "32-true"),
        (("amx", "avx"), "bf16-mixed"),
        (("cuda",), "16-mixed"),
        (("cuda", "amx", "avx"), "16-mixed"),
        (("cuda", "ampere"), "bf16-mixed"),
        (("ampere",), "32-true"),
    ],
)
def test_auto_is_bf16_only_where_the_hardware_multiplies_it(hardware, abilities, precision):
    hardware(*abilities)
    assert resolve_precision("auto") == precision


def test_auto_is_one_of_the_three_on_this_machine():
    assert resolve_precision("auto") in ("32-true", "bf16-mixed", "16-mixed")


@pytest.mark.parametrize(
    ("name", "abilities", "dtype"),
    [
        ("32-true", ("amx",), torch.float32),
        ("bf16-mixed", (), torch.bfloat16),
        ("16-mixed", (), torch.float16),
        ("auto", ("amx",), torch.bfloat16),
        ("auto", (), torch.float32),
    ],
)
def test_predictions_are_computed_in_that_precision(hardware, name, abilities, dtype):
    hardware(*abilities)
    with inference_precision(name, torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
