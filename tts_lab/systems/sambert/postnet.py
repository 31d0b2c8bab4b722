"""The postnet of SAM-BERT: what is added to the decoder's frames. FSMN, LSTM, linear.

Its LSTM runs forwards only, and its filters look 3 frames ahead a layer: so it can follow the decoder piece by piece,
12 frames behind in the released models, with the numbers of the whole.

Axes: b batch, t mel frames, m mel bands.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tts_lab.nn.fsmn import Fsmn, FsmnStream
from tts_lab.systems.sambert.config import SambertConfig


class PostNet(nn.Module):
    """forward(frames (b, t, m), mask (b, t) True where real, or None) -> what is to be added, (b, t, m)."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        c = config
        self.fsmn = Fsmn(c.num_mels, c.postnet_num_memory_units, c.postnet_ffn_inner_dim, c.postnet_fsmn_num_layers,
                         c.postnet_filter_size, c.postnet_shift)  # fmt: skip
        self.lstm = nn.LSTM(c.postnet_num_memory_units, c.postnet_lstm_units, batch_first=True)
        self.fc = nn.Linear(c.postnet_lstm_units, c.num_mels)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.fc(self.lstm(self.fsmn(x, mask))[0])


class PostNetStream:
    """A `PostNet` that follows: push(frames (b, t, m)) -> the finished frames that are certain by now.

    lengths: frames of each item, where they differ; what comes after is silence, for the filters too.
    """

    def __init__(self, model: PostNet, lengths: Sequence[int] | None = None) -> None:
        self.model, self.lengths = model, lengths
        self.fsmn = FsmnStream(model.fsmn, lengths)
        self._state: tuple[Tensor, Tensor] | None = None
        self._waiting: Tensor | None = None

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """Finished frames (b, t, m), `look_ahead` behind, or with `last` all that are left."""
        y = self.fsmn.finish(x) if last else self.fsmn.push(x)
        waiting = x if self._waiting is None else torch.cat((self._waiting, x), 1)
        self._waiting = waiting[:, y.shape[1] :].clone()
        if not y.shape[1]:
            return waiting[:, :0]
        y, self._state = self.model.lstm(y, self._state)
        return waiting[:, : y.shape[1]] + self.model.fc(y)
