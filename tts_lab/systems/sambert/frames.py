"""From phones to frames: which phone each frame belongs to, worked out for a few frames at a time.

Axes: b batch, n phones, t mel frames, r frames of a decoder step, s decoder steps, p text width, m memory width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from tts_lab.errors import LabError
from tts_lab.systems.sambert.adaptor import Prosody

Durations = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Plan:
    """What the decoder is to write.

    text: (b, n, p); speaker, emotion: (b, n, their widths); durations: mel frames of each phone, item by item; bands:
    for each item, how many decoder steps attention sees beside its own. Raises LabError where nothing would be said.
    """

    text: Tensor
    speaker: Tensor
    emotion: Tensor
    durations: tuple[tuple[int, ...], ...]
    bands: tuple[int, ...]

    def __post_init__(self) -> None:
        b, n = self.text.shape[:2]
        if len(self.durations) != b or any(len(row) > n for row in self.durations) or len(self.bands) != b:
            raise LabError(f"Durations and bands must be given for {b} items of at most {n} phones.")
        if min(self.frames) < 1 or min(min(row) for row in self.durations) < 0:
            raise LabError("Every item must last at least one frame, and no phone can last less than none.")

    @property
    def frames(self) -> tuple[int, ...]:
        """Mel frames of each item."""
        return tuple(sum(row) for row in self.durations)

    @property
    def uneven(self) -> bool:
        """Whether some items are shorter than others."""
        return len(set(self.frames)) > 1

    def steps(self, r: int) -> tuple[int, ...]:
        """Decoder steps of each item."""
        return tuple(-(-t // r) for t in self.frames)

    @classmethod
    def of(cls, prosody: Prosody, r: int, durations: Durations | None = None, bands: Sequence[int] | None = None
           ) -> Plan:  # fmt: skip
        """From what was predicted. durations, bands: to be used in place of the predicted ones.

        r: frames of a decoder step. Without durations the values of the prediction are needed: a run that has no
        values, such as a trace of memory, must give them.
        """
        if durations is None:
            frames = prosody.log_durations.float().exp() - 1
            durations = (frames + 0.5).long().tolist()
            # The published band follows the predicted length, before it is rounded.
            bands = bands or (frames.amax(1) / r + 0.5).long().tolist()
        rows = tuple(tuple(int(d) for d in row) for row in durations)
        bands = bands or [int(max(row, default=0) / r + 0.5) for row in rows]
        return cls(prosody.text, prosody.speaker, prosody.emotion, rows, tuple(bands))


class Frames:
    """The decoder's memory of a plan, any steps of it at any time. Beyond an item's end there is only its silence.

    positions: gives a frame's place in its phone a code, (b, t) -> (b, t, p).
    """

    def __init__(self, plan: Plan, r: int, positions: nn.Module) -> None:
        self.plan, self.r, self.positions = plan, r, positions
        n, device = plan.text.shape[1], plan.text.device
        ends = [list(accumulate(row)) for row in plan.durations]
        self._ends = torch.tensor([e + e[-1:] * (n - len(e)) for e in ends], device=device)

    def memory(self, first: int, steps: int) -> Tensor:
        """Memory (b, s, m) of steps from `first` on: the text of all their frames, speaker and emotion of the first."""
        index, inside, place = self.phones(first * self.r, steps * self.r)
        text = _rows(self.plan.text, index, inside) + self.positions(place).to(self.plan.text.dtype)
        index, inside = index[:, :: self.r], inside[:, :: self.r]
        speaker, emotion = (_rows(x, index, inside) for x in (self.plan.speaker, self.plan.emotion))
        return torch.cat((text.unflatten(1, (-1, self.r)).flatten(2), speaker, emotion), -1)

    def phones(self, first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of frames from `first` on: the phone (b, t), whether there is one, and the place in it, counted from 1."""
        ends = self._ends
        clock = torch.arange(first, first + count, device=ends.device)[None].expand(len(ends), -1).contiguous()
        index = torch.searchsorted(ends, clock, right=True).clamp(max=ends.shape[1] - 1)
        inside = clock < ends[:, -1:]
        starts = torch.where(index > 0, ends.gather(1, (index - 1).clamp(min=0)), 0)
        return index, inside, (clock - starts + 1) * inside


def _rows(x: Tensor, index: Tensor, inside: Tensor) -> Tensor:
    """Rows (b, t, width) of x (b, n, width), zeros where there is none."""
    return x.gather(1, index[..., None].expand(-1, -1, x.shape[-1])) * inside[..., None]
