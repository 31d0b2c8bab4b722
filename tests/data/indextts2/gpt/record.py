"""Record what the public IndexTTS-2 modules make of the weights and inputs of tests/systems/indextts2/recorded.py.

python record.py FOLDER_OF_THE_PUBLIC_REPOSITORY, in an environment with transformers 4.52.1.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
import types
from pathlib import Path

import torch
import transformers  # noqa: F401 - before the stand-ins below

HERE = Path(__file__).resolve().parent
sys.path[:0] = [sys.argv[1], str(HERE.parents[2] / "systems" / "indextts2"), str(HERE.parents[3])]
for name, members in {"torchaudio": {}, "indextts.utils.tokenizer": {"LANGUAGE_DICT": {}}}.items():
    module = types.ModuleType(name)  # imported there, but not used by what is run here
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__dict__.update(members)
    sys.modules[name] = module

import gpt_recorded as recorded  # noqa: E402
from indextts.gpt.model_v2 import UnifiedVoice  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from tts_lab.systems.indextts2.config import SMALL  # noqa: E402

WHOLE = torch.tensor([1024])
SETTINGS = json.loads((HERE / "draws.json").read_text())


def public_model() -> UnifiedVoice:
    sizes = {k: v for k, v in vars(SMALL).items() if not k.endswith("_module") and k != "latents"}
    modules = {
        k: {**vars(getattr(SMALL, k)), "input_layer": "conv2d2"} for k in ("condition_module", "emo_condition_module")
    }
    model = UnifiedVoice(
        **sizes, **modules, condition_type="conformer_perceiver", use_mel_codes_as_input=True,
        train_solo_embeddings=False, mel_length_compression=1024,
    ).eval()  # fmt: skip
    state = {k: v if k.endswith(".pe") else recorded.weight(k, tuple(v.shape)) for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    model.post_init_gpt2_config(kv_cache=True)
    return model


def vectors(model: UnifiedVoice, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    speaker, emotion, batch, lengths = (given[k] for k in ("speaker", "emotion", "batch", "lengths"))
    out = {
        "encoded": model.conditioning_encoder(speaker, WHOLE)[0],
        "encoded_batch": model.conditioning_encoder(batch, lengths)[0],
        "speaker": model.get_conditioning(speaker.transpose(1, 2), WHOLE),
        "speaker_batch": model.get_conditioning(batch.transpose(1, 2), lengths),
        "emotion_latent": model.get_emo_conditioning(emotion.transpose(1, 2), WHOLE),
        "emotion_batch": model.get_emovec(batch, lengths),
        "emotion": model.get_emovec(emotion, WHOLE),
        "blend": model.merge_emovec(speaker, emotion, WHOLE, WHOLE, alpha=0.6),
    }
    out["latent"] = model(
        out["speaker"], given["text"], torch.tensor([8]), given["codes"], torch.tensor([9]), emotion,
        emo_vec=out["blend"], use_speed=torch.zeros(1, dtype=torch.long),
    )  # fmt: skip
    out["latent_batch"] = model(
        out["speaker_batch"], given["texts"].clone(), given["text_lengths"], given["code_batch"].clone(),
        given["code_lengths"], batch, emo_vec=out["emotion_batch"], use_speed=torch.zeros(2, dtype=torch.long),
    )  # fmt: skip
    return out


def write(model: UnifiedVoice, given: dict[str, torch.Tensor], blend: torch.Tensor, count: int, **options: object):
    out, _ = model.inference_speech(
        given["speaker"], given["text"], emo_speech_condition=given["emotion"], cond_lengths=WHOLE,
        emo_cond_lengths=WHOLE, emo_vec=blend, num_return_sequences=1, max_generate_length=count, **options,
    )  # fmt: skip
    return out


def drawn(model: UnifiedVoice, given: dict[str, torch.Tensor], blend: torch.Tensor) -> list[list[int]]:
    """Codes for each of the settings in draws.json, up to a stop mark."""
    found, bias = [], model.mel_head.bias.data.clone()
    for s in SETTINGS["settings"]:
        model.mel_head.bias.data.copy_(bias)
        model.mel_head.bias.data[SMALL.stop_mel_token] += s["stop_bias"]
        torch.manual_seed(s["seed"])
        options = {k: s[k] for k in ("repetition_penalty", "length_penalty")} | {"num_beams": s["beams"]}
        if s["temperature"]:
            options |= {k: s[k] for k in ("temperature", "top_k", "top_p")} | {"do_sample": True}
        codes = write(model, given, blend, SETTINGS["most"], **{"do_sample": False} | options)[0].tolist()
        found.append(codes[: codes.index(SMALL.stop_mel_token)] if SMALL.stop_mel_token in codes else codes)
    return found


def main() -> None:
    model, given = public_model(), recorded.inputs()
    rows: list[int] = []
    with torch.no_grad():
        out = vectors(model, given)
        hook = model.mel_pos_embedding.emb.register_forward_pre_hook(lambda m, args: rows.append(int(args[0].max())))
        for name, penalty in (("greedy", 1.0), ("penalised", 10.0)):
            done = write(
                model, given, out["blend"], 12, do_sample=False, num_beams=1, repetition_penalty=penalty,
                return_dict_in_generate=True, output_scores=True,
            )  # fmt: skip
            out[f"{name}_codes"], out[f"{name}_scores"] = done.sequences, torch.stack(done.scores, 1)
        hook.remove()
        codes = drawn(model, given, out["blend"])
    out["greedy_rows"] = torch.tensor(rows[:12])
    save_file({k: v.contiguous() for k, v in out.items()}, HERE / "recorded.safetensors")
    lines = {
        name: ",\n".join(map(json.dumps, rows))
        for name, rows in (SETTINGS | {"codes": codes}).items()
        if name != "most"
    }
    text = ", ".join(f'"{name}": [\n{rows}\n]' for name, rows in lines.items())
    (HERE / "draws.json").write_text(f'{{"most": {SETTINGS["most"]}, {text}}}\n')
    print({k: tuple(v.shape) for k, v in out.items()}, out["greedy_codes"], *codes, sep="\n")
    top = out["greedy_scores"][0].topk(2).values
    print("margins", (top[:, 0] - top[:, 1]).tolist())


main()
