"""Trained parts -> the bundled weights. A part that has no run stays as the file there has it.

    python training/export.py --corpus corpus --runs runs --out data/voices

Runs: `semantic`, `speaker`, `joint` or else `acoustic`, and `vocoder`, which has a file of its own. The corpus tells
each voice's habits; without it these stay too.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import astuple, replace
from pathlib import Path

import soundfile
import torch
from safetensors import safe_open
from torch import Tensor, nn

from tts_lab.audio.mel import MEL_22K
from tts_lab.nn.source_filter import SourceFilter
from tts_lab.systems.mini.checkpoint import FILE, MANNERS, MiniModel, Voice, save, save_vocoder
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
ROWS = [sorted(ORDER).index(name) for name in ORDER]  # training sorts the speakers by name
PARTS = ("semantic", "joint", "acoustic", "speaker")
HEARD = 40  # sentences of a speaker that tell its habits
MADE_BY = "training/ of tts_lab; synthetic, distilled from Kokoro-82M v1.0 (Apache-2.0)"


def averages(folder: Path, name: str = "state.pt") -> dict[str, Tensor]:
    state = torch.load(folder / name, weights_only=True)
    return state.get("average", state)


def part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def kept(model: MiniModel, folder: Path) -> None:
    """All that the bundled file in a folder holds and that has a place in today's model."""
    with safe_open(folder / FILE, "pt") as file:
        own = model.state_dict()
        state = {k: file.get_tensor(k) for k in file.keys() if k in own and own[k].shape == file.get_tensor(k).shape}  # noqa: SIM118
    model.load_state_dict(state, strict=False)


def semantic_part(model: MiniModel, runs: Path) -> None:
    state = averages(runs / "semantic", "best.pt")
    model.semantic.load_state_dict(part(state, "model."))
    model.semantic_styles.copy_(state["styles.weight"][ROWS])


def acoustic_part(model: MiniModel, runs: Path) -> None:
    """From `joint`, which has manners too; else from what it begins with."""
    if not (runs / "joint").exists():
        model.acoustic.load_state_dict(averages(runs / "acoustic"))
        model.acoustic_styles.copy_(torch.load(runs / "acoustic" / "styles.pt", weights_only=True)[ROWS])
        return
    state = averages(runs / "joint")
    model.acoustic.load_state_dict(part(state, "acoustic."))
    model.acoustic_styles.copy_(state["styles.weight"][ROWS])
    model.manner.copy_(state["manner"][:MANNERS])  # without the last, WORLD's own sound


def speaker_part(model: MiniModel, folder: Path) -> None:
    """The speaker encoder, its centroids in the order of the bundled voices, and its limits."""
    model.speaker.load_state_dict(part(averages(folder), "encoder."))
    known = torch.load(folder / "known.pt", weights_only=True)
    model.speaker.centroids.copy_(known["centroids"][[known["voices"].index(name) for name in ORDER]])
    model.speaker.limits.copy_(known["limits"])


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
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=Path("data/voices"))
    args = parser.parse_args()
    config = replace(MiniConfig(), voices=tuple(VOICES[name].name for name in ORDER))
    model = MiniModel(config)
    if (args.out / FILE).exists():
        kept(model, args.out)
    if (args.runs / "semantic").exists():
        semantic_part(model, args.runs)
    if (args.runs / "joint").exists() or (args.runs / "acoustic").exists():
        acoustic_part(model, args.runs)
    if (args.runs / "speaker").exists():
        speaker_part(model, args.runs / "speaker")
    if args.corpus:
        model.habits.copy_(torch.tensor([habits_of(args.corpus, name) for name in ORDER]))
    if args.corpus or any((args.runs / part).exists() for part in PARTS):  # else the file stays as it is, to the byte
        said(save(model, config, [VOICES[name] for name in ORDER], MADE_BY, args.out), model)
    if (args.runs / "vocoder").exists():
        vocoder = SourceFilter()
        vocoder.load_state_dict(averages(args.runs / "vocoder"))
        said(save_vocoder(vocoder, MADE_BY, args.out), vocoder)


def said(path: Path, model: nn.Module) -> None:
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
