"""A vocoder in tiles: the mel is read in overlapping windows, and of each result only what a window's edges cannot
reach is kept. What comes out is the whole's, and what is alive at a time is one window's.

Axes: b batch, m mel bands, t mel frames, s samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from tts_lab.loops import alike


class Vocoder(Protocol):
    """log-mel (b, m, t) -> samples (b, t x hop length)."""

    def __call__(self, mel: Tensor) -> Tensor: ...

    def receptive_field(self) -> int:
        """Mel frames on each side that can influence a frame's samples."""
        ...


@dataclass(frozen=True)
class Tile:
    """Frames `start` to `end` of the result, computed from the mel's frames `left` to `right`."""

    start: int
    end: int
    left: int
    right: int


def tiles(frames: int, tile: int, halo: int) -> list[Tile]:
    """Tiles of `tile` frames that cover `frames`, with `halo` frames around each.

    All windows have one length, tile + 2 halo: at either end one is shifted inwards and sees more than it needs. A
    window that is as long as everything is the whole, in one tile. Raises ValueError for a tile without frames.
    """
    if tile < 1 or halo < 0:
        raise ValueError(f"a tile needs at least 1 frame and a halo at least 0, not {tile} and {halo}")
    width = tile + 2 * halo
    if width >= frames:
        return [Tile(0, frames, 0, frames)]
    made = []
    for start in range(0, frames, tile):
        left = min(max(start - halo, 0), frames - width)
        made.append(Tile(start, min(start + tile, frames), left, left + width))
    return made


def pieces(vocoder: Vocoder, mel: Tensor, tile: int) -> Iterator[Tensor]:
    """The sound of mel (b, m, t), `tile` frames at a time: (b, s) each, the last one shorter. For streaming."""
    for part in tiles(mel.shape[2], tile, vocoder.receptive_field()):
        yield _piece(vocoder, mel, part)


def tiled(vocoder: Vocoder, mel: Tensor, tile: int, out: Tensor | None = None) -> Tensor:
    """The sound of mel (b, m, t) as (b, s), equal to `vocoder(mel)` up to how kernels round.

    tile: frames kept of each window. out: where to put it, such as a tensor in the computer's memory; by default the
    mel's own device, 4 bytes a sample in float32.
    """
    plan = tiles(mel.shape[2], tile, vocoder.receptive_field())
    if len(plan) == 1 and out is None:
        return vocoder(mel)
    for i in alike(len(plan)):
        piece = _piece(vocoder, mel, plan[i])
        hop = piece.shape[1] // (plan[i].end - plan[i].start)
        if out is None:
            out = piece.new_empty(len(mel), mel.shape[2] * hop)
        out[:, plan[i].start * hop : plan[i].end * hop] = piece
        del piece
    assert out is not None
    return out


def _piece(vocoder: Vocoder, mel: Tensor, tile: Tile) -> Tensor:
    sound = vocoder(mel[:, :, tile.left : tile.right])
    hop = sound.shape[1] // (tile.right - tile.left)
    return sound[:, (tile.start - tile.left) * hop : (tile.end - tile.left) * hop]
