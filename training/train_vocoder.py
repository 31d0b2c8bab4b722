"""Train the small vocoder: mel -> waveform, from the teacher's recordings and their pitch alone.

    python training/train_vocoder.py --corpus corpus further --features features --minutes 90 --workers 2

Spectra at four resolutions and the mel are matched first; after `--plain` minutes, discriminators of spectra at
three resolutions (UnivNet, Jang et al. 2021) come to it, without which noise is learned too tonal: where both
are random, the mean distance of two spectra is least for the one that does not move. Pitch is WORLD's, drawn straight
through unvoiced frames. The sound and its pitch are kept in `sound.npz` in the output folder.

With `--written`, some stretches come with the mel that mini writes for them (`written.py`): the sound to be made is the
recording's all the same. With `--moved`, some are to be spoken at another pitch than their mel's: every third utterance
is moved in level and range by WORLD (`manner.py`), which is how the vocoder learns to speak emotions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import features
import manner
from loop import Trainer, every
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.nn.source_filter import SourceFilter, classes_of
from workers import add_options, average_gradients, shared, start

HOP = MEL_22K.hop_length
FRAMES = 64  # of a stretch that is trained on
BATCH = 12
RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop, in samples
JUDGED = ((512, 128), (1024, 256), (2048, 512))
PITCH, MEL, FOOLED, ALIKE = 0.2, 1.0, 0.3, 1.0  # weights of the losses beside the spectra's
JUDGE_SLOPE = 0.1
MOVED = 3  # of so many utterances one is moved

Entry = tuple[dict, Path]  # a line of the manifest and its corpus's folder
Job = tuple[dict, str, float]  # a line of the manifest, its corpus's folder, its voice's gain
Sound = tuple[np.ndarray, np.ndarray]  # samples of whole frames, and the pitch of each frame in Hz
Stretch = tuple[Tensor, Tensor, Tensor, Tensor]  # samples, log-mel, its pitch, the pitch of the samples


# --- what is heard ---


def drawn_through(f0: np.ndarray) -> np.ndarray:
    """Pitch (t,) in Hz with 0 where unvoiced -> a pitch everywhere, straight in octaves between voiced frames."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full(len(f0), 150.0, np.float32)
    return np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)


def sound(job: Job) -> Sound:
    """Samples of whole frames as int16, at the common loudness, and the pitch of each frame."""
    entry, root, gain = job
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    samples = samples[: len(samples) // HOP * HOP] * np.float32(gain)
    f0 = drawn_through(features.pitch(samples, rate, len(samples) // HOP, HOP))
    return np.clip(samples * 32767, -32767, 32767).astype(np.int16), f0


def moved_sound(job: Job) -> Sound:
    """As `sound`, at the pitch that is drawn for this utterance."""
    entry, root, gain = job
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    samples = samples[: len(samples) // HOP * HOP] * np.float32(gain)
    pitch_alone = replace(manner.drawn(entry["id"]), energy=0.0, breath=0.0)
    samples = manner.moved(samples, rate, pitch_alone).astype(np.float32)
    f0 = drawn_through(features.pitch(samples, rate, len(samples) // HOP, HOP))
    return np.clip(samples * 32767, -32767, 32767).astype(np.int16), f0


def collected(corpora: list[Path], packed: Path, out: Path, moved: bool = False) -> None:
    """`sound.npz` and, if asked for, `moved.npz` in the output folder, made if they are not there yet."""
    out.mkdir(parents=True, exist_ok=True)
    gains = features.known_gains(packed)
    entries = features.manifest(corpora)
    own = [(e, root) for e, root in entries if e["split"] == "train" and manner.drawn(e["id"]) != manner.Manner()]
    for name, take, chosen in (
        ("sound.npz", sound, entries),
        ("moved.npz", moved_sound, own[::MOVED] if moved else []),
    ):
        if chosen and not (out / name).exists():
            _collect(out / name, take, chosen, gains)


def _collect(
    path: Path, take: Callable[[Job], Sound], entries: list[tuple[dict, Path]], gains: dict[str, float]
) -> None:
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(take, [(e, str(root), gains[e["speaker"]]) for e, root in entries], chunksize=16))
    np.savez(path, id=np.array([e["id"] for e, _ in entries]), split=np.array([e["split"] for e, _ in entries]),
             samples=np.concatenate([x for x, _ in rows]), f0=np.concatenate([f for _, f in rows]),
             start=np.cumsum([0] + [len(f) for _, f in rows]))  # fmt: skip


class Sounds:
    """Stretches of the corpus's sound: samples (b, s), log-mel (b, m, t), its pitch and the samples' (b, t) in Hz.

    written: mels that mini writes for some of it (see written.py); moved: sound of some of it at another pitch, whose
    mel is the recording's. The kinds that there are take turns.
    """

    def __init__(self, path: Path, split: str, written: Path | None = None, moved: Path | None = None) -> None:
        self.raw = dict(np.load(path))
        lengths = np.diff(self.raw["start"])
        self.ids = np.flatnonzero((self.raw["split"] == split) & (lengths >= FRAMES))
        self.row = dict(zip(self.raw["id"][self.ids].tolist(), self.ids.tolist(), strict=True))
        self.mels: dict[int, Tensor] = {}
        self.written = self._written(dict(np.load(written))) if written else []
        self.other = dict(np.load(moved)) if moved else {}
        self.moved = [(k, self.row[name]) for k, name in enumerate(self.other.get("id", ())) if name in self.row]
        self.kinds = [self._recorded, *[self._read] * bool(self.written), *[self._sung] * bool(self.moved)]

    def _written(self, raw: dict[str, np.ndarray]) -> list[tuple[int, int, np.ndarray]]:
        """Of each mel of this split: its utterance, the first frame of it, and the mel (t, m) itself."""
        spans = zip(raw["id"].tolist(), raw["first"].tolist(), pairwise(raw["start"].tolist()), strict=True)
        found = [(self.row[name], first, raw["mel"][a:b]) for name, first, (a, b) in spans if name in self.row]
        return [(i, k, mel[: self._length(i) - k]) for i, k, mel in found if len(mel) > FRAMES]

    def _length(self, i: int) -> int:
        return int(self.raw["start"][i + 1] - self.raw["start"][i])

    def whole(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of one utterance: (s,), (m, t), (t,). Its mel is kept."""
        samples, f0 = _piece_of(self.raw, i)
        if i not in self.mels:
            self.mels[i] = log_mel(samples, MEL_22K)[0].half()
        return samples, self.mels[i].float(), f0

    def stretches(self, random: np.random.Generator, count: int = BATCH) -> Stretch:
        rows = [self.kinds[n % len(self.kinds)](random) for n in range(count)]
        samples, mels, f0s, voices = (torch.stack(column) for column in zip(*rows, strict=True))
        return samples, mels, f0s, voices

    def _recorded(self, random: np.random.Generator) -> Stretch:
        samples, mel, f0 = self.whole(int(random.choice(self.ids)))
        k = int(random.integers(0, len(f0) - FRAMES + 1))
        return samples[k * HOP : (k + FRAMES) * HOP], mel[:, k : k + FRAMES], *[f0[k : k + FRAMES]] * 2

    def _read(self, random: np.random.Generator) -> Stretch:
        """A stretch with the mel that was written for it."""
        i, first, mel = self.written[int(random.integers(len(self.written)))]
        samples, _, f0 = self.whole(i)
        k = int(random.integers(0, len(mel) - FRAMES + 1))
        part = torch.from_numpy(mel[k : k + FRAMES].astype(np.float32)).T
        k += first
        return samples[k * HOP : (k + FRAMES) * HOP], part, *[f0[k : k + FRAMES]] * 2

    def _sung(self, random: np.random.Generator) -> Stretch:
        """A stretch to be spoken at another pitch than its mel's."""
        other, i = self.moved[int(random.integers(len(self.moved)))]
        _, mel, f0 = self.whole(i)
        samples, voice = _piece_of(self.other, other)
        k = int(random.integers(0, len(f0) - FRAMES + 1))
        here = slice(k, k + FRAMES)
        return samples[k * HOP : (k + FRAMES) * HOP], mel[:, here], f0[here], voice[here]

    def batches(self, random: np.random.Generator) -> Iterator[Stretch]:
        while True:
            yield self.stretches(random)


def _piece_of(raw: dict[str, np.ndarray], i: int) -> tuple[Tensor, Tensor]:
    """Samples (s,) and pitch (t,) of one utterance."""
    a, b = int(raw["start"][i]), int(raw["start"][i + 1])
    samples = torch.from_numpy(raw["samples"][a * HOP : b * HOP].astype(np.float32) / 32767)
    return samples, torch.from_numpy(raw["f0"][a:b])


# --- how it is judged ---


def magnitude(samples: Tensor, fft: int, hop: int) -> Tensor:
    """(b, s) -> (b, f, t)."""
    window = torch.hann_window(fft, device=samples.device)
    spectrum = torch.stft(samples, fft, hop, fft, window, return_complex=True)
    return torch.view_as_real(spectrum).square().sum(-1).add(1e-7).sqrt()


def spectral_loss(made: Tensor, real: Tensor) -> Tensor:
    """Distance of spectra (b, s), over resolutions: mean of logarithms' differences and spectral convergence."""
    total = made.new_zeros(())
    for fft, hop in RESOLUTIONS:
        a, b = magnitude(made, fft, hop), magnitude(real, fft, hop)
        converged = (a - b).norm(dim=(1, 2)) / b.norm(dim=(1, 2)).clamp(min=1e-3)
        total = total + (a.log() - b.log()).abs().mean() + 0.5 * converged.mean()
    return total / len(RESOLUTIONS)


class Judge(nn.Module):
    """Whether a log spectrum is a recording's. forward: samples (b, s) -> (scores, what each layer sees)."""

    def __init__(self, fft: int, hop: int, width: int = 16) -> None:
        super().__init__()
        self.fft, self.hop = fft, hop
        shapes = ((1, width, (9, 3), (2, 1)), (width, width, (9, 3), (2, 2)), (width, 2 * width, (5, 3), (2, 2)),
                  (2 * width, 2 * width, (5, 3), (2, 1)), (2 * width, 2 * width, (3, 3), (1, 1)))  # fmt: skip
        norm = nn.utils.parametrizations.weight_norm
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(a, b, kernel, stride, (kernel[0] // 2, kernel[1] // 2))) for a, b, kernel, stride in shapes
        )
        self.last = norm(nn.Conv2d(2 * width, 1, 3, padding=1))

    def forward(self, samples: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = (magnitude(samples, self.fft, self.hop)[:, None] + 1e-4).log() / 3 + 1
        seen = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), JUDGE_SLOPE)
            seen.append(x)
        return self.last(x), seen


class Judges(nn.ModuleList):
    """One for each resolution. Losses are those of least squares (Mao et al. 2017)."""

    def __init__(self) -> None:
        super().__init__(Judge(fft, hop) for fft, hop in JUDGED)

    def own_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """Recordings ought to score 1, what was made 0."""
        terms = [(j(real)[0].float() - 1).square().mean() + j(made)[0].float().square().mean() for j in self]
        return torch.stack(terms).mean()

    def losses_of(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """What the vocoder is to lower: how far from 1 it scores, and how far from a recording its sound is seen."""
        fooled, alike = [], []
        for judge in self:
            with torch.no_grad():
                wanted = judge(real)[1]
            score, seen = judge(made)
            fooled.append((score.float() - 1).square().mean())
            alike += [(a - b).float().abs().mean() for a, b in zip(wanted, seen, strict=True)]
        return torch.stack(fooled).mean(), torch.stack(alike).mean()


# --- training ---


def begun() -> SourceFilter:
    """A fresh vocoder that whispers and hums softly whatever it is given."""
    model = SourceFilter()
    sizes = model.sizes
    for block in model.blocks:
        assert block.gain is not None
        nn.init.constant_(block.gain, 1 / sizes.layers)
    nn.init.normal_(model.out.weight, std=0.01)
    nn.init.zeros_(model.out.bias)
    model.out.bias.data[: 2 * sizes.bins] = -6.0
    return model


def losses_of(model: SourceFilter, batch: Stretch, generator: torch.Generator,
              bfloat16: bool = False) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Sound (b, s) made with the true pitch, and the loss of spectra, mel and pitch together."""
    real, mel, f0, voice = batch
    noise = torch.randn(len(mel), HOP, mel.shape[2], generator=generator).to(mel.device)
    begin = torch.rand(len(mel), generator=generator).to(mel.device)
    source = model.source(mel, noise, f0, voice, start=begin)
    with torch.autocast(mel.device.type, torch.bfloat16, enabled=bfloat16):  # of the networks alone
        scores, filters = model.pitch(mel), model.filters(source)
    pitch = F.cross_entropy(scores.float().transpose(1, 2), classes_of(f0, scores.shape[-1]))
    made = model.filtered(source, filters)
    off = (log_mel(made, MEL_22K) - log_mel(real, MEL_22K)).abs().mean()  # the given mel need not be the recording's
    return made, spectral_loss(made, real) + MEL * off + PITCH * pitch


@torch.no_grad()
def validate(model: SourceFilter, sounds: Sounds) -> dict[str, float]:
    """Spectral distance of whole held-out utterances with the pitch that is read, and how far that is off in cents."""
    model.eval()
    generator, rows, cents = torch.Generator().manual_seed(0), [], []
    for i in sounds.ids:
        real, mel, f0 = (x[None] for x in sounds.whole(int(i)))
        source = model.source(mel, torch.randn(1, HOP, mel.shape[2], generator=generator))
        rows.append(float(spectral_loss(model(source), real)))
        cents.append(float((1200 * (source[:, model.sizes.mels] - torch.log2(f0 / 100))).abs().median()))
    return {"dev_spectra": float(np.mean(rows)), "dev_cents": float(np.mean(cents))}


def work(rank: int, args: argparse.Namespace) -> None:
    torch.manual_seed(0)
    moved = args.out / "moved.npz" if args.moved else None
    train, dev = (Sounds(args.out / "sound.npz", "train", args.written, moved), Sounds(args.out / "sound.npz", "dev"))
    trainer = Trainer(begun().to(args.device), args.out, rate=args.rate, minutes=args.minutes)
    judges = Judges().to(args.device)
    against = Trainer(judges, args.out / "judges", rate=args.rate / 2, minutes=args.minutes)
    resumed = trainer.resume() and against.resume()
    if rank == 0:
        print(f"{sum(p.numel() for p in trainer.model.parameters()):,} parameters, resumed: {resumed}", flush=True)
    generator = torch.Generator().manual_seed(1000 * rank + trainer.step)
    recent: list[float] = []
    for batch in train.batches(np.random.default_rng(1000 * rank + trainer.step)):
        batch = tuple(x.to(args.device) for x in batch)
        real = batch[0]
        made, loss = losses_of(trainer.model, batch, generator, args.bfloat16)
        recent.append(float(loss.detach()))
        if trainer.seconds / 60 > args.plain:
            with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
                own = judges.own_loss(made.detach(), real)
            against.update(own, between=lambda: average_gradients(judges))
            with torch.autocast(args.device, torch.bfloat16, enabled=args.bfloat16):
                fooled, alike = judges.losses_of(made, real)
            loss = loss + FOOLED * fooled + ALIKE * alike
        trainer.update(loss, between=lambda: average_gradients(trainer.model))

        def report() -> None:
            if rank == 0:
                trainer.log(train=float(np.mean(recent[-200:])), **validate(trainer.average, dev))
                trainer.save()
                against.save()

        every(trainer, 200, report)
        trainer.seconds = against.seconds = shared(trainer.seconds)
        if trainer.done:
            break
    if rank == 0:
        trainer.log(train=float(np.mean(recent[-200:])), **validate(trainer.average, dev))
        trainer.save()
        against.save()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--features", type=Path, required=True, help="folder of features.npz, for the voices' gains")
    parser.add_argument("--written", type=Path, help="mels that mini writes, to learn from as well (see written.py)")
    parser.add_argument("--moved", action="store_true", help="learn to speak at another pitch than the mel's as well")
    parser.add_argument("--out", type=Path, default=Path("runs/vocoder"))
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--plain", type=float, default=25, help="minutes before the discriminators come")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    add_options(parser, port=29519)
    args = parser.parse_args()
    collected(args.corpus, args.features, args.out, args.moved)
    start(work, args)


if __name__ == "__main__":
    main()
