"""Train the encoder that tells how near a clip is to each bundled voice, and calibrate its limits.

    python training/train_speaker.py --corpus corpus --others others --out runs/speaker --steps 1300

corpus: of the four known voices; others: as other_voices.py describes. Besides, every voice of `train` is heard slower
and faster, pitch and formants together, as two more voices (speaker augmentation, Yamamoto et al. 2019). Clips are
disturbed as recordings are: level, tilt, bandwidth, noise, reverberation. Written: state.pt, and known.pt with the
centroids and limits of the known voices. export.py reads both.

Axes: b clips, m mel bands, t mel frames, d embedding, k taught voices.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from loop import Trainer, every
from tts_lab.audio.mel import MEL_22K
from tts_lab.experiments.verification import equal_error, false_acceptance, quantile_above
from tts_lab.systems.mini.likeness import CALIBRATED_SECONDS
from tts_lab.systems.mini.speaker import EMBEDDING, SpeakerEncoder, clip_mel, levelled

CROP = (60, 300)  # frames: 0.7 to 3.5 seconds
BATCH = 24
KNOWN_SHARE = 0.3  # of the clips in a batch
FACTORS = (1.0, 0.87, 1.15)  # of pitch, formants and pace; each makes another voice
REPORT_EVERY = 400  # steps
MOST = 24  # utterances of a voice; a known one has hundreds
MARGIN, SCALE = 0.2, 24.0  # of cosines
REJECTED = 0.05  # share of known voices' clips that may lie beyond a limit
DOUBT = 2.0  # for sentences and microphones that were not heard

Voices = dict[str, list[Tensor]]  # name -> mels (m, t) without silence


# --- clips ---


def sounds(folder: Path, split: str) -> dict[str, list[np.ndarray]]:
    """Sound of each voice in a split, MOST utterances at most, evenly out of all."""
    lines = (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    files = defaultdict(list)
    for entry in map(json.loads, lines):
        if entry["split"] == split:
            files[entry["speaker"]].append(folder / entry["file"])
    chosen = {name: [paths[i] for i in np.linspace(0, len(paths) - 1, min(MOST, len(paths))).astype(int)]
              for name, paths in files.items()}  # fmt: skip
    return {name: [soundfile.read(path, dtype="float32")[0] for path in paths] for name, paths in chosen.items()}


def voices(folders: list[Path], split: str, factors: tuple[float, ...] = FACTORS) -> Voices:
    """Mels of all voices of a split, and of the voices that another pace makes of them: `name@factor`."""
    found: Voices = defaultdict(list)
    for folder in folders:
        for name, own in tqdm(sounds(folder, split).items(), desc=f"{folder.name} {split}", mininterval=5):
            for factor in factors:
                label = name if factor == 1 else f"{name}@{factor:g}"
                found[label] += [clip_mel(torch.from_numpy(warped(x, factor))) for x in own]
    return dict(found)


def warped(sound: np.ndarray, factor: float) -> np.ndarray:
    """Sound (s,) as it would be if played `factor` times as fast: higher by that factor, and shorter."""
    return sound if factor == 1 else soxr.resample(sound, factor * MEL_22K.sample_rate, MEL_22K.sample_rate)


def clip(mels: list[Tensor], frames: int, generator: np.random.Generator) -> Tensor:
    """`frames` frames of one voice (m, t), out of utterances in random order."""
    parts: list[Tensor] = []
    while sum(part.shape[1] for part in parts) < frames + 1:
        parts.append(mels[int(generator.integers(len(mels)))])
    whole = torch.cat(parts, 1)
    start = int(generator.integers(min(parts[0].shape[1], whole.shape[1] - frames)))
    return whole[:, start : start + frames]


def disturb(mel: Tensor, mean: Tensor, generator: torch.Generator) -> Tensor:
    """Another microphone and room: level, tilt, reverberation, a noise floor, missing ends.

    mel: natural-log (b, m, t); mean: (m,) of log-mel of speech at that level.
    """
    b, m, _ = mel.shape

    def draw(scale: float) -> Tensor:
        return torch.randn(b, 1, 1, generator=generator) * scale

    log = mel - mean[:, None]
    wet = (torch.rand(b, 1, 1, generator=generator) < 0.3).float() * 0.4 * torch.rand(b, 1, 1, generator=generator)
    log = (log.exp() + wet * tail(log.exp())).log()
    tilt = torch.linspace(-1, 1, m)[None, :, None] * draw(0.5)
    hiss = torch.linspace(0, 3, m)[None, :, None] * torch.rand(b, 1, 1, generator=generator)  # white noise is bright
    floor = -4 + draw(1.0) + hiss + 0.5 * torch.randn(log.shape, generator=generator)
    noisy = torch.logaddexp(log + draw(0.3) + tilt, floor)
    upper = torch.randint(m // 2, 2 * m, (b, 1, 1), generator=generator)  # a third of the clips lose their upper end
    lower = torch.randint(-20, 12, (b, 1, 1), generator=generator)  # and a third what lies below up to 400 Hz
    band = torch.arange(m)[None, :, None]
    return torch.where((band >= upper) | (band < lower), -5.0, noisy) + mean[:, None]


def tail(magnitude: Tensor, frames: int = 26) -> Tensor:
    """What a room adds behind magnitudes (b, m, t): an exponential decay of 60 dB in `frames` frames (0.3 s)."""
    decay = 10 ** (-3 * torch.arange(frames).float() / frames)
    decay[0] = 0
    flat = F.pad(magnitude.flatten(0, 1)[:, None], (frames - 1, 0))
    return F.conv1d(flat, decay.flip(0)[None, None])[:, 0].view_as(magnitude)


# --- training ---


class Margin(nn.Module):
    """The encoder, and a direction for each taught voice. Loss: additive margin softmax (Wang et al. 2018)."""

    def __init__(self, encoder: SpeakerEncoder, taught: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.directions = nn.Parameter(torch.randn(taught, EMBEDDING) * 0.1)

    def cosines(self, mel: Tensor) -> Tensor:
        return self.encoder(mel) @ F.normalize(self.directions, dim=1).T

    def loss(self, mel: Tensor, voice: Tensor) -> Tensor:
        cosines = self.cosines(mel)
        return F.cross_entropy(SCALE * (cosines - MARGIN * F.one_hot(voice, cosines.shape[1])), voice)


def batch(taught: Voices, known: list[int], generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Clips of one length, natural-log mel (b, m, t), and the numbers of their voices (b,)."""
    names = list(taught)
    frames = int(generator.integers(*CROP))
    rows = [int(generator.choice(known)) if generator.random() < KNOWN_SHARE else int(generator.integers(len(names)))
            for _ in range(BATCH)]  # fmt: skip
    return torch.stack([clip(taught[names[i]], frames, generator) for i in rows]), torch.tensor(rows)


def statistics(encoder: SpeakerEncoder, taught: Voices) -> Tensor:
    """Set the encoder's mean and std, (m,) of levelled log-mel; returns the mean of log-mel itself."""
    whole = [torch.cat(mels, 1) for mels in taught.values()]
    flat = torch.cat([levelled(mel[None])[0] for mel in whole], 1)
    encoder.mean.copy_(flat.mean(1))
    encoder.std.copy_(flat.std(1))
    return torch.cat(whole, 1).mean(1)


# --- the known voices ---


@torch.no_grad()
def embeddings(encoder: SpeakerEncoder, mels: list[Tensor], mean: Tensor | None, count: int = 32) -> Tensor:
    """Of random clips of CALIBRATED_SECONDS, (count, d), disturbed where `mean` is given."""
    generator = np.random.default_rng(0)
    frames = round(CALIBRATED_SECONDS * MEL_22K.sample_rate / MEL_22K.hop_length)
    clips = torch.stack([clip(mels, frames, generator) for _ in range(count)])
    return encoder(clips if mean is None else disturb(clips, mean, torch.Generator().manual_seed(0)))


def centroids(encoder: SpeakerEncoder, taught: Voices, names: list[str], mean: Tensor) -> Tensor:
    """(v, d): mean directions of the voices' clips, plain and disturbed."""
    both = [torch.cat([embeddings(encoder, taught[name], m) for m in (None, mean)]) for name in names]
    return F.normalize(torch.stack([e.mean(0) for e in both]), dim=1)


def calibrate(encoder: SpeakerEncoder, held: Voices, names: list[str], mean: Tensor) -> dict[str, float]:
    """Limits from voices and sentences that nothing was taught, half of the clips disturbed."""

    def nearest(name: str, mean: Tensor | None) -> list[float]:
        return (1 - embeddings(encoder, held[name], mean) @ encoder.centroids.T).min(1).values.tolist()

    plain, poor = ([d for name in names for d in nearest(name, m)] for m in (None, mean))
    others = [d for name in held if name not in names for m in (None, mean) for d in nearest(name, m)]
    return limits(plain, poor, others)


def limits(plain: list[float], poor: list[float], others: list[float]) -> dict[str, float]:
    """Limits (see `likeness.Likeness`) from distances of known voices' clips, plain and disturbed, and of others'.

    known: DOUBT times what all but REJECTED of the plain clips of known voices reach. unlike: what all but REJECTED of
    their disturbed clips reach; at least `known`. taken: share of the others' clips that would pass for known.
    """
    known = DOUBT * quantile_above(plain, 1 - REJECTED)
    unlike = max(known, quantile_above(poor, 1 - REJECTED))
    error = equal_error([*plain, *poor], others)[1]
    return {"known": known, "unlike": unlike, "taken": false_acceptance(others, known), "equal_error": error}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/speaker"))
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    taught, held = voices([args.corpus, args.others], "train"), voices([args.corpus, args.others], "dev", (1.0,))
    names = sorted({json.loads(line)["speaker"] for line in (args.corpus / "manifest.jsonl").open(encoding="utf-8")})
    encoder = SpeakerEncoder(MEL_22K.n_mels, len(names))
    mean = statistics(encoder, taught)
    trainer = Trainer(Margin(encoder, len(taught)), args.out, rate=2e-3, minutes=math.inf, steps=args.steps, decay=0.99)
    trainer.resume()
    draw, torch_draw = np.random.default_rng(1 + trainer.step), torch.Generator().manual_seed(1 + trainer.step)
    known = [list(taught).index(name) for name in names]
    recent: list[float] = []

    def report() -> None:
        average = trainer.average.encoder
        average.centroids.copy_(centroids(average, taught, names, mean))
        found = calibrate(average, held, names, mean)
        average.limits.copy_(torch.tensor([found["known"], found["unlike"]]))
        trainer.log(train=float(np.mean(recent[-200:])), **found)
        trainer.save()
        torch.save({"voices": names, "centroids": average.centroids, "limits": average.limits}, args.out / "known.pt")

    while not trainer.done:
        mel, voice = batch(taught, known, draw)
        loss = trainer.model.loss(disturb(mel, mean, torch_draw), voice)
        trainer.update(loss)
        recent.append(loss.item())
        every(trainer, REPORT_EVERY, report)
    if trainer.step % REPORT_EVERY:
        report()


if __name__ == "__main__":
    main()
