"""Behaviour: cutting Chinese into words."""

from __future__ import annotations

import time

import pytest

from tts_lab.text.words import CUTS, JOINTS, cut_words


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("重庆的重量", "重庆 的 重量"),
        ("风太大了", "风 太大 了"),
        ("他换了一份新工作", "他 换 了 一份 新 工作"),
        ("头也不回地走了", "头 也 不 回 地 走 了"),
        ("扔得到处都是", "扔 得 到处 都 是"),
        ("好想你", "好 想 你"),
        ("睡得怎么样", "睡得 怎么样"),
    ],
)
def test_cutting(run: str, words: str) -> None:
    assert " ".join(cut_words(run)) == words


def test_nothing_is_lost_and_long_runs_take_linear_time() -> None:
    run = "我们今天去公园玩一一我我" * 2000
    start = time.process_time()
    assert "".join(cut_words(run)) == run
    assert time.process_time() - start < 3
    assert cut_words("") == []


@pytest.mark.parametrize("table", [CUTS, JOINTS], ids=["cuts", "joints"])
def test_the_tables_only_cut(table: dict[str, str]) -> None:
    for whole, parts in table.items():
        assert parts.replace(" ", "") == whole
