"""Sound in and out: files, rates, mel spectrograms, joining and loudness.

| to | open |
|---|---|
| read or write a sound file | `files.py` |
| use a clip as the voice to imitate | `reference.py` |
| compute a log-mel spectrogram | `mel.py` |
| change the sample rate | `resample.py` |
| join pieces of speech | `join.py` |
| measure or match loudness | `loudness.py` |
| use torchaudio | `backend.py`, the only module that imports it |
"""
