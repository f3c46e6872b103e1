"""Kernels run in Triton's interpreter where there is no GPU, and are skipped where Triton is not installed."""

import importlib.util
import os

import pytest
import torch

from portraittalk_core.kernels import choice

if not torch.accelerator.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before Triton is imported by whoever comes first


@pytest.fixture
def noise() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.fixture
def place() -> torch.device:
    """Return where kernels run, with every use of them checked anew and nothing to fall back on."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed, which the kernels are written in: pip install triton")
    choice.forget()
    with choice.kernels("always"):
        yield torch.accelerator.current_accelerator() or torch.device("cpu")
    refused = [key for key, good in choice._known.items() if not good]
    choice.forget()
    assert not refused, f"kernels fell back: {refused}"
