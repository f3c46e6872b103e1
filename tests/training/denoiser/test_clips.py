"""Clips of people who speak: what is spoken, how clips are drawn, encoded, and become batches."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.errors import BadInput
from portraittalk_core.nets.dense_motion import DenseMotionNet
from portraittalk_core.people.arkit import INDEX
from portraittalk_core.people.person import Person
from portraittalk_core.training.denoiser import clip_bank, clips
from portraittalk_core.training.denoiser.bank import FrameEncoders
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipDraws, ClipStore, draw_clips, open_clip_bank
from portraittalk_core.training.denoiser.clips import SpeechClips
from portraittalk_core.types import MOUTH

from .. import synthetic

DEVICE = torch.device("cpu")
NONE = {"drop_text": 0.0, "drop_identity": 0.0, "drop_reference": 0.0}


@pytest.fixture(scope="module")
def speech():
    """Two recordings, the first too short for a clip; features say which row they are."""
    generator = torch.Generator().manual_seed(0)
    features = torch.arange(80.0)[:, None].expand(-1, 8).half()
    return SpeechClips(
        features,
        torch.rand(80, len(MOUTH), generator=generator).half(),
        0.1 * torch.randn(80, 10, generator=generator).half(),
        [0, 10, 80],
    )


def portrait_and_other(seed, frames, edits):
    """Stand in for `draw_shots`, which needs the renderer's data."""
    turned = np.array([[10.0, -4.0, 3.0]], np.float32)
    first = dataclasses.replace(synthetic.shot(seed, 1), rotation=turned, person=Person(seed, expression="smiling"))
    return [first, dataclasses.replace(first, person=Person(seed, hair="red", expression="smiling")), first]


@pytest.fixture
def drawn(monkeypatch, speech):
    monkeypatch.setattr(clips, "draw_shots", portrait_and_other)
    return [clips.spoken_shots(seed, speech, 12) for seed in range(40)]


def test_speech_survives_the_file(tmp_path, speech):
    clips.save_speech_clips(speech, tmp_path / "c.npz")
    read = clips.load_speech_clips(tmp_path / "c.npz")
    assert torch.equal(read.features, speech.features) and read.starts == speech.starts


def test_half_of_the_clips_wear_what_their_portraits_wear(drawn):
    same = [shots for shots in drawn if len(shots) == 1]
    assert 10 < len(same) < 30
    assert all(len(s.blendshapes) == 13 and s.framing is None for (s,) in same)
    for portrait, clip in (shots for shots in drawn if len(shots) == 2):
        assert (len(portrait.blendshapes), len(clip.blendshapes)) == (1, 12) and clip.person.hair == "red"
        assert np.array_equal(clip.framing[0], portrait.blendshapes[0])  # the camera stays where it is
        assert np.array_equal(clip.framing[1], portrait.rotation[0])


def test_a_clip_says_a_stretch_of_one_recording(drawn, speech):
    starts = set()
    for shots in drawn:
        heard = np.concatenate([shot.facts["heard"] for shot in shots])
        spoken = np.concatenate([shot.facts["spoken"] for shot in shots])
        assert heard[0] == -1 and (np.diff(heard[1:]) == 1).all() and heard[1] >= 10 and heard[-1] < 80
        assert np.array_equal(spoken[1:], speech.mouth.numpy()[heard[1:]]) and not spoken[0].any()
        starts.add(heard[1])
    assert len(starts) > 20


def test_only_the_mouth_is_at_rest_where_it_is_at_rest(drawn, speech):
    for shots in drawn:
        shot = shots[-1]
        rows = slice(1, None) if len(shots) == 1 else slice(None)
        said, rest = shot.blendshapes[rows], shot.at_rest[rows]
        assert (said >= 0).all() and (said <= 1).all() and said.shape == rest.shape == (12, 52)
        changed = {name for name, k in INDEX.items() if not np.array_equal(said[:, k], rest[:, k])}
        assert "jawOpen" in changed and all(name.startswith(("jaw", "mouth")) for name in changed)
        mouth = speech.mouth.float().numpy()[shot.facts["heard"][rows]]
        assert np.corrcoef(said[:, INDEX["jawOpen"]], mouth[:, 0])[0, 1] > 0.99
        assert rest[:, INDEX["mouthSmileLeft"]].min() > 0.3  # the person's own expression stays
        assert (said[:, INDEX["mouthClose"]] <= said[:, INDEX["jawOpen"]]).all()


def test_heads_move_about_their_portraits_and_no_further_than_people_do(drawn):
    turns = np.concatenate([shots[-1].rotation[-12:] for shots in drawn])
    assert (abs(turns) <= [30, 18, 15]).all()
    away = turns.reshape(40, 12, 3).mean(1) - [10, -4, 3]
    assert (abs(away).mean(0) < [10, 8, 6]).all()
    assert all(np.ptp(shots[-1].rotation[-12:, 0]) > 1 for shots in drawn)


def test_words_become_blendshapes_with_their_signs():
    words = {"gaze_x": np.array([0.5, -0.5], np.float32), "yaw": np.ones(2, np.float32)}
    rows = clips.blendshapes(words)
    look = {name: rows[:, INDEX[name]].tolist() for name in INDEX if rows[:, INDEX[name]].any()}
    assert set(look) == {"eyeLookOutLeft", "eyeLookInRight", "eyeLookInLeft", "eyeLookOutRight"}
    assert look["eyeLookOutLeft"][0] > 0 == look["eyeLookOutLeft"][1] and look["eyeLookInLeft"][1] > 0


def test_speech_without_a_long_recording_is_refused(speech):
    with pytest.raises(BadInput, match="a recording of 71 frames or more"):
        clips.draw_stretch(speech, 71, np.random.default_rng(0))


@pytest.fixture(scope="module")
def folders(tmp_path_factory, speech):
    """Two drawn and encoded clips of four frames, their speech, and how they were encoded."""
    root = tmp_path_factory.mktemp("clips")
    with pytest.MonkeyPatch.context() as patch:
        synthetic.fake_renderer(patch)
        patch.setattr(clips, "draw_shots", portrait_and_other)
        patch.setattr(clip_bank, "PEOPLE_A_SHARD", 1)
        patch.setattr(clip_bank, "FRAMES", 4)
        draw_clips(root / "clips", speech, range(2))
        clips.save_speech_clips(speech, root / "speech.npz")
        torch.manual_seed(0)
        net = HeadWarp(DenseMotionNet(widths=(8, 16)).eval())
        encoders = FrameEncoders(lambda pixels: functional.avg_pool2d(pixels, 8), net, None, DEVICE)
        clip_bank.encode_clips(root / "encoded", root / "clips", root / "speech.npz", encoders, (32, 64))
        return root, encoders


def test_clips_are_encoded_as_they_are_and_with_the_mouth_at_rest(folders):
    root, _ = folders
    found = open_clip_bank(root / "encoded", 64)
    assert found.bank.latents.shape == (10, 3, 8, 8) and found.features.shape == (2, 4, 8)
    rows = np.load(root / "encoded" / "features.npy")[:, :, 0]
    assert (np.diff(rows, axis=1) == 1).all() and len(set(rows[:, 0])) > 1
    assert torch.equal(found.bank.latents, found.resting.latents)
    assert np.array_equal(found.bank.first, np.repeat([0, 5], 5)) and not found.bank.embeddings.any()
    moved = (found.bank.landmarks - found.resting.landmarks).abs().amax(2)
    assert not moved[::5].any() and (moved[:, synthetic.LIPS].amax(1) > 0.005).sum() >= 6  # portraits are what they are
    assert found.resting.warped.shape == found.bank.warped.shape == (10, 3, 64, 64)


def test_clips_of_other_speech_are_refused(folders, tmp_path, speech, monkeypatch):
    root, encoders = folders
    monkeypatch.setattr(clip_bank, "FRAMES", 4)
    other = dataclasses.replace(speech, mouth=speech.mouth.flip(0))
    clips.save_speech_clips(other, tmp_path / "other.npz")
    with pytest.raises(BadInput, match="is other speech than"):
        clip_bank.encode_clips(tmp_path / "e", root / "clips", tmp_path / "other.npz", encoders)
    assert not (tmp_path / "e").exists()
    heard_anew = dataclasses.replace(speech, features=speech.features + 1)  # by another encoder
    clips.save_speech_clips(heard_anew, tmp_path / "anew.npz")
    clip_bank.encode_clips(tmp_path / "e", root / "clips", tmp_path / "anew.npz", encoders, (32,))
    first, second = (np.load(f / "features.npy") for f in (root / "encoded", tmp_path / "e"))
    assert np.array_equal(first + 1, second)


@pytest.fixture(scope="module")
def bank():
    return synthetic.clip_bank(2)


def batch_of(bank, text, frames=16, **options):
    draws = ClipDraws(bank.bank, text.tokenize, seed=0, clips=2, frames=frames, **{**NONE, **options})
    return ClipStore(bank, frames, DEVICE).gather(draws[0])


def test_stretches_are_consecutive_frames_with_their_speech(bank, text):
    batch = batch_of(bank, text, drop_audio=0.0)
    frames = batch.latents[:, 0, 0, 0].view(2, 16)
    assert (frames.diff(dim=1) == 1).all() and batch.clip == 16
    assert torch.equal(batch.features[:, :, 0], frames - 1)  # frame 0 is the reference
    assert not batch.reference_latents.any() and batch.unseen.shape == (32, 4, 4)
    longest = batch_of(bank, text, frames=FRAMES)
    assert longest.latents[:, 0, 0, 0].view(2, FRAMES)[:, 0].tolist() == [1, 1]
    with pytest.raises(BadInput, match="`clip` must be at most 24 frames"):
        batch_of(bank, text, frames=25)


def test_a_withheld_mouth_is_at_rest_in_all_that_is_shown(bank, text):
    """The points and the moved reference; what is to be drawn keeps its mouth."""
    shown, withheld = (batch_of(bank, text, drop_audio=0.0, drop_mouth=chance) for chance in (0.0, 1.0))
    assert torch.equal(shown.latents, withheld.latents) and torch.equal(shown.landmarks, withheld.landmarks)
    assert torch.equal(shown.shown, shown.landmarks)
    moved = (withheld.shown - shown.shown).abs().amax((0, 2)) > 0.01
    assert moved[synthetic.LIPS].all() and moved.sum() == len(set(synthetic.LIPS))
    assert torch.equal(withheld.warped_latents, -shown.warped_latents)
    apart = ((withheld.warped_pictures - shown.warped_pictures) * 127.5).abs().round()
    assert (apart == 128).all()


def test_each_clip_gets_the_pictures_of_its_own_kind(bank, text):
    draws = ClipDraws(bank.bank, text.tokenize, seed=3, clips=8, frames=2, drop_audio=0.0, drop_mouth=0.5, **NONE)
    draw = draws[0]
    assert 0 < draw.no_mouth.sum() < 8
    batch = ClipStore(bank, 2, DEVICE).gather(draw)
    for k in range(16):
        source = bank.resting if draw.no_mouth[k // 2] else bank.bank
        row = int(draw.targets[k // 2]) + k % 2
        pixels = torch.from_numpy(source.warped[row]).float() / 127.5 - 1
        small = functional.interpolate(pixels[None], (32, 32), mode="area")[0]
        torch.testing.assert_close(batch.warped_pictures[k], small)
        assert torch.equal(batch.shown[k], source.landmarks[row])


def test_a_shown_mouth_may_hear_another_clip(bank, text):
    """Only where the mouth is shown: a withheld one has nothing but its own speech to follow."""
    options = {"seed": 3, "clips": 8, "frames": 2, "drop_audio": 0.0, "drop_mouth": 0.5, **NONE}
    draw = ClipDraws(bank.bank, text.tokenize, **options, other_audio=1.0)[0]
    store = ClipStore(bank, 2, DEVICE)
    own = store.gather(ClipDraws(bank.bank, text.tokenize, **options)[0])
    mixed = store.gather(draw)
    assert torch.equal(draw.other_audio, ~draw.no_mouth) and 0 < draw.no_mouth.sum() < 8
    expected = torch.where(draw.no_mouth[:, None, None], own.features, own.features.roll(1, 0))
    assert torch.equal(mixed.features, expected) and torch.equal(mixed.latents, own.latents)
    with pytest.raises(BadInput, match="`other_audio` needs `refs` of 2 or more"):
        ClipDraws(bank.bank, text.tokenize, **{**options, "clips": 1}, other_audio=0.5)


def test_speech_and_mouth_are_never_withheld_together(bank, text):
    heard = batch_of(bank, text, drop_audio=1.0, drop_mouth=1.0)
    assert not heard.features.any() and torch.equal(heard.shown, heard.landmarks)
    draws = ClipDraws(bank.bank, text.tokenize, seed=1, clips=200, frames=2, drop_audio=0.5, drop_mouth=0.5, **NONE)
    draw = draws[0]
    assert not (draw.no_audio & draw.no_mouth).any() and draw.no_mouth.any() and draw.no_audio.any()
