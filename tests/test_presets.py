"""The schedules of the public files: the published figures, and every number of diffusers' scheduler."""

from dataclasses import asdict

import pytest
import torch

from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.presets import ANIMATEDIFF, ANIPORTRAIT, STABLE_DIFFUSION


def test_aniportraits_figures():
    schedule = NoiseSchedule(**asdict(ANIPORTRAIT))
    steps = schedule.timesteps(25).tolist()
    assert steps == list(range(999, 0, -40)) and steps[-1] == 39
    figures = {0: 0.99914998, 39: 0.95649344, 499: 0.14252943, 959: 1.2253e-4, 999: 0.0}
    for step, alpha in figures.items():
        assert schedule.alpha(step) == pytest.approx(alpha, rel=2e-5, abs=1e-8)
    assert schedule.prediction_type == "v_prediction" and schedule.alpha(-1) == 1.0


def test_the_schedule_of_aniportraits_training_is_another():
    scaled = NoiseSchedule(**{**asdict(ANIPORTRAIT), "beta_schedule": "scaled_linear"})
    assert scaled.alpha(499) == pytest.approx(0.2424, abs=1e-4)


@pytest.mark.parity
@pytest.mark.parametrize(
    "config", [STABLE_DIFFUSION, ANIMATEDIFF, ANIPORTRAIT], ids=["sd15", "animatediff", "aniportrait"]
)
@pytest.mark.parametrize("count", [20, 25, 30])
def test_every_number_is_that_of_diffusers(config, count, capsys):
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(**asdict(config), clip_sample=False)
    theirs.set_timesteps(count)
    ours = NoiseSchedule(**asdict(config))
    difference = float((ours.alphas_cumprod - theirs.alphas_cumprod).abs().max())
    with capsys.disabled():
        print(f"\n{count} steps: max difference of alphas {difference:.1e}")
    assert torch.equal(ours.timesteps(count), theirs.timesteps) and difference < 2e-6
