"""An encoder that begins as the teacher's reader and decoder: factored, beside the bundled phones and diffusion model.

    python training/from_teacher.py --packages packages --readout runs/readout --out begin

What their convolutions put out for Mandarin is looked at in composed sentences of all four voices. Of each the
`rank` directions that vary most are kept (each channel measured by its deviation, as the norms behind it do), so no
weight is learned here and yet contents and mel hardly change; the script says how much. Curves of pitch and energy
begin as chance has it: train_joint.py --only said teaches them. Writes a folder of weights for its `--begin`.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

import floating
import readout
from composed import Composer
from corpus import tokens_of
from endless import MEDIANS, SPEEDS, move_of
from export import MADE_BY, ORDER, VOICES, kept
from teacher import PAD, Teacher, read_weights
from tts_lab.nn.adain import AdaptiveBlock, FactoredConv
from tts_lab.systems.mini.checkpoint import MiniModel, save
from tts_lab.systems.mini.config import EncoderConfig, MiniConfig
from tts_lab.systems.mini.inner import BLOCKS, InnerDecoder
from tts_lab.systems.mini.reader import LAYERS, TokenReader
from tts_lab.systems.mini.readout import ENERGY_UNIT, REFERENCE_HZ
from tts_lab.text.spelling import EDGE, TOKENS

PLACE, READER = "/decoder/decoder", "/encoder/text_encoder"
READING = tuple(f"{READER}/cnn.{i}/cnn.{i}.0" for i in range(LAYERS))
LSTM = f"{READER}/lstm/LSTM_quant"
CONTENT_IN = "/encoder/MatMul_1_output_0"  # (1, 512, k): each token's content for as long as it lasts
BLOCK_NAMES = ("encode", *(f"decode.{i}" for i in range(BLOCKS + 1)))
CONVS = {"conv1": "conv1", "conv2": "conv2", "shortcut": "conv1x1"}
DIT = "acoustic.dit.content.weight"
LENGTHS = (20, 120)  # tokens of usual sentences: the teacher's style depends on their number


@dataclass(frozen=True)
class Graph:
    """The teacher's constants by name, and what is multiplied by what."""

    values: dict[str, np.ndarray]
    model: onnx.ModelProto

    @classmethod
    def read(cls, packages: Path) -> Graph:
        model = floating.in_float(onnx.load_from_string(read_weights(packages)))
        return cls({i.name: numpy_helper.to_array(i) for i in model.graph.initializer}, model)

    def conv(self, path: str) -> tuple[Tensor, Tensor]:
        """Weight (out, in, k) and bias (out,) of a convolution, as the numbers it was trained to."""
        node = self.node(f"{path}/Conv_quant")
        scale = self.values[node.input[1].removesuffix("_quantized_float") + "_scale"]
        weight = torch.from_numpy(self.values[node.input[1]] * scale.reshape(-1, *[1] * (scale.ndim and 2)))
        bias = self.values.get(_parameter(path) + ".bias", np.zeros(len(weight), dtype=np.float32))
        return weight, torch.from_numpy(bias.copy())

    def node(self, name: str) -> onnx.NodeProto:
        return next(node for node in self.model.graph.node if node.name == name)

    def linear(self, path: str) -> tuple[Tensor, Tensor]:
        """Weight (out, in) and bias (out,) of a linear layer."""
        name = f"decoder.decoder.{path}"
        weight = self.values[f"{name}.weight_quantized_float"] * self.values[f"{name}.weight_scale"]
        return torch.from_numpy(weight.T.copy()), torch.from_numpy(self.values[f"{name}.bias"])


def _parameter(path: str) -> str:
    """Name of a module's parameters, of its path in the graph: a list's name stands twice in that."""
    parts = path.strip("/").split("/")
    return ".".join(
        part for part, after in zip(parts, [*parts[1:], ""], strict=True) if not after.startswith(f"{part}.")
    )


def output_of(path: str, conv: str) -> str:
    return f"{PLACE}/{path}/{conv}/Conv_output_0"


def block_output(path: str) -> str:
    return floating.CONTENT if path == BLOCK_NAMES[-1] else f"{PLACE}/{path}/Div_3_output_0"


class Spread:
    """Mean, deviation and covariance of columns seen so far."""

    def __init__(self) -> None:
        self.count, self.sum, self.squares = 0, 0.0, 0.0

    def see(self, values: np.ndarray) -> None:
        """values: (c, k)."""
        x = values.astype(np.float64)
        self.count, self.sum, self.squares = self.count + x.shape[1], self.sum + x.sum(1), self.squares + x @ x.T

    @property
    def mean(self) -> np.ndarray:
        return self.sum / self.count

    @property
    def covariance(self) -> np.ndarray:
        return self.squares / self.count - np.outer(self.mean, self.mean)

    @property
    def deviation(self) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(self.covariance), 1e-8))


@dataclass
class Seen:
    """Utterances that the teacher was watched at: what went in and came out, to compare with."""

    voice: str
    tokens: list[str]
    given: dict[str, np.ndarray]


def watch(packages: Path, graph: Graph, utterances: int) -> tuple[dict[str, Spread], list[Seen]]:
    """Run the teacher on composed sentences and look at what its convolutions and its decoder's blocks put out."""
    convs = [output_of(p, c) for p in BLOCK_NAMES for c in CONVS.values()] + [
        f"{path}/Conv_output_0" for path in READING
    ]
    blocks = [block_output(p) for p in BLOCK_NAMES]
    inputs = [CONTENT_IN, floating.PITCH, floating.ENERGY, floating.TOKENS]
    names = list(dict.fromkeys([*convs, *blocks, *inputs]))
    moved = floating.with_moves(graph.model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(floating.until(moved, names).SerializeToString(), options)
    teacher = Teacher(packages, sound=False)
    teacher.outputs, teacher.session = names, session
    spreads, seen = {name: Spread() for name in (*convs, *blocks)}, []
    composer, draw = Composer(77), random.Random(77)
    for i in range(utterances):
        voice = list(MEDIANS)[i % len(MEDIANS)]
        tokens, _ = tokens_of(*composer.sentence())
        values = teacher._run(tokens, voice, draw.choice(SPEEDS), move_of(voice, draw))
        found = dict(zip(names, values, strict=True))
        for name, spread in spreads.items():
            spread.see(found[name][0])
        seen.append(Seen(voice, tokens, {name: found[name] for name in (*inputs, floating.CONTENT)}))
    return spreads, seen


@torch.no_grad()
def factor(target: FactoredConv, weight: Tensor, bias: Tensor, outputs: Spread, scale: np.ndarray) -> float:
    """The convolution in the directions in which its outputs vary most. Returns the share of their variance, (0, 1].

    scale: (out,), the deviation that each channel is measured by.
    """
    rank = target.enter.out_channels
    covariance = outputs.covariance / np.outer(scale, scale)
    variances, directions = np.linalg.eigh(covariance)
    basis = torch.from_numpy(directions[:, ::-1][:, :rank].copy())
    measured = torch.from_numpy(scale)[:, None]
    down, up = (basis / measured).T, basis * measured  # (rank, out), (out, rank)
    target.enter.weight.copy_(torch.einsum("ro,oik->rik", down, weight.double()))
    mean = torch.from_numpy(outputs.mean)
    target.leave.weight.copy_(up[..., None])
    target.leave.bias.copy_(mean + up @ (down @ (bias.double() - mean)))
    return float(variances[-rank:].sum() / variances.sum())


@torch.no_grad()
def styled(block: AdaptiveBlock, graph: Graph, path: str, mean: Tensor, basis: Tensor) -> None:
    """Norms that read the style as numbers (width,) along `basis` (128, width) from `mean` (128,)."""
    for norm, name in ((block.norm1, "norm1"), (block.norm2, "norm2")):
        weight, bias = graph.linear(f"{path}.{name}.fc")
        norm.project.weight.copy_(weight @ basis)
        norm.project.bias.copy_(bias + weight @ mean)


@torch.no_grad()
def decoder_of(graph: Graph, spreads: dict[str, Spread], config: EncoderConfig, mean: Tensor, basis: Tensor
               ) -> InnerDecoder:  # fmt: skip
    decoder = InnerDecoder(config.content, config.channels, config.rank, config.voice)
    for conv, path, unit in ((decoder.pitch, "F0_conv", REFERENCE_HZ), (decoder.energy, "N_conv", ENERGY_UNIT)):
        weight, bias = graph.conv(f"{PLACE}/{path}")
        conv.weight.copy_(weight * unit)
        conv.bias.copy_(bias)
    weight, bias = graph.conv(f"{PLACE}/asr_res/asr_res.0")
    decoder.side.weight.copy_(weight)
    decoder.side.bias.copy_(bias)
    for block, path in zip((decoder.encode, *decoder.decode, decoder.leave), BLOCK_NAMES, strict=True):
        styled(block, graph, path, mean, basis)
        for name, conv in CONVS.items():
            outputs = spreads[output_of(path, conv)]
            scale = outputs.deviation if name == "conv1" else spreads[block_output(path)].deviation
            share = factor(getattr(block, name), *graph.conv(f"{PLACE}/{path}/{conv}"), outputs, scale)
            print(f"{path} {name}: {share:.4f} of the variance in {config.rank} directions")
        if block.pool is not None:
            pool = graph.node(f"{PLACE}/{path}/pool/ConvTranspose")
            block.pool.weight.copy_(torch.from_numpy(graph.values[pool.input[1]]))
            block.pool.bias.copy_(torch.from_numpy(graph.values[pool.input[2]]))
    return decoder


@torch.no_grad()
def reader_of(
    graph: Graph, spreads: dict[str, Spread], config: EncoderConfig, vocabulary: dict[str, int]
) -> TokenReader:
    """The teacher's reader of the tokens that Mandarin has."""
    reader = TokenReader(config.content, config.rank)
    name = f"{_parameter(READER)}.embedding.weight"
    zero = graph.values[graph.node(f"{READER}/embedding/Gather_quant_DequantizeLinear").input[2]]
    table = (graph.values[f"{name}_quantized"].astype(np.float32) - zero) * graph.values[f"{name}_scale"]
    rows = [0 if token == EDGE else vocabulary[token] for token in TOKENS[1:]]
    reader.token.weight[1:] = torch.from_numpy(table[rows])
    for layer, path in zip(reader.layers, READING, strict=True):
        outputs = spreads[f"{path}/Conv_output_0"]
        share = factor(layer.conv, *graph.conv(path), outputs, outputs.deviation)
        print(f"{path}: {share:.4f} of the variance in {config.rank} directions")
        parameter = _parameter(path)[:-1] + "1."
        layer.norm.weight.copy_(torch.from_numpy(graph.values[f"{parameter}gamma"]))
        layer.norm.bias.copy_(torch.from_numpy(graph.values[f"{parameter}beta"]))
    _, w, r, b, *_ = (graph.values.get(name) for name in graph.node(LSTM).input)
    for k, suffix in enumerate(("", "_reverse")):
        own = {"weight_ih": w[k], "weight_hh": r[k], "bias_ih": b[k, : len(w[k])], "bias_hh": b[k, len(w[k]) :]}
        for (
            kind,
            values,
        ) in own.items():  # the graph has input, output, forget and cell; torch forget and cell before output
            i, o, f, c = torch.from_numpy(values.copy()).chunk(4)
            getattr(reader.lstm, f"{kind}_l0{suffix}").copy_(torch.cat((i, f, c, o)))
    return reader


@torch.no_grad()
def read_as(reader: TokenReader, seen: list[Seen]) -> float:
    """Mean square of what factoring changes in the contents, in parts of their variance."""
    wrong, every = 0.0, []
    for one in seen:
        told = torch.from_numpy(one.given[floating.TOKENS])[0].T
        tokens = torch.tensor([[TOKENS.index(EDGE if token == PAD else token) for token in one.tokens]])
        places = torch.arange(tokens.shape[1])[None, :, None].expand(-1, -1, 2)
        wrong += float((reader(tokens, places, batched=False)[0, :, 0] - told).square().sum())
        every.append(told)
    flat = torch.cat(every)
    return wrong / float((flat - flat.mean(0)).square().sum())


def styles_of(teacher_style: Callable[[str], np.ndarray], width: int) -> tuple[Tensor, Tensor, Tensor]:
    """What the four voices' styles for usual lengths vary along: mean (128,), basis (128, width), rows (4, width)."""
    tables = [torch.from_numpy(teacher_style(name)[slice(*LENGTHS), 0, :128].copy()) for name in ORDER]
    voices = torch.stack([table.mean(0) for table in tables])
    mean = voices.mean(0)
    between = torch.linalg.svd(voices - mean, full_matrices=False).Vh[: len(ORDER) - 1]
    within = torch.cat([table - table.mean(0) for table in tables])
    within = within - within @ between.T @ between
    more = torch.linalg.svd(within, full_matrices=False).Vh[: width - len(between)]
    basis = torch.cat((between, more)).T
    return mean, basis, (voices - mean) @ basis


@torch.no_grad()
def fitted(target: nn.Linear, styles: Tensor, manner: Tensor, values: Tensor) -> None:
    """The layer that gives each voice's style its values and lets a manner change nothing. styles: (v, s)."""
    manner = torch.cat((manner, torch.zeros(len(manner), 1)), 1)
    given = torch.cat((torch.cat((styles, torch.ones(len(styles), 1)), 1), manner)).double()
    wanted = torch.cat((values, torch.zeros(len(manner), values.shape[1]))).double()
    solution = torch.linalg.pinv(given) @ wanted
    target.weight.copy_(solution[:-1].T)
    target.bias.copy_(solution[-1])


def heard(decoder: InnerDecoder, rows: Tensor, reader: readout.Reader, seen: list[Seen]) -> float:
    """Mean square of what factoring changes in the normalised mels."""
    errors = []
    for one in seen:
        content, pitch, energy = (torch.from_numpy(one.given[n]).float() for n in
                                  (CONTENT_IN, floating.PITCH, floating.ENERGY))  # fmt: skip
        pitch, energy = pitch.view(1, -1), energy.view(1, -1)
        with torch.inference_mode():
            style = rows[[ORDER.index(one.voice)]]
            made = decoder(content, pitch / REFERENCE_HZ, energy / ENERGY_UNIT, style)
            both = torch.cat((made, torch.from_numpy(one.given[floating.CONTENT]))).transpose(1, 2)
            read, _ = reader(both, pitch.expand(2, -1), energy.expand(2, -1))
        errors.append(float((read[0] - read[1]).square().mean()))
    return float(np.mean(errors))


@torch.no_grad()
def begun(folder: Path, config: MiniConfig, tokens: TokenReader, decoder: InnerDecoder, rows: Tensor,
          reader: readout.Reader) -> MiniModel:  # fmt: skip
    """A model of what the bundled one in a folder holds and still fits, with the parts in their places."""
    model = MiniModel(config)
    old = kept(model, folder)
    encoder = model.acoustic.encoder
    encoder.reader.load_state_dict(tokens.state_dict())
    encoder.decoder.load_state_dict(decoder.state_dict())
    encoder.readout.load_state_dict(reader.bare(model.acoustic.mean, model.acoustic.std).state_dict())
    fitted(encoder.voice, model.acoustic_styles, model.manner, rows)
    medians = torch.tensor([[np.log(MEDIANS[name])] for name in ORDER]).float()
    fitted(encoder.median, model.acoustic_styles, model.manner, medians)
    nn.init.zeros_(encoder.curves.weight[:2])  # a phone's pitch begins as its code's
    nn.init.zeros_(encoder.curves.bias)
    # The diffusion model still reads the average mel as it did; of the features, which are others, nothing yet.
    mels, dit = config.mels, model.acoustic.dit
    before, now = (w.unflatten(1, (config.dit.patch, -1)) for w in (old[DIT].float(), dit.content.weight))
    now.zero_()
    now[..., -mels:] = before[..., -mels:]
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packages", type=Path, default=Path("packages"), help="folder of the teacher's packages")
    parser.add_argument("--readout", type=Path, default=Path("runs/readout"))
    parser.add_argument("--begin", type=Path, default=Path("data/voices"), help="folder of the weights to begin with")
    parser.add_argument("--out", type=Path, default=Path("begin"))
    parser.add_argument("--utterances", type=int, default=120, help="composed sentences to watch the teacher at")
    args = parser.parse_args()
    config = replace(MiniConfig(), voices=tuple(VOICES[name].name for name in ORDER))
    graph = Graph.read(args.packages)
    spreads, seen = watch(args.packages, graph, args.utterances)
    teacher = Teacher(args.packages, sound=False)
    mean, basis, rows = styles_of(teacher.style, config.encoder.voice)
    tokens = reader_of(graph, spreads, config.encoder, teacher.vocabulary)
    print(f"of what tokens mean {read_as(tokens, seen[-20:]):.4f} changes (in parts of the variance)")
    decoder = decoder_of(graph, spreads, config.encoder, mean, basis)
    reader = readout.load(args.readout)
    print(f"what is read changes by {heard(decoder, rows, reader, seen[-20:]):.4f} (mean square, normalised mels)")
    model = begun(args.begin, config, tokens, decoder, rows, reader)
    path = save(model, config, [VOICES[name] for name in ORDER], MADE_BY, args.out)
    print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB, {sum(p.numel() for p in model.parameters()):,} parameters")


if __name__ == "__main__":
    main()
