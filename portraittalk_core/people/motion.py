"""From blendshapes and head pose to where every moving vertex is."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from .anatomy import BONES, LASHES, LOWER_TEETH, TONGUE, UPPER_TEETH, load_anatomy
from .arkit import ARKIT, INDEX, coefficients
from .landmarks import landmark_vertices
from .lips import rounding
from .person import Person
from .projection import about, rotation
from .shape import fit_similarity, joints
from .surface import Surface, eye_centre

GAIN: dict[str, float] = {
    "browDown": 2.3,
    "browInnerUp": 1.5,
    "browOuterUp": 1.6,
    "jawOpen": 1.12,
    "mouthFunnel": 1.5,
    "mouthPucker": 1.6,
    "mouthStretch": 1.3,
    "mouthUpperUp": 1.6,
    "mouthLowerDown": 1.6,
    "mouthFrown": 1.5,
    "mouthPress": 1.3,
}
"""How far a command of 1 drives an action of the data, where that is not 1; tuned with MediaPipe as the judge."""
NEUTRAL: dict[str, float] = {
    "browDown": 0.05,
    "browInnerUp": -0.08,
    "eyeSquint": 0.06,
}
"""Added to everybody, so that MediaPipe reads at rest what it reads in photographs of people at rest."""
RESPONSE: dict[str, float] = {
    "browDown": 0.8,
    "eyeBlink": 0.92,
    "mouthFunnel": 0.7,
    "mouthPucker": 0.9,
    "mouthUpperUp": 0.85,
}
"""Powers to which commands are raised, where MediaPipe reads the first half of an action as next to nothing."""
COMPANIONS: dict[str, dict[str, float]] = {
    "mouthStretch": {"mouthDimple": 0.8},
    "mouthFunnel": {"jawOpen": 0.15, "mouthPucker": 0.45},
}
"""Actions that go along with an action, because the data's shape alone does not look like it."""
GAZE_DEGREES = (32.0, 26.0)
"""How far the eyes turn to the side and up or down at a command of 1."""
_LID_MARGINS = {"Left": (11465, 13370), "Right": (4847, 6774)}
"""The middle of the upper and of the lower lid's margin."""
_LIDS_MEET = 1.2
"""How far lids are driven, of what makes these two vertices meet: the margins themselves lie deeper."""
_MOUTH_WIDTH = 0.483
"""Mean width of the shapes' mouths, in decimetres of the template."""
_PROPORTIONS: dict[str, tuple[tuple[int, int], tuple[int, int], float]] = {
    "lips": ((0, 17), (61, 291), 0.409),
    "chin": ((17, 152), (33, 263), 0.362),
    "face": ((10, 152), (33, 263), 1.797),
}
"""Two distances between MediaPipe's points at rest, and the mean of the one over the other."""
_OWN: dict[str, dict[str, float]] = {
    "jawOpen": {"chin": 0.84, "face": -2.6},
    "mouthFunnel": {"lips": -0.9, "chin": -0.7, "face": 1.7},
}
"""How far actions go in people of other proportions than the mean, so that MediaPipe reads alike in all: powers."""
LEVEL_GAZE = 2.5
"""Degrees by which the template's eyes look down at rest."""
NECK_SHARES = (0.15, 0.20, 0.25, 0.40)
"""How much of a turn each bone but the first of `BONES` takes."""
_RESTING: dict[str, dict[str, float]] = {
    "neutral": {},
    "smiling": {"mouthSmile": 0.55, "cheekSquint": 0.25, "mouthUpperUp": 0.10},
    "sad": {"mouthFrown": 0.6, "browInnerUp": 0.55, "mouthShrugLower": 0.2},
    "surprised": {"browInnerUp": 0.7, "browOuterUp": 0.7, "eyeWide": 0.5, "jawOpen": 0.15},
}


def resting_blendshapes(person: Person) -> Float32[ndarray, "52"]:
    """Return the blendshapes of a person's own expression (`Person.expression`), to which motion is added."""
    return coefficients(_RESTING[person.expression])


@dataclass(frozen=True)
class Pose:
    """One frame of a person; skin in the order of `Surface.used`, bones as matrices on columns."""

    skin: Float32[ndarray, "u 3"]
    normals: Float32[ndarray, "u 3"]
    lashes: Float32[ndarray, "l 3"]
    teeth: dict[str, Float32[ndarray, "4 3"]]
    """Affine maps of the rows of teeth from the template, to be used as `points @ m[:3] + m[3]`."""
    tongue: Float32[ndarray, "t 3"]
    eyes: dict[str, Float64[ndarray, "4 4"]]
    """From the unit ball, iris towards +z, to the head at rest."""
    bones: Float64[ndarray, "5 4 4"]
    lips: Float32[ndarray, "3"]
    opening: float
    """Gap between the inner rims of the lips, in decimetres."""
    furrow: tuple[float, float, float, float]
    """How deep the wrinkles of the forehead, between the brows, beside the eyes and beside the nose are."""

    @property
    def head(self) -> Float64[ndarray, "4 4"]:
        """Return the matrix of the head."""
        return self.bones[-1]


class Rig:
    """What moves a shaped person.

    Args:
        surface: The skin.
        rest: All vertices of the template in the person's shape.
    """

    def __init__(self, surface: Surface, rest: Float32[ndarray, "v 3"]) -> None:
        anatomy = load_anatomy()
        parts = (LASHES, UPPER_TEETH, LOWER_TEETH, TONGUE)
        self._rows = np.concatenate([surface.used, *(np.arange(lo, hi) for lo, hi in parts)])
        self._ends = np.cumsum([len(surface.used), *(hi - lo for lo, hi in parts)])
        head = anatomy.points[surface.used][:, 1] > 6.9
        self.frame = fit_similarity(anatomy.points[surface.used][head], rest[surface.used][head])
        self._offsets = (facial_actions()[:, self._rows] * self.frame.scale).reshape(len(ARKIT), -1)
        self._surface = surface
        self._rest = rest[self._rows]
        self._template_teeth = {
            "upper": anatomy.points[slice(*UPPER_TEETH)],
            "lower": anatomy.points[slice(*LOWER_TEETH)],
        }
        self._lips = [int(np.searchsorted(surface.used, v)) for v in (520, 523)]
        self.joints = joints(rest)
        self.eyes = {side: eye_centre(rest, side) for side in ("Left", "Right")}
        """Centre and radius of each eyeball."""
        self._lids = {side: self._lid_rows(side) for side in self.eyes}
        self.weights = anatomy.weights[surface.used]
        self.gains = self._own_gains()
        """How far this person's actions go, in the order of `ARKIT`."""

    def _own_gains(self) -> Float32[ndarray, "52"]:
        """Return how far this person's actions go: lids until they meet, others as the face's proportions say."""
        gains = np.ones(len(ARKIT), np.float32)
        for side in ("Left", "Right"):
            gains[INDEX[f"eyeBlink{side}"]] = self._blink_gain(side)
        width = self._apart(61, 291) / self.frame.scale / _MOUTH_WIDTH
        gains[INDEX["mouthPucker"]] = np.clip(width**3, 0.7, 1.35)
        own = {name: self._apart(*a) / self._apart(*b) / mean for name, (a, b, mean) in _PROPORTIONS.items()}
        for action, powers in _OWN.items():
            gain = np.prod([own[name] ** power for name, power in powers.items()])
            gains[INDEX[action]] = np.clip(gain, 0.7, 1.4)
        return gains

    def _apart(self, first: int, second: int) -> float:
        """Return the distance of two of MediaPipe's points at rest, decimetres."""
        a, b = (int(np.searchsorted(self._surface.used, landmark_vertices()[k])) for k in (first, second))
        return float(np.linalg.norm(self._rest[a] - self._rest[b]))

    def _blink_gain(self, side: str) -> float:
        """Return by how much the data's blink must be driven so that this person's lids meet."""
        upper, lower = (int(np.searchsorted(self._surface.used, v)) for v in _LID_MARGINS[side])
        move = self._offsets[INDEX[f"eyeBlink{side}"]].reshape(-1, 3)[:, 1]
        gap = float(self._rest[upper, 1] - self._rest[lower, 1])
        return float(np.clip(_LIDS_MEET * gap / max(float(move[lower] - move[upper]), 1e-6), 0.8, 1.6))

    def _lid_rows(self, side: str) -> ndarray:
        """Return rows of the skin before an eyeball, outside of it at rest."""
        return np.nonzero(before_eye(self._rest[: self._ends[0]], *self.eyes[side]))[0]

    def pose(self, blendshapes: Float32[ndarray, "52"], turn: Float32[ndarray, "3"]) -> Pose:
        """Return a frame.

        Args:
            blendshapes: In the order of `ARKIT`, 0 to 1.
            turn: Yaw, pitch and roll of the head in degrees, as `projection.rotation` has them.
        """
        driven = drive(blendshapes)
        driven *= self.gains
        points = self._rest + (driven @ self._offsets).reshape(-1, 3)
        skin, lashes, upper, lower, tongue = np.split(points, self._ends[:-1])
        self._keep_lids_out(skin)
        teeth = {name: _affine(self._template_teeth[name], now) for name, now in (("upper", upper), ("lower", lower))}
        rims = skin[self._lips]
        return Pose(
            skin=skin,
            normals=self._surface.normals(skin).astype(np.float32),
            lashes=lashes,
            teeth=teeth,
            tongue=tongue,
            eyes={side: self._eye(side, blendshapes) for side in self.eyes},
            bones=self._bones(turn),
            lips=rims.mean(0),
            opening=float(np.linalg.norm(rims[0] - rims[1])),
            furrow=_furrow(blendshapes),
        )

    def _keep_lids_out(self, skin: ndarray) -> None:
        """Push lids that a linear blend moves through the eyeball back onto it."""
        for side, rows in self._lids.items():
            skin[rows] = out_of_eye(skin[rows], *self.eyes[side])

    def _eye(self, side: str, row: ndarray) -> Float64[ndarray, "4 4"]:
        sign = 1 if side == "Left" else -1
        look = {way: float(row[INDEX[f"eyeLook{way}{side}"]]) for way in ("In", "Out", "Up", "Down")}
        yaw = GAZE_DEGREES[0] * sign * (look["Out"] - look["In"])
        pitch = GAZE_DEGREES[1] * (look["Down"] - look["Up"]) - LEVEL_GAZE
        matrix = np.eye(4)
        centre, radius = self.eyes[side]
        matrix[:3, :3], matrix[:3, 3] = rotation(yaw, pitch, 0) * radius, centre
        return matrix

    def _bones(self, turn: ndarray) -> Float64[ndarray, "5 4 4"]:
        vector, _ = cv2.Rodrigues(rotation(*(float(v) for v in turn)))
        bones, matrix = [np.eye(4)], np.eye(4)
        for bone, share in zip(BONES[1:], NECK_SHARES):
            part, _ = cv2.Rodrigues(vector * share)
            matrix = matrix @ about(part, self.joints[bone])
            bones.append(matrix)
        return np.stack(bones)

    def posed(self, pose: Pose) -> Float32[ndarray, "u 3"]:
        """Return the skin in the world, bones applied."""
        skin = np.concatenate([pose.skin, np.ones((len(pose.skin), 1), np.float32)], 1)
        return np.einsum("ub,bij,uj->ui", self.weights, pose.bones[:, :3], skin, optimize=True).astype(np.float32)


def before_eye(points: ndarray, centre: ndarray, radius: ndarray | float) -> ndarray:
    """Tell which points of the skin at rest lie before an eyeball, outside of it.

    Args:
        points: [..., 3].
        centre: Of the eyeball.
        radius: Of the eyeball.
    """
    away = points - centre
    distance = np.linalg.norm(away, axis=-1)
    return (distance > 0.99 * radius) & (distance < 2.2 * radius) & (away[..., 2] > 0.1 * radius)


def out_of_eye(points: ndarray, centre: ndarray, radius: ndarray | float) -> ndarray:
    """Return points [..., 3], those that lie in an eyeball moved onto it."""
    away = points - centre
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    return centre + away * np.maximum(1, 1.045 * radius / np.maximum(distance, 1e-6))


def drive(blendshapes: Float32[ndarray, "*n 52"]) -> Float32[ndarray, "*n 52"]:
    """Return the strengths of the data's actions for commands.

    `mouthClose` undoes a part of `jawOpen` and never more, or it would turn the lips inside out. `mouthFunnel` takes
    the place of `mouthPucker`: people's lips, in which both are read, are no narrower than either makes them.
    """
    row = np.array(blendshapes, np.float32)
    close, jaw, funnel, pucker = (INDEX[name] for name in ("mouthClose", "jawOpen", "mouthFunnel", "mouthPucker"))
    row[..., close] = np.minimum(row[..., close], row[..., jaw])
    row[..., pucker] *= 1 - np.clip(row[..., funnel], 0, 1) ** RESPONSE["mouthFunnel"]
    return (np.maximum(row, 0) ** _POWERS * _GAINS + row @ _ALONG + _NEUTRALS).astype(np.float32)


@functools.cache
def facial_actions() -> Float32[ndarray, "52 v 3"]:
    """Return the offsets of the template's facial actions, in the order of `ARKIT`: the data's, the funnel rounded."""
    anatomy = load_anatomy()
    row = drive(coefficients({"mouthFunnel": 1.0})) - drive(coefficients({}))
    missing = rounding(anatomy, np.einsum("k,kvc->vc", row, anatomy.actions))
    actions = anatomy.actions.copy()
    actions[INDEX["mouthFunnel"]] += missing / row[INDEX["mouthFunnel"]]
    return actions


def _sides(name: str) -> tuple[str, ...]:
    return (name,) if name in INDEX else (f"{name}Left", f"{name}Right")


def _sided(table: dict[str, float], default: float) -> Float32[ndarray, "52"]:
    row = np.full(len(ARKIT), default, np.float32)
    for name, value in table.items():
        for full in _sides(name):
            row[INDEX[full]] = value
    return row


def _companions() -> Float32[ndarray, "52 52"]:
    table = np.zeros((len(ARKIT), len(ARKIT)), np.float32)
    for name, others in COMPANIONS.items():
        for other, value in others.items():
            for a, b in zip(_sides(name), _sides(other)):
                table[INDEX[a], INDEX[b]] = value
    return table


_GAINS = _sided(GAIN, 1.0)
_NEUTRALS = _sided(NEUTRAL, 0.0)
_POWERS = _sided(RESPONSE, 1.0)
_ALONG = _companions()


def _furrow(row: ndarray) -> tuple[float, float, float, float]:
    def mean(name: str) -> float:
        return float(row[INDEX[f"{name}Left"]] + row[INDEX[f"{name}Right"]]) / 2

    return (
        max(float(row[INDEX["browInnerUp"]]), mean("browOuterUp")),
        mean("browDown"),
        min(1.0, 0.7 * mean("mouthSmile") + 0.6 * mean("eyeSquint") + 0.5 * mean("cheekSquint")),
        min(1.0, 0.8 * mean("mouthSmile") + 0.8 * mean("noseSneer") + 0.4 * mean("mouthUpperUp")),
    )


def _affine(a: ndarray, b: ndarray) -> Float32[ndarray, "4 3"]:
    solved, *_ = np.linalg.lstsq(np.concatenate([a, np.ones((len(a), 1))], 1), b, rcond=None)
    return solved.astype(np.float32)
