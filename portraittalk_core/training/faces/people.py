"""Draw the people whose pictures fill an album: the avatar renderer as a data source for the face networks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator

from ...avatars.landmarks import landmarks
from ...avatars.parameters import (
    AGES,
    IDENTITY,
    Traits,
    column,
    pack,
    sample_attributes,
    sample_expression,
    sample_identity,
    sample_light,
    sample_pose,
)
from ...avatars.render import Renderer
from .data import SIDE, Draw

LASTING = tuple(name for name in IDENTITY if name != "age")
"""The columns that no prompt may change: who somebody is."""


def people_drawer(*, compile: bool = True) -> Draw:
    """Return a function that draws people.

    Args:
        compile: Compile the renderer, once, at the first picture.
    """
    renderer = Renderer(size=SIDE, batch=8, compile=compile)

    def draw(seed: int, people: int, views: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        generator = Generator().manual_seed(seed)
        parameters = torch.stack([row for _ in range(people) for row in person(generator, views)])
        with torch.no_grad():
            pixels = renderer(parameters)
        frames = ((pixels + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        traits = torch.stack([column(parameters, name) for name in LASTING], dim=1)[::views]
        return frames, landmarks(parameters).numpy(), traits.numpy()

    return draw


def person(generator: Generator, views: int) -> list[torch.Tensor]:
    """Return the parameters of pictures of one person.

    The first two share all that a prompt can edit; in the others hair, beard, glasses, clothes, background and age
    are drawn anew, and so are expression, pose and light in every one.

    Args:
        generator: From which everything follows.
        views: Pictures.
    """
    identity, attributes = sample_identity(generator), sample_attributes(generator)
    rows = []
    for view in range(views):
        if view >= 2:
            attributes = sample_attributes(generator)
            age = list(AGES.values())[int(torch.randint(len(AGES), (), generator=generator))]
            identity = Traits(identity.values | {"age": age})
        moving = [sample(generator) for sample in (sample_expression, sample_pose, sample_light)]
        rows.append(pack(identity, attributes, *moving))
    return rows
