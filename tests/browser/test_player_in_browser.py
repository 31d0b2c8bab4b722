"""The player widget in JupyterLab: what a person presses, and what then sounds."""

from __future__ import annotations

import numpy as np
import pytest

# Every block that is rendered is recorded where it is rendered: a busy page loses none, as a ScriptProcessor would.
LISTEN = """
    const recorder = `registerProcessor("recorder", class extends AudioWorkletProcessor {
        process([input]) { if (input.length) this.port.postMessage(input[0].slice()); return true; }
    })`;
    const connect = AudioNode.prototype.connect;
    window.recorded = [];
    async function listen(context, hub) {
        await context.audioWorklet.addModule(URL.createObjectURL(new Blob([recorder], {type: "text/javascript"})));
        const tap = new AudioWorkletNode(context, "recorder");
        tap.port.onmessage = ({data}) => window.recorded.push(...data);
        connect.call(hub, tap);
        connect.call(tap, context.destination);
        window.rate = context.sampleRate;
    }
    AudioNode.prototype.connect = function (to, ...rest) {
        if (to instanceof AudioDestinationNode) {
            const context = this.context;
            if (!context.hub) { context.hub = context.createGain(); listen(context, context.hub); }
            connect.call(this, context.hub);
        }
        return connect.call(this, to, ...rest);
    };
"""
CELL = """import torch
from tts_lab.show.player import Player
from tts_lab.show.sound_player import SoundPlayer
t = torch.arange(220_500) / 22_050
low, high = (Player(0.2 * torch.sin(6.2832 * f * t), 22_050) for f in (220, 2500))
sounds = {"A": low, "B": high, "X": low}
player = SoundPlayer(sounds, keys=("y", "r"))
player.on_key(lambda key: player.load(sounds) if key == "r" else setattr(player, "chosen", 0))
player"""
CLOCK = ".tts-clock"


@pytest.fixture(scope="module")
def page(workbench):
    with workbench() as bench:
        bench.page.add_init_script(LISTEN)
        bench.write("player.ipynb", CELL, "player.heard, player.chosen")
        bench.open("player.ipynb")
        bench.run_all()
        bench.page.wait_for_selector(".tts-player")
        yield bench.page


def seconds(page):
    return float(page.locator(CLOCK).inner_text().split("/")[0])


def until(page, second):
    page.wait_for_function("s => parseFloat(document.querySelector('.tts-clock').innerText) >= s", arg=second)


def test_changing_the_sound_leaves_no_gap(page):
    """Heard at the loudspeaker: 220 Hz, then 2,500 Hz, then 220 Hz again, and never silence between."""
    page.locator(".tts-play").click()
    for key, second in (("b", 0.7), ("x", 1.4), (" ", 2.1)):
        until(page, second)
        page.keyboard.press(key)
    sound, rate = np.array(page.evaluate("() => window.recorded")), page.evaluate("() => window.rate")
    heard = np.flatnonzero(np.abs(sound) > 0.02)
    sound = sound[heard[0] : heard[-1]]
    window = int(0.005 * rate)
    level = np.sqrt((sound[: sound.size // window * window].reshape(-1, window) ** 2).mean(1))[2:-2]
    assert level.size * 0.005 > 1.5
    assert level.min() > 0.4 * np.median(level)
    part = int(0.25 * rate)
    pitch = [
        np.abs(np.diff(np.sign(sound[i : i + part]))).sum() / 4 / 0.25 for i in range(0, sound.size - part, part // 5)
    ]
    assert max(pitch) == pytest.approx(2500, rel=0.03)
    assert pitch[0] == pytest.approx(220, rel=0.1)
    assert pitch[-1] == pytest.approx(220, rel=0.1)
    assert page.locator(".tts-heard").count() == 3  # and it is known what was heard
    assert page.locator(".tts-choice[aria-checked='true']").inner_text().startswith("X")


def test_a_letter_reaches_the_player_and_not_the_notebook(page):
    """In a notebook's command mode, x would cut the cell."""
    page.locator(".tts-player").focus()
    for key in "xab":
        page.keyboard.press(key)
    assert page.locator(".jp-Cell").count() == 2
    assert page.locator(".tts-choice[aria-checked='true']").inner_text().startswith("B")


def test_a_key_that_was_asked_for_reaches_python(page):
    page.locator(".tts-player").focus()
    page.keyboard.press("y")
    page.wait_for_function("() => document.querySelector('.tts-choice').getAttribute('aria-checked') === 'true'")


def test_a_click_seeks_and_keys_move(page):
    box = page.locator("canvas.tts-cursor").bounding_box()
    left, wide = 46, box["width"] - 54
    page.mouse.click(box["x"] + left + wide / 2, box["y"] + 100)
    assert seconds(page) == pytest.approx(5, abs=0.05)
    page.keyboard.press("ArrowRight")
    assert seconds(page) == pytest.approx(5.25, abs=0.05)
    page.keyboard.press("Home")
    assert seconds(page) == 0


def test_zoomed_in_a_click_is_finer(page):
    page.locator(".tts-player").focus()
    for _ in range(4):
        page.keyboard.press("+")
    box = page.locator("canvas.tts-cursor").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 10, box["y"] + 100)
    assert seconds(page) == pytest.approx(10 / 1.6**4, abs=0.05)
    page.keyboard.press("0")


def test_everything_has_a_name_for_those_who_do_not_see_it(page):
    controls = "[...document.querySelectorAll('.tts-player button, .tts-player input')]"
    assert page.evaluate(f"() => {controls}.map((control) => control.ariaLabel)").count(None) == 0
    assert page.locator(".tts-player [role=radio]").count() == 3
    assert page.locator(".tts-position").get_attribute("aria-valuetext").endswith("of 10.0 seconds")


def test_the_same_sounds_loaded_again_are_not_heard_yet(page):
    """Two trials of a listening test may hold the same sounds: what was heard of the first counts for the first."""
    page.locator(".tts-player").focus()
    page.keyboard.press("Home")
    page.locator(".tts-play").click()
    page.locator(".tts-heard").first.wait_for()
    page.keyboard.press("r")
    page.wait_for_function("() => document.querySelectorAll('.tts-heard').length === 0")
    assert page.locator(".tts-play").get_attribute("aria-label").startswith("Play")
