"""WaveNet stack with a global condition: the final layer of IndexTTS-2's DiT, and an option of ours.

Axes: b batch, d width, t frames, c width of the condition.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


class WaveNet(nn.Module):
    """Gated convolutions with residual and skip paths (van den Oord et al. 2016; as in VITS).

    forward(x (b, d, t), condition (b, c), mask (b, t) True where real, or None) -> (b, d, t): the sum of the layers'
    skip outputs. The mask is applied after each layer and to the sum, not to x.
    """

    def __init__(self, width: int, layers: int, kernel: int, condition: int, dilation: int = 1) -> None:
        super().__init__()
        self.width, self.kernel, self.dilation = width, kernel, dilation
        self.condition = nn.Conv1d(condition, 2 * width * layers, 1)
        self.gates = nn.ModuleList(
            nn.Conv1d(width, 2 * width, kernel, dilation=dilation**i) for i in range(layers)
        )  # fmt: skip
        # The last layer feeds nothing further: it only adds to the output.
        self.outputs = nn.ModuleList(
            nn.Conv1d(width, width if i == layers - 1 else 2 * width, 1) for i in range(layers)
        )

    def forward(self, x: Tensor, condition: Tensor, mask: Tensor | None = None) -> Tensor:
        real = None if mask is None else mask[:, None].to(x.dtype)
        total = torch.zeros_like(x)
        conditions = self.condition(condition[..., None]).chunk(len(self.gates), 1)
        for i, (gate, output, given) in enumerate(zip(self.gates, self.outputs, conditions, strict=True)):
            side = (self.kernel - 1) * self.dilation**i // 2
            tanh, sigmoid = (gate(pad(x, (side, side), mode="reflect")) + given).chunk(2, 1)
            y = output(tanh.tanh() * sigmoid.sigmoid())
            total = total + y[:, -self.width :]
            if i < len(self.gates) - 1:
                x = x + y[:, : self.width]
                x = x if real is None else x * real
        return total if real is None else total * real
