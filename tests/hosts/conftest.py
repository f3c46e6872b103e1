"""A U-Net small enough for every test, and its shape; ComfyUI where there is one."""

import importlib.util
from pathlib import Path

import pytest
import torch

from portraittalk_core.sites import UNetShape

from .browser import chromium, frontend, opened, page, shot  # noqa: F401 - fixtures
from .comfy_env import comfy_host, pack  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def graphs():
    """The module that makes the workflows' graphs, which belongs to no package."""
    file = Path(__file__).resolve().parents[2] / "workflows" / "graphs.py"
    spec = importlib.util.spec_from_file_location("graphs", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def shape() -> UNetShape:
    return UNetShape(channels=(32, 64, 64), layers=1, attention=(False, True, True), cross_dim=32, heads=4)


@pytest.fixture
def unet():
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return UNet2DConditionModel(
            sample_size=16,
            in_channels=8,
            out_channels=8,
            block_out_channels=(32, 64, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
        ).eval()


def awake_control(unet):
    """Return a ControlNet for a U-Net, of random weights, that adds something."""
    from diffusers.models.controlnets.controlnet import ControlNetModel

    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = ControlNetModel.from_unet(unet).eval().requires_grad_(False)
        for name, value in net.named_parameters():
            if name.startswith(("controlnet_down", "controlnet_mid")) or "cond_embedding.conv_out" in name:
                torch.nn.init.normal_(value, std=0.1)  # what starts at zero would hide what it should add
    return net


@pytest.fixture
def host(unet):
    from portraittalk_core.hosts.diffusers_host import DiffusersHost

    return DiffusersHost(unet)


@pytest.fixture
def noise() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def inputs(noise):
    """Latents, timesteps and text of four rows."""
    latents = torch.randn(4, 8, 16, 16, generator=noise)
    return latents, torch.tensor([10, 300, 600, 999]), torch.randn(4, 5, 32, generator=noise)
