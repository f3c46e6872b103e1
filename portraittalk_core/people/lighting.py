"""From a scene's light to uniforms and to the light that reaches each vertex."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from .actor import Actor
from .hair import smoothstep
from .motion import Pose
from .scene import LOBES, Light


def key_direction(light: Light) -> ndarray:
    """Return the unit vector towards the key light."""
    key = np.array(light.key)
    return key / np.linalg.norm(key)


def light_uniforms(light: Light, shadow_size: int) -> dict[str, Any]:
    """Return the uniforms of `glsl.common.LIGHT`."""
    lobes = [*light.lobes, *[((0.0, 1.0, 0.0), 1.0, (0.0, 0.0, 0.0))] * LOBES][:LOBES]
    return {
        "keydir": key_direction(light),
        "keycol": np.array(light.key_colour),
        "ambup": np.array(light.up),
        "ambdown": np.array(light.down),
        "lobedir": np.array([[*direction, sharpness] for direction, sharpness, _ in lobes]),
        "lobecol": np.array([colour for *_, colour in lobes]),
        "shadowsoft": light.softness + 0.4 / shadow_size,
    }


def environment(light: Light, directions: ndarray) -> Float32[ndarray, "n 3"]:
    """Return the surrounding light from directions of the world, without the key light."""
    share = smoothstep(-0.7, 0.7, directions[:, 1:2])
    total = np.array(light.down) + (np.array(light.up) - np.array(light.down)) * share
    for direction, sharpness, colour in light.lobes[:LOBES]:
        total = total + np.array(colour) * np.exp(sharpness * (directions @ np.array(direction) - 1))[:, None]
    return total.astype(np.float32)


def vertex_light(actor: Actor, pose: Pose, light: Light) -> Float32[ndarray, "u 3"]:
    """Return the surrounding light that reaches each vertex; directions turn against the head, the bust stays."""
    head, bust = (actor.sky @ environment(light, actor.directions @ turn.T) for turn in (pose.head[:3, :3], np.eye(3)))
    share = actor.rig.weights[:, 2:].sum(1, keepdims=True)
    return (head * share + bust * (1 - share)).astype(np.float32)


def metered(actor: Actor, light: Light, reached: Float32[ndarray, "u 3"]) -> float:
    """Return how bright the camera finds the face; half-way, so that dark skin stays dark and fair skin fair."""
    key = 0.6 * float(np.mean(light.key_colour)) * max(0.25, float(key_direction(light)[2]))
    return (key + 1.6 * float(reached[actor.eye_rim].mean())) * float(np.exp(-1.1 * actor.person.melanin - 0.3)) ** 0.55
