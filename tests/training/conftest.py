from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def _denormals_as_they_were():
    """Training turns numbers below the normal ones into zero, for the whole process; other tests expect them."""
    yield
    torch.set_flush_denormal(False)
