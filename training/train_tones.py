"""Teach the classifier that tells a syllable's tone from its pitch (`tts_lab/experiments/tones.py`).

    python training/train_tones.py --corpus corpus --out data/tones.json

The teacher's training sentences teach, its `dev` sentences choose when to stop, and both figures are written into the
file. Takes some minutes, most of them for the pitch of 1,772 utterances.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tts_lab.audio import files
from tts_lab.experiments.teacher import syllables_of
from tts_lab.experiments.tones import FEATURES, TONES, ToneClassifier, fundamental, told
from tts_lab.whole import whole

HIDDEN, DECAY, SEED = 32, 1e-2, 0


def utterance(job: tuple[dict[str, Any], str]) -> tuple[Any, Any]:
    """Features (n, f) and tones (n,) of one line of the manifest."""
    entry, root = job
    torch.set_num_threads(1)
    return told(fundamental(*files.read(Path(root) / entry["file"])), syllables_of(entry))


def gathered(corpus: Path, split: str, workers: int) -> tuple[Any, Any]:
    """All syllables of a split."""
    entries = [json.loads(line) for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    jobs = [(entry, str(corpus)) for entry in entries if entry["split"] == split]
    with ProcessPoolExecutor(workers) as pool:
        found = list(pool.map(utterance, jobs, chunksize=8))
    return np.concatenate([features for features, _ in found]), np.concatenate([tones for _, tones in found])


def taught(train: tuple[Any, Any], dev: tuple[Any, Any], steps: int = 4000) -> tuple[ToneClassifier, dict[str, Any]]:
    """The classifier at the step at which it did best on `dev`, and its figures."""
    torch.manual_seed(SEED)
    mean, scale = train[0].mean(0), train[0].std(0) + 1e-6
    x, y, x_dev, y_dev = (_tensor(part, mean, scale) for part in (train[0], train[1], dev[0], dev[1]))
    model = nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, len(TONES)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    draw = torch.Generator().manual_seed(SEED)
    best, kept = 2.0, {}
    for step in range(steps):
        picked = torch.randint(len(x), (512,), generator=draw)
        loss = nn.functional.cross_entropy(model(x[picked]), y[picked])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            with torch.no_grad():
                error = float(nn.functional.cross_entropy(model(x_dev), y_dev))
            if error < best:
                best, kept = error, {name: value.clone() for name, value in model.state_dict().items()}
    weights = tuple(array.numpy() for array in (kept["0.weight"].T, kept["0.bias"], kept["2.weight"].T, kept["2.bias"]))
    found = ToneClassifier(mean, scale, weights, {})
    return found, {"train": figures(found, *train), "dev": figures(found, *dev)}


def figures(model: ToneClassifier, features: Any, tones: Any) -> dict[str, Any]:
    """Share of right answers, over all and by tone, and what was told for what (rows: the tone that it is)."""
    answers = model(features)
    table = [[int(((tones == is_) & (answers == said)).sum()) for said in TONES] for is_ in TONES]
    by_tone = {
        str(tone): round(row[i] / max(sum(row), 1), 4) for i, (tone, row) in enumerate(zip(TONES, table, strict=True))
    }
    return {
        "syllables": len(tones),
        "right": round(float((answers == tones).mean()), 4),
        "by_tone": by_tone,
        "table": table,
    }


def main() -> None:
    args = _arguments()
    train, dev = (gathered(args.corpus, split, args.workers) for split in ("train", "dev"))
    model, found = taught(train, dev)
    print(json.dumps(found, indent=1))
    about = {
        "what": "Tells the tone of a Mandarin syllable from its pitch contour; see tts_lab/experiments/tones.py.",
        "source": "Taught by the synthetic speech of the bundled voice's teacher, Kokoro-82M v1.0 (Apache-2.0).",
        "command": "python training/train_tones.py --corpus corpus --out data/tones.json",
        "right": found,
    }  # fmt: skip
    data = ToneClassifier(model.mean, model.scale, model.weights, about).to_dict()
    with whole(args.out, "classifier") as part:
        part.write_text(
            ",\n".join(json.dumps({k: v})[1:-1] for k, v in data.items()).join(("{\n", "\n}\n")), encoding="utf-8"
        )


def _tensor(part: Any, mean: Any, scale: Any) -> Tensor:
    if part.ndim == 1:
        return torch.from_numpy(part - 1).long()
    return torch.from_numpy((part - mean) / scale).float()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="folder of the teacher's corpus")
    parser.add_argument("--out", type=Path, default=Path("data/tones.json"))
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
