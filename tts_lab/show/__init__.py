"""Pictures, players and controls, for notebooks and for the command line.

| to | open |
|---|---|
| draw a waveform and mel, or the stages of a receipt | `plots.py` |
| listen to one sound, or to several side by side | `player.py` |
| let a reader change text, voice and steps | `controls.py` |
"""
