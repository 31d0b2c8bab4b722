"""What a trace cannot go on with, in sentences that say what to do."""

from __future__ import annotations

import torch
from torch._ops import OpOverload

from tts_lab.errors import LabError


class TraceError(LabError):
    """The run needs something that a trace does not have, or is set up wrongly."""


def data_dependent(what: str, where: str) -> TraceError:
    """A value or a length that only real numbers give."""
    return TraceError(
        f"{what}{where} asks for a value, to decide what happens next, but a trace on the meta device has no values: "
        "give the length explicitly, or trace on the CPU."
    )


def no_meta_kernel(operator: str, where: str) -> TraceError:
    return TraceError(
        f"The operator {operator}{where} has no meta kernel, so its result's size is unknown: describe it with "
        "torch.library.register_fake, use another operator, or trace on the CPU."
    )


def wrong_device(operator: str, where: str, found: torch.device, expected: str) -> TraceError:
    return TraceError(
        f"The operator {operator}{where} got a tensor on {found} together with tensors on {expected}: the module or "
        f"its input is on the wrong device; build or move both to {expected} before."
    )


def depends_on_data(func: OpOverload) -> bool:
    """Whether PyTorch marks the operator as one whose result's size or value is known only from the data."""
    return torch.Tag.data_dependent_output in func.tags or torch.Tag.dynamic_output_shape in func.tags


def at(module: str, stage: str) -> str:
    """Where the run was, as a part of a sentence."""
    return (f" in {module}" if module else "") + (f" (stage {stage})" if stage else "")
