"""The learned prior: drawn in pieces as at once, within its limits, livelier where the speech is."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion
from portraittalk_core.motion.priors import CHANNELS, LOOK_AHEAD, MotionPrior, activity, drawing_for, look_ahead


@pytest.fixture(scope="module")
def prior() -> MotionPrior:
    return load_motion(ASSETS / "tiny" / "motion.safetensors")[1]


def seeded(number: int) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def test_two_stretches_equal_one(prior):
    heard = look_ahead(torch.rand(1, 60, generator=seeded(0)))
    whole, _ = prior.sample(heard, seeded(1))
    generator = seeded(1)
    first, state = prior.sample(heard[:, :25], generator)
    second, _ = prior.sample(heard[:, 25:], generator, state)
    assert torch.equal(torch.cat([first, second], 1), whole)


def test_seeds_differ_and_repeat(prior):
    loudness = torch.full((50,), -20.0)
    one, same, other = (prior.generate(loudness, 25.0, seeded(s)) for s in (1, 1, 2))
    assert all(torch.equal(one[name], same[name]) for name in CHANNELS)
    assert (one["yaw"] - other["yaw"]).abs().max() > 0.01


def test_who_says_something_else_moves_otherwise_by_the_same_seed(prior):
    said = -20 + 8 * torch.sin(torch.arange(75) / 3.0)
    other = said.flip(0)
    one, same, another = (prior.generate(x, 25.0, drawing_for(x, 0))["yaw"] for x in (said, said + 1e-4, other))
    assert (one - same).abs().max() < 1e-3
    assert float(torch.corrcoef(torch.stack([one, another]))[0, 1]) < 0.9
    assert drawing_for(said, 0).initial_seed() != drawing_for(said, 1).initial_seed()


@pytest.mark.parametrize("fps", [12.0, 25.0, 30.0])
def test_a_motion_stays_where_it_is_defined_at_any_frame_rate(prior, fps):
    frames = round(60 * fps)
    tracks = prior.generate(torch.full((frames,), -20.0), fps, seeded(3))
    assert {len(t) for t in tracks.values()} == {frames}
    assert tracks["blink"].min() >= 0 and tracks["blink"].max() <= 1
    assert tracks["smile"].min() >= -0.5 and tracks["yaw"].abs().max() < 0.8
    closed = (tracks["blink"] > 0.5).float()
    blinks = int((closed.diff() > 0).sum())
    assert 4 <= blinks <= 60  # people blink 5 to 40 times a minute


@pytest.mark.slow
def test_speech_moves_the_head_more_than_silence(prior):
    def sway(level):
        return torch.stack(
            [prior.generate(torch.full((250,), level), 25.0, seeded(s))["pitch"].diff().abs().mean() for s in range(6)]
        ).mean()

    assert sway(-20.0) > sway(-90.0)


def test_activity_is_relative_to_the_speech_level_but_silence_is_not_lively():
    loudness = torch.cat([torch.full((50,), -20.0), torch.full((50,), -80.0)])
    lively = activity(loudness)
    assert lively[0] == 1 and lively[-1] == 0
    assert activity(torch.full((20,), -100.0)).max() == 0
    torch.testing.assert_close(activity(loudness - 50), lively)


def test_the_last_value_stands_for_what_follows():
    ahead = look_ahead(torch.arange(4.0))
    assert ahead.shape == (4, len(LOOK_AHEAD))
    assert ahead[0].tolist() == [0, 2, 3, 3] and ahead[3].tolist() == [3, 3, 3, 3]
