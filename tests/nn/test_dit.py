"""The diffusion transformer: IndexTTS-2's is a configuration of it; patches and masks do what they should."""

from dataclasses import replace

import pytest
import torch

from tts_lab.nn.dit import DiT, DiTSizes, TimeEmbedding

INDEXTTS2 = DiTSizes(80, 512, 192, 512, 8, 13, 1536, prompt=True, final="wavenet", long_skip=True)
# Sum over the released estimator's tensors that inference reads, weight norm folded: without x_embedder, cond_embedder,
# content_mask_embedder and the skip_in_linear of layers 0 to 6 (names and shapes of s2mel.pth of IndexTTS-2).
INDEXTTS2_PARAMETERS = 93_922_384


SMALL = DiTSizes(6, 5, 4, 16, 2, 4, 32, patch=2, feed_forward="conv", conv_position=7)


def small(**changes: object) -> DiT:
    torch.manual_seed(0)
    model = DiT(replace(SMALL, **changes)).eval()
    for p in model.parameters():  # blocks start as identities: wake them up
        torch.nn.init.normal_(p, std=0.1) if p.ndim > 1 else None
    return model


def inputs(t: int = 12) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(1)
    return (torch.randn(2, 6, t, generator=g), torch.rand(2, generator=g), torch.randn(2, t, 5, generator=g),
            torch.randn(2, 4, generator=g))  # fmt: skip


def test_indextts2_is_a_configuration_of_the_same_class() -> None:
    with torch.device("meta"):
        model = DiT(INDEXTTS2)
        out = model(*(torch.empty(s) for s in ((1, 80, 10), (1,), (1, 10, 512), (1, 192))), torch.empty(1, 80, 10))
    assert sum(p.numel() for p in model.parameters()) == INDEXTTS2_PARAMETERS
    assert out.shape == (1, 80, 10)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patch": 1},
        {"feed_forward": "swiglu"},
        {"layers": 5},
        {"layers": 1},
        {"final": "wavenet", "wavenet_layers": 2, "long_skip": True},
    ],
)
def test_shape_is_kept_and_every_input_matters(changes: dict) -> None:
    model, given = small(**changes), inputs()
    with torch.inference_mode():
        out = model(*given)
        assert out.shape == given[0].shape
        for i in range(4):
            other = [x + 0.5 if k == i else x for k, x in enumerate(given)]
            assert not torch.allclose(model(*other), out, atol=1e-4), f"input {i} has no effect"


def test_masked_frames_do_not_reach_real_ones_through_attention() -> None:
    model = small(conv_position=0, feed_forward="swiglu")
    x, t, content, style = inputs()
    mask = torch.ones(2, 12, dtype=torch.bool)
    mask[:, 8:] = False
    other = x.clone()
    other[:, :, 8:] += 3
    with torch.inference_mode():
        a, b = (model(y, t, content, style, mask=mask)[:, :, :8] for y in (x, other))
    torch.testing.assert_close(a, b)


def test_folding_into_patches_is_undone() -> None:
    model, x = small(), torch.randn(2, 12, 6)
    assert torch.equal(model.unfold(model.fold(x)), x)


def test_a_fresh_block_is_the_identity() -> None:
    torch.manual_seed(0)
    block = DiT(DiTSizes(6, 5, 4, 16, 2, 3, 32)).layers[0]
    x = torch.randn(1, 5, 16)
    assert torch.allclose(block(x, torch.randn(1, 16)), x)


def test_time_embedding_is_computed_in_float32_for_half_weights() -> None:
    torch.manual_seed(0)
    full = TimeEmbedding(16)
    t = torch.tensor([0.123, 0.777])
    expected = full(t)
    half = full.half()
    got = half(t)
    assert got.dtype == torch.float16
    torch.testing.assert_close(got.float(), expected, atol=3e-2, rtol=0)  # half sinusoids would be off by 0.3
