"""Train the small vocoder: mel -> waveform, from the teacher's recordings and their pitch.

    python training/train_vocoder.py --corpus corpus further --features features --minutes 90 --workers 2

Spectra at four resolutions and the mel are matched first; after `--plain` minutes, discriminators of spectra at
three resolutions (UnivNet, Jang et al. 2021) come to it, without which noise is learned too tonal: where both
are random, the mean distance of two spectra is least for the one that does not move. Pitch is WORLD's, drawn straight
through unvoiced frames. The sound and its pitch are kept in the output folder (`recordings.py`).

With `--written`, some stretches come with the mel that mini writes for them (`written.py`): the sound to be made is the
recording's all the same. With `--moved`, some are to be spoken at another pitch than their mel's: every third utterance
is moved in level and range by WORLD (`manner.py`), which is how the vocoder learns to speak emotions.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from loop import Trainer, every
from recordings import HOP, Sounds, Stretch, collected
from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.nn.source_filter import SourceFilter, classes_of
from workers import add_options, average_gradients, shared, start

RESOLUTIONS = ((256, 64), (512, 128), (1024, 256), (2048, 512))  # FFT and hop, in samples
JUDGED = ((512, 128), (1024, 256), (2048, 512))
PITCH, MEL, FOOLED, ALIKE = 0.2, 1.0, 0.3, 1.0  # weights of the losses beside the spectra's
JUDGE_SLOPE = 0.1


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
