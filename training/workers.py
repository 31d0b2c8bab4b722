"""Several one-thread processes that train one model by averaging their gradients.

On a machine with other work they are faster than as many threads of one process (`docs/LOG.md`).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor, nn

Work = Callable[[int, argparse.Namespace], None]


def add_options(parser: argparse.ArgumentParser, port: int) -> None:
    """Options that `start` reads. port: where the workers meet; two trainings at once need two."""
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="with more than one worker only the CPU")
    parser.add_argument("--port", type=int, default=port)


def start(work: Work, args: argparse.Namespace) -> None:
    """Run `work(rank, args)` in this process, or in as many as are asked for."""
    if args.workers > 1:
        torch.multiprocessing.spawn(_joined, (work, args), nprocs=args.workers)
    else:
        torch.set_num_threads(args.threads)
        work(0, args)


def _joined(rank: int, work: Work, args: argparse.Namespace) -> None:
    """One of several: it meets the others, works, and leaves when all are done."""
    torch.set_num_threads(args.threads)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(args.port)}
    dist.init_process_group("gloo", rank=rank, world_size=args.workers)
    work(rank, args)
    dist.barrier()  # the first one still saves
    dist.destroy_process_group()


def average_gradients(model: nn.Module) -> None:
    """Of all that is learned, over the workers; nothing where there is but one."""
    if not dist.is_initialized():
        return
    gradients: list[Tensor] = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for g, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(part.view_as(g))


def shared(value: float) -> float:
    """The first worker's value, so that all stop at the same step."""
    if not dist.is_initialized():
        return value
    tensor = torch.tensor(value, dtype=torch.float64)
    dist.broadcast(tensor, 0)
    return float(tensor)
