"""Speech with its sound, as much as one likes, on a machine with a card: hours of it in minutes.

    python training/sounding.py --compose 16000 --sentences sentences.jsonl.gz     anywhere; needs the lab's front end
    python training/sounding.py --packages packages --gains features --sentences sentences.jsonl.gz --out sounding \\
        --device cuda --jobs 14 --minutes 4

The first command draws sentences (`composed.py`) with the voice, speed and pitch that each is to be spoken in; the
second lets the teacher speak them, each process from a place of its own, and writes their features: as of the corpus,
for four tenths with the pitch moved inside the teacher, and one in eight in another manner (`manner.py`).
Needs of the lab only its mels and phones, so a machine that has no front end will do.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

import features
import manner
from batches import SPOKEN_HOW
from corpus import SAMPLE_RATE, finish, gate, tokens_of
from moves import MEDIANS, SPEEDS, move_of
from teacher import FRAME_SAMPLES, RATE, Move, Teacher
from tts_lab.audio.mel import MEL_22K

CORPUS_SPEEDS = (0.9, 1.0, 1.1), (0.15, 0.7, 0.15)  # and their shares, from which prosody may be learned
FILE_ROWS = 500  # utterances in a file
MANNERS = 0.12  # share of utterances in another manner, by WORLD; their pitch is not moved twice


def composed(count: int, seed: int) -> list[dict[str, Any]]:
    """Sentences, with how each is to be spoken."""
    from composed import Composer

    composer, draw = Composer(seed), random.Random(-seed)
    rows = []
    for number in range(count):
        words, pinyin = composer.sentence()
        voice, other = draw.choice(list(MEDIANS)), draw.random() < MANNERS
        still = Move(MEDIANS[voice])
        move = still if other else move_of(voice, draw)
        speed = draw.choices(*CORPUS_SPEEDS)[0] if move == still else draw.choice(SPEEDS)
        rows.append({"id": f"s{seed}_{number}", "words": words, "pinyin": pinyin, "voice": voice, "manner": other,
                     "speed": speed, "move": asdict(move)})  # fmt: skip
    return rows


def utterance(row: dict[str, Any], teacher: Teacher, gains: dict[str, float]) -> dict[str, Any] | None:
    """Features of a sentence, as features.py has them; None where the gate of the corpus would leave it out."""
    tokens, syllables = tokens_of(row["words"], row["pinyin"])
    samples, frames = teacher.say(tokens, row["voice"], row["speed"], Move(**row["move"]))
    sound, _ = finish(samples)
    seconds = frames * FRAME_SAMPLES / RATE
    if gate(sound, seconds, syllables):
        return None
    entry = {"id": row["id"], "split": "train", "speaker": row["voice"], "file": row["id"], "tokens": tokens,
             "syllables": syllables, "durations_s": [round(float(s), 3) for s in seconds]}  # fmt: skip
    own = manner.drawn(row["id"]) if row["manner"] else manner.Manner()
    sound = (sound * gains[row["voice"]]).astype(np.float32)
    if row["manner"]:
        sound = manner.moved(sound, SAMPLE_RATE, own).astype(np.float32)
    moved = row["manner"] or row["move"] != asdict(Move(MEDIANS[row["voice"]]))
    return features.of_sound(entry, sound, SAMPLE_RATE) | asdict(own) | {"made": float(row["manner"]), "moved": moved}


def work(job: tuple[int, argparse.Namespace]) -> int:
    """Write files until the time is over or the sentences are; returns the mel frames that were made."""
    number, args = job
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    end = time.monotonic() + 60 * args.minutes
    teacher, gains = Teacher(args.packages, device=args.device), features.known_gains(args.gains)
    todo, made = read(args.sentences)[number :: args.jobs], 0
    for first in range(0, len(todo), args.rows):
        rows: list[dict[str, Any]] = []
        for row in todo[first : first + args.rows]:
            if time.monotonic() > end:
                break
            found = utterance(row, teacher, gains)
            rows += [found] if found else []
        if not rows:
            break
        part = args.out / f".{number}_{first}.part.npz"
        more = {k: np.array([row[k] for row in rows], np.float32) for k in SPOKEN_HOW}
        np.savez(part, **features.pack(rows), **more)
        part.replace(args.out / f"{number}_{first}.npz")
        made += sum(len(row["mel"]) for row in rows)
    return made


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, default=Path("sentences.jsonl.gz"))
    parser.add_argument("--compose", type=int, metavar="COUNT", help="draw so many sentences, and write them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of the teacher's packages")
    parser.add_argument("--gains", type=Path, default=Path("features"), help="features that tell each voice's loudness")
    parser.add_argument("--out", type=Path, default=Path("sounding"))
    parser.add_argument("--device", help="cuda, or cpu to run there what runs on a card; else onnxruntime, on the CPU")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rows", type=int, default=FILE_ROWS, help="utterances in a file")
    parser.add_argument("--jobs", type=int, default=1, help="processes of one thread each")
    args = parser.parse_args()
    if args.compose:
        with gzip.open(args.sentences, "wt", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in composed(args.compose, args.seed))
        return
    args.out.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        made = sum(pool.map(work, [(k, args) for k in range(args.jobs)]))
    print(f"{made} frames, {made * MEL_22K.hop_length / MEL_22K.sample_rate / 3600:.2f} h, in {args.out}")


if __name__ == "__main__":
    main()
