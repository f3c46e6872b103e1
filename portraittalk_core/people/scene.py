"""Light, camera and background of a clip."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray
from numpy.random import Generator

from .background import paint_background

Vector = tuple[float, float, float]
LOBES = 5


@dataclass(frozen=True)
class Camera:
    """What the camera does to a picture. The head fills the same share of the frame at any focal length."""

    focal_mm: float = 70.0
    """Focal length on film of 36 mm."""
    frame_dm: float = 3.8
    """Height of the frame in the plane of the face; a head is about 2.5 high."""
    shift: tuple[float, float] = (0.0, 0.0)
    """Where the face lies: right and up, as shares of the frame."""
    elevation: float = 0.0
    """Degrees that the camera looks down."""
    exposure: float = 1.0
    balance: Vector = (1.0, 1.0, 1.0)
    contrast: float = 1.06
    saturation: float = 1.0
    blur: float = 0.35
    """Softness of the lens, 0 to 1."""
    noise: float = 0.015
    vignette: float = 0.2
    jpeg: int | None = 90
    """Quality of the JPEG that the picture went through; None for none."""


@dataclass(frozen=True)
class Light:
    """A key light, a hemisphere and lobes of an environment; colours are linear light."""

    key: Vector = (0.5, 0.5, 0.7)
    """Direction towards the key light."""
    key_colour: Vector = (1.4, 1.4, 1.4)
    softness: float = 0.004
    """Width of the edge of shadows, as a share of the shadow map."""
    up: Vector = (0.45, 0.45, 0.45)
    down: Vector = (0.15, 0.14, 0.13)
    lobes: tuple[tuple[Vector, float, Vector], ...] = ()
    """Direction, sharpness and colour; at most `LOBES`."""


@dataclass(frozen=True)
class Scene:
    """All that a clip shows besides the person and the motion."""

    light: Light = Light()
    camera: Camera = Camera()
    background: str = "grey"
    seed: int = 0
    """Decides the details of the background and the grain."""
    mixed: Float32[ndarray, "h w 3"] | None = field(default=None, repr=False, compare=False)
    """A picture to use as the background, in linear light, instead of the painted one."""

    def backdrop(self, size: int) -> Float32[ndarray, "size size 3"]:
        """Return the background in linear light."""
        return paint_background(self.background, self.seed, size) if self.mixed is None else self.mixed


def draw_scene(seed: int, background: str = "grey") -> Scene:
    """Draw light, camera and the details of the background at random; the same seed gives the same scene."""
    rng = np.random.default_rng([seed, 23])
    return Scene(_light(rng), _camera(rng), background, seed)


def studio_scene(background: str = "grey") -> Scene:
    """Return a plain scene: soft frontal light, a normal lens, no noise."""
    lobes = (((-0.6, 0.2, 0.8), 2.5, (0.45, 0.45, 0.45)), ((0.5, 0.6, 0.9), 6.0, (0.5, 0.5, 0.5)))
    return Scene(Light(lobes=lobes), Camera(noise=0.0, jpeg=None, vignette=0.0), background)


def _tint(warmth: float) -> Float64[ndarray, "3"]:
    return np.array([1 + 0.13 * warmth, 1.0, 1 - 0.17 * warmth])


def _vector(values: ndarray) -> Vector:
    x, y, z = (float(v) for v in values)
    return x, y, z


def _light(rng: Generator) -> Light:
    """Draw from a soft window to a hard lamp; half of the people stand in soft light, as photographs go."""
    azimuth, elevation = np.radians(rng.uniform(5, 65)) * rng.choice([-1, 1]), np.radians(rng.uniform(10, 50))
    key = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    warmth = rng.normal() * 0.6
    hard = rng.random() < 0.5
    power = rng.uniform(1.0, 2.0) if hard else rng.uniform(0.15, 0.7)
    fill = rng.uniform(0.15, 0.6) if hard else rng.uniform(0.5, 1.1)
    table = [
        (-key * [1, 0.3, -1] + rng.normal(size=3) * 0.2, 2.5, fill * 0.8, -warmth * 0.5),
        (key + rng.normal(size=3) * 0.1, 4.0 if not hard else 9.0, rng.uniform(0.2, 0.6) + (not hard), warmth),
        (np.array([rng.choice([-1, 1]) * 0.8, 0.3, -0.6]), 6.0, rng.uniform(0, 1.6) * (rng.random() < 0.5), 0.0),
        (rng.normal(size=3), 5.0, rng.uniform(0, 0.4), rng.normal() * 0.6),
        (np.array([0, -0.8, 0.6]), 3.0, rng.uniform(0, 0.3), warmth),
    ]
    lobes = tuple((_vector(d / np.linalg.norm(d)), float(k), _vector(_tint(w) * p)) for d, k, p, w in table)
    up, down = (
        _tint(rng.uniform(-0.8, 0.3)) * rng.uniform(0.25, 0.6),
        _tint(rng.uniform(0, 0.8)) * rng.uniform(0.08, 0.28),
    )
    softness = float(rng.uniform(0.002, 0.006) if hard else rng.uniform(0.006, 0.014))
    return Light(_vector(key), _vector(_tint(warmth) * power), softness, _vector(up), _vector(down), lobes)


def _camera(rng: Generator) -> Camera:
    return Camera(
        focal_mm=float(np.exp(rng.uniform(np.log(30), np.log(130)))),
        frame_dm=float(rng.uniform(2.9, 4.9)),
        shift=(float(rng.normal() * 0.03), float(rng.normal() * 0.03)),
        elevation=float(rng.normal() * 4),
        exposure=float(np.exp(rng.normal() * 0.18)),
        balance=_vector(_tint(rng.normal() * 0.3)),
        contrast=float(rng.uniform(0.96, 1.14)),
        saturation=float(rng.uniform(0.8, 1.12)),
        blur=float(rng.uniform(0, 0.8)),
        noise=float(np.exp(rng.uniform(np.log(0.004), np.log(0.05)))),
        vignette=float(rng.uniform(0, 0.4)),
        jpeg=int(rng.integers(62, 98)),
    )
