"""The house: each floor imports only from floors below it, and the core needs no notebook stack."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "tts_lab"
FLOOR = {
    "errors": 0, "types": 0, "paths": 0, "whole": 0, "nearest": 0, "loops": 0, "processor": 0,
    "nn": 0, "text": 0, "audio": 0,
    "memory": 1, "levers": 1, "lever_checks": 1, "recipe": 1, "receipt": 1, "pipeline": 1, "noise": 1,
    "systems": 2,
    "experiments": 3,
    "show": 4, "doctor": 4,
    "web": 5,
    "commands": 5, "cli": 5,
}  # fmt: skip
ABOVE_CORE = ("show", "commands", "cli", "experiments", "doctor", "web")
KNOWS_NOTHING_OF = {
    "memory": ("text", "audio", "nn", "recipe", "receipt", "pipeline", "types"),
    "nn": ("text", "audio", "types"),
    "text": ("nn", "audio"),
    "audio": ("nn", "text"),
    "web": ("commands", "cli"),
}
FORBIDDEN = (
    "librosa",
    "IPython",
    "ipywidgets",
    "anywidget",
    "gradio",
    "gradio_client",
    "jupyter",
    "jupyterlab",
    "notebook",
    "matplotlib",
    "pandas",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def home(module):
    """The part of the house that a dotted name of ours lives in; None for the package itself."""
    return module.split(".")[1] if "." in module else None


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(node):
    """Modules that a file imports anywhere, in functions too, but not for the type checker alone."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative imports hide the floor"
            yield child.module
            if child.module == "tts_lab":  # `from tts_lab import recipe` is a module too
                yield from (f"tts_lab.{alias.name}" for alias in child.names if alias.name in FLOOR)
        else:
            yield from imports(child)


def ours(path):
    found = imports(ast.parse(path.read_text(encoding="utf-8")))
    return [home(m) for m in found if m.split(".")[0] == "tts_lab" and home(m)]


@pytest.mark.parametrize("path", [p for p in MODULES if home(dotted(p))], ids=dotted)
def test_imports_only_from_floors_below(path):
    part = home(dotted(path))
    assert part in FLOOR, f"{part} has no floor: give it one here"
    for other in ours(path):
        assert FLOOR[other] <= FLOOR[part], f"{dotted(path)} (floor {FLOOR[part]}) imports {other}"
        assert other not in KNOWS_NOTHING_OF.get(part, ()), f"{part} must know nothing of {other}"


def test_the_walk_finds_imports_wherever_they_are():
    code = (
        "from typing import TYPE_CHECKING\nimport tts_lab.cli\nfrom tts_lab import show\n"
        "if TYPE_CHECKING:\n    import tts_lab.experiments\n"
        "def f():\n    try:\n        from tts_lab.recipe import Recipe\n    except Exception: pass\n"
    )
    found = [m for m in imports(ast.parse(code)) if m.startswith("tts_lab.")]
    assert found == ["tts_lab.cli", "tts_lab.show", "tts_lab.recipe"]


def test_core_imports_without_the_notebook_stack_librosa_matplotlib_pandas():
    core = [dotted(p) for p in MODULES if home(dotted(p)) not in ABOVE_CORE]
    assert "tts_lab.pipeline" in core
    code = (
        "import importlib, sys\n"
        f"blocked = {FORBIDDEN!r}\n"
        "class Wall:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in blocked: raise ImportError('blocked: ' + name)\n"
        "sys.meta_path.insert(0, Wall())\n"
        f"for name in {core!r}: importlib.import_module(name)\n"
        "print(sorted(set(blocked) & set(sys.modules)))\n"
        "try: import matplotlib\n"
        "except ImportError: print('the wall stands')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:2] == ["[]", "the wall stands"]


def test_only_the_web_page_imports_gradio():
    found = {
        home(dotted(path)): dotted(path)
        for path in MODULES
        if any(m.split(".")[0].startswith("gradio") for m in imports(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert set(found) == {"web"}


def test_the_command_line_is_there_without_gradio():
    code = (
        "import sys\n"
        "import tts_lab.cli, tts_lab.commands.web\n"
        "loaded = [name for name in ('gradio', 'torch', 'fastapi') if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_public_names_are_found_and_importing_the_package_costs_nothing():
    code = (
        "import sys, tts_lab\n"
        "heavy = {'torch', 'numpy', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "for name in tts_lab.__all__: assert getattr(tts_lab, name).__name__ == name, name\n"
        "assert set(tts_lab.__all__) <= set(dir(tts_lab))\n"
        "try: tts_lab.nothing\n"
        "except AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "no attribute 'nothing'" in done.stdout


def test_version_is_the_one_of_the_project():
    import tts_lab

    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.*)"', project, re.MULTILINE).group(1) == tts_lab.__version__


@pytest.mark.parametrize("path", MODULES, ids=dotted)
def test_modules_say_what_they_are_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
