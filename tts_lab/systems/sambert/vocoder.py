"""The HiFi-GAN of KAN-TTS: mel -> waveform. Parameter names are the published ones, with weight norm folded.

Unlike the stock one: x + sin(x) before each stage, two upsamplers whose results are added, causal variants that see no
later frame, and variants with a harmonic source that need the pitch.

Axes: b batch, m mel bands, c channels, t mel frames, u hop length, s = t u samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tts_lab.nn.hifigan import LAST_SLOPE, SLOPE, fold_weight_norm
from tts_lab.systems.sambert.config import VocoderConfig
from tts_lab.systems.sambert.source import NoiseStream, SourceModule, folded, unfolded


class Conv(nn.Module):
    """Convolution that keeps the length, or divides it by `stride`. causal: all padding before the sound."""

    def __init__(
        self, before: int, after: int, kernel: int, *, causal: bool, dilation: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        span = (kernel - 1) * dilation
        self.margin = span if causal else 0
        even = stride // 2 if stride > 1 else span // 2
        self.conv1d = nn.Conv1d(before, after, kernel, stride, 0 if causal else even, dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1d(F.pad(x, (self.margin, 0)) if self.margin else x)


class Deconv(nn.Module):
    """Transposed convolution: length times stride. causal: what would come after the end is dropped."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.stride = stride
        self.deconv = nn.ConvTranspose1d(before, after, kernel, stride, 0 if causal else (kernel - stride) // 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.deconv(x)[:, :, : x.shape[2] * self.stride]


class ResidualBlock(nn.Module):
    """Pairs of convolutions, the first of each dilated, with residuals. (b, c, s) -> (b, c, s)."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...], causal: bool) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(Conv(channels, channels, kernel, causal=causal, dilation=d) for d in dilations)
        self.convs2 = nn.ModuleList(Conv(channels, channels, kernel, causal=causal) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = second(F.leaky_relu_(first(F.leaky_relu(x, SLOPE)), SLOPE)).add_(x)
        return x


class KanHiFiGAN(nn.Module):
    """forward(x (b, m, t)) -> samples (b, s) in [-1, 1].

    A variant with a source wants its excitation as hop_length more rows under the mel: `excited` puts them there. So a
    sound in tiles, or in pieces, is a matter of slicing frames.
    """

    def __init__(self, config: VocoderConfig) -> None:
        super().__init__()
        self.config = c = config
        widths = [c.channels // 2**i for i in range(len(c.upsample_scales) + 1)]
        stages = list(zip(widths, widths[1:], c.upsample_scales, c.upsample_kernal_sizes, strict=False))
        self.conv_pre = Conv(c.in_channels, widths[0], c.kernel_size, causal=c.causal)
        self.transpose_upsamples = nn.ModuleList(
            nn.Sequential(nn.LeakyReLU(SLOPE), Deconv(before, after, kernel, rate, causal=c.causal))
            for before, after, rate, kernel in stages
        )
        self.repeat_upsamples = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=rate), nn.LeakyReLU(SLOPE), Conv(before, after, c.kernel_size, causal=c.causal)
            )
            for before, after, rate, _ in stages
        )
        self.conv_blocks = nn.ModuleList(
            ResidualBlock(width, kernel, dilations, c.causal)
            for width in widths[1:]
            for kernel, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilations, strict=True)
        )
        self.conv_post = Conv(widths[-1], 1, c.kernel_size, causal=c.causal)
        if c.nsf_params:
            self.source_module = SourceModule(c.nsf_params, c.hop_length)
            self.source_downs = nn.ModuleList(
                Conv(1, width, 2 * rate, causal=c.causal, stride=rate) if rate > 1 else Conv(1, width, 1, causal=False)
                for width, rate in zip(widths[1:], self.source_rates(), strict=True)
            )

    def source_rates(self) -> list[int]:
        """For each stage, samples of the sound for one of the stage."""
        rates = self.config.upsample_scales
        return list(accumulate((1, *rates[:0:-1]), lambda a, b: a * b))[::-1]

    def forward(self, x: Tensor) -> Tensor:
        mel, excitation = x, None
        if self.config.nsf_params:
            mel, excitation = x[:, : self.config.in_channels], unfolded(x[:, self.config.in_channels :])
        x = self.conv_pre(mel)
        for i, (repeat, transpose) in enumerate(zip(self.repeat_upsamples, self.transpose_upsamples, strict=True)):
            # Both upsamplers begin with the same ReLU, which a repetition of samples does not change. Written out here,
            # because a function's caller would keep its argument alive.
            x = F.leaky_relu_(torch.sin(x).add_(x), SLOPE)
            y = repeat[-1](repeat[0](x))  # type: ignore[index,operator]
            if excitation is not None:
                y.add_(self.source_downs[i](excitation))
            x = y.add_(transpose[-1](x))  # type: ignore[index,operator]
            del y
            x = self.resonant(i, x)
        return torch.tanh(self.conv_post(F.leaky_relu(x, LAST_SLOPE)))[:, 0]

    def resonant(self, i: int, x: Tensor) -> Tensor:
        """The mean of a stage's residual blocks."""
        count = len(self.config.resblock_kernel_sizes)
        total = self.conv_blocks[i * count](x)
        for block in self.conv_blocks[i * count + 1 : (i + 1) * count]:
            total.add_(block(x))
        return total.div_(count)

    def excited(self, mel: Tensor, seed: int = 0) -> Tensor:
        """What `forward` reads: with a source, from a mel (b, m, t) whose last two bands are F0 in Hz and voicing.

        Without a source, the mel itself.
        """
        return self.excite(mel, self.noise(seed, len(mel), mel.device))[0]

    def noise(self, seed: int, batch: int, device: torch.device) -> NoiseStream | None:
        """Random numbers for `excite`; None where there is no source."""
        if not self.config.nsf_params:
            return None
        return NoiseStream(seed, batch, self.source_module.harmonics, self.config.hop_length, device)

    def excite(self, mel: Tensor, noise: NoiseStream | None, phase: Tensor | None = None
               ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """As `excited`, for one piece of a sound after another: also returns the phase that the next one starts at."""
        if noise is None:
            return mel, None
        f0, uv = mel[:, -2:-1], mel[:, -1:]
        excitation = self.source_module(f0, uv, noise.next(mel.shape[2]), phase)
        rows = folded(excitation, self.config.hop_length)
        return torch.cat((mel[:, :-2].to(rows.dtype), rows), 1), self.source_module.turned(f0, phase)

    def receptive_field(self) -> int:
        """Mel frames on each side that can influence a frame's samples."""
        return max(self.reach())

    def reach(self) -> tuple[int, int]:
        """The same by side: frames before, frames after (none if causal)."""
        c, frames = self.config, []
        # The samples of frame 0, and then, going down, what they depend on at each stage.
        seen = _before(range(c.hop_length), c.kernel_size, c.causal)
        widest = [
            max(sum((d + 1) * (k - 1) for d in dilations)
                for k, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilations, strict=True))
        ] * len(c.upsample_scales)  # fmt: skip
        stages = zip(c.upsample_scales, c.upsample_kernal_sizes, widest, self.source_rates(), strict=True)
        for up, kernel, span, rate in reversed(list(stages)):
            seen = _before(seen, span + 1, c.causal)
            if c.nsf_params:
                pad = 0 if rate == 1 else 2 * rate - 1 if c.causal else rate // 2
                first, last = seen[0] * rate - pad, seen[-1] * rate - pad + (2 * rate - 1 if rate > 1 else 0)
                frames += [first // c.hop_length, last // c.hop_length]
            repeated = _before(seen, c.kernel_size, c.causal)
            pad = 0 if c.causal else (kernel - up) // 2
            first = min(repeated[0] // up, -(-(seen[0] + pad - kernel + 1) // up))
            seen = range(first, max(repeated[-1] // up, (seen[-1] + pad) // up) + 1)
        seen = _before(seen, c.kernel_size, c.causal)
        return -min([*frames, seen[0]]), max([*frames, seen[-1]])


def _before(seen: range, kernel: int, causal: bool) -> range:
    """Positions that a convolution reads to make those of `seen`."""
    after = 0 if causal else kernel // 2
    return range(seen[0] - (kernel - 1 - after), seen[-1] + after + 1)


def vocoder_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A checkpoint's generator, weight norm folded; what is folded already stays as it is."""
    return fold_weight_norm(state)
