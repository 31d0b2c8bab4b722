"""Tiles: exact in float64, and memory that a longer mel does not raise."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from tts_lab.memory.tracer import trace
from tts_lab.nn.bigvgan import BigVGAN, BigVGANSizes
from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes
from tts_lab.nn.tiling import pieces, tiled, tiles


@pytest.mark.parametrize("frames", [1, 5, 23, 24, 25, 57, 100])
@pytest.mark.parametrize(("tile", "halo"), [(1, 0), (7, 8), (8, 8), (40, 3)])
def test_tiles_cover_everything_once_with_their_halo(frames: int, tile: int, halo: int) -> None:
    plan = tiles(frames, tile, halo)
    assert plan[0].start == 0
    assert plan[-1].end == frames
    assert all(a.end == b.start for a, b in pairwise(plan))
    assert len({t.right - t.left for t in plan}) == 1  # windows of one length
    for t in plan:
        assert 0 <= t.left <= max(t.start - halo, 0)
        assert min(t.end + halo, frames) <= t.right <= frames
        assert t.right - t.left <= max(tile + 2 * halo, 0)


def test_bad_tiles_are_named() -> None:
    with pytest.raises(ValueError, match="not 0 and 3"):
        tiles(10, 0, 3)


def bigvgan() -> BigVGAN:
    torch.manual_seed(0)
    model = BigVGAN(BigVGANSizes(mels=6, channels=64)).double()
    model.conv_post.weight.data *= 0.5
    return model


def hifigan() -> HiFiGAN:
    torch.manual_seed(0)
    return HiFiGAN(HiFiGANSizes(mels=6, channels=32)).double()


@pytest.mark.parametrize("build", [bigvgan, hifigan])
@pytest.mark.parametrize("tile", [19])
def test_tiled_equals_whole_in_float64(build, tile: int) -> None:
    model = build()
    field = model.receptive_field()
    mel = torch.randn(1, 6, 2 * field + 3 * tile + 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = model(mel)
        in_tiles = tiled(model, mel, tile)
        assert torch.equal(torch.cat(list(pieces(model, mel, tile)), 1), in_tiles)
    assert float((whole - in_tiles).abs().max()) <= 1e-13 * float(whole.abs().max())
    assert 0.01 < float(whole.abs().max()) < 1


def test_with_half_the_halo_tiles_are_not_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the comparison above can fail."""
    model = bigvgan()
    mel = torch.randn(1, 6, 120, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(BigVGAN, "receptive_field", lambda self: 6)
    with torch.inference_mode():
        assert float((tiled(model, mel, 16) - model(mel)).abs().max()) > 1e-9


def test_a_short_mel_is_one_tile_and_a_given_buffer_is_filled() -> None:
    model, mel = hifigan(), torch.randn(1, 6, 9, dtype=torch.float64)
    out = torch.full((1, 9 * 256), torch.nan, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.equal(tiled(model, mel, 4, out), model(mel))
        assert torch.equal(tiled(model, mel, 4), out)


def test_memory_grows_by_the_sound_alone() -> None:
    """Released size, traced on the meta device: ten times the mel adds its own samples and nothing else."""
    with torch.device("meta"):
        model = BigVGAN()

        def peak(frames: int) -> int:
            mel = torch.zeros(1, 80, frames)
            log = trace(lambda x, m: tiled(m, x, 64), mel, model)
            return log.peak_bytes() - mel.nbytes - log.bytes_of("weight")

        short, long = peak(500), peak(5000)

    assert long - short == 4500 * 256 * 4
    assert short < 28 * 2**20
