"""What an encoder that learns nothing says of utterances, computed once while a diffusion model learns beside it.

It costs two fifths of a step otherwise. Numbers lie in files that all workers read, flat over mel frames as features.py
stores mels: `average` (f, m) and `features` (f, c), float16, as the model's `Content` has them.

Axes: b utterances, t mel frames, f frames of all utterances, m mel bands, c features.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from batches import Batch, Corpus
from tts_lab.systems.mini.acoustic import Content
from workers import meet

FRAMES = 4000  # mel frames in a batch


@torch.no_grad()
def remember(said: Callable[[Batch, bool], Content], corpora: list[Corpus], folder: Path, *, rank: int, workers: int
             ) -> None:  # fmt: skip
    """Let every corpus know what is said of its utterances, those of `test` left out. Each worker computes its share.

    said: of a batch, and whether it is learnt from; folder: for the files, which no later run reads.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number, corpus in enumerate(corpora):
        plans = [(ids, split == "train") for split in ("train", "dev") for ids in corpus.plan(split, FRAMES) if ids]
        content = said(corpus.batch(plans[0][0][:1]), True)
        widths = {"average": content.average.shape[1], "features": content.features.shape[2]}
        paths = {name: folder / f"{number}-{name}.npy" for name in widths}
        if rank == 0:
            for name, width in widths.items():
                shape = (int(corpus.raw["frame_start"][-1]), width)
                np.lib.format.open_memmap(paths[name], "w+", np.float16, shape)
        meet()
        files = {name: np.load(path, mmap_mode="r+") for name, path in paths.items()}
        for ids, learnt in plans[rank::workers]:
            content = said(corpus.batch(ids), learnt)
            for row, i in enumerate(ids):
                start, end = corpus.raw["frame_start"][i : i + 2]
                files["average"][start:end] = content.average[row, :, : end - start].T.cpu().numpy()
                files["features"][start:end] = content.features[row, : end - start].cpu().numpy()
        for file in files.values():
            file.flush()
        meet()
        corpus.encoded = (files["average"], files["features"])
