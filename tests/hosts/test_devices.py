"""In which precision networks are on a device, where it lacks half precision or computes it wrongly."""

import pytest
import torch
import torch.nn.functional as F

from portraittalk_core.hosts import devices
from portraittalk_core.hosts.devices import network_dtype


def refusing(maps, kernel, **more):
    if maps.dtype == torch.float16:
        raise NotImplementedError("no half precision here")
    return torch.conv2d(maps, kernel, **more)


def wrong(maps, kernel, **more):
    found = torch.conv2d(maps.float(), kernel.float(), **more).to(maps.dtype)
    return found * torch.nan if maps.dtype == torch.float16 else found


@pytest.mark.parametrize(("conv", "dtype"), [(None, torch.float16), (refusing, torch.float32), (wrong, torch.float32)])
def test_a_card_that_cannot_halve_computes_in_float32_and_says_so_in_one_line(monkeypatch, caplog, conv, dtype):
    monkeypatch.setattr(devices.torch, "device", lambda name: name)  # any device, computed on a CPU
    cpu = type("Card", (), {"type": "cuda", "__str__": lambda self: "card"})()
    linspace = torch.linspace
    monkeypatch.setattr(devices.torch, "linspace", lambda *given, device: linspace(*given))
    if conv:
        monkeypatch.setattr(F, "conv2d", conv)
    assert network_dtype(cpu) == dtype
    assert caplog.text.count("card does not compute in half precision") == (conv is not None)


def test_a_cpu_has_float32():
    assert network_dtype("cpu") == torch.float32
