"""The page itself: what stands where, and which event each button calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from tts_lab.errors import AudioError, LabError
from tts_lab.memory.cards import cards
from tts_lab.recipe import LEVERS, PRESETS, choices
from tts_lab.web.asking import CARD, FIT
from tts_lab.web.events import Events, refusal

Components = dict[str, Any]  # by the names that the events take and give
AS_IS = ("as the recipe says", "")
BUDGETS = ("2gb", "4gb", "6gb", "8gb")
EXAMPLES = (
    "今天天气真好，我们一起去公园吧！",
    "3月15日，气温零下5度，降水概率是30%。",
    "这张显卡有8GB显存，够不够用？",
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
)
HEAD = """# tts_lab · 中文语音合成
Speak Mandarin, see the spectrogram, and learn what it costs: time, and the memory of a graphics card that need not be
here. This page runs on **{device}**; one job runs at a time, others wait."""
FITTED = (
    "The lab looks for the fastest recipe that fits the card below. The first plan for a card takes up to some minutes."
)
SPOKEN = ("status", "sound", "picture", "receipt", "verdict", "bar", "facts")
PREDICTED, PLANNED = ("verdict", "bar", "facts"), ("planned", "options", "yaml")
LOOKING: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "look"}
HIDDEN: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def page(events: Events, system: str = "mini") -> gr.Blocks:
    """The page. system: that is chosen at first, and loaded now. Raises LabError where it cannot be."""
    with gr.Blocks(title="tts_lab", analytics_enabled=False, delete_cache=(300, 3600)) as blocks:
        gr.Markdown(HEAD.format(device=events.shelf.device), elem_id="head")
        asked: Components = {}
        with gr.Row(elem_id="layout"):
            with gr.Column(elem_id="ask"):
                _text(events, asked)
            with gr.Column(elem_id="made"):
                shown = _made()
            with gr.Column(elem_id="settings"):
                _voice(events, system, asked)
                _recipe(asked)
                with gr.Accordion("Advanced 高级: levers, seed", open=False):
                    _levers(asked)
        _wire(events, asked, shown)
    return blocks


def _text(events: Events, found: Components) -> None:
    found["text"] = gr.Textbox(
        label="Text 文本", placeholder="请输入中文，例如：你好，世界。", lines=3, max_lines=12, elem_id="say",
        info=f"Chinese, with numbers, dates and Latin letters; up to {events.limits.characters:,} characters.",
    )  # fmt: skip
    gr.Examples([[text] for text in EXAMPLES], found["text"], label="Examples 例句", api_visibility="private")
    with gr.Row():
        found["speak"] = gr.Button("Speak 合成", variant="primary", elem_id="speak", scale=3, min_width=140)
        found["stop"] = gr.Button("Stop 停止", elem_id="stop", scale=1, min_width=100)


def _voice(events: Events, system: str, found: Components) -> None:
    named = [(events.shelf.label(name), name) for name in events.shelf.names]
    known = events.shelf.get(system)
    voices, emotions = _choices(known.about_voices(), known.emotions)
    found["system"] = gr.Dropdown(named, value=system, label="System 系统", filterable=False)
    found["note"] = gr.Markdown(visible=False, elem_classes="hint")
    with gr.Row():
        found["voice"] = gr.Dropdown(voices, value="", label="Voice 音色", allow_custom_value=True, min_width=140)
        found["emotion"] = gr.Dropdown(emotions, value="", label="Emotion 情感", allow_custom_value=True, min_width=140)
    found["speed"] = gr.Slider(0.5, 2, value=1, step=0.05, label="Speed 语速")
    with gr.Accordion("Imitate a voice 参考音频", open=False):
        limits = events.limits
        gr.Markdown(
            f"WAV, FLAC, OGG or MP3 of one person; 5 to 15 s are best, {limits.clip_seconds:g} s and "
            f"{limits.upload_mb:g} MB the most.", elem_classes="hint",
        )  # fmt: skip
        found["reference"] = _clip()


def _clip() -> gr.Audio:
    """A clip that is uploaded or recorded. gradio would also fetch one from an address that a client gives; this page
    asks no other host for anything."""
    clip = gr.Audio(
        label="Reference clip", type="filepath", sources=["upload", "microphone"], elem_id="clip", buttons=[]
    )
    keep = clip.async_move_resource_to_block_cache

    async def keep_local(path: str | Path | None) -> str | None:
        if "://" in str(path):
            raise refusal(AudioError("A clip is taken as a file, not from an address; download it and upload it here."))
        return await keep(path)

    clip.async_move_resource_to_block_cache = keep_local  # type: ignore[method-assign, assignment]
    return clip


def _recipe(found: Components) -> None:
    listed = [(card.name.removeprefix("NVIDIA ").removeprefix("GeForce "), card.key) for card in cards().values()]
    with gr.Row():
        found["recipe"] = gr.Dropdown(
            [*((name, name) for name in PRESETS), ("fit the card (plan)", FIT)], value="default", label="Recipe 方案",
            min_width=140,
        )  # fmt: skip
        found["card"] = gr.Dropdown(
            [*listed, *((f"a budget of {size}", size) for size in BUDGETS)], value=CARD, label="Card 显卡",
            allow_custom_value=True, min_width=140,
        )  # fmt: skip
    found["meaning"] = gr.Markdown(_meaning("default"), elem_classes="hint")


def _levers(found: Components) -> None:
    with gr.Row():
        # Not number fields: an empty one turns into 0 when its accordion opens.
        found["steps"] = gr.Textbox("", label="Steps 步数", info="of the solver, 1 to 1000", placeholder=AS_IS[0])
        found["guidance"] = gr.Textbox("", label="Guidance 引导", info="0 (off) to 10", placeholder=AS_IS[0])
    with gr.Row():
        for name in ("solver", "precision", "quantisation"):
            found[name] = gr.Dropdown(
                [AS_IS, *((each, each) for each in choices(name))], value="", label=name.capitalize(),
                info=LEVERS[name][1], min_width=200,
            )  # fmt: skip
    found["emotion_strength"] = gr.Slider(0, 1, value=1, step=0.05, label="Strength of the emotion 情感强度")
    found["seed"] = gr.Number(0, label="Seed 随机种子", info="one seed gives one result")
    found["quality"] = gr.Textbox(
        label="A plan's floor of quality",
        placeholder="error<=5%, mos>=4.2",
        info="Empty: as in the system's own recipe.",
    )


def _made() -> Components:
    """What a visitor gets."""
    found: Components = {}
    found["status"] = gr.Markdown("Type a text and press **Speak**.", elem_id="done", label="What was done")
    found["sound"] = gr.Audio(
        label="Speech 语音",
        type="filepath",
        interactive=False,
        elem_id="sound",
        buttons=["download"],
        waveform_options=gr.WaveformOptions(waveform_color="#7c8aa0", waveform_progress_color="#059669"),
    )
    found["picture"] = gr.Image(
        label="Waveform and mel spectrogram 梅尔频谱", type="filepath", format="png", interactive=False, elem_id="mel",
        elem_classes="picture", buttons=["download", "fullscreen"],
        alt_text="Waveform and mel spectrogram of the speech, with its syllables below",
    )  # fmt: skip
    with gr.Tabs():
        with gr.Tab("Memory 显存"):
            found["verdict"] = gr.Markdown(
                "What speaking takes of the card appears here.", label="Verdict", elem_id="verdict"
            )
            found["bar"] = gr.Image(
                label="Memory of the card", type="filepath", format="png", interactive=False, elem_id="bar",
                elem_classes="picture", buttons=["download"],
                alt_text="A bar: how much of the card the run takes; the sentence above says the same",
            )  # fmt: skip
            found["predict"] = gr.Button("Predict without speaking 预测显存", elem_id="predict", size="sm")
        with gr.Tab("Receipt 明细"):
            found["receipt"] = gr.HTML(label="Receipt", elem_classes="scrolls", elem_id="receipt")
        with gr.Tab("Plan 规划"):
            found["plan"] = gr.Button("Plan a recipe for this card", elem_id="plan", size="sm")
            found["planned"] = gr.Markdown("The fastest recipe that fits the card, and what it gives up.", label="Plan")
            found["options"] = gr.HTML(label="Options", elem_classes="scrolls", elem_id="options")
            found["yaml"] = gr.Code(label="For ./lab speak --recipe", language="yaml", interactive=False, lines=3)
        with gr.Tab("Figures 数据"):
            found["facts"] = gr.JSON(label="Everything, for programs")
    return found


def _wire(events: Events, asked: Components, shown: Components) -> None:
    running = [
        _button(asked["speak"], events.speak, asked, shown["status"], [shown[name] for name in SPOKEN]),
        _button(shown["predict"], events.predict_memory, asked, shown["verdict"], [shown[name] for name in PREDICTED]),
        _button(shown["plan"], events.plan, asked, shown["planned"], [shown[name] for name in PLANNED]),
    ]
    asked["stop"].click(lambda: "Stopped.", None, shown["status"], cancels=running, queue=False, **HIDDEN)
    asked["recipe"].change(_meaning, asked["recipe"], asked["meaning"], queue=False, **HIDDEN)
    asked["system"].change(
        lambda name: _about(events, name), asked["system"], [asked["voice"], asked["emotion"], asked["note"]],
        show_progress_on=asked["note"], api_visibility="private", **LOOKING,
    )  # fmt: skip
    api(events.systems, api_name="systems", queue=False)
    api(events.voices, api_name="voices", **LOOKING)


def _button(button: Any, event: Callable[..., Any], asked: Components, progress: Any, gives: list[Any]) -> Any:
    """The button calls the event with what its parameters are named after. One such job runs at a time: two would share
    the card, and each would be measured with the other beside it."""
    takes = [asked[name] for name in signature(event).parameters if name != "progress"]
    return button.click(
        event, takes, gives, api_name=event.__name__, show_progress_on=progress, concurrency_limit=1,
        concurrency_id="work",
    )  # fmt: skip


def _meaning(recipe: str) -> str:
    return FITTED if recipe == FIT else f"{recipe}: {PRESETS[recipe][1]}."


def _about(events: Events, system: str) -> tuple[Any, Any, Any]:
    """Voices and emotions to choose from, and what must be known of the system."""
    try:
        known = events.shelf.get(system)
        voices, emotions = _choices(known.about_voices(), known.emotions)
        note = "" if events.shelf.label(system) == system else f"**{events.shelf.label(system)}**"
    except LabError as error:
        voices, emotions = _choices({}, ())
        note = f"{error} What it takes of a card can be predicted without weights."
    return (
        gr.update(choices=voices, value=""), gr.update(choices=emotions, value=""),
        gr.update(value=note, visible=bool(note)),
    )  # fmt: skip


def _choices(voices: Mapping[str, str], emotions: Iterable[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Voices and emotions to choose from; at first what stands for the system's own choice."""
    first = f"the first: {next(iter(voices))}" if voices else "none here"
    named = [(f"{name} ({label})" if label else name, name) for name, label in voices.items()]
    return [(first, ""), *named], [("not given", ""), *((name, name) for name in emotions)]
