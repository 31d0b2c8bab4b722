"""Where a system's stages live, and in which number format: the levers `precision`, `quantisation` and `offload`.

Saves: half the bytes of weights and activations with fp16 or bf16; with offload "stage", all but the running stage's
weights. Costs: rounding; with offload, one transfer of a stage's weights for every use. On a CPU there is nowhere else
to wait; bf16 is in force where the processor has units for it (`processor.computes`), fp16 is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
from torch import nn

from tts_lab.levers.copies import copied
from tts_lab.levers.disk import rest
from tts_lab.levers.quantisation import quantised
from tts_lab.levers.streaming import Stream, pinned
from tts_lab.memory.flush import empty_cache
from tts_lab.processor import computes

M = TypeVar("M", bound=nn.Module)
STREAMED = ("layers", "disk")  # ways to offload that bring a stage's weights layer by layer
Key = tuple[nn.Module, str, str]  # original, precision, quantisation
PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Residency:
    """Lends a device copies of a system's stages, whose originals stay in the computer's memory.

    An original is never changed, so that one recipe's precision leaves no trace in the next one's.
    lends: whether there are copies; None: on any device but the CPU. on_copy: called with an original, what of it has
    come to the device, and that part's path ("" for all).
    """

    def __init__(
        self, device: torch.device | str, *, lends: bool | None = None,
        on_copy: Callable[[nn.Module, nn.Module, str], None] | None = None,
    ) -> None:  # fmt: skip
        self.device = torch.device(device)
        self.lends = self.device.type != "cpu" if lends is None else lends
        self.on_copy = on_copy
        self._waiting: dict[Key, nn.Module] = {}  # what is streamed, in the computer's memory
        self._copies: dict[Key, nn.Module] = {}  # modules hash by identity
        self._resting: set[nn.Module] = set()  # whose weights are in files
        self._reduced: dict[
            nn.Module, tuple[str, nn.Module]
        ] = {}  # with weights in eight bits, in the computer's memory

    @contextmanager
    def use(
        self, original: M, precision: str = "fp32", offload: str = "none", quantisation: str = "none"
    ) -> Iterator[M]:  # fmt: skip
        """The stage, ready on the device.

        offload: "none" keeps it there; "after" lets it leave when it is done; "stage" has every other one leave before;
        "layers" besides brings its own weights only layer by layer (`levers.streaming`), "disk" brings them from a file
        (`levers.disk`).
        precision: of PRECISIONS; quantisation: "none" or of `levers.quantisation.FORMATS`. Where nothing is lent, the
        original itself is used, or a copy in a precision that the processor computes in, whatever the levers say.
        """
        if not self.lends:
            if precision == "fp32" or not computes(precision):
                yield original
                return
            offload, quantisation = "none", "none"
        key = (original, precision, quantisation)
        self._evict(key, everything_else=offload in ("stage", *STREAMED))
        if offload in STREAMED:
            self._copies.pop(key, None)
            with self._streamed(key, offload == "disk") as streamed:
                yield cast(M, streamed)
            empty_cache()
            return
        if key not in self._copies:
            self._copies[key] = copied(self._source(key), self.device, PRECISIONS[precision])
            if self.on_copy:
                self.on_copy(original, self._copies[key], "")
        try:
            yield cast(M, self._copies[key])
        finally:
            if offload != "none":
                del self._copies[key]
                empty_cache()  # a stage's segments rarely suit the next one's

    def _source(self, key: Key) -> nn.Module:
        """What is copied: the original, or what stands for it in eight bits. Of the latter one is kept a stage."""
        original, _, quantisation = key
        if quantisation == "none":
            return original
        if self._reduced.get(original, ("",))[0] != quantisation:
            self._reduced[original] = (quantisation, quantised(original, quantisation))
        return self._reduced[original][1]

    def _streamed(self, key: Key, from_disk: bool) -> Stream:
        """The stage with its weights in the computer's memory or in a file, in the number format to compute in."""
        if key not in self._waiting:
            self._waiting[key] = copied(self._source(key), None, PRECISIONS[key[1]])
        if from_disk:
            self._rest(key[0], self._source(key), self._waiting[key])
        else:
            pinned(self._waiting[key])
        told = self.on_copy
        on_load = (lambda part, path: told(key[0], part, path)) if told else None
        return Stream(self._waiting[key], self.device, on_load, from_file=from_disk)

    def _rest(self, *modules: nn.Module) -> None:
        for module in modules:
            if module not in self._resting:
                rest(module)
                self._resting.add(module)

    def resident(self) -> tuple[nn.Module, ...]:
        """Originals of the stages that have a copy on the device."""
        return tuple(original for original, *_ in self._copies)

    def clear(self) -> None:
        """Every copy leaves the device, and so does the cache that they leave behind."""
        self._copies.clear()
        empty_cache()

    def _evict(self, keep: Key, everything_else: bool) -> None:
        for key in list(self._copies):
            same_stage = key[0] is keep[0]
            if key != keep and (everything_else or same_stage):
                del self._copies[key]
                empty_cache()
