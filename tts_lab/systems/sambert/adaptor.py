"""The variance adaptor of SAM-BERT: pitch and energy of each phone, then, knowing them, how long it lasts.

Axes: b batch, n phones, p text width, c = p + speaker + emotion width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tts_lab.loops import alike
from tts_lab.nn.fsmn import Fsmn
from tts_lab.systems.sambert.config import SambertConfig
from tts_lab.systems.sambert.parts import Prenet, real


@dataclass(frozen=True)
class Prosody:
    """How the phones are spoken.

    text: (b, n, p), what is to be said with pitch and energy added; speaker, emotion: (b, n, their widths).
    pitch, energy, log_durations: (b, n), in the units that the model was trained with; the last is log(frames + 1).
    """

    text: Tensor
    speaker: Tensor
    emotion: Tensor
    pitch: Tensor
    energy: Tensor
    log_durations: Tensor


class Predictor(nn.Module):
    """FSMN, bidirectional LSTM, one number a phone. forward(x (b, n, c), lengths of the items) -> (b, n)."""

    def __init__(self, config: SambertConfig, width: int) -> None:
        super().__init__()
        c = config
        self.fsmn = Fsmn(width, c.predictor_num_memory_units, c.predictor_ffn_inner_dim, c.predictor_fsmn_num_layers,
                         c.predictor_filter_size, c.predictor_shift)  # fmt: skip
        self.blstm = nn.LSTM(c.predictor_num_memory_units, c.predictor_lstm_units, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * c.predictor_lstm_units, 1)

    def forward(self, x: Tensor, lengths: Sequence[int]) -> Tensor:
        mask = real(lengths, x.shape[1], x.device)
        y = self.fsmn(x, mask)
        if mask is None:
            return self.fc(self.blstm(y)[0])[..., 0]
        packed = pack_padded_sequence(y, torch.tensor(lengths, device="cpu"), batch_first=True, enforce_sorted=False)
        y, _ = pad_packed_sequence(self.blstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.fc(y)[..., 0] * mask


class DurationPredictor(nn.Module):
    """Log-durations, one phone after the other: each is told how long the one before lasts.

    forward(before (b, n, 1): log-durations of the phones before; condition (b, n, c)) -> (b, n), and the LSTM's state.
    """

    def __init__(self, config: SambertConfig, width: int) -> None:
        super().__init__()
        units = config.dur_pred_prenet_units
        self.prenet = Prenet(1, units)
        self.lstm = nn.LSTM(units[-1] + width, config.dur_pred_lstm_units, num_layers=2, batch_first=True)
        self.fc = nn.Linear(config.dur_pred_lstm_units, 1)

    def forward(self, before: Tensor, condition: Tensor, state: tuple[Tensor, Tensor] | None = None
                ) -> tuple[Tensor, tuple[Tensor, Tensor]]:  # fmt: skip
        y, state = self.lstm(torch.cat((self.prenet(before), condition), -1), state)
        return self.fc(y)[..., 0].relu(), state

    def write(self, condition: Tensor) -> Tensor:
        """Log-durations (b, n) from nothing but the condition (b, n, c)."""
        b, n, _ = condition.shape
        written = condition.new_zeros(b, n)  # what a trace leaves out has no length, rather than any length
        before = condition.new_zeros(b, 1)
        still = condition.new_zeros(self.lstm.num_layers, b, self.lstm.hidden_size)
        state = (still, still)
        for i in alike(n):  # a memory trace leaves out passes like the ones before
            before, state = self(before[..., None], condition[:, i : i + 1], state)
            written[:, i : i + 1] = before
        return written


class DurationPositions(nn.Module):
    """Codes of a frame's place in its phone: sines and cosines in turn. (b, t) -> (b, t, p) float32.

    The scales stay in float32 when a model is halved: bfloat16 would turn a late frame's angle by a tenth of a radian.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = 2 * (torch.arange(width, dtype=torch.float64, device="cpu") // 2) / width
        scales = (10000.0**exponent).float().to(torch.get_default_device())
        self.inv_timescales = nn.Parameter(scales, requires_grad=False)  # the published name; they are the scales

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        exact = self.inv_timescales.detach()
        super()._apply(fn, recurse)
        if self.inv_timescales.itemsize < exact.itemsize:
            self.inv_timescales = nn.Parameter(exact.to(self.inv_timescales.device), requires_grad=False)
        return self

    def forward(self, place: Tensor) -> Tensor:
        angle = place[..., None].float() / self.inv_timescales.float()
        return torch.stack((angle[..., 0::2].sin(), angle[..., 1::2].cos()), -1).flatten(-2)


class VarianceAdaptor(nn.Module):
    """forward(text (b, n, p), speaker, emotion (b, n, their widths), lengths of the items) -> Prosody.

    pitch, energy: (b, n) to be used in place of the predicted ones; the prediction is what the result holds all the
    same. durations_before: (b, n) frames of the phone before each, to be told instead of the written ones.
    """

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        p = config.encoder_projection_units
        width = p + config.emotion_units + config.speaker_units
        self.pitch_predictor = Predictor(config, width)
        self.energy_predictor = Predictor(config, width)
        self.duration_predictor = DurationPredictor(config, width)
        self.dur_position_encoder = DurationPositions(p)
        self.pitch_emb = nn.Conv1d(1, p, 9, padding=4)
        self.energy_emb = nn.Conv1d(1, p, 9, padding=4)

    def forward(self, text: Tensor, speaker: Tensor, emotion: Tensor, lengths: Sequence[int], *,
                pitch: Tensor | None = None, energy: Tensor | None = None, durations_before: Tensor | None = None
                ) -> Prosody:  # fmt: skip
        given = torch.cat((text, speaker, emotion), -1)
        predicted = self.pitch_predictor(given, lengths), self.energy_predictor(given, lengths)
        used = [p if g is None else g for p, g in zip(predicted, (pitch, energy), strict=True)]
        text = text + embedded(self.pitch_emb, used[0]) + embedded(self.energy_emb, used[1])
        condition = torch.cat((text, speaker, emotion), -1)
        if durations_before is None:
            log = self.duration_predictor.write(condition)
        else:
            log, _ = self.duration_predictor(durations_before.to(text.dtype).log1p()[..., None], condition)
        mask = real(lengths, text.shape[1], text.device)
        return Prosody(text, speaker, emotion, *predicted, log if mask is None else log * mask)


def embedded(layer: nn.Module, values: Tensor) -> Tensor:
    """One number a phone (b, n) -> (b, n, p)."""
    return layer(values[:, None]).transpose(1, 2)
