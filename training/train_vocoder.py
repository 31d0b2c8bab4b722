"""Train the small vocoder: mel -> waveform, from the teacher's recordings and their pitch alone.

    python training/train_vocoder.py --corpus corpus further --features features --minutes 90 --workers 2

Spectra at four resolutions and the mel are matched first; after `--plain` minutes, discriminators of spectra at
three resolutions (UnivNet, Jang et al. 2021) come to it, without which noise is learned too tonal: where both
are random, the mean distance of two spectra is least for the one that does not move. Pitch is WORLD's, drawn straight
through unvoiced frames. The sound and its pitch are kept in `sound.npz` in the output folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import features
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


# --- what is heard ---


def drawn_through(f0: np.ndarray) -> np.ndarray:
    """Pitch (t,) in Hz with 0 where unvoiced -> a pitch everywhere, straight in octaves between voiced frames."""
    voiced = np.flatnonzero(f0 > 0)
    if not len(voiced):
        return np.full(len(f0), 150.0, np.float32)
    return np.exp(np.interp(np.arange(len(f0)), voiced, np.log(f0[voiced]))).astype(np.float32)


def sound(job: tuple[dict, str, float]) -> tuple[np.ndarray, np.ndarray]:
    """Samples of whole frames as int16, at the common loudness, and the pitch of each frame."""
    entry, root, gain = job
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    samples = samples[: len(samples) // HOP * HOP] * np.float32(gain)
    f0 = drawn_through(features.pitch(samples, rate, len(samples) // HOP, HOP))
    return np.clip(samples * 32767, -32767, 32767).astype(np.int16), f0


def collected(corpora: list[Path], packed: Path, out: Path) -> Path:
    """`sound.npz` in the output folder, made if it is not there yet."""
    path = out / "sound.npz"
    if path.exists():
        return path
    gains = features.known_gains(packed)
    entries = features.manifest(corpora)
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(sound, [(e, str(root), gains[e["speaker"]]) for e, root in entries], chunksize=16))
    out.mkdir(parents=True, exist_ok=True)
    np.savez(path, split=np.array([e["split"] for e, _ in entries]), samples=np.concatenate([x for x, _ in rows]),
             f0=np.concatenate([f for _, f in rows]), start=np.cumsum([0] + [len(f) for _, f in rows]))  # fmt: skip
    return path


class Sounds:
    """Stretches of the corpus's sound: samples (b, s), log-mel (b, m, t), pitch (b, t) in Hz."""

    def __init__(self, path: Path, split: str) -> None:
        self.raw = dict(np.load(path))
        lengths = np.diff(self.raw["start"])
        self.ids = np.flatnonzero((self.raw["split"] == split) & (lengths >= FRAMES))
        self.mels: dict[int, Tensor] = {}

    def whole(self, i: int) -> tuple[Tensor, Tensor, Tensor]:
        """Of one utterance: (s,), (m, t), (t,). Its mel is kept."""
        a, b = int(self.raw["start"][i]), int(self.raw["start"][i + 1])
        samples = torch.from_numpy(self.raw["samples"][a * HOP : b * HOP].astype(np.float32) / 32767)
        if i not in self.mels:
            self.mels[i] = log_mel(samples, MEL_22K)[0].half()
        return samples, self.mels[i].float(), torch.from_numpy(self.raw["f0"][a:b])

    def stretches(self, random: np.random.Generator, count: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
        rows = []
        for i in random.choice(self.ids, count):
            samples, mel, f0 = self.whole(int(i))
            k = int(random.integers(0, len(f0) - FRAMES + 1))
            rows.append((samples[k * HOP : (k + FRAMES) * HOP], mel[:, k : k + FRAMES], f0[k : k + FRAMES]))
        samples, mels, f0s = (torch.stack(column) for column in zip(*rows, strict=True))
        return samples, mels, f0s

    def batches(self, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while True:
            yield self.stretches(random)


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


def losses_of(model: SourceFilter, mel: Tensor, f0: Tensor, real: Tensor, generator: torch.Generator,
              bfloat16: bool = False) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Sound (b, s) made with the true pitch, and the loss of spectra, mel and pitch together."""
    noise = torch.randn(len(mel), HOP, mel.shape[2], generator=generator).to(mel.device)
    begin = torch.rand(len(mel), generator=generator).to(mel.device)
    source = model.source(mel, noise, f0, begin)
    with torch.autocast(mel.device.type, torch.bfloat16, enabled=bfloat16):  # of the networks alone
        scores, filters = model.pitch(mel), model.filters(source)
    pitch = F.cross_entropy(scores.float().transpose(1, 2), classes_of(f0, scores.shape[-1]))
    made = model.filtered(source, filters)
    off = (log_mel(made, MEL_22K) - mel).abs().mean()
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
    train, dev = (Sounds(args.out / "sound.npz", split) for split in ("train", "dev"))
    trainer = Trainer(begun().to(args.device), args.out, rate=args.rate, minutes=args.minutes)
    judges = Judges().to(args.device)
    against = Trainer(judges, args.out / "judges", rate=args.rate / 2, minutes=args.minutes)
    resumed = trainer.resume() and against.resume()
    if rank == 0:
        print(f"{sum(p.numel() for p in trainer.model.parameters()):,} parameters, resumed: {resumed}", flush=True)
    generator = torch.Generator().manual_seed(1000 * rank + trainer.step)
    recent: list[float] = []
    for batch in train.batches(np.random.default_rng(1000 * rank + trainer.step)):
        real, mel, f0 = (x.to(args.device) for x in batch)
        made, loss = losses_of(trainer.model, mel, f0, real, generator, args.bfloat16)
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
    parser.add_argument("--out", type=Path, default=Path("runs/vocoder"))
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--plain", type=float, default=25, help="minutes before the discriminators come")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--bfloat16", action="store_true", help="faster where the processor has units for it")
    add_options(parser, port=29519)
    args = parser.parse_args()
    collected(args.corpus, args.features, args.out)
    start(work, args)


if __name__ == "__main__":
    main()
