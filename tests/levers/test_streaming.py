"""Streaming: the same numbers, hardly any weights at a time, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from networks import assert_same, dit_inputs
from torch import Tensor, nn

from tts_lab.experiments.vram import vram
from tts_lab.levers import streaming
from tts_lab.levers.residency import Residency
from tts_lab.levers.streaming import Stream, units
from tts_lab.memory.tracer import Tracer
from tts_lab.nn.dit import DiT, DiTSizes
from tts_lab.nn.gpt2 import GPT2
from tts_lab.nn.hifigan import HiFiGAN, HiFiGANSizes
from tts_lab.nn.transformer import Decoder

SIZES = DiTSizes(20, 24, 12, 32, 4, 5, 48, prompt=True, final="wavenet", long_skip=True, wavenet_layers=3)
CPU = torch.device("cpu")


def decoded(model: Decoder, x: Tensor) -> Tensor:
    cache = model.cache("static", 1, x.shape[1] + 6)
    y = model(x, cache)[:, -1:]
    for _ in range(6):
        y = model(y, cache)
    return y


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Tensor]]] = {
    "decoder": (lambda: Decoder(32, 4, 5, 48), lambda m: decoded(m, torch.ones(1, 3, 32))),
    "dit": (lambda: DiT(SIZES), lambda m: m(*(torch.ones_like(x) for x in dit_inputs(SIZES, 12)))),
    "vocoder": (lambda: HiFiGAN(HiFiGANSizes(channels=32)), lambda m: m(torch.ones(1, 80, 9))),
    "lstm": (lambda: nn.Sequential(nn.Linear(4, 8), nn.LSTM(8, 8)), lambda m: m(torch.ones(3, 1, 4))[0]),
}


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    return CASES[name][0]().eval().requires_grad_(False)


@pytest.mark.parametrize("name", CASES)
def test_the_result_is_that_of_the_resident_module_bit_for_bit(name: str) -> None:
    module, run = built(name), CASES[name][1]
    with torch.inference_mode():
        resident = run(module)
        with Stream(module, CPU) as streamed:
            assert torch.equal(run(streamed), resident)
        assert torch.equal(run(module), resident)


@pytest.mark.parametrize("decoder", [Decoder(16, 2, 2, 32), GPT2(16, 2, 2)])
def test_a_cache_lies_where_the_layers_come_to(decoder: Decoder | GPT2) -> None:
    with Stream(decoder, torch.device("meta")) as streamed:
        kept = streamed.cache("static", 1, 8)
    assert {part.device.type for part in kept.parts} == {"meta"}


@pytest.mark.parametrize("name", CASES)
def test_everything_is_as_it_was_afterwards_also_after_an_error(name: str) -> None:
    module = built(name)
    before = {key: id(t) for key, t in (*module.named_parameters(), *module.named_buffers())}

    def run_and_fail() -> None:
        with Stream(module, CPU) as streamed:
            CASES[name][1](streamed)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        run_and_fail()
    assert {key: id(t) for key, t in (*module.named_parameters(), *module.named_buffers())} == before
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())


def test_units_are_layers_of_lists_and_large_single_layers() -> None:
    assert list(units(Decoder(32, 4, 3, 48))) == ["layers.0", "layers.1", "layers.2"]
    with torch.device("meta"):
        net = nn.Sequential(nn.Embedding(10_000, 512), nn.Linear(512, 4096), nn.Linear(64, 64))
    assert list(units(net)) == ["1"]
    nested = nn.ModuleList([nn.ModuleList([nn.Linear(2, 2)]), nn.GELU()])
    assert list(units(nested)) == ["0"]  # the outermost list decides; what has no weights is no unit


def test_at_most_two_units_are_there_and_the_next_one_is_ahead() -> None:
    module = built("decoder")
    stream = Stream(module, CPU)
    seen: list[list[int]] = []
    with torch.inference_mode(), stream as streamed:
        for i, unit in enumerate(stream.units):
            unit.module.register_forward_pre_hook(
                lambda *_, i=i: seen.append([j for j, u in enumerate(stream.units) if u.here])
            )
        decoded(streamed, torch.ones(1, 3, 32))  # type: ignore[arg-type]
    assert all(len(there) <= 2 for there in seen)
    assert seen[0] == [0, 1]
    assert seen[4] == [4]  # the first time round nobody knows that decoding begins again
    assert seen[9] == [0, 4]  # now it is known: while the last layer runs, the first is on its way


def test_the_peak_is_what_stays_and_two_units() -> None:
    with torch.device("meta"):
        model = Decoder(256, 4, 12, 512)
        x = torch.zeros(1, 4, 256)
    layer = sum(p.nbytes for p in model.layers[0].parameters())
    whole = sum(p.nbytes for p in model.parameters())
    with Tracer() as tracer:
        tracer.host(model)
        tracer.place(x)
        with Stream(model, torch.device("meta"), lambda part, path: tracer.place(part, f"m.{path}")) as streamed:
            streamed(x)
    peak = tracer.log.peak_bytes()
    assert 2 * layer < peak < 2.5 * layer < whole / 4
    assert tracer.log.bytes_of("weight") == whole  # every weight came once, and is called a weight
    assert tracer.log.live_bytes()[-1] <= x.nbytes


class PretendedStream:
    """A CUDA stream that only writes down what is asked of it."""

    def __init__(self, name: str, story: list[str]) -> None:
        self.name, self.story = name, story

    def record_event(self) -> PretendedEvent:
        self.story.append(f"{self.name} marks")
        return PretendedEvent(self)

    def wait_event(self, event: PretendedEvent) -> None:
        self.story.append(f"{self.name} waits for {event.stream.name}")


class PretendedEvent:
    def __init__(self, stream: PretendedStream) -> None:
        self.stream = stream

    def synchronize(self) -> None:
        self.stream.story.append(f"the computer waits for {self.stream.name}")


def test_the_computer_does_not_run_ahead_of_a_card_by_more_than_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its wait, memory would be asked for layer after layer while the first is still in use."""
    story: list[str] = []
    computing, copying = PretendedStream("computing", story), PretendedStream("copying", story)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: computing)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(Tensor, "record_stream", lambda tensor, stream: None)
    model = nn.Module()
    model.layers = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))  # type: ignore[assignment]
    stream = Stream(model, CPU, lambda part, path: story.append(f"{path} is asked for") if path else None)
    stream.side = copying  # type: ignore[assignment]
    with torch.inference_mode(), stream:
        for i, layer in enumerate(model.layers):  # type: ignore[arg-type]
            layer(torch.ones(1, 3))
            story.append(f"layers.{i} was launched")
    waits = [i for i, each in enumerate(story) if each == "the computer waits for computing"]
    assert len(waits) == 3
    for number, wait in enumerate(waits):  # the wait for one layer comes before the next but one is asked for
        assert story.index(f"layers.{number} was launched") < wait
        if number < 2:
            assert wait < story.index(f"layers.{number + 2} is asked for")
    assert story.count("computing waits for copying") == 4


def test_a_card_that_lends_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "LARGE_BYTES", 1)
    told: list[str] = []
    original = built("decoder")
    home = Residency("cpu", lends=True, on_copy=lambda of, part, path: told.append(path))
    with torch.inference_mode():
        expected = decoded(original, torch.ones(1, 3, 32))  # type: ignore[arg-type]
        with home.use(original, "fp32", "layers") as streamed:
            assert streamed is not original
            assert torch.equal(decoded(streamed, torch.ones(1, 3, 32)), expected)
    assert home.resident() == ()
    assert told[0] == ""
    assert {"layers.0", "layers.4"} <= set(told)
    with home.use(original, "fp32", "none"):
        assert home.resident() == (original,)


def test_a_streaming_stage_sends_the_others_away() -> None:
    home = Residency("cpu", lends=True)
    first, second = built("dit"), built("decoder")
    with home.use(first):
        pass
    with home.use(second, "fp32", "layers"):
        assert home.resident() == ()


def test_mini_on_meta_equals_the_cpu_event_for_event() -> None:
    from tts_lab.nn.source_filter import SourceFilterSizes
    from tts_lab.recipe import Recipe
    from tts_lab.systems.mini.config import DiTConfig, EncoderConfig, MiniConfig, SemanticConfig
    from tts_lab.systems.mini.lengths import VocoderSizes, trace_mini

    tiny = MiniConfig(("a", "b"), 8, 80, EncoderConfig(16, 2, 2, 16, 1), DiTConfig(16, 2, 3, 16),
                      SemanticConfig(16, 2, 2, 16))  # fmt: skip
    logs = [
        trace_mini(Recipe(steps=2, offload="layers", precision="fp16"), ((3, 7), (2, 9)), Tracer(device), tiny,
                   VocoderSizes(SourceFilterSizes(width=16, inner=24, layers=2), HiFiGANSizes(channels=32)))
        for device in ("meta", "cpu")
    ]  # fmt: skip
    assert_same(*logs)
    assert logs[0].live_bytes()[-1] == 0


def test_the_full_size_system_in_half_a_gigabyte() -> None:
    report = vram("indextts2", "rtx3070", "smallest")
    assert report.peak_allocated <= 0.5e9
    assert report.estimate is not None
    assert report.estimate.bound_by["transfer"] > report.estimate.bound_by["compute"]  # which is what it costs
