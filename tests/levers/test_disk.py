"""Weights in a file: the same numbers, out of the computer's memory, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from torch import nn

from tts_lab.errors import OutputError
from tts_lab.experiments.vram import vram
from tts_lab.levers import disk
from tts_lab.levers.disk import rest
from tts_lab.levers.residency import Residency
from tts_lab.recipe import Recipe


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tts-lab" / "weights"


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.ModuleList([nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.Tanh()) for _ in range(3)])
    return nn.ModuleDict({"layers": layers, "lstm": nn.LSTM(64, 64), "table": nn.Embedding(5, 64)}).eval()


def test_the_numbers_stay_the_same_and_no_file_is_left(folder: Path) -> None:
    module = network().half().requires_grad_(False)
    before = {name: t.clone() for name, t in module.state_dict().items()}
    pointers = {name: t.data_ptr() for name, t in module.state_dict().items()}
    rest(module)
    after = module.state_dict()
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
        assert after[name].dtype == tensor.dtype
        assert after[name].data_ptr() != pointers[name]
    assert list(folder.iterdir()) == []


def test_a_recurrent_layer_reads_the_weights_that_rest() -> None:
    """It keeps a list of its own, which must not hold on to the old ones."""
    lstm, x = nn.LSTM(64, 64).requires_grad_(False), torch.randn(4, 1, 64)
    expected = lstm(x)[0]
    rest(lstm)
    assert all(a is b for a, b in zip(lstm._flat_weights, lstm._parameters.values(), strict=True))
    assert torch.equal(lstm(x)[0], expected)


@pytest.mark.parametrize(("precision", "kind"), [("fp32", "none"), ("bf16", "none"), ("fp32", "int8")])
def test_from_the_disk_is_resident_bit_for_bit(precision: str, kind: str) -> None:
    original = network()["layers"].requires_grad_(False)
    x, found = torch.randn(4, 64), []
    home = Residency("cpu", lends=True)
    for offload in ("none", "layers", "disk", "none"):
        with home.use(original, precision, offload, kind) as lent:
            y = x.to(next(lent.parameters()).dtype)
            for layer in lent:
                y = layer(y)
            found.append(y)
    assert all(torch.equal(each, found[0]) for each in found)


def test_the_computers_memory_is_given_back(tmp_path: Path) -> None:
    """Of 256 MiB of weights, most is gone from the process; pages of a file do not count."""
    code = (
        "import re, torch\n"
        "from torch import nn\n"
        "from tts_lab.levers.residency import Residency\n"
        "def held():\n"
        "    return int(re.search(r'RssAnon:\\s+(\\d+)', open('/proc/self/status').read())[1]) / 1024\n"
        "empty = held()\n"
        "layers = nn.ModuleList(nn.Linear(4096, 4096, bias=False) for _ in range(4)).requires_grad_(False)\n"
        "full, home = held(), Residency('cpu', lends=True)\n"
        "with home.use(layers, 'fp32', 'disk') as lent:\n"
        "    for layer in lent: layer(torch.ones(1, 4096))\n"
        "print(full - empty, held() - empty)\n"
    )
    if not Path("/proc/self/status").is_file():
        pytest.skip("needs Linux's account of a process's memory")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(float, run.stdout.split())
    assert before > 250
    assert after < 100


def test_a_full_disk_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage(1, 1, 2**27))
    module = network()
    weight = module["table"].weight
    with pytest.raises(OutputError, match="offload disk needs 0.0 GB in .*no room.*offload layers"):
        rest(module)
    assert module["table"].weight is weight


def test_on_a_card_it_is_layers() -> None:
    layers, from_disk = (vram("mini", "4gb", Recipe(offload=kind), 2.0, 2.0) for kind in ("layers", "disk"))
    assert layers.peak_allocated == from_disk.peak_allocated
    assert layers.peak_reserved == from_disk.peak_reserved
    assert any("a disk is slower" in note for note in Recipe(offload="disk").notes("cuda"))
