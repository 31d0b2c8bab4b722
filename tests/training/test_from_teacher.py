"""Factoring the teacher's decoder: exact where nothing is left out, and the directions that vary most first."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")
sys.path.append(str(Path(__file__).resolve().parents[2] / "training"))

import from_teacher
from tts_lab.nn.adain import FactoredConv


def outputs(weight: torch.Tensor, bias: torch.Tensor, rank: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs (1, 5, 4000) and a convolution's outputs; inputs in `rank` directions alone if given."""
    x = torch.randn(1, 5, 4000, generator=torch.Generator().manual_seed(1))
    if rank:
        x = torch.randn(5, rank, generator=torch.Generator().manual_seed(2)) @ x[:, :rank]
    return x, torch.nn.functional.conv1d(x, weight, bias, padding=weight.shape[-1] // 2)


@pytest.fixture
def conv() -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(8, 5, 1, generator=g), torch.randn(8, generator=g)


@pytest.mark.parametrize("rank", [8, 5])
def test_nothing_is_lost_where_the_outputs_need_no_more(rank, conv):
    x, y = outputs(*conv)
    spread = from_teacher.Spread()
    spread.see(y[0, :, :1500].numpy())
    spread.see(y[0, :, 1500:].numpy())
    target = FactoredConv(5, 8, 1, rank)
    share = from_teacher.factor(target, *conv, spread, spread.deviation)
    assert share == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(target(x), y, atol=1e-4, rtol=1e-4)


def test_what_varies_most_is_kept(conv):
    x, y = outputs(*conv)
    spread = from_teacher.Spread()
    spread.see(y[0].numpy())
    errors = []
    for rank in (1, 2, 4):
        target = FactoredConv(5, 8, 1, rank)
        share = from_teacher.factor(target, *conv, spread, spread.deviation)
        scale = torch.from_numpy(spread.deviation).float()[:, None]
        errors.append(((target(x) - y) / scale).square().mean().item())
        assert errors[-1] == pytest.approx(1 - share, rel=0.01)  # all that is lost is what the share says
    assert errors == sorted(errors, reverse=True)


def test_a_spread_is_that_of_all_that_was_seen():
    values = np.random.default_rng(0).normal(2, 3, (4, 900))
    spread = from_teacher.Spread()
    for part in np.split(values, 3, axis=1):
        spread.see(part)
    np.testing.assert_allclose(spread.covariance, np.cov(values, bias=True), rtol=1e-9)
    np.testing.assert_allclose(spread.mean, values.mean(1))


def test_styles_are_fitted_and_manners_change_nothing():
    g = torch.Generator().manual_seed(0)
    styles, manner, values = torch.randn(4, 8, generator=g), torch.randn(2, 8, generator=g), torch.randn(4, 3)
    layer = torch.nn.Linear(8, 3)
    from_teacher.fitted(layer, styles, manner, values)
    torch.testing.assert_close(layer(styles), values, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layer(styles + 0.7 * manner[0]), values, atol=1e-4, rtol=1e-4)
