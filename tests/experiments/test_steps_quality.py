"""The benchmark of solvers and schedules: equal evaluations, and an answer that follows from its figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tts_lab.experiments.sweep_grid import Grid
from tts_lab.recipe import Recipe


def test_every_way_spends_what_it_is_compared_at() -> None:
    import steps_quality

    ways = {count: dict(steps_quality.settings(count)) for count in (1, 2, 4, 8, 16, 32)}
    for count, found in ways.items():
        assert {recipe.evaluations_per_chunk for recipe in found.values()} == {count}
        assert len(set(found.values())) == len(found)
        assert ("euler", "uniform", "batched", count) in found
    assert len(ways[1]) == len(ways[2]) == 1
    assert ways[8]["adams", "uniform", "alternate", 8] == Recipe(
        steps=5, solver="adams", schedule="uniform", guidance=1.0, guidance_mode="alternate"
    )


def test_the_limit_is_guided_as_the_ways_are() -> None:
    import steps_quality

    recipes = [recipe.to_dict() for _, recipe in steps_quality.settings(8)]
    found = Grid.of(steps_quality.grid_of(["你好。"], ["xiaobei"], recipes))
    assert {recipe.guidance for recipe in found.recipes} == {found.reference.guidance} == {1.0}
    assert found.reference.evaluations_per_chunk == 64


def test_sentences_are_spread_over_voices() -> None:
    import steps_quality

    first = steps_quality.sentences("test", 6)
    rows = json.loads(steps_quality.HELDOUT.read_text("utf-8"))["sentences"]
    speakers = {row["text"]: row["speaker"] for row in rows}
    assert len({speakers[text] for text in first[:4]}) == 4


def setting(solver: str, count: int, distances: list[float], **more: Any) -> dict[str, Any]:
    mean = sum(distances) / len(distances)
    return {"solver": solver, "schedule": "uniform", "guidance_mode": "batched", "evaluations": count,
            "mel_cepstral_distance": mean, "rows": distances, "f0_error_cents": 20.0, **more}  # fmt: skip


def test_the_table_and_the_answer_follow_from_the_figures() -> None:
    import steps_quality

    result = {"settings": [
        setting("euler", 8, [4.0, 4.0]), setting("euler", 32, [2.0, 2.0]), setting("adams", 8, [1.0, 2.5]),
        setting("heun", 4, [9.0, 9.0]),
    ]}  # fmt: skip
    header, rows = steps_quality.table(result)
    assert header == ("solver", "schedule", "guidance", "4 evals", "8 evals", "32 evals", "F0 at 8")
    assert [row[0] for row in rows] == ["adams", "euler", "heun"]
    assert rows[1] == ("euler", "uniform", "batched", "", "4.00", "2.00", "20 cents")
    goal, best, other = steps_quality.answer(result)
    assert "Uniform Euler at 32 evaluations: 2.000 dB" in goal
    assert "adams, uniform, batched: 1.750 dB reaches it (nearer in 1 of 2 renderings)" in best
    assert "euler, uniform, batched: 4.000 dB does not" in other


def test_it_runs_goes_on_and_writes_only_where_it_was_told(
    tmp_path: Path, fake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    import steps_quality
    from tts_lab import systems
    from tts_lab.experiments import distances, sweep_work

    sweep_work._loaded.cache_clear()
    monkeypatch.setitem(systems.SYSTEMS, "mini", "fake_system")
    monkeypatch.setattr(distances, "fundamental", lambda samples: np.full(1 + len(samples) // 256, 200.0))
    common = ["--texts", "1", "--voices", "low,high", "--evaluations", "8,32", "--workers", "1"]
    common += ["--cells", str(tmp_path / "cells" / "c.jsonl")]
    steps_quality.main([*common, "--out", str(tmp_path / "r.json")])
    result = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert {"command", "date", "environment", "reference", "weights", "texts"} <= set(result)
    assert {s["cells"] for s in result["settings"]} == {2}
    assert "| adams " in capsys.readouterr().out
    steps_quality.main(common)
    told = capsys.readouterr()
    assert "cells are done" in told.err
    assert "Not written" in told.out
    sweep_work._loaded.cache_clear()
