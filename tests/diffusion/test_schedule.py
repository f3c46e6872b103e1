"""The noise schedule against diffusers' DDIMScheduler, and its own algebra."""

import pytest
import torch

from portraittalk_core.diffusion.schedule import SMALLEST_ALPHA, NoiseSchedule
from portraittalk_core.errors import BadInput

TINY = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
SD15 = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
    "rescale_betas_zero_snr": False,
    "steps_offset": 1,
    "set_alpha_to_one": False,
}
LINEAR = {**SD15, "beta_schedule": "linear", "timestep_spacing": "linspace"}
COSINE = {**TINY, "beta_schedule": "squaredcos_cap_v2", "rescale_betas_zero_snr": False}


def test_defaults_are_those_of_tiny():
    assert torch.equal(NoiseSchedule().alphas_cumprod, NoiseSchedule(**TINY).alphas_cumprod)
    assert NoiseSchedule().alphas_cumprod[-1] == 0


@pytest.mark.parametrize("settings", [TINY, SD15, LINEAR, COSINE], ids=["tiny", "sd15", "linear", "cosine"])
def test_numbers_are_those_of_diffusers(settings: dict):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(**settings, clip_sample=False)
    ours = NoiseSchedule(**settings)
    torch.testing.assert_close(ours.alphas_cumprod, theirs.alphas_cumprod, atol=1e-6, rtol=1e-5)
    assert ours.final_alpha == pytest.approx(float(theirs.final_alpha_cumprod))
    for steps in (1, 8, 12, 20, 30, 50):
        theirs.set_timesteps(steps)
        assert ours.timesteps(steps).tolist() == theirs.timesteps.tolist()


@pytest.mark.parametrize("settings", [TINY, SD15], ids=["tiny", "sd15"])
def test_noising_and_velocity_are_those_of_diffusers(settings: dict):
    diffusers = pytest.importorskip("diffusers")
    theirs, ours = diffusers.DDIMScheduler(**settings), NoiseSchedule(**settings)
    x0, noise = torch.randn(2, 5, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([0, 10, 400, 900, 999])
    torch.testing.assert_close(ours.add_noise(x0, noise, time), theirs.add_noise(x0, noise, time))
    torch.testing.assert_close(ours.velocity(x0, noise, time), theirs.get_velocity(x0, noise, time))


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon", "sample"])
def test_a_perfect_prediction_gives_back_signal_and_noise(kind: str):
    schedule = NoiseSchedule(prediction_type=kind, rescale_betas_zero_snr=False)
    x0, noise = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([5, 300, 900])
    x, prediction = schedule.add_noise(x0, noise, time), schedule.target(x0, noise, time)
    torch.testing.assert_close(schedule.to_x0(x, prediction, time), x0, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(schedule.to_noise(x, prediction, time), noise, atol=1e-3, rtol=1e-3)


def test_sigmas_count_as_k_diffusion_does():
    schedule = NoiseSchedule()
    sigmas = schedule.sigmas(8)
    assert len(sigmas) == 9 and sigmas[-1] == 0 and (sigmas.diff() < 0).all()
    assert float(sigmas[0]) == pytest.approx(((1 - SMALLEST_ALPHA) / SMALLEST_ALPHA) ** 0.5, rel=1e-5)
    time = int(schedule.timesteps(8)[3])
    assert float(sigmas[3] ** 2) == pytest.approx((1 - schedule.alpha(time)) / schedule.alpha(time), rel=1e-5)
    assert (schedule.sigmas().diff() > 0).all()


def test_bad_settings_are_refused():
    with pytest.raises(BadInput, match=r"`steps` must lie between 1 and 1000, but got 0\. Try 20\."):
        NoiseSchedule().timesteps(0)
    with pytest.raises(BadInput, match=r"`prediction_type` must not be epsilon with zero terminal signal"):
        NoiseSchedule(prediction_type="epsilon")
    with pytest.raises(BadInput, match=r"`beta_schedule` must be one of linear, .*, but got 'sigmoid'"):
        NoiseSchedule(beta_schedule="sigmoid")  # pyright: ignore[reportArgumentType]
