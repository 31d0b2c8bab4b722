"""Loading needs little more of the computer's memory than what stays: measured in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_checkpoint

from tts_lab.systems.indextts2.parts import SMALL

MIB = 2**20
BIG = replace(SMALL, gpt=replace(SMALL.gpt, model_dim=640, heads=10, layers=10))  # gpt.pth of 210 MiB

# Peak of the process while it loads, less what it had before and what stays. Imports and a first small load go ahead.
MEASURE = """
import ctypes, gc, json, os, sys
from pathlib import Path
from tts_lab.systems.indextts2.checkpoint import load_parts

def status(key):
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024

small, big, precision, *ways = sys.argv[1:]
for way in ways:
    os.environ["TTS_LAB_CACHE"] = way
    load_parts(small, precision)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = status("VmRSS")
    parts = load_parts(big, precision)
    peak = status("VmHWM") - before
    stays = sum(x.nbytes for m in parts.modules().values() for x in [*m.parameters(), *m.buffers()])
    del parts
    print(json.dumps({"peak": peak, "stays": stays}))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("memory")
    tiny_checkpoint.write(root / "small", emotion=False)
    tiny_checkpoint.write(root / "big", emotion=False, sizes=BIG)
    return root / "small", root / "big"


def measured(folders: tuple[Path, Path], precision: str, *ways: str) -> list[dict[str, int]]:
    """A measurement for each value of TTS_LAB_CACHE."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", MEASURE, *map(str, folders), precision, *ways], capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells a process its peak")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_never_two_copies(folders: tuple[Path, Path], tmp_path: Path, precision: str) -> None:
    largest = (folders[1] / "gpt.pth").stat().st_size
    assert 180 * MIB < largest < 260 * MIB
    ways = {"without a copy": "off", "while it is written": str(tmp_path), "from it": str(tmp_path)}
    for way, found in zip(ways, measured(folders, precision, *ways.values()), strict=True):
        beyond = (found["peak"] - found["stays"]) / largest
        print(f"{precision} {way}: peak {found['peak'] / MIB:.0f} MiB, stays {found['stays'] / MIB:.0f}, {beyond:.2f}")
        assert found["stays"] > largest * (0.9 if precision == "fp32" else 0.45)
        assert beyond < 1.2
    assert sum("gpt" in path.name for path in tmp_path.iterdir()) == 2
