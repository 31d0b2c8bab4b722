"""CAM++, a speaker encoder: filter banks -> a vector for the voice (Wang et al. 2023, arXiv:2303.00332).

A small two-dimensional network, then densely connected layers in time whose outputs are gated by their context.
Released parameter names (3D-Speaker, campplus_cn_common.bin).

Axes: b batch, t frames (100 a second), f filters, c channels, e width of the embedding.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, relu

SEGMENT = 100  # frames over which a gate's local context is taken
BOTTLENECK = 4  # channels inside a dense layer, in multiples of those that it adds
DILATIONS = (1, 2, 2)
EPS = 1e-5  # of every norm


@dataclass(frozen=True)
class CAMPPlusSizes:
    """filters: of the bank; growth: channels that a dense layer adds; width: channels before the first."""

    filters: int = 80
    embedding: int = 192
    growth: int = 32
    width: int = 128
    blocks: tuple[int, int, int] = (12, 24, 16)
    planes: int = 32


class StoredNorm(nn.Module):
    """Batch norm with stored statistics: then it is a gain and a shift for each channel. (b, c, ...) -> the same.

    Both are computed in float32 whatever the weights' type, for a variance may be small.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        gain = (self.running_var.to(wide) + EPS).rsqrt()
        gain = gain if self.weight is None else gain * self.weight
        shift = -self.running_mean * gain
        shift = shift if self.bias is None else shift + self.bias
        shape = -1, *[1] * (x.ndim - 2)
        return torch.addcmul(shift.to(x.dtype).view(shape), x, gain.to(x.dtype).view(shape))


class NormReLU(nn.Module):
    """(b, c, t) -> (b, c, t)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.batchnorm = StoredNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.batchnorm(x))


class Residual2d(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut. (b, c, f, t) -> (b, c, f / stride, t)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = StoredNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = StoredNorm(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut.append(nn.Conv2d(channels, channels, 1, (stride, 1), bias=False))
            self.shortcut.append(StoredNorm(channels))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(y + self.shortcut(x))


class Head(nn.Module):
    """Filter banks as a picture: (b, f, t) -> (b, planes x f / 8, t)."""

    def __init__(self, planes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, planes, 3, 1, 1, bias=False)
        self.bn1 = StoredNorm(planes)
        self.layer1 = nn.Sequential(Residual2d(planes, 2), Residual2d(planes, 1))
        self.layer2 = nn.Sequential(Residual2d(planes, 2), Residual2d(planes, 1))
        self.conv2 = nn.Conv2d(planes, planes, 3, (2, 1), 1, bias=False)
        self.bn2 = StoredNorm(planes)

    def forward(self, x: Tensor) -> Tensor:
        y = relu(self.bn1(self.conv1(x[:, None])))
        y = self.layer2(self.layer1(y))
        return relu(self.bn2(self.conv2(y))).flatten(1, 2)


class ContextGate(nn.Module):
    """A convolution, gated by what surrounds it: the mean of all frames plus that of its segment.

    (b, c, t) -> (b, out, t).
    """

    def __init__(self, channels: int, out: int, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(channels, out, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(channels, channels // 2, 1)
        self.linear2 = nn.Conv1d(channels // 2, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        context = x.mean(-1, keepdim=True) + avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True)
        # One gate for a segment is enough: the context is the same for all its frames.
        gate = self.linear2(relu(self.linear1(context))).sigmoid()
        gate = gate[..., None].expand(-1, -1, -1, SEGMENT).flatten(2)[..., : x.shape[-1]]
        return self.linear_local(x) * gate


class DenseLayer(nn.Module):
    """Norm, bottleneck, norm, gated convolution: the channels that are added. (b, c, t) -> (b, growth, t)."""

    def __init__(self, channels: int, growth: int, dilation: int) -> None:
        super().__init__()
        inside = BOTTLENECK * growth
        self.nonlinear1 = NormReLU(channels)
        self.linear1 = nn.Conv1d(channels, inside, 1, bias=False)
        self.nonlinear2 = NormReLU(inside)
        self.cam_layer = ContextGate(inside, growth, dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))


class DenseBlock(nn.Module):
    """Layers that each see all before them. (b, c, t) -> (b, c + layers x growth, t)."""

    def __init__(self, layers: int, channels: int, growth: int, dilation: int) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"tdnnd{i + 1}", DenseLayer(channels + i * growth, growth, dilation))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.children():
            x = torch.cat((x, layer(x)), 1)
        return x


class Transit(nn.Module):
    """Halves the channels. (b, c, t) -> (b, c / 2, t)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.nonlinear = NormReLU(channels)
        self.linear = nn.Conv1d(channels, channels // 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.nonlinear(x))


class TimeDelay(nn.Module):
    """Every second frame from five. (b, c, t) -> (b, out, ceil(t / 2))."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out, 5, 2, 2, bias=False)
        self.nonlinear = NormReLU(out)

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x))


class Statistics(nn.Module):
    """Mean and standard deviation over time, in float32. (b, c, t) -> (b, 2c), at least two frames."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return torch.cat((wide.mean(-1), wide.std(-1)), -1).to(x.dtype)


class Embedding(nn.Module):
    """Projection and a norm without gain. (b, c) -> (b, e)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(channels, out, 1, bias=False)
        self.nonlinear = nn.Sequential(OrderedDict(batchnorm=StoredNorm(out, affine=False)))

    def forward(self, x: Tensor) -> Tensor:
        return self.nonlinear(self.linear(x[..., None])[..., 0])


class CAMPPlus(nn.Module):
    """forward(filter bank (b, t, f), its mean over time taken away) -> (b, e). For inference only."""

    def __init__(self, sizes: CAMPPlusSizes = CAMPPlusSizes()) -> None:
        super().__init__()
        self.sizes = sizes
        self.head = Head(sizes.planes)
        width = sizes.width
        parts: OrderedDict[str, nn.Module] = OrderedDict(tdnn=TimeDelay(sizes.planes * (sizes.filters // 8), width))
        for i, (layers, dilation) in enumerate(zip(sizes.blocks, DILATIONS, strict=True), 1):
            parts[f"block{i}"] = DenseBlock(layers, width, sizes.growth, dilation)
            width += layers * sizes.growth
            parts[f"transit{i}"] = Transit(width)
            width //= 2
        parts["out_nonlinear"] = NormReLU(width)
        parts["stats"] = Statistics()
        parts["dense"] = Embedding(2 * width, sizes.embedding)
        self.xvector = nn.Sequential(parts)

    def forward(self, filters: Tensor) -> Tensor:
        return self.xvector(self.head(filters.transpose(1, 2)))
