"""Cards: GPUs as data, and memory budgets as cards that nobody sells. The table is `data/cards.yaml`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tts_lab.errors import LabError
from tts_lab.paths import data_dir

MIB = 1024 * 1024
CONTEXT_BYTES = {"small": 287_047_680, "large": 426 * MIB}  # by chip size; measured, see the sources in the table
EAGER_CONTEXT_BYTES = 666_632_192  # with every kernel loaded at start (PyTorch pull request 86509, 2022)
# aten/src/ATen/cuda/CublasHandlePool.cpp, parseChosenWorkspaceSize: one workspace per stream, shared with cuBLASLt. The
# larger one is for compute capability 9.0, with pytorch/pytorch#175344 (2026) for 10 and 12 too, later for 11.
CUBLAS_WORKSPACE_BYTES = (2 * 4096 + 8 * 16) * 1024
CUBLAS_WORKSPACE_BYTES_NEW = 8 * 4096 * 1024
TRANSFERS_PER_LANE = {1: 2.5e9, 2: 5e9, 3: 8e9, 4: 16e9, 5: 32e9, 6: 64e9}  # a second; PCI Express base specification
UNITS = {"gb": 10**9, "gib": 2**30, "g": 10**9, "mb": 10**6, "mib": 2**20, "m": 10**6}
STANDS_IN = "rtx3060"  # whose rates a budget takes


@dataclass(frozen=True)
class Card:
    """A GPU. Bytes, bytes per second, operations per second.

    key: short name; total_bytes: as torch reports it; context_bytes: what CUDA takes beside PyTorch's allocator;
    compute_capability: (major, minor); memory_bandwidth: of the card's own memory; rates: by number format (fp32, tf32,
    fp16, bf16, int8), dense, fp32 accumulation; pcie: (generation, lanes); sources: by field; estimates: the fields
    that no document states for this very card.
    """

    key: str
    name: str
    total_bytes: int
    context_bytes: int
    compute_capability: tuple[int, int]
    memory_bandwidth: float
    rates: Mapping[str, float]
    pcie: tuple[int, int]
    sources: Mapping[str, str] = field(default_factory=dict)
    estimates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.total_bytes <= self.context_bytes:
            raise LabError(
                f"A card of {self.total_bytes:,} bytes has no room beside the CUDA context of about "
                f"{self.context_bytes:,} bytes; give a larger budget."
            )

    @property
    def cublas_workspace_bytes(self) -> int:
        """What PyTorch keeps for cuBLAS per stream, from its first matrix product on."""
        return CUBLAS_WORKSPACE_BYTES_NEW if self.compute_capability[0] in (9, 10, 12) else CUBLAS_WORKSPACE_BYTES

    @property
    def pcie_bandwidth(self) -> float:
        """Bytes per second in one direction, by the specification; copies reach about four fifths of it."""
        generation, lanes = self.pcie
        coding = 128 / 130 if generation > 2 else 8 / 10
        return TRANSFERS_PER_LANE[generation] * lanes * coding / 8

    def rate(self, number_format: str) -> float:
        """Operations per second in a number format; that of fp32 where the card has no hardware for the format."""
        return self.rates.get(number_format, self.rates["fp32"])


def find_card(text: str | Card) -> Card:
    """The card of that name (`rtx3070`, `RTX 3070`, `NVIDIA A100-SXM4-80GB`), or a budget (`8gb`, `7.5GiB`) as a card.

    A GB is 10^9 bytes, a GiB 2^30. Raises LabError with the nearest names, or where a budget is not positive.
    """
    if isinstance(text, Card):
        return text
    number = re.fullmatch(r"\s*([-+]?\d+(?:\.\d+)?)\s*(gib|gb|g|mib|mb|m)\s*", text.lower())
    if number:
        return budget_card(text.strip(), float(number[1]) * UNITS[number[2]])
    wanted = _plain(text)
    names = _names()
    if wanted in names:
        return cards()[names[wanted]]
    raise LabError(_unknown(text, wanted, names))


def budget_card(label: str, size: float) -> Card:
    """A card of `size` bytes that no one makes; everything but its memory is assumed to be as in an RTX 3060."""
    if not size > 0:
        raise LabError(f"The memory budget {label!r} must be more than nothing; write for example 8gb or 7.5GiB.")
    model = cards()[STANDS_IN]
    assumed = f"assumed, as in {model.name}"
    return Card(
        key=label.lower().replace(" ", ""),
        name=f"a card of {label}",
        total_bytes=int(size),
        context_bytes=model.context_bytes,
        compute_capability=model.compute_capability,
        memory_bandwidth=model.memory_bandwidth,
        rates=model.rates,
        pcie=model.pcie,
        sources=MappingProxyType({"total_bytes": "given as a budget", "all others": assumed}),
        estimates=("context_bytes", "compute_capability", "memory_bandwidth", "rates", "pcie"),
    )


def cards() -> Mapping[str, Card]:
    """Every card of the table by its key. Raises LabError where the table is missing or damaged."""
    return _read(data_dir() / "cards.yaml")[0]


def _names() -> Mapping[str, str]:
    """Plain spelling -> key."""
    return _read(data_dir() / "cards.yaml")[1]


@lru_cache(maxsize=2)
def _read(path: Path) -> tuple[Mapping[str, Card], Mapping[str, str]]:
    import yaml

    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        found = {key: _card(key, row, table["sources"]) for key, row in table["cards"].items()}
        names = {name: key for key, row in table["cards"].items() for name in _spellings(key, row)}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabError(f"The table of cards {path} cannot be read ({error!r}); restore the lab's own file.") from error
    return MappingProxyType(found), MappingProxyType(names)


def _card(key: str, row: Mapping[str, Any], sources: Mapping[str, str]) -> Card:
    major, minor = str(row["compute_capability"]).split(".")
    generation, lanes = row["pcie"]
    board = sources[row["board_source"]]
    return Card(
        key=key,
        name=row["name"],
        total_bytes=int(row["total_mib"]) * MIB,
        context_bytes=CONTEXT_BYTES[row["context"]],
        compute_capability=(int(major), int(minor)),
        memory_bandwidth=float(row["bandwidth"]) * 1e9,
        rates=MappingProxyType({name: float(value) * 1e12 for name, value in row["rates"].items()}),
        pcie=(int(generation), int(lanes)),
        sources=MappingProxyType(
            {
                "total_bytes": row["total_source"],
                "context_bytes": sources[f"context-{row['context']}"],
                "compute_capability": sources["capability"],
                "memory_bandwidth": board,
                "rates": sources[row["rates_source"]],
                "pcie": board,
            }
        ),
        estimates=tuple(row["estimates"]),
    )


def _spellings(key: str, row: Mapping[str, Any]) -> Iterator[str]:
    """Plain spellings of a card's names; a GeForce is also found without its RTX."""
    for name in (key, row["name"], *row["also"]):
        plain = _plain(name)
        yield plain
        yield plain.removeprefix("rtx")


def _plain(text: str) -> str:
    """Lower case without maker, series, spaces and signs: `NVIDIA GeForce RTX 3070` is `rtx3070`.

    `Laptop GPU` stays: a laptop's card of that name has other memory (4070: 8 GB) and other rates.
    """
    return re.sub(r"nvidia|geforce|tesla|[^a-z0-9]", "", text.lower())


def _unknown(text: str, wanted: str, names: Mapping[str, str]) -> str:
    near = [key for key in cards() if wanted and _plain(key).startswith(wanted)]
    near = near or list(dict.fromkeys(names[name] for name in difflib.get_close_matches(wanted, names, n=3)))
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return (
        f"There is no card {text!r}.{hint} Known are {', '.join(cards())}; "
        "a budget such as 8gb or 7.5GiB is a card too."
    )
