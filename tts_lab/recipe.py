"""A recipe: the levers that decide how a request is run. Frozen, strict, and readable as YAML."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tts_lab.errors import RecipeError
from tts_lab.lever_checks import Check, one_of, or_none, real, shown, switch, whole
from tts_lab.nearest import did_you_mean
from tts_lab.processor import computes

LEVERS: dict[str, tuple[Check, str]] = {
    "steps": (whole(1, 1000), "solver steps of the acoustic model"),
    "solver": (
        one_of("euler", "midpoint", "heun", "adams"),
        "how one step is taken; midpoint and heun evaluate the model twice, adams learns from the step before",
    ),
    "schedule": (
        one_of("uniform", "sway", "leap"),
        "where the steps lie; sway takes small ones first, leap too, and then one to the mean of what is left",
    ),
    "guidance": (real(0, 10), "strength of classifier-free guidance; 0 is off, anything else doubles the evaluations"),
    "guidance_mode": (
        one_of("batched", "sequential", "alternate"),
        "both halves of guidance in one call, or one after the other, or the unguided half in every second call only",
    ),
    "temperature": (
        or_none(real(0, 2)),
        "spread of the semantic model's draws; 0 always takes the most likely code; none: the system's own",
    ),
    "beams": (whole(1, 4), "beams of the semantic model's search; each has a key-value cache of its own"),
    "precision": (one_of("fp32", "fp16", "bf16"), "number format of weights and activations"),
    "quantisation": (
        one_of("none", "int8", "fp8"),
        "weights of large layers in eight bits, computed with in the precision; embeddings and norms stay",
    ),
    "max_chars": (whole(10, 500), "longest piece of text spoken in one go, in characters"),
    "attention": (one_of("auto", "sdpa", "math"), "attention kernel: fused (sdpa) or step by step (math)"),
    "cache": (
        one_of("static", "growing", "int8"),
        "key-value cache: reserved at full length, grown as needed, or reserved in eight bits",
    ),
    "checkpointing": (switch, "recompute activations in a backward pass instead of keeping them"),
    "offload": (
        one_of("none", "voice", "stage", "layers", "disk"),
        "what leaves the device: nothing, what only a reference clip needs, every idle stage, or every idle layer; "
        "with disk, layers wait in a file",
    ),
    "vocoder": (
        one_of("universal", "small"),
        "mini's vocoder: HiFi-GAN V1 universal, or a small one of pulses and noise that was taught here",
    ),
    "tile": (whole(0, 8192), "mel frames that the vocoder takes at once, with an exact overlap; 0 takes all"),
    "crossfade_ms": (real(0, 500), "overlap of neighbouring pieces of speech, in milliseconds"),
}


def choices(lever: str) -> tuple[str, ...]:
    """The names that a lever takes, in the order of `LEVERS`; none where it takes numbers."""
    return getattr(LEVERS[lever][0], "names", ())


CALLS_PER_STEP = {"euler": 1, "midpoint": 2, "heun": 2, "adams": 1}

# The article's own names, as they stand under `inference:` in its YAML.
ARTICLE: dict[str, tuple[str, Check, Callable[[Any], Any]]] = {
    "diffusion_steps": ("steps", LEVERS["steps"][0], int),
    "use_fp16": ("precision", switch, lambda on: "fp16" if on else "fp32"),
    "enable_gradient_checkpointing": ("checkpointing", switch, bool),
    "cpu_offload": ("offload", switch, lambda on: "stage" if on else "none"),
    "max_text_length_per_chunk": ("max_chars", LEVERS["max_chars"][0], int),
}


@dataclass(frozen=True)
class Recipe:
    """How a request is run; every field is a lever, explained in `LEVERS`. The defaults are the lab's own choice.

    Raises RecipeError for a value of the wrong type or out of its range.
    """

    steps: int = 4
    solver: str = "euler"
    schedule: str = "leap"
    guidance: float = 0.0
    guidance_mode: str = "batched"
    temperature: float | None = None
    beams: int = 1
    precision: str = "fp32"
    quantisation: str = "none"
    max_chars: int = 60
    attention: str = "auto"
    cache: str = "static"
    checkpointing: bool = False
    offload: str = "none"
    vocoder: str = "universal"
    tile: int = 0
    crossfade_ms: float = 20.0

    def __post_init__(self) -> None:
        for lever, (check, _) in LEVERS.items():
            object.__setattr__(self, lever, check(lever, getattr(self, lever)))

    @property
    def evaluations_per_chunk(self) -> int:
        """Model evaluations of the acoustic stage for one chunk: guidance doubles the solver's own calls.

        Batched guidance is one call on twice the batch: counted as two, because it is the work of two. Alternating
        guidance doubles every second call, the first among them.
        """
        calls = self.steps * CALLS_PER_STEP[self.solver]
        if self.guidance == 0:
            return calls
        return calls + -(-calls // 2) if self.guidance_mode == "alternate" else 2 * calls

    @property
    def name(self) -> str:
        """Name of the preset that this recipe equals; of any other recipe, how it differs from the default."""
        for name, (recipe, _) in PRESETS.items():
            if recipe == self:
                return name
        moved = ", ".join(f"{f.name} {getattr(self, f.name)}" for f in fields(self) if self._moved(f.name))
        return f"default with {moved}"

    def replace(self, **levers: Any) -> Recipe:
        """A copy with some levers moved. Raises RecipeError for an unknown lever or a bad value."""
        _only_known(levers)
        return dataclasses.replace(self, **levers)

    def to_dict(self) -> dict[str, Any]:
        """Every lever and its value."""
        return dataclasses.asdict(self)

    def to_yaml(self) -> str:
        """YAML that `Recipe.load` reads back to an equal recipe."""
        import yaml

        return yaml.safe_dump(self.to_dict(), sort_keys=False)

    @classmethod
    def from_dict(cls, levers: Mapping[str, Any]) -> Recipe:
        """A recipe from our own keys, or from the article's under `inference`, which change `article-original`."""
        if "inference" not in levers:
            _only_known(levers)
            return cls().replace(**levers)
        if len(levers) > 1:
            other = ", ".join(str(key) for key in levers if key != "inference")
            raise RecipeError(
                f"The recipe mixes the article's section 'inference' with {other}: write all of it in one way."
            )
        return _ORIGINAL.replace(**_from_article(levers["inference"]))

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """A recipe from a YAML file. Raises RecipeError naming the file and what is wrong in it."""
        try:
            return cls.from_dict(_read_yaml(Path(path)))
        except RecipeError as error:
            raise RecipeError(f"{path}: {error}") from None

    @classmethod
    def named(cls, name: str) -> Recipe:
        """A preset by its name (see `PRESETS`)."""
        if name not in PRESETS:
            raise RecipeError(
                f"No recipe is called {name!r}{did_you_mean(name, PRESETS)}; "
                f"there are {', '.join(PRESETS)}, or give a YAML file."
            )
        return PRESETS[name][0]

    @classmethod
    def find(cls, name_or_path: str | Path) -> Recipe:
        """A preset if the name is one, else the YAML file of that name."""
        text = str(name_or_path)
        is_file = text.endswith((".yaml", ".yml")) or (text not in PRESETS and Path(text).is_file())
        return cls.load(text) if is_file else cls.named(text)

    def idle(self, device: str = "cuda") -> dict[str, str]:
        """What changes nothing beside the other levers of this recipe, and why.

        Keys: a lever ("schedule") or one value of it ("solver adams"), whether the recipe has moved it or not. device:
        where it speaks ("cpu", "cuda", ...).
        """
        found = {"checkpointing": "speech runs without autograd, which keeps no activations to spare"}
        if self.guidance == 0:
            found["guidance_mode"] = "guidance is off"
        if self.steps == 1:
            found["schedule"] = "a single step spans the whole way"
            found["solver adams"] = "a single step has none before it, and is Euler's"
        if str(device).startswith("cpu"):
            if computes("bf16"):
                found["precision fp16"] = "this processor has no units for it, and the CPU path computes in fp32"
            else:
                found["precision"] = "the CPU path computes in fp32"
            found["quantisation"] = "on a CPU the weights stay as they are"
            found["offload"] = "on a CPU there is nowhere else to wait"
        return found

    def excludes(self) -> tuple[str, ...]:
        """Sentences naming each lever of this recipe that another of its levers leaves without effect."""
        reasons = self.idle()
        found = [
            f"{lever} {getattr(self, lever)} changes nothing: {reasons[lever]}."
            for lever in ("guidance_mode", "schedule")
            if lever in reasons and self._moved(lever)
        ]
        if self.solver == "adams" and "solver adams" in reasons:
            found.append("solver adams is euler here: a single step has none before it.")
        return tuple(found)

    def notes(self, device: str = "cpu") -> tuple[str, ...]:
        """Sentences for levers that do nothing when this recipe speaks on `device` ("cpu", "cuda", ...)."""
        found = list(self.excludes())
        on_cpu = str(device).startswith("cpu")
        if self.checkpointing:
            found.append("checkpointing saves nothing here: speech runs without autograd, which keeps no activations.")
        if self.offload != "none" and on_cpu:
            found.append(f"offload {self.offload} changes nothing: on a CPU there is nowhere else to wait.")
        if self.offload == "disk" and not on_cpu:
            found.append("offload disk: an estimated time takes weights from the computer's memory; a disk is slower.")
        if on_cpu and not computes(self.precision):
            found.append(f"precision {self.precision} is computed in fp32: this processor has no units for it.")
        if self.quantisation != "none" and on_cpu:
            found.append(f"quantisation {self.quantisation} changes nothing: on a CPU the weights stay as they are.")
        return tuple(found)

    def _moved(self, lever: str) -> bool:
        return getattr(self, lever) != type(self).__dataclass_fields__[lever].default


def _from_article(section: Any) -> dict[str, Any]:
    if not isinstance(section, Mapping):
        raise RecipeError(f"inference must hold keys and values ({', '.join(ARTICLE)}), but is {shown(section)}.")
    levers = {}
    for key, value in section.items():
        if key not in ARTICLE:
            raise RecipeError(
                f"inference has no key {key!r}{did_you_mean(key, ARTICLE)}; it knows {', '.join(ARTICLE)}."
            )
        lever, check, convert = ARTICLE[key]
        levers[lever] = convert(check(key, value))
    return levers


def _only_known(levers: Mapping[str, Any]) -> None:
    for key in levers:
        if key in ARTICLE:
            raise RecipeError(f"{key} is the article's name: put it under 'inference:', or write {ARTICLE[key][0]}.")
        if key not in LEVERS:
            raise RecipeError(
                f"A recipe has no lever {key!r}{did_you_mean(key, LEVERS)}; the levers are {', '.join(LEVERS)}."
            )


def _read_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise RecipeError("the file is not text in UTF-8; save it as UTF-8 YAML.") from None
    except OSError as error:
        raise RecipeError(f"the recipe cannot be read ({error.strerror}); give an existing YAML file.") from None
    try:
        _refuse_twice(yaml.compose(text, Loader=yaml.SafeLoader))
        levers = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise RecipeError(f"not valid YAML{where}; write one 'lever: value' a line.") from None
    if not isinstance(levers, Mapping):
        raise RecipeError(f"expected lines of 'lever: value' with levers {', '.join(LEVERS)}, found {shown(levers)}.")
    return levers


def _refuse_twice(node: Any, depth: int = 2) -> None:
    """YAML lets a later key silently replace an earlier one; a recipe does not. It is two sections deep at most."""
    pairs = node.value if depth and getattr(node, "id", "") == "mapping" else []
    seen: set[str] = set()
    for key, value in pairs:
        if key.id != "scalar":
            raise RecipeError(f"line {key.start_mark.line + 1} has no name; write one 'lever: value' a line.")
        if key.value in seen:
            raise RecipeError(f"{key.value} is given twice (again in line {key.start_mark.line + 1}); keep one.")
        seen.add(key.value)
        _refuse_twice(value, depth - 1)


_ORIGINAL = Recipe(steps=100, schedule="uniform", guidance=0.7, max_chars=500)
_THIRTY = _ORIGINAL.replace(steps=30)
_FP16 = _THIRTY.replace(precision="fp16")
_CHECKPOINTING = _FP16.replace(checkpointing=True)
_RECOMMENDED = _CHECKPOINTING.replace(offload="stage", max_chars=60)

_RELEASED = Recipe(steps=25, schedule="uniform", guidance=0.7, beams=3, max_chars=120, cache="growing")
_RESIDENT = _RELEASED.replace(precision="fp16", beams=1, cache="static")  # what follows changes memory, not sampling
_VOICE_LEAVES = _RESIDENT.replace(offload="voice", tile=256)
_ONE_STAGE = _RESIDENT.replace(offload="stage", tile=256)
_SMALLEST = _ONE_STAGE.replace(offload="layers", tile=64, guidance_mode="sequential")

# The article's rows add up, each to the one above. Its text gives no guidance: 0.7 is IndexTTS-2's released setting.
PRESETS: dict[str, tuple[Recipe, str]] = {
    "default": (Recipe(), "the lab's own choice between speed and quality"),
    "fastest": (Recipe(steps=1), "a single evaluation: the least work there is, at a price in quality"),
    "fits-8gb": (
        _RESIDENT,
        "as-released in fp16 with one beam; nothing leaves the card: the fastest for 8 GB",
    ),
    "fits-4gb": (_VOICE_LEAVES, "fits-8gb, but what only a reference clip needs leaves the card; vocoder in tiles"),
    "fits-2gb": (_ONE_STAGE, "one stage on the card at a time, in fp16; vocoder in tiles"),
    "smallest": (
        _SMALLEST,
        "one layer on the card at a time: least memory, and weights cross the bus at every use",
    ),
    "as-released": (_RELEASED, "IndexTTS-2's own settings: fp32, 25 steps, guidance 0.7, three beams"),
    "article-original": (_ORIGINAL, "the article's starting point: 100 steps in fp32, text in one piece"),
    "article-30-steps": (_THIRTY, "article-original with 30 steps"),
    "article-fp16": (_FP16, "article-30-steps in fp16"),
    "article-checkpointing": (_CHECKPOINTING, "article-fp16 with gradient checkpointing"),
    "article-recommended": (
        _RECOMMENDED,
        "article-checkpointing with idle stages on the CPU and pieces of 60 characters",
    ),
}
