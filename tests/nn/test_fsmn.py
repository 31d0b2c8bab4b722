"""FSMN against its definition; piece by piece it gives the whole's numbers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tts_lab.nn.fsmn import Fsmn, FsmnStream, MemoryBlock


def model(shift: int = 3, width: int = 5) -> Fsmn:
    torch.manual_seed(0)
    return Fsmn(width, 6, 8, 3, 11, shift).double().requires_grad_(False)


def test_a_memory_block_is_its_input_and_a_filter_of_it() -> None:
    torch.manual_seed(0)
    block, x = MemoryBlock(4, 7, 2), torch.randn(1, 9, 4)
    assert (block.left, block.right) == (5, 1)
    padded = F.pad(x, (0, 0, 5, 1))
    taps = block.conv_dw.weight[:, 0]
    for t in range(9):
        expected = x[0, t] + (padded[0, t : t + 7] * taps.T).sum(0)
        torch.testing.assert_close(block(x)[0, t], expected)


def test_a_filter_cannot_look_only_into_the_past() -> None:
    with pytest.raises(ValueError, match="5 at most, not 6"):
        MemoryBlock(4, 11, 6)


def test_reach_is_exact() -> None:
    net = model()
    at = net.look_back + 2
    x = torch.randn(1, at + net.look_ahead + 3, 5, dtype=torch.float64, requires_grad=True)
    (net(x)[0, at] * torch.randn(6)).sum().backward()
    seen = (x.grad.abs().sum((0, 2)) > 0).nonzero()[:, 0] - at
    assert (int(seen.min()), int(seen.max())) == (-net.look_back, net.look_ahead) == (-24, 6)


@pytest.mark.parametrize("sizes", [[31], [1] * 31, [2, 0, 9, 20], [30, 1], [4, 4, 4, 4, 15]], ids=str)
@pytest.mark.parametrize("width", [5, 6])
def test_pieces_are_the_whole(sizes: list[int], width: int) -> None:
    """6: the first layer has a residual too."""
    net = model(width=width)
    x = torch.randn(2, 31, width, dtype=torch.float64)
    stream = FsmnStream(net)
    made = [stream.push(piece) for piece in x.split(sizes, 1)]
    assert sum(p.shape[1] for p in made) == 31 - net.look_ahead
    torch.testing.assert_close(torch.cat([*made, stream.finish(x[:, :0])], 1), net(x), atol=1e-12, rtol=0)


def test_a_stream_holds_as_much_after_a_thousand_positions_as_after_a_hundred() -> None:
    net, sizes = model(), []
    stream = FsmnStream(net)
    for _ in range(50):
        stream.push(torch.zeros(1, 20, 5, dtype=torch.float64))
        sizes.append(sum(h.untyped_storage().nbytes() for h in (*stream._held, *stream._waiting) if h is not None))
    assert len(set(sizes[5:])) == 1


def test_a_batch_gives_what_its_items_give_alone() -> None:
    net = model()
    x, lengths = torch.randn(2, 20, 5, dtype=torch.float64), (20, 13)
    mask = torch.arange(20)[None] < torch.tensor(lengths)[:, None]
    x = x * mask[..., None]
    stream = FsmnStream(net, lengths)
    pieces = torch.cat([stream.push(x[:, :9]), stream.push(x[:, 9:]), stream.finish(x[:, :0])], 1)
    for made in (net(x, mask), pieces):
        for row, n in enumerate(lengths):
            torch.testing.assert_close(made[row : row + 1, :n], net(x[row : row + 1, :n]), atol=1e-12, rtol=0)
    torch.testing.assert_close(pieces, net(x, mask), atol=1e-12, rtol=0)
