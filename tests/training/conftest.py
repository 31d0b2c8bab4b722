from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_as_they_were():
    """Training turns numbers below the normal ones into zero, for the whole process; other tests expect them."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def one_thread():
    """So small a batch is slower on several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
