"""The claims: a strict table, verdicts that follow from figures, and the facts that they rest on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest
import yaml

from tts_lab.errors import LabError
from tts_lab.experiments import claim_experiments, claim_traces, claim_tricks
from tts_lab.experiments.claims import (
    DOES_NOT,
    HOLDS,
    ONLY_IF,
    Claim,
    Experiment,
    Figure,
    claims,
    experiments,
    judge,
    near,
    read_claims,
    verdict_on,
)
from tts_lab.recipe import Recipe

KEPT = Path(__file__).resolve().parents[2] / "data" / "measured" / "claims.json"
ROW = {"id": "a", "where": "table", "says": "It is so.", "experiment": "chunking", "conditions": "none"}
SHORT = 0.5  # seconds of speech, for the solver's facts


def kept() -> dict[str, Any]:
    return {row["id"]: row for row in json.loads(KEPT.read_text("utf-8"))["claims"]}


# --- the table ---


def test_every_statement_of_the_article_is_there() -> None:
    known = set(read_claims())
    assert {f"steps-{n}-{what}" for n in (20, 30, 50, 100) for what in ("memory", "time")} <= known
    rows = ("original", "30-steps", "fp16", "checkpointing", "offload")
    assert {f"row-{row}-{what}" for row in rows for what in ("memory", "time")} <= known
    assert {f"bottleneck-{what}" for what in ("diffusion", "vocoder", "together")} <= known
    tricks = ("steps-memory", "steps-time", "checkpointing-memory", "checkpointing-time", "fp16-memory", "fp16-norm",
              "fp16-quality", "chunking", "offload")  # fmt: skip
    assert {f"trick-{name}" for name in tricks} | {"recommended"} <= known


def test_every_claim_has_an_experiment_and_every_experiment_a_claim() -> None:
    assert {claim.experiment for claim in read_claims().values()} == set(experiments())


def test_every_claim_has_a_kept_verdict() -> None:
    found = kept()
    assert list(found) == list(read_claims()), "run `python benchmarks/claims.py`"
    for name, row in found.items():
        assert row["kind"] in (HOLDS, ONLY_IF, DOES_NOT)
        assert row["verdict"].startswith(row["kind"])
        assert (row["kind"] == ONLY_IF) == (row["verdict"] != row["kind"])
        assert row["main"] in row["measured"], name
        assert row["reason"].endswith(".")


def test_all_three_verdicts_occur() -> None:
    assert {row["kind"] for row in kept().values()} == {HOLDS, ONLY_IF, DOES_NOT}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"colour": "red"}, "The claim 'a' has an unknown key 'colour'"),
        ({"figures": 3}, "did you mean 'figure'?"),
        ({"experiment": "chunkin"}, "names an unknown experiment 'chunkin' (did you mean 'chunking'?)"),
        ({"says": ""}, "The claim 'a' needs a text for `says`"),
        ({"figure": "much"}, "The figure of the claim 'a' must be a number, but is 'much'"),
        ({"figure": True}, "must be a number"),
        ({"unit": "MB"}, "The unit of the claim 'a' must be one of"),
        ({"sense": "below"}, "The sense of the claim 'a' must be one of about, above"),
        ({"given": [1]}, "must be arguments by name"),
    ],
)
def test_a_bad_row_is_a_sentence(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(LabError, match=re.escape(words)):
        read_claims(written(tmp_path, [{**ROW, **change}]))


def written(folder: Path, rows: Any, **more: Any) -> Path:
    path = folder / "claims.yaml"
    path.write_text(json.dumps({"source": "an article", "claims": rows, **more}), "utf-8")  # JSON is YAML
    return path


def test_a_good_row_is_read(tmp_path: Path) -> None:
    found = read_claims(written(tmp_path, [{**ROW, "figure": -1.2, "unit": "GB", "sense": "change"}]))
    assert found["a"].article == "-1.2 GB"


def test_a_damaged_table_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is in the table twice"):
        read_claims(written(tmp_path, [ROW, ROW]))
    with pytest.raises(LabError, match="unknown key 'clams'"):
        read_claims(written(tmp_path, [ROW], clams=[]))
    for rows in ([], {}, None):
        with pytest.raises(LabError, match="a list `claims`"):
            read_claims(written(tmp_path, rows))
    with pytest.raises(LabError, match="A claim is a list"):
        read_claims(written(tmp_path, ["a"]))
    with pytest.raises(LabError, match="cannot be read"):
        read_claims(tmp_path / "nowhere.yaml")
    (tmp_path / "bad.yaml").write_text("claims: [", "utf-8")
    with pytest.raises(LabError, match="is not YAML"):
        read_claims(tmp_path / "bad.yaml")


def test_an_unknown_id_is_a_sentence() -> None:
    with pytest.raises(LabError, match=re.escape("no claim 'steps-30-memry' (did you mean 'steps-30-memory'?)")):
        claims(["steps-30-memry"])


# --- verdicts on made-up figures ---


def figures(**values: float) -> dict[str, Figure]:
    return {name: Figure(value, "GiB") for name, value in values.items()}


MADE_UP = Experiment(
    dict, lambda c, m: near(m["peak"].value, c.figure, 0.1), "peak", "It is {peak}.", "it is {other}",
    lambda c, m: near(m["other"].value, c.figure, 0.1),
)  # fmt: skip


@pytest.mark.parametrize(
    ("peak", "other", "verdict"),
    [(10.9, 1, HOLDS), (9.1, 10, HOLDS), (11.1, 10, f"{ONLY_IF} it is 10 GiB"), (11.1, 8.9, DOES_NOT)],
)
def test_each_verdict_is_reached(peak: float, other: float, verdict: str) -> None:
    found = judge(Claim("a", "b", "c", "d", "e", 10), MADE_UP, figures(peak=peak, other=other))
    assert found.verdict == verdict
    assert found.reason == f"It is {found.measured['peak']}."
    assert found.to_dict()["measured"]["peak"] == {"value": peak, "unit": "GiB"}


def judged(name: str, **changed: float) -> str:
    """The kind of verdict on a claim if some of its kept figures had been others."""
    row, claim = kept()[name], read_claims()[name]
    found = {k: Figure(v["value"], v["unit"]) for k, v in row["measured"].items()}
    found |= {k: Figure(v, found[k].unit) for k, v in changed.items()}
    return judge(claim, experiments()[claim.experiment], found).kind


@pytest.mark.parametrize("name", read_claims())
def test_a_kept_verdict_follows_from_its_kept_figures(name: str) -> None:
    assert judged(name) == kept()[name]["kind"]


@pytest.mark.parametrize(
    ("name", "changed", "kind"),
    [
        ("steps-30-memory", {"change": -2.3}, HOLDS),
        ("steps-30-memory", {"change_with_autograd": -2.2}, ONLY_IF),
        ("steps-100-memory", {"public": 5.0}, DOES_NOT),
        ("trick-steps-memory", {"change": -0.5}, HOLDS),
        ("trick-steps-memory", {"change_with_autograd": 0.0}, DOES_NOT),
        ("trick-steps-time", {"ratio": 1.0}, DOES_NOT),
        ("steps-30-time", {"ratio": 0.33}, HOLDS),
        ("steps-30-time", {"stage_ratio": 0.9}, DOES_NOT),
        ("steps-pattern", {"off_change": 1e9}, HOLDS),
        ("steps-quality", {"few_high": 4.0}, HOLDS),
        ("trick-checkpointing-memory", {"change": -1.3}, HOLDS),
        ("trick-checkpointing-memory", {"with_grad": -0.1}, DOES_NOT),
        ("trick-checkpointing-time", {"added": 14.0}, HOLDS),
        ("trick-fp16-memory", {"weights": 83.0}, DOES_NOT),
        ("trick-fp16-norm", {"own": 0.01}, HOLDS),
        ("trick-chunking", {"growth": 1e9}, DOES_NOT),
        ("trick-offload", {"encoder_share": 20.0}, HOLDS),
        ("trick-offload", {"saved": 0.0}, DOES_NOT),
        ("trick-offload-ram", {"needs": 15.0}, HOLDS),
        ("bottleneck-diffusion", {"activations": 7.0}, HOLDS),
        ("bottleneck-vocoder", {"public": 1.9}, HOLDS),
        ("bottleneck-vocoder", {"seconds_needed": 20.0}, ONLY_IF),
        ("bottleneck-together", {"whole": 7.0}, DOES_NOT),
        ("row-original-memory", {"missing": 0.0}, DOES_NOT),
        ("row-fp16-memory", {"gpt_only": 3.0}, HOLDS),
        ("row-checkpointing-memory", {"change": -0.3}, HOLDS),
        ("row-offload-time", {"ratio": 1.11}, HOLDS),
        ("recommended", {"needs": 9.0}, DOES_NOT),
    ],
)  # fmt: skip
def test_a_claim_that_is_made_true_flips(name: str, changed: dict[str, float], kind: str) -> None:
    assert judged(name) != kind
    assert judged(name, **changed) == kind


def test_reasons_are_made_of_measured_figures() -> None:
    """No digit in a sentence that did not come from a measurement, and no figure that was not measured."""
    found = kept()
    for claim in read_claims().values():
        experiment = experiments()[claim.experiment]
        for text in (experiment.reason, experiment.only_if):
            parts = list(Formatter().parse(text))
            assert not re.search(r"\d", "".join(part[0] for part in parts)), text
            assert {part[1] for part in parts if part[1]} <= set(found[claim.id]["measured"]), claim.id


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(8.349, "GiB"), "8.35 GiB"), (Figure(50.6, "%"), "50.6%"), (Figure(1952.4, "MiB"), "1,952 MiB"),
        (Figure(0, "GiB"), "0 GiB"), (Figure(17_949_696, "bytes"), "17,949,696 bytes"), (Figure(0.00039), "0.00039"),
        (Figure(33.4, "frames"), "33 frames"),
    ],
)  # fmt: skip
def test_figures_are_written_with_three_digits(figure: Figure, text: str) -> None:
    assert str(figure) == f"{figure}" == text


# --- the facts ---


def test_without_autograd_steps_change_nothing_and_with_it_they_do_in_a_line() -> None:
    off, on = (claim_traces.peaks(SHORT, grad, 12) for grad in (False, True))
    assert len(set(off[1:])) == 1
    assert off[0] <= off[1] <= 1.01 * off[0]
    each = on[2] - on[1]
    assert each > off[1] / 2
    assert [on[n] - on[1] for n in range(1, 12)] == [each * (n - 1) for n in range(1, 12)]


@pytest.mark.parametrize("grad", [False, True])
def test_peaks_by_step_are_those_of_runs_with_so_many_steps(grad: bool) -> None:
    peaks = claim_traces.peaks(SHORT, grad, 12)
    assert [claim_traces.solver(SHORT, n, grad).peak_bytes() for n in (2, 5)] == [peaks[1], peaks[4]]


def test_checkpointing_changes_no_byte_without_autograd_and_saves_with_it() -> None:
    plain, kept_inputs = (claim_traces.solver(SHORT, 2, False, on) for on in (False, True))
    assert plain.peak_bytes() == kept_inputs.peak_bytes()
    assert len(plain) == len(kept_inputs)
    on, checkpointed = (claim_traces.solver(SHORT, 2, True, c).peak_bytes() for c in (False, True))
    assert checkpointed < 0.7 * on


def test_the_line_through_the_article_s_points() -> None:
    assert claim_experiments.fitted((1, 2, 3), (3.0, 5.0, 7.0)) == pytest.approx((2, 1, 0))
    assert claim_experiments.fitted((0, 1, 2), (0.0, 3.0, 0.0)) == pytest.approx((0, 1, 2))


def test_the_recommended_settings_are_read_as_they_stand() -> None:
    recipe = Recipe.from_dict(yaml.safe_load(claim_experiments.RECOMMENDED_YAML))
    assert (recipe.steps, recipe.precision, recipe.checkpointing, recipe.max_chars) == (30, "fp16", True, 60)
    assert recipe.offload == "stage"


def test_the_speaker_encoder_is_the_smallest_of_what_only_the_voice_needs() -> None:
    idle = claim_tricks.idle()
    assert list(idle)[:3] == ["gpt", "features", "conditioner"]
    assert idle["campplus"] < 0.02 * idle["gpt"]


@pytest.mark.parametrize("name", ["trick-checkpointing-memory", "trick-offload"])
def test_what_is_kept_comes_out_again(name: str) -> None:
    assert verdict_on(read_claims()[name]).to_dict() == kept()[name], "run `python benchmarks/claims.py`"
