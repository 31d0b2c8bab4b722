"""The models of `mini`, untrained and tiny: caching, padding and batching change nothing that they should not."""

import pytest
import torch

from tts_lab.systems.mini.acoustic import AcousticModel
from tts_lab.systems.mini.codes import DURATIONS, PITCHES, decode_pitch, encode_duration, encode_pitch
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.encoder import expansion
from tts_lab.systems.mini.semantic import SemanticModel
from tts_lab.systems.mini.stages import paced

TINY = MiniConfig(
    ("a", "b"), 8, 80, EncoderConfig(16, 2, 1, 16, 1), DiTConfig(16, 2, 2, 16), SemanticConfig(16, 2, 1, 16)
)


def codes(n: int = 6, b: int = 1) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    ranges = {"symbol": (1, 40), "tone": (0, 6), "place": (0, 4), "duration": (2, 9), "pitch": (0, PITCHES)}
    return {name: torch.randint(low, high, (b, n), generator=g) for name, (low, high) in ranges.items()}


def acoustic() -> AcousticModel:
    torch.manual_seed(0)
    model = AcousticModel(TINY).eval()
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.1) if p.ndim > 1 else None
    return model


def test_pitch_codes_come_back_within_half_a_step() -> None:
    median = torch.tensor(5.0)
    log_f0 = median + torch.linspace(-0.9, 0.9, 50)
    code = encode_pitch(log_f0, torch.ones(50), median)
    octaves = (log_f0 - median) / torch.log(torch.tensor(2.0))
    assert float((decode_pitch(code)[:, 0] - octaves).abs().max()) <= 0.75 / 24 + 1e-6
    assert bool((decode_pitch(code)[:, 1] == 1).all())


def test_unvoiced_phones_have_code_zero_and_no_pitch() -> None:
    code = encode_pitch(torch.tensor([float("nan"), 5.5]), torch.tensor([0.0, 0.1]), torch.tensor(5.0))
    assert code.tolist() == [0, 0]
    assert decode_pitch(code).abs().sum() == 0


def test_durations_are_clipped_to_the_codes() -> None:
    assert encode_duration(torch.tensor([0, 1, 500])).tolist() == [1, 1, DURATIONS - 1]


def test_expansion_gives_each_frame_its_phone_and_place() -> None:
    index, position = expansion(torch.tensor([[2, 1, 3]]), 6)
    assert index.tolist() == [[0, 0, 1, 2, 2, 2]]
    assert position[0, :, 0].tolist() == pytest.approx([0.25, 0.75, 0.5, 1 / 6, 0.5, 5 / 6])
    assert position[0, :, 3].tolist() == [1, 0, 1, 1, 0, 0]
    assert position[0, :, 4].tolist() == [0, 1, 1, 0, 0, 1]


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.7, 2.0])
def test_pace_changes_the_whole_and_keeps_every_phone(speed: float) -> None:
    durations = torch.tensor([4, 1, 7, 12, 3, 5, 9])
    spoken = paced(durations, speed)
    assert int(spoken.min()) >= 1
    assert float(spoken.sum()) == pytest.approx(float(durations.sum()) / speed, abs=1.5)


def test_a_batch_gives_what_its_utterances_give_alone() -> None:
    model, style = acoustic().encoder, torch.randn(2, 8, generator=torch.Generator().manual_seed(2))
    both = codes(b=2)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[1, 4:] = False
    both["duration"][1, 4:] = 0
    short = {k: v[1:, :4] for k, v in both.items()}
    frames = int(short["duration"].sum())
    with torch.inference_mode():
        alone = model.phones(*short.values(), style[1:])
        padded = model.phones(*both.values(), style, mask)[1:, :4]
        assert model(*short.values(), style[1:], frames)[0].shape == (1, 80, frames)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)


def test_guidance_modes_agree_and_evaluations_are_counted() -> None:
    model, given = acoustic(), codes()
    frames = int(given["duration"].sum()) // 2 * 2
    noise = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        content = model.content(*given.values(), torch.randn(1, 8, generator=torch.Generator().manual_seed(3)), frames)
        one, calls = model.sample(content, noise, steps=3, guidance=1.5, mode="batched")
        two, _ = model.sample(content, noise, steps=3, guidance=1.5, mode="sequential")
        off, calls_off = model.sample(content, noise, steps=3, guidance=0)
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one, off, atol=1e-3)
    assert (calls, calls_off) == (6, 3)


def test_half_precision_stays_near_single() -> None:
    model, given = acoustic(), codes()
    frames = int(given["duration"].sum()) // 2 * 2
    style = torch.randn(1, 8, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(1))

    def sample() -> torch.Tensor:
        with torch.inference_mode():
            return model.sample(model.content(*given.values(), style, frames), noise, steps=2)[0]

    full = sample()
    half = (model.half(), sample())[1]
    assert half.dtype == torch.float32
    assert float((half - full).abs().max() / full.abs().max()) < 0.02


@pytest.mark.parametrize("cache", ["static", "growing"])
def test_written_codes_are_the_likeliest_of_the_teacher_forced_pass(cache: str) -> None:
    torch.manual_seed(0)
    model = SemanticModel(TINY.semantic, 8).eval()
    given = [codes()[k] for k in ("symbol", "tone", "place")]
    style = torch.randn(1, 8)
    durations, pitches = model.write(*given, style, temperature=0, generator=torch.Generator(), cache=cache)
    with torch.no_grad():
        duration_logits, pitch_logits = model(*given, durations, pitches, style)
    duration_logits[..., 0] = -torch.inf
    assert torch.equal(duration_logits.argmax(-1), durations)
    assert torch.equal(pitch_logits.argmax(-1), pitches)


def test_one_seed_writes_one_prosody_and_another_seed_another() -> None:
    torch.manual_seed(0)
    model = SemanticModel(TINY.semantic, 8).eval()
    given = [codes(12)[k] for k in ("symbol", "tone", "place")]

    def write(seed: int) -> list[int]:
        g = torch.Generator().manual_seed(seed)
        return model.write(*given, torch.ones(1, 8), temperature=1.0, generator=g)[1][0].tolist()

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_padding_does_not_reach_what_is_written() -> None:
    torch.manual_seed(0)
    model = SemanticModel(TINY.semantic, 8).eval()
    given = [codes()[k] for k in ("symbol", "tone", "place")]
    padded = [torch.nn.functional.pad(x, (0, 3)) for x in given]
    with torch.inference_mode():
        torch.testing.assert_close(model.phones(*padded)[:, :6], model.phones(*given))
