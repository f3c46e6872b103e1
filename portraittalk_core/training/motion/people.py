"""People that nobody has drawn: points, blendshapes and poses that structure maps are learned from.

Points come from the renderer's geometry, before a camera that frames a head as pictures do; a picture is never made.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from ...motion.head_model import Neck
from ...motion.structure import head_pose
from ...people.arkit import INDEX, coefficients
from ...people.motion import NECK_SHARES, resting_blendshapes
from ...people.person import EXPRESSIONS, draw_person
from ...people.points import Crowd, turn_matrices
from ...perception.contact import keep_apart
from ...perception.framing import CENTRE, SIZE
from ...topology import STEADY
from ...types import COEFFICIENTS
from ..people.draw import sample_expression, sample_turn

ORDER = [INDEX[name] for name in COEFFICIENTS]
"""Where the columns of `types.COEFFICIENTS` are in a row of the renderer's."""

FOCAL_MM = (30.0, 130.0)
"""Focal lengths of the cameras, on film of 36 mm."""

HELD_OUT = 3_000_000
"""First seed of people that training never sees; banks and training draw below."""

_FILM_MM = 36.0
_POOL = 24_000
_RARE, _MOST = 0.06, 0.8
_TOOTHY = {"mouthSmile": 0.8, "mouthUpperUp": 0.5, "mouthLowerDown": 0.4, "cheekSquint": 0.4, "mouthStretch": 0.3}


@dataclass(frozen=True)
class Pair:
    """Two views of each of n faces by one camera."""

    reference: Float[Tensor, "n 478 2"]
    """Landmarks of the one, in [-1, 1]."""

    reference_coefficients: Float[Tensor, "n 52"]
    """See `types.COEFFICIENTS`."""

    reference_pose: Float[Tensor, "n 6"]
    """See `types.POSE` and `motion.structure.head_pose`."""

    target: Float[Tensor, "n 478 2"]
    """Landmarks of the other, in [-1, 1]."""

    coefficients: Float[Tensor, "n 52"]
    """Of the target."""

    pose: Float[Tensor, "n 6"]
    """Of the target."""

    def __getitem__(self, rows: Tensor | slice) -> Pair:
        return Pair(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True)
class Cameras:
    """Where cameras are, one a face."""

    target: Float64[ndarray, "n 3"]
    """What each looks at, decimetres."""

    view: Float64[ndarray, "n 3 3"]
    """From the world's axes to the camera's."""

    distance: Float64[ndarray, "n"]
    """From there, decimetres."""

    zoom: Float64[ndarray, "n"]
    """Units of the picture for a decimetre at a distance of one."""

    def __getitem__(self, rows: ndarray) -> Cameras:
        return Cameras(*(getattr(self, field.name)[rows] for field in fields(self)))

    def see(self, points: ndarray) -> Float64[ndarray, "n k 2"]:
        """Project points of the world [n, k, 3] to the picture's [-1, 1]."""
        at = (points - self.target[:, None]) @ self.view.transpose(0, 2, 1)
        depth = self.distance[:, None, None] - at[..., 2:]
        return at[..., :2] * [1, -1] * self.zoom[:, None, None] / depth


class People:
    """People in many expressions and poses; every pair is drawn anew."""

    def __init__(self, seed: int, count: int, first: int = 0) -> None:
        """Shape people and draw the expressions that they take.

        Args:
            seed: Of the expressions.
            count: Of people.
            first: Seed of the first person.
        """
        self.crowd = Crowd([draw_person(first + i) for i in range(count)])
        rng = np.random.default_rng([seed, 61])
        self.portraits = _expressions(rng, _POOL // 2, portrait=True)
        self.speaking = _expressions(rng, _POOL, portrait=False)
        rest = self.crowd.rest[:, list(STEADY)]
        self.centre: Float64[ndarray, "p 3"] = rest.mean(1).astype(np.float64)
        """Middle of each one's steady points at rest, decimetres."""
        apart = (rest - rest.mean(1, keepdims=True))[..., :2]
        self.size: Float64[ndarray, "p"] = np.sqrt(np.square(apart).sum(2).mean(1)).astype(np.float64)
        """Their root mean square distance from it, seen from the front, decimetres."""
        self.pivot: Float64[ndarray, "p 3"] = np.einsum("b,pbi->pi", NECK_SHARES, self.crowd.pivots)
        """About what each one's head turns: the bones of the neck, each by its share."""
        self.neck = Neck()
        """That of the mean head."""
        self._fill_neck()

    def in_head(self, points: Float32[ndarray, "n k 3"], who: Int[ndarray, "n"]) -> Float64[ndarray, "n k 3"]:
        """Carry points of the world into head coordinates.

        Args:
            points: Of people who face the camera, decimetres.
            who: Numbers of the people.
        """
        return (points - self.centre[who][:, None]) * (SIZE / self.size[who])[:, None, None] * [1.0, -1.0, 1.0]

    def _fill_neck(self) -> None:
        who = np.arange(len(self.crowd))
        steady = self.in_head(self.crowd.rest[:, list(STEADY)], who).mean(0)
        pivot = self.in_head(self.pivot[:, None], who).mean(0)[0]
        self.neck.steady.copy_(torch.from_numpy(steady))
        self.neck.pivot.copy_(torch.from_numpy(pivot))
        # The frame is two units high, and the camera stands where its height fills the film.
        self.neck.nearness.fill_(_FILM_MM / (2 * np.exp(np.log(FOCAL_MM).mean())))

    def pair(self, count: int, rng: Generator) -> Pair:
        """Draw two views of each of some people.

        Args:
            count: Of people.
            rng: The source of chance.
        """
        who = rng.integers(len(self.crowd), size=count)
        cameras = self.cameras(who, rng)
        pool = np.where(rng.random(count) < 0.5, 0, 1)
        shown = np.where(
            pool[:, None] == 0,
            self.portraits[rng.integers(len(self.portraits), size=count)],
            self.speaking[rng.integers(len(self.speaking), size=count)],
        )
        wanted = self.speaking[rng.integers(len(self.speaking), size=count)]
        turns = np.stack([sample_turn(rng, None) for _ in range(count)])
        others = np.stack([sample_turn(rng, turn) for turn in turns])
        return Pair(*self.view(who, shown, turns, cameras), *self.view(who, wanted, others, cameras))

    def cameras(self, who: Int[ndarray, "n"], rng: Generator) -> Cameras:
        """Place a camera before each, so that its head is framed as pictures are, a little off as well.

        Args:
            who: Numbers of the people.
            rng: The source of chance.
        """
        count = len(who)
        focal = np.exp(rng.uniform(*np.log(FOCAL_MM), size=count))
        frame = 2 * self.size[who] / SIZE * np.exp(rng.normal(size=count) * 0.08)
        shift = (np.array(CENTRE) + rng.normal(size=(count, 2)) * 0.04) * frame[:, None] / 2
        target = self.centre[who] - np.stack([shift[:, 0], -shift[:, 1], 0 * frame], 1)
        elevation = rng.normal(size=count) * 4
        distance = frame * focal / _FILM_MM
        view = turn_matrices(np.stack([0 * elevation, elevation, 0 * elevation], 1))
        return Cameras(target, view, distance, 2 * distance / frame)

    def view(
        self, who: ndarray, blendshapes: ndarray, turns: ndarray, cameras: Cameras
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return points, blendshapes and poses, as `Pair` has them.

        Args:
            who: Numbers of the people.
            blendshapes: In the order of `people.arkit.ARKIT`.
            turns: Yaw, pitch and roll in degrees, as `people.projection.rotation` has them.
            cameras: One for each.
        """
        seen = cameras.see(self.crowd.world(who, blendshapes, turns.astype(np.float32)))
        points = keep_apart(torch.from_numpy(seen).float())
        turned = cameras.view @ turn_matrices(turns)
        yaw, pitch = np.arctan2(turned[:, 0, 2], turned[:, 2, 2]), np.arcsin(-turned[:, 1, 2])
        roll = -np.arctan2(turned[:, 1, 0], turned[:, 1, 1])
        angles = torch.from_numpy(np.stack([yaw, pitch, roll], 1)).float()
        said = np.array(blendshapes[:, ORDER], np.float32)
        return points, torch.from_numpy(said), head_pose(points, angles, self.neck)


def held_out_people(seed: int, count: int = 160) -> People:
    """Draw people that training never sees.

    Args:
        seed: Of the expressions.
        count: Of people.
    """
    return People(seed + 1, count, HELD_OUT)


def _expressions(rng: Generator, count: int, portrait: bool) -> Float32[ndarray, "n 52"]:
    """Draw expressions as pictures show them, with smiles that bare the teeth, and now and then any other action."""
    moods = [resting_blendshapes(replace(draw_person(0), expression=word)) for word in EXPRESSIONS]
    rows = np.stack([sample_expression(rng, portrait) for _ in range(count)])
    mood = np.stack([moods[k] for k in rng.choice(len(moods), size=count, p=[0.5, 0.3, 0.1, 0.1])])
    rows = rows + mood * rng.uniform(0.4, 1.3, size=(count, 1))
    toothy = rng.random(count) < (0.15 if portrait else 0.06)
    rows = np.where(toothy[:, None], np.maximum(rows, coefficients(_TOOTHY) * rng.uniform(0.3, 1.2, (count, 1))), rows)
    rare = rng.random(rows.shape) < _RARE / 2
    rare[:, [INDEX[name] for name in ("tongueOut", "mouthClose", "jawOpen")]] = False
    rows = np.clip(np.where(rare, np.maximum(rows, _MOST * rng.random(rows.shape)), rows), 0, 1)
    rows[:, INDEX["mouthClose"]] = np.minimum(rows[:, INDEX["mouthClose"]], rows[:, INDEX["jawOpen"]])
    return rows.astype(np.float32)
