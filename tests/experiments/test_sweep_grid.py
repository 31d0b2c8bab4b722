"""A grid is plain data, strict, and every sentence about a bad one says what to write instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tts_lab.errors import LabError
from tts_lab.experiments.sweep_cell import Cell
from tts_lab.experiments.sweep_grid import Grid, reference_recipe
from tts_lab.recipe import Recipe

TEXTS = ["你好。"]


def grid(**data: Any) -> Grid:
    return Grid.of({"texts": TEXTS, "device": "cpu", **data})


def test_levers_are_combined_over_the_base() -> None:
    found = grid(base="article-30-steps", levers={"steps": [2, 4], "precision": ["fp32", "fp16"]})
    assert [(r.steps, r.precision, r.guidance, r.max_chars) for r in found.recipes] == [
        (2, "fp32", 0.7, 500), (2, "fp16", 0.7, 500), (4, "fp32", 0.7, 500), (4, "fp16", 0.7, 500),
    ]  # fmt: skip
    assert found.moved() == ("steps", "precision")


def test_recipes_may_be_presets_files_and_levers(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("inference:\n  diffusion_steps: 7\n", encoding="utf-8")
    found = Grid.of({"texts": TEXTS, "recipes": ["fastest", "mine.yaml", {"steps": 3}]}, tmp_path)
    assert [recipe.steps for recipe in found.recipes] == [1, 7, 3]


def test_a_single_value_is_a_list_of_one_and_nothing_is_the_default() -> None:
    found = grid(levers={"steps": 2}, voices="xiaobei", seeds=3)
    assert (len(found.cells), found.cells[0].voice, found.cells[0].seed) == (1, "xiaobei", 3)
    assert grid().recipes == (Recipe(),)
    assert grid().cells[0].voice is None


def test_a_combination_that_repeats_another_is_left_out_with_its_reason() -> None:
    modes = ["batched", "sequential"]
    levers = {"steps": [1, 2], "schedule": ["uniform", "sway"], "guidance_mode": modes}
    found = grid(levers=levers, base={"guidance": 1.0})
    assert len(found.recipes) == 6
    assert len(found.left_out) == 2
    assert "a single step spans the whole way" in found.left_out[0]
    idle = grid(levers={"guidance": [0, 1], "guidance_mode": modes})
    assert [(r.guidance, r.guidance_mode) for r in idle.recipes] == [
        (0.0, "batched"), (1.0, "batched"), (1.0, "sequential"),
    ]  # fmt: skip
    assert "guidance is off" in idle.left_out[0]


def test_an_idle_lever_that_repeats_nothing_stays() -> None:
    found = grid(levers={"steps": [1, 2]}, base={"schedule": "uniform"})
    assert [(recipe.steps, recipe.schedule) for recipe in found.recipes] == [(1, "uniform"), (2, "uniform")]
    assert found.left_out == ()


def test_texts_from_a_file_beside_the_grid(tmp_path: Path) -> None:
    (tmp_path / "grid.yaml").write_text("texts: lines.txt\nlevers: {steps: [1, 2]}\n", encoding="utf-8")
    (tmp_path / "lines.txt").write_text("\ufeff你好。\n\n  世界。\n", encoding="utf-8")
    assert Grid.load(tmp_path / "grid.yaml").texts == ("你好。", "世界。")


def test_the_reference_has_64_evaluations_in_fp32_of_the_base() -> None:
    found = grid(base="article-recommended", levers={"steps": [1, 2]})
    assert (found.reference.evaluations_per_chunk, found.reference.precision) == (64, "fp32")
    assert (found.reference.guidance, found.reference.max_chars) == (0.7, 60)
    assert reference_recipe(Recipe(guidance=0)).evaluations_per_chunk == 64
    assert grid(reference={"steps": 5}).reference == Recipe(steps=5)


def test_a_clip_is_known_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "me.wav").write_bytes(b"one")
    first = Grid.of({"texts": TEXTS, "voices": ["me.wav"]}, tmp_path).cells[0]
    assert first.request().reference == tmp_path / "me.wav"
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "me.wav").rename(moved / "me.wav")
    assert Grid.of({"texts": TEXTS, "voices": ["me.wav"]}, moved).cells[0].key == first.key
    (moved / "me.wav").write_bytes(b"two")
    from tts_lab.experiments import sweep_grid

    sweep_grid._clip.cache_clear()
    assert Grid.of({"texts": TEXTS, "voices": ["me.wav"]}, moved).cells[0].key != first.key


def test_the_grid_in_the_readme_is_one(tmp_path: Path) -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
    (tmp_path / "grid.yaml").write_text(readme.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert len(Grid.load(tmp_path / "grid.yaml").cells) == 11 * 4  # adams with a single step is euler


# --- keys ---


def test_a_key_is_the_same_in_every_process_and_another_for_every_part() -> None:
    cell = Cell("mini", "abc", "cpu", Recipe(), "你好。")
    code = (
        "from tts_lab.experiments.sweep_cell import Cell; from tts_lab.recipe import Recipe;"
        "print(Cell('mini', 'abc', 'cpu', Recipe(), '\\u4f60\\u597d\\u3002').key)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == cell.key
    others = [
        Cell("sambert", "abc", "cpu", Recipe(), "你好。"), Cell("mini", "abd", "cpu", Recipe(), "你好。"),
        Cell("mini", "abc", "cuda", Recipe(), "你好。"), Cell("mini", "abc", "cpu", Recipe(steps=5), "你好。"),
        Cell("mini", "abc", "cpu", Recipe(), "你好"), Cell("mini", "abc", "cpu", Recipe(), "你好。", "xiaobei"),
        Cell("mini", "abc", "cpu", Recipe(), "你好。", seed=1),
    ]  # fmt: skip
    assert len({cell.key, *(other.key for other in others)}) == 8
    assert all(Cell.from_dict(other.to_dict()) == other for other in others)


# --- bad grids ---


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("texts: [a]\nvoice: [b]\n", "A grid has no key 'voice' (did you mean 'voices'?); it knows system,"),
        ("system: mni\ntexts: [a]\n", "There is no system 'mni' (did you mean 'mini'?)"),
        ("levers: {steps: [1]}\n", "The grid has no texts; give a list"),
        ("texts: []\n", "texts must be a list of at least one value"),
        ("texts: nowhere.txt\n", "cannot be read (No such file or directory)"),
        ("texts: empty.txt\n", "holds no text; write one a line"),
        ("texts: bytes.txt\n", "not text in UTF-8"),
        ("texts: [你好, 你好]\n", "texts holds '你好' twice; keep one"),
        ("texts: [3]\n", "put it in quotes"),
        ("texts: [' ']\n", "texts must hold texts"),
        ("texts: [a]\nlevers: {step: [1]}\n", "no lever 'step' (did you mean 'steps'?)"),
        ("texts: [a]\nlevers: {diffusion_steps: [1]}\n", "is the article's name"),
        ("texts: [a]\nlevers: {steps: [0]}\n", "steps must be from 1 to 1000, but is 0"),
        ("texts: [a]\nlevers: {steps: []}\n", "steps must be a list of at least one value"),
        ("texts: [a]\nlevers: {steps: {a: 1}}\n", "steps must be a list of at least one value"),
        ("texts: [a]\nlevers: {solver: [eulr]}\n", "(did you mean 'euler'?)"),
        ("texts: [a]\nlevers: [steps]\n", "levers must hold lines of 'lever: [values]'"),
        ("texts: [a]\nlevers: {steps: [1]}\nrecipes: [fastest]\n", "both levers and recipes; keep one"),
        ("texts: [a]\nrecipes: [fastst]\n", "recipes: No recipe is called 'fastst' (did you mean 'fastest'?)"),
        ("texts: [a]\nrecipes: [3]\n", "recipes: expected a preset, a YAML file or levers, found 3"),
        ("texts: [a]\nrecipes: [none.yaml]\n", "cannot be read"),
        ("texts: [a]\nbase: nothing\n", "base: No recipe is called 'nothing'"),
        ("texts: [a]\nvoices: [1]\n", "voices must hold names of voices or sound files"),
        ("texts: [a]\nvoices: [a, a]\n", "voices holds 'a' twice"),
        ("texts: [a]\nvoices: [gone.wav]\n", "the clip"),
        ("texts: [a]\nseeds: [-1]\n", "seeds must be from 0"),
        ("texts: [a]\nseeds: [true]\n", "seeds must be a whole number"),
        ("texts: [a]\ndevice: gpu\n", "There is no device 'gpu'"),
        ("texts: [a]\ncard: rtx3o70\n", "rtx3070"),
        ("texts: [a]\nreference: {steps: 0}\n", "reference: steps must be"),
        ("texts: [a]\ntexts: [b]\n", "texts is given twice (again in line 2); keep one"),
        ("texts: [a]\nlevers:\n  steps: [1]\n  steps: [2]\n", "steps is given twice (again in line 4)"),
        ("texts: [a\n", "not valid YAML in line"),
        ("- a\n", "expected lines of 'key: value'"),
        ("", "expected lines of 'key: value'"),
        ("? [a, b]\n: 1\ntexts: [a]\n", "line 1 has no name before its colon"),
    ],
)  # fmt: skip
def test_a_bad_grid_is_one_sentence_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "grid.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(LabError) as error:
        _ = Grid.load(tmp_path / "grid.yaml").cells
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("write", "words"), [(None, "cannot be read"), (b"\xff\xfe\xfa", "not text in UTF-8")])
def test_a_file_that_is_no_grid(tmp_path: Path, write: bytes | None, words: str) -> None:
    path = tmp_path / "grid.yaml"
    if write is not None:
        path.write_bytes(write)
    with pytest.raises(LabError, match=words):
        Grid.load(path)
