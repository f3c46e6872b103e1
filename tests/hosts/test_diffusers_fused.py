"""Layers that take the place of diffusers' own while a call runs, without the kernels in them."""

from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from portraittalk_core import builders, presets
from portraittalk_core.hosts import diffusers_fused
from portraittalk_core.hosts.diffusers_fused import FusedLayers, One


class Counted(TorchDispatchMode):
    """Counts operations by name."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls[func.__name__.split(".")[0]] += 1
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_nothing_is_divided_by_one_and_every_bit_stays(monkeypatch):
    config = presets.tiny()
    unet = builders.unet(config).eval()
    layers = FusedLayers(unet)
    latents = torch.randn(1, config.unet.latent_channels, 16, 16)
    inputs = latents, torch.tensor(500), torch.randn(1, 5, config.unet.cross_dim)
    with Counted() as usual:
        expected = unet(*inputs).sample
    monkeypatch.setattr(diffusers_fused, "wanted", lambda *tensors: True)
    with layers.installed(latents), Counted() as fewer:
        found = unet(*inputs).sample
    assert torch.equal(found, expected)
    assert usual.calls["div"] > 10 and fewer.calls["div"] <= 1  # of the time's sines
    factors = [m.output_scale_factor for m in unet.modules() if hasattr(m, "output_scale_factor")]
    assert factors and not any(isinstance(factor, One) for factor in factors)


def test_one_is_one_and_gives_tensors_back():
    given = torch.randn(3)
    assert given / One() is given and One() == 1.0 and One() != 2.0
