"""No step waits for its device: on `meta`, where reading a number is an error; copies between devices are counted."""

import pytest
import torch

from benchmarks.parts.steps.clocks import Waits, waits
from benchmarks.parts.steps.networks import SMALL, Networks
from portraittalk_core.diffusion.latent_fusion import sample_video
from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.hosts import devices

META = torch.device("meta")


def test_convolutions_are_searched_once_a_shape_has_come_often(monkeypatch):
    class OnGpu:
        def __init__(self, side, cuda=True):
            self.shape, self.is_cuda = torch.Size([2, 4, side, side]), cuda

    monkeypatch.setattr(devices, "SEARCHED_AFTER", 2)
    searched, seen = devices.SearchedConvolutions(), []
    for side, on_gpu in ((8, True), (8, True), (16, True), (8, True), (8, False), (16, True)):
        with searched.running(OnGpu(side, on_gpu)):
            seen.append(torch.backends.cudnn.benchmark)
    assert seen == [False, False, False, True, False, False] and not torch.backends.cudnn.benchmark
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    with searched.running(OnGpu(8)):
        assert not torch.backends.cudnn.benchmark


@torch.inference_mode()
def test_a_step_of_the_host_reads_and_copies_nothing():
    step = Networks(SMALL, META, torch.float16).ours()
    step()  # the first of a window makes what later ones use
    with Waits() as counter:
        assert step().is_meta
    assert counter.seen == []


@pytest.mark.gpu
@torch.inference_mode()
def test_a_step_on_a_gpu_never_waits():
    device = torch.accelerator.current_accelerator()
    step = Networks(SMALL, device, torch.float16).ours()
    for _ in range(3):  # kernels are compiled and checked, which waits
        step()
    assert waits(step, device) == 0


@pytest.mark.parametrize("fusion", ["joint", "streaming"])
@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "lcm", "tcd"])
def test_sampling_copies_only_what_nobody_waits_for(fusion, sampler):
    options = {"steps": 3, "window": 4, "overlap": 2, "fusion": fusion, "sampler": sampler, "shared_noise": 0.0}
    schedule = NoiseSchedule(rescale_betas_zero_snr=False)

    def predict(latents, timestep, frames, passes):
        return latents

    with Waits() as counter:
        chunks = sample_video(
            predict, 9, (4, 8, 8), schedule, generator=torch.Generator().manual_seed(0), device=META, **options
        )
        assert sum(len(latents) for _, latents in chunks) == 9
    assert [name for name in counter.seen if name.startswith("_to_copy")] == []
