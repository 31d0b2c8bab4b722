"""Errors that a user can act on: one sentence saying what was wrong, what was expected, and what to do.

The command line prints the sentence and exits with code 2; a notebook shows it as the last line.
"""


class LabError(Exception):
    """Base of every error that is the input's fault, not the program's."""


class TextError(LabError):
    """The text cannot be spoken."""


class RecipeError(LabError):
    """A lever is unknown, out of range, or excluded by another."""


class AudioError(LabError):
    """A reference clip or an audio file cannot be used."""


class VoiceError(LabError):
    """No such voice, speaker or emotion."""


class WeightsError(LabError):
    """A weights file is missing, damaged, or belongs to something else."""


class OutputError(LabError):
    """The result cannot be written where it was asked for."""
