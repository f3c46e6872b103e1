"""Point the camera at a head so that it fills the picture as training pictures show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ..perception.framing import CENTRE, SIZE, face_frame
from .actor import Actor
from .drawing import place_camera
from .landmarks import project_landmarks
from .scene import Scene

_NEAREST, _FARTHEST = 1.8, 7.0
"""Heights of the frame in the plane of the face that a camera goes to, decimetres."""


def frame_head(
    actor: Actor,
    scene: Scene,
    blendshapes: Float32[ndarray, "52"],
    rotation: Float32[ndarray, "3"],
    size: int,
    zoom: float = 1.0,
    off: tuple[float, float] = (0.0, 0.0),
) -> Scene:
    """Return the scene with a camera that frames a head as `perception.framing` does.

    Args:
        actor: The person, on the graphics side.
        scene: Its camera's focal length and the rest stay.
        blendshapes: Of the frame that is framed.
        rotation: Yaw, pitch and roll of that frame in degrees.
        size: Side of the pictures in pixels.
        zoom: Above 1 the head is larger than usual.
        off: How far right and down of its usual place the face lies, in the picture's [-1, 1].
    """
    camera = replace(scene.camera, shift=(0.0, 0.0))
    pose = actor.rig.pose(blendshapes, rotation)
    for _ in range(2):  # the second time because a shifted camera sees the head from another side
        points = project_landmarks(actor, pose, place_camera(actor, camera).matrix, size) / size * 2 - 1
        centre, found = face_frame(points)
        frame_dm = float(np.clip(camera.frame_dm * found / (SIZE * zoom), _NEAREST, _FARTHEST))
        # A shift of 1 moves the face by the whole frame, which is 2 in the picture's coordinates.
        right, down = (np.array(CENTRE) + off - centre) / 2
        shift = (camera.shift[0] + float(right), camera.shift[1] - float(down))
        camera = replace(camera, frame_dm=frame_dm, shift=shift)
    return replace(scene, camera=camera)
