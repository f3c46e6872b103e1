"""Landmark scores on avatars, whose pose, blinks and mouths are known."""

import math

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.metrics.functional import landmarks as lm
from portraittalk_core.metrics.functional.voice import silent_frames


def moved(points, degrees=12.0, size=3.0, shift=(40.0, -7.0)):
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]], dtype=points.dtype)
    return points @ turn * size + torch.tensor(shift, dtype=points.dtype)


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1])


def test_alignment_takes_out_what_a_camera_does(talks):
    points = talks[0].landmarks
    plain = lm.align(points)
    assert torch.allclose(lm.align(moved(points)), plain, atol=1e-9)
    steps = torch.linspace(-0.3, 0.3, len(points), dtype=torch.float64)
    rolled = torch.stack([moved(frame[None], 40 * float(s), 1 + float(s))[0] for frame, s in zip(points, steps)])
    assert torch.allclose(lm.align(rolled), plain, atol=0.02)
    face = lm.mean_face(points)
    assert float((face[45] - face[36]).norm()) == pytest.approx(1, abs=0.01)


def test_mouth_shape_follows_the_jaw(talks):
    for talk in talks:
        opening = lm.mouth_shape(lm.align(talk.landmarks))[:, 0]
        assert correlation(opening, talk.columns["jaw"]) > 0.97


def test_lmd_of_a_known_offset(talks):
    true = talks[0].landmarks
    made = true.clone()
    made[:, 48:68, 1] += 0.1
    eyes = float(lm.interocular(true).mean())
    share = 20 / 68  # the mouth moved, so the centre moved by this share of it
    wanted = 100 * 0.1 * (share * (1 - share) + (1 - share) * share) / eyes
    assert lm.f_lmd(made, true) == pytest.approx(wanted, rel=1e-6)
    assert lm.m_lmd(made, true) == pytest.approx(0, abs=1e-9)  # a mouth moved as one has its own centre
    assert lm.f_lmd(true, true) == 0
    assert lm.m_lmd(moved(made, 0), moved(true, 0)) == pytest.approx(lm.m_lmd(made, true), abs=1e-9)


def test_lmd_skips_unknown_frames_and_refuses_unequal_tracks(talks):
    true = talks[0].landmarks
    holes = true.clone()
    holes[3:10] = torch.nan
    assert lm.f_lmd(holes, true) == 0
    with pytest.raises(BadInput, match="one number of frames"):
        lm.f_lmd(true[:5], true)
    with pytest.raises(BadInput, match="LMD: unscored"):
        lm.f_lmd(true * torch.nan, true)
    with pytest.raises(BadInput, match=r"\[frames, 70, 2\]"):
        lm.align(true[:, :10])


def test_head_angles_follow_the_true_ones(talks):
    for talk in talks:
        found = lm.head_angles(talk.landmarks)
        for column, name in enumerate(("yaw", "pitch", "roll")):
            assert correlation(found[:, column], talk.columns[name]) > 0.9, name
        assert float((found[:, 2] - talk.columns["roll"]).abs().max()) < 0.05


def test_head_motion_diversity_is_the_deviation_of_the_angles():
    angles = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([0.3, 0.2, 0.1])
    holes = torch.cat([angles, torch.full((4, 3), torch.nan)])
    assert lm.head_motion_diversity(holes) == pytest.approx(0.2, rel=0.05)
    assert lm.head_motion_diversity(angles[:1].expand(9, 3)) == pytest.approx(0, abs=1e-9)
    with pytest.raises(BadInput, match="2 frames"):
        lm.head_motion_diversity(angles[:1])


def test_blinks_are_counted_once_each(talks):
    for talk in talks:
        lids = talk.columns["blink"] > 0.5
        begins = int((lids[1:] & ~lids[:-1]).sum() + lids[0].int())
        assert lm.blink_rate(talk.landmarks, talk.fps) == pytest.approx(60 * begins / (len(lids) / talk.fps))
    shut = talks[0].landmarks.clone()
    shut[20:100, 36:48] = shut[0:1, 36:48]  # eyes shut for three seconds are not a blink
    assert lm.blink_rate(shut[10:110], 25.0) == 0
    with pytest.raises(BadInput, match="no frame has a face"):
        lm.blink_rate(shut * torch.nan, 25.0)


def test_silent_lips_are_still_until_they_are_not(talks):
    talk = talks[0]
    silent = silent_frames(talk.voice, 16_000, talk.fps, len(talk.landmarks))
    assert 5 < int(silent.sum()) < len(silent)
    assert float(talk.columns["jaw"][silent].max()) < 0.05
    still = lm.silent_lip_motion(talk.landmarks, silent)
    restless = talk.landmarks.clone()
    restless[::2, 48:68] += 0.04
    assert still < 2.5 < 0.9 * lm.silent_lip_motion(restless, silent)
    with pytest.raises(BadInput, match="2 silent frames"):
        lm.silent_lip_motion(talk.landmarks, silent & ~silent)
