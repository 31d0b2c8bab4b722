"""The conformer against its definition: two score matrices, padding, pieces, half precision, traces."""

from __future__ import annotations

import math

import pytest
import torch
from networks import on_both
from torch import Tensor

from tts_lab.memory.tracer import trace
from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.conformer import Conformer, Convolution, PositionAttention, Subsampling, sinusoids


def small() -> Conformer:
    torch.manual_seed(0)
    return Conformer(37, 32, 4, 2, 48).eval()


def features(b: int, t: int) -> Tensor:
    return torch.randn(b, t, 37, generator=torch.Generator().manual_seed(1))


def lengths(*frames: int) -> Tensor:
    return torch.arange(max(frames))[None] < torch.tensor(frames)[:, None]


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
def test_attention_is_the_sum_of_the_papers_two_matrices(kernel: str) -> None:
    torch.manual_seed(0)
    layer, x, p, mask = (
        PositionAttention(32, 4).eval(),
        torch.randn(2, 9, 32),
        sinusoids(9, 32, torch.device("cpu")),
        lengths(9, 6),
    )
    layer.kernel = kernel
    with torch.inference_mode():
        q, k, v, pos = (
            y.view(len(y), -1, 4, 8).transpose(1, 2)
            for y in (layer.linear_q(x), layer.linear_k(x), layer.linear_v(x), layer.linear_pos(p[None]))
        )
        content = (q + layer.pos_bias_u[:, None]) @ k.transpose(-1, -2)
        position = (q + layer.pos_bias_v[:, None]) @ pos.transpose(-1, -2)
        scores = ((content + position) / math.sqrt(8)).masked_fill(~mask[:, None, None], -torch.inf)
        expected = layer.linear_out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        torch.testing.assert_close(layer(x, p, mask), expected, atol=1e-5, rtol=1e-5)


def test_sinusoids_are_the_papers() -> None:
    table = sinusoids(50, 16, torch.device("cpu"))
    assert table[7, 4].item() == pytest.approx(math.sin(7 / 10000 ** (4 / 16)), abs=1e-6)
    assert table[7, 5].item() == pytest.approx(math.cos(7 / 10000 ** (4 / 16)), abs=1e-6)


@pytest.mark.parametrize("frames", [3, 4, 30, 31])
def test_pieces_change_nothing_but_memory(frames: int) -> None:
    model, x = small(), features(2, frames)
    with torch.inference_mode():
        whole = model(x)[0]
        assert whole.shape == (2, (frames - 1) // 2, 32)
        for piece in (1, 4, 100):
            model.embed.piece = piece
            torch.testing.assert_close(model(x)[0], whole, atol=1e-5, rtol=1e-5)


def test_pieces_take_the_memory_of_a_piece() -> None:
    peaks = []
    for piece in (0, 8):
        with torch.device("meta"):
            model, x = Subsampling(64, 32), torch.empty(1, 129, 64)
        model.piece = piece
        log = trace(model, x)
        peaks.append(log.peak_bytes() - log.bytes_of("weight") - x.numel() * 4)
    largest = 32 * 64 * 31 * 4
    assert peaks[0] >= 2 * largest
    assert peaks[1] < 0.2 * peaks[0]


def test_what_lies_in_padding_is_not_seen() -> None:
    model, x, real = small(), features(2, 30), lengths(30, 21)
    changed = x.clone()
    changed[1, 21:] += 5
    with torch.inference_mode():
        both, mask = model(x, real)
        other = model(changed, real)[0]
        unmasked = model(x)[0]
    assert mask is not None
    assert mask.sum(1).tolist() == [14, 10]
    torch.testing.assert_close(other[1, :10], both[1, :10], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(unmasked[0], both[0], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(unmasked[1, :10], both[1, :10], atol=1e-3)


def test_padding_is_zero_before_and_behind_a_convolution() -> None:
    torch.manual_seed(0)
    layer, x = Convolution(8).eval(), torch.randn(1, 12, 8)
    with torch.inference_mode():
        y = layer(x, lengths(12) & (torch.arange(12) < 9))
        filled = x.clone()
        filled[:, 9:] = 0
        expected = layer(filled)
    assert y[:, 9:].abs().sum() == 0
    torch.testing.assert_close(y[:, :9], expected[:, :9])


def test_positions_of_keys_matter_and_of_queries_do_not() -> None:
    torch.manual_seed(0)
    layer, p = PositionAttention(32, 4).eval(), sinusoids(12, 32, torch.device("cpu"))
    x, same = torch.randn(1, 12, 32), torch.randn(1, 1, 32).expand(1, 12, 32)
    with torch.inference_mode():
        assert not torch.allclose(layer(x, p), layer(x, p.flip(0)), atol=1e-3)
        y = layer(same, p)
    torch.testing.assert_close(y, y[:, :1].expand_as(y), atol=1e-5, rtol=1e-5)


def test_half_precision_stays_near_single() -> None:
    model, x = small(), features(2, 40)
    with torch.inference_mode():
        full = model(x)[0]
        half = model.half()(x.half())[0]
    assert half.dtype == torch.float16
    assert float((half - full).abs().max() / full.abs().max()) < 0.02


@pytest.mark.parametrize("kernel", ["sdpa", "math"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_trace_on_meta_equals_the_cpu(kernel: str, dtype: torch.dtype) -> None:
    def build() -> tuple[object, ...]:
        model = Conformer(37, 32, 4, 2, 48).to(dtype)
        set_attention_kernel(model, kernel)
        return model, torch.zeros(2, 30, 37, dtype=dtype), torch.ones(2, 30, dtype=torch.bool)

    log = on_both(build)
    assert bool(log.meta["attention"]) == (kernel == "sdpa")
