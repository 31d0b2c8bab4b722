"""Writing codes: caches, beams and lengths, one seed one result, what a trace sees, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from gpt_recorded import inputs, models
from networks import assert_same, on_both
from torch import Tensor

from tts_lab.memory.events import EventLog
from tts_lab.memory.tracer import Tracer, trace
from tts_lab.systems.indextts2.conditioner import Conditioner, real
from tts_lab.systems.indextts2.config import SMALL, GPTConfig
from tts_lab.systems.indextts2.sampling import Sampling, penalised, warped
from tts_lab.systems.indextts2.voice_model import VoiceModel
from tts_lab.systems.indextts2.writing import write_codes

GREEDY = Sampling(0, beams=1, repetition_penalty=1)
KINDS = ["static", "growing"]


@pytest.fixture(scope="module")
def ready() -> tuple[VoiceModel, Tensor, Tensor]:
    conditioner, model = models()
    given = inputs()
    return model, conditioner(given["speaker"], given["emotion"]), given["text"]


def write(ready: Any, sampling: Sampling, seed: int = 0, **options: Any) -> list[int]:
    return write_codes(*ready, sampling, torch.Generator().manual_seed(seed), **{"most": 20} | options)[0].tolist()


def without_cache(model: VoiceModel, conditioning: Tensor, text: Tensor, count: int) -> list[int]:
    """The likeliest code after the whole sequence, again and again, with the positions of decoding."""
    x, codes = model.prefix(conditioning, text), []
    with torch.inference_mode():
        for i in range(count):
            codes.append(int(model.logits(model.gpt(x)[:, -1]).argmax()))
            x = torch.cat((x, model.step(torch.tensor(codes[-1:]), i)), 1)
    return codes


@pytest.mark.parametrize("cache", KINDS)
def test_greedy_with_a_cache_is_greedy_without(ready: Any, cache: str) -> None:
    assert write(ready, GREEDY, cache=cache) == without_cache(*ready, 20)


@pytest.mark.parametrize("beams", [1, 2, 3, 4])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_static_equals_growing(ready: Any, beams: int, temperature: float) -> None:
    found = [write(ready, Sampling(temperature, beams=beams), cache=cache, exactly=25) for cache in KINDS]
    assert found[0] == found[1]
    assert len(found[0]) == 25
    assert SMALL.stop_mel_token not in found[0]


def test_one_beam_among_many_is_no_worse_than_greedy(ready: Any) -> None:
    model, conditioning, text = ready

    def total(codes: list[int]) -> float:
        x = torch.cat(
            [model.prefix(conditioning, text), *(model.step(torch.tensor([c]), i) for i, c in enumerate(codes))], 1
        )
        with torch.inference_mode():
            scores = model.logits(model.gpt(x)[0, -len(codes) - 1 : -1]).log_softmax(-1)
        return float(scores.gather(1, torch.tensor(codes)[:, None]).sum())

    plain = {"temperature": 0, "repetition_penalty": 1.0}
    scores = [total(write(ready, Sampling(beams=b, **plain), exactly=12)) for b in (1, 4)]
    assert scores[1] >= scores[0] - 1e-4


def test_one_seed_writes_one_text_and_another_seed_another(ready: Any) -> None:
    for beams in (1, 3):
        found = [write(ready, Sampling(1.5, top_p=1.0, beams=beams), seed) for seed in (1, 1, 2)]
        assert found[0] == found[1] != found[2]


def test_fixed_lengths_are_kept_whatever_the_model_would_like(ready: Any) -> None:
    model, conditioning, text = ready
    bias = model.mel_head.bias.clone()
    model.mel_head.bias[SMALL.stop_mel_token] += 50
    try:
        for beams in (1, 3):
            assert write(ready, Sampling(beams=beams)) == []
            assert write_codes(*ready, Sampling(beams=beams), torch.Generator(), most=20).shape == (1, 0)
            assert len(write(ready, Sampling(beams=beams), exactly=7)) == 7
    finally:
        model.mel_head.bias.copy_(bias)
    with torch.inference_mode():
        assert model(conditioning, text, torch.zeros(1, 1, dtype=torch.long)).shape == (1, 1, 48)


def test_lengths_without_positions_are_refused(ready: Any) -> None:
    model, conditioning, text = ready
    assert len(write(ready, GREEDY, exactly=40)) == 40
    for count in (0, 41):
        with pytest.raises(ValueError, match=f"{count} codes were asked for; 1 to 40 can be written"):
            write(ready, GREEDY, exactly=count)
    with pytest.raises(ValueError, match="there are 32 learned positions, 33 were asked for"):
        write((model, conditioning, text[:, :1].expand(1, 31)), GREEDY)
    with pytest.raises(ValueError, match="code 41 has no position"):
        model.step(torch.tensor([0]), 41)
    with pytest.raises(ValueError, match="one text is written at a time, not 2 for 1 voices"):
        write((model, conditioning, text.expand(2, -1)), GREEDY)
    with pytest.raises(ValueError, match="on the meta device .* say `exactly`"):
        write((model, conditioning.to("meta"), text), GREEDY)


@pytest.mark.parametrize(
    "values", [{"beams": 0}, {"beams": 5}, {"temperature": -1}, {"top_p": 0}, {"repetition_penalty": 0}]
)
def test_impossible_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="are possible|or more"):
        Sampling(**values)


# The rules of choosing, by hand


def test_the_penalty_divides_positive_scores_and_multiplies_negative_ones() -> None:
    scores = torch.tensor([[2.0, -2.0, 1.0, -1.0]])
    torch.testing.assert_close(penalised(scores, [[0, 1, 1]], 10), torch.tensor([[0.2, -20.0, 1.0, -1.0]]))
    assert torch.equal(scores, torch.tensor([[2.0, -2.0, 1.0, -1.0]]))


def test_the_penalty_strikes_code_one_and_the_start_mark_from_the_beginning(ready: Any) -> None:
    model = ready[0]
    bias = model.mel_head.bias.clone()
    try:
        for code in (1, SMALL.start_mel_token, 30):
            model.mel_head.bias.copy_(bias)
            model.mel_head.bias[code] += 15
            first = [write(ready, Sampling(0, beams=1, repetition_penalty=p), exactly=1)[0] for p in (1, 100)]
            assert (first[0] == code, first[1] == code) == (True, code == 30)
    finally:
        model.mel_head.bias.copy_(bias)


def test_the_top_k_and_the_top_p_remain() -> None:
    scores = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()

    def left(keep: int = 1, **values: Any) -> list[int]:
        settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} | values
        return warped(scores, Sampling(**settings), keep)[0].isfinite().nonzero()[:, 0].tolist()

    assert left() == [0, 1, 2, 3]
    assert left(top_k=2) == [0, 1]
    assert left(top_p=0.7) == [0, 1]
    assert left(top_p=0.85) == [0, 1, 2]
    assert left(top_p=0.01) == [0]
    assert left(2, top_p=0.01) == left(2, top_k=1) == [0, 1]
    assert left(top_p=0.7, temperature=0.3) == [0]


# Half precision, autograd, traces


@pytest.mark.parametrize("beams", [1, 3])
def test_half_precision_writes_and_stays_near_single(beams: int) -> None:
    conditioner, model = models()
    given = inputs()
    with torch.inference_mode():
        full = conditioner(given["speaker"], given["emotion"])
        latents = model(full, given["text"], given["codes"])
        half = conditioner.half()(given["speaker"], given["emotion"])
        found = model.half()(half, given["text"], given["codes"])
    assert half.dtype == found.dtype == torch.float16
    assert float((half - full).abs().max() / full.abs().max()) < 0.02
    assert float((found - latents).abs().max() / latents.abs().max()) < 0.03
    assert len(write((model, half, given["text"]), Sampling(beams=beams), exactly=8)) == 8


def test_cached_conditioning_keeps_no_autograd_graph() -> None:
    conditioner, given = Conditioner(SMALL), inputs()
    assert any(p.requires_grad for p in conditioner.parameters())
    speaker, emotion = conditioner.speaker(given["speaker"]), conditioner.emotion(given["emotion"])
    whole = conditioner(given["speaker"], given["emotion"])
    for kept in (speaker, emotion, conditioner.conditioning(speaker, emotion), whole):
        assert not kept.requires_grad
        assert kept.grad_fn is None
    codes = write_codes(VoiceModel(SMALL), whole, given["text"], GREEDY, torch.Generator(), exactly=3)
    assert not codes.requires_grad


def test_tiles_change_memory_and_not_the_result() -> None:
    conditioner, given = models()[0], inputs()
    whole = conditioner(given["speaker"], given["emotion"])
    conditioner.tile(3)
    assert conditioner.conditioning_encoder.embed.piece == conditioner.emo_conditioning_encoder.embed.piece == 3
    torch.testing.assert_close(conditioner(given["speaker"], given["emotion"]), whole, atol=1e-5, rtol=1e-5)

    def peak(frames: int) -> int:
        with torch.device("meta"):
            full, x = Conditioner(GPTConfig()), torch.empty(1, 750, 1024)
        full.tile(frames)
        log = trace(full, x)
        return round((log.peak_bytes() - log.bytes_of("weight")) / 2**20)

    assert (peak(0), peak(64)) == (750, 131)


def test_frames_after_the_1024th_count_as_padding() -> None:
    assert real(torch.zeros(1, 1024, 1024)) is None
    mask = real(torch.zeros(1, 1100, 1024))
    assert mask is not None
    assert mask.sum() == 1024
    assert real(torch.zeros(2, 9, 1024), torch.tensor([9, 4])).sum(1).tolist() == [9, 4]  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("frames", [30, 1030])
def test_the_conditioner_on_meta_equals_the_cpu(dtype: torch.dtype, frames: int) -> None:
    on_both(lambda: (Conditioner(SMALL).to(dtype), torch.zeros(1, frames, 1024), torch.zeros(1, 26, 1024), 0.5))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_latents_on_meta_equal_the_cpu(dtype: torch.dtype) -> None:
    def build() -> tuple[Any, ...]:
        ids = torch.ones(1, 12, dtype=torch.long)
        return VoiceModel(SMALL).to(dtype), torch.zeros(1, 34, 48, dtype=dtype), ids, ids

    on_both(build)


def writing(dtype: torch.dtype, beams: int, cache: str, count: int) -> tuple[Any, ...]:
    def run(model: VoiceModel, conditioning: Tensor, text: Tensor) -> None:
        write_codes(
            model, conditioning, text, Sampling(beams=beams), torch.Generator("cpu"), cache=cache, exactly=count
        )  # fmt: skip

    model, text = VoiceModel(SMALL).to(dtype), torch.full((1, 12), 7)
    return run, model, torch.zeros(1, 34, 48, dtype=dtype), text


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("cache", KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_writing_on_meta_equals_the_cpu(dtype: torch.dtype, cache: str, beams: int) -> None:
    log = on_both(lambda: writing(dtype, beams, cache, 9))
    if cache == "static":
        assert log.bytes_of("cache") == VoiceModel(SMALL).gpt.cache_bytes(beams, 34 + 12 + 3 + 8, dtype)
    assert log.bytes_of("weight") == sum(p.numel() for p in VoiceModel(SMALL).parameters()) * dtype.itemsize


@pytest.mark.parametrize("cache", KINDS)
@pytest.mark.parametrize("beams", [1, 3])
def test_a_shortened_trace_keeps_the_peak(cache: str, beams: int) -> None:
    def log(shorten: bool) -> EventLog:
        with torch.device("meta"):
            fn, model, *given = writing(torch.float32, beams, cache, 38)
        with Tracer(shorten=shorten) as tracer:
            tracer.place(model, "gpt")
            for x in given:
                tracer.place(x)
            fn(model, *given)
        return tracer.log

    full, short = log(False), log(True)
    assert short.peak_bytes() == full.peak_bytes()
    assert len(short) < 0.3 * len(full)
    assert_same(short, log(True))
