"""Notebooks as they are stored: executed, comparable, clean. nbval runs them; here we make sure that it can fail."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
COMPARED = {"text/plain", "text/html"}  # nbval compares these; pictures and widget views it skips
MACHINE_PATH = re.compile(r"/(?:root|home|Users|tmp|work|mnt|var)/\w|[A-Z]:\\\\Users|site-packages|\.venv")
TAGS = {"nbval-ignore-output", "nbval-skip", "raises-exception"}


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def compared(cell):
    """Whether nbval compares anything of a cell: it must have run, show text, and not be excused."""
    if cell.execution_count is None or TAGS & set(cell.metadata.get("tags", [])):
        return False
    if re.search(r"#\s*(NBVAL_|PYTEST_)", cell.source):
        return False
    return any(out.output_type == "stream" or COMPARED & set(out.get("data", {})) for out in cell.outputs)


def rules():
    parser = configparser.RawConfigParser()
    parser.read(SANITIZE, encoding="utf-8")
    return [(re.compile(parser[name]["regex"]), parser[name]["replace"]) for name in parser.sections()]


def sanitized(text):
    for pattern, replacement in rules():
        text = pattern.sub(replacement, text)
    return text


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_there_are_notebooks():
    assert ROOT / "notebooks" / "00_start_here.ipynb" in NOTEBOOKS


def test_cells_ran_in_order_from_a_clean_kernel(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), "run `./lab refresh`"


def test_nbval_has_something_to_compare(notebook):
    cells = code_cells(notebook)
    share = sum(map(compared, cells)) / len(cells)
    assert share >= 0.7, f"only {share:.0%} of the code cells are compared; run `./lab refresh`"


def test_a_stripped_notebook_would_be_found(notebook):
    for cell in code_cells(notebook := nbformat.from_dict(notebook)):
        cell.execution_count, cell.outputs = None, []
    assert not any(map(compared, code_cells(notebook)))


def test_no_errors_and_nothing_on_stderr(notebook):
    outputs = [out for cell in code_cells(notebook) for out in cell.outputs]
    assert not [out for out in outputs if out.output_type == "error" or out.get("name") == "stderr"]


def test_no_paths_of_a_machine_and_no_addresses_of_objects(notebook):
    for cell in notebook.cells:
        shown = [cell.source, *(str(out.get("text", "")) for out in cell.get("outputs", []))]
        shown += [
            str(out.data[kind]) for out in cell.get("outputs", []) for kind in COMPARED & set(out.get("data", {}))
        ]
        for text in map(sanitized, shown):
            assert not MACHINE_PATH.search(text), text[:300]
            assert not re.search(r"\bat 0x[0-9a-f]{6,}", text), text[:300]


def test_no_metadata_of_one_run(notebook):
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.language_info == {"name": "python"}
    assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)


def test_cells_are_short_and_hold_no_logic(notebook):
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 12
        assert not re.search(r"^\s*(def|class|while|try)\b", cell.source, re.MULTILINE)


def test_begins_with_its_title_and_question(notebook):
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    assert "**Question.**" in notebook.cells[0].source


def test_sanitize_hides_what_is_measured_and_nothing_else():
    page = '<tr><td>8</td><td class="measured">0.123 s</td></tr>'
    assert sanitized(page) == '<tr><td>8</td><td class="measured">MEASURED</td></tr>'
    assert sanitized('src="data:audio/flac;base64,Zm9v+/=="') == 'src="data:audio/flac;base64,SOUND"'
    for same in ("evaluations  8", "sound  3.25 s", "<td>3.25 s</td>", "0.123 s"):
        assert sanitized(same) == same


def test_sanitize_is_short():
    assert len(rules()) <= 6


def test_nbval_forgives_a_measurement_and_nothing_else(tmp_path):
    """The command that checks our notebooks, on one whose measured cell, and whose other cell, are out of date."""
    show = "from IPython.display import HTML\nHTML('<td class=\"measured\">1 s</td><td>8</td>')"
    notebook = nbformat.v4.new_notebook()
    for seconds, evaluations in (("2 s", 8), ("1 s", 9)):
        page = f'<td class="measured">{seconds}</td><td>{evaluations}</td>'
        data = {"text/html": page, "text/plain": "<IPython.core.display.HTML object>"}
        output = nbformat.v4.new_output("execute_result", data, execution_count=1)
        notebook.cells.append(nbformat.v4.new_code_cell(show, execution_count=1, outputs=[output]))
    nbformat.write(notebook, tmp_path / "a.ipynb")
    command = ["-m", "pytest", "--nbval", "--nbval-current-env", "--nbval-sanitize-with", str(SANITIZE), "a.ipynb"]
    done = subprocess.run(
        [sys.executable, *command, "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert "1 failed, 1 passed" in done.stdout, done.stdout[-2000:]
    assert "::Cell 1 ____" in done.stdout


def refresh(path):
    return subprocess.run([sys.executable, ROOT / "notebooks" / "refresh.py", path], capture_output=True, text=True)


def test_a_notebook_is_found_by_its_number():
    sys.path.append(str(ROOT / "notebooks"))
    import refresh as script

    assert script.find("06").stem == "06_steps_and_precision"
    assert script.find("07_mel_spectrograms").stem == "07_mel_spectrograms"
    for name in ("99", "0"):
        with pytest.raises(SystemExit, match="00_start_here, 01_where"):
            script.find(name)


def test_every_notebook_has_exercises_with_their_solutions_folded(notebook):
    last = notebook.cells[-1].source
    assert "## Exercises" in last
    assert "<details><summary>Solutions</summary>" in last


def test_a_widget_has_a_picture_or_a_table_in_its_notebook(notebook):
    """Saved widgets are blank on sites that show code."""
    kinds = [set(out.get("data", {})) for cell in code_cells(notebook) for out in cell.outputs]
    widgets = sum("application/vnd.jupyter.widget-view+json" in kind for kind in kinds)
    assert widgets <= sum(bool(kind & {"image/png", "text/html"}) for kind in kinds)


def test_refresh_runs_cleans_and_keeps_the_old_file_when_a_cell_raises(tmp_path):
    path = tmp_path / "a.ipynb"
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}, "language_info": {"name": "python", "version": "3.0"}})
    notebook.cells = [nbformat.v4.new_code_cell("import tts_lab\n6 * 7", metadata={"execution": {}, "tags": ["t"]})]
    nbformat.write(notebook, path)
    assert refresh(path).returncode == 0
    done = nbformat.read(path, as_version=4)
    assert done.cells[0].outputs[0].data["text/plain"] == "42"
    assert (done.cells[0].execution_count, done.cells[0].metadata) == (1, {"tags": ["t"]})
    assert set(done.metadata) == {"kernelspec", "language_info"}

    done.cells[0].source = "1 / 0"
    nbformat.write(done, path)
    before = path.read_bytes()
    failed = refresh(path)
    assert failed.returncode != 0
    assert "ZeroDivisionError" in failed.stderr
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ipynb"]
