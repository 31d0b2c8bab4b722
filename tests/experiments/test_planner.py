"""The planner: what it recommends fits, what it calls a front is one, what it assumes is so."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tts_lab.errors import LabError
from tts_lab.experiments.ladder import Lengths, explore, need, ways
from tts_lab.experiments.plan_result import Option, Plan, front, order
from tts_lab.experiments.planner import _space, plan, speech_seconds
from tts_lab.experiments.sound import MEASURED, MEASURED_LEVERS, Floors, Quality, measured, quality_of, reference
from tts_lab.experiments.vram import traced, vram
from tts_lab.memory.cards import budget_card, find_card
from tts_lab.memory.replay import replay
from tts_lab.memory.roofline import estimate
from tts_lab.paths import data_dir
from tts_lab.recipe import LEVERS, Recipe, choices

LENGTHS = Lengths(3.0, 3.0)
BUDGETS = st.floats(0.4, 24.0)
MINI = {"seconds": 3.0, "reference_seconds": 3.0}
LARGE = {"seconds": 2.0, "reference_seconds": 2.0, "levers": ("offload",)}  # a few traces of the full-size system


def mini(gigabytes: float, **asked: object) -> Plan:
    return plan("mini", budget_card(f"{gigabytes}gb", gigabytes * 1e9), **{**MINI, **asked})  # type: ignore[arg-type]


def checked_by_replay(found: Plan) -> None:
    """The choice has the verdict `fits` on that very card, and the margin is left on top of all that may come."""
    lengths = found.lengths
    log = traced(found.system, found.card, found.recipe, lengths.seconds, lengths.reference_seconds)
    done = replay(log, found.card)
    assert done.verdict == "fits"
    assert done.margin - done.band >= found.safety * found.card.total_bytes - 1
    assert found.choice is not None
    assert found.choice.peak_reserved == done.peak_reserved


@settings(max_examples=30)
@given(BUDGETS, st.sampled_from([0.0, 0.05, 0.3]))
def test_nothing_is_recommended_that_replay_says_does_not_fit(gigabytes: float, safety: float) -> None:
    found = mini(gigabytes, safety=safety)
    if found.choice is not None:
        checked_by_replay(found)
        assert found.verdict == "fits"
        assert found.missing_bytes == 0
    else:
        assert found.missing_bytes > 0
        assert found.verdict in ("tight", "out_of_memory")
        roomy = found.card.total_bytes + int(found.missing_bytes / (1 - safety)) + 2
        assert mini(roomy / 1e9, safety=safety).choice is not None


@settings(max_examples=30)
@given(BUDGETS, BUDGETS)
def test_a_larger_card_never_gets_a_slower_plan(one: float, other: float) -> None:
    small, large = (mini(size) for size in sorted((one, other)))
    if small.choice is not None:
        assert large.choice is not None
        assert large.choice.seconds <= small.choice.seconds


@pytest.mark.parametrize("gigabytes", [1, 3, 4.5, 6, 24])
def test_the_full_size_system(gigabytes: float) -> None:
    found = plan("indextts2", budget_card(f"{gigabytes}gb", gigabytes * 1e9), **LARGE)  # type: ignore[arg-type]
    assert (found.choice is None) == (gigabytes < 2)
    if found.choice is not None:
        checked_by_replay(found)
        assert found.recipe.replace(offload="none") == reference("indextts2")


@pytest.mark.parametrize("gigabytes", [0.7, 0.85, 1, 4])
def test_no_point_of_the_front_is_beaten_and_all_others_are(gigabytes: float) -> None:
    found = mini(gigabytes)
    assert len(found.pareto) > 5
    assert not [(a, b) for a, b in itertools.permutations(found.pareto, 2) if a.beats(b)]
    sizes = [option.peak_reserved for option in found.pareto]
    assert sizes == sorted(sizes, reverse=True)
    if found.choice:
        assert not any(option.beats(found.choice) for option in found.pareto)


def option(reserved: int, seconds: float, quality: Quality | None = None, moved: tuple[str, ...] = ()) -> Option:
    return Option(Recipe(), reserved, 0, 0, seconds, "", quality, moved)


def test_what_beats_what() -> None:
    good, bad = Quality(0.04, 4.3), Quality(0.06, 4.0)
    assert option(1, 1.0).beats(option(2, 1.0))
    assert not option(1, 1.0).beats(option(1, 1.0))
    assert not option(1, 2.0).beats(option(2, 1.0))
    assert option(1, 1.0, good).beats(option(1, 1.0, bad))
    assert not option(1, 1.0, bad).beats(option(2, 2.0, good))
    assert option(1, 1.0, good).beats(option(1, 1.0, None, ("precision",)))
    assert not option(1, 1.0, None, ("precision",)).beats(option(2, 2.0, good))
    kept = front([option(3, 1.0), option(2, 2.0), option(2, 3.0), option(1, 3.0)])
    assert [(each.peak_reserved, each.seconds) for each in kept] == [(3, 1.0), (2, 2.0), (1, 3.0)]


def test_plans_are_the_same_each_time() -> None:
    assert mini(2).to_dict() == mini(2).to_dict()
    assert order(option(1, 1.0)) < order(option(2, 1.0)) < order(option(1, 2.0))


def test_the_yaml_is_a_recipe(tmp_path) -> None:  # type: ignore[no-untyped-def]
    found = mini(2)
    (tmp_path / "plan.yaml").write_text(found.to_yaml(), encoding="utf-8")
    assert Recipe.load(tmp_path / "plan.yaml") == found.recipe
    assert found.to_yaml().startswith("# For 3 s of speech with mini")


def test_a_plan_shows_itself() -> None:
    found = mini(2)
    plain = json.loads(found.to_json())
    assert {"recipe", "verdict", "peak_reserved_bytes", "latency_estimated_seconds", "pareto"} <= set(plain)
    assert plain["recipe"] == found.recipe.to_dict()
    assert "Plan(fits: For 3 s" in repr(found)
    assert "<table>" in found._repr_html_()
    table = found.to_pandas()
    assert len(table) == len(found.pareto)
    assert list(table["choice"]).count("*") == 1
    assert "not measured" in " ".join(found.given_up)


# --- quality ---


def figures() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((data_dir() / "measured" / MEASURED["mini"]).read_text("utf-8"))[
        "settings"
    ]
    return found


def near(share: float) -> str:
    """A floor that so large a share of the measured settings meets, in both figures at once."""
    known = sorted((q.error, q.mos) for each in measured("mini") if (q := each.quality))
    return f"error<={known[round(share * (len(known) - 1))][0]:.5f}, mos>={min(mos for _, mos in known)}"


@pytest.mark.parametrize("asked", ["error<=20%", "mos >= 3", near(0.5), near(0)])
def test_a_floor_is_kept_by_measured_figures(asked: str) -> None:
    found, floors = mini(4, quality=asked), Floors.parse(asked)
    assert found.choice is not None
    assert found.choice.quality is not None
    assert floors.met_by(found.choice.quality)
    assert quality_of("mini", found.recipe) == found.choice.quality
    assert all(each.quality and floors.met_by(each.quality) for each in (*found.pareto, *found.fallbacks))
    checked_by_replay(found)


def test_a_lower_floor_is_not_slower() -> None:
    strict, loose = (mini(4, quality=asked).choice for asked in (near(0), near(1)))
    assert strict is not None
    assert loose is not None
    assert loose.seconds <= strict.seconds


def test_a_floor_may_choose_solver_and_format(tmp_path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Of two measured ways the one that meets the floor, whatever its solver and format; no other in its format."""
    monkeypatch.setattr("tts_lab.experiments.sound.data_dir", lambda: tmp_path)
    (tmp_path / "measured").mkdir()
    ways = {"plain": (Recipe(steps=8), 0.05), "other": (Recipe(steps=4, solver="adams", precision="bf16"), 0.03)}
    rows = [
        {"name": name, "recipe": recipe.to_dict(), "figures": {"all": {"toneless": error, "mos": 4.0}}}
        for name, (recipe, error) in ways.items()
    ]
    (tmp_path / "measured" / MEASURED["mini"]).write_text(json.dumps({"settings": rows}), encoding="utf-8")
    found = mini(4, quality="error<=4%")
    assert found.choice is not None
    assert (found.recipe.solver, found.recipe.precision) == ("adams", "bf16")
    assert found.choice.quality == Quality(0.03, 4.0)
    assert not [told for told in found.given_up if "not measured" in told]
    assert {each.recipe.precision for each in found.pareto} == {"bf16"}
    assert quality_of("mini", Recipe(steps=4, solver="adams")) is None
    with pytest.raises(LabError, match="Only bf16 meets that floor, which NVIDIA T4 16 GB does not compute"):
        plan("mini", "t4", quality="error<=4%", **MINI)  # type: ignore[arg-type]
    fallen = plan("mini", "t4", quality="error<=5%", **MINI)  # type: ignore[arg-type]
    assert fallen.recipe.precision == "fp32"


@pytest.mark.parametrize("name", ["default", "fits-8gb", "as-released"])
def test_a_preset_s_sound_stays(name: str) -> None:
    found, preset = mini(4, quality=name), Recipe.named(name)
    for lever in ("steps", "solver", "guidance", "precision", "beams", "max_chars", "schedule"):
        assert getattr(found.recipe, lever) == getattr(preset, lever)


def test_without_a_floor_the_reference_s_steps_stay() -> None:
    found = mini(4)
    assert (found.recipe.steps, found.recipe.guidance) == (reference("mini").steps, reference("mini").guidance)
    assert found.asked == "as in default"


def test_only_what_was_measured_has_figures() -> None:
    spoken = [each for each in figures() if "recipe" in each]
    assert len(measured("mini")) == len(spoken) >= 6
    for each in spoken:
        levers = {name: each["recipe"][name] for name in MEASURED_LEVERS if name in each["recipe"]}
        found = quality_of("mini", Recipe(**levers))
        assert found == Quality(each["figures"]["all"]["toneless"], each["figures"]["all"]["mos"])
    assert quality_of("mini", Recipe(offload="stage", tile=64)) == quality_of("mini", Recipe())
    untried = {"solver": "heun", "steps": 8}
    for lever in ({"precision": "fp16"}, {"max_chars": 12}, {"steps": 5}, untried, {"guidance": 0.5}):
        assert quality_of("mini", Recipe(**lever)) is None  # type: ignore[arg-type]
    assert measured("indextts2") == ()


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"quality": "error<=0.1%"}, "No measured setting of mini meets error<=0.1%: the lowest error is "),
        ({"quality": "mos>=4.99"}, "the highest mos 4."),
        ({"quality": "mos<=4"}, "A floor of quality cannot be 'mos<=4'"),
        ({"quality": "nice"}, "or the name of a preset"),
        ({"quality": "error<=5"}, "out of range"),
        ({"quality": "mos>=7"}, "out of range"),
        ({"safety": -0.1}, "must be a share of the card"),
        ({"safety": 1}, "must be a share of the card"),
        ({"seconds": 0}, "must be a number of seconds above 0"),
        ({"seconds": float("nan")}, "must be a number of seconds above 0"),
        ({"text": "你好"}, "not both"),
        ({"seconds": None, "text": "，。"}, "There is no text to plan for"),
        ({"levers": ("steps",)}, "A plan does not move 'steps'"),
    ],
)
def test_bad_input_is_a_sentence(asked: dict[str, object], words: str) -> None:
    with pytest.raises(LabError) as error:
        mini(4, **asked)
    assert words in str(error.value)


def test_a_floor_for_a_system_that_was_not_measured() -> None:
    with pytest.raises(LabError, match="The sound of indextts2 is not measured"):
        plan("indextts2", "8gb", quality="mos>=4")


def test_nothing_fits() -> None:
    found = mini(0.4)
    assert found.choice is None
    assert found.to_dict()["recipe"] is None
    assert found.given_up == found.fallbacks == ()
    assert found.card_that_would_do is not None
    assert f"lacks {found.missing_bytes / 2**20:,.0f} MiB" in found.sentence
    assert f"{found.card_that_would_do.key} would do" in found.sentence
    with pytest.raises(LabError, match="Nothing fits"):
        found.to_yaml()


def test_fallbacks_are_smaller_and_smaller() -> None:
    found = mini(4)
    sizes = [each.peak_reserved for each in (found.choice, *found.fallbacks) if each]
    assert len(sizes) > 1
    assert sizes == sorted(set(sizes), reverse=True)


def test_length_of_a_text() -> None:
    assert speech_seconds("你好") == 1
    assert speech_seconds("今天天气真好，我们一起去公园吧！" * 10) == 32  # 140 characters
    assert speech_seconds("2026年") > speech_seconds("年")  # numbers are read out
    assert mini(4, seconds=None, text="今天天气真好，我们去公园。").lengths.seconds == 3


# --- what the search assumes ---


def test_steps_after_the_second_change_no_peak_and_add_the_same_time() -> None:
    card = find_card("4gb")
    found = {n: need("mini", Recipe(steps=n), LENGTHS, card) for n in (1, 2, 3, 4, 16)}
    assert len({(each.reserved, each.allocated, each.band) for n, each in found.items() if n > 1}) == 1
    assert found[1].reserved <= found[2].reserved
    seconds = {n: estimate(each.work, card).seconds for n, each in found.items()}
    for n in (2, 3, 4):
        assert seconds[n] == pytest.approx(seconds[1] + (n - 1) / 15 * (seconds[16] - seconds[1]), rel=1e-9)


@pytest.mark.parametrize("gigabytes", [0.6, 0.7, 0.75, 0.8, 2])
def test_the_search_finds_what_trying_everything_finds(gigabytes: float) -> None:
    levers = ("precision", "offload", "max_chars")
    card, base = budget_card("b", gigabytes * 1e9), reference("mini")
    values = ways("mini", base, levers)
    names = list(values)
    every = [
        base.replace(**dict(zip(names, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]
    reports = [vram("mini", card, recipe, 3.0, 3.0) for recipe in every]
    times = [r.estimate.seconds for r in reports if r.verdict == "fits" and r.estimate]
    found = plan("mini", card, safety=0.0, levers=levers, **MINI)  # type: ignore[arg-type]
    assert (found.choice.seconds if found.choice else None) == (min(times) if times else None)


def test_each_value_of_a_lever_is_smaller_and_not_faster_than_the_one_before() -> None:
    card, base = find_card("4gb"), reference("mini")
    for lever, values in ways("mini", base, ("offload", "max_chars")).items():
        found = [need("mini", base.replace(**{lever: value}), LENGTHS, card) for value in values]
        for before, after in itertools.pairwise(found):
            assert after.reserved <= before.reserved
            assert estimate(after.work, card).seconds >= estimate(before.work, card).seconds


def test_values_come_from_the_table_of_levers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choices("offload")[:3] == ("none", "voice", "stage")
    assert choices("steps") == ()
    assert ways("indextts2", reference("indextts2"), ("offload",))["offload"] == choices("offload")[:-1]
    from tts_lab.lever_checks import one_of

    monkeypatch.setitem(LEVERS, "offload", (one_of("none", "voice", "stage", "new"), ""))
    assert ways("indextts2", reference("indextts2"), ("offload",))["offload"][-1] == "new"


def test_few_traces_answer_many_recipes() -> None:
    space, _ = _space("mini", reference("mini"), None, ("precision", "offload"), find_card("4gb"))
    answers = explore(space, LENGTHS, find_card("4gb"))
    assert space.size == len(space.settings) * 6  # two formats, three ways to offload
    assert sum(each.traced for each in answers) < len(answers)
