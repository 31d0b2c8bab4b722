from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from tts_lab.audio import files
from tts_lab.errors import LabError, OutputError
from tts_lab.experiments.quality import Row
from tts_lab.experiments.scoring import Errors
from tts_lab.pipeline import say
from tts_lab.recipe import Recipe
from tts_lab.systems import load_system

ROOT = Path(__file__).resolve().parents[2]
LINES = [
    {"id": f"{voice}{i}", "text": text, "pinyin": pinyin, "speaker": voice, "split": "test"}
    for voice in ("high", "low")
    for i, (text, pinyin) in enumerate([("你好", "ni2 hao3"), ("再见", "zai4 jian4"), ("谢谢你", "xie4 xie5 ni3")])
]


@pytest.fixture
def bench(monkeypatch, tmp_path, fake, fake_judges):
    """The script, on the system of sine tones, with six sentences, fake judges and a result file of its own."""
    import voice_quality

    sentences = tmp_path / "heldout.json"
    sentences.write_text(json.dumps({"source": "here", "sentences": LINES}), encoding="utf-8")
    monkeypatch.setattr(voice_quality, "HELDOUT", sentences)
    monkeypatch.setattr(voice_quality, "RESULT", tmp_path / "measured" / "quality-mini.json")
    monkeypatch.setattr(voice_quality, "voice_digest", lambda: "voice 1")
    tones = {"syllables": 2, "wrong": 1}  # which need the extra `judges`
    monkeypatch.setattr(voice_quality, "judged_speech", lambda speech: tones)
    monkeypatch.setattr(voice_quality, "as_on_a_card", lambda system: system)  # which lends nothing
    return voice_quality


@pytest.fixture
def corpus(tmp_path, monkeypatch) -> Path:
    """A second of buzz for each sentence; copy synthesis is another buzz."""
    folder = tmp_path / "corpus"
    (folder / "wavs").mkdir(parents=True)
    time = torch.arange(22_050) / 22_050
    for number, line in enumerate(LINES):
        hertz = 120 + 10 * number + 30 * time
        buzz = sum(0.1 / k * torch.sin(2 * torch.pi * k * hertz * time) for k in range(1, 6))
        files.write(folder / "wavs" / f"{line['id']}.flac", buzz, 22_050)
    lines = [
        json.dumps({**line, "file": f"wavs/{line['id']}.flac", "pinyin": line["pinyin"].split()}) for line in LINES
    ]
    (folder / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    import fake_system
    from tts_lab.types import Wave

    flat = Wave(torch.sin(200 * torch.arange(2560) / 22_050 * 6.28)[None], 22_050, None)  # type: ignore[arg-type]
    plain = fake_system.ToneSystem.vocoder
    monkeypatch.setattr(
        fake_system.ToneSystem, "vocoder", lambda self, mel, r: plain(self, mel, r) if mel.semantic.units else flat
    )
    return folder


def run(bench, *arguments: str) -> None:
    bench.main(["--system", "fake", *arguments])


def test_settings_are_measured_once_and_kept(bench, fake_judges, capsys) -> None:
    run(bench, "--evaluations", "1,8", "--guidance", "1")
    assert fake_judges.heard == 12
    book = json.loads(bench.RESULT.read_text("utf-8"))
    assert [(s["name"], s["guidance"]) for s in book["settings"]] == [
        ("1 evaluation", 0.0),
        ("8 evaluations, guidance 1", 1.0),
    ]
    eight = book["settings"][1]
    assert eight["recipe"]["steps"] == 4
    assert len(eight["rows"]) == 6
    assert eight["rows"][0].keys() >= {"id", "text", "hypothesis", "errors", "mos", "cost"}
    assert eight["environment"].keys() >= {"python", "torch", "threads", "cpu"}
    assert eight["command"].startswith("python benchmarks/")
    capsys.readouterr()

    run(bench, "--evaluations", "1,4,8", "--guidance", "1")
    assert fake_judges.heard == 6  # the four evaluations alone
    names = [s["name"] for s in json.loads(bench.RESULT.read_text("utf-8"))["settings"]]
    assert names == ["1 evaluation", "4 evaluations, guidance 1", "8 evaluations, guidance 1"]
    out = capsys.readouterr()
    assert "8 evaluations, guidance 1: measured already" in out.err
    assert [line.split("|")[1].strip() for line in out.out.splitlines() if "evaluation" in line] == [
        *names, "1 evaluation", "4 evaluations", "8 evaluations",
    ]  # fmt: skip

    run(bench, "--evaluations", "8", "--guidance", "1", "--again")
    assert fake_judges.heard == 6


def test_another_voice_is_measured_anew(bench, fake_judges, monkeypatch, capsys) -> None:
    run(bench, "--evaluations", "1")
    monkeypatch.setattr(bench, "voice_digest", lambda: "voice 2")
    run(bench, "--evaluations", "1")
    assert fake_judges.heard == 6
    assert "another voice" in capsys.readouterr().err


def test_what_was_measured_survives_an_interruption(bench, fake_judges, monkeypatch) -> None:
    from tts_lab.experiments import quality

    real = quality.spoken

    def interrupted(system, sentence, recipe, seed=0):
        if recipe.steps == 4:
            raise KeyboardInterrupt
        return real(system, sentence, recipe, seed)

    monkeypatch.setattr(quality, "spoken", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(bench, "--evaluations", "2,8", "--guidance", "1")
    monkeypatch.setattr(quality, "spoken", real)
    run(bench, "--evaluations", "2,8", "--guidance", "1")
    assert fake_judges.heard == 6


def test_a_part_of_the_sentences_does_not_replace_the_result(bench, fake_judges, tmp_path, capsys) -> None:
    run(bench, "--evaluations", "1", "--sentences", "3")
    assert fake_judges.heard == 3
    assert not bench.RESULT.exists()
    assert "Not written" in capsys.readouterr().out
    run(bench, "--evaluations", "1", "--sentences", "3", "--out", str(tmp_path / "trial.json"))
    voices = [r["voice"] for r in json.loads((tmp_path / "trial.json").read_text("utf-8"))["settings"][0]["rows"]]
    assert voices == ["high", "low", "high"]


def test_solvers_and_formats_are_named_and_keep_the_defaults_first(bench, fake_judges) -> None:
    run(bench, "--evaluations", "2,8", "--solver", "adams,euler", "--formats", "int8,fp32")
    run(bench, "--evaluations", "2,8", "--solver", "adams,euler", "--formats", "int8,fp32")
    assert fake_judges.heard == 0  # all of it was measured by the first
    book = json.loads(bench.RESULT.read_text("utf-8"))
    names = [s["name"] for s in book["settings"]]
    plain, adams = ["2 evaluations", "8 evaluations"], ["2 evaluations, adams", "8 evaluations, adams"]
    assert names[:4] == [*plain, *(f"{name}, int8" for name in plain)]
    assert set(names[4:]) == {*adams, *(f"{name}, int8" for name in adams)}
    assert {s["recipe"]["quantisation"] for s in book["settings"] if "int8" in s["name"]} == {"int8"}
    assert {s["recipe"]["steps"] for s in book["settings"] if s["evaluations"] == 8} == {8}
    assert "fp16" in book["left_out"]


def test_times_are_taken_anew_of_what_is_asked_for_and_nothing_is_judged(bench, fake_judges) -> None:
    run(bench, "--evaluations", "2,8")
    before = json.loads(bench.RESULT.read_text("utf-8"))["settings"]
    fake_judges.heard = 0
    run(bench, "--times", "--evaluations", "8")
    two, eight = json.loads(bench.RESULT.read_text("utf-8"))["settings"]
    assert fake_judges.heard == 0
    assert two == before[0]
    assert "timed" in eight
    assert eight["rows"][0]["hypothesis"] == before[1]["rows"][0]["hypothesis"]


def test_an_entry_of_old_is_named_as_today(bench) -> None:
    """It was measured when sway was the default, and said so in its recipe only."""
    from quality_book import filled

    old = {"name": "8 evaluations", "evaluations": 8, "recipe": Recipe(schedule="sway").to_dict()}
    assert filled(old)["name"] == "8 evaluations, sway"
    single = {"name": "2 evaluations", "evaluations": 2, "recipe": Recipe(schedule="sway", steps=1).to_dict()}
    assert filled(single)["recipe"] == Recipe(steps=1).to_dict()


@pytest.mark.slow
def test_what_is_called_int8_is_computed_so() -> None:
    """On a CPU a recipe leaves the weights as they are; what is judged must not."""
    import voice_quality

    mini, plain = load_system("mini", "cpu"), Recipe(steps=1)
    rounded = plain.replace(**voice_quality.FORMATS["int8"])
    one, other = (say(voice_quality.in_force(mini, recipe), "你好。", recipe).samples for recipe in (plain, rounded))
    assert torch.equal(one, say(mini, "你好。", plain).samples)
    assert not torch.equal(one, other)
    assert (one - other).square().mean() < 0.01 * one.square().mean()


def test_schedules_are_named_where_there_are_steps_to_lay_out(bench) -> None:
    found = bench.ways(bench._arguments(["--evaluations", "1,2,8", "--schedule", "sway,leap"]))
    assert list(found) == [
        "1 evaluation", "2 evaluations, sway", "8 evaluations, sway", "2 evaluations", "8 evaluations",
    ]  # fmt: skip
    assert [recipe.schedule for recipe in found.values()] == ["leap", "sway", "sway", "leap", "leap"]


def test_with_guidance_is_a_way_of_its_own_that_comes_after_the_default(bench, fake_judges) -> None:
    run(bench, "--evaluations", "1,2,4", "--guidance", "1")
    run(bench, "--evaluations", "1,2,4")
    assert fake_judges.heard == 12  # the single evaluation is one of both kinds
    book = json.loads(bench.RESULT.read_text("utf-8"))["settings"]
    assert [s["name"] for s in book] == [
        "1 evaluation", "2 evaluations", "4 evaluations", "2 evaluations, guidance 1", "4 evaluations, guidance 1",
    ]  # fmt: skip
    assert [s["recipe"]["steps"] for s in book] == [1, 2, 4, 1, 2]
    stronger = bench.ways(bench._arguments(["--evaluations", "2", "--guidance", "1.5"]))
    assert list(stronger) == ["2 evaluations, guidance 1.5"]


def test_guidance_is_compared_at_equal_work_and_at_equal_steps(bench) -> None:
    from quality_book import by_guidance

    def entry(steps: int, guidance: float, wrong: int) -> dict:
        recipe = Recipe(steps=steps, guidance=guidance)
        rows = [asdict(Row("a", "high", "你好", "你好", Errors(10, wrong, 0, 0), 4.0, 1.0))]
        return {
            "evaluations": recipe.evaluations_per_chunk,
            "guidance": guidance,
            "recipe": recipe.to_dict(),
            "rows": rows,
        }

    ways = [entry(1, 0.0, 9), entry(1, 1.0, 5), entry(2, 1.0, 4), entry(2, 0.0, 2), entry(4, 0.0, 1)]
    cells = by_guidance([{"name": "teacher"}, *ways])[1]
    assert [c[1].split()[0] for c in cells] == ["+30.0", "+20.0"]  # of 10: 5 and 4 beside 2 and 1; 4 beside 2


def test_the_small_vocoder_is_a_setting_of_its_own_and_its_figures_go_with_its_weights(bench, tmp_path) -> None:
    from quality_book import Book, entry_of, vocoder_setting

    usual, small = bench.ways(bench._arguments(["--evaluations", "8", "--vocoder", "universal,small"])).items()
    assert (usual[0], small[0]) == ("8 evaluations", "8 evaluations, small vocoder")
    assert vocoder_setting(usual[1]) == {}
    old = {**vocoder_setting(small[1]), "vocoder_weights": "of another one"}
    row = Row("a", "xiaobei", "你好", "你好", Errors(2, 0, 0, 0), 4.0, 1.0)
    settings = []
    for (name, recipe), which in ((usual, {}), (small, vocoder_setting(small[1])), (small, old)):
        setting = {"evaluations": 8, "guidance": 1.0, "seed": 0, "recipe": recipe.to_dict(), **which}
        settings.append(entry_of(name, setting, [row]))
    (tmp_path / "book.json").write_text(json.dumps({"origin": {}, "settings": settings}), encoding="utf-8")
    kept = Book(tmp_path / "book.json", {}).entries()
    assert [entry["name"] for entry in kept] == [usual[0], small[0]]
    assert kept[1]["vocoder_weights"] != "of another one"


def test_the_grid_is_three_solvers_in_three_formats(bench) -> None:
    args = bench._arguments(["--evaluations", "8", "--grid"])
    found = bench.ways(args)
    assert len(found) == 27
    assert {(r.solver, r.precision, r.quantisation) for r in found.values()} == {
        (s, *f) for s in ("euler", "midpoint", "adams") for f in (("fp32", "none"), ("bf16", "none"), ("fp32", "int8"))
    }
    assert {r.evaluations_per_chunk for r in found.values()} == {4, 8, 16}
    assert found["8 evaluations, midpoint"].steps == 4


def test_bf16_is_not_measured_where_fp32_would_compute_it(bench, fake_judges, monkeypatch, capsys) -> None:
    monkeypatch.setattr(bench, "computes", lambda precision: precision == "fp32")
    run(bench, "--evaluations", "2", "--formats", "bf16,fp32")
    names = [s["name"] for s in json.loads(bench.RESULT.read_text("utf-8"))["settings"]]
    assert names == ["2 evaluations"]
    assert "computes it in fp32: 2 evaluations, bf16" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(bench, "--evaluations", "2", "--formats", "bf16")


def test_a_format_that_is_left_out_says_why(bench, capsys) -> None:
    with pytest.raises(SystemExit):
        run(bench, "--formats", "fp16")
    assert "'fp16' cannot be measured: A busy CPU" in capsys.readouterr().err


def test_a_first_corpus_measures_again_what_was_measured_without(bench, fake_judges, corpus) -> None:
    run(bench, "--evaluations", "2")
    run(bench, "--evaluations", "2", "--corpus", str(corpus))
    settings = json.loads(bench.RESULT.read_text("utf-8"))["settings"]
    assert [s["name"] for s in settings] == ["teacher", "copy synthesis", "2 evaluations"]
    own, copied, voice = (s["figures"]["all"] for s in settings)
    assert own["mel_cepstral_db"] == 0
    assert voice["mel_cepstral_db"] > 1
    assert voice["mel_cepstral_db_interval"][0] <= voice["mel_cepstral_db"] <= voice["mel_cepstral_db_interval"][1]
    assert copied.keys() >= {"mel_cepstral_db"}
    assert "tone_error" not in own  # this corpus does not say when its syllables are spoken
    assert (voice["tone_syllables"], voice["tone_error"]) == (12, 0.5)
    run(bench, "--evaluations", "2", "--corpus", str(corpus))
    assert fake_judges.heard == 0
    run(bench, "--evaluations", "2")  # and nothing of it is lost without the corpus
    assert fake_judges.heard == 0


def test_teacher_and_copy_synthesis_stand_beside(bench, corpus) -> None:
    run(bench, "--evaluations", "1", "--corpus", str(corpus))
    settings = json.loads(bench.RESULT.read_text("utf-8"))["settings"]
    assert [s["name"] for s in settings] == ["teacher", "copy synthesis", "1 evaluation"]
    assert settings[0]["rows"][0]["seconds"] == pytest.approx(1.0)
    assert settings[1]["rows"][0]["seconds"] == pytest.approx(2560 / 22_050, abs=1e-3)


def test_files_are_scored_by_name(bench, fake_judges, tmp_path, capsys) -> None:
    for name in ("high0", "low2", "unknown"):
        files.write(tmp_path / f"{name}.wav", torch.zeros(22_050), 22_050)
    bench.main(["--wavs", str(tmp_path), "--out", str(tmp_path / "scores.json")])
    assert fake_judges.heard == 2
    out = capsys.readouterr().out
    assert [line.split("|")[1].strip() for line in out.splitlines()[2:]] == ["high", "low", "all"]
    assert [r["id"] for r in json.loads((tmp_path / "scores.json").read_text("utf-8"))["rows"]] == ["high0", "low2"]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("--evaluations", "3", "--guidance", "1"), "3 evaluations cannot be had"),
        (("--voice", "nobody"), "No sentence is read by 'nobody'"),
        (("--guidance", "nan"), "guidance must be"),
        (("--wavs", "/no/such/folder"), "There is no folder"),
        (("--split", "middle"), "no sentence of the split 'middle'"),
    ],
)
def test_bad_input_is_one_sentence(bench, capsys, arguments, match) -> None:
    with pytest.raises(SystemExit) as stop:
        run(bench, *arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err
    assert match in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


def test_a_result_that_is_none_is_not_overwritten(bench, tmp_path, capsys) -> None:
    (tmp_path / "mine.json").write_text("my notes")
    with pytest.raises(SystemExit):
        run(bench, "--evaluations", "1", "--out", str(tmp_path / "mine.json"))
    assert "not a result of this benchmark" in capsys.readouterr().err
    assert (tmp_path / "mine.json").read_text() == "my notes"


def test_json_is_laid_out_by_rows_and_written_whole(tmp_path, monkeypatch) -> None:
    import environment

    data = {"rows": [{"text": "你好" * 40, "n": i} for i in range(9)], "empty": [], "one": {"a": 1}}
    text = environment.laid_out(data)
    assert json.loads(text) == data
    assert sum('"n": ' in line for line in text.splitlines()) == 9
    environment.write_json(tmp_path / "a" / "b.json", data)
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        environment.write_json(tmp_path / "a" / "b.json", {"other": 1})
    assert json.loads((tmp_path / "a" / "b.json").read_text("utf-8")) == data
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b.json"]
    with pytest.raises(ValueError):
        environment.laid_out({"x": float("nan")})


# ------------------------------------------------------------------------------------------------------------- speed

RECEIPT = {
    "audio_seconds": 4.0, "wall_seconds": 2.0, "evaluations": 8, "peak_process_bytes": 2**29,
    "stages": {"vocoder": 1.0}, "more": "not kept",
}  # fmt: skip


def test_figures_come_from_the_last_line() -> None:
    import speed

    found = speed.figures("some words\n" + json.dumps(RECEIPT) + "\n", 6.0)
    assert found == {"process": 6.0, **{k: v for k, v in RECEIPT.items() if k != "more"}}
    for printed in ("", "no json", '{"audio_seconds": 1}'):
        with pytest.raises(LabError, match="printed no receipt"):
            speed.figures(printed, 1.0)


def test_speed_summary_and_tables_by_hand() -> None:
    import speed

    runs = [speed.figures(json.dumps({**RECEIPT, "wall_seconds": wall}), wall + 4) for wall in (1.0, 2.0, 30.0)]
    found = speed.summary(runs)
    assert found["real_time_factor"] == 0.5
    assert found["process_real_time_factor"] == 1.5
    assert found["start_up_seconds"] == 4.0
    assert found["vocoder_real_time_factor"] == 0.25
    _, rows = speed.speeds({"a sentence": found})
    assert rows == [("a sentence", "4.0 s", "0.50", "0.25", "1.50", "4.0 s", "512 MiB")]
    assert speed.starts({"Python": [0.1, 0.2, 0.1], "PyTorch": [1.1, 5.0, 1.1]})[1] == [
        ("Python", "0.10 s", "0.10 s"),
        ("PyTorch", "1.00 s", "1.10 s"),
    ]


def test_a_measured_process_has_its_threads_and_its_failure_is_told() -> None:
    import speed

    _, printed = speed.timed([sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])"], 2)
    assert printed.strip() == "2"
    with pytest.raises(LabError, match="failed: .*no such voice"):
        speed.timed([sys.executable, "-c", "import sys; sys.exit('no such voice')"], 1)


def test_too_many_threads_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "speed.py"), "--threads", "4096"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ask for --threads" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_speed_runs_the_command_line(tmp_path, monkeypatch, capsys) -> None:
    """All of it, in which the processes find the system of sine tones under the name of the bundled one."""
    import speed

    swap = "import tts_lab.systems\ntts_lab.systems.SYSTEMS['mini'] = 'fake_system'\n"
    (tmp_path / "sitecustomize.py").write_text(swap)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path), str(ROOT), str(ROOT / "tests"))))
    monkeypatch.setattr(speed, "hold", lambda threads: threads)  # it would hold the test run too
    monkeypatch.setattr(speed, "TEXTS", {"a sentence": "你好"})
    monkeypatch.setattr(speed, "START", {"Python": "pass"})
    monkeypatch.setattr(speed, "RESULT", tmp_path / "speed.json")
    speed.main(["--threads", "2", "--repeats", "1"])
    result = json.loads((tmp_path / "speed.json").read_text("utf-8"))
    found = result["texts"]["a sentence"]
    assert result["environment"]["threads"] == 2
    assert len(found["runs"]) == 1
    assert found["runs"][0]["evaluations"] == 8
    assert found["process_real_time_factor"] > found["real_time_factor"] > 0
    assert found["start_up_seconds"] > 0
    assert found["peak_process_bytes"] > 2**26
    assert "| a sentence |" in capsys.readouterr().out
