"""A sweep keeps what it finished, whatever happens: kills, torn lines, other grids, other writers, failing cells."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tts_lab import systems
from tts_lab.errors import LabError
from tts_lab.experiments import distances, sweep_cluster, sweep_work
from tts_lab.experiments.sweep import Sweep
from tts_lab.experiments.sweep_file import ResultsFile
from tts_lab.experiments.sweep_results import Results
from tts_lab.recipe import Recipe

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.append(HERE)

TEXTS = ["冬天快到了。", "你好，世界。"]
GRID = {"system": "fake", "levers": {"steps": [1, 2]}, "texts": TEXTS, "voices": ["low", "high"]}


@pytest.fixture(autouse=True)
def _fresh(fake: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No system left from another test, and no slow search for a pitch where the figure does not matter."""
    from sweep_child import quick_fundamental

    sweep_work._loaded.cache_clear()
    if "true_pitch" not in request.fixturenames:
        monkeypatch.setattr(distances, "fundamental", quick_fundamental)


@pytest.fixture
def true_pitch() -> None:
    """For figures that are compared with those of another process."""


def swept(path: Path, grid: Any = None, **how: Any) -> tuple[Results, list[str]]:
    """The results of a sweep, and what it told."""
    told: list[str] = []
    wishes = {name: how.pop(name) for name in ("judges", "keep_sound") if name in how}
    results = Sweep(grid or GRID, path, **wishes).run(tell=told.append, progress=False, **how)
    return results, told


def lines(path: Path, kind: str = "cell") -> list[dict[str, Any]]:
    return [line for line in map(json.loads, path.read_text("utf-8").splitlines()) if line["kind"] == kind]


# --- what a sweep finds ---


def test_rows_are_in_the_order_of_the_grid_with_cost_and_quality(tmp_path: Path) -> None:
    results, told = swept(tmp_path / "a.jsonl")
    assert told == ["8 cells."]
    assert [(row["steps"], row["text"], row["voice"]) for row in results] == [
        (steps, text, voice) for steps in (1, 2) for text in TEXTS for voice in ("low", "high")
    ]
    row = results[0]
    assert (row["status"], row["evaluations"], row["evaluations_per_chunk"], row["alignment"]) == (
        "done",
        1,
        1,
        "frames",
    )
    assert {"speaker_seconds", "acoustic_seconds", "real_time_factor", "torch", "threads", "cpu"} <= set(row)
    assert row["peak_process_bytes"] > 2**24
    assert row["mel_cepstral_distance"] == 0  # its vocoder does not listen to the mel
    assert results.missing == 0


def test_the_environment_is_written_once_and_referred_to(tmp_path: Path) -> None:
    swept(tmp_path / "a.jsonl")
    (environment,) = lines(tmp_path / "a.jsonl", "environment")
    assert {"torch", "threads", "cpu", "tts_lab", "python"} <= set(environment["environment"])
    assert {line["environment"] for line in lines(tmp_path / "a.jsonl")} == {environment["id"]}


def test_a_finished_sweep_runs_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = swept(tmp_path / "a.jsonl")
    monkeypatch.setattr(sweep_work, "_measured", None)  # whoever speaks now fails
    again, told = swept(tmp_path / "a.jsonl")
    assert again == first
    assert told == ["All 8 cells are done."]


def test_a_larger_grid_runs_only_what_is_new(tmp_path: Path) -> None:
    swept(tmp_path / "a.jsonl")
    results, told = swept(tmp_path / "a.jsonl", {**GRID, "levers": {"steps": [4, 1, 2]}})
    assert told[-1] == "12 cells: 8 are done, 4 are left."
    assert [row["steps"] for row in results] == [4] * 4 + [1] * 4 + [2] * 4
    assert max(Counter(line["key"] for line in lines(tmp_path / "a.jsonl")).values()) == 1


def test_a_reference_is_spoken_once_for_all_recipes_and_runs(tmp_path: Path) -> None:
    swept(tmp_path / "a.jsonl")
    folder = tmp_path / "a.jsonl.files" / "references"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 4
    swept(tmp_path / "a.jsonl", {**GRID, "levers": {"steps": [4]}})
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_damaged_reference_is_made_again(tmp_path: Path) -> None:
    whole, _ = swept(tmp_path / "a.jsonl")
    for path in (tmp_path / "a.jsonl.files" / "references").iterdir():
        path.write_bytes(b"PK\x03\x04 half a file")
    (tmp_path / "a.jsonl").unlink()
    again, _ = swept(tmp_path / "a.jsonl")
    assert again.what() == whole.what()


def test_sound_is_kept_when_asked_for_and_only_what_lacks_it_is_run_again(tmp_path: Path) -> None:
    from tts_lab.audio import files

    swept(tmp_path / "a.jsonl")
    results, told = swept(tmp_path / "a.jsonl", keep_sound=True)
    assert told[-1] == "8 cells: 0 are done, 8 are left."
    folder = tmp_path / "a.jsonl.files"
    for row in results:
        samples, rate = files.read(folder / row["sound"])
        assert (rate, samples.ndim) == (22_050, 1)
        assert (folder / "references" / f"{row['reference']}.wav").is_file()
    (folder / results[0]["sound"]).unlink()
    _, told = swept(tmp_path / "a.jsonl", keep_sound=True)
    assert told[-1] == "8 cells: 7 are done, 1 are left."


def test_the_frame_and_the_tables(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    results, _ = swept(tmp_path / "a.jsonl")
    frame = results.frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame["steps"]) == [1] * 4 + [2] * 4
    header, rows = results.summary()
    assert [row[:3] for row in rows] == [("steps 1", "4", "1"), ("steps 2", "4", "2")]
    assert "MCD dB" in header
    assert "MOS" not in header
    assert "| steps 1 |" in repr(results)
    assert '<td class="measured">' in results._repr_html_()


def test_memory_is_predicted_where_a_card_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tts_lab.experiments import vram

    class Report:
        peak_allocated, peak_reserved = 5, 6

    asked = []
    monkeypatch.setattr(vram, "vram", lambda *question: asked.append(question) or Report())
    results, _ = swept(tmp_path / "a.jsonl", {**GRID, "levers": {}, "voices": ["low"], "card": "RTX 3070"})
    assert [(row["predicted_reserved_bytes"], row["predicted_for_seconds"]) for row in results] == [(6, 5.0)] * 2
    assert asked == [("fake", "rtx3070", Recipe(), 5.0)] * 2


def test_the_package_needs_no_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, _ = swept(tmp_path / "a.jsonl")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(LabError, match="needs pandas, which is not installed"):
        results.frame()


# --- kills ---


def test_killed_twenty_times_and_resumed_it_is_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 at random moments. Executions: a kill costs at most the cell or the reference that was under way."""
    import sweep_child

    monkeypatch.setitem(systems.SYSTEMS, "counted", "sweep_child")
    script = [sys.executable, str(Path(sweep_child.__file__)), str(tmp_path)]
    paths = {**os.environ, "PYTHONPATH": str(Path(HERE).parents[1])}
    done = subprocess.run(script, env=paths, capture_output=True, text=True, check=True)
    kills = json.loads(done.stdout.splitlines()[-1])
    calm = Sweep(sweep_child.GRID, tmp_path / "calm.jsonl").results()
    killed = sorted(tmp_path.glob("killed*.jsonl"))
    assert (calm.missing, len(calm), len(kills)) == (0, 48, 20)
    assert sum(0 < cells < len(calm) for cells in kills) >= 3, f"too few kills came in the middle: {kills}"
    for path in killed:
        assert Sweep(sweep_child.GRID, path).results().what() == calm.what()
        assert set(Counter(line["key"] for line in lines(path)).values()) == {1}
        assert len(lines(path)) == len(calm)
    assert not list(tmp_path.rglob("*.part"))
    whole, spoken = spoken_in(tmp_path / "calm.log"), sum(spoken_in(path.with_suffix(".log")) for path in killed)
    assert whole == len(calm) + 8  # and a reference for each text, voice and seed
    assert len(killed) * whole <= spoken <= len(killed) * whole + len(kills)


def spoken_in(log: Path) -> int:
    """How many sounds were made, those aside that warm a system up."""
    return sum(sweep_work.WARM_UP not in line for line in log.read_text("utf-8").splitlines())


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_torn_last_line_is_run_again_and_nothing_else(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    first, _ = swept(path)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    path.write_bytes(whole[: start + cut] if cut > 0 else whole[: cut - 1])
    assert len(Sweep(GRID, path).results()) == 7
    again, told = swept(path)
    assert "was cut off when a sweep was killed" in told[0]
    assert told[-1] == "8 cells: 7 are done, 1 are left."
    assert again.what() == first.what()
    assert len(lines(path)) == 8


def test_a_line_that_lacks_only_its_end_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first, _ = swept(path)
    path.write_bytes(path.read_bytes()[:-1])
    again, told = swept(path)
    assert told == ["All 8 cells are done."]
    assert again == first
    swept(path, {**GRID, "seeds": [5]})
    assert len(lines(path)) == 16


def test_a_kill_during_the_first_line_of_all(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"kind": "envir')
    results, _ = swept(path)
    assert results.missing == 0


# --- what does not belong ---


def test_lines_of_another_grid_are_kept_and_not_returned(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    swept(path)
    before = path.read_bytes()
    results, told = swept(path, {**GRID, "levers": {"steps": [1]}, "voices": ["low"], "seeds": [7]})
    assert len(results) == 2
    assert "also holds 8 results of another grid; they are kept and not shown" in told[0]
    assert path.read_bytes().startswith(before)


def test_lines_compared_with_another_reference_are_run_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    swept(path)
    other = {**GRID, "reference": {"steps": 9}}
    assert len(Sweep(other, path).results()) == 0
    results, told = swept(path, other)
    assert "compares 8 of these cells with another reference; they are run again" in told[0]
    assert len(results) == 8
    _, told = swept(path, other)
    assert told[-1] == "All 8 cells are done."


def test_lines_of_other_weights_are_kept_and_not_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_system

    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")
    monkeypatch.setattr(fake_system, "weights_files", lambda: [weights], raising=False)
    swept(tmp_path / "a.jsonl")
    weights.write_bytes(b"another")
    sweep = Sweep(GRID, tmp_path / "a.jsonl")
    assert len(sweep.results()) == 0
    _, told = swept(tmp_path / "a.jsonl")
    assert "also holds 8 results of other weights" in told[0]
    assert len(lines(tmp_path / "a.jsonl")) == 16


def test_weights_that_change_under_a_sweep_end_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_system

    weights = tmp_path / "weights.bin"
    weights.write_bytes(b"one")
    monkeypatch.setattr(fake_system, "weights_files", lambda: [weights], raising=False)
    sweep = Sweep(GRID, tmp_path / "a.jsonl")
    assert len(sweep.cells) == 8  # here the weights are looked at
    weights.write_bytes(b"another")
    with pytest.raises(LabError, match="are not those with which the sweep began"):
        sweep.run(tell=lambda _: None)


def test_a_line_that_does_not_know_a_lever_has_its_default(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    first, _ = swept(path)
    old = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for line in old:
        if line["kind"] == "cell":
            del line["cell"]["recipe"]["tile"]
    path.write_text("".join(json.dumps(line) + "\n" for line in old), encoding="utf-8")
    again, told = swept(path)
    assert told == ["All 8 cells are done."]
    assert again.what() == first.what()


def test_unreadable_lines_are_left_alone_and_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    swept(path)
    path.write_text(path.read_text("utf-8") + "a note of mine\n" + '{"kind": "cell"}\n', encoding="utf-8")
    results, told = swept(path)
    assert len(results) == 8
    assert "holds 2 lines that are no results (such as 10, 11)" in told[0]
    assert "a note of mine\n" in path.read_text("utf-8")


@pytest.mark.parametrize("text", ["system: mini\n", '{"a": 1}\n', "no end of line", "{", "\x00\x01"])
def test_another_file_is_not_written_into(tmp_path: Path, text: str) -> None:
    path = tmp_path / "precious.jsonl"
    path.write_text(text)
    if text == "{":  # may be a first line that was cut off after its first sign
        swept(path)
        return
    with pytest.raises(LabError, match="something else than the results of a sweep"):
        swept(path)
    assert path.read_text() == text


def test_two_writers_the_second_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with ResultsFile(path).writing(), pytest.raises(LabError, match="Another sweep is writing into"):
        swept(path)
    results, _ = swept(path)
    assert results.missing == 0


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match="cannot be written"):
        swept(tmp_path / "file" / "a.jsonl")


# --- failures ---

FAILING = {**GRID, "texts": ["你好。", "!?"], "voices": ["low", "nobody"], "levers": {"steps": [1]}}


def test_a_cell_that_fails_has_its_sentence_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    results, _ = swept(path, FAILING)
    assert [row["status"] for row in results] == ["done", "failed", "failed", "failed"]
    assert "fake has no voice 'nobody'" in results[1]["error"]
    assert "holds no character that can be spoken" in results[2]["error"]
    assert "mel_cepstral_distance" not in results[1]
    assert "4 (3 failed)" in repr(results) or "| 4 (3 failed)" in repr(results)
    _, told = swept(path, FAILING)
    assert told == ["All 4 cells are done."]
    assert len(lines(path)) == 4


def test_failed_cells_are_tried_again_only_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fake_system

    path = tmp_path / "a.jsonl"
    swept(path, FAILING)
    monkeypatch.setattr(fake_system.ToneSystem, "voices", ("low", "nobody"))
    results, told = swept(path, FAILING, retry_failed=True)
    assert told[-1] == "4 cells: 1 are done, 3 are left."
    assert [row["status"] for row in results] == ["done", "done", "failed", "failed"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB"), "Out of memory: CUDA out of memory."),
        (MemoryError(), "Out of memory: the machine had no more to give"),
        (RuntimeError("shapes\n differ"), "RuntimeError: shapes differ"),
    ],
)
def test_any_error_is_the_cell_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
) -> None:
    import fake_system

    def broken(self: Any, mel: Any, recipe: Any) -> Any:
        if recipe.steps == 2:
            raise error
        return whole(self, mel, recipe)

    whole = fake_system.ToneSystem.vocoder
    monkeypatch.setattr(fake_system.ToneSystem, "vocoder", broken)
    results, _ = swept(tmp_path / "a.jsonl")
    assert [row["status"] for row in results] == ["done"] * 4 + ["failed"] * 4
    assert results[4]["error"].startswith(sentence)


def test_without_its_reference_a_cell_has_no_distances_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fake_system

    def broken(self: Any, mel: Any, recipe: Any) -> Any:
        if recipe.evaluations_per_chunk == 64:
            raise MemoryError("64 are too many")
        return whole(self, mel, recipe)

    whole = fake_system.ToneSystem.vocoder
    with monkeypatch.context() as patch:
        patch.setattr(fake_system.ToneSystem, "vocoder", broken)
        results, _ = swept(tmp_path / "a.jsonl")
    assert {row["no_reference"] for row in results} == {"Out of memory: 64 are too many"}
    assert not any("mel_cepstral_distance" in row for row in results)
    again, _ = swept(tmp_path / "a.jsonl", retry_failed=True)
    assert all(row["mel_cepstral_distance"] == 0 for row in again)


def test_a_system_that_cannot_be_loaded_ends_the_sweep_with_its_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with pytest.raises(LabError, match="mini has its own weights"):
        swept(path, {"texts": TEXTS, "weights": "random", "device": "cpu"})
    assert not path.exists()


# --- workers ---


@pytest.mark.usefixtures("true_pitch")
def test_processes_find_the_same_and_one_that_dies_costs_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(systems.SYSTEMS, "mortal", "mortal_system")
    grid = {"system": "mortal", "recipes": ["fastest"], "voices": ["low", "high"], "texts": TEXTS}
    here, _ = swept(tmp_path / "here.jsonl", grid, threads=1)
    beside, _ = swept(tmp_path / "beside.jsonl", {**grid, "texts": ["死亡。", *TEXTS], "voices": ["low"]}, workers=2)
    assert [row["status"] for row in beside] == ["failed", "done", "done"]
    assert "The process that spoke it died: the system killed it" in beside[0]["error"]
    assert beside.what()[1:] == [row for row in here.what() if row["voice"] == "low"]


def test_processes_that_cannot_start_end_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tts_lab.experiments import sweep_workers

    monkeypatch.setattr(sweep_workers, "_WORKER", (sys.executable, "-c", "import no_such_module"))
    with pytest.raises(LabError, match=r"worker process cannot be started: it ended with code 1 \(ModuleNotFound"):
        swept(tmp_path / "a.jsonl", workers=2)
    assert not (tmp_path / "a.jsonl").exists()


def test_a_worker_may_be_closed_while_its_thread_lets_the_process_go() -> None:
    from tts_lab.experiments.sweep_workers import _Worker

    worker, told = _Worker(), []

    class Dying:
        def kill(self) -> None:
            told.append("kill")
            worker._process = None  # what the thread that serves it does when it finds the process dead

        def wait(self) -> int:
            told.append("wait")
            return 1

    worker._process = Dying()  # type: ignore[assignment]
    worker.close()
    assert told == ["kill", "wait"]


@pytest.mark.usefixtures("true_pitch")
def test_a_cluster_finds_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_cluster, "TIMEOUT", "120s")  # the machine may be busy
    here, _ = swept(tmp_path / "here.jsonl", keep_sound=True)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        there, _ = swept(tmp_path / "there.jsonl", keep_sound=True, scheduler=cluster.scheduler_address)
    assert there.what() == here.what()
    assert {row["threads"] for row in there} == {1}
    for row in there:
        sounds = [tmp_path / f"{name}.jsonl.files" / row["sound"] for name in ("here", "there")]
        assert sounds[0].read_bytes() == sounds[1].read_bytes()


def test_without_dask_a_cluster_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(LabError, match=r"needs distributed, which is not installed; install it with `./lab install"):
        swept(tmp_path / "a.jsonl", scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1"])
def test_a_scheduler_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_cluster, "TIMEOUT", "1s")
    with pytest.raises(LabError, match="No Dask scheduler answers at"):
        swept(tmp_path / "a.jsonl", scheduler=address)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_are_counted(tmp_path: Path, workers: Any) -> None:
    with pytest.raises(LabError, match="workers must be a whole number of at least 1"):
        swept(tmp_path / "a.jsonl", workers=workers)
