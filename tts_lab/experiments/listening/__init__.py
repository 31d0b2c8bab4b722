"""Listening tests: blind ABX, preference and MUSHRA, their answers on disk, and what the answers show.

from tts_lab.experiments import listening

test = listening.abx(listening.sounds({"你好。": {"2 steps": few, "16 steps": many}}))
session = listening.ListeningSession(test, "lin", "lin.jsonl")
listening.analyse(listening.read(["lin.jsonl", "wang.jsonl"]))
"""

from tts_lab.experiments.listening.building import ListeningTest, abx, mushra, preference
from tts_lab.experiments.listening.merging import analyse, read
from tts_lab.experiments.listening.prepared import Sounds, sounds, sounds_of
from tts_lab.experiments.listening.sequential import Sprt
from tts_lab.experiments.listening.session import ListeningSession

__all__ = [
    "ListeningSession",
    "ListeningTest",
    "Sounds",
    "Sprt",
    "abx",
    "analyse",
    "mushra",
    "preference",
    "read",
    "sounds",
    "sounds_of",
]
