"""Cards: the table is complete and says where its figures come from; names and budgets are understood."""

from __future__ import annotations

import re

import pytest
import yaml

from tts_lab.errors import LabError
from tts_lab.memory.cards import MIB, Card, cards, find_card
from tts_lab.paths import data_dir

PROMISED = ("rtx2060", "rtx3060", "rtx3070", "rtx4060", "rtx4060ti-16gb", "rtx4070", "rtx4090", "t4", "a10g", "l4",
            "a100-40gb", "a100-80gb", "h100", "h200")  # fmt: skip
FIELDS = {"total_bytes", "context_bytes", "compute_capability", "memory_bandwidth", "rates", "pcie"}


def test_every_promised_card_is_there():
    assert tuple(cards()) == PROMISED


@pytest.mark.parametrize("key", PROMISED)
def test_a_card_is_complete_and_names_its_sources(key):
    card = cards()[key]
    assert set(card.sources) == FIELDS
    for field, source in card.sources.items():
        assert re.search(r"\b20\d\d\b", source), f"{field}: no year in {source!r}"
    assert set(card.estimates) <= FIELDS
    assert "context_bytes" in card.estimates  # no document states it
    assert {"fp32", "fp16", "int8"} <= set(card.rates)
    assert ("bf16" in card.rates) == ("tf32" in card.rates) == (card.compute_capability >= (8, 0))


@pytest.mark.parametrize("key", PROMISED)
def test_figures_are_of_the_right_size(key):
    """A slip of a unit or a digit would leave these bounds."""
    card = cards()[key]
    label = float(re.search(r"(\d+) GB", card.name)[1])
    if key == "t4":
        assert 14.5 < card.total_bytes / 2**30 < 15  # error correction takes its share
    else:
        assert 0.9 < card.total_bytes / (label * 2**30) < 1
    assert 250e6 < card.context_bytes < 700e6
    assert 200e9 < card.memory_bandwidth < 5e12
    assert 6e12 < card.rates["fp32"] < card.rates["fp16"] < card.rates["int8"] < 2e15


@pytest.fixture(scope="module")
def rows():
    return yaml.safe_load((data_dir() / "cards.yaml").read_text(encoding="utf-8"))["cards"]


@pytest.mark.parametrize("key", PROMISED)
def test_bandwidth_and_plain_rate_follow_from_the_chip(key, rows):
    """Bits of the bus times what each carries; two operations per core and cycle."""
    card, chip = cards()[key], rows[key]["chip"]
    if "gbps" in chip:
        assert card.memory_bandwidth == pytest.approx(chip["bits"] * chip["gbps"] * 1e9 / 8, rel=1e-3)
    if "mhz" in chip:
        assert card.rates["fp32"] == pytest.approx(2 * chip["cores"] * chip["mhz"] * 1e6, rel=6e-3)
    assert set(chip) >= {"cores", "bits"}


@pytest.mark.parametrize(
    ("keys", "ratios"),
    [
        (("rtx2060",), {"fp16": 4, "int8": 16}),
        (("t4",), {"fp16": 8, "int8": 16}),  # the tensor cores of a GeForce do fp32 accumulation at half the pace
        (("rtx3060", "rtx3070", "rtx4060", "rtx4060ti-16gb", "rtx4070", "rtx4090"),
         {"tf32": 1, "fp16": 2, "bf16": 2, "int8": 8}),
        (("a10g",), {"tf32": 1, "fp16": 2, "bf16": 2, "int8": 4}),
        (("l4",), {"tf32": 2, "fp16": 4, "bf16": 4, "int8": 8}),
        (("a100-40gb", "a100-80gb"), {"tf32": 8, "fp16": 16, "bf16": 16, "int8": 32}),
    ],
)  # fmt: skip
def test_rates_keep_the_ratios_of_their_generation(keys, ratios):
    for key in keys:
        rates = cards()[key].rates
        assert set(rates) == {"fp32", *ratios}
        for number_format, ratio in ratios.items():
            assert rates[number_format] / rates["fp32"] == pytest.approx(ratio, rel=0.015), (key, number_format)


@pytest.mark.parametrize("key", ["h100", "h200"])
def test_hopper_doubles_from_format_to_format(key):
    rates = cards()[key].rates
    assert rates["fp16"] == rates["bf16"] == pytest.approx(2 * rates["tf32"], rel=1e-3)
    assert rates["int8"] == pytest.approx(2 * rates["fp16"], rel=1e-3)


@pytest.mark.parametrize("key", PROMISED)
def test_the_total_is_the_figure_that_its_source_names(key, rows):
    total, source = rows[key]["total_mib"], rows[key]["total_source"]
    named = re.match(r"(\d+\.\d\d) GiB", source)
    if named:
        assert total == int(float(named[1]) * 1024)
    assert cards()[key].total_bytes == total * MIB
    others = [float(mib.replace(",", "")) for mib in re.findall(r"([\d,]+) MiB", source)]
    others += [float(gib) * 1024 for gib in re.findall(r"(\d+\.\d\d) GiB", source)]
    assert total <= min(others, default=total)  # the smallest report is taken


@pytest.mark.parametrize("key", PROMISED)
def test_lanes_and_generation_of_the_bus(key):
    card = cards()[key]
    generation = {7: 3, 8: 4, 9: 5}[card.compute_capability[0]]
    assert card.pcie == (generation, 8 if key.startswith("rtx4060") else 16)


def test_known_figures():
    card = find_card("rtx3070")
    assert (card.compute_capability, card.memory_bandwidth, card.rates["fp16"]) == ((8, 6), 448e9, 40.6e12)
    assert card.cublas_workspace_bytes == 8_519_680
    assert find_card("h100").cublas_workspace_bytes == 32 * 2**20
    assert card.pcie_bandwidth == pytest.approx(31.5e9, rel=1e-3)
    assert find_card("rtx4060").pcie_bandwidth == pytest.approx(15.75e9, rel=1e-3)


def test_a_format_without_hardware_runs_at_the_rate_of_fp32():
    card = find_card("t4")
    assert card.rate("bf16") == card.rate("fp32") == 8.1e12
    assert find_card("l4").rate("bf16") == 121e12


@pytest.mark.parametrize(
    ("text", "key"),
    [("rtx3070", "rtx3070"), ("RTX 3070", "rtx3070"), ("NVIDIA GeForce RTX 3070", "rtx3070"), ("3070", "rtx3070"),
     ("rtx_4060_ti", "rtx4060ti-16gb"), ("4060ti-16gb", "rtx4060ti-16gb"), ("Tesla T4", "t4"), ("NVIDIA L4", "l4"),
     ("NVIDIA A100-SXM4-80GB", "a100-80gb"), ("a100 40", "a100-40gb"), ("NVIDIA H100 80GB HBM3", "h100"),
     ("NVIDIA H200", "h200"), ("RTX 2060 6 GB", "rtx2060"), ("NVIDIA A10G", "a10g"),
     ("NVIDIA A100-PCIE-40GB", "a100-40gb"), ("NVIDIA GeForce RTX 4090", "rtx4090")],
)  # fmt: skip
def test_names_are_understood_in_many_spellings(text, key):
    assert find_card(text) is cards()[key]


def test_a_card_is_its_own_name():
    card = find_card("l4")
    assert find_card(card) is card


@pytest.mark.parametrize(
    ("text", "words"),
    [("rtx3071", ["rtx3071", "Did you mean rtx3070"]), ("a100", ["Did you mean a100-40gb or a100-80gb"]),
     ("voodoo", ["Known are rtx2060", "8gb"]), ("", ["Known are"]), ("3070ti", ["Did you mean rtx3070"]),
     ("rtx3O70", ["Did you mean rtx3070"]), ("NVIDIA A100 80GB PCIe", ["Did you mean a100-80gb"]),
     ("NVIDIA GeForce RTX 4070 Laptop GPU", ["Did you mean rtx4070"]), ("rtx4070laptopgpu", ["rtx4070"]),
     ("0", ["8gb or 7.5GiB"]), ("8", ["8gb or 7.5GiB"])],
)  # fmt: skip
def test_an_unknown_card_is_answered_with_the_nearest(text, words):
    with pytest.raises(LabError) as caught:
        find_card(text)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8gb", 8 * 10**9),
        ("8 GB", 8 * 10**9),
        ("7.5GiB", 7.5 * 2**30),
        (" 8 GB ", 8 * 10**9),
        ("900mib", 900 * 2**20),
        ("2g", 2 * 10**9),
    ],
)
def test_a_budget_is_a_card(text, size):
    card = find_card(text)
    assert card.total_bytes == size
    assert "rates" in card.estimates
    assert "total_bytes" not in card.estimates
    assert card.sources["total_bytes"] == "given as a budget"


@pytest.mark.parametrize("text", ["0gb", "-8gb", "-0.5GiB", "0.0mb"])
def test_a_budget_must_be_positive(text):
    with pytest.raises(LabError, match="more than nothing"):
        find_card(text)


def test_a_budget_below_the_context_is_refused():
    with pytest.raises(LabError, match="no room beside the CUDA context"):
        find_card("200mb")


def test_a_damaged_table_is_named(tmp_path, monkeypatch):
    (tmp_path / "cards.yaml").write_text("cards: {rtx: {name: x}}\nsources: {}\n", encoding="utf-8")
    monkeypatch.setenv("TTS_LAB_DATA", str(tmp_path))
    with pytest.raises(LabError, match=r"cards\.yaml cannot be read"):
        find_card("rtx3070")


def test_cards_are_values():
    card = find_card("rtx3070")
    assert card == Card(**vars(card))
    with pytest.raises(AttributeError):
        card.total_bytes = 1
