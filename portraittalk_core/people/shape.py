"""From the attributes of a person to the shape of their head at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from .anatomy import BONES, EYES, Anatomy, load_anatomy
from .person import Person

_ARMS_DOWN = 33.0
"""Degrees by which the template's spread arms are lowered."""
_LIKENESS: dict[str, float] = {
    "eyes/l-eye-scale-incr": 0.20,
    "eyes/r-eye-scale-incr": 0.20,
}
"""Shapes that everybody gets: the template's eyes are smaller than those of photographed people."""


_BROWS = (6980, 205)
"""A vertex in the middle of each brow."""
_BROW_HEIGHT = (0.28, 0.245, 0.45)
"""Mean height of the shapes' brows over the eyes as a share of the distance of the eyes, the mean wanted, and how much
of a person's deviation stays: MediaPipe takes higher brows for raised ones."""


@dataclass(frozen=True)
class Similarity:
    """`b = scale * rotation @ a + shift`, from the template's head to a person's."""

    scale: float
    rotation: Float64[ndarray, "3 3"]
    shift: Float64[ndarray, "3"]

    def place(self, points: ndarray | list[float] | list[list[float]]) -> Float32[ndarray, "*n 3"]:
        """Carry points of the template's space onto the person's head."""
        return (self.scale * np.asarray(points) @ self.rotation.T + self.shift).astype(np.float32)

    def back(self, points: ndarray) -> Float32[ndarray, "*n 3"]:
        """Carry points of the person's head into the template's space."""
        return ((points - self.shift) @ self.rotation / self.scale).astype(np.float32)


def fit_similarity(a: Float32[ndarray, "n 3"], b: Float32[ndarray, "n 3"]) -> Similarity:
    """Return the similarity that carries `a` onto `b` with the least square error (Umeyama, 1991)."""
    mean_a, mean_b = a.mean(0), b.mean(0)
    u, d, vt = np.linalg.svd((b - mean_b).T.astype(np.float64) @ (a - mean_a))
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = float((d * np.diag(flip)).sum() / ((a - mean_a) ** 2).sum())
    return Similarity(scale, rotation, mean_b - scale * mean_a @ rotation.T)


def shape_person(person: Person) -> Float32[ndarray, "v 3"]:
    """Return all vertices of the template in the shape of a person, at rest, arms down."""
    anatomy = load_anatomy()
    points = anatomy.points + _macro(anatomy, person)
    for name, value in (*_LIKENESS.items(), *person.local):
        rows, offsets = anatomy.local[name]
        points[rows] += value * offsets
    _settle_brows(anatomy, points)
    return _lower_arms(anatomy, points.astype(np.float32))


def _settle_brows(anatomy: Anatomy, points: Float32[ndarray, "v 3"]) -> None:
    """Move the brows towards the height that people's brows have at rest."""
    eyes = [(points[lo:hi].min(0) + points[lo:hi].max(0)) / 2 for lo, hi in EYES.values()]
    apart = float(np.linalg.norm(eyes[0] - eyes[1]))
    height = float(points[list(_BROWS), 1].mean() - (eyes[0][1] + eyes[1][1]) / 2) / apart
    mean, wanted, kept = _BROW_HEIGHT
    move = (wanted + kept * (height - mean) - height) * apart
    rows, offsets = anatomy.local[f"eyebrows/eyebrows-trans-{'up' if move > 0 else 'down'}"]
    step = float(np.abs(offsets[np.isin(rows, _BROWS), 1]).mean())
    points[rows] += np.clip(abs(move) / step, 0, 1.5) * offsets


def joints(points: Float32[ndarray, "v 3"]) -> dict[str, Float32[ndarray, "3"]]:
    """Return where the bones of a shaped template begin."""
    return {bone: load_anatomy().joint(points, bone) for bone in BONES}


def _macro(anatomy: Anatomy, person: Person) -> Float32[ndarray, "v 3"]:
    age = float(np.interp(person.age, [6, 12, 25, 75], [0, 0.05, 1, 2]))
    ages = {name: max(0.0, 1 - abs(age - i)) for i, name in enumerate(("child", "young", "old"))}
    sexes = {"female": 1 - person.male, "male": person.male}
    muscles = _three(person.muscle, ("minmuscle", "averagemuscle", "maxmuscle"))
    weights = _three(person.weight, ("minweight", "averageweight", "maxweight"))
    races = dict(zip(("african", "asian", "caucasian"), person.ancestry))
    offset = np.zeros_like(anatomy.points)
    for a, share_a in ages.items():
        for s, share_s in sexes.items():
            if share_a * share_s == 0:
                continue
            for race, share in races.items():
                offset += share_a * share_s * share * anatomy.macro[race, s, a]
            for m, share_m in muscles.items():
                for w, share_w in weights.items():
                    if share_m * share_w:
                        offset += share_a * share_s * share_m * share_w * anatomy.macro[s, a, m, w]
    return offset


def _three(value: float, names: tuple[str, str, str]) -> dict[str, float]:
    return {name: max(0.0, 1 - abs(2 * value - i)) for i, name in enumerate(names)}


def _lower_arms(anatomy: Anatomy, points: Float32[ndarray, "v 3"]) -> Float32[ndarray, "v 3"]:
    for side, sign in (("L", -1), ("R", 1)):
        pivot = anatomy.joint(points, f"upperarm01.{side}")
        angle = sign * np.radians(_ARMS_DOWN)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        share = anatomy.arms[side][:, None]
        points = points * (1 - share) + ((points - pivot) @ turn.T + pivot) * share
    return points.astype(np.float32)
