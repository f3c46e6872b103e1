"""What ADFD Score makes of a host's pictures and sound."""

import pytest
import torch

from ..metrics.conftest import RATE, make_talk


@pytest.fixture(scope="module")
def scoring(pack):
    return pack("nodes.scoring")


@pytest.fixture(scope="module")
def errors(pack):
    return pack("portraittalk_core.errors")


@pytest.fixture(scope="module")
def talk():
    return make_talk(2, seconds=3.0)


class Table:
    """Finds row i of a track in picture i."""

    hint = "Use an avatar."

    def __init__(self, pack, track):
        self.rows, self.face = iter(track), pack("portraittalk_core.types").Face

    def find(self, pixels):
        assert pixels.shape[0] == 3 and pixels.min() >= -1
        row = next(self.rows)
        return [] if row is None else [self.face(torch.zeros(4), row.float(), 1.0, torch.zeros(512))]


def test_the_score_is_that_of_the_core(pack, scoring, talk):
    sound = pack("portraittalk_core.types").Sound(talk.voice[None].float(), RATE)
    images = torch.rand(len(talk.landmarks), 8, 8, 3)
    found = scoring.score(Table(pack, talk.landmarks), images, sound, 25.0)
    true = pack("portraittalk_core.metrics.functional").adfd(talk.landmarks, talk.voice.float(), RATE, 25.0)
    value, audio, offset, report = scoring.summary(found)
    assert value == pytest.approx(true.score, abs=1e-3) and audio == pytest.approx(true.audio, abs=1e-3)
    assert offset == true.offset_frames and type(offset) is int
    assert f"ADFD {value:.3f}" in report and "our own definition" in report and "sound: " in report


def test_what_cannot_be_scored_is_one_line(pack, scoring, errors, talk):
    make = pack("portraittalk_core.types").Sound
    images = torch.rand(50, 8, 8, 3)
    with pytest.raises(errors.NoFaceFound, match="seen in 2 of the 50 pictures, but was in 0. Use an avatar"):
        scoring.score(Table(pack, [None] * 50), images, make(torch.zeros(1, 32000), RATE), 25.0)
    with pytest.raises(errors.BadInput, match="the sound holds no speech"):
        scoring.score(Table(pack, talk.landmarks), images, make(torch.zeros(1, 32000), RATE), 25.0)
