from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tts_lab.audio import files
from tts_lab.errors import LabError, RecipeError, WeightsError
from tts_lab.experiments import judges, quality
from tts_lab.experiments.quality import Row, Sentence, by_voice, ladder, load_sentences, recorded, summary
from tts_lab.experiments.quality_table import by_settings, by_voices, markdown
from tts_lab.experiments.scoring import Errors
from tts_lab.recipe import Recipe

HELDOUT = Path(__file__).resolve().parents[2] / "benchmarks" / "heldout.json"


def row(voice: str, toneless: int, mos: float, cost: dict[str, float] | None = None) -> Row:
    return Row(
        f"{voice}_1", voice, "你好", "你好", Errors(10, toneless, toneless + 1, toneless + 2), mos, 2.0, cost or {}
    )


def test_held_out_sentences_are_forty_of_four_voices_and_fit_the_front_end() -> None:
    found = load_sentences(HELDOUT)
    assert len(found) == 40
    assert {v: sum(s.voice == v for s in found) for v in {s.voice for s in found}} == dict.fromkeys(
        ("xiaobei", "xiaoxiao", "yunjian", "yunxi"), 10
    )
    from tts_lab.text.front_end import analyse

    assert all(len(analyse(s.text).syllables) == len(s.pinyin) for s in found)
    assert sum(len(s.pinyin) for s in found) == 471
    assert not {s.text for s in found} & {s.text for s in load_sentences(HELDOUT, "dev")}


def test_sentences_of_a_corpus_folder(tmp_path: Path) -> None:
    line = {
        "id": "a1",
        "text": "你好",
        "pinyin": ["ni2", "hao3"],
        "speaker": "x",
        "split": "dev",
        "file": "wavs/a1.flac",
    }
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert load_sentences(tmp_path, None) == [Sentence("a1", "你好", ("ni2", "hao3"), "x", "dev", "wavs/a1.flac")]
    with pytest.raises(LabError, match="no sentence of the split 'test'"):
        load_sentences(tmp_path)
    with pytest.raises(LabError, match="cannot be read"):
        load_sentences(tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text('[{"id": 1}]')
    with pytest.raises(LabError, match="does not hold sentences"):
        load_sentences(tmp_path / "bad.json", None)


def test_recorded_finds_files_by_id(tmp_path: Path) -> None:
    known = [Sentence("a1", "你好", ("ni2", "hao3"), "x", "test"), Sentence("a2", "好", ("hao3",), "x", "test")]
    with pytest.raises(LabError, match=r"named by the id of a sentence, such as a1\.wav"):
        recorded(known, tmp_path)
    files.write(tmp_path / "a2.flac", torch.zeros(100), 8000)
    files.write(tmp_path / "other.wav", torch.zeros(100), 8000)
    ((sentence, samples, rate),) = recorded(known, tmp_path)
    assert (sentence.id, samples.shape, rate) == ("a2", (100,), 8000)
    with pytest.raises(LabError, match="no folder"):
        recorded(known, tmp_path / "absent")


def test_ladder_counts_evaluations_not_steps() -> None:
    recipes = ladder((1, 2, 8), Recipe(guidance=1.0))
    assert [recipes[n].evaluations_per_chunk for n in (1, 2, 8)] == [1, 2, 8]
    assert [(recipes[n].steps, recipes[n].guidance) for n in (1, 2, 8)] == [(1, 0.0), (1, 1.0), (4, 1.0)]
    assert ladder((8,), Recipe(guidance=0.0))[8].steps == 8
    assert ladder((1, 8), Recipe(guidance=1.0, solver="heun"))[8].steps == 2
    assert ladder((1, 8), Recipe(guidance=1.0, solver="heun"))[1].evaluations_per_chunk == 1
    assert not ladder((1,), Recipe())[1].excludes()


@pytest.mark.parametrize("wanted", [0, -2, 3])
def test_ladder_refuses_what_cannot_be(wanted: int) -> None:
    with pytest.raises(
        RecipeError, match=f"^{wanted} evaluations cannot be had: a step of euler with guidance 1 takes 2"
    ):
        ladder((wanted,), Recipe(guidance=1.0))


def test_summary_by_hand() -> None:
    rows = [row("a", 0, 4.0, {"all": 1.0, "vocoder": 0.5}), row("b", 2, 4.5, {"all": 2.0, "vocoder": 0.5})]
    found = summary(rows)
    assert found["sentences"] == 2
    assert found["syllables"] == 20
    assert (found["toneless"], found["toned"], found["characters"]) == (0.1, 0.2, 0.3)
    assert found["toneless_interval"] == [0.0, 0.2]
    assert (found["mos"], found["mos_lowest"]) == (4.25, 4.0)
    assert found["real_time_factor"] == 0.75
    assert found["vocoder_real_time_factor"] == 0.25
    assert list(by_voice(rows)) == ["a", "b", "all"]
    assert by_voice(rows)["b"]["toneless"] == 0.2
    assert "real_time_factor" not in summary([row("a", 0, 4.0)])


def test_speaking_goes_through_the_pipeline(system) -> None:
    sentence = Sentence("a1", "你好", ("ni2", "hao3"), "high", "test")
    samples, rate, cost = quality.speak(system, sentence, Recipe())
    assert samples.ndim == 1
    assert rate == system.sample_rate
    assert {"speaker", "semantic", "acoustic", "vocoder", "all"} <= cost.keys()
    assert cost["all"] >= cost["vocoder"] > 0


def test_copy_synthesis_feeds_the_vocoder_the_recordings_mel(system) -> None:
    seen = []

    class Listening(type(system)):
        def vocoder(self, mel, recipe):
            seen.append(mel)
            from tts_lab.types import Wave

            return Wave(torch.zeros(1, mel.values.shape[-1] * mel.hop_length), self.sample_rate, mel)

    sentence = Sentence("a1", "你好", ("ni2", "hao3"), "high", "test")
    samples, rate = quality.copy_synthesis(Listening(), sentence, torch.randn(24_000) * 0.1, 24_000)
    assert seen[0].values.shape == (1, 80, 22_050 // 256)
    assert samples.shape == (22_050 // 256 * 256,)
    assert rate == 22_050


def test_two_ways_are_compared_sentence_by_sentence() -> None:
    """What makes a sentence hard in both ways does not widen the interval; where they differ does."""
    good, bad = (
        [row(v, n + more, mos) for v, n in (("a", 0), ("b", 8), ("c", 3))] for more, mos in ((0, 4.0), (1, 4.5))
    )
    always = quality.compared([(bad, list(reversed(good)))])  # in any order
    assert always["toneless"] == pytest.approx(0.1)
    assert always["toneless_interval"] == pytest.approx((0.1, 0.1))
    assert (always["mos"], *always["mos_interval"]) == pytest.approx((0.5, 0.5, 0.5))
    both = quality.compared([(bad, good), (good, good)])
    assert both["toneless"] == pytest.approx(0.05)
    sometimes = quality.compared([([*good[:2], bad[2]], good)])
    low, high = sometimes["toneless_interval"]
    assert low == 0 < sometimes["toneless"] < high


def test_tables() -> None:
    costs = {"all": 1.0, "vocoder": 0.5}
    teacher = {"name": "teacher", "figures": by_voice([row("a", 0, 4.5)])}
    eight = {"name": "8 evaluations", "guidance": 1.0, "figures": by_voice([row("a", 1, 4.25, costs)])}
    lines = markdown(by_settings([teacher, eight])).splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert cells[0][0] == "what speaks"
    assert cells[2] == ["teacher", "", "0.0% (0.0–0.0)", "20.0%", "4.50 (4.50)", "", ""]
    assert cells[3] == ["8 evaluations", "1", "10.0% (10.0–10.0)", "30.0%", "4.25 (4.25)", "0.50", "0.25"]
    voices = markdown(by_voices(by_voice([row("a", 1, 4.0)]))).splitlines()
    assert "| a " in voices[2]
    assert "20.0%" in voices[2]


ABSENT = f"the extra `judges` is not installed: {', '.join(judges.missing())}"


@pytest.mark.judges
@pytest.mark.slow
@pytest.mark.skipif(bool(judges.missing()), reason=ABSENT)
def test_the_bundled_voice_is_understood() -> None:
    """A sentence of each voice, on fresh text of the held-out part: well under half wrong, and no broken sound."""
    from tts_lab.systems import load_system

    try:
        system = load_system("mini", "cpu")
    except WeightsError as error:
        pytest.skip(str(error))
    first = {s.voice: s for s in reversed(load_sentences(HELDOUT))}
    hear = quality.Judges().hear
    rows = [hear(s, *quality.speak(system, s, Recipe())) for s in first.values()]
    figures = summary(rows)
    assert figures["toneless"] < 0.3, [r.hypothesis for r in rows]
    assert figures["mos_lowest"] > 2.5
