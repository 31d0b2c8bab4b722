"""Residency on the meta device, which stands in for a card."""

import pytest
import torch
from torch import nn

from tts_lab.levers.residency import Residency

ONE, TWO = nn.Linear(4, 4), nn.Linear(4, 4)


def test_on_a_cpu_the_original_itself_is_used() -> None:
    with Residency("cpu").use(ONE, "fp16", "stage") as module:
        assert module is ONE
        assert module.weight.dtype == torch.float32


@pytest.mark.parametrize("offload", ["none", "stage", "layers"])
def test_on_a_cpu_with_units_for_it_bf16_is_a_copy_that_stays(offload, monkeypatch) -> None:
    monkeypatch.setattr("tts_lab.levers.residency.computes", lambda precision: precision != "fp16")
    home = Residency("cpu")
    for _ in range(2):
        with home.use(ONE, "bf16", offload, "int8") as module:
            assert module.weight.dtype == torch.bfloat16
    assert home.resident() == (ONE,)
    assert ONE.weight.dtype == torch.float32
    for precision in ("fp16", "fp32"):
        with home.use(ONE, precision) as module:
            assert module is ONE


def test_on_a_cpu_without_units_for_it_bf16_is_the_original(monkeypatch) -> None:
    monkeypatch.setattr("tts_lab.levers.residency.computes", lambda precision: precision == "fp32")
    with Residency("cpu").use(ONE, "bf16") as module:
        assert module is ONE


def test_without_offload_all_used_stages_stay() -> None:
    home = Residency("meta")
    for original in (ONE, TWO):
        with home.use(original) as module:
            assert module.weight.device.type == "meta"
    assert home.resident() == (ONE, TWO)


def test_with_offload_one_stage_is_resident_at_a_time() -> None:
    home = Residency("meta")
    with home.use(ONE):
        pass
    with home.use(TWO, offload="stage"):
        assert home.resident() == (TWO,)
    assert home.resident() == ()
    assert TWO.weight.device.type == "cpu"


def test_precision_changes_the_copy_and_not_the_original() -> None:
    home = Residency("meta")
    with home.use(ONE, "fp16") as module:
        assert module.weight.dtype == torch.float16
    with home.use(ONE, "fp32") as module:
        assert module.weight.dtype == torch.float32
    assert home.resident() == (ONE,)
    assert ONE.weight.dtype == torch.float32


def test_a_copy_is_made_once() -> None:
    home = Residency("meta")
    with home.use(ONE) as first:
        pass
    with home.use(ONE) as second:
        assert second is first


def test_a_failure_inside_still_frees_the_stage() -> None:
    home = Residency("meta")
    with pytest.raises(RuntimeError), home.use(ONE, offload="stage"):
        raise RuntimeError
    assert home.resident() == ()
