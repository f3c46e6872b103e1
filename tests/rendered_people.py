"""Rendered people whom no network has learned from: four of them, each in two lights, with MediaPipe's points."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from portraittalk_core.people.arkit import ARKIT
from portraittalk_core.training.faces.people import People
from portraittalk_core.training.people.bank import Bank

FOLDER = Path(__file__).parent
SIZE = 256


def pictures() -> np.ndarray:
    """Return the pictures [8, 256, 256, 3], RGB in 0..255, a person's two following one another."""
    strip = np.array(Image.open(FOLDER / "rendered_people.jpg"))
    return strip.reshape(2, SIZE, 4, SIZE, 3).transpose(0, 2, 1, 3, 4).reshape(8, SIZE, SIZE, 3)


def points() -> np.ndarray:
    """Return MediaPipe's points in pixels [8, 478, 2], (0, 0) being the corner of the first one."""
    return np.array(json.loads((FOLDER / "rendered_people.json").read_text()), np.float32)


def portraits() -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures [8, 3, 256, 256] and their points [8, 478, 2], both in [-1, 1]."""
    pixels = torch.from_numpy(pictures().transpose(0, 3, 1, 2).copy()).float() / 127.5 - 1
    return pixels, torch.from_numpy(points()) / (SIZE / 2) - 1


def bank() -> Bank:
    """Return them as a bank has them: a first appearance and another light."""
    count = len(points())
    return Bank(
        pixels=[pictures()],
        shard=np.zeros(count, np.int64),
        row=np.arange(count),
        landmarks=points() / (SIZE / 2) - 1,
        blendshapes=np.zeros((count, len(ARKIT)), np.float32),
        rotation=np.zeros((count, 3), np.float32),
        person=np.arange(count) // 2,
        appearance=np.arange(count) % 2 * 2,
        tags=[{}] * count,
        traits=np.random.default_rng(0).normal(size=(count // 2, 5)).astype(np.float32),
        folder=FOLDER,
        numbers=(0,),
    )


def people() -> People:
    """Return the bank as the face networks read it."""
    return People.of(bank())
