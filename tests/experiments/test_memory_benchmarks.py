"""The scripts that measure predictions: what they compare, what they call a miss, and what they say without a card."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tts_lab.experiments import lever_table
from tts_lab.experiments.vram import traced, vram
from tts_lab.memory.report import MemoryReport

MIB = 2**20


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import memory_speed
    import validate_memory

    return SimpleNamespace(speed=memory_speed, validate=validate_memory)


@pytest.fixture(scope="module")
def predicted() -> MemoryReport:
    return vram("mini", "rtx3070", seconds=2)


def as_measured(report: MemoryReport, **more: int) -> dict[str, Any]:
    """The same figures as a card would give them, some of them larger. more: stage -> bytes."""
    stages = tuple(
        dataclasses.replace(s, peak_allocated=s.peak_allocated + more.get(s.name, 0), seconds=0.5)
        for s in report.stages
    )
    whole = max(s.peak_allocated for s in stages)
    report = dataclasses.replace(report, source="measured", stages=stages, peak_allocated=whole)
    return report.to_dict() | {"outside_bytes": 0, "verdict": "fits"}


def test_equal_figures_are_no_miss(scripts: Any, predicted: MemoryReport) -> None:
    cell = scripts.validate.compared(predicted, as_measured(predicted))
    assert cell["whole"]["allocated"] == [predicted.peak_allocated] * 2
    assert scripts.validate.misses([cell]) == [scripts.validate.NO_MISSES]
    assert cell["stages"]["vocoder"]["seconds_measured"] == 0.5


def test_what_was_compared_can_be_compared_again(scripts: Any, predicted: MemoryReport) -> None:
    found = as_measured(predicted, vocoder=4 * MIB)
    cell = scripts.validate.compared(predicted, found)
    assert scripts.validate.compared(predicted, scripts.validate.as_found(cell)) == cell
    assert scripts.validate.as_found(found) is found


def test_a_run_that_ends_otherwise_is_a_miss(scripts: Any, predicted: MemoryReport) -> None:
    ended = {**as_measured(predicted), "verdict": "out_of_memory", "message": "CUDA out of memory"}
    cell = scripts.validate.compared(predicted, ended)
    assert scripts.validate.misses([cell]) == ["- mini, default: an end was predicted, out of memory it was"]
    assert scripts.validate.as_found(cell)["message"] == "CUDA out of memory"
    tight = scripts.validate.compared(predicted, {**as_measured(predicted), "verdict": "tight"})
    assert scripts.validate.misses([tight]) == [scripts.validate.NO_MISSES]


def test_a_limit_is_a_smaller_card_without_what_cuda_takes(scripts: Any) -> None:
    found = {"card": {"name": "NVIDIA H200", "total_bytes": 150 * 10**9, "compute_capability": [9, 0]},
             "limit_gib": 8.0}  # fmt: skip
    card = scripts.validate.card_of(found)
    assert card.total_bytes - card.context_bytes == 8 * 2**30
    assert card.compute_capability == (9, 0)
    assert scripts.validate.card_of(found | {"limit_gib": None}).total_bytes == 150 * 10**9


def test_a_miss_is_told_with_its_size_and_what_is_known_of_its_cause(scripts: Any, predicted: MemoryReport) -> None:
    band = predicted.unmodelled["convolution_workspace"]
    assert band > 4 * MIB
    found = as_measured(predicted, vocoder=4 * MIB, semantic=80 * MIB)
    told = scripts.validate.misses([scripts.validate.compared(predicted, found)])
    assert any("vocoder" in line and "+4.0 MiB" in line and line.endswith("convolution workspace") for line in told)
    assert any("semantic" in line and "+80.0 MiB" in line and line.endswith("unexplained") for line in told)
    assert not any("acoustic" in line for line in told)


@pytest.mark.parametrize(
    ("predicted_there", "cause"),
    [
        ((100, 200, 100, 200), ""), ((100, 200, 101, 205), ""), ((1000, 2000, 1011, 2000), "convolution workspace"),
        ((1000, 2000, 989, 2000), "unexplained"), ((1000, 2000, 1300, 2000), "unexplained"),
        ((1000, 10000, 1000, 10600), "unexplained"), ((1000, 100, 1000, 110), "segments of a convolution workspace"),
    ],
)  # fmt: skip
def test_the_causes(scripts: Any, predicted_there: tuple[int, int, int, int], cause: str) -> None:
    assert scripts.validate.cause(*predicted_there, 50) == cause


def test_a_cell_that_did_not_run_is_listed(scripts: Any) -> None:
    told = scripts.validate.misses([{"system": "mini", "recipe": "default", "error": ["CUDA out of memory."]}])
    assert told == ["- mini, default: did not run: CUDA out of memory."]
    assert "mini" in scripts.validate.markdown(
        scripts.validate.table([{"system": "mini", "recipe": "default", "error": []}])
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_without_a_card_it_says_so_and_writes_nothing(scripts: Any, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        scripts.validate.main(["--out", str(tmp_path / "a.json")])
    assert stopped.value.code == 2
    assert "no CUDA card" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_speed_is_measured_and_written(scripts: Any, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(scripts.speed, "CURVE", (1000, 2000))
    monkeypatch.setattr(scripts.speed, "REPEATS", 1)
    out = tmp_path / "speed.json"
    scripts.speed.main(["--system", "mini", "--seconds", "2", "--out", str(out)])
    result = json.loads(out.read_text("utf-8"))
    assert result["operators"] > 1000
    assert result["operators_per_second"] == pytest.approx(result["operators"] / result["trace_seconds"])
    assert result["weight_bytes"] == traced("mini", seconds=2).bytes_of("weight")
    assert [point["events"] for point in result["curve"]] == [1000, 2000]
    assert "operators per second" in capsys.readouterr().out


def test_the_made_up_run_holds_as_much_at_any_length(scripts: Any) -> None:
    from tts_lab.memory.events import EventLog

    short, long = (EventLog(scripts.speed._made_up(n)) for n in (5000, 20_000))
    assert (len(short), len(long)) == (5000, 20_000)
    assert short.peak_bytes() == long.peak_bytes()


def test_half_precision_moves_every_network_a_little(scripts: Any) -> None:
    import half_precision

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # float16 on a busy CPU is slow beyond measure with more
    found = half_precision.errors()
    torch.set_num_threads(threads)
    assert set(found) == set(half_precision.RUNS)
    assert all(1e-5 < error < 1e-2 for error in found.values()), found
    assert half_precision.table({"errors": found})[1][1][2] == "float32"  # the codec stays


def test_the_table_of_what_fits_is_what_is_predicted_today(scripts: Any) -> None:
    """Bytes depend on no machine: what the README shows must come out again. Two rows of it, for time's sake."""
    import fits

    kept = json.loads(fits.RESULT.read_text("utf-8"))
    rows = {(row["system"], row["recipe"]): row for row in kept["rows"]}
    for key in (("indextts2", "fits-2gb"), ("mini", "default")):
        assert fits._row(*key) == rows[key], "run `python benchmarks/fits.py` and `python benchmarks/readme.py`"


def test_what_is_measured_anew_takes_its_place_and_the_others_stay(scripts: Any) -> None:
    from environment import renewed

    kept = [{"lever": "", "value": None, "at": 0}, {"lever": "tile", "value": 256, "at": 0},
            {"lever": "tile", "value": 64, "at": 0}, {"lever": "beams", "value": 1, "at": 0}]  # fmt: skip
    fresh = [{**row, "at": 1} for row in kept[1:3]]
    assert [row["at"] for row in renewed(kept, fresh, "lever", "value")] == [0, 1, 1, 0]


def test_the_table_of_levers_is_what_is_predicted_today(scripts: Any) -> None:
    """The same, for some of its rows; what mini says is measured and not made again here."""
    import levers

    kept = json.loads(levers.RESULT.read_text("utf-8"))["rows"]
    moves = lever_table.MOVES[2::7]
    assert [(row["lever"], row["value"]) for row in kept[1:]] == [tuple(move) for move in lever_table.MOVES]
    for row in lever_table.lever_table(moves=moves, listen=False):
        same = next(old for old in kept if (old["lever"], old["value"]) == (row.lever, row.value))
        found = {**asdict(row), "sound": same["sound"]}
        assert found == same, "run `python benchmarks/levers.py` and `python benchmarks/readme.py`"
