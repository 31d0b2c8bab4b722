"""The models of `mini`, untrained and tiny: caching, padding and batching change nothing that they should not."""

import math

import pytest
import torch

from tts_lab.systems.mini.acoustic import AcousticModel
from tts_lab.systems.mini.codes import DURATIONS, PITCHES, decode_pitch, encode_duration, encode_pitch
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.encoder import LEAD, TAIL, Curves, at_frames, clock_of, expansion, ticks_of
from tts_lab.systems.mini.semantic import SemanticModel
from tts_lab.systems.mini.stages import paced

TINY = MiniConfig(
    ("a", "b"),
    8,
    80,
    EncoderConfig(16, 2, 1, 16, 1, content=8, channels=16, rank=4, voice=4, readout=16, readout_layers=1),
    DiTConfig(16, 2, 2, 16),
    SemanticConfig(16, 2, 1, 16),
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


def test_expansion_gives_each_time_its_phone_and_place() -> None:
    index, position = expansion(torch.tensor([[2, 1, 3]]), torch.arange(6) + 0.5)
    assert index.tolist() == [[0, 0, 1, 2, 2, 2]]
    assert position[0, :, 0].tolist() == pytest.approx([0.25, 0.75, 0.5, 1 / 6, 0.5, 5 / 6])
    assert position[0, :, 3].tolist() == [1, 0, 1, 1, 0, 0]
    assert position[0, :, 4].tolist() == [0, 1, 1, 0, 0, 1]


def test_what_lies_outside_belongs_to_the_first_and_the_last_phone() -> None:
    index, position = expansion(torch.tensor([[2, 1, 0, 0]]), torch.tensor([-5.0, -0.5, 0.0, 2.5, 3.0, 40.0]))
    assert index.tolist() == [[0, 0, 0, 1, 1, 1]]  # phones of no length are none
    assert position[0, :, 0].tolist() == [0, 0, 0, 0.5, 1, 1]


def test_ticks_cover_the_frames_and_the_silence_around_them() -> None:
    durations = torch.tensor([[6, 30, 20, 30], [6, 30, 8, 0]])
    clock = clock_of(durations, 86, batched=True)
    assert clock.index.shape == (2, LEAD + 40 + TAIL)  # 86 frames are a second less 1.5 ms
    assert clock.index[0, :LEAD].tolist() == [0] * LEAD
    # The sound runs 50 ms, two ticks, ahead: after six frames, 2.8 ticks, the second phone begins there.
    assert clock.index[0, LEAD : LEAD + 8].tolist() == [0] * 5 + [1] * 3
    assert clock.mask.sum(1).tolist() == [LEAD + 40 + TAIL, LEAD + 21 + TAIL]
    assert clock_of(durations[:1], 86, batched=False).mask is None


def test_a_phones_contents_follow_each_other_at_its_share() -> None:
    encoder = acoustic().encoder
    durations = torch.tensor([[40, 40]])
    clock, seen = clock_of(durations, 80, batched=False), []
    encoder.decoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    contents = torch.arange(4.0).view(1, 2, 2, 1).expand(-1, -1, -1, 8)
    count = clock.index.shape[1]
    said = Curves(contents, torch.tensor([[0.5, 2.0]]), torch.full((1, 2 * count), 200.0), torch.zeros(1, 2 * count))
    with torch.inference_mode():
        encoder.shaped(said, clock, torch.zeros(1, 8))
    spoken = seen[0][0, 0, LEAD:].tolist()
    assert sorted(set(spoken)) == [0, 1, 2]  # the second phone has but its first content
    assert spoken.index(1) == 11  # half of 40 frames are 9.3 ticks, heard two later
    assert spoken.index(2) == 21


def test_a_pitch_lies_where_its_code_and_the_voice_say() -> None:
    encoder, style = acoustic().encoder, torch.zeros(1, 8)
    torch.nn.init.zeros_(encoder.curves.weight)
    encoder.curves.bias.data.copy_(torch.tensor([0.0, 0.0, 20.0, 20.0, 0.0, 0.0]))  # as high as told, and voiced
    encoder.median.bias.data.fill_(math.log(200))
    clock = clock_of(torch.tensor([[20, 20]]), 40, batched=False)
    code = torch.tensor([[PITCHES // 2, PITCHES // 2 + 16]])  # sixteen codes are an octave
    with torch.inference_mode():
        said = encoder.said(torch.randn(1, 2, 16), clock, code, style)
    assert said.pitch[0, 2 * LEAD].item() == pytest.approx(200, rel=1e-4)
    assert said.pitch[0, -1].item() == pytest.approx(400, rel=1e-4)


def test_contents_and_curves_are_read_at_the_middles_of_frames() -> None:
    """A place in them grows by one each 12.5 ms: what is read at a frame's middle is that middle."""
    count = 2 * ticks_of(50)
    places = torch.arange(count).float()[None]
    said = Curves(torch.zeros(1, 1, 2, 1), torch.ones(1, 1), places, places)
    content, pitch, energy = at_frames(places[:, None], said, 50)
    seconds = (torch.arange(50) + 0.5) * 256 / 22050
    expected = 2 * LEAD + 80 * seconds - 0.5
    torch.testing.assert_close(content[0, :, 0], expected)
    torch.testing.assert_close(energy[0], expected)
    torch.testing.assert_close(pitch[0], expected.round())


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
        mel = model(*short.values(), style[1:], frames)[0]
        longer = model(*both.values(), style, int(both["duration"][0].sum()), mask)[0][1:, :, :frames]
    assert mel.shape == (1, 80, frames)
    torch.testing.assert_close(padded, alone, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(longer, mel, atol=1e-4, rtol=1e-4)


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
