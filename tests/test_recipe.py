from __future__ import annotations

import dataclasses
import itertools
import math

import pytest

from tts_lab.errors import RecipeError
from tts_lab.recipe import LEVERS, PRESETS, Recipe

ARTICLE = """\
inference:
  diffusion_steps: 30
  use_fp16: true
  enable_gradient_checkpointing: true
  cpu_offload: true
  max_text_length_per_chunk: 60
"""


def refuses(match, **levers):
    with pytest.raises(RecipeError, match=match):
        Recipe().replace(**levers)


def load(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return Recipe.load(path)


def refuses_file(tmp_path, text, match):
    with pytest.raises(RecipeError, match=match) as caught:
        load(tmp_path, text)
    assert "recipe.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("levers", "evaluations"),
    [
        ({"steps": 4, "guidance": 1.0}, 8),
        ({"steps": 4, "guidance": 0.0}, 4),
        ({"steps": 4, "guidance": 0}, 4),
        ({"steps": 4, "guidance": 1.0, "guidance_mode": "sequential"}, 8),
        ({"steps": 3, "guidance": 0.0, "solver": "heun"}, 6),
        ({"steps": 3, "guidance": 0.5, "solver": "midpoint"}, 12),
        ({"steps": 1000, "guidance": 10.0, "solver": "heun"}, 4000),
        ({"steps": 5, "guidance": 1.0, "solver": "adams"}, 10),
        ({"steps": 5, "guidance": 1.0, "solver": "adams", "guidance_mode": "alternate"}, 8),
        ({"steps": 3, "guidance": 1.0, "solver": "midpoint", "guidance_mode": "alternate"}, 9),
        ({"steps": 5, "guidance": 0.0, "guidance_mode": "alternate"}, 5),
    ],
)
def test_evaluations_count_solver_and_guidance(levers, evaluations):
    assert Recipe(**levers).evaluations_per_chunk == evaluations


def test_every_field_is_a_lever_and_the_default_is_valid():
    assert [f.name for f in dataclasses.fields(Recipe)] == list(LEVERS)
    assert Recipe().evaluations_per_chunk == 4


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().steps = 3


@pytest.mark.parametrize("steps", [0, -1, 1001, 10_000])
def test_steps_out_of_range_says_the_range(steps):
    refuses(f"steps must be from 1 to 1000, but is {steps}", steps=steps)


@pytest.mark.parametrize("guidance", [math.nan, math.inf, -math.inf, -0.1, 10.5])
def test_guidance_must_be_finite_and_in_range(guidance):
    refuses("guidance must be a finite number from 0 to 10", guidance=guidance)


@pytest.mark.parametrize(
    ("levers", "match"),
    [
        ({"steps": "4"}, r"steps must be a whole number .* '4' \(text\)"),
        ({"steps": 4.0}, "steps must be a whole number"),
        ({"steps": True}, "steps must be a whole number"),
        ({"steps": None}, "steps .* is empty"),
        ({"guidance": "1"}, "guidance must be a number"),
        ({"guidance": True}, "guidance must be a number"),
        ({"solver": "heum"}, "one of euler, midpoint, heun.*did you mean 'heun'"),
        ({"solver": 1}, "solver must be one of"),
        ({"precision": "int8"}, "precision must be one of fp32, fp16, bf16"),
        ({"checkpointing": 1}, "checkpointing must be true or false"),
        ({"offload": False}, "offload must be one of none, voice, stage, layers"),
        ({"max_chars": 9}, "max_chars must be from 10 to 500"),
        ({"temperature": 2.1}, "temperature .* from 0 to 2"),
        ({"crossfade_ms": -1}, "crossfade_ms .* from 0 to 500"),
    ],
)
def test_wrong_values(levers, match):
    refuses(match, **levers)


def test_constructor_is_as_strict_as_replace():
    with pytest.raises(RecipeError, match="steps must be from 1"):
        Recipe(steps=0)


def test_unknown_lever_lists_the_known_and_guesses():
    refuses("no lever 'step'.*did you mean 'steps'.*levers are steps, solver", step=4)
    refuses("no lever 'zzz'; the levers are", zzz=4)


def test_article_name_outside_its_section_is_explained():
    refuses("diffusion_steps is the article's name.*'inference:', or write steps", diffusion_steps=30)


def test_article_yaml_as_it_stands_is_the_recommended_recipe(tmp_path):
    recipe = load(tmp_path, ARTICLE)
    assert recipe == Recipe.named("article-recommended")
    assert (recipe.steps, recipe.precision, recipe.checkpointing) == (30, "fp16", True)
    assert (recipe.offload, recipe.max_chars) == ("stage", 60)


def test_part_of_the_articles_yaml_changes_its_original(tmp_path):
    recipe = load(tmp_path, "inference: {use_fp16: false, diffusion_steps: 50}")
    assert recipe == Recipe.named("article-original").replace(steps=50)


def test_article_presets_add_up_row_by_row():
    rows = ["original", "30-steps", "fp16", "checkpointing", "recommended"]
    recipes = [Recipe.named(f"article-{row}").to_dict() for row in rows]
    moved = [{k for k in a if a[k] != b[k]} for a, b in itertools.pairwise(recipes)]
    assert moved == [{"steps"}, {"precision"}, {"checkpointing"}, {"offload", "max_chars"}]
    assert (recipes[0]["steps"], recipes[0]["precision"]) == (100, "fp32")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("inference: {diffusion_step: 30}", "did you mean 'diffusion_steps'.*it knows diffusion_steps, use_fp16"),
        ("inference: {use_fp16: 1}", "use_fp16 must be true or false"),
        ("inference: {diffusion_steps: 0}", "diffusion_steps must be from 1 to 1000"),
        ("inference: 3", "inference must hold keys and values"),
        ("inference: {diffusion_steps: 30}\nsteps: 4", "mixes the article's section 'inference' with steps"),
        ("steps: 4\nstep: 3", "no lever 'step'"),
        ("steps: 4\nsteps: 8", "steps is given twice .again in line 2"),
        ("inference: {use_fp16: true, use_fp16: false}", "use_fp16 is given twice"),
        ("guidance: .nan", "finite"),
        ("- 1\n- 2", "expected lines of 'lever: value'"),
        ("", "found empty"),
        ("steps: [", "not valid YAML"),
        ("? [1, 2]\n: 3", "line 1 has no name"),
        ("inference: &a {diffusion_steps: *a}", "diffusion_steps must be a whole number"),
        ("1: 2", "no lever 1"),
    ],
)
def test_bad_files_are_one_sentence_that_names_the_file(tmp_path, text, match):
    refuses_file(tmp_path, text, match)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RecipeError, match=r"none\.yaml.*cannot be read"):
        Recipe.load(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        Recipe.load(tmp_path)
    (tmp_path / "gbk.yaml").write_bytes("solver: 欧拉".encode("gbk"))
    with pytest.raises(RecipeError, match="UTF-8"):
        Recipe.load(tmp_path / "gbk.yaml")


@pytest.mark.parametrize("name", PRESETS)
def test_yaml_round_trip_and_name(tmp_path, name):
    recipe = Recipe.named(name)
    assert load(tmp_path, recipe.to_yaml()) == recipe
    assert recipe.name == name


def test_name_of_other_recipes_says_what_moved():
    assert Recipe(steps=7, solver="heun").name == "default with steps 7, solver heun"


def test_find_takes_a_name_or_a_file(tmp_path):
    path = tmp_path / "mine.yml"
    path.write_text("steps: 9")
    assert Recipe.find("fastest") == Recipe.named("fastest")
    assert Recipe.find(path).steps == 9
    with pytest.raises(RecipeError, match="did you mean 'fastest'.*give a YAML file"):
        Recipe.find("fastes")


def test_notes_name_what_does_nothing_here():
    recipe = Recipe.named("article-recommended")
    on_cpu, on_card = recipe.notes("cpu"), recipe.notes("cuda:0")
    assert [note.split()[0] for note in on_cpu] == ["checkpointing", "offload", "precision"]
    assert [note.split()[0] for note in on_card] == ["checkpointing"]
    assert Recipe().notes("cpu") == ()


@pytest.mark.parametrize("has_units", [True, False])
def test_bf16_does_something_where_the_processor_has_units_for_it(has_units, monkeypatch):
    monkeypatch.setattr("tts_lab.recipe.computes", lambda precision: precision == "fp32" or has_units)
    bf16 = Recipe(precision="bf16")
    assert bool(bf16.notes("cpu")) != has_units
    assert bf16.notes("cuda") == ()
    assert ("precision" in bf16.idle("cpu")) != has_units
    assert ("precision fp16" in bf16.idle("cpu")) == has_units


def test_fp16_does_nothing_on_any_processor():
    assert "no units" in Recipe(precision="fp16").notes("cpu")[0]


def test_excludes_names_moot_levers():
    assert "guidance is off" in Recipe(guidance=0, guidance_mode="sequential").excludes()[0]
    assert "single step" in Recipe(steps=1, schedule="uniform").excludes()[0]
    assert Recipe(guidance=1, guidance_mode="sequential").excludes() == ()
    assert Recipe.named("fastest").excludes() == ()
