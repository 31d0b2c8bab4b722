"""Norms, feed-forward networks and the WaveNet stack against their definitions."""

import torch
import torch.nn.functional as F

from tts_lab.nn.feedforward import ConvFeedForward, ConvNeXt, SwiGLU
from tts_lab.nn.norm import AdaptiveNorm, RMSNorm
from tts_lab.nn.wavenet import WaveNet


def test_rms_norm_equals_torch() -> None:
    x = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(RMSNorm(16)(x), F.rms_norm(x, (16,), eps=1e-5))


def test_adaptive_norm_starts_as_a_plain_one_and_then_follows_its_condition() -> None:
    torch.manual_seed(0)
    norm, x = AdaptiveNorm(8, 3), torch.randn(2, 5, 8)
    torch.testing.assert_close(norm(x, torch.randn(2, 3)), F.rms_norm(x, (8,), eps=1e-5))
    torch.nn.init.normal_(norm.project.weight)
    assert not torch.allclose(norm(x, torch.ones(2, 3)), norm(x, -torch.ones(2, 3)))


def test_feed_forwards_keep_the_shape_and_reach_as_far_as_their_kernels() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 21, 8)
    changed = x.clone()
    changed[:, 10] += 1
    for module, reach in ((SwiGLU(8, 16), 0), (ConvFeedForward(8, 16), 2), (ConvNeXt(8, 16), 3)):
        with torch.inference_mode():
            moved = ((module(x) - module(changed)).abs().amax(-1)[0] > 1e-7).nonzero()[:, 0]
        assert module(x).shape == x.shape
        assert (int(moved.min()), int(moved.max())) == (10 - reach, 10 + reach)


def test_wavenet_sums_its_skip_outputs() -> None:
    torch.manual_seed(0)
    net = WaveNet(4, 1, 3, 2)
    x, c = torch.randn(1, 4, 9), torch.randn(1, 2)
    gate, given = net.gates[0](F.pad(x, (1, 1), mode="reflect")), net.condition(c[..., None])
    tanh, sigmoid = (gate + given).chunk(2, 1)
    torch.testing.assert_close(net(x, c), net.outputs[0](tanh.tanh() * sigmoid.sigmoid()))
