"""Which number formats the CPU path computes in."""

import pytest
import torch

from tts_lab.processor import computes


@pytest.fixture(autouse=True)
def afresh():
    computes.cache_clear()
    yield
    computes.cache_clear()


def test_single_precision_always_and_float16_never():
    assert computes("fp32")
    assert not computes("fp16")


@pytest.mark.parametrize("units", ["_is_avx512_bf16_supported", "_is_amx_tile_supported", None])
def test_bf16_with_either_of_its_units(units, monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == units, raising=False)
    assert computes("bf16") == (units is not None)


def test_a_torch_that_cannot_be_asked_has_none(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert not computes("bf16")
