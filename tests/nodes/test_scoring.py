"""What ADFD Score makes of a host's pictures and sound."""

import dataclasses
import json
import re
import sys

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


@pytest.fixture(scope="module")
def sound(pack, talk):
    return pack("portraittalk_core.types").Sound(talk.voice[None].float(), RATE)


@pytest.fixture(scope="module")
def images(talk):
    return torch.rand(len(talk.landmarks), 8, 8, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def scored(pack, scoring, talk, sound, images):
    return scoring.score(Table(pack, talk.landmarks), images, sound, 25.0)


def test_the_score_is_that_of_the_core(pack, scoring, scored, talk):
    true = pack("portraittalk_core.metrics.functional").adfd(talk.landmarks, talk.voice.float(), RATE, 25.0)
    value, audio, offset, report = scoring.summary(scored)
    assert value == pytest.approx(true.score, abs=1e-3) and audio == pytest.approx(true.audio, abs=1e-3)
    assert offset == true.offset_frames and type(offset) is int
    assert f"ADFD {value:.3f}" in report and "our own definition" in report and "sound in time" in report


def test_a_ground_truth_is_looked_at_and_scores_one_itself(pack, scoring, talk, sound, images):
    def against(track):
        faces = Table(pack, torch.cat([track, talk.landmarks]))
        return scoring.score(faces, images[: len(track)], sound, 25.0, images)

    itself, short = against(talk.landmarks), against(talk.landmarks[:60])
    frozen = against(talk.landmarks[:1].expand_as(talk.landmarks))
    assert itself.score.score == pytest.approx(1.0) and "against the ground truth" in scoring.summary(itself)[3]
    assert frozen.score.spatial < 0.6 and frozen.score.score < 0.5
    assert "the reference has 75 frames, the clip 60" in scoring.summary(short)[3]
    blind = Table(pack, [*talk.landmarks, *[None] * len(images)])
    with pytest.raises(pack("portraittalk_core.errors").NoFaceFound, match="pictures of `ground_truth`, but was in 0"):
        scoring.score(blind, images, sound, 25.0, images)


def test_the_plot_shows_mouth_and_voice(scoring, scored):
    plot = scoring.plot(scored)
    assert plot.shape[0] == 1 and plot.shape[2:] == (1200, 3) and plot.min() >= 0 and plot.max() == 1
    mouth, voice = torch.tensor([0xC2, 0x41, 0x0C]) / 255, torch.tensor([0x25, 0x63, 0xEB]) / 255
    rows = plot[0, 232:]  # below the head, where only the curves are
    for colour in (mouth, voice):
        columns = ((rows - colour).abs().amax(-1) < 0.1).any(0)
        assert columns[36:-36].float().mean() > 0.2, "lines cover a good part of the time"


def test_the_player_gets_some_frames_and_the_curves(pack, scoring, scored, monkeypatch, talk):
    class Preview:
        def __init__(self, images, cls):
            self.images = images

        def as_dict(self):
            return {"images": self.images}

    monkeypatch.setattr(sys.modules["comfy_api.latest"].ui, "PreviewImage", Preview, raising=False)
    large = torch.rand(len(talk.landmarks), 300, 512, 4)
    wide = dataclasses.replace(scored, track=dataclasses.replace(scored.track, height=300, width=512))
    shown = scoring.player(wide, large, None)
    assert shown["images"].shape == (50, 150, 256, 3)
    (curves,) = shown["portraittalk_score"]
    assert curves["frames"] == len(large) and curves["fps"] == 25.0 and curves["hz"] == 25
    assert len(curves["mouth"]) == len(curves["voice"]) == len(curves["silent"]) == 76
    assert curves["adfd"] == pytest.approx(scored.score.score, abs=1e-4) and curves["offset"] == 0
    json.dumps(curves)


def test_what_cannot_be_scored_is_one_line(pack, scoring, errors, talk):
    make = pack("portraittalk_core.types").Sound
    images = torch.rand(50, 8, 8, 3)
    nobody = "seen in 2 of the 50 pictures of `images`, but was in 0. Use an avatar"
    with pytest.raises(errors.NoFaceFound, match=nobody):
        scoring.score(Table(pack, [None] * 50), images, make(torch.zeros(1, 32000), RATE), 25.0)
    with pytest.raises(errors.BadInput, match="the sound holds no speech"):
        scoring.score(Table(pack, talk.landmarks), images, make(torch.zeros(1, 32000), RATE), 25.0)


class Sync:
    """Embeds frame i as the direction i, and sound likewise, late by two frames."""

    def lips(self, frames):
        assert frames.shape[1:] == (3, 224, 224)
        return self._directions(len(frames) - 4, "seen", 0)

    def sound(self, mfcc):
        assert mfcc.shape[1:] == (13, 20)
        return self._directions(len(mfcc), "heard", 2)

    def _directions(self, count, name, late):
        first = getattr(self, name, 0)
        setattr(self, name, first + count)
        return torch.eye(400)[torch.arange(first, first + count) + 20 - late]


def test_syncnet_adds_a_line_or_says_why_it_cannot(pack, scoring):
    long = make_talk(2, seconds=5.0)
    sound = pack("portraittalk_core.types").Sound(long.voice[None].float(), RATE)
    images = torch.rand(len(long.landmarks), 32, 32, 3, generator=torch.Generator().manual_seed(0))
    points = (long.landmarks - long.landmarks.mean((0, 1))) / long.landmarks.std() * 5 + 16
    faces = Table(pack, points)
    report = scoring.summary(scoring.score(faces, images, sound, 25.0, network=Sync()))[3]
    assert "LSE-C" in report and re.search(r"LSE-D 0\.0\d \(SyncNet v2\), sound late by 2 frames", report), report
    faces = Table(pack, points[:90])
    report = scoring.summary(scoring.score(faces, images[:90], sound, 25.0, network=Sync()))[3]
    assert "LSE: unscored, face and sound must last 100 frames at 25 fps together, but last 90" in report
    assert "LSE" not in scoring.summary(scoring.score(Table(pack, points), images, sound, 25.0))[3]


def test_files_of_syncnet_are_offered_and_read(pack, monkeypatch, tmp_path, errors):
    import folder_paths

    from ..checkpoints.public_files import layout, write_hollow

    networks = pack("nodes.sync_networks")
    assert networks.available() == ["none"] and networks.load("none") is None
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda name: [str(tmp_path), str(tmp_path / "gone")])
    monkeypatch.setattr(folder_paths, "get_full_path_or_raise", lambda kind, name: str(tmp_path / name), raising=False)
    write_hollow(tmp_path / "syncnet_v2.safetensors", layout("syncnet_v2"))
    write_hollow(tmp_path / "other.safetensors", layout("wav2vec2-base-960h"))
    assert networks.available() == ["none", "other.safetensors", "syncnet_v2.safetensors"]
    assert type(networks.load("syncnet_v2.safetensors")).__name__ == "SyncNet"
    with pytest.raises(errors.WeightsMismatch, match="must be SyncNet, but is wav2vec"):
        networks.load("other.safetensors")
