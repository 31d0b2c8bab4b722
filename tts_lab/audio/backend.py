"""The one place that imports torchaudio, so that it loads beside any build of torch.

torchaudio 2.11 carries a compiled library built for one CUDA version, and a plain import fails with an OSError
beside a CPU build of torch, or beside another CUDA version. All that the lab uses (filter banks, resampling, Kaldi
features) is pure Python, so where the builds differ the library is left out. Call `torchaudio()` before importing
any package that imports torchaudio by itself (transformers, distillmos, torchcrepe).
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import torch

from tts_lab.errors import LabError

_UTILS = "torchaudio._extension.utils"


@cache
def torchaudio() -> ModuleType:
    """The torchaudio package, ready to use. Raises LabError where it is not installed or does not load."""
    if "torchaudio" in sys.modules:
        return sys.modules["torchaudio"]
    if _folder() is None:
        raise LabError("torchaudio is not installed in this Python; install it with `pip install torchaudio==2.11.0`.")
    if needs_preparing(torch.version.cuda, torchaudio_cuda()):
        _leave_out_library()
    try:
        # Its modules make tensors when they are imported, which must have values even where the caller builds on meta.
        with torch.device("cpu"):
            return importlib.import_module("torchaudio")
    except (ImportError, OSError, RuntimeError) as error:
        raise LabError(
            f"torchaudio {torchaudio_version()} does not load beside torch {torch.__version__} ({error}); "
            "install the versions named in constraints.txt."
        ) from error


def mode() -> str:
    """How torchaudio is loaded here: `native` (with its compiled library) or `prepared` (pure Python)."""
    torchaudio()
    utils = sys.modules.get(_UTILS)
    return "prepared" if getattr(utils, "_LIB_DIR", None) == _nowhere() else "native"


def needs_preparing(torch_cuda: str | None, library_cuda: str | None) -> bool:
    """Whether the compiled library must be left out: it fits only a torch of its own CUDA version."""
    return torch_cuda is None or torch_cuda != library_cuda


def torchaudio_version() -> str | None:
    """Version of the installed torchaudio, with its build tag (`2.11.0+cu130`), read without importing it."""
    folder = _folder()
    if folder is None or not (folder / "version.py").is_file():
        return None
    found = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", (folder / "version.py").read_text(encoding="utf-8"))
    return found[1] if found else None


def torchaudio_cuda() -> str | None:
    """CUDA version that the installed torchaudio was built for, such as `13.0`; None for a CPU build."""
    return cuda_of_version(torchaudio_version() or "")


def cuda_of_version(version: str) -> str | None:
    """CUDA version in a build tag: `2.11.0+cu130` -> `13.0`; None where there is none."""
    found = re.search(r"\+cu(\d+)(\d)$", version)
    return f"{found[1]}.{found[2]}" if found else None


def _folder() -> Path | None:
    spec = importlib.util.find_spec("torchaudio")
    return Path(spec.origin).parent if spec and spec.origin else None


def _nowhere() -> Path:
    return Path(__file__).parent / "no-compiled-torchaudio"


def _leave_out_library() -> None:
    """Load torchaudio's own loader ahead of it, and let it look for the library in a folder that is not there.

    torchaudio treats "no library file" as a supported case; only "library present but unloadable" is an error.
    """
    folder = _folder()
    assert folder is not None
    spec = importlib.util.spec_from_file_location(_UTILS, folder / "_extension" / "utils.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module._LIB_DIR = _nowhere()  # type: ignore[attr-defined]
    sys.modules[_UTILS] = module
