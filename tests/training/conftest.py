"""What tests of the denoiser's training share: the shipped text encoder and a small model that differs from tiny."""

import pytest
import torch

from portraittalk_core.checkpoints.native import load_text_encoder, save_modules
from portraittalk_core.hosts.diffusers_models import build_tiny_vae
from portraittalk_core.training import loop, progress
from portraittalk_core.training.denoiser.stages import ASSETS
from portraittalk_core.training.model import read_model
from portraittalk_core.training.vae import CONFIG

from .small import SMALL


@pytest.fixture(scope="session", autouse=True)
def no_plots():
    """Let no run draw its curve: that takes three times as long as all else in a run of a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "plot_curve", lambda source, target: None)
        yield


@pytest.fixture
def plots(monkeypatch):
    """Let runs draw their curve, as they do for users."""
    monkeypatch.setattr(loop, "plot_curve", progress.plot_curve)


@pytest.fixture(scope="session")
def text():
    return load_text_encoder(ASSETS / "text.safetensors")


@pytest.fixture(scope="session")
def small():
    """A model that differs from tiny in everything that training was ever bound to."""
    return read_model(SMALL)


@pytest.fixture(scope="session")
def vae_file(tmp_path_factory):
    """An untrained VAE of the small model's channels."""
    torch.manual_seed(0)
    config = {**CONFIG, "latent_channels": 4, "width": 8}
    file = tmp_path_factory.mktemp("vae") / "vae.safetensors"
    save_modules(file, build_tiny_vae(**config).state_dict(), config)
    return file
