from __future__ import annotations

import json

import pytest
from rich.console import Console

from tts_lab.receipt import Receipt, environment
from tts_lab.recipe import Recipe

KEYS = {
    "system", "voice", "recipe", "seed", "audio_seconds", "wall_seconds", "real_time_factor", "evaluations",
    "peak_process_bytes", "stages",
}  # fmt: skip


def make(**changes):
    fields = {
        "system": "fake", "voice": "low", "recipe": Recipe(), "seed": 3, "chunks": 2, "audio_seconds": 4.0,
        "wall_seconds": 1.0, "evaluations": 16, "peak_process_bytes": 2**30, "stages": {"acoustic": 0.25},
        "notes": ("a note.",), "unknown": ("☃", "<b>"), "environment": {"python": "3.11"},
    }  # fmt: skip
    return Receipt(**{**fields, **changes})


def test_json_is_one_line_that_holds_everything():
    text = make().to_json()
    data = json.loads(text)
    assert "\n" not in text
    assert data.keys() >= KEYS
    assert data["recipe"] == Recipe().to_dict()
    assert data["real_time_factor"] == 0.25
    assert data["stages"] == {"acoustic": 0.25}
    assert data["unknown"] == ["☃", "<b>"]
    assert data["recipe_name"] == "default"


def test_what_was_heard_of_a_clip_is_data():
    assert json.loads(make(clip={"distance": 0.5}).to_json())["clip"] == {"distance": 0.5}
    assert json.loads(make().to_json())["clip"] is None


def test_no_sound_is_no_number_rather_than_bad_json():
    assert json.loads(make(audio_seconds=0.0).to_json())["real_time_factor"] is None


def test_repr_and_what_do_not_change_with_what_is_measured():
    slow = make(wall_seconds=9.0, stages={"acoustic": 8.0}, peak_process_bytes=1, environment={"python": "9"})
    assert repr(slow) == repr(make())
    assert slow.what() == make().what()
    assert slow.what()._repr_html_() == make().what()._repr_html_()
    assert make(seed=4).what() != make().what()
    assert "4.00 s in 2 pieces" in repr(make())


def test_html_escapes_and_marks_every_measured_cell():
    page = make()._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert '<td class="measured">0.250 s</td>' in page
    assert page.count('class="measured"') == 6  # acoustic, the rest, all of it, factor, memory, where
    assert "measured" not in make().what()._repr_html_()


def test_table_shows_cost_and_what_was_not_spoken():
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(make().table())
    text = console.export_text()
    for part in ("0.250 s", "text and joining", "1,024 MiB", "☃ <b>", "a note.", "real-time factor", "python 3.11"):
        assert part in text


def test_environment_names_where_it_ran():
    found = environment("cpu")
    assert found.keys() == {"python", "torch", "platform", "device", "threads", "tts_lab"}
    assert found["device"] == "cpu"
    assert found["threads"] >= 1
    json.dumps(found)


def test_receipt_is_frozen():
    with pytest.raises(AttributeError):
        make().seed = 1
