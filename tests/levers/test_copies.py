from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from tts_lab.levers.copies import copied, structure


class Tied(nn.Module):
    """One weight in two places, a list of its own parts, and plain data."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
        self.two.weight = self.one.weight
        self.register_buffer("count", torch.arange(3))
        self.parts_again = [self.one]
        self.settings = {"kept": []}

    def forward(self, x: Tensor) -> Tensor:
        return self.two(self.parts_again[0](x))  # type: ignore[no-any-return]


def test_the_structure_holds_the_same_tensors_in_places_of_its_own() -> None:
    original = Tied()
    twin = structure(original)
    assert twin is not original
    assert twin.one is not original.one
    assert all(a is b for a, b in zip(twin.parameters(), original.parameters(), strict=True))
    twin.one.weight = nn.Parameter(torch.zeros(4, 4))
    twin.settings["kept"].append(1)
    assert original.one.weight.any()
    assert original.settings == {"kept": []}
    assert twin.parts_again[0] is twin.one


def test_a_copy_in_another_number_format_leaves_the_original_alone() -> None:
    original = Tied().requires_grad_(False)
    twin = copied(original, torch.device("cpu"), torch.float16)
    assert twin.one.weight.dtype == torch.float16
    assert twin.count.dtype == torch.int64
    assert twin.one.weight is twin.two.weight
    assert original.one.weight.dtype == torch.float32


def test_what_needs_no_change_is_not_copied() -> None:
    original = Tied().requires_grad_(False)
    twin = copied(original, None, torch.float32)
    assert twin.one.weight.data_ptr() == original.one.weight.data_ptr()


@pytest.mark.parametrize("build", [Tied, lambda: nn.LSTM(4, 4, 2, bidirectional=True)])
def test_it_computes_what_a_deep_copy_computes(build: object) -> None:
    original = build().requires_grad_(False)  # type: ignore[operator]
    x = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = copy.deepcopy(original).double()(x)
    found = copied(original, torch.device("cpu"), torch.float64)(x)
    for a, b in zip(*(each if isinstance(each, tuple) else (each,) for each in (expected, found)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
