"""Progressive latent fusion: windows agree with no windows, frames come once and in order, memory stays flat."""

import gc
import math

import pytest
import torch

from portraittalk_core.diffusion.guidance import GuidanceScales
from portraittalk_core.diffusion.latent_fusion import sample_video
from portraittalk_core.diffusion.noise import FrameNoise
from portraittalk_core.diffusion.sampler import make_sampler
from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.errors import BadInput
from portraittalk_core.host import Pass

SHAPE = (3, 5, 7)
SCHEDULE = NoiseSchedule()
FORMS = pytest.mark.parametrize("fusion", ["joint", "streaming"])
SAMPLERS = pytest.mark.parametrize(("sampler", "eta"), [("ddim", 0.0), ("ddim", 1.0), ("dpm++2m", 0.0)])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixing(latents, timestep, frames, passes):
    """Stand for a denoiser with temporal attention: each frame's result depends on the whole window."""
    mean = latents.mean(0, keepdim=True)
    rows = [torch.tanh(latents + 0.5 * mean + p.text + timestep / 1000) for p in passes]
    return torch.cat(rows)


def gaussian(target):
    """Stand for a denoiser that knows the mean `target(frames)` of a narrow Gaussian world."""

    def predict(latents, timestep, frames, passes):
        bar = SCHEDULE.alpha(int(timestep))
        a, b, mean = math.sqrt(bar), math.sqrt(1 - bar), target(frames).reshape(-1, 1, 1, 1)
        x0 = mean + a * 0.01 / (bar * 0.01 + 1 - bar) * (latents - a * mean)
        return a * (latents - a * x0) / b - b * x0

    return predict


@FORMS
def test_frames_that_do_not_see_one_another_are_predicted_once(fusion: str):
    seen: list[int] = []
    predict = gaussian(lambda frames: 0.1 * frames.float())

    def noting(latents, timestep, frames, passes):
        seen.extend(frames.tolist())
        return predict(latents, timestep, frames, passes)

    once = sample(noting, 21, fusion=fusion, coupled=False, flicker=0.05)
    assert sorted(seen) == sorted([*range(21)] * 4)
    torch.testing.assert_close(once, sample(predict, 21, fusion=fusion, flicker=0.05), atol=1e-5, rtol=0)


def noise_of(frames: int, shape=SHAPE, shared: float = 1.0) -> torch.Tensor:
    return FrameNoise(shape, seeded(), shared=shared).at(torch.arange(frames))


def sample(predict, frames: int, **settings) -> torch.Tensor:
    settings = {"generator": seeded(), "steps": 4, "window": 8, "overlap": 3, **settings}
    chunks = list(sample_video(predict, frames, SHAPE, SCHEDULE, **settings))
    assert [start for start, _ in chunks] == [sum(len(c) for _, c in chunks[:i]) for i in range(len(chunks))]
    return torch.cat([chunk for _, chunk in chunks])


@FORMS
@SAMPLERS
def test_one_window_equals_no_windows_bit_for_bit(fusion: str, sampler: str, eta: float):
    noise, plain, memory = FrameNoise(SHAPE, seeded(), shared=0.4), make_sampler(sampler, SCHEDULE, 4, eta=eta), None
    frames = torch.arange(8)
    x = noise.at(frames)
    for i, time in enumerate(plain.timesteps):
        prediction = mixing(x, time, frames, (Pass(),))
        x, memory = plain.step(x, prediction, i, memory, noise.at(frames, 1 + i))
    windowed = sample(mixing, 8, fusion=fusion, sampler=sampler, eta=eta, shared_noise=0.4, window=20)
    assert torch.equal(windowed, x)


@FORMS
@SAMPLERS
@pytest.mark.parametrize("frames", [1, 8, 9, 13, 30])
def test_every_frame_comes_once_and_in_order(fusion: str, sampler: str, eta: float, frames: int):
    seen: set[int] = set()

    def predict(latents, timestep, indices, passes):
        assert len(latents) == len(indices) <= 8
        seen.update(indices.tolist())
        return mixing(latents, timestep, indices, passes)

    assert sample(predict, frames, fusion=fusion, sampler=sampler, eta=eta).shape == (frames, *SHAPE)
    assert seen == set(range(frames))


@FORMS
@pytest.mark.parametrize(("window", "overlap"), [(8, 3), (8, 0), (8, 6)])
def test_a_denoiser_without_memory_does_not_notice_windows(fusion: str, window: int, overlap: int):
    predict = gaussian(lambda frames: torch.sin(frames / 5))
    whole = sample(predict, 30, window=30, overlap=overlap, fusion=fusion, shared_noise=0.5)
    parts = sample(predict, 30, window=window, overlap=overlap, fusion=fusion, shared_noise=0.5)
    torch.testing.assert_close(parts, whole, atol=1e-5, rtol=1e-5)


@FORMS
def test_the_data_is_recovered(fusion: str):
    result = sample(gaussian(lambda frames: torch.sin(frames / 5)), 30, steps=25, fusion=fusion)
    torch.testing.assert_close(result.mean((1, 2, 3)), torch.sin(torch.arange(30) / 5), atol=0.05, rtol=0)


@FORMS
def test_seams_are_smoother_than_cuts(fusion: str):
    """Windows that disagree (each adds its own offset) must meet gradually in the overlap."""

    def predict(latents, timestep, frames, passes):
        return gaussian(lambda f: torch.full((len(f),), float(frames[0] > 0)))(latents, timestep, frames, passes)

    jumps = sample(predict, 14, fusion=fusion, overlap=2).mean((1, 2, 3)).diff()
    smooth = sample(predict, 10, fusion=fusion, overlap=6).mean((1, 2, 3)).diff()
    assert float(smooth.max()) < 0.75 * float(jumps.max())
    assert float(smooth.sum()) == pytest.approx(1.0, abs=0.1)


@FORMS
def test_the_generator_decides(fusion: str):
    first = sample(mixing, 20, fusion=fusion)
    assert torch.equal(first, sample(mixing, 20, fusion=fusion))
    assert not torch.allclose(first, sample(mixing, 20, fusion=fusion, generator=seeded(1)))


def test_streaming_hands_out_frames_before_later_windows_run():
    calls = []

    def predict(latents, timestep, frames, passes):
        calls.append(int(frames[0]))
        return mixing(latents, timestep, frames, passes)

    chunks = sample_video(
        predict, 30, SHAPE, SCHEDULE, generator=seeded(), steps=4, window=8, overlap=3, fusion="streaming"
    )
    start, chunk = next(chunks)
    assert (start, len(chunk), calls) == (0, 5, [0, 0, 0, 0])


@pytest.mark.slow
def test_streaming_memory_does_not_grow_with_length():
    def peak(frames: int) -> int:
        most = 0

        def predict(latents, timestep, indices, passes):
            nonlocal most
            alive = {
                t.untyped_storage().data_ptr(): t.untyped_storage().nbytes()
                for t in gc.get_objects()
                if type(t) is torch.Tensor and t.shape[-3:] == SHAPE
            }
            most = max(most, sum(alive.values()))
            return mixing(latents, timestep, indices, passes)

        gc.collect()
        gc.freeze()  # what was alive before is not listed: quick, and none of it is ours; it stays so, see conftest.py
        for _ in sample_video(
            predict, frames, SHAPE, SCHEDULE, generator=seeded(), steps=2, window=8, overlap=3, fusion="streaming"
        ):
            pass
        return most

    assert 0 < peak(53) == peak(203)


@FORMS
def test_guidance_passes_reach_the_denoiser(fusion: str):
    counts = []

    def predict(latents, timestep, frames, passes):
        counts.append(len(passes))
        return mixing(latents, timestep, frames, passes)

    guided = sample(predict, 8, fusion=fusion, scales=GuidanceScales(text=3.0, end=0.5))
    assert counts == [2, 2, 1, 1]
    assert not torch.allclose(guided, sample(mixing, 8, fusion=fusion))


@FORMS
def test_partial_denoising_keeps_to_the_start(fusion: str):
    initial = torch.randn(20, *SHAPE, generator=seeded(3))
    zero = gaussian(lambda frames: torch.zeros(len(frames)))
    little = sample(zero, 20, fusion=fusion, initial=initial, denoise=0.25, steps=40)
    much = sample(zero, 20, fusion=fusion, initial=initial, denoise=0.9, steps=40)
    assert (little - initial).norm() < (much - initial).norm()
    assert torch.equal(
        sample(zero, 20, initial=initial[:1], denoise=0.5),
        sample(zero, 20, initial=initial[:1].expand(20, *SHAPE), denoise=0.5),
    )


@FORMS
def test_progress_is_told_and_interrupts_pass_through(fusion: str):
    told: list[tuple[int, int]] = []
    sample(mixing, 18, fusion=fusion, on_step=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, 12) for i in range(12)]

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(mixing, 18, fusion=fusion, on_step=interrupt)


@FORMS
def test_what_is_shown_on_the_way_becomes_the_result(fusion: str):
    shown: list[torch.Tensor] = []
    whole = sample(mixing, 8, fusion=fusion, on_preview=shown.append)
    assert len(shown) == 4 and shown[0].shape == SHAPE and not torch.equal(shown[0], shown[-1])
    torch.testing.assert_close(shown[-1], whole[4], rtol=0, atol=1e-5)


def test_noise_is_that_of_the_frame_whatever_the_window():
    whole = noise_of(40, shared=0.3)
    assert torch.equal(FrameNoise(SHAPE, seeded(), shared=0.3).at(torch.arange(25, 33)), whole[25:33])
    assert torch.equal(noise_of(10, shared=0.3), whole[:10])


def test_shared_noise_sets_the_correlation_of_frames():
    for shared in (0.0, 0.5, 1.0):
        noise = noise_of(6, (8, 40, 40), shared)
        assert float(noise.std()) == pytest.approx(1, abs=0.02)
        assert float((noise[0] * noise[3]).mean()) == pytest.approx(shared, abs=0.03)
    assert torch.equal(*noise_of(2))


def test_bad_arguments_are_refused_at_once():
    def start(**settings):
        sample_video(mixing, 20, SHAPE, SCHEDULE, **{"generator": seeded(), **settings})

    with pytest.raises(BadInput, match=r"`fusion` must be joint or streaming, but got 'both'"):
        start(fusion="both")
    with pytest.raises(BadInput, match=r"`overlap` must be shorter than `window` \(8 frames\), but got 9\. Try 2\."):
        start(window=8, overlap=9)
    with pytest.raises(BadInput, match=r"`initial` must be given when `denoise` is below 1"):
        start(denoise=0.5)
    with pytest.raises(BadInput, match=r"`initial` must hold 1 or 20 frames of latents, but got 3"):
        start(initial=torch.zeros(3, *SHAPE))
    with pytest.raises(BadInput, match=r"`shared` noise must lie in \[0, 1\], but got 2"):
        start(shared_noise=2)


def test_a_denoiser_of_the_wrong_shape_is_named():
    with pytest.raises(BadInput, match=r"`predict` must return \[16, 3, 5, 7\] for its passes, but got \[8, 3, 5, 7\]"):
        sample(lambda latents, *_: latents, 8, scales=GuidanceScales(text=2.0))
