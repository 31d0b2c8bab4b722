"""Behaviour: cutting Chinese into words."""

from __future__ import annotations

import pytest

from tts_lab.text import words
from tts_lab.text.words import CUTS, JOINTS, cut_words


@pytest.mark.parametrize(
    ("run", "cut"),
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
def test_cutting(run: str, cut: str) -> None:
    assert " ".join(cut_words(run)) == cut


def test_nothing_is_lost_and_long_runs_take_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """jieba takes quadratic time: it never gets more than a slice, and all slices are little more than the run."""
    tokenizer, asked = words._tokenizer(), []
    cut = tokenizer.cut
    monkeypatch.setattr(tokenizer, "cut", lambda part: asked.append(len(part)) or cut(part))
    run = "我们今天去公园玩一一我我" * 2000
    assert "".join(cut_words(run)) == run
    assert max(asked) <= 500
    assert sum(asked) < 1.1 * len(run)
    assert cut_words("") == []


@pytest.mark.parametrize("table", [CUTS, JOINTS], ids=["cuts", "joints"])
def test_the_tables_only_cut(table: dict[str, str]) -> None:
    for whole, parts in table.items():
        assert parts.replace(" ", "") == whole
