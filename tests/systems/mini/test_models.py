"""The models of `mini`, untrained and tiny: caching, padding and batching change nothing that they should not."""

import math

import pytest
import torch

from tts_lab.systems.mini.acoustic import AcousticModel
from tts_lab.systems.mini.codes import DURATIONS, PITCHES, decode_pitch, encode_duration, encode_pitch
from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
from tts_lab.systems.mini.encoder import (
    LATE,
    LEAD,
    TAIL,
    TICKS_IN_FRAME,
    Codes,
    Curves,
    at_frames,
    clock_of,
    span_of,
    ticks_of,
)
from tts_lab.systems.mini.semantic import SemanticModel
from tts_lab.systems.mini.stages import paced
from tts_lab.text.spelling import TOKENS

TINY = MiniConfig(
    ("a", "b"),
    8,
    80,
    EncoderConfig(16, 2, 1, 16, 1, content=8, channels=16, rank=4, voice=4, readout=16, readout_layers=1),
    DiTConfig(16, 2, 2, 16),
    SemanticConfig(16, 2, 1, 16),
)


def codes(n: int = 6, b: int = 1) -> Codes:
    """Of phones that have two tokens each."""
    g = torch.Generator().manual_seed(0)
    ranges = {"symbol": (1, 40), "tone": (0, 6), "place": (0, 4), "duration": (2, 9), "pitch": (0, PITCHES)}
    drawn = {name: torch.randint(low, high, (b, n), generator=g) for name, (low, high) in ranges.items()}
    tokens = torch.randint(1, len(TOKENS), (b, 2 * n), generator=g)
    places = torch.arange(2 * n).view(1, n, 2).expand(b, -1, -1)
    return Codes(**drawn, tokens=tokens, places=places, span=span_of(drawn["duration"]))


def first(of: Codes, n: int, row: int) -> Codes:
    """The first n phones of one utterance of `codes`."""
    names = ("symbol", "tone", "place", "duration", "pitch", "places")
    parts = {name: getattr(of, name)[row : row + 1, :n] for name in names}
    return Codes(**parts, tokens=of.tokens[row : row + 1, : 2 * n], span=span_of(parts["duration"]))


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


def test_the_teachers_durations_come_back_from_mel_frames() -> None:
    """However a border's place is rounded to a mel frame, a phone of the teacher has the ticks that it had."""
    ticks = torch.randint(1, 30, (400,), generator=torch.Generator().manual_seed(0))
    ends = (ticks.cumsum(0) / TICKS_IN_FRAME).round().long()
    durations = torch.diff(ends, prepend=torch.zeros(1, dtype=torch.long))
    assert torch.equal(ticks_of(durations), ticks)
    assert ticks_of(torch.tensor([0, 1, 2])).tolist() == [0, 1, 1]  # none for no phone, else one


def test_a_clock_gives_each_tick_its_phone_and_place() -> None:
    durations = torch.tensor([[6, 13, 0], [2, 2, 2]])  # 3 and 6 ticks; 1, 1 and 1
    assert span_of(durations) == LEAD + 9 + TAIL
    clock = clock_of(durations, 19, LEAD + 9 + TAIL, batched=True)
    assert clock.index[0].tolist() == [0] * (LEAD + 3) + [1] * (6 + TAIL)
    assert clock.index[1, LEAD : LEAD + 5].tolist() == [0, 1, 2, 2, 2]
    spoken = clock.position[0, LEAD : LEAD + 9]
    assert spoken[:, 0].tolist() == pytest.approx([1 / 6, 0.5, 5 / 6, 1 / 12, 0.25, 5 / 12, 7 / 12, 0.75, 11 / 12])
    assert spoken[:, 3].tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0]
    assert spoken[:, 4].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert clock.position[0, :LEAD, 0].tolist() == [0] * LEAD
    assert clock.position[0, -TAIL:, 0].tolist() == [1] * TAIL
    assert clock.mask.sum(1).tolist() == [LEAD + 9 + TAIL, LEAD + 3 + TAIL]
    assert clock_of(durations[:1], 19, LEAD + 9 + TAIL, batched=False).mask is None


def test_a_phones_frames_are_read_from_its_own_ticks() -> None:
    """The sound runs two ticks ahead; a phone of 6 frames (2.8 ticks) is read at the pace of its three."""
    durations = torch.tensor([[6, 13, 0]])
    read = clock_of(durations, 22, span_of(durations), batched=False).read[0] - LEAD + LATE
    assert read[:6].tolist() == pytest.approx([(k + 0.5) / 6 * 3 for k in range(6)], abs=1e-5)
    assert read[6:19].tolist() == pytest.approx([3 + (k + 0.5) / 13 * 6 for k in range(13)], abs=1e-5)
    assert read[19:].tolist() == pytest.approx([9 + (k + 0.5) * TICKS_IN_FRAME for k in range(3)], abs=1e-5)


def test_a_phones_contents_follow_each_other_at_its_share() -> None:
    encoder = acoustic().encoder
    durations = torch.tensor([[43, 43]])  # 20 ticks each
    clock, seen = clock_of(durations, 86, span_of(durations), batched=False), []
    encoder.decoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    contents = torch.arange(4.0).view(1, 2, 2, 1).expand(-1, -1, -1, 8)
    count = clock.index.shape[1]
    said = Curves(contents, torch.tensor([[0.5, 2.0]]), torch.full((1, 2 * count), 200.0), torch.zeros(1, 2 * count))
    with torch.inference_mode():
        encoder.shaped(said, clock, torch.zeros(1, 8))
    spoken = seen[0][0, 0, LEAD:].tolist()
    assert sorted(set(spoken)) == [0, 1, 2]  # the second phone has but its first content
    assert (spoken.index(1), spoken.index(2)) == (10, 20)


def test_a_pitch_lies_where_its_code_and_the_voice_say() -> None:
    encoder, style = acoustic().encoder, torch.zeros(1, 8)
    torch.nn.init.zeros_(encoder.curves.weight)
    encoder.curves.bias.data.copy_(torch.tensor([0.0, 0.0, 20.0, 20.0, 0.0, 0.0]))  # as high as told, and voiced
    encoder.median.bias.data.fill_(math.log(200))
    durations = torch.tensor([[20, 20]])
    clock = clock_of(durations, 40, span_of(durations), batched=False)
    code = torch.tensor([[PITCHES // 2, PITCHES // 2 + 16]])  # sixteen codes are an octave
    with torch.inference_mode():
        said = encoder.said(torch.randn(1, 2, 16), torch.zeros(1, 2, 2, 8), clock, code, style)
    assert said.pitch[0, 2 * LEAD].item() == pytest.approx(200, rel=1e-4)
    assert said.pitch[0, -1].item() == pytest.approx(400, rel=1e-4)


def test_contents_and_curves_are_read_at_the_places_asked_for() -> None:
    """A place in them grows by one each half tick: what is read at a place is that place, the pitch the nearest one."""
    places = torch.arange(200).float()[None]
    said = Curves(torch.zeros(1, 1, 2, 1), torch.ones(1, 1), places, places)
    read = 3 + 90 * torch.rand(1, 50, generator=torch.Generator().manual_seed(0))
    content, pitch, energy = at_frames(places[:, None], said, read)
    torch.testing.assert_close(content[..., 0], 2 * read - 0.5)
    torch.testing.assert_close(energy, 2 * read - 0.5)
    torch.testing.assert_close(pitch, (2 * read - 0.5).round())


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
    both.duration[1, 4:] = 0
    both.tokens[1, 8:] = 0
    short = first(both, 4, 1)
    frames = int(short.duration.sum())
    with torch.inference_mode():
        contents = model.reader(short.tokens, short.places, batched=False)
        contents_both = model.reader(both.tokens, both.places, batched=True)
        alone = model.phones(short, contents, style[1:])
        padded = model.phones(both, contents_both, style, mask)[1:, :4]
        mel = model(short, style[1:], frames)[0]
        longer = model(both, style, int(both.duration[0].sum()), mask)[0][1:, :, :frames]
    assert mel.shape == (1, 80, frames)
    torch.testing.assert_close(contents_both[1:, :4], contents, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(padded, alone, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(longer, mel, atol=1e-4, rtol=1e-4)


def test_guidance_modes_agree_and_evaluations_are_counted() -> None:
    model, given = acoustic(), codes()
    frames = int(given.duration.sum()) // 2 * 2
    noise = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        content = model.content(given, torch.randn(1, 8, generator=torch.Generator().manual_seed(3)), frames)
        one, calls = model.sample(content, noise, steps=3, guidance=1.5, mode="batched")
        two, _ = model.sample(content, noise, steps=3, guidance=1.5, mode="sequential")
        off, calls_off = model.sample(content, noise, steps=3, guidance=0)
    torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one, off, atol=1e-3)
    assert (calls, calls_off) == (6, 3)


def test_half_precision_stays_near_single() -> None:
    model, given = acoustic(), codes()
    frames = int(given.duration.sum()) // 2 * 2
    style = torch.randn(1, 8, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(1, 80, frames, generator=torch.Generator().manual_seed(1))

    def sample() -> torch.Tensor:
        with torch.inference_mode():
            return model.sample(model.content(given, style, frames), noise, steps=2)[0]

    full = sample()
    half = (model.half(), sample())[1]
    assert half.dtype == torch.float32
    assert float((half - full).abs().max() / full.abs().max()) < 0.02


@pytest.mark.parametrize("cache", ["static", "growing"])
def test_written_codes_are_the_likeliest_of_the_teacher_forced_pass(cache: str) -> None:
    torch.manual_seed(0)
    model = SemanticModel(TINY.semantic, 8).eval()
    given = [getattr(codes(), k) for k in ("symbol", "tone", "place")]
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
    given = [getattr(codes(12), k) for k in ("symbol", "tone", "place")]

    def write(seed: int) -> list[int]:
        g = torch.Generator().manual_seed(seed)
        return model.write(*given, torch.ones(1, 8), temperature=1.0, generator=g)[1][0].tolist()

    assert write(1) == write(1)
    assert write(1) != write(2)


def test_padding_does_not_reach_what_is_written() -> None:
    torch.manual_seed(0)
    model = SemanticModel(TINY.semantic, 8).eval()
    given = [getattr(codes(), k) for k in ("symbol", "tone", "place")]
    padded = [torch.nn.functional.pad(x, (0, 3)) for x in given]
    with torch.inference_mode():
        torch.testing.assert_close(model.phones(*padded)[:, :6], model.phones(*given))
