"""The files that IndexTTS-2 is released as: where they come from, under which terms, and how long they are.

None is part of the lab. Revisions are commits of the public repositories at huggingface.co. Sizes and SHA-256 sums were
put together from public listings of these commits (download scripts and manifests that others published), not from the
files themselves; where the sum is empty none was found for this very repository, and `fetch` then takes the one that
the hub names. `fetch` compares the table with the hub before it downloads anything.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Repository:
    """A repository at huggingface.co. group: its name for `--only`; terms: what its licence asks, in a sentence."""

    group: str
    name: str
    revision: str
    licence: str
    terms: str

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.name}/tree/{self.revision}"


@dataclass(frozen=True)
class Released:
    """A released file.

    group: of its repository; remote: its path there; path: where the public program, and so `fetch`, keeps it in the
    folder of the weights; also: other places in that folder where it is looked for. what: in words; "" for a file that
    loading does without.
    """

    group: str
    remote: str
    size: int
    sha256: str = ""
    what: str = ""
    path: str = ""
    also: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        return self.path or self.remote


MODEL, CODEC, SPEAKER, VOCODER, FEATURES = "indextts2", "codec", "campplus", "bigvgan", "w2v-bert"
EMOTION = "emotion"  # of the same repository as MODEL; optional

_BILIBILI = "bilibili Model Use License Agreement"
_TERMS = (
    "free of charge, with notices kept; a licence of its own above 100 million users a month or RMB 1 billion a year; "
    "not to improve other AI models, unless these are non-commercial; not for high-risk uses"
)
_INDEX = "740dcaff396282ffb241903d150ac011cd4b1ede"

REPOSITORIES = {
    repository.group: repository
    for repository in (
        Repository(MODEL, "IndexTeam/IndexTTS-2", _INDEX, _BILIBILI, _TERMS),
        Repository(EMOTION, "IndexTeam/IndexTTS-2", _INDEX, _BILIBILI, _TERMS),
        Repository(CODEC, "amphion/MaskGCT", "265c6cef07625665d0c28d2faafb1415562379dc", "CC-BY-NC-4.0",
                   "not for commercial use; the authors are to be named"),
        Repository(SPEAKER, "funasr/campplus", "e4b6ede7ce16997aff4ae69fbca1f0175e2afede", "Apache-2.0",
                   "free to use, with its notices kept"),
        Repository(VOCODER, "nvidia/bigvgan_v2_22khz_80band_256x", "633ff708ed5b74903e86ff1298cf4a98e921c513", "MIT",
                   "free to use, with its notices kept"),
        Repository(FEATURES, "facebook/w2v-bert-2.0", "da985ba0987f70aaeb84a80f2851cfac8c697a7b", "MIT",
                   "free to use, with its notices kept"),
    )
}  # fmt: skip

_QWEN = "qwen0.6bemo4-merge/"

FILES = (
    Released(MODEL, "LICENSE.txt", 10_554),
    Released(MODEL, "LICENSE_ZH.txt", 7_336),
    Released(MODEL, "config.yaml", 2_882, "ea9c2815ecc3874577c7ac158b97248c027250e5b05972fbbb1216b6d6539081",
             "the configuration", also=("config_v2.yaml",)),
    Released(MODEL, "gpt.pth", 3_484_663_079, "baaaeb8b56328da81731dc540a85a7dee32eca9da28f174b05757cb651c602a4",
             "the language model"),
    Released(MODEL, "s2mel.pth", 1_202_198_223, "aae1bb12017cbb47e7a5ce537fc82f40b6b1deb71acdb9b8f25686f32714b636",
             "the diffusion transformer"),
    Released(MODEL, "bpe.model", 475_997, "b2a5ce8090d32da3642cc4f81fdc996376bc6dd3f4cd5e3d165f71120d9f2bc8",
             "the tokenizer"),
    # IndexTTS-2.5 has files of these three names and sizes; whether they are the same was not found out.
    Released(MODEL, "wav2vec2bert_stats.pt", 9_343, what="mean and variance of the features"),
    Released(MODEL, "feat1.pt", 57_170, what="the stored voices"),
    Released(MODEL, "feat2.pt", 374_866, what="the stored emotions"),
    Released(CODEC, "semantic_codec/model.safetensors", 177_183_712,
             "ec947271175d8cad75ec37e83aa487e27c97a0f72a303393772da5ffa84bddf2", "the semantic codec",
             "hf_cache/semantic_codec_model.safetensors",
             ("semantic_codec/model.safetensors", "semantic_codec_model.safetensors")),
    Released(SPEAKER, "campplus_cn_common.bin", 28_036_335,
             "3388cf5fd3493c9ac9c69851d8e7a8badcfb4f3dc631020c4961371646d5ada8", "the speaker encoder",
             "hf_cache/campplus_cn_common.bin", ("campplus_cn_common.bin", "campplus/campplus_cn_common.bin")),
    Released(VOCODER, "bigvgan_generator.pt", 449_228_171,
             "e95ba25972d3de0628d99cd156e9315a9c018899bf739988959ebe3544080ced", "the vocoder",
             "hf_cache/bigvgan/bigvgan_generator.pt", ("bigvgan/bigvgan_generator.pt", "bigvgan_generator.pt")),
    Released(VOCODER, "config.json", 1_405, "88a1f47acf747db0b21e97a389d838566147f7a5464583ff5c8d819d870f03ee",
             path="hf_cache/bigvgan/config.json"),
    Released(FEATURES, "model.safetensors", 2_322_063_736,
             "eb890c9660ed6e3414b6812e27257b8ce5454365d5490d3ad581ea60b93be043", "the speech features",
             "hf_cache/w2v-bert-2.0/model.safetensors", ("w2v-bert-2.0/model.safetensors",)),
    Released(FEATURES, "config.json", 1_874, "f5572bd5998b68182e9c328a43127ed21fed687f6910497136b91a4e3b0e3675",
             path="hf_cache/w2v-bert-2.0/config.json"),
    Released(FEATURES, "preprocessor_config.json", 275,
             "8e6281aad64f97e40534135a59dcc5d33571efae376f2a25adf5551951897ab4",
             path="hf_cache/w2v-bert-2.0/preprocessor_config.json"),
    Released(EMOTION, _QWEN + "model.safetensors", 1_192_135_096,
             "11293257a8df593c154a8ecd5fc039f3076de35411e35f06d41b471e136f6641"),
    Released(EMOTION, _QWEN + "tokenizer.json", 11_422_654,
             "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4"),
    Released(EMOTION, _QWEN + "config.json", 727),
    Released(EMOTION, _QWEN + "generation_config.json", 117),
    Released(EMOTION, _QWEN + "tokenizer_config.json", 5_433),
    Released(EMOTION, _QWEN + "special_tokens_map.json", 616),
    Released(EMOTION, _QWEN + "added_tokens.json", 707),
    Released(EMOTION, _QWEN + "chat_template.jinja", 550),
    Released(EMOTION, _QWEN + "vocab.json", 2_776_833),
    Released(EMOTION, _QWEN + "merges.txt", 1_671_853),
)  # fmt: skip


def repository(file: Released) -> Repository:
    return REPOSITORIES[file.group]
