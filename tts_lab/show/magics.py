"""`%%vram`: the memory report of any PyTorch code in a notebook's cell, your own models too.

    %load_ext tts_lab

    %%vram --card rtx3070
    with stage("encode"):
        y = model(x)

On `meta` nothing is computed and nothing is kept: models, tensors and functions that the cell reaches are replaced by
twins without values, and what it assigns is thrown away. On `cpu` and `cuda` the cell runs as it is.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from torch import nn

from tts_lab.errors import LabError
from tts_lab.memory.allocator_settings import Settings
from tts_lab.memory.attention_route import family
from tts_lab.memory.cards import find_card
from tts_lab.memory.cuda import CudaMeter
from tts_lab.memory.meter import DeviceMeter
from tts_lab.memory.report import MemoryReport
from tts_lab.memory.tracer import Tracer
from tts_lab.memory.twins import reached, twin_namespace

MISSING = object()


@magics_class
class VramMagics(Magics):
    """Holds the magic; IPython makes it."""

    @magic_arguments()
    @argument("--card", default=None, help="the card to be, such as rtx3070 or 8gb; with cuda: the one that is there")
    @argument("--device", default="meta", help="meta (computes nothing), cpu (runs, and is traced), cuda (measured)")
    @argument("--grad", action="store_true", help="leave autograd on, to see what that costs")
    @argument("--depth", type=int, default=2, help="parts of module paths that the report tells apart")
    @argument("--alloc-conf", default="", help="as in PYTORCH_CUDA_ALLOC_CONF")
    @argument("--out", default="", help="name for the report; without it the cell shows it")
    @cell_magic  # type: ignore[untyped-decorator]
    def vram(self, line: str, cell: str) -> MemoryReport | None:
        """What the cell's code needs of a card's memory."""
        options = parse_argstring(self.vram, line)
        try:
            report = self._report(options, cell)
        except LabError as error:
            raise UsageError(str(error)) from None
        if not options.out:
            return report
        self.shell.user_ns[options.out] = report
        return None

    def _report(self, options: Any, cell: str) -> MemoryReport:
        if options.device == "cuda":
            meter = CudaMeter()
            with torch.set_grad_enabled(options.grad):
                self._run(meter, cell)
            return meter.report(options.card)
        card, settings = find_card(options.card or "rtx3070"), Settings.parse(options.alloc_conf)
        tracer = Tracer(options.device, family(card.compute_capability), grad=options.grad)
        self._run(tracer, cell)
        return MemoryReport.of(tracer.log, card, settings, depth=options.depth)

    def _run(self, meter: DeviceMeter, cell: str) -> None:
        code = compile(self.shell.transform_cell(cell), "<%%vram>", "exec")
        own = self.shell.user_ns
        space = twin_namespace(own, code) if meter.device == "meta" else own
        before = own.get("stage", MISSING)
        space.setdefault("stage", meter.stage)
        try:
            with ExitStack() as stack:
                stack.enter_context(meter)
                # The device comes last, so that it is there when the tracer looks at what a function is told.
                stack.enter_context(torch.device(meter.device))
                for name in reached(space, code):
                    if isinstance(space[name], nn.Module):
                        meter.place(space[name], name)
                exec(code, space)
        finally:
            if space is own and before is MISSING:
                own.pop("stage", None)
