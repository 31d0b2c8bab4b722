"""Corpus -> packed features: mels, phones, durations and pitch, ready for training.

    python training/features.py --corpus corpus further --out features/

Reads corpora of the layout that `training/README.md` describes (manifest.jsonl and wavs/) and writes one file
`features.npz`, from which everything in `training/` learns. Nothing but numpy and torch is needed to train from it.
A voice's gain comes from its first sentences, so from the first corpus: more speech leaves the loudness as it is.

What is stored, flat over all utterances (f frames, p phones, u utterances):
    mel (f, 80) float16; frame_start (u+1,), phone_start (u+1,); per phone: symbol, tone, place, duration (mel frames),
    log_f0 (natural log of Hz, mean over voiced frames, nan where unvoiced), voiced (fraction of frames);
    per utterance: id, split, speaker, first (frame of the recording at which its mel begins); per speaker: gain (factor
    to common loudness).
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch

from tts_lab.audio.mel import MEL_22K, log_mel
from tts_lab.text.phones import BEGIN, END, PAUSES, SYMBOLS, WORD, Phone, syllable_phones

LOUDNESS_DBFS = -23.0  # common RMS of all speakers: theirs differ by 5 dB
GAIN_FILES = 60  # of a speaker that tell its loudness
LEAD_FRAMES = 8  # silence kept before the voice starts
TAIL_FRAMES = 24  # silence kept after it ends
SILENCE_NATS = 4.6  # frames this far (40 dB) below an utterance's loud frames count as silence
ARROWS = "→↗↓↘"
LEAD_SECONDS = 0.05  # the teacher's sound runs ahead of its own alignment by this (best phone-wise fit of the mels)


def spans(entry: dict) -> list[tuple[Phone, float]]:
    """Phones of a manifest line with their seconds.

    Aspiration belongs to its stop, a tone arrow to the sound before it, a space after punctuation to the pause.
    """
    tokens, seconds = entry["tokens"], entry["durations_s"]
    owner = {k: i for i, s in enumerate(entry["syllables"]) for k in range(s["token_start"], s["token_end"])}
    out: list[tuple[Phone, float]] = [(Phone(BEGIN), seconds[0] - LEAD_SECONDS)]
    phones = {i: list(syllable_phones(s["pinyin"])) for i, s in enumerate(entry["syllables"])}
    for k in range(1, len(tokens) - 1):
        token, last = tokens[k], out[-1][0]
        joins = token in ARROWS or token == "ʰ" or (token == " " and last.symbol in PAUSES)
        if joins:
            out[-1] = (last, out[-1][1] + seconds[k])
        elif k in owner:
            out.append((phones[owner[k]].pop(0), seconds[k]))
        else:
            out.append((Phone(WORD if token == " " else token), seconds[k]))
    if out[-1][0].symbol not in (".", "!", "?"):
        out.append((Phone("."), 0.0))
    return [*out, (Phone(END), seconds[-1] + LEAD_SECONDS)]


def ends_of(seconds: list[float]) -> np.ndarray:
    """Where phones of so many seconds (n,) end, in mel frames and parts of them, (n,)."""
    return np.cumsum(seconds) * MEL_22K.sample_rate / MEL_22K.hop_length


def frames_of(seconds: list[float], total: int) -> np.ndarray:
    """Durations of phones in whole mel frames, (n,) int64, that sum to `total`: the running sum is rounded.

    A sound has whole frames, so up to one is cut from its end: it is the last phone's.
    """
    ends = ends_of(seconds)
    ends[-1] = total
    return np.diff(np.concatenate([[0], np.minimum(np.round(ends), total)])).astype(np.int64)


def move_silence_to_pauses(symbols: list[str], durations: np.ndarray, silent: np.ndarray) -> None:
    """The teacher's alignment leaves silence on the last sound before a pause; give it to the pause (in place)."""
    ends = np.cumsum(durations)
    for i in range(1, len(symbols)):
        if symbols[i] in PAUSES and symbols[i - 1] not in PAUSES:
            start, end = ends[i - 1] - durations[i - 1], ends[i - 1]
            quiet = 0
            while end - 1 - quiet > start + 2 and silent[end - 1 - quiet]:
                quiet += 1
            durations[i - 1] -= quiet
            durations[i] += quiet


def pitch(samples: np.ndarray, rate: int, frames: int, hop: int) -> np.ndarray:
    """F0 in Hz per mel frame, 0 where unvoiced (WORLD: DIO refined by StoneMask)."""
    import pyworld

    x = samples.astype(np.float64)
    f0, times = pyworld.dio(x, rate, f0_floor=60, f0_ceil=500, frame_period=1000 * hop / rate)
    f0 = pyworld.stonemask(x, f0, times, rate)
    return np.pad(f0, (0, max(0, frames - len(f0))))[:frames]


def utterance(job: tuple[dict, str, float]) -> dict:
    """Features of one manifest line; see the module's docstring."""
    entry, root, gain = job
    samples, rate = soundfile.read(Path(root) / entry["file"], dtype="float32")
    return of_sound(entry, samples * gain, rate)


def of_sound(entry: dict, samples: np.ndarray, rate: int) -> dict:
    """Features of a manifest line whose sound is (s,) `samples`, already at the common loudness."""
    torch.set_num_threads(1)
    assert rate == MEL_22K.sample_rate, f"{entry['file']}: {rate} Hz, expected {MEL_22K.sample_rate}"
    mel = log_mel(torch.from_numpy(samples)[None], MEL_22K)[0].T.numpy()
    return of_mel(entry, mel, pitch(samples, rate, len(mel), MEL_22K.hop_length))


def of_mel(entry: dict, mel: np.ndarray, f0: np.ndarray) -> dict:
    """Features of a manifest line whose natural-log mel is (f, 80) and pitch (f,) in Hz, 0 where unvoiced."""
    phones, seconds = zip(*spans(entry), strict=True)
    symbols = [p.symbol for p in phones]
    durations = frames_of(list(seconds), len(mel))
    energy = mel.mean(1)
    silent = energy < np.quantile(energy, 0.95) - SILENCE_NATS
    move_silence_to_pauses(symbols, durations, silent)
    keep = crop(durations, len(mel))
    mel, f0 = mel[keep], f0[keep]
    per_phone = [phone_pitch(f0[e - d : e]) for d, e in zip(durations, np.cumsum(durations), strict=True)]
    return {
        "id": entry["id"], "split": entry["split"], "speaker": entry["speaker"], "mel": mel.astype(np.float16),
        "symbol": [SYMBOLS.index(s) for s in symbols], "tone": [p.tone for p in phones],
        "place": [p.place for p in phones], "duration": durations, "log_f0": [p[0] for p in per_phone],
        "voiced": [p[1] for p in per_phone], "first": keep.start,
    }  # fmt: skip


def crop(durations: np.ndarray, total: int) -> slice:
    """Shorten the silence at both ends (durations in place); returns the frames to keep."""
    lead = max(0, int(durations[0]) - LEAD_FRAMES)
    tail = max(0, int(durations[-2:].sum()) - TAIL_FRAMES)
    durations[0] -= lead
    durations[-2:] = [min(int(durations[-2:].sum()) - tail, TAIL_FRAMES) - 1, 1]
    return slice(lead, total - tail)


def phone_pitch(f0: np.ndarray) -> tuple[float, float]:
    voiced = f0[f0 > 0]
    return (float(np.log(voiced).mean()) if len(voiced) else np.nan), len(voiced) / max(1, len(f0))


def manifest(corpora: list[Path]) -> list[tuple[dict, Path]]:
    """Every line of the corpora's manifests with the folder it is of, in the order given."""
    lines = [(root, (root / "manifest.jsonl").read_text(encoding="utf-8").splitlines()) for root in corpora]
    entries = [(json.loads(line), root) for root, own in lines for line in own]
    ids = Counter(entry["id"] for entry, _ in entries)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise SystemExit(f"{twice[0]} and {len(twice) - 1} more stand twice in these corpora; give each corpus once.")
    return entries


def speaker_gains(entries: list[tuple[dict, Path]]) -> dict[str, float]:
    """Factor per speaker that brings the mean power of its first GAIN_FILES files to LOUDNESS_DBFS."""
    gains = {}
    for speaker in sorted({e["speaker"] for e, _ in entries}):
        files = [root / e["file"] for e, root in entries if e["speaker"] == speaker][:GAIN_FILES]
        power = np.mean([np.mean(soundfile.read(f)[0] ** 2) for f in files])
        gains[speaker] = float(10 ** (LOUDNESS_DBFS / 20) / np.sqrt(power))
    return gains


def known_gains(packed: Path) -> dict[str, float]:
    """The factor of each speaker that stands in a folder's features.npz."""
    with np.load(packed / "features.npz") as known:
        return dict(zip(known["gain_names"].tolist(), known["gains"].tolist(), strict=True))


def pack(rows: list[dict]) -> dict[str, np.ndarray]:
    starts = {name: np.cumsum([0] + [len(r[key]) for r in rows]) for name, key in
              (("frame_start", "mel"), ("phone_start", "symbol"))}  # fmt: skip
    kinds = {"symbol": np.int16, "tone": np.int8, "place": np.int8, "duration": np.int16, "log_f0": np.float32,
             "voiced": np.float32, "mel": np.float16}  # fmt: skip
    flat = {k: np.concatenate([np.asarray(r[k], dtype=t) for r in rows]) for k, t in kinds.items()}
    return flat | starts | {k: np.array([r[k] for r in rows]) for k in ("id", "split", "speaker", "first")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("features"))
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    entries = manifest(args.corpus)
    gains = speaker_gains(entries)
    jobs = [(e, str(root), gains[e["speaker"]]) for e, root in entries]
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(utterance, jobs, chunksize=16))
    args.out.mkdir(parents=True, exist_ok=True)
    np.savez(args.out / "features.npz", **pack(rows), gain_names=np.array(list(gains)),
             gains=np.array(list(gains.values())))  # fmt: skip
    frames = sum(len(r["mel"]) for r in rows)
    print(f"{len(rows)} utterances, {frames} frames, {frames * MEL_22K.hop_length / MEL_22K.sample_rate / 3600:.2f} h")


if __name__ == "__main__":
    main()
