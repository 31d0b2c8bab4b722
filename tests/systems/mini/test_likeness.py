"""How near a clip is, as data and as sentences; and the encoder that measures it, untrained."""

import json

import pytest
import torch

from tts_lab.systems.mini.likeness import KNOWN, NEAR, UNLIKE, Likeness
from tts_lab.systems.mini.speaker import SpeakerEncoder, clip_mel, levelled, without_silence

VOICES = ("a", "b", "c")


def like(*distances: float, seconds: float = 4.0) -> Likeness:
    return Likeness(VOICES, distances, 0.25, 0.5, seconds)


@pytest.mark.parametrize(
    ("distance", "verdict"), [(0.0, KNOWN), (0.25, KNOWN), (0.26, NEAR), (0.5, NEAR), (0.51, UNLIKE), (1.9, UNLIKE)]
)
def test_limits_make_three_verdicts_of_the_nearest_distance(distance: float, verdict: str) -> None:
    assert like(1.95, distance, 1.96).verdict == verdict
    assert like(1.95, distance, 1.96).nearest == "b"


def test_a_known_voice_speaks_alone_and_says_so() -> None:
    found = like(0.9, 0.1, 0.3)
    assert found.weights().tolist() == [0, 1, 0]
    assert found.speaks() == "b"
    assert found.notes() == (
        "The clip is b (distance 0.10; clips of known voices stay below 0.25): speaking as --voice does.",
    )


def test_a_blend_gives_more_to_the_nearer_and_all_of_it_is_named() -> None:
    found = like(0.5, 0.4, 0.9)
    shares = found.weights()
    assert float(shares.sum()) == pytest.approx(1)
    assert shares.argsort(descending=True).tolist() == [1, 0, 2]
    assert found.speaks() == "blend of 68% b + 31% a + 1% c"
    assert "near b, but not surely that voice (distance 0.40" in found.notes()[0]


def test_a_voice_like_none_is_told_its_distance_and_that_it_is_not_copied() -> None:
    (note,) = like(0.61, 0.9, 0.7).notes()
    assert note.startswith("The clip is unlike every voice of mini (distance 0.61; clips of known voices stay below")
    assert "blend of" in note
    assert note.endswith("mini cannot copy a new voice.")


def test_a_clip_below_three_seconds_gets_a_word_of_caution() -> None:
    assert "1.2 s long" in like(0.1, 0.9, 0.9, seconds=1.2).notes()[1]
    assert len(like(0.1, 0.9, 0.9, seconds=3.0).notes()) == 1


def test_data_is_json_and_holds_what_the_sentences_say() -> None:
    data = json.loads(json.dumps(like(0.5, 0.4, 0.9).to_dict()))
    assert (data["verdict"], data["nearest"], data["distance"]) == ("near", "b", 0.4)
    assert data["distances"] == {"a": 0.5, "b": 0.4, "c": 0.9}
    assert sum(data["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert (data["known_below"], data["unlike_above"], data["seconds"]) == (0.25, 0.5, 4.0)


# --- The encoder ---


def encoder() -> SpeakerEncoder:
    torch.manual_seed(0)
    model = SpeakerEncoder(80, 4).eval()
    model.centroids.copy_(torch.nn.functional.normalize(torch.randn(4, model.centroids.shape[1]), dim=1))
    return model.requires_grad_(False)


def test_embeddings_have_length_one_whatever_the_clips_length() -> None:
    model = encoder()
    for frames in (20, 40, 400):
        found = model(torch.randn(3, 80, frames))
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))


def test_distance_is_nought_at_a_centroid_and_two_opposite_it() -> None:
    model, mel = encoder(), torch.randn(1, 80, 50)
    own = model(mel)[0]
    model.centroids[0], model.centroids[1] = own, -own
    found = model.distances(mel)[0]
    assert float(found[0]) == pytest.approx(0, abs=1e-5)
    assert float(found[1]) == pytest.approx(2, abs=1e-5)


def test_the_level_of_a_clip_does_not_matter() -> None:
    mel = torch.randn(1, 80, 50)
    torch.testing.assert_close(levelled(mel + 3), levelled(mel), atol=1e-5, rtol=0)
    sound = torch.randn(22_050, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(clip_mel(sound * 0.01), clip_mel(sound), atol=1e-3, rtol=0)


def test_frames_of_silence_are_left_out_and_the_others_kept_in_order() -> None:
    mel = torch.randn(80, 30, generator=torch.Generator().manual_seed(0))
    quiet = torch.full((80, 10), -9.0)
    torch.testing.assert_close(without_silence(torch.cat((quiet, mel[:, :20], quiet, mel[:, 20:]), 1)), mel)
    assert without_silence(torch.zeros(80, 5)).shape == (80, 5)
