"""A small bank and a clip of real albums whose pictures are of nothing in particular."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.checkpoints.native import load_text_encoder, load_vae
from portraittalk_core.training.denoiser.bank import Bank, draw_album
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipBank
from portraittalk_core.training.denoiser.stages import ASSETS


@pytest.fixture(scope="module")
def text():
    return load_text_encoder(ASSETS / "text.safetensors")


@pytest.fixture(scope="module")
def vae():
    return load_vae(ASSETS / "vae.safetensors")


@pytest.fixture(scope="module")
def bank():
    """Latents of nothing in particular, 8x8 to be quick, under a real album."""
    album = draw_album(range(3), appearances=2, frames=2)
    generator = torch.Generator().manual_seed(0)
    count = len(album.tags)
    embeddings = F.normalize(torch.randn(count, 512, generator=generator), dim=1)
    latents = torch.randn(count, 8, 8, 8, generator=generator).half()
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, 256, 256), np.uint8)
    return Bank(album, album.landmarks(), latents, embeddings, pictures)


@pytest.fixture
def clips():
    """One clip of a real album whose latents say which frame they are."""
    album = draw_album([7], appearances=1, frames=FRAMES + 1)
    album = dataclasses.replace(album, person=np.zeros(FRAMES + 1, int))
    latents = torch.arange(FRAMES + 1.0).view(-1, 1, 1, 1).expand(-1, 8, 4, 4)
    embeddings = torch.ones(FRAMES + 1, 512)
    features = torch.arange(float(FRAMES)).view(1, -1, 1).expand(-1, -1, 128)
    pictures = np.zeros((FRAMES + 1, 3, 256, 256), np.uint8)
    return ClipBank(Bank(album, album.landmarks(), latents, embeddings, pictures), features)
