"""The 52 blendshapes of ARKit, and a linear map between them and the coefficients that the networks know.

ARKit's names are what phones, MediaPipe, Blender and Unreal speak (developer.apple.com,
`ARFaceAnchor.BlendShapeLocation`). `FaceMotion` keeps ten coefficients, which the networks were trained on; what they
have no word for (tongue, cheeks, nose, one side of the face alone) is lost on the way in and 0 on the way out. The map
is our definition, chosen by meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..types import COEFFICIENTS, POSE, FaceMotion
from .audio_to_motion import MOUTH
from .structure import clamp_coefficients

ARKIT = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft"),
    *("eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"),
    *("eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel"),
    *("mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft"),
    *("browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft"),
    *("cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""The blendshapes in the order of Live Link Face. Left and right are the person's own: left is right for the viewer."""

HEAD = POSE[:3]
"""What is known of the head besides: yaw, pitch and roll."""

EYE_REACH = 0.45
"""By how many radians an eye turns where the gaze is 1: about 26 degrees (our definition)."""

TO_ARKIT: dict[str, dict[str, float]] = {
    "jaw": {"jawOpen": 1.0},
    "wide": {"mouthStretchLeft": 1.0, "mouthStretchRight": 1.0},
    "round": {"mouthPucker": 0.7, "mouthFunnel": 0.5},
    "press": {"mouthPressLeft": 1.0, "mouthPressRight": 1.0},
    "smile": {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0},
    "-smile": {"mouthFrownLeft": 1.0, "mouthFrownRight": 1.0},
    "brow_raise": {"browInnerUp": 1.0, "browOuterUpLeft": 1.0, "browOuterUpRight": 1.0},
    "-brow_raise": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "brow_frown": {"browDownLeft": 1.0, "browDownRight": 1.0},
    "blink": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "gaze_x": {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0},
    "-gaze_x": {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0},
    "gaze_y": {"eyeLookDownLeft": 1.0, "eyeLookDownRight": 1.0},
    "-gaze_y": {"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0},
}
"""How much of each blendshape a coefficient of 1 gives; a leading minus is the coefficient below 0. Sums are cut
at 1."""

FROM_ARKIT: dict[str, dict[str, float]] = {
    "jaw": {"jawOpen": 1.0, "mouthClose": -1.0},
    "wide": {"mouthStretchLeft": 0.5, "mouthStretchRight": 0.5},
    "round": {"mouthPucker": 1 / 1.2, "mouthFunnel": 1 / 1.2},
    "press": {"mouthPressLeft": 0.5, "mouthPressRight": 0.5},
    "smile": {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5, "mouthFrownLeft": -0.5, "mouthFrownRight": -0.5},
    "brow_raise": {"browInnerUp": 0.5, "browOuterUpLeft": 0.25, "browOuterUpRight": 0.25},
    "brow_frown": {"browDownLeft": 0.5, "browDownRight": 0.5},
    "blink": {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5},
    "gaze_x": {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookInLeft": -0.5, "eyeLookOutRight": -0.5},
    "gaze_y": {"eyeLookDownLeft": 0.5, "eyeLookDownRight": 0.5, "eyeLookUpLeft": -0.5, "eyeLookUpRight": -0.5},
}
"""How much of each blendshape goes into a coefficient, which is then brought into its range. Lips that close over an
open jaw (mouthClose) count as closed. It undoes `TO_ARKIT` but for lowered brows, which come back as a frown."""


@dataclass(frozen=True)
class ArkitMotion:
    """How a face moves, in ARKit's words."""

    shapes: Float[Tensor, "frames 52"]
    """The blendshapes in [0, 1], columns as in `ARKIT`."""

    head: Float[Tensor, "frames 3"]
    """The head's angles in radians, columns as in `HEAD` and signs as in `types.POSE`: yaw to the viewer's right, pitch
    down, roll clockwise as the viewer sees it are positive."""

    fps: float
    """Frames a second."""


def to_arkit(motion: FaceMotion) -> ArkitMotion:
    """Say a motion in ARKit's words; the head's shift and size have none.

    Args:
        motion: How the face moves.
    """
    halves: list[Tensor] = []
    for name in TO_ARKIT:
        column = motion.coefficients[:, COEFFICIENTS.index(name.lstrip("-"))]
        halves.append((-column if name.startswith("-") else column).clamp(min=0))
    shapes = torch.stack(halves, 1) @ _matrix(TO_ARKIT).to(halves[0])
    return ArkitMotion(shapes.clamp(0, 1), motion.pose[:, : len(HEAD)], motion.fps)


def from_arkit(motion: ArkitMotion) -> FaceMotion:
    """Say a motion of blendshapes in the coefficients that the networks know.

    Args:
        motion: How the face moves.

    Returns:
        The same; the head neither shifts nor changes its size.
    """
    coefficients = clamp_coefficients(motion.shapes @ _matrix(FROM_ARKIT).T.to(motion.shapes))
    place = motion.head.new_tensor([0.0, 0.0, 1.0]).expand(len(motion.head), 3)
    return FaceMotion(coefficients, torch.cat([motion.head, place], 1), motion.fps)


def with_mouth(motion: FaceMotion, spoken: FaceMotion) -> FaceMotion:
    """Return a motion with another one's mouth: jaw, wide, round and press.

    Args:
        motion: Gives head, eyes, brows and smile.
        spoken: Gives the mouth.

    Raises:
        BadInput: When they differ in length or rate.
    """
    if (motion.frame_count, motion.fps) != (spoken.frame_count, spoken.fps):
        raise BadInput(
            f"`motion` must have the {spoken.frame_count} frames at {spoken.fps:g} fps of the speech, but got "
            f"{motion.frame_count} at {motion.fps:g} fps. Resample it."
        )
    mouth = spoken.coefficients[:, : len(MOUTH)].to(motion.coefficients)
    return replace(motion, coefficients=torch.cat([mouth, motion.coefficients[:, len(MOUTH) :]], 1))


def _matrix(table: dict[str, dict[str, float]]) -> Float[Tensor, "rows 52"]:
    return torch.tensor([[row.get(name, 0.0) for name in ARKIT] for row in table.values()])
