"""What SAM-BERT and its vocoders allocate: equal on meta and on the CPU, and bounded where we say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from networks import on_both
from sambert_recorded import acoustic_config, recorded
from torch import Tensor

from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.tiling import tiled
from tts_lab.systems.sambert.acoustic import Sambert, Units
from tts_lab.systems.sambert.config import SambertConfig, Source, VocoderConfig
from tts_lab.systems.sambert.frames import Plan
from tts_lab.systems.sambert.naive import naive_mel
from tts_lab.systems.sambert.source import denormalised
from tts_lab.systems.sambert.streaming import spoken
from tts_lab.systems.sambert.vocoder import KanHiFiGAN

VOCODER = VocoderConfig(14, 32)
PITCHED = VocoderConfig(12, 32, nsf_params=Source(7, 16_000))


def config(**changes: Any) -> SambertConfig:
    return acoustic_config(recorded("acoustic_small")[1]["config"] | changes)


def units(n: int) -> Units:
    return Units(torch.ones(1, n, 4, dtype=torch.long), *(torch.ones(1, n, dtype=torch.long) for _ in range(2)))


def rows(n: int) -> tuple[tuple[int, ...], ...]:
    """n phones of 6 frames on average, the longest of 14."""
    return ((14, *([6, 5, 7] * n)[: n - 1]),)


def speaking(way: str, n: int, **changes: Any) -> tuple[Callable[..., Any], *tuple[Tensor, ...]]:
    """A function of the units of n phones that speaks them, and those."""
    settings = config(**changes)
    model = Sambert(settings).eval().requires_grad_(False)
    voice = KanHiFiGAN(PITCHED if settings.NSF else VOCODER).eval().requires_grad_(False)
    given = units(n)

    def run(ling: Tensor, emotion: Tensor, speaker: Tensor) -> None:
        plan = Plan.of(model.prosody(Units(ling, emotion, speaker)), 3, rows(n))
        if way == "naive":
            naive_mel(model, plan)
        elif way == "stream":
            for piece in spoken(model, plan, voice, block=8):
                piece.cpu()
                del piece
        else:
            mel = model.mel(plan, 8)
            if way == "tiled":
                mel = denormalised(mel, settings) if settings.NSF else mel
                tiled(voice, voice.excited(mel), 16)

    return run, given.ling, given.emotion, given.speaker


@pytest.mark.parametrize("way", ["ours", "naive", "tiled", "stream"])
def test_meta_is_the_cpu(way: str) -> None:
    log = on_both(lambda: speaking(way, 40))
    assert {e.category for e in log} >= {"weight", "activation"}


@pytest.mark.parametrize("way", ["tiled", "stream"])
def test_meta_is_the_cpu_with_a_source(way: str) -> None:
    on_both(lambda: speaking(way, 40, NSF=True, nsf_norm_type="global"))


@pytest.mark.parametrize("way", ["tiled", "stream"])
def test_meta_is_the_cpu_when_nothing_is_left_out(way: str) -> None:
    logs = [traced(way, 12, device=device, shorten=False) for device in ("meta", "cpu")]
    assert list(logs[0]) == list(logs[1])


def traced(way: str, n: int, device: str = "meta", shorten: bool = True, **changes: Any) -> EventLog:
    with torch.device(device):
        run, *given = speaking(way, n, **changes)
    with Tracer(device, shorten=shorten) as tracer:
        for x in given:
            tracer.place(x)
        run(*given)
    return tracer.log


@pytest.mark.parametrize("way", ["ours", "naive", "tiled", "stream"])
def test_shortening_keeps_the_peak(way: str) -> None:
    full, short = (traced(way, 60, shorten=shorten) for shorten in (False, True))
    assert short.peak_bytes() == full.peak_bytes()
    assert len(short) < 0.5 * len(full)
    if way in ("ours", "stream"):  # the last of many tiles is shorter, and the last naive step pads no map
        assert work(short) == work(full)


def work(log: EventLog) -> dict[str, list[float]]:
    """For each operator: launches, floating-point operations, bytes."""
    sums: dict[str, list[float]] = {}
    for w in log.work:
        so_far = sums.setdefault(w.operator, [0.0, 0.0, 0.0])
        sums[w.operator] = [a + b for a, b in zip(so_far, (w.count, w.count * w.flops, w.count * w.bytes), strict=True)]
    return sums


def activations(log: EventLog) -> int:
    """Peak without the weights, which are there from the first to the last event."""
    return log.peak_bytes() - sum(e.bytes for e in log if e.category == "weight" and e.bytes > 0)


def decoding(way: str, n: int) -> int:
    """Peak bytes of activations of the decoder and postnet for 6 n frames, without the output."""
    settings = config()
    with torch.device("meta"):
        model = Sambert(settings).eval().requires_grad_(False)
        plan = Plan(torch.empty(1, n, 8), torch.empty(1, n, 6), torch.empty(1, n, 10), ((6,) * n,), (2,))
        out = torch.empty(1, 14, 6 * n)
    with Tracer() as tracer:
        tracer.place(model)
        for x in (plan.text, plan.speaker, plan.emotion, out):
            tracer.place(x)
        if way == "naive":
            naive_mel(model, plan)
        else:
            model.mel(plan, 8, out)
    phones = plan.text.nbytes + plan.speaker.nbytes + plan.emotion.nbytes
    return activations(tracer.log) - out.nbytes - phones


def test_the_decoders_memory_does_not_depend_on_the_length() -> None:
    """What is left to grow is the frame at which each phone ends: 8 bytes a phone."""
    short, long = (decoding("ours", n) for n in (100, 1600))
    assert long - short == 1500 * 8
    assert 15 < decoding("naive", 800) / decoding("naive", 200) < 17  # the square of the length


@pytest.mark.parametrize(("bands", "block"), [((2,), 8), ((9, 4), 64), ((7,), 3), ((0,), 1)])
def test_bytes_of_the_caches_are_as_computed(bands: tuple[int, ...], block: int) -> None:
    with torch.device("meta"):
        model = Sambert(config())
        n = len(bands)
        plan = Plan(torch.empty(n, 90, 8), torch.empty(n, 90, 6), torch.empty(n, 90, 10), ((6,) * 90,) * n, bands)
    logged = 0
    with Tracer(shorten=False) as tracer:
        for x in (plan.text, plan.speaker, plan.emotion):
            tracer.place(x)
        for _ in model.written(plan, block):
            pass
    alive = [0]
    for e in tracer.log:
        if e.category == "cache":
            logged += e.bytes
            alive.append(logged)
    assert max(alive) == model.mel_decoder.cache_bytes(bands, block)


def test_a_stream_keeps_the_sound_of_one_piece() -> None:
    """Bytes for each of 1200 more frames: phones, not frames, and none of the 1 KiB of a frame's samples."""
    peaks = [activations(traced("stream", n)) for n in (200, 400)]
    whole = [activations(traced("tiled", n)) for n in (200, 400)]
    assert (peaks[1] - peaks[0]) / 1200 < 300 < 856 <= (whole[1] - whole[0]) / 1200
