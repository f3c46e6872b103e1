"""Other features than the renderer's: thin and full lips, small and large eyes, by bending a picture and its points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray
from numpy.random import Generator

from ... import topology
from ...perception.face_geometry import MOUTH_CORNERS, NOSE_TIP

COARSE = 4
"""Pixels from one place at which the bend is computed to the next; it is smooth."""

_STEPS = 12


@dataclass(frozen=True)
class Bend:
    """Where a bent picture takes each of its pixels from: about some places it is stretched, further away not."""

    centres: Float64[ndarray, "k 2"]
    """About what it is stretched, pixels."""

    stretches: Float64[ndarray, "k 2 2"]
    """How far, as the matrix that is added to the identity there; below 1 in every direction."""

    reaches: Float64[ndarray, "k"]
    """Standard deviation of the Gaussian by which it fades, pixels."""

    def source(self, places: Float64[ndarray, "n 2"]) -> Float64[ndarray, "n 2"]:
        """Return from where the pixels at some places are taken.

        Args:
            places: In the bent picture.
        """
        return places + self._offset(places)

    def moved(self, points: Float64[ndarray, "n 2"]) -> Float64[ndarray, "n 2"]:
        """Return where points of the picture lie in the bent one: the inverse, by iteration.

        Args:
            points: In the picture.
        """
        places = points
        for _ in range(_STEPS):
            places = points - self._offset(places)
        return places

    def _offset(self, places: ndarray) -> ndarray:
        away = places[:, None] - self.centres
        fade = np.exp(-np.square(away).sum(-1) / (2 * np.square(self.reaches)))
        return np.einsum("nk,kij,nkj->ni", fade, self.stretches, away)


def draw_bend(rng: Generator, points: Float32[ndarray, "478 2"]) -> Bend:
    """Draw how a face's features differ: lips most, for rendered ones are fuller than most people's.

    Args:
        rng: Decides it.
        points: Of the face, pixels.
    """
    mouth = points[list(topology.INNER_LIPS)].mean(0)
    eyes = [points[list(eye)].mean(0) for eye in topology.EYES]
    across = points[MOUTH_CORNERS[1]] - points[MOUTH_CORNERS[0]]
    across = across / (np.linalg.norm(across) + 1e-6)
    frame = np.array([across, [-across[1], across[0]]]).T
    wide, tall = rng.normal() * 0.1, rng.normal() * 0.14
    amounts = [
        (np.clip(rng.normal() * 0.15, -0.3, 0.4), rng.uniform(-0.2, 0.65)),
        *[(wide + rng.normal() * 0.03, np.clip(tall + rng.normal() * 0.04, -0.3, 0.4)) for _ in eyes],
        (rng.normal() * 0.1, rng.normal() * 0.08),
    ]
    size = float(np.linalg.norm(np.ptp(points[:468], 0))) / 1.4
    return Bend(
        np.stack([mouth, *eyes, points[NOSE_TIP]]).astype(np.float64),
        np.stack([frame @ np.diag(amount) @ frame.T for amount in amounts]),
        size * np.array([0.16, 0.12, 0.12, 0.13]),
    )


def bend(
    rng: Generator, picture: UInt8[ndarray, "s s 3"], points: Float32[ndarray, "478 2"]
) -> tuple[UInt8[ndarray, "s s 3"], Float32[ndarray, "478 2"]]:
    """Give a face other features.

    Args:
        rng: Decides which.
        picture: A square around the face.
        points: Of the face, pixels as OpenCV counts.

    Returns:
        The picture and the points.
    """
    change, side = draw_bend(rng, points), picture.shape[0]
    cells = side // COARSE
    centres = (np.arange(cells) + 0.5) * COARSE - 0.5
    places = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)
    offset = (change.source(places) - places).reshape(cells, cells, 2).astype(np.float32)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    source = cv2.resize(offset, (side, side), interpolation=cv2.INTER_LINEAR) + np.stack([x, y], -1)
    x_source, y_source = np.ascontiguousarray(source[..., 0]), np.ascontiguousarray(source[..., 1])
    bent = cv2.remap(picture, x_source, y_source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return bent, change.moved(points.astype(np.float64)).astype(np.float32)
