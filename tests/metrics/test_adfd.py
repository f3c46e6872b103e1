"""ADFD must fall for everything that is wrong and stay for everything that does not matter, on exact avatars."""

import math

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.errors import BadInput
from portraittalk_core.media.audio import read_sound
from portraittalk_core.metrics.adfd import ADFD
from portraittalk_core.metrics.functional.adfd import adfd, combine
from portraittalk_core.metrics.functional.signals import GRID_HZ, lagged_correlation, on_grid
from portraittalk_core.metrics.functional.voice import band_levels, voice_signals
from portraittalk_core.types import SPEECH_RATE

from .conftest import RATE, late, make_talk


def score(talk, **changed):
    return adfd(changed.get("landmarks", talk.landmarks), changed.get("voice", talk.voice), RATE, talk.fps)


@pytest.fixture(scope="module")
def true(talks):
    return [score(talk) for talk in talks]


def test_a_true_pairing_scores_high_and_every_part_lies_in_its_range(true):
    for found in true:
        assert found.score > 0.6 and found.offset_frames == pytest.approx(0, abs=1)
        assert all(0 <= v <= 1 for v in (found.score, found.spatial, found.temporal, found.audio, found.stillness))
        assert not found.notes


def test_the_reference_itself_is_the_best_there_is(talks):
    talk = talks[0]
    best = adfd(talk.landmarks, talk.voice, RATE, talk.fps, reference=talk.landmarks)
    assert (best.score, best.spatial, best.temporal, best.audio, best.stillness) == (1, 1, 1, 1, 1)
    near = talk.landmarks + 0.005 * torch.randn(talk.landmarks.shape, generator=torch.Generator().manual_seed(0))
    other = talks[1].landmarks
    scores = [adfd(p, talk.voice, RATE, talk.fps, reference=talk.landmarks).score for p in (near, other)]
    assert 1 > scores[0] > scores[1]


@pytest.mark.parametrize("way", [-1, 1])
def test_the_score_falls_with_every_shift_of_the_sound_and_the_offset_is_read(talks, true, way):
    for talk, found in zip(talks, true):
        last = found.score
        for frames in (1, 2, 4, 8):
            shifted = score(talk, voice=late(talk.voice, way * frames / talk.fps))
            assert shifted.score < last, frames
            assert shifted.offset_frames == pytest.approx(way * frames, abs=1)
            last = shifted.score


def test_what_is_wrong_with_the_motion_lowers_the_score(talks, true):
    generator = torch.Generator().manual_seed(5)
    for talk, found in zip(talks, true):
        points = talk.landmarks
        eyes = float((points[:, 45] - points[:, 36]).norm(dim=-1).mean())
        noise = torch.randn(points.shape, generator=generator) * 0.01 * eyes
        shake = torch.randn((len(points), 1, 2), generator=generator) * 0.02 * eyes
        wrong = {
            "frozen": points[40:41].expand_as(points),
            "shuffled": points[torch.randperm(len(points), generator=generator)],
            "jitter": points + noise,
            "shaken": points + shake,
        }
        for name, bad in wrong.items():
            assert score(talk, landmarks=bad).score < found.score - 0.02, name


def test_what_is_wrong_with_the_sound_lowers_the_score(talks, true):
    for number, (talk, found) in enumerate(zip(talks, true)):
        assert score(talk, voice=talks[number - 1].voice).score < 0.8 * found.score
        muted = talk.voice.clone()
        muted[len(muted) // 2 :] = 0
        half = score(talk, voice=muted)
        assert half.score < found.score and half.stillness < 0.5
        silent = score(talk, voice=torch.zeros_like(talk.voice))
        assert silent.score < found.score and silent.audio is None and silent.offset_frames is None
        assert "nobody speaks" in silent.notes[0]


def test_a_still_face_in_silence_is_as_it_should_be(talks):
    points = talks[0].landmarks[:1].expand(100, -1, -1)
    found = adfd(points, torch.zeros(4 * RATE), RATE, 25.0)
    assert found.score == pytest.approx(1) and found.spatial is None and found.audio is None


def test_place_size_tilt_level_and_rate_do_not_matter(talks, true):
    talk, found = talks[0], true[0]
    turn = torch.tensor([[0.96, 0.28], [-0.28, 0.96]], dtype=torch.float64)
    assert score(talk, landmarks=talk.landmarks @ turn * 250 + 300).score == pytest.approx(found.score, rel=1e-6)
    assert score(talk, landmarks=talk.landmarks[:, :68]).score == found.score
    assert score(talk, voice=talk.voice / 4).score == pytest.approx(found.score, rel=1e-3)
    faster = make_talk(0, fps=30.0)
    assert adfd(faster.landmarks, faster.voice, RATE, 30.0).score == pytest.approx(found.score, rel=0.03)


def test_bad_input_is_a_clear_line_or_a_note(talks):
    talk = talks[0]
    with pytest.raises(BadInput, match="ADFD: unscored, 2 frames with a face are needed, but 0 of 150 have one"):
        score(talk, landmarks=talk.landmarks * torch.nan)
    with pytest.raises(BadInput, match="but 1 of 1 have one"):
        score(talk, landmarks=talk.landmarks[:1])
    with pytest.raises(BadInput, match="one channel"):
        score(talk, voice=talk.voice[None])
    with pytest.raises(BadInput, match="one channel"):
        score(talk, voice=talk.voice[:0])
    with pytest.raises(BadInput, match="floating point"):
        score(talk, voice=(talk.voice * 32767).to(torch.int16))
    with pytest.raises(BadInput, match="NaN or infinite"):
        score(talk, voice=talk.voice * torch.nan)
    with pytest.raises(BadInput, match="`fps` must be positive"):
        adfd(talk.landmarks, talk.voice, RATE, 0.0)
    holes = talk.landmarks.clone()
    holes[50:53, 7, 0] = torch.nan
    found = score(talk, landmarks=holes)
    assert found.notes == ("3 of 150 frames have no face; they do not count",)
    short = score(talk, voice=talk.voice[: 4 * RATE])
    assert short.seconds == pytest.approx(4, abs=0.02) and "the sound 4.00 s" in short.notes[0]
    long = adfd(talk.landmarks, talk.voice, RATE, talk.fps, reference=talk.landmarks[:100])
    assert any("the reference has 100 frames" in note for note in long.notes)
    assert math.isfinite(adfd(talk.landmarks[:2], talk.voice, RATE, 25.0).score)


def test_the_parts_combine_as_a_geometric_mean():
    parts = {"spatial": 0.5, "temporal": 0.8, "audio": 0.6, "stillness": 0.9}
    assert combine(parts, 5.0) == pytest.approx((0.5 * 0.8 * 0.6 * 0.9) ** (1 / 4))
    assert combine({**parts, "stillness": None}, 0.0) == pytest.approx((0.5 * 0.8 * 0.6) ** (1 / 3))
    assert combine(parts, 0.5) == pytest.approx((0.5 * 0.8 * 0.6 * 0.9**0.5) ** (1 / 3.5))


def test_the_shell_gathers_means_and_forgets(talks, true):
    shell = ADFD()
    with pytest.raises(BadInput, match="at least one `update`"):
        shell.compute()
    for talk, found in zip(talks, true):
        assert shell.update(talk.landmarks, talk.voice, RATE, talk.fps) == found
    with pytest.raises(BadInput, match="unscored"):
        shell.update(talks[0].landmarks * torch.nan, talks[0].voice, RATE, 25.0)
    mean = shell.compute()
    assert mean.clips == len(true)
    assert mean.score == pytest.approx(sum(f.score for f in true) / len(true))
    assert mean.worst_offset_frames == max((f.offset_frames for f in true), key=abs)
    shell.reset()
    with pytest.raises(BadInput, match="at least one `update`"):
        shell.compute()


def test_windowed_correlation_equals_pearson_in_one_window():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 250, generator=generator, dtype=torch.float64)
    found = lagged_correlation(a, b, torch.ones(250, dtype=torch.float64), [0, 7, -20])
    pairs = [(a, b), (a[:-7], b[7:]), (a[20:], b[:-20])]
    assert found.tolist() == pytest.approx([float(torch.corrcoef(torch.stack(p))[0, 1]) for p in pairs])
    later = lagged_correlation(a, a.roll(12), torch.ones(250, dtype=torch.float64), list(range(-30, 31)))
    assert int(later.argmax()) - 30 == 12


def test_band_levels_of_a_sine_and_of_nothing():
    for rate in (8_000, 16_000, 44_100):
        time = torch.arange(rate) / rate
        levels = band_levels(0.5 * torch.sin(6.2832 * 2000 * time), rate, ((1500.0, 3000.0), (100.0, 1000.0)))
        assert len(levels) == GRID_HZ + 1
        assert float(levels[20:80, 0].mean()) == pytest.approx(20 * math.log10(0.5), abs=0.3)
        assert float(levels[20:80, 1].max()) < -40
    assert float(band_levels(torch.zeros(RATE), RATE, ((100.0, 1000.0),)).max()) == -120


def test_speech_and_silence_are_told_apart_whatever_the_level(talks):
    for gain in (1.0, 0.05):
        heard = voice_signals(gain * talks[0].voice, RATE)
        assert not bool((heard.voiced & (heard.silent > 0)).any())
        assert 0.2 < float(heard.voiced.double().mean()) < 0.95 and float(heard.silent.max()) == 1
    assert float(voice_signals(torch.zeros(RATE), RATE).silent.min()) == 1
    steady = torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0))
    assert not bool(voice_signals(0.1 * steady, RATE).silent.any())


def test_reading_off_steps_over_missing_frames_but_not_over_long_gaps():
    ramp = (torch.arange(100).double() + 0.5)[:, None] / 25
    ramp[10:13], ramp[40:60] = torch.nan, torch.nan
    values, known = on_grid(ramp, 25.0, 401)
    time = torch.arange(401) / GRID_HZ
    assert torch.allclose(values[known][5:-5, 0], time[known][5:-5].double(), atol=1e-9)
    assert bool(known[40:60].all()) and not bool(known[170:230].any())


def test_a_quiet_recording_asks_the_same_of_a_mouth():
    speech = read_sound(ASSETS / "speech.wav").samples[0]
    loud, quiet = voice_signals(speech, SPEECH_RATE), voice_signals(speech * 10 ** (-45 / 20), SPEECH_RATE)
    assert torch.equal(quiet.voiced, loud.voiced) and loud.voiced.any()
    torch.testing.assert_close(quiet.level, loud.level, atol=0.01, rtol=0)
    torch.testing.assert_close(quiet.silent, loud.silent, atol=0.01, rtol=0)
    room = 1e-4 * torch.randn(32000, generator=torch.Generator().manual_seed(0))
    assert not voice_signals(room, SPEECH_RATE).voiced.any()
