"""The photograph that prompts change, and its points."""

import pytest
import torch

from ...rendered_people import portraits
from .heads import SIDE


@pytest.fixture
def photograph():
    return torch.nn.functional.interpolate(portraits()[0][:1], (SIDE, SIDE), mode="area") * 0.6


@pytest.fixture
def points():
    return portraits()[1][:1].float()
