"""Trained parts -> the bundled weights.

python training/export.py --corpus corpus --features features --runs runs --out data/voices
"""

from __future__ import annotations

import argparse
import json
from dataclasses import astuple, replace
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from batches import Corpus
from tts_lab.audio.mel import MEL_22K
from tts_lab.systems.mini.checkpoint import MiniModel, Voice, save
from tts_lab.systems.mini.config import MiniConfig
from tts_lab.systems.mini.prosody import heard

# Names of the corpus's speakers -> what users call them. All four are synthetic.
VOICES = {
    "zf_xiaoxiao": Voice("xiaoxiao", "female, median pitch 239 Hz", "female"),
    "zf_xiaobei": Voice("xiaobei", "female, median pitch 237 Hz", "female"),
    "zm_yunjian": Voice("yunjian", "male, median pitch 108 Hz", "male"),
    "zm_yunxi": Voice("yunxi", "male, median pitch 155 Hz", "male"),
}
ORDER = tuple(VOICES)
HEARD = 40  # sentences of a speaker that tell its habits
MADE_BY = "training/ of tts_lab; synthetic, distilled from Kokoro-82M v1.0 (Apache-2.0)"


def averages(folder: Path, name: str = "state.pt") -> dict[str, Tensor]:
    state = torch.load(folder / name, weights_only=True)
    return state.get("average", state)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def habits_of(corpus: Path, speaker: str) -> tuple[float, ...]:
    """How a speaker of the corpus speaks by and large: medians over its first sentences, as a clip is heard."""
    lines = map(json.loads, (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines())
    own = [row for row in lines if (row["speaker"], row["type"], row["split"]) == (speaker, "a", "train")][:HEARD]
    rows = []
    for row in own:
        samples, rate = soundfile.read(corpus / row["file"], dtype="float32")
        assert rate == MEL_22K.sample_rate
        rows.append(astuple(heard(torch.from_numpy(samples))))
    return tuple(torch.tensor(rows).median(0).values.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/voices"))
    args = parser.parse_args()
    corpus = Corpus(args.features)
    rows = [corpus.voices.index(name) for name in ORDER]
    config = replace(MiniConfig(), voices=tuple(VOICES[name].name for name in ORDER))
    model = MiniModel(config)
    semantic = averages(args.runs / "semantic", "best.pt")
    model.semantic.load_state_dict(part(semantic, "model."))
    model.semantic_styles.copy_(semantic["styles.weight"][rows])
    joint = averages(args.runs / "joint")
    model.acoustic.load_state_dict(part(joint, "acoustic."))
    model.acoustic_styles.copy_(joint["styles.weight"][rows])
    model.manner.copy_(joint["manner"][: len(model.manner)])  # without the last, WORLD's own sound
    model.habits.copy_(torch.tensor([habits_of(args.corpus, name) for name in ORDER]))
    speaker = averages(args.runs / "speaker")
    for name in ("head.2.weight", "head.2.bias"):
        speaker[name] = speaker[name][rows]
    model.speaker.load_state_dict(speaker)
    path = save(model, config, [VOICES[name] for name in ORDER], MADE_BY, args.out)
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
