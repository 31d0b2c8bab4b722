"""The benchmark of a long text: what it asks, keeps and asks again. What it measures with has tests of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tts_lab.experiments.drift import Drift
from tts_lab.experiments.pieces import Piece
from tts_lab.recipe import Recipe
from tts_lab.types import Request

TEXT = "。\n".join(["一二三四五六七八九十", "二三四五六七八九十一", "三四五六七八九十一二"] * 15)


@pytest.fixture
def bench(monkeypatch, tmp_path, fake):
    import long_text

    story = tmp_path / "story.txt"
    story.write_text(TEXT, encoding="utf-8")
    monkeypatch.setattr(long_text, "voice_digest", lambda: "voice 1")
    processes, asked = [], []

    def process(call, threads):
        processes.append(call)
        assert Path(call[call.index("--text-file") + 1]).read_text(encoding="utf-8") == TEXT
        row = {"characters": 20, "chunks": 2, "audio_seconds": 4.0, "peak_process_bytes": 600 << 20}
        return 1.0, json.dumps([row])

    def drift(system, request, recipe, backwards, on_wave):
        assert (system.name, request.text) == ("fake", TEXT)
        asked.append((request.voice, recipe.evaluations_per_chunk, backwards))
        pieces = tuple(
            Piece("好", 3.0 * i, 3.0, 12, 2.5 + 0.01 * (i % 3), -23.0, 200.0, 8.0, 2.0, 15.0) for i in range(9)
        )
        return Drift(request.voice, pieces, pieces[::-1] if backwards else ())

    monkeypatch.setattr(long_text, "timed", process)
    monkeypatch.setattr(long_text, "drift", drift)

    def run(*more: str) -> dict:
        out = tmp_path / "long.json"
        long_text.main(
            ["--system", "fake", "--text-file", str(story), "--voices", "low,high", "--evaluations", "1",
             "--characters", "20,50", "--out", str(out), *more]
        )  # fmt: skip
        return json.loads(out.read_text("utf-8"))

    run.processes = processes  # type: ignore[attr-defined]
    run.asked, run.module = asked, long_text  # type: ignore[attr-defined]
    return run


def test_voices_and_memory_are_written_and_a_voice_is_measured_once(bench, capsys) -> None:
    found = bench("--once")
    assert bench.asked == [("low", 1, False), ("high", 1, False)]
    assert [each["voice"] for each in found["voices"]] == ["low", "high"]
    assert [each["characters"] for each in found["memory"]] == [20]
    assert found["command"].startswith("python benchmarks/")
    assert found["environment"].keys() >= {"cpu", "torch"}
    assert len(bench.processes) == 1
    shown = capsys.readouterr().out
    assert "| low" in shown
    assert "600 MiB" in shown
    assert "pitch: " in shown
    assert bench("--once")["voices"] == found["voices"]
    assert len(bench.asked) == 2


def test_other_weights_and_another_way_are_measured_anew(bench, monkeypatch) -> None:
    bench("--once")
    monkeypatch.setattr(bench.module, "voice_digest", lambda: "voice 2")
    bench("--once")
    assert len(bench.asked) == 4
    bench("--once", "--evaluations", "2")
    assert bench.asked[4:] == [("low", 2, False), ("high", 2, False)]


def test_a_file_of_something_else_is_left_alone(bench, tmp_path, capsys) -> None:
    (tmp_path / "long.json").write_text("[1]", encoding="utf-8")
    with pytest.raises(SystemExit):
        bench("--once")
    assert "not a result of this benchmark" in capsys.readouterr().err
    assert (tmp_path / "long.json").read_text("utf-8") == "[1]"


def test_memory_is_that_of_so_many_characters(monkeypatch, system) -> None:
    import long_text

    peaks = iter(range(100, 200))
    monkeypatch.setattr(long_text, "peak_process_bytes", lambda: next(peaks))
    request = Request("一二三四五六七八九十" * 5)
    first, second = long_text.stream(system, request, Recipe(max_chars=10), [20, 45])
    assert first == {"characters": 20, "chunks": 2, "audio_seconds": first["audio_seconds"], "peak_process_bytes": 102}
    assert (second["characters"], second["chunks"]) == (40, 4)  # the fifth piece would be too much
    assert second["audio_seconds"] == pytest.approx(2 * first["audio_seconds"], rel=0.01)
    assert second["peak_process_bytes"] > first["peak_process_bytes"]


def test_the_process_that_streams_prints_what_it_took(bench, tmp_path, capsys) -> None:
    (tmp_path / "long.json").unlink(missing_ok=True)
    bench.module.main(
        ["--streamed", "--system", "fake", "--text-file", str(tmp_path / "story.txt"), "--voices", "low",
         "--evaluations", "1", "--characters", "100,200"]
    )  # fmt: skip
    found = json.loads(capsys.readouterr().out)
    assert [row["characters"] for row in found] == sorted(row["characters"] for row in found)
    assert len(found) == 2
    assert bench.asked == []
