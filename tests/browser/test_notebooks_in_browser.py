"""The main notebooks as a person meets them: opened in JupyterLab, run from the top, moved, heard, answered.

What a whole desktop in a browser does on a busy machine is not all ours: a test that fails is taken once more, and the
summary of the run says so (`-ra`).
"""

from __future__ import annotations

import pytest

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = [pytest.mark.slow, pytest.mark.flaky(reruns=1)]


def test_start_here_speaks_and_keeps_takes(workbench):
    """Run everything, move a slider, speak twice, and go from one take to the other."""
    with workbench() as bench:
        bench.open("notebooks/00_start_here.ipynb")
        bench.run_all()
        panel = bench.page.locator(".tts-lab-workbench")
        panel.scroll_into_view_if_needed()
        speak = panel.locator(".tts-lab-speak")
        speak.click()
        panel.get_by_text("take A").wait_for(timeout=120_000)
        bench.slide(panel, "steps", 4)
        panel.get_by_text(": default with steps 8").wait_for(timeout=60_000)  # a click overtakes a lever that moves
        speak.click()
        panel.get_by_text("take B").wait_for(timeout=120_000)
        player = panel.locator(".tts-player")
        assert player.locator(".tts-choice").count() == 2
        assert player.locator(".tts-choice[aria-checked='true']").inner_text().startswith("B: steps 8")
        player.locator(".tts-play").click()
        bench.page.keyboard.press("1")
        player.locator(".tts-choice[aria-checked='true']", has_text="A: default").wait_for()
        player.locator(".tts-heard").first.wait_for()
        bench.picture("workbench", panel)


def test_steps_are_heard_and_the_film_is_scrubbed(workbench):
    with workbench() as bench:
        bench.open("notebooks/06_steps_and_precision.ipynb")
        bench.run_all()
        player = bench.page.locator(".tts-player").first
        player.scroll_into_view_if_needed()
        player.locator(".tts-play").click()
        for key, title in (("4", "16 steps"), ("1", "1 step")):
            bench.page.wait_for_timeout(300)
            bench.page.keyboard.press(key)
            player.locator(".tts-choice[aria-checked='true']", has_text=title).wait_for()
        bench.picture("player", player)
        film = bench.page.locator(".tts-lab-film")
        film.scroll_into_view_if_needed()
        before = film.locator("img").get_attribute("src")
        bench.slide(film, "step", -5)
        bench.page.wait_for_function("([e, old]) => e.src !== old", arg=[film.locator("img").element_handle(), before])


def test_a_listening_test_is_taken_to_its_end(workbench):
    """Three trials of ABX: nothing is told before the last answer, and then what was heard."""
    cells = (
        "from tts_lab import Recipe, load_system, say\nfrom tts_lab.experiments import listening\n"
        "from tts_lab.show.listening_panel import ListeningPanel\nmini = load_system('mini')\n"
        "spoken = {'你好。': {f'{n} steps': say(mini, '你好。', Recipe(steps=n)) for n in (1, 8)}}",
        "test = listening.abx(listening.sounds(spoken), trials=3)\n"
        "panel = ListeningPanel(listening.ListeningSession(test, 'somebody'))\npanel",
    )
    with workbench() as bench:
        bench.write("abx.ipynb", *cells)
        bench.open("abx.ipynb")
        bench.run_all()
        panel = bench.page.locator(".tts-lab-listening")
        panel.locator(".tts-loop").click()
        for trial in range(3):
            panel.get_by_text(f"{trial + 1} of 3").wait_for()
            expect(panel.locator(".tts-heard")).to_have_count(0)
            panel.locator(".tts-play").click()
            for key in "abx":
                bench.page.keyboard.press(key)
                bench.page.wait_for_timeout(350)
                panel.locator(".tts-choice.tts-heard", has_text=key.upper()).wait_for()
            assert "steps" not in panel.inner_text()
            if trial == 0:
                bench.picture("listening", panel)
            panel.locator(".tts-lab-answer-a").click()
            panel.locator(".tts-lab-next").click()
        result = panel.locator(".tts-lab-result")
        result.get_by_text("of 3").first.wait_for()
        assert "1 steps" in result.inner_text()
