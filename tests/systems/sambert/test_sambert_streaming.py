"""Speech in pieces is the speech of the whole."""

from __future__ import annotations

import pytest
import torch
from sambert_recorded import small
from torch import Tensor

from tts_lab.errors import LabError
from tts_lab.systems.sambert.acoustic import Sambert, Units
from tts_lab.systems.sambert.config import SambertConfig, Source, VocoderConfig
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.source import denormalised
from tts_lab.systems.sambert.streaming import VocoderStream, sounds, spoken
from tts_lab.systems.sambert.vocoder import KanHiFiGAN

LONG = ((9, 14, 8, 0, 21, 7, 12, 20),)  # 91 frames


def vocoder(mels: int, causal: bool = False, source: bool = False) -> KanHiFiGAN:
    torch.manual_seed(0)
    kernels = (20, 10, 4, 4) if causal else (20, 11, 4, 4)
    config = VocoderConfig(mels, 16, upsample_kernal_sizes=kernels, causal=causal,
                           nsf_params=Source(7, 16_000) if source else None)  # fmt: skip
    return KanHiFiGAN(config).eval().requires_grad_(False)


def plan(model: Sambert, rows: tuple[tuple[int, ...], ...] = LONG) -> Plan:
    ids = torch.arange(8)[None].expand(len(rows), -1) % 3
    units = Units(torch.stack((ids, ids, ids, ids), -1), ids, ids)
    with torch.inference_mode():
        return Plan.of(model.prosody(units), 3, rows)


@pytest.mark.parametrize("block", [1, 4, 8, 13, 64])
def test_mel_pieces_are_the_mel(block: int) -> None:
    model = small()
    given = plan(model)
    with torch.inference_mode():
        pieces, whole = list(model.mels(given, block)), model.mel(given, 64)
    torch.testing.assert_close(torch.cat(pieces, 2), whole, atol=2e-6, rtol=0)
    longest = 3 * max(block, *given.bands)
    assert all(p.shape[2] <= longest for p in pieces)
    if block == 13:  # 12 frames behind: what the postnet looks ahead
        assert [p.shape[2] for p in pieces] == [27, 39, 13, 12]


@pytest.mark.parametrize("sizes", [[91], [1] * 91, [40, 1, 50], [2, 20, 0, 69]], ids=["one", "ones", "three", "none"])
@pytest.mark.parametrize("kind", ["noncausal", "causal", "source"])
def test_sound_pieces_are_the_sound(kind: str, sizes: list[int]) -> None:
    model = vocoder(6, kind == "causal", kind == "source").double()
    mel = torch.randn(1, 8 if kind == "source" else 6, 91, dtype=torch.float64)
    if kind == "source":
        mel[:, -2] = mel[:, -2].abs() * 200
        mel[:, -1] = (mel[:, -1] > 0).double()
    with torch.inference_mode():
        whole = model(model.excited(mel, seed=3))
        pieces = list(sounds(mel.split(sizes, 2), model, seed=3))
    assert all(p.shape[1] for p in pieces)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-7 if kind == "source" else 1e-12, rtol=0)


def test_a_stream_of_sound_holds_no_more_than_its_reach_and_a_piece() -> None:
    model = vocoder(6)
    stream, held = VocoderStream(model), []
    for _ in range(12):
        stream.push(torch.zeros(1, 6, 20))
        assert stream._held is not None
        held.append(stream._held.shape[2])
    assert max(held) <= stream.before + stream.after + 20
    assert len(set(held[3:])) == 1


@pytest.mark.parametrize("source", [False, True])
def test_units_to_sound_in_pieces(source: bool) -> None:
    model = small()
    if source:
        params = {**model.config.__dict__, "NSF": True, "nsf_norm_type": "global"}
        pitched = Sambert(SambertConfig(**params)).eval().requires_grad_(False)
        pitched.load_state_dict(model.state_dict())
        model = pitched
    voice, given = vocoder(12 if source else 14, source=source), plan(model)
    with torch.inference_mode():
        mel: Tensor = model.mel(given)
        mel = denormalised(mel, model.config) if source else mel
        whole = voice(voice.excited(mel, seed=1))
        pieces = list(spoken(model, given, voice, block=8, seed=1))
    assert len(pieces) > 2
    torch.testing.assert_close(torch.cat(pieces, 1), whole, atol=1e-4 if source else 1e-5, rtol=0)


def test_a_stream_speaks_items_of_one_length() -> None:
    model = small()
    given = plan(model, (LONG[0], (1,) * 8))
    with pytest.raises(LabError, match="one sentence at a time"):
        next(spoken(model, given, vocoder(14)))


@pytest.mark.parametrize("rows", [((0,) * 8,), ((1,) * 7 + (-1,),), ((1,) * 9,), ()])
def test_a_plan_must_last(rows: tuple[tuple[int, ...], ...]) -> None:
    model = small()
    prosody_of = plan(model)
    with pytest.raises((LabError, ValueError)):
        Plan(prosody_of.text, prosody_of.speaker, prosody_of.emotion, rows, (1,) * len(rows))
