"""The script `lab`: finding Python, installing once, recovering, and what it says when something is missing.

No test installs anything: a stand-in Python answers the script's questions and writes down what it was asked to do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")

# all that ./lab and the stand-in may call: on this PATH nothing else is found
TOOLS = ["bash", "cat", "chmod", "cksum", "cp", "dirname", "env", "grep", "ls", "mkdir", "mv", "readlink", "rm", "sed"]
TOOLS += ["sleep", "sort", "touch", "tr", "uname"]

STAND_IN = """#!/bin/bash
# a Python for tests of ./lab; CALLS and the FAKE_ variables come from the test
case "$*" in
    *version_info*) [[ -z ${FAKE_BROKEN:-} ]] || exit 127; echo "${FAKE_VERSION:-3.11}" ;;
    *ensurepip*) [[ -z ${FAKE_NO_VENV:-} ]] ;;
    *disk_usage*) echo "${FAKE_FREE_MB:-50000}" ;;
    *"import pip"*) exit 0 ;;
    *"-m venv"*)
        echo "venv" >>"$CALLS"
        folder="${!#}"
        rm -rf "$folder" && mkdir -p "$folder/bin" && touch "$folder/pyvenv.cfg" && cp "$0" "$folder/bin/python"
        ;;
    *"-m pip install"*)
        echo "pip ${!#}" >>"$CALLS"
        sleep "${FAKE_SECONDS:-0}"
        [[ -z ${FAKE_PIP_SAYS:-} ]] || { echo "$FAKE_PIP_SAYS" >"$(dirname "$0")/../lab-install.log"; exit 1; }
        cat >"$(dirname "$0")/tts-lab" <<'END'
#!/bin/bash
echo "tts-lab in $PWD:"; printf "<%s>" "$@"; echo "${OMP_NUM_THREADS:-unset}"
END
        chmod +x "$(dirname "$0")/tts-lab"
        ;;
    *)
        echo "run $*" >>"$CALLS"
        for word in ${FAKE_FAILS:-}; do case " $* " in *" $word "*) exit 1 ;; esac; done
        ;;
esac
"""


class Lab:
    """A copy of the script in a folder of its own, and a PATH on which the only Python is the stand-in."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "my lab 实验室"
        self.root.mkdir()
        for name in ("lab", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        self.calls_file = folder / "calls"
        self.bin = folder / "bin"
        self.bin.mkdir()
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.python("python3")

    def python(self, name: str, setting: str = "") -> Path:
        path = self.bin / name
        path.write_text(STAND_IN.replace("case", f"{setting}\ncase", 1))
        path.chmod(0o755)
        return path

    def environment(self, **settings: str) -> dict[str, str]:
        return {"PATH": str(self.bin), "CALLS": str(self.calls_file), "HOME": str(self.root), **settings}

    def run(self, *words: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.root / "lab"), *words],
            cwd=cwd or self.root,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The last thing said, which must be the one sentence about what went wrong."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout == ""
    return done.stderr.splitlines()[-1]


def test_first_run_installs_and_the_second_does_not(lab: Lab) -> None:
    first = lab.run("speak", "你好", "--out", "a b.wav")
    assert first.returncode == 0, first.stderr
    assert lab.calls == ["venv", "pip ."]
    second = lab.run("speak", "你好", "--out", "a b.wav")
    assert lab.calls == ["venv", "pip ."]
    assert second.stderr == ""
    assert "<speak><你好><--out><a b.wav>" in second.stdout == first.stdout


def test_what_it_says_does_not_mix_with_what_tts_lab_prints(lab: Lab) -> None:
    first = lab.run("speak")
    assert first.stdout.startswith("tts-lab in")
    assert "installing packages" in first.stderr


def test_relative_paths_are_the_users(lab: Lab, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert lab.run("speak", cwd=elsewhere).stdout.startswith(f"tts-lab in {elsewhere}:")


def test_through_a_link(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(lab.root / "lab")
    done = subprocess.run([tmp_path / "link", "x"], env=lab.environment(), capture_output=True, text=True, check=False)
    assert done.stdout.startswith("tts-lab in"), done.stderr
    assert (lab.root / ".venv").is_dir()


def test_threads_are_left_alone(lab: Lab) -> None:
    assert lab.run("doctor").stdout.rstrip().endswith("unset")
    assert "OMP_NUM_THREADS" not in (ROOT / "lab").read_text()


def test_ready_costs_little(lab: Lab) -> None:
    """Where all is ready a call asks a handful of programs, and Python once, for its version."""
    lab.python("python3", 'echo "asks python" >>"$CALLS"')
    lab.run("doctor")
    for tool in set(TOOLS) - {"bash"}:
        if real := shutil.which(tool):
            (lab.bin / tool).unlink()
            (lab.bin / tool).write_text(f'#!/bin/bash\necho "asks {tool}" >>"$CALLS"\nexec {real} "$@"\n')
            (lab.bin / tool).chmod(0o755)
    lab.calls_file.unlink()
    assert lab.run("doctor").returncode == 0
    asked = [call for call in lab.calls if call.startswith("asks ")]
    assert asked.count("asks python") == 1
    assert 2 <= len(asked) <= 8, asked


def test_extras_add_up(lab: Lab) -> None:
    lab.run("install", "judges")
    lab.run("install", "train")
    lab.run("install", "judges", "train")
    lab.run("speak")
    assert lab.calls == ["venv", "pip .[judges]", "pip .[judges,train]"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_file_installs_again_with_the_same_extras(lab: Lab, name: str) -> None:
    lab.run("install", "notebook")
    with (lab.root / name).open("a") as file:
        file.write("# changed\n")
    lab.run("speak")
    assert lab.calls == ["venv", "pip .[notebook]", "pip .[notebook]"]


def test_a_moved_folder_installs_again(lab: Lab, tmp_path: Path) -> None:
    lab.run("speak")
    lab.root = lab.root.rename(tmp_path / "moved")
    assert lab.run("speak").returncode == 0
    assert lab.calls == ["venv", "pip .", "pip ."]


def test_another_python_in_the_environment_installs_again(lab: Lab) -> None:
    lab.run("speak")
    lab.run("speak", FAKE_VERSION="3.12")
    assert lab.calls.count("pip .") == 2


def test_a_broken_environment_is_made_anew(lab: Lab) -> None:
    lab.run("speak")
    (lab.root / ".venv/bin/python").unlink()
    (lab.root / ".venv/bin/python").symlink_to("/nowhere/python3")
    assert lab.run("speak").returncode == 0
    assert lab.calls == ["venv", "pip ."] * 2


def test_a_failed_installation_is_done_again(lab: Lab) -> None:
    lab.run("speak", FAKE_PIP_SAYS="something odd")
    assert not (lab.root / ".lab-lock").exists()
    assert lab.run("speak").returncode == 0
    assert lab.calls == ["venv", "pip .", "pip ."]


def test_a_killed_installation_is_done_again(lab: Lab) -> None:
    process = subprocess.Popen(
        [lab.root / "lab", "speak"],
        env=lab.environment(FAKE_SECONDS="30"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while "pip ." not in lab.calls and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (lab.root / ".lab-lock").exists()  # nobody could tidy up
    done = lab.run("speak")
    assert done.returncode == 0, done.stderr
    assert lab.calls == ["venv", "pip .", "pip ."]
    assert not (lab.root / ".lab-lock").exists()


def test_two_at_once_install_once(lab: Lab) -> None:
    both = [
        subprocess.Popen(
            [lab.root / "lab", "speak"],
            env=lab.environment(FAKE_SECONDS="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert lab.calls == ["venv", "pip ."]
    assert sum("waiting for it" in stderr for _, stderr in said) == 1


# --- finding Python ---


def test_a_shim_that_fails_is_passed_over(lab: Lab) -> None:
    lab.python("python3", "FAKE_BROKEN=1")
    good = lab.python("python3.11")
    assert f"with {good} " in lab.run("speak").stderr


def test_a_second_python3_behind_a_shim_is_found(lab: Lab, tmp_path: Path) -> None:
    lab.python("python3", "FAKE_BROKEN=1")
    (tmp_path / "bin2").mkdir()
    good = lab.python("../bin2/python3").resolve()
    done = lab.run("speak", PATH=f"{lab.bin}:{tmp_path / 'bin2'}")
    assert f"with {good} " in done.stderr


def test_a_tested_version_is_preferred(lab: Lab) -> None:
    lab.python("python3", "FAKE_VERSION=3.14")
    good = lab.python("python3.12", "FAKE_VERSION=3.12")
    assert f"with {good} " in lab.run("speak").stderr


def test_a_newer_version_is_taken_where_it_is_all_there_is(lab: Lab) -> None:
    good = lab.python("python3", "FAKE_VERSION=3.13")
    assert f"with {good} " in lab.run("speak").stderr


def test_too_old(lab: Lab) -> None:
    said = sentence(lab.run("speak", FAKE_VERSION="3.9"))
    assert "Python 3.11 or 3.12 is needed and only Python 3.9 was found" in said
    assert lab.calls == []


def test_none_at_all(lab: Lab) -> None:
    (lab.bin / "python3").unlink()
    assert "and none was found; install one" in sentence(lab.run("speak"))


def test_named_python(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    good = lab.python("../other/python3").resolve()
    (lab.bin / "python3").unlink()
    assert f"with {good} " in lab.run("speak", LAB_PYTHON=str(good)).stderr


def test_named_python_that_is_none(lab: Lab) -> None:
    assert "does not run as a Python" in sentence(lab.run("speak", LAB_PYTHON="/bin/false"))
    assert "3.11 or newer is needed" in sentence(lab.run("speak", LAB_PYTHON="python3", FAKE_VERSION="3.10"))


# --- one sentence when something is missing ---


def test_no_venv_module(lab: Lab) -> None:
    said = sentence(lab.run("speak", FAKE_NO_VENV="1"))
    assert "comes without its module venv; install it (Debian and Ubuntu: apt install python3-venv)" in said


def test_too_little_disk(lab: Lab) -> None:
    said = sentence(lab.run("speak", FAKE_FREE_MB="2000"))
    assert "3.0 GB of disk are needed and 2000 MB are free" in said
    assert lab.calls == []


def test_disk_for_a_cpu_torch_only(lab: Lab) -> None:
    done = lab.run("speak", FAKE_FREE_MB="5000")
    assert done.returncode == 0
    assert ("one with CUDA needs about 10 GB" in done.stderr) == (sys.platform == "linux")


def test_less_disk_is_needed_once_torch_is_there(lab: Lab) -> None:
    lab.run("speak")
    (lab.root / ".venv/lib/python3.11/site-packages/torch").mkdir(parents=True)
    assert lab.run("install", "train", FAKE_FREE_MB="2000").returncode == 0


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("NewConnectionError: Failed to establish a new connection", "could not be downloaded; check the network"),
        ("Max retries exceeded: NameResolutionError\nERROR: No matching distribution found", "check the network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left", "the disk filled up"),
        ("ERROR: No matching distribution found for torch==2.13.0", "not offered for Python 3.11"),
        ("error: subprocess-exited-with-error", "pip could not install the packages"),
    ],
)
def test_what_pip_failed_at(lab: Lab, log: str, expected: str) -> None:
    assert expected in sentence(lab.run("speak", FAKE_PIP_SAYS=log))


def test_something_else_called_venv_is_left_alone(lab: Lab) -> None:
    (lab.root / ".venv").mkdir()
    (lab.root / ".venv/thesis.txt").write_text("years of work")
    assert "is no Python environment; move it away" in sentence(lab.run("speak"))
    assert (lab.root / ".venv/thesis.txt").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(lab: Lab) -> None:
    lab.root.chmod(0o500)
    assert "put the lab in a folder of your own" in sentence(lab.run("speak"))


def test_unknown_extra(lab: Lab) -> None:
    assert "there is no extra called jugdes" in sentence(lab.run("install", "jugdes"))
    assert lab.calls == []


# --- the other words ---


def test_help_needs_no_python(lab: Lab) -> None:
    (lab.bin / "python3").unlink()
    for flag in ("-h", "--help"):
        done = lab.run(flag)
        assert done.returncode == 0
        assert done.stdout.startswith("Usage: ./lab")
        assert "CPU builds of torch" in done.stdout
    assert not (lab.root / ".venv").exists()


def test_alone_it_opens_the_first_notebook(lab: Lab) -> None:
    (lab.root / "notebooks").mkdir()
    (lab.root / "notebooks/00_start_here.ipynb").touch()
    assert lab.run("--no-browser").returncode == 0
    assert lab.calls[:2] == ["venv", "pip .[notebook]"]
    assert "-m jupyterlab" in lab.calls[2]
    assert f"root_dir={lab.root} " in lab.calls[2]
    assert lab.calls[2].endswith("default_url=/lab/tree/notebooks/00_start_here.ipynb --no-browser")


def test_web_installs_what_the_page_needs_once(lab: Lab) -> None:
    assert lab.run("speak").returncode == 0
    first = lab.run("web", "--port", "0")
    assert first.returncode == 0, first.stderr
    assert lab.calls == ["venv", "pip .", "pip .[web]"]
    assert "<web><--port><0>" in first.stdout
    lab.run("web")
    lab.run("speak")
    assert lab.calls == ["venv", "pip .", "pip .[web]"]


def test_help_names_the_page(lab: Lab) -> None:
    assert "./lab web [OPTION ...]" in lab.run("--help").stdout


def test_version_needs_no_installation(lab: Lab) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert lab.run("--version").stdout == f"tts-lab {version}\n"
    assert lab.calls == []


def test_test_runs_everything_in_order(lab: Lab) -> None:
    (lab.root / "notebooks").mkdir()
    (lab.root / "notebooks/00.ipynb").touch()
    (lab.root / "tests").mkdir()
    (lab.root / "tests/nbval_sanitize.cfg").touch()
    done = lab.run("test", "-k", "mel", cwd=lab.bin)
    assert done.returncode == 0, done.stderr
    assert lab.calls == [
        "venv",
        "pip .[notebook,test]",
        "run -P -m ruff check .",
        "run -P -m ruff format --check .",
        "run -P -m mypy",
        "run -P -m pytest -k mel",
        "run -P -m pytest --nbval --nbval-current-env --nbval-cell-timeout 300"
        " --nbval-sanitize-with tests/nbval_sanitize.cfg notebooks/00.ipynb",
    ]
    assert done.stdout.rstrip().endswith("All 5 checks passed.")


@pytest.mark.parametrize(("fails", "count"), [("ruff", 2), ("mypy", 1), ("--nbval", 1), ("mypy -k", 2)])
def test_test_goes_on_after_a_failure_and_reports_it(lab: Lab, fails: str, count: int) -> None:
    (lab.root / "notebooks").mkdir()
    (lab.root / "notebooks/00.ipynb").touch()
    done = lab.run("test", "-k", "mel", FAKE_FAILS=fails)
    assert done.returncode == 1
    assert len([call for call in lab.calls if call.startswith("run ")]) == 5
    assert done.stdout.count("FAILED ") == count
    assert done.stdout.rstrip().endswith(f"{count} of 5 checks failed.")


def test_continuous_integration_runs_the_same(lab: Lab) -> None:
    (lab.root / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", lab.root / ".ci/run")
    done = subprocess.run(
        ["bash", ".ci/run"], cwd=lab.root, env=lab.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [call for call in lab.calls if call.startswith("run -P -m pytest")]


def runs_of_pytest(lab: Lab, *words: str, **settings: str) -> list[str]:
    """What pytest was told, for the tests and for the notebooks."""
    (lab.root / "notebooks").mkdir()
    (lab.root / "notebooks/00.ipynb").touch()
    lab.calls_file.unlink(missing_ok=True)
    assert lab.run("test", *words, **settings).returncode == 0
    return [call.removeprefix("run -P -m pytest") for call in lab.calls if call.startswith("run -P -m pytest")]


def test_everything_is_shared_among_workers(lab: Lab) -> None:
    tests, notebooks = runs_of_pytest(lab, LAB_TEST_WORKERS="3")
    assert tests == " -n 3 --dist worksteal"
    assert notebooks.startswith(" -n 3 --dist loadfile --nbval ")


@pytest.mark.parametrize(("cores", "workers"), [("2", " -n 2"), ("64", " -n 4"), ("1", "")])
def test_a_worker_for_each_core(lab: Lab, cores: str, workers: str) -> None:
    (lab.bin / "getconf").write_text(f"#!/bin/bash\n[[ $* == _NPROCESSORS_ONLN ]] && echo {cores}\n")
    (lab.bin / "getconf").chmod(0o755)
    tests, notebooks = runs_of_pytest(lab)
    assert tests == (f"{workers} --dist worksteal" if workers else "")
    assert notebooks.startswith(f"{workers} --dist loadfile --nbval" if workers else " --nbval")


def test_cores_that_cannot_be_counted_are_one(lab: Lab) -> None:
    assert runs_of_pytest(lab)[0] == ""


def test_named_tests_start_no_workers(lab: Lab) -> None:
    tests, notebooks = runs_of_pytest(lab, "tests/nn", "-k", "mel", LAB_TEST_WORKERS="2")
    assert tests == " tests/nn -k mel"
    assert notebooks.startswith(" -n 2 ")


@pytest.mark.parametrize("workers", ["0", "many", "-1"])
def test_a_number_of_workers_that_is_none(lab: Lab, workers: str) -> None:
    done = lab.run("test", LAB_TEST_WORKERS=workers)
    assert done.returncode == 1
    assert f"LAB_TEST_WORKERS is {workers}; it is a number of processes, 1 or more." in done.stderr


def with_apt(lab: Lab, code: int = 0) -> None:
    for name, body in (("apt-get", f'echo "apt $*" >>"$CALLS"; exit {code}'), ("id", "echo 0")):
        (lab.bin / name).unlink(missing_ok=True)
        (lab.bin / name).write_text(f"#!{shutil.which('bash')}\n{body}\n")
        (lab.bin / name).chmod(0o755)


def test_continuous_integration_installs_the_browser_that_tests_need(lab: Lab) -> None:
    with_apt(lab)
    assert lab.run("test", CI="true").returncode == 0
    assert [call for call in lab.calls if call.startswith("apt ")] == [
        "apt update",
        "apt install -y --no-install-recommends chromium",
    ]


def test_nothing_is_installed_on_a_persons_system(lab: Lab) -> None:
    with_apt(lab)
    assert lab.run("test").returncode == 0
    assert not [call for call in lab.calls if call.startswith("apt ")]


def test_a_browser_that_is_there_is_enough(lab: Lab) -> None:
    with_apt(lab)
    lab.python("chromium")
    assert lab.run("test", CI="true").returncode == 0
    assert not [call for call in lab.calls if call.startswith("apt ")]


def test_without_a_browser_the_tests_go_on(lab: Lab) -> None:
    with_apt(lab, code=1)
    done = lab.run("test", CI="true")
    assert done.returncode == 0
    assert "Chromium could not be installed" in done.stderr


def test_refresh_runs_the_notebooks_that_are_named(lab: Lab) -> None:
    assert lab.run("refresh", "06").returncode == 0
    assert [call for call in lab.calls if call.startswith("run ")] == [
        f"run -P {lab.root}/notebooks/refresh.py 06",
        f"run -P -m ruff format --quiet {lab.root}/notebooks",
    ]
