"""The page as a visitor sees it: it speaks, complains about nothing, and asks no other host for anything."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import soundfile

from tts_lab.web.limits import Limits
from tts_lab.web.serve import Address, Server
from tts_lab.web.shelf import Shelf

TEXT = "今天天气真好，我们一起去公园吧！"
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "web.png"
PATIENCE = 180_000  # ms


def speak(page, url, text=TEXT):
    """Open the page, type, press Speak, wait for the sound and for the picture of the memory."""
    page.goto(url)
    page.get_by_label("Text 文本").fill(text)
    page.get_by_role("button", name="Speak 合成").click()
    see_memory(page)


def see_memory(page):
    bar = page.locator("#bar img")
    bar.wait_for(state="attached", timeout=PATIENCE)
    bar.scroll_into_view_if_needed()  # pictures below the edge are fetched when they come into view
    page.wait_for_function("document.querySelector('#bar img').naturalWidth > 0", timeout=PATIENCE)


class Visit:
    """A page, what it asked for, and what it complained about."""

    def __init__(self, browser, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.asked, self.complaints = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", self.listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def listen(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def foreign(self, url):
        return [each for each in self.asked if not each.startswith((url, "data:", f"blob:{url}"))]


@pytest.fixture
def visit(browser):
    visits = []

    def start(**options):
        visits.append(Visit(browser, **options))
        return visits[-1]

    yield start
    for each in visits:
        each.context.close()


def wide(page):
    """Whether something sticks out at the side."""
    return page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth + 1")


def test_type_press_hear_see(server, visit):
    visit = visit(viewport={"width": 1280, "height": 900})
    page = visit.page
    speak(page, server.url)
    assert "s of speech" in page.locator("#done").inner_text()
    sound = page.request.get(page.locator("#sound a[download]").get_attribute("href")).body()
    assert soundfile.info(io.BytesIO(sound)).duration == pytest.approx(1.95, abs=0.1)
    assert page.locator("#verdict").inner_text().startswith("Fits: ")
    assert page.locator("#mel img").get_attribute("alt").startswith("Waveform and mel spectrogram")
    page.get_by_role("tab", name="Receipt 明细").click()
    assert "real-time factor" in page.locator("#receipt").inner_text()
    assert visit.complaints == []
    assert len(visit.asked) > 10
    assert visit.foreign(server.url) == []


def test_a_refusal_is_shown_and_no_old_result_beside_it(server, visit):
    visit = visit()
    speak(visit.page, server.url)
    visit.page.get_by_label("Text 文本").fill("好" * 201)
    visit.page.get_by_role("button", name="Speak 合成").click()
    visit.page.get_by_text("The text has 201 characters").first.wait_for(timeout=PATIENCE)
    assert visit.page.locator("#sound a[download]").count() == 0
    assert visit.page.locator("#bar img").count() == 0


def test_levers_that_nobody_touched_are_the_recipes(server, visit):
    page = visit().page
    page.goto(server.url)
    page.get_by_role("button", name="Advanced").click()
    page.get_by_label("Seed 随机种子").fill("7")
    page.get_by_label("Guidance 引导").fill("1")
    page.get_by_label("Text 文本").fill(TEXT)
    page.get_by_role("button", name="Speak 合成").click()
    see_memory(page)
    page.get_by_role("tab", name="Receipt 明细").click()
    rows = dict(line.split("\t") for line in page.locator("#receipt").inner_text().splitlines() if "\t" in line)
    assert (rows["seed"], rows["evaluations"], rows["recipe"]) == ("7", "8", "default with guidance 1.0")


def test_a_system_without_weights_says_why_and_is_predicted(server, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("TTS_LAB_WEIGHTS", str(tmp_path))
    page = visit().page
    page.goto(server.url)
    page.get_by_label("System 系统").click()
    page.get_by_role("option", name="sambert").click()
    page.get_by_text("tts-lab fetch sambert").first.wait_for(timeout=PATIENCE)
    page.get_by_label("Text 文本").fill(TEXT)
    page.get_by_role("button", name="Predict without speaking").click()
    see_memory(page)
    assert page.locator("#verdict").inner_text().startswith("Fits: ")


def test_stop(serve, slow, soon, visit):
    server, page = serve(), visit().page
    page.goto(server.url)
    page.get_by_label("System 系统").click()
    page.get_by_role("option", name="slow").click()
    page.get_by_label("Text 文本").fill(TEXT)
    page.get_by_role("button", name="Speak 合成").click()
    soon(lambda: slow and slow[0].begun.is_set())
    page.get_by_role("button", name="Stop 停止").click()
    soon(lambda: not server.events.running)
    page.locator("#done", has_text="Stopped.").wait_for(timeout=PATIENCE)
    assert not slow[0].enough.is_set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone(server, visit, scheme):
    """Nothing sticks out, the result comes before the settings, and text stands out from its background."""
    page = visit(viewport={"width": 360, "height": 740}, color_scheme=scheme).page
    speak(page, server.url)
    assert not wide(page)
    ask, made, settings = (page.locator(name).bounding_box()["y"] for name in ("#ask", "#made", "#settings"))
    assert ask < made < settings
    page.mouse.move(0, 0)  # a button under the mouse has another colour
    page.wait_for_timeout(400)  # and changes it slowly
    contrasts = page.evaluate(CONTRAST)
    assert len(contrasts) > 20
    assert [each for each in contrasts if each[0] < 4.5] == []  # WCAG 2.2, 1.4.3


CONTRAST = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, share, i) => sum + share * linear(c[i] / 255), 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const c = numbers(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] > 0.9) return c;
    }
    return [255, 255, 255];
  };
  const written = (node) => node.value || [...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
  const shown = (node) => node.checkVisibility({opacityProperty: true, visibilityProperty: true});
  const parts = document.querySelectorAll('#head *, #ask *, #made *, #settings *, footer *');
  return [...parts].filter((node) => written(node) && shown(node)).map((node) => {
    const [a, b] = [numbers(getComputedStyle(node).color), ground(node)].map(light).sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), (node.innerText || node.value || node.tagName).slice(0, 40)];
  });
}"""


def test_every_field_has_a_name(server, visit):
    page = visit().page
    page.goto(server.url)
    page.get_by_label("Text 文本").wait_for(timeout=PATIENCE)
    for name in ("Advanced 高级: levers, seed", "Imitate a voice 参考音频"):
        page.get_by_role("button", name=name).click()
    page.get_by_label("Seed 随机种子").wait_for(timeout=PATIENCE)
    nameless = page.evaluate(
        "[...document.querySelectorAll('input:not([type=file]), textarea, select')].filter(f => f.offsetParent && "
        "!(f.labels && f.labels.length) && !f.getAttribute('aria-label')).map(f => f.outerHTML.slice(0, 120))"
    )
    assert nameless == []
    for text in ("Text 文本", "System 系统", "Voice 音色", "Recipe 方案", "Card 显卡", "Speed 语速"):
        assert page.get_by_label(text).first.is_visible(), text


def test_login_page_asks_no_other_host(serve, visit):
    server, visit = serve(Limits(), login=("ann", "secret")), visit()
    visit.page.goto(server.url)
    visit.page.get_by_label("username").fill("ann")
    visit.page.get_by_label("password").fill("secret")
    visit.page.get_by_role("button", name="Login").click()
    visit.page.get_by_label("Text 文本").wait_for(timeout=PATIENCE)
    assert visit.foreign(server.url) == []


@pytest.mark.slow
def test_the_bundled_voice(browser):
    """Set TTS_LAB_PICTURES to a folder to keep the picture that docs/ has."""
    with Server(Shelf("cpu"), Limits(), Address(port=0)) as server:
        page = browser.new_page(viewport={"width": 1240, "height": 900})
        page.set_default_timeout(PATIENCE)
        try:
            speak(page, server.url, "你好。")  # the first speech of a process is slower than any other
            speak(page, server.url)
            assert "s of speech" in page.locator("#done").inner_text()
            page.wait_for_timeout(1500)  # the player draws its wave
            if folder := os.environ.get("TTS_LAB_PICTURES"):
                keep(page.screenshot(full_page=True), Path(folder) / "web.png")
        finally:
            page.close()


def keep(picture, path):
    """In few colours, so that the file stays small."""
    from PIL import Image

    Image.open(io.BytesIO(picture)).convert("RGB").quantize(96, dither=Image.Dither.NONE).save(path, optimize=True)


def test_the_picture_of_the_readme_is_small():
    assert PICTURE.stat().st_size < 200 * 1024
