"""The perceiver resampler: fixed size out, padding unseen, norms safe, traces."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import on_both

from tts_lab.nn.attention import set_attention_kernel
from tts_lab.nn.perceiver import GEGLU, LengthNorm, Perceiver


def small() -> Perceiver:
    torch.manual_seed(0)
    return Perceiver(40, 32, 5, 4, 2).eval()


def test_any_number_of_frames_gives_as_many_latents() -> None:
    model = small()
    with torch.inference_mode():
        assert [model(torch.randn(2, s, 32)).shape for s in (1, 7, 50)] == [(2, 5, 40)] * 3


def test_padding_is_not_seen() -> None:
    model, x = small(), torch.randn(2, 12, 32)
    mask = torch.arange(12)[None] < torch.tensor([12, 8])[:, None]
    with torch.inference_mode():
        both = model(x, mask)
        torch.testing.assert_close(both[1:], model(x[1:, :8]), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(both[:1], model(x[:1]), atol=1e-5, rtol=1e-5)


def test_kernels_agree() -> None:
    model, x = small(), torch.randn(2, 12, 32)
    with torch.inference_mode():
        fused = model(x)
        set_attention_kernel(model, "math")
        assert model.layers[0][0].kernel == "math"
        torch.testing.assert_close(model(x), fused, atol=1e-5, rtol=1e-5)


def test_latents_look_at_themselves_too() -> None:
    """Against torch's attention with latents and context as keys."""
    model, context = small(), torch.randn(1, 6, 40)
    attention, latents = model.layers[0][0], torch.randn(1, 5, 40)
    keys = torch.cat((latents, context), 1)
    with torch.inference_mode():
        weights = (attention.to_q.weight, *attention.to_kv.weight.chunk(2))
        q, k, v = (F.linear(x, w).view(1, -1, 4, 64) for x, w in zip((latents, keys, keys), weights, strict=True))
        scores = torch.einsum("bihd,bjhd->bhij", q, k) / 8
        mixed = torch.einsum("bhij,bjhd->bihd", scores.softmax(-1), v).flatten(2)
        torch.testing.assert_close(attention(latents, context), attention.to_out(mixed), atol=1e-5, rtol=1e-5)


def test_the_second_half_gates() -> None:
    x = torch.tensor([[2.0, 3.0, -1.0, 0.5]])
    torch.testing.assert_close(GEGLU()(x), torch.tensor([[2.0, 3.0]]) * F.gelu(torch.tensor([[-1.0, 0.5]])))


def test_the_norm_is_a_length_and_survives_zeros_and_half_precision() -> None:
    norm = LengthNorm(16)
    x = torch.randn(3, 16)
    torch.testing.assert_close(norm(x).norm(dim=-1), torch.full((3,), 4.0))
    assert norm(torch.zeros(1, 16)).abs().sum() == 0
    assert norm(torch.zeros(1, 16, dtype=torch.float16)).isfinite().all()
    large = torch.full((1, 16), 3e4, dtype=torch.float16)  # its square is beyond float16
    torch.testing.assert_close(norm.half()(large), torch.ones(1, 16, dtype=torch.float16))


def test_half_precision_stays_near_single() -> None:
    model, x = small(), torch.randn(1, 20, 32)
    with torch.inference_mode():
        full, half = model(x), model.half()(x.half())
    assert float((half - full).abs().max() / full.abs().max()) < 0.02


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_trace_on_meta_equals_the_cpu(dtype: torch.dtype) -> None:
    def build() -> tuple[object, ...]:
        return Perceiver(40, 32, 5, 4, 2).to(dtype), torch.zeros(2, 12, 32, dtype=dtype), torch.ones(2, 12) > 0

    on_both(build)
