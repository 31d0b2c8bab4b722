"""Folding of weight norm, as either of torch's ways of writing it."""

import pytest
import torch
from torch import nn

from tts_lab.nn.weight_norm import folded


@pytest.mark.parametrize("wrap", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
def test_a_folded_state_gives_the_same_output(wrap) -> None:
    torch.manual_seed(0)
    for plain, x in ((nn.Conv1d(3, 4, 5), torch.randn(1, 3, 9)), (nn.ConvTranspose1d(3, 4, 5), torch.randn(1, 3, 9)),
                     (nn.Linear(3, 4), torch.randn(2, 3))):  # fmt: skip
        wrapped = wrap(type(plain)(3, 4, *(() if isinstance(plain, nn.Linear) else (5,))))
        with torch.no_grad():
            next(p for k, p in wrapped.named_parameters() if k.endswith(("_g", "original0"))).mul_(1.7)
        plain.load_state_dict(folded(wrapped.state_dict()))
        torch.testing.assert_close(plain(x), wrapped(x))


def test_a_state_without_pairs_is_left_as_it_is() -> None:
    state = {"a.weight": torch.ones(2), "a.bias": torch.zeros(2)}
    assert folded(state) == state
