"""Portraits of people who do not exist, to be used as input pictures. They are yours to use for anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..media.image import from_bytes
from .arkit import coefficients
from .caption import describe, tags
from .framing import frame_head
from .motion import resting_blendshapes
from .person import check_attributes, draw_person, dress
from .renderer import Renderer
from .scene import Camera, Scene, draw_scene, studio_scene

EXAMPLE_SEED = 1_007_567
"""Who is shown by the portrait that comes with the package."""

EXAMPLE_SIZE = 512
"""Its side in pixels."""

EXAMPLE_CAPTION = (
    "a photo of a youthful female, in a park, with a dark brown bob, neutral expression, wearing a gray t-shirt"
)
"""That portrait in words."""

_ZOOM = 0.92
"""A little farther away than training pictures, so that there is room around the head."""

_TURNS = (14.0, 8.0, 5.0)
"""Largest yaw, pitch and roll of the pictures after the first, degrees."""

_SMILE = {"mouthSmile": 0.24, "cheekSquint": 0.08, "browInnerUp": 0.06}
"""What a friendly neutral face does."""


def draw_portraits(
    seed: int,
    attributes: Mapping[str, str] | None = None,
    size: int = EXAMPLE_SIZE,
    count: int = 1,
    textures: Path | str | None = None,
) -> tuple[Float[Tensor, "count 3 size size"], str]:
    """Draw pictures of one person; the first is frontal, in soft light, the mouth closed.

    The others turn the head and have another light. Attributes change what is asked for and not who it is.

    Args:
        seed: Of everything that is drawn.
        attributes: What the person has, see `person.dress`.
        size: Side of a picture in pixels.
        count: Pictures, at least 1.
        textures: Folder of MakeHuman's textures; None for painted skin alone.

    Returns:
        The pictures in [-1, 1], and a caption of the first.

    Raises:
        MissingExtra: OpenGL or the data of people is missing.
        BadInput: For attributes that are not known.
    """
    attributes = attributes or {}
    check_attributes(attributes)
    person = replace(draw_person(seed), expression="neutral")
    person = dress(person, attributes, np.random.default_rng([seed, 29]))
    renderer, rng = Renderer(size, textures), np.random.default_rng([seed, 31])
    actor = renderer.actor(person)
    shapes = np.clip(resting_blendshapes(person) + coefficients(_SMILE), 0, 1).astype(np.float32)
    pictures: list[Tensor] = []
    for number in range(count):
        turn = (rng.uniform(-1, 1, 3) * _TURNS * bool(number)).astype(np.float32)
        scene = _studio(person.background, seed) if number == 0 else _relit(person.background, seed, number)
        scene = frame_head(actor, scene, shapes, turn, size, _ZOOM)
        drawn = renderer.render(person, shapes[None], turn[None], scene).pixels
        pictures.append(from_bytes(torch.from_numpy(drawn).permute(0, 3, 1, 2)))
    known = tags(person)
    seen = {name for name, value in known.items() if value != "none"}
    return torch.cat(pictures), describe(known, np.random.default_rng([seed, 37]), seen)


def _studio(background: str, seed: int) -> Scene:
    """Return soft light from the front and a sharp lens."""
    camera = Camera(focal_mm=85, blur=0.0, noise=0.004, jpeg=None, vignette=0.1)
    return replace(studio_scene(background), camera=camera, seed=seed)


def _relit(background: str, seed: int, number: int) -> Scene:
    """Return another light before the same background; the camera spoils nothing."""
    scene = draw_scene(seed + number, background)
    camera = replace(scene.camera, focal_mm=85, blur=0.0, noise=0.004, jpeg=None, exposure=1.0)
    return replace(scene, camera=camera, seed=seed)
