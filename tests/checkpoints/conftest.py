"""What several tests of public files share."""

import pytest
import torch

from .public_files import SD15, layout, random_tensors


@pytest.fixture
def noise() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture(scope="session")
def sd15_unet():
    """A U-Net of SD1.5's full width with random weights: 3.4 GB."""
    from portraittalk_core.hosts.diffusers_models import build_unet

    with torch.device("meta"):
        unet = build_unet(
            latent_channels=4, channels=SD15.channels, layers=2, attention=SD15.attention, heads=8, cross_dim=768
        )
    unet.load_state_dict(random_tensors(layout("aniportrait_denoising_unet")), assign=True)
    return unet.eval().requires_grad_(False)


@pytest.fixture
def tiny_unet():
    """A U-Net of SD1.5's kind that is small enough for every test."""
    from portraittalk_core.hosts.diffusers_models import build_unet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = build_unet(
            latent_channels=4, channels=(32, 64, 64), layers=1, attention=(True, True, False), heads=4, cross_dim=32
        )
    return unet.eval().requires_grad_(False)
