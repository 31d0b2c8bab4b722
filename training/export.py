"""Trained parts -> the bundled weights.

python training/export.py --features features --runs runs --out data/voices
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from batches import Corpus
from tts_lab.systems.mini.checkpoint import MiniModel, Voice, save
from tts_lab.systems.mini.config import MiniConfig

# Names of the corpus's speakers -> what users call them. All four are synthetic.
VOICES = {
    "zf_xiaoxiao": Voice("xiaoxiao", "female, median pitch 239 Hz", "female"),
    "zf_xiaobei": Voice("xiaobei", "female, median pitch 237 Hz", "female"),
    "zm_yunjian": Voice("yunjian", "male, median pitch 108 Hz", "male"),
    "zm_yunxi": Voice("yunxi", "male, median pitch 155 Hz", "male"),
}
ORDER = tuple(VOICES)
MADE_BY = "training/ of tts_lab; synthetic, distilled from Kokoro-82M v1.0 (Apache-2.0)"


def averages(folder: Path, name: str = "state.pt") -> dict[str, Tensor]:
    state = torch.load(folder / name, weights_only=True)
    return state.get("average", state)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True)
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
    model.acoustic.load_state_dict(averages(args.runs / "acoustic"))
    model.acoustic_styles.copy_(torch.load(args.runs / "acoustic" / "styles.pt", weights_only=True)[rows])
    speaker = averages(args.runs / "speaker")
    for name in ("head.2.weight", "head.2.bias"):
        speaker[name] = speaker[name][rows]
    model.speaker.load_state_dict(speaker)
    path = save(model, config, [VOICES[name] for name in ORDER], MADE_BY, args.out)
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
