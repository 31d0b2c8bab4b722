"""Attention, rotary positions and caches: kernels agree, caches change nothing but memory."""

import pytest
import torch

from tts_lab.nn.attention import Attention, attend, set_attention_kernel
from tts_lab.nn.cache import GrowingCache, StaticCache
from tts_lab.nn.rotary import rotary_angles, rotate
from tts_lab.nn.transformer import Decoder


def qkv(t: int = 7, s: int = 7) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(0)
    return tuple(torch.randn(2, 3, n, 8, generator=g) for n in (t, s, s))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_kernels_agree(causal: bool, masked: bool) -> None:
    if causal and masked:
        pytest.skip("torch's kernel takes one of the two")
    mask = torch.rand(2, 1, 1, 7, generator=torch.Generator().manual_seed(1)) > 0.4 if masked else None
    if mask is not None:
        mask[..., 0] = True
    fused = attend(*qkv(), mask, causal, "sdpa")
    torch.testing.assert_close(fused, attend(*qkv(), mask, causal, "math"), atol=1e-5, rtol=1e-5)


def test_unknown_kernel_is_named() -> None:
    with pytest.raises(ValueError, match="flash3"):
        attend(*qkv(), kernel="flash3")
    with pytest.raises(ValueError, match="flash3"):
        set_attention_kernel(Attention(8, 2), "flash3")


def test_rotation_keeps_length_and_depends_on_distance_only() -> None:
    x, y = torch.randn(2, 1, 1, 1, 8, generator=torch.Generator().manual_seed(0))

    def score(i: int, j: int) -> float:
        a, b = rotate(x, rotary_angles(1, 8, x.device, i)), rotate(y, rotary_angles(1, 8, x.device, j))
        assert a.norm().item() == pytest.approx(x.norm().item(), rel=1e-5)
        return float((a * b).sum())

    assert score(3, 5) == pytest.approx(score(40, 42), rel=1e-4)
    assert score(3, 5) != pytest.approx(score(3, 6), rel=1e-3)


@pytest.mark.parametrize("kind", ["growing", "static"])
def test_cached_decoding_equals_the_whole_pass(kind: str) -> None:
    torch.manual_seed(0)
    model = Decoder(16, 2, 2, 32).eval()
    x = torch.randn(1, 9, 16)
    cache = model.cache(kind, 1, 9)
    with torch.inference_mode():
        whole = model(x)
        parts = [model(x[:, :4], cache), *(model(x[:, i : i + 1], cache) for i in range(4, 9))]
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-5, rtol=1e-5)


def test_decoder_does_not_see_the_future() -> None:
    torch.manual_seed(0)
    model = Decoder(16, 2, 2, 32).eval()
    x = torch.randn(1, 6, 16)
    changed = x.clone()
    changed[:, 4:] += 1
    with torch.inference_mode():
        a, b = model(x), model(changed)
    assert torch.equal(a[:, :4], b[:, :4])
    assert not torch.equal(a[:, 4:], b[:, 4:])


def test_a_full_static_cache_says_so() -> None:
    cache = StaticCache(1, 1, 1, 2, 4, torch.float32, torch.device("cpu"))
    with pytest.raises(IndexError, match="holds 2 positions, 3"):
        cache.update(0, torch.zeros(1, 1, 3, 4), torch.zeros(1, 1, 3, 4))


def test_cache_bytes_are_what_a_static_cache_takes() -> None:
    model = Decoder(16, 2, 3, 32)
    cache = model.cache("static", 2, 50)
    assert isinstance(cache, StaticCache)
    held = sum(t.untyped_storage().nbytes() for t in (cache._keys, cache._values))
    assert model.cache_bytes(2, 50) == held == 2 * 3 * 2 * 50 * 16 * 4


def test_a_growing_cache_keeps_the_bytes_of_its_positions_and_no_more() -> None:
    """The first values are a view of the fused projection of queries, keys and values, which must not stay."""
    model = Decoder(16, 2, 3, 32)
    cache = model.cache("growing", 2, 0)
    assert isinstance(cache, GrowingCache)
    with torch.inference_mode():
        for length, x in ((7, torch.randn(2, 7, 16)), (8, torch.randn(2, 1, 16))):
            model(x, cache)
            held = {t.untyped_storage() for kept in cache._kept.values() for t in kept}
            assert sum(storage.nbytes() for storage in held) == model.cache_bytes(2, length)


def test_several_positions_after_the_prefix_are_refused() -> None:
    model = Decoder(16, 2, 1, 32)
    cache = model.cache("growing", 1, 0)
    model(torch.zeros(1, 2, 16), cache)
    with pytest.raises(ValueError, match="one position at a time"):
        model(torch.zeros(1, 2, 16), cache)
