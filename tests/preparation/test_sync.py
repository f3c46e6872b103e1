"""Sound that belongs to a face is kept, in time; what does not is left out, with its reason."""

import numpy as np
import pytest
import torch

from portraittalk_core.metrics.functional.sync import SyncScore
from portraittalk_core.preparation import sync
from portraittalk_core.preparation.settings import Limits
from portraittalk_core.preparation.sync import SAMPLES, judge, sound_of
from portraittalk_core.topology import IBUG

from ..evaluation.networks import Ears
from ..metrics.conftest import late, make_talk


@pytest.fixture(scope="module")
def talk():
    return make_talk(3)


@pytest.fixture(scope="module")
def track(talk):
    points = torch.zeros(len(talk.landmarks), 478, 2)
    points[:, list(IBUG)] = talk.landmarks.float()
    return points


def heard(track, voice, **limits):
    return judge(track, [], 128, voice, 0, Limits(**limits))


def test_the_own_sound_is_kept_and_a_foreign_one_is_not(track, talk):
    own = heard(track, talk.voice)
    assert own.drop is None and own.facts["by"] == "ADFD" and own.facts["offset_frames"] == 0
    assert own.sound is not None and len(own.sound) == len(track) * SAMPLES
    other = heard(track, make_talk(1).voice)
    assert other.drop is not None and "(ADFD)" in other.drop.reason


def test_an_offset_is_named_and_taken_out_only_where_that_is_allowed(track, talk):
    voice = late(talk.voice, 5 / 25)
    drop = heard(track, voice).drop
    assert drop is not None and drop.reason == "sound off (ADFD)" and drop.value in (4.0, 5.0, 6.0)
    moved = heard(track, voice, sync_shift=8)
    assert moved.drop is None and moved.facts["offset_frames"] == drop.value
    by = int(moved.facts["offset_frames"]) * SAMPLES
    assert torch.equal(moved.sound[: len(voice) - by], voice[by : len(moved.sound)])


def test_silence_is_kept_for_stage_1_alone(track):
    reasons = [heard(track, voice).drop.reason for voice in (None, torch.zeros(len(track) * SAMPLES))]
    assert reasons == ["no sound", "nobody speaks"]
    assert all(heard(track, voice, silent=True).drop is None for voice in (None, torch.zeros(len(track) * SAMPLES)))


@pytest.mark.parametrize("confidence, reason", [(5.0, None), (2.0, "sound does not fit (SyncNet)")])
def test_syncnet_judges_where_it_is_and_its_offset_is_taken_out(monkeypatch, track, talk, confidence, reason):
    asked = []

    def score(crops, boxes, fps, audio, network):
        asked.append((len(list(crops)), boxes.shape, fps, len(audio)))
        return SyncScore(7.0, confidence, 6, torch.zeros(31))

    monkeypatch.setattr(sync, "score_sync", score)
    found = judge(track, [torch.zeros(1, 3, 8, 8)] * 3, 128, talk.voice, 0, Limits(), network=object())
    assert asked == [(3, (len(track), 4), 25.0, len(track) * SAMPLES)]
    assert (found.drop and found.drop.reason) == reason
    assert torch.equal(found.sound, sound_of(talk.voice, 0, len(track), 6)) and found.facts["by"] == "SyncNet"
    assert judge(track[:50], [], 128, talk.voice, 0, Limits(), network=object()).facts["by"] == "ADFD"  # too short


def test_syncnets_protocol_takes_what_it_is_given(track, talk):
    inside = track * 0.5  # in a square, as a preparation has it
    crops = (torch.full((1, 3, 128, 128), float(np.sin(k))) for k in range(len(track)))
    found = judge(inside, crops, 128, talk.voice, 0, Limits(sync_confidence=-1.0), network=Ears())
    assert found.drop is None and found.facts["by"] == "SyncNet" and -15 <= found.facts["offset_frames"] <= 15


def test_sound_beyond_the_recording_is_silence():
    speech = torch.arange(1.0, 3 * SAMPLES + 1)
    assert torch.equal(sound_of(speech, 1, 3), speech[SAMPLES:])
    early, after = sound_of(speech, 0, 2, -1), sound_of(speech, 2, 4)
    assert not early[:SAMPLES].any() and torch.equal(early[SAMPLES:], speech[:SAMPLES])
    assert torch.equal(after[:SAMPLES], speech[2 * SAMPLES :]) and not after[SAMPLES:].any()
