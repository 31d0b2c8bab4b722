"""The mel front end of the 16 kHz voices against a recording of the public one."""

from sambert_recorded import close, recorded

from tts_lab.audio.mel import MEL_16K_SAMBERT, log_mel


def test_mel_of_sound() -> None:
    t = recorded("mel_16k")[0]
    mel = log_mel(t["in.wav"], MEL_16K_SAMBERT)[0].T
    close("mel", mel, t["out.mel"])
    close("mel by the bands' statistics", (mel - t["in.norm_mean"]) / t["in.norm_std"], t["out.mel_mean_std"])
