"""Pictures, page and magic of a memory report, as a reader sees them."""

from __future__ import annotations

import json
import pickle
import re
from html.parser import HTMLParser
from typing import Any

import pytest
import torch
from torch import nn

from tts_lab.errors import OutputError
from tts_lab.memory.cards import find_card
from tts_lab.memory.events import EventLog
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.snapshot import snapshot_of, write_snapshot
from tts_lab.memory.tracer import Tracer
from tts_lab.memory.twins import twin, twin_namespace
from tts_lab.show.memory_figure import VERDICT, cards_figure, memory_figure, waterfall_figure
from tts_lab.show.memory_page import memory_page, write_page


@pytest.fixture(scope="module")
def log() -> EventLog:
    with torch.device("meta"):
        net, x = nn.Sequential(nn.Linear(256, 4096), nn.GELU(), nn.Linear(4096, 256)), torch.zeros(64, 256)
    with Tracer(meta={"system": "made-up", "recipe_name": "<b>"}) as tracer:
        tracer.place(net, "net")
        with tracer.stage("acoustic"):
            for _ in range(3):
                y = net(x)
        with tracer.stage("vocoder"):
            y.relu()
    return tracer.log


def report(log: EventLog, card: str = "rtx3070") -> MemoryReport:
    return MemoryReport.of(log, card)


def texts(figure: Any) -> str:
    found = [figure._suptitle.get_text()] if figure._suptitle else []
    for axes in figure.axes:
        found += [t.get_text() for t in (*axes.texts, *axes.get_xticklabels(), *axes.get_yticklabels())]
        found += [axes.get_xlabel(), axes.get_ylabel()]
    return " ".join(found)


# --- figures ---


def test_the_figure_says_verdict_peak_and_stages(log: EventLog) -> None:
    words = texts(memory_figure(report(log)))
    assert "Fits: made-up, <b> on NVIDIA GeForce RTX 3070 8 GB" in words
    assert "(predicted)" in words
    assert f"peak {report(log).peak_allocated / 2**20:,.2f} in acoustic" in words
    assert "vocoder" in words
    assert "MiB allocated" in words


def test_the_areas_of_the_figure_reach_the_peak(log: EventLog) -> None:
    axes = memory_figure(report(log)).axes[0]
    highest = max(path.vertices[:, 1].max() for area in axes.collections for path in area.get_paths())
    assert highest == pytest.approx(report(log).peak_allocated / 2**20)


def test_a_limit_is_drawn_where_it_is_near_and_left_out_where_it_is_far(log: EventLog) -> None:
    close = find_card(f"{(report(log).context + report(log).peak_reserved) / 2**20 + 5}mib")
    assert "what the card has for PyTorch" in texts(memory_figure(MemoryReport.of(log, close)))
    assert "what the card has for PyTorch" not in texts(memory_figure(report(log)))


def test_where_memory_runs_out_there_is_a_mark(log: EventLog) -> None:
    small = find_card(f"{(report(log).context + report(log).peak_reserved) / 2**20 - 1}mib")
    figure = memory_figure(MemoryReport.of(log, small))
    assert "Out of memory" in texts(figure)
    assert "missing" in texts(figure)
    assert any(line.get_marker() == "X" for line in figure.axes[0].lines)
    assert figure._suptitle.get_color() == VERDICT["out_of_memory"]


def test_bars_are_as_long_as_the_peaks(log: EventLog) -> None:
    axes = waterfall_figure({"one": report(log), "two": report(log, "h100")}, limit=2**25).axes[0]
    ends = {round(bar.get_y()): bar.get_x() + bar.get_width() for bar in axes.patches}
    assert ends[0] == pytest.approx(report(log).peak_allocated / 2**20)
    words = texts(cards_figure([report(log), report(log, "300mb")]).axes[0].figure)
    assert "fits" in words
    assert "out of memory" in words
    for empty in (waterfall_figure, cards_figure):
        with pytest.raises(ValueError, match="no reports"):
            empty({} if empty is waterfall_figure else [])


def test_a_report_without_a_time_line_draws_its_stages(log: EventLog) -> None:
    import dataclasses

    figure = memory_figure(dataclasses.replace(report(log), timeline=(), source="measured"))
    assert len(figure.axes) == 1
    assert "(measured)" in texts(figure)


# --- the page ---


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_is_one_file_that_asks_for_nothing(log: EventLog) -> None:
    text = memory_page(report(log))
    page = Page(text)
    assert page.links == []
    assert not re.search(r"@import|url\(", text)
    assert page.tags.count("table") >= 3
    assert "<b>" not in text.split("<main>")[0].split("<title>")[1]  # the recipe's name is escaped
    points = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])["points"]  # type: ignore[index]
    assert max(point[2] for point in points) == report(log).peak_allocated


def test_the_page_s_areas_end_at_the_peak(log: EventLog) -> None:
    """The highest point of the stack, back from the picture's units."""
    text, made = memory_page(report(log)), report(log)
    ys = [
        float(y)
        for shape in re.findall(r'<polygon[^>]*points="([^"]*)"', text)
        for _, y in (p.split(",") for p in shape.split())
    ]
    top = 1.08 * made.peak_reserved
    assert (274 - min(ys)) / 256 * top == pytest.approx(made.peak_allocated, rel=0.01)


def test_the_page_is_written_whole_or_not_at_all(log: EventLog, tmp_path: Any) -> None:
    assert write_page(report(log), tmp_path / "a.html").read_text("utf-8").endswith("</html>\n")
    with pytest.raises(OutputError, match=r"does not end in \.html"):
        write_page(report(log), tmp_path / "a.txt")
    with pytest.raises(OutputError, match="choose another folder"):
        write_page(report(log), tmp_path / "nowhere" / "a.html")
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


# --- the snapshot ---


def test_the_snapshot_is_what_pytorch_s_viewer_reads(log: EventLog, tmp_path: Any) -> None:
    from torch.cuda import _memory_viz as viewer

    path = write_snapshot(log, find_card("rtx3070"), tmp_path / "a.pickle")
    data = pickle.loads(path.read_bytes())
    for picture in (viewer.trace_plot, viewer.segment_plot):
        assert "<html" in picture(data).lower() or "<script" in picture(data)
    assert viewer.trace(data).count("= seg_") > 3
    names = [frame["name"] for entry in data["device_traces"][0] for frame in entry["frames"]]
    assert {"aten.addmm.default", "net.0", "stage acoustic"} <= set(names)


def test_the_snapshot_s_trace_reaches_the_peak_of_the_replay(log: EventLog) -> None:
    data = snapshot_of(log, find_card("rtx3070"))
    live, highest = 0, 0
    for entry in data["device_traces"][0]:
        live += entry["size"] * {"alloc": 1, "free_requested": 0, "free_completed": -1}[entry["action"]]
        highest = max(highest, live)
    assert highest == log.peak_bytes()
    held = sum(block["requested_size"] for segment in data["segments"] for block in segment["blocks"])
    assert held == int(log.live_bytes()[-1])


# --- twins ---


def test_a_twin_has_the_structure_and_no_values() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(10, 4)
            self.head = nn.Linear(4, 10, bias=False)
            self.head.weight = self.table.weight
            self.register_buffer("scale", torch.ones(3))
            self.plain = torch.ones(5)

    net = Net().half()
    made = twin(net)
    assert made.head.weight is made.table.weight
    assert {t.device.type for t in (*made.parameters(), *made.buffers(), made.plain)} == {"meta"}
    assert made.table.weight.dtype == torch.float16
    assert net.table.weight.device.type == "cpu"
    assert [t.device.type for t in twin([torch.ones(1), {"a": torch.ones(1)}["a"]])] == ["meta"] * 2
    assert twin("text") == "text"


def test_functions_of_a_namespace_see_its_twins() -> None:
    names: dict[str, Any] = {"torch": torch}
    exec("model = torch.nn.Linear(3, 4)\ndef inner(x): return model(x)\ndef outer(x): return inner(x)", names)
    code = compile("y = outer(torch.empty(2, 3, device='meta'))", "cell", "exec")
    space = twin_namespace(names, code)
    exec(code, space)
    assert space["y"].device.type == "meta"
    assert names["model"].weight.device.type == "cpu"


# --- the magic ---


@pytest.fixture
def shell() -> Any:
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "tts_lab")
    made.run_cell(
        "import torch\nfrom torch import nn\nmodel = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64))\n"
        "x = torch.zeros(8, 64)\ndef twice(x): return model(model(x))"
    ).raise_error()
    yield made
    InteractiveShell.clear_instance()


CELL = "with stage('one'):\n    y = twice(x)\nwith stage('two'):\n    z = y.softmax(-1) + torch.ones(8, 1)"


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_magic_reports_a_cell(shell: Any, device: str) -> None:
    found = shell.run_cell_magic("vram", f"--card 8gb --device {device}", CELL)
    assert [stage.name for stage in found.stages] == ["one", "two"]
    assert found.alive.by_category["weight"] >= 4 * (64 * 256 * 2 + 256 + 64)
    assert "model.0" in {holder.module for holder in found.holders}
    assert ("y" in shell.user_ns) is (device == "cpu")  # on meta nothing was computed, so nothing is kept
    assert "stage" not in shell.user_ns
    assert shell.user_ns["x"].device.type == "cpu"


def test_meta_and_cpu_give_the_same_report(shell: Any) -> None:
    on_meta, on_cpu = (shell.run_cell_magic("vram", f"--device {d} --card 8gb", CELL) for d in ("meta", "cpu"))
    assert on_meta.peak_allocated == on_cpu.peak_allocated
    assert on_meta.alive == on_cpu.alive


def test_autograd_left_on_costs_more(shell: Any) -> None:
    off, on = (shell.run_cell_magic("vram", line, "y = twice(x); z = y * 2") for line in ("", "--grad"))
    assert on.peak_allocated > off.peak_allocated


def test_a_model_of_a_library_is_reported_as_it_is(shell: Any) -> None:
    shell.run_cell("net = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, batch_first=True), 2).eval()")
    found = shell.run_cell_magic("vram", "--depth 3", "y = net(torch.zeros(1, 50, 64))")
    assert "net.layers.0" in {holder.module for holder in found.holders}


def test_a_report_can_be_named(shell: Any) -> None:
    assert shell.run_cell_magic("vram", "--out mine", "model(x)") is None
    assert isinstance(shell.user_ns["mine"], MemoryReport)


@pytest.mark.parametrize(
    ("line", "cell", "words"),
    [
        ("--card rtx3o70", "1", "Did you mean rtx3070"),
        ("--card=-8gb", "1", "must be more than nothing"),
        ("--device tpu", "1", "meta or cpu, not on 'tpu'"),
        ("--alloc-conf max_split_size:1", "1", "did you mean 'max_split_size_mb'"),
        ("", "if model(x).sum() > 0: pass", "give the length explicitly"),
        ("", "torch.nonzero(x)", "asks for a value"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_sentence(shell: Any, line: str, cell: str, words: str) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match=re.escape(words)):
        shell.run_cell_magic("vram", line, cell)


def test_a_cell_may_move_its_model(shell: Any) -> None:
    shell.run_cell_magic("vram", "", "model(x.cpu()) if False else model.to('cpu')(x)")


def test_an_error_of_the_cell_is_its_own(shell: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        shell.run_cell_magic("vram", "--device cpu", "1 / 0")
    assert "stage" not in shell.user_ns


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card here")
def test_measuring_without_a_card_is_refused(shell: Any) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match="no CUDA card 0"):
        shell.run_cell_magic("vram", "--device cuda", "1")
