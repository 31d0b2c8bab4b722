from __future__ import annotations

from pathlib import Path

import pytest

from tts_lab.errors import OutputError
from tts_lab.whole import whole


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    with whole(target, "page") as part:
        part.write_text("half")
        assert not target.exists()
        part.write_text("all of it")
    assert target.read_text() == "all of it"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_interrupts_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(error), whole(target, "page") as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_where_it_cannot_be_written_a_sentence_says_so(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match=r"The page .*a\.txt cannot be written .*choose another folder"),
        whole(tmp_path / "nowhere" / "a.txt", "page") as part,
    ):
        part.write_text("x")


def test_a_file_in_place_of_the_folder_is_told_in_the_same_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with (
        pytest.raises(OutputError, match="cannot be written"),
        whole(tmp_path / "file" / "a.txt", "page") as part,
    ):
        part.write_text("x")
