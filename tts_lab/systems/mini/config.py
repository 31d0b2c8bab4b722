"""Sizes of the bundled system, as data. A checkpoint carries its own; these are what training starts from."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EncoderConfig:
    """Text side of the acoustic stage: phones and prosody -> an average mel and features per frame."""

    width: int = 224
    heads: int = 4
    layers: int = 5
    inner: int = 448
    frame_layers: int = 4
    dropout: float = 0.1


@dataclass(frozen=True)
class DiTConfig:
    """Flow-matching transformer over the residual that the average mel leaves."""

    width: int = 256
    heads: int = 4
    layers: int = 8
    inner: int = 384
    patch: int = 2
    dropout: float = 0.0


@dataclass(frozen=True)
class SemanticConfig:
    """Decoder-only transformer that writes a duration and a pitch code for each phone."""

    width: int = 192
    heads: int = 4
    layers: int = 4
    inner: int = 512
    dropout: float = 0.3


@dataclass(frozen=True)
class MiniConfig:
    """The whole system."""

    voices: tuple[str, ...] = ()
    style: int = 64
    mels: int = 80
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    dit: DiTConfig = field(default_factory=DiTConfig)
    semantic: SemanticConfig = field(default_factory=SemanticConfig)
