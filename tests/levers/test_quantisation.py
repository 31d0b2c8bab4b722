from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from networks import on_both
from torch import Tensor, nn

from tts_lab.audio import backend
from tts_lab.experiments.vram import vram
from tts_lab.levers import quantisation
from tts_lab.levers.quantisation import Codes, quantised, rounded
from tts_lab.levers.residency import Residency
from tts_lab.nn.gpt2 import InOutLinear
from tts_lab.recipe import Recipe

LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(64, 96), (2, 5, 64)),
    "without a bias": (lambda: nn.Linear(64, 96, bias=False), (5, 64)),
    "stored in, out": (lambda: InOutLinear(64, 96), (2, 5, 64)),
    "convolution": (lambda: nn.Conv1d(32, 64, 5, padding=2), (2, 32, 9)),
    "in groups": (lambda: nn.Conv1d(64, 64, 65, groups=32, padding=32), (2, 64, 9)),
    "in two dimensions": (lambda: nn.Conv2d(16, 32, 3), (1, 16, 9, 9)),
    "upsampling": (lambda: nn.ConvTranspose1d(32, 32, 8, 4), (2, 32, 9)),
}


def test_the_convolution_of_transformers_is_known_by_its_name() -> None:
    backend.torchaudio()
    from transformers.pytorch_utils import Conv1D

    torch.manual_seed(0)
    layer, x = Conv1D(96, 64).requires_grad_(False), torch.randn(2, 5, 64)
    reduced, expected = quantised(layer, "int8"), layer(x)
    assert reduced.codes.shape == (64, 96)
    assert reduced.scale.shape == (1, 96)
    assert 0 < (reduced(x) - expected).norm() / expected.norm() < 0.01


def test_a_weight_that_hangs_in_two_layers_stays() -> None:
    """Codes of it would come beside it, not in its place."""
    net = nn.Sequential(nn.Embedding(500, 64), nn.Linear(64, 500, bias=False), nn.Linear(500, 64))
    net[1].weight = net[0].weight
    reduced = quantised(net, "int8")
    assert reduced[1].weight is net[0].weight
    assert isinstance(reduced[2], Codes)


@pytest.mark.parametrize(("kind", "error"), [("int8", 0.01), ("fp8", 0.05)])
@pytest.mark.parametrize("name", LAYERS)
def test_every_kind_of_layer_computes_nearly_the_same(name: str, kind: str, error: float) -> None:
    build, shape = LAYERS[name]
    torch.manual_seed(0)
    layer, x = build().requires_grad_(False), torch.randn(shape)
    reduced, expected = quantised(layer, kind), layer(x)
    assert isinstance(reduced, Codes)
    assert reduced.codes.dtype == quantisation.FORMATS[kind][0]
    assert 0 < (reduced(x) - expected).norm() / expected.norm() < error
    assert torch.equal(layer(x), expected), "the original is as it was"


@pytest.mark.parametrize("output", [0, 1])
def test_codes_are_the_nearest_of_their_channel(output: int) -> None:
    weight = (
        torch.randn(40, 30, 3, generator=torch.Generator().manual_seed(1)) * torch.logspace(-4, 2, 40)[:, None, None]
    )
    codes, scale = rounded(weight, "int8", output)
    assert scale.shape == ((40, 1, 1), (1, 30, 1))[output]
    assert codes.abs().max() == 127
    assert ((codes * scale - weight).abs() <= scale * 0.501).all()


def test_a_channel_of_zeros_stays_zero() -> None:
    for kind in quantisation.FORMATS:
        codes, scale = rounded(torch.zeros(4, 8), kind, 0)
        assert torch.isfinite(scale).all()
        assert not (codes.float() * scale).any()


def test_embeddings_norms_and_small_layers_stay() -> None:
    module = nn.ModuleList(
        [nn.Embedding(100, 64), nn.LayerNorm(64), nn.Linear(8, 8), nn.LSTM(64, 64), nn.Linear(64, 64)]
    )
    changed = [a is not b for a, b in zip(_weights(module), _weights(quantised(module, "int8")), strict=True)]
    assert changed == [False, False, False, True]


def _weights(modules: nn.ModuleList) -> list[Tensor]:
    return [m.weight for m in modules if hasattr(m, "weight")]


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_a_very_large_layer_is_never_whole(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = nn.Linear(64, 100).requires_grad_(False), torch.randn(3, 64)
    whole = quantised(layer, kind)(x)
    monkeypatch.setattr(quantisation, "SLICE", 64 * 7)
    made: list[int] = []
    product = quantisation._product
    monkeypatch.setattr(quantisation, "_product", lambda a, b: made.append(a.numel()) or product(a, b))
    torch.testing.assert_close(quantised(layer, kind)(x), whole)
    assert max(made) == 64 * 7
    assert sum(made) == 6400


def test_a_lent_stage_in_eight_bits_is_half_of_fp16() -> None:
    original = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512)).requires_grad_(False)
    home, sizes = Residency("cpu", lends=True), {}
    for kind in ("none", "int8", "fp8"):
        with home.use(original, "fp16", "none", kind) as lent:
            sizes[kind] = sum(t.nbytes for t in (*lent.parameters(), *lent.buffers()))
            assert {t.dtype for t in lent.parameters()} == {torch.float16}
        assert home.resident() == (original,)
    assert sizes["int8"] == sizes["fp8"] < 0.51 * sizes["none"]


@pytest.mark.parametrize("kind", ["int8", "fp8"])
def test_a_trace_is_that_of_a_real_run(kind: str) -> None:
    def build() -> tuple[nn.Module, Tensor]:
        layers = [build() for build, _ in list(LAYERS.values())[:3]]
        chain = nn.Sequential(layers[0], nn.ReLU(), nn.Linear(96, 64), *layers[1:2], nn.Linear(96, 64), layers[2])
        chain += nn.Sequential(*(nn.Linear(96, 96) for _ in range(6)))
        return quantised(chain, kind), torch.zeros(2, 5, 64)

    on_both(build)


def test_streamed_in_eight_bits_is_resident_in_eight_bits_bit_for_bit() -> None:
    torch.manual_seed(0)
    original = nn.ModuleList([nn.Sequential(nn.Linear(256, 256), nn.Tanh()) for _ in range(3)]).requires_grad_(False)
    x, found = torch.randn(4, 256), []
    for offload in ("none", "stage", "layers"):
        with Residency("cpu", lends=True).use(original, "fp32", offload, "int8") as lent:
            y = x
            for layer in lent:
                y = layer(y)
            found.append(y)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_the_full_size_system_needs_less() -> None:
    least = {kind: vram("indextts2", "4gb", Recipe.named("fits-2gb").replace(quantisation=kind), 5.0, 5.0)
             for kind in ("none", "int8")}  # fmt: skip
    assert least["int8"].peak_allocated < 0.75 * least["none"].peak_allocated
