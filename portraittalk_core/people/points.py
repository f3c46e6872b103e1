"""MediaPipe's 478 points of many people in many frames at once, without drawing them: no graphics are needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray
from scipy.spatial.transform import Rotation

from ..topology import MEETING_LIPS
from .anatomy import BONES
from .arkit import INDEX
from .landmarks import IRIS_RING, landmark_vertices, mix_landmarks
from .motion import GAZE_DEGREES, LEVEL_GAZE, NECK_SHARES, Rig, before_eye, drive, facial_actions, out_of_eye
from .person import Person
from .shape import shape_person
from .surface import load_surface

_EYES = ("Right", "Left")  # the eye at the left of the picture first, as MediaPipe has it


class Crowd:
    """The points of people, ready to be moved; what `landmarks.project_landmarks` gives, a thousand times as fast.

    All of the face follows the head's bone alone; the five thousandths of the neck in some points are left out. One
    thing is not as in the pictures, where lips at rest are a crack open, as MediaPipe sees it too: here they are shut,
    as people's are.

    Args:
        people: Whom to shape.
    """

    def __init__(self, people: Sequence[Person]) -> None:
        vertices, bones = landmark_vertices(), BONES[1:]
        rows: list[tuple[ndarray, float, ndarray, ndarray, ndarray, ndarray]] = []
        for person in people:
            shaped = shape_person(person)
            rig = Rig(load_surface(), shaped)
            centres = np.stack([rig.eyes[side][0] for side in _EYES])
            radii = np.array([rig.eyes[side][1] for side in _EYES])
            pivots = np.stack([rig.joints[bone] for bone in bones])
            rows.append((shaped[vertices], rig.frame.scale, rig.gains, centres, radii, pivots))
        rest, scale, gains, centres, radii, pivots = zip(*rows)
        self._rest: Float32[ndarray, "p 468 3"] = np.stack(rest).astype(np.float32)
        self.rest: Float32[ndarray, "p 468 3"] = mix_landmarks(self._rest)
        """Points of the skin at rest, decimetres."""
        self._seam = lip_seam(self.rest)
        self.rest += self._seam
        self.scale: Float32[ndarray, "p"] = np.array(scale, np.float32)
        """Size of each head, as a share of the template's."""
        self.gains: Float32[ndarray, "p 52"] = np.stack(gains).astype(np.float32)
        """How far each one's actions go."""
        self.centres: Float32[ndarray, "p 2 3"] = np.stack(centres).astype(np.float32)
        """Of the eyeballs, the one at the left of the picture first."""
        self.radii: Float32[ndarray, "p 2"] = np.stack(radii).astype(np.float32)
        """Of the eyeballs."""
        self.pivots: Float32[ndarray, "p 4 3"] = np.stack(pivots).astype(np.float32)
        """About what the bones of neck and head turn."""
        self._lids = np.stack(
            [before_eye(self._rest, self.centres[:, k, None], self.radii[:, k, None]) for k in range(2)], 1
        )
        self._near = [np.nonzero(self._lids[:, k].any(0))[0] for k in range(2)]
        self._offsets = facial_actions()[:, vertices].reshape(len(INDEX), -1)

    def __len__(self) -> int:
        return len(self.rest)

    def world(
        self, who: Int[ndarray, "n"], blendshapes: Float32[ndarray, "n 52"], turns: Float32[ndarray, "n 3"]
    ) -> Float32[ndarray, "n 478 3"]:
        """Return where the points are.

        Args:
            who: Whose each frame is, a number into the people.
            blendshapes: In the order of `people.arkit.ARKIT`, 0 to 1.
            turns: Yaw, pitch and roll in degrees, as `projection.rotation` has them.
        """
        driven = drive(blendshapes) * self.gains[who] * self.scale[who, None]
        points = self._rest[who] + (driven @ self._offsets).reshape(len(who), -1, 3)
        for k, rows in enumerate(self._near):
            centre, radius = self.centres[who, k][:, None], self.radii[who, k][:, None, None]
            pushed = out_of_eye(points[:, rows], centre, radius)
            points[:, rows] = np.where(self._lids[who, k][:, rows, None], pushed, points[:, rows])
        skin = mix_landmarks(points) + self._seam[who]
        points = np.concatenate([skin, self._irises(who, blendshapes)], 1)
        matrices = self._head(who, turns)
        moved = points @ matrices[:, :3, :3].transpose(0, 2, 1) + matrices[:, None, :3, 3]
        return moved.astype(np.float32)

    def _irises(self, who: ndarray, rows: ndarray) -> Float64[ndarray, "n 10 3"]:
        found: list[ndarray] = []
        for k, side in enumerate(_EYES):
            sign = 1 if side == "Left" else -1
            look = {way: rows[:, INDEX[f"eyeLook{way}{side}"]] for way in ("In", "Out", "Up", "Down")}
            yaw = GAZE_DEGREES[0] * sign * (look["Out"] - look["In"])
            pitch = GAZE_DEGREES[1] * (look["Down"] - look["Up"]) - LEVEL_GAZE
            turned = IRIS_RING @ turn_matrices(np.stack([yaw, pitch, 0 * yaw], 1)).transpose(0, 2, 1)
            found.append(self.centres[who, k][:, None] + turned * self.radii[who, k][:, None, None])
        return np.concatenate(found, 1)

    def _head(self, who: ndarray, turns: ndarray) -> Float64[ndarray, "n 4 4"]:
        """Return the matrices of the heads: each bone of the neck takes its share of the turn."""
        vectors = Rotation.from_matrix(turn_matrices(turns)).as_rotvec()
        matrix = np.broadcast_to(np.eye(4), (len(who), 4, 4))
        for bone, share in enumerate(NECK_SHARES):
            part = np.broadcast_to(np.eye(4), (len(who), 4, 4)).copy()
            part[:, :3, :3] = Rotation.from_rotvec(vectors * share).as_matrix()
            pivot = self.pivots[who, bone]
            part[:, :3, 3] = pivot - np.einsum("nij,nj->ni", part[:, :3, :3], pivot)
            matrix = matrix @ part
        return matrix


def turn_matrices(turns: ndarray) -> Float64[ndarray, "n 3 3"]:
    """Return the rotations of heads, as `projection.rotation` does for one.

    Args:
        turns: [n, 3]: yaw, pitch and roll in degrees.
    """
    return Rotation.from_euler("YXZ", np.asarray(turns, np.float64), degrees=True).as_matrix()


def lip_seam(rest: Float32[ndarray, "p 468 3"]) -> Float32[ndarray, "p 468 3"]:
    """Return what brings the points of the lower lip's inner edge to the upper lip's.

    Args:
        rest: Points of people at rest, whose mouths are shut.
    """
    upper, lower = ([pair[k] for pair in MEETING_LIPS] for k in (0, 1))
    offsets = np.zeros_like(rest)
    offsets[:, lower] = rest[:, upper] - rest[:, lower]
    return offsets
