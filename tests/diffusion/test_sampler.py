"""The samplers against diffusers' schedulers, and against a data model whose exact velocity is known."""

import math

import pytest
import torch

from portraittalk_core.diffusion.sampler import make_sampler
from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.errors import BadInput

TINY = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
SD15 = {**TINY, "prediction_type": "epsilon", "rescale_betas_zero_snr": False}
MEAN, SPREAD = 0.7, 0.3


def network(x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x.roll(1, -1) * 0.7 + time / 500 - 1)


def exact_velocity(schedule: NoiseSchedule, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Return the best velocity where every latent is Gaussian with MEAN and SPREAD."""
    bar = schedule.alpha(int(time))
    a, b = math.sqrt(bar), math.sqrt(1 - bar)
    x0 = MEAN + a * SPREAD**2 / (bar * SPREAD**2 + 1 - bar) * (x - a * MEAN)
    return a * (x - a * x0) / b - b * x0


def run(sampler, x: torch.Tensor, predict, noises=None) -> torch.Tensor:
    memory = None
    for i, time in enumerate(sampler.timesteps):
        x, memory = sampler.step(x, predict(x, time), i, memory, noises[i] if noises is not None else None)
    return x


@pytest.mark.parametrize("settings", [TINY, SD15], ids=["tiny", "sd15"])
@pytest.mark.parametrize("steps", [1, 8, 20])
def test_ddim_equals_diffusers(settings: dict, steps: int):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(**settings, clip_sample=False)
    theirs.set_timesteps(steps)
    start = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = start
    for time in theirs.timesteps:
        x = theirs.step(network(x, time), time, x).prev_sample
    torch.testing.assert_close(
        run(make_sampler("ddim", NoiseSchedule(**settings), steps), start, network), x, atol=1e-5, rtol=1e-5
    )


def test_ddim_with_noise_equals_diffusers():
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(**TINY, clip_sample=False)
    theirs.set_timesteps(10)
    noises = torch.randn(11, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = noises[10]
    for i, time in enumerate(theirs.timesteps):
        x = theirs.step(network(x, time), time, x, eta=0.6, variance_noise=noises[i]).prev_sample
    ours = run(make_sampler("ddim", NoiseSchedule(), 10, eta=0.6), noises[10], network, noises)
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [TINY, SD15], ids=["tiny", "sd15"])
@pytest.mark.parametrize("steps", [1, 2, 8, 20])
def test_dpm_equals_diffusers(settings: dict, steps: int):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DPMSolverMultistepScheduler(**settings, solver_order=2, algorithm_type="dpmsolver++")
    theirs.set_timesteps(steps)
    start = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    x = start
    for time in theirs.timesteps:
        x = theirs.step(network(x, time), time, x).prev_sample
    ours = run(make_sampler("dpm++2m", NoiseSchedule(**settings), steps), start, network)
    torch.testing.assert_close(ours, x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "steps", "eta"), [("ddim", 250, 0.0), ("ddim", 500, 1.0), ("dpm++2m", 250, 0.0)])
def test_a_gaussian_world_is_recovered(name: str, steps: int, eta: float):
    schedule = NoiseSchedule()
    noises = torch.randn(steps + 1, 1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    sampler = make_sampler(name, schedule, steps, eta=eta)
    x = run(sampler, noises[steps], lambda x, time: exact_velocity(schedule, x, time), noises)
    assert float(x.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(x.std()) == pytest.approx(SPREAD, rel=0.06)


def test_partial_denoising_runs_the_last_steps():
    full, half = make_sampler("ddim", NoiseSchedule(), 8), make_sampler("ddim", NoiseSchedule(), 8, denoise=0.5)
    assert half.timesteps.tolist() == full.timesteps[4:].tolist()


def test_bad_values_are_refused():
    with pytest.raises(BadInput, match=r"`sampler` must be one of ddim, dpm\+\+2m, lcm, tcd, but got 'euler'"):
        make_sampler("euler", NoiseSchedule(), 8)
    with pytest.raises(BadInput, match=r"`denoise` must lie in \(0, 1\], but got 0"):
        make_sampler("ddim", NoiseSchedule(), 8, denoise=0)
    with pytest.raises(BadInput, match=r"`eta` must lie in \[0, 1\], but got 2"):
        make_sampler("ddim", NoiseSchedule(), 8, eta=2)
    with pytest.raises(BadInput, match=r"`eta` must be 0 for dpm\+\+2m"):
        make_sampler("dpm++2m", NoiseSchedule(), 8, eta=1)
    with pytest.raises(BadInput, match=r"`noise` must be given when `eta` is above 0"):
        make_sampler("ddim", NoiseSchedule(), 8, eta=1).step(torch.zeros(1, 1), torch.zeros(1, 1), 0)


def diffusers_run(kind: str, settings: dict, steps: int, monkeypatch, **how):
    """Return diffusers' timesteps, the noises that its scheduler drew, the first latents last, and what it made."""
    scheduling = pytest.importorskip(f"diffusers.schedulers.scheduling_{kind}")
    theirs = getattr(scheduling, f"{kind.upper()}Scheduler")(**settings, clip_sample=False)
    theirs.set_timesteps(steps)
    noises = torch.randn(steps + 1, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    drawn = iter(noises)
    monkeypatch.setattr(scheduling, "randn_tensor", lambda *_, **__: next(drawn))
    x = noises[-1]
    for time in theirs.timesteps:
        x = theirs.step(network(x, time), time, x, **how).prev_sample
    return theirs.timesteps.tolist(), noises, x


@pytest.mark.parametrize("settings", [TINY, SD15], ids=["tiny", "sd15"])
@pytest.mark.parametrize("steps", [1, 4, 6, 8])
def test_lcm_equals_diffusers(settings: dict, steps: int, monkeypatch):
    timesteps, noises, x = diffusers_run("lcm", settings, steps, monkeypatch)
    ours = make_sampler("lcm", NoiseSchedule(**settings), steps)
    assert ours.timesteps.tolist() == timesteps and ours.needs_noise == (steps > 1)
    torch.testing.assert_close(run(ours, noises[-1], network, noises), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", [TINY, SD15], ids=["tiny", "sd15"])
@pytest.mark.parametrize(("steps", "eta"), [(1, 0.3), (4, 0.0), (4, 0.3), (8, 0.3), (7, 1.0)])
def test_tcd_equals_diffusers(settings: dict, steps: int, eta: float, monkeypatch):
    timesteps, noises, x = diffusers_run("tcd", settings, steps, monkeypatch, eta=eta)
    ours = make_sampler("tcd", NoiseSchedule(**settings), steps, eta=eta)
    assert ours.timesteps.tolist() == timesteps and ours.needs_noise == (steps > 1 and eta > 0)
    torch.testing.assert_close(run(ours, noises[-1], network, noises), x, atol=1e-5, rtol=1e-5)


def test_tcd_takes_its_authors_share_of_noise_and_refuses_others():
    assert make_sampler("tcd", NoiseSchedule(), 4).eta == 0.3
    with pytest.raises(BadInput, match=r"`eta` must lie in \[0, 1\], but got -1"):
        make_sampler("tcd", NoiseSchedule(), 4, eta=-1)
    with pytest.raises(BadInput, match="`steps` must lie between 1 and 50 for tcd, but got 51"):
        make_sampler("tcd", NoiseSchedule(), 51)
    x = torch.zeros(1, 4, 2, 2)
    with pytest.raises(BadInput, match="`noise` must be given when `eta` is above 0"):
        make_sampler("tcd", NoiseSchedule(), 4).step(x, x, 0)


def test_lcm_refuses_what_it_was_not_distilled_for():
    with pytest.raises(BadInput, match="`steps` must lie between 1 and 50 for lcm, but got 51"):
        make_sampler("lcm", NoiseSchedule(), 51)
    with pytest.raises(BadInput, match="`eta` must be 0 for lcm"):
        make_sampler("lcm", NoiseSchedule(), 4, eta=0.5)
    x = torch.zeros(1, 4, 2, 2)
    with pytest.raises(BadInput, match="`noise` must be given for lcm"):
        make_sampler("lcm", NoiseSchedule(), 4).step(x, x, 0)
