"""Teacher's speech in other manners: the material from which the voice learns energy and breath, and wider pitch.

    python training/manner.py --corpus corpus --features features --out features-manner

The teacher speaks neutrally. WORLD (Morise et al. 2016) takes its speech apart into pitch, spectral envelope and
aperiodicity; these are moved, and the speech is put together again:

- pitch: level in semitones and range as a factor around the utterance's median, so that the codes of pitch reach
  further than the teacher's own;
- energy: vocal effort, in dB. Effort tilts the spectrum beside making it louder: above 2 kHz it rises 1.5 times as much
  as the level does, below 500 Hz as much (after Traunmueller and Eriksson 2000). Only the tilt is learned; the level is
  the same in all material, and is applied when speaking;
- breath: 0 to 1, the share of aperiodic sound above 500 Hz, rising to 3 kHz, and a duller spectrum.

WORLD's own sound is not the teacher's, so every row also says that it was put together again (`made`): the voice
speaks without that. Writes the features of the corpus and of these rows into one file.
"""

from __future__ import annotations

import argparse
import zlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

import features
from tts_lab.nn.source_filter import BREATH_DULLS, BREATH_FROM, BREATH_MOST, BREATH_TO
from tts_lab.systems.mini.prosody import EFFORT, SPEAKABLE, TILT_FROM, TILT_TO, ramp

FRAME_MS = 5.0
AS_IT_WAS = 0.15  # share of rows that are taken apart and put together without a change


@dataclass(frozen=True)
class Manner:
    """How a sentence is spoken. level: semitones; range: factor; energy: dB; breath: 0 to 1."""

    level: float = 0.0
    range: float = 1.0
    energy: float = 0.0
    breath: float = 0.0


def drawn(key: str) -> Manner:
    """A manner for this utterance; the same for the same key."""
    random = np.random.default_rng(zlib.crc32(f"manner of {key}".encode()))
    if random.random() < AS_IT_WAS:
        return Manner()
    breath = max(0.0, float(random.uniform(-0.7, 1.0)))
    return Manner(
        float(random.uniform(-4, 5)), float(2 ** random.uniform(-1, 0.7)), float(random.uniform(-6, 6)), breath
    )


def moved(samples: np.ndarray, rate: int, manner: Manner) -> np.ndarray:
    """Sound (s,) in that manner, at the level it had."""
    import pyworld

    x = samples.astype(np.float64)
    f0, times = pyworld.dio(x, rate, f0_floor=60, f0_ceil=500, frame_period=FRAME_MS)
    f0 = pyworld.stonemask(x, f0, times, rate)
    envelope = pyworld.cheaptrick(x, f0, times, rate)
    aperiodic = pyworld.d4c(x, f0, times, rate)
    hertz = np.linspace(0, rate / 2, envelope.shape[1])
    if (f0 > 0).any():
        median = np.exp(np.median(np.log(f0[f0 > 0])))
        high = median * 2 ** (manner.level / 12) * (np.maximum(f0, 1) / median) ** manner.range
        f0 = np.where(f0 > 0, np.clip(high, *SPEAKABLE), 0)
    tilt = EFFORT * manner.energy * ramp(hertz, TILT_FROM, TILT_TO)
    tilt -= BREATH_DULLS * manner.breath * ramp(hertz, BREATH_FROM, BREATH_TO)
    envelope = envelope * 10 ** (tilt / 10)
    aperiodic = aperiodic + BREATH_MOST * manner.breath * ramp(hertz, BREATH_FROM, BREATH_TO) * (1 - aperiodic)
    y = pyworld.synthesize(f0, envelope, aperiodic, rate, FRAME_MS)[: len(x)]
    y = np.pad(y, (0, len(x) - len(y)))
    return y * np.sqrt(np.mean(x**2) / max(np.mean(y**2), 1e-12))


def utterance(job: tuple[dict, str, float]) -> dict:
    """Features of one line of the manifest in its manner."""
    entry, root, gain = job
    manner = drawn(entry["id"])
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    row = features.of_sound(entry, moved(samples * gain, rate, manner).astype(np.float32), rate)
    return row | asdict(manner) | {"made": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--features", type=Path, default=Path("features"))
    parser.add_argument("--out", type=Path, default=Path("features-manner"))
    parser.add_argument("--every", type=int, default=2, help="one in so many training utterances")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    plain = dict(np.load(args.features / "features.npz"))
    gains = features.known_gains(args.features)
    entries = [e for e, _ in features.manifest([args.corpus]) if e["split"] == "train"][:: args.every]
    jobs = [(e, str(args.corpus), gains[e["speaker"]]) for e in entries]
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(tqdm(pool.map(utterance, jobs, chunksize=8), total=len(jobs), unit="utterance", mininterval=5))
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / "features.npz", **joined(plain, features.pack(rows), rows))
    print(f"{len(rows)} utterances in other manners beside {len(plain['id'])}")


def joined(plain: dict[str, np.ndarray], more: dict[str, np.ndarray], rows: list[dict]) -> dict[str, np.ndarray]:
    """The corpus's features with those rows after them, and what the manner of each is."""
    both = {k: np.concatenate([plain[k], more[k]]) for k in more if not k.endswith("_start")}
    for name in ("frame_start", "phone_start"):
        both[name] = np.concatenate([plain[name], plain[name][-1] + more[name][1:]])
    still = len(plain["id"])
    for name in ("energy", "breath", "made"):
        both[name] = np.array([0.0] * still + [r[name] for r in rows], dtype=np.float32)
    return both | {k: plain[k] for k in ("gain_names", "gains")}


if __name__ == "__main__":
    main()
