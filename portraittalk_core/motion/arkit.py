"""What the motion networks say, in ARKit's 52 blendshapes.

The network that hears speech speaks ARKit (`types.MOUTH`), both sides alike. The one that draws what speech leaves open
has words of its own: smile, brow_raise, brow_frown, gaze_x, gaze_y and blink. `TO_ARKIT` is our definition of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..types import COEFFICIENTS, MOUTH, POSE, FaceMotion

HEAD = POSE[:3]
"""What motion files know of the head: yaw, pitch and roll."""

EYE_REACH = 0.45
"""By how many radians an eye turns where the gaze is 1: about 26 degrees (our definition)."""

TO_ARKIT: dict[str, dict[str, float]] = {
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.3, "mouthDimple": 0.1},
    "-smile": {"mouthFrown": 0.8, "mouthShrugLower": 0.2},
    "brow_raise": {"browInnerUp": 0.8, "browOuterUp": 0.8},
    "-brow_raise": {"browDown": 0.6},
    "brow_frown": {"browDown": 0.8},
    "blink": {"eyeBlink": 1.0},
    "gaze_x": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "-gaze_x": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    "gaze_y": {"eyeLookDown": 1.0},
    "-gaze_y": {"eyeLookUp": 1.0},
}
"""How much of each blendshape a word of 1 gives. A leading minus is the word below 0; a blendshape without its side
stands for both. Sums are cut at 1."""

_FEELINGS = ("mouthSmile", "mouthFrown")

SPOKEN = tuple(n for n in COEFFICIENTS if n.startswith(("jaw", "mouth", "tongue")) and not n.startswith(_FEELINGS))
"""The blendshapes that speech moves: the mouth and the jaw, without smile and frown, which are the face's mood."""


def sides(name: str) -> tuple[str, ...]:
    """Return the blendshapes that a name stands for: itself, or without a side the left and the right one.

    Args:
        name: Of a blendshape, such as `jawOpen`, `eyeBlinkLeft` or `eyeBlink`.

    Raises:
        BadInput: For a name that ARKit does not have.
    """
    found = tuple(n for n in (name, f"{name}Left", f"{name}Right") if n in COEFFICIENTS)
    if not found:
        raise BadInput(f"`name` must be a blendshape of ARKit, such as jawOpen or eyeBlink, but got {name!r}.")
    return found


def blendshapes(**strengths: float) -> Float[Tensor, "52"]:
    """Return a row of blendshapes by name; those that are not named are 0.

    Args:
        **strengths: In [0, 1], by a name or, for both sides alike, by a name without its side.
    """
    row = torch.zeros(len(COEFFICIENTS))
    for name, value in strengths.items():
        for full in sides(name):
            row[COEFFICIENTS.index(full)] = value
    return row


def to_arkit(words: Mapping[str, Float[Tensor, "frames"]]) -> Float[Tensor, "frames 52"]:
    """Say in ARKit's blendshapes what the motion networks say.

    Args:
        words: A track a word of `TO_ARKIT` or a blendshape, with or without its side, each as long; those that are left
            out are 0.

    Returns:
        In [0, 1], columns as in `types.COEFFICIENTS`.

    Raises:
        BadInput: For a word that is neither.
    """
    unknown = sorted(set(words) - set(TO_ARKIT) - set(COEFFICIENTS) - set(MOUTH))
    if unknown or not words:
        known = ", ".join(n for n in TO_ARKIT if n[0] != "-")
        raise BadInput(f"`words` knows {known} and ARKit's blendshapes, but got {', '.join(unknown)}.")
    halves = {name: track.clamp(min=0) for name, track in words.items()}
    halves |= {f"-{name}": (-track).clamp(min=0) for name, track in words.items() if f"-{name}" in TO_ARKIT}
    tracks = torch.stack(list(halves.values()), -1)
    table = torch.stack([blendshapes(**TO_ARKIT.get(name, {name: 1.0})) for name in halves]).to(tracks)
    return (tracks @ table).clamp(0, 1)


def with_mouth(motion: FaceMotion, spoken: FaceMotion) -> FaceMotion:
    """Return a motion with another one's mouth: the blendshapes of `SPOKEN`.

    Args:
        motion: Gives head, eyes, brows and mood.
        spoken: Gives mouth and jaw.

    Raises:
        BadInput: When they differ in length or rate.
    """
    if (motion.frame_count, motion.fps) != (spoken.frame_count, spoken.fps):
        raise BadInput(
            f"`motion` must have the {spoken.frame_count} frames at {spoken.fps:g} fps of the speech, but got "
            f"{motion.frame_count} at {motion.fps:g} fps. Resample it."
        )
    mouth = torch.tensor([name in SPOKEN for name in COEFFICIENTS], device=motion.coefficients.device)
    return replace(
        motion, coefficients=torch.where(mouth, spoken.coefficients.to(motion.coefficients), motion.coefficients)
    )
