"""Find faces with the networks of our own pack: the detector, and the 478 points of each face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from ..topology import MIRROR
from .face_geometry import ARCFACE_POINTS, cut, five_points, move, similarity, upright_square
from .face_nets import LANDMARK_SIZE, RECOGNISER_SIZE

LOOKS = 2
"""How often the landmark network looks at a face: each time in the square that the look before shows to be right."""

STEP_BACK = 0.25
"""A picture in which no face is found is looked at from further away, this share of its longer side around it: of a
turned face that fills a picture the detector is less sure."""

TILES = (2, 4, 8)
"""Of a picture in which no face is found, squares of a half, a quarter and an eighth are searched too."""

SEEN_WHOLE, LARGE = 640, 0.3
"""Longer side, pixels, up to which a picture is small enough for the detector to see every face that is large enough to
speak; share of it from which on a face leaves no room for many. In larger pictures whose widest face is narrower,
squares of a half are searched for others."""

LEAST_TILE = 160
"""Side of the smallest squares that are searched, pixels."""

SAME_FACE = 0.4
"""Faces whose middles are nearer than this, of their size, are one."""

MOST_APART = 0.22
"""How far the detector's five points may lie from those of the landmarks, on average, of the distance between eyes and
mouth: two networks that do not agree have not seen a face."""

MOST_UNLIKE = 0.035
"""How far the points of a face may lie from those of its mirror image, on average, of its height from forehead to chin,
which is the same when it turns: in 60 photographs and paintings of people at most 0.016, of 35 rendered people who are
turned by 45 degrees 0.030, at the six heads of dogs, llamas and cats that the detector took for faces from 0.040 on."""

FOREHEAD, CHIN = 10, 152
"""The highest and the lowest point of a face."""

Picture = UInt8[ndarray, "h w 3"]


@dataclass(frozen=True)
class FoundFace:
    """A face in a picture, in pixels as OpenCV counts."""

    points: Float32[ndarray, "478 2"]
    """MediaPipe's."""

    score: float
    """The detector's, 0 to 1."""


@dataclass(frozen=True)
class _Candidate:
    """What the detector takes for a face."""

    corners: Float32[ndarray, "4 2"]
    five: Float32[ndarray, "5 2"]
    score: float


@dataclass(frozen=True)
class FaceSearch:
    """The networks of a pack, as insightface has loaded them."""

    detector: Any
    """Its `detect` gives boxes with scores, and five points of each."""

    landmarks: Any
    """A network of 478 points."""

    recogniser: Any
    """Its `get_feat` embeds an aligned face."""

    size: int
    """Side of the detector's input, pixels."""

    def find(self, picture: Picture, portrait: bool = False) -> list[FoundFace]:
        """Find the faces of a picture.

        Args:
            picture: BGR.
            portrait: Whether more care is taken, and half as long again or more: smaller faces beside a large one are
                looked for in parts of a large picture, and what is another face in the mirror is none.

        Returns:
            The faces, the largest first.
        """
        placed = partial(self._placed, picture, portrait)
        faces, longest = placed(self._detect(picture, 0, 0)), max(picture.shape[:2])
        widest = max((float(np.ptp(face.points[:468, 0])) for face in faces), default=longest)
        if portrait and longest > SEEN_WHOLE and widest < LARGE * longest:
            faces = placed(self._search(picture, TILES[:1]), faces)
        faces = faces or placed(self._step_back(picture))
        faces = faces or placed(self._search(picture, TILES))
        return sorted(faces, key=lambda face: -float(np.ptp(face.points[:468, 0])))

    def _placed(
        self, picture: Picture, portrait: bool, seen: list[_Candidate], known: Sequence[FoundFace] = ()
    ) -> list[FoundFace]:
        """Return faces that are known, and those of which the landmark network says the same, each face once."""
        faces = [*known]
        for one in sorted(seen, key=lambda one: -one.score):
            if any(_near(one, face.points) for face in faces):
                continue
            points = self.place(picture, one.corners, one.five)
            agree = _agree(one.five, five_points(points))
            if agree and (not portrait or self._same_in_the_mirror(picture, points)):
                faces.append(FoundFace(points, one.score))
        return faces

    def _step_back(self, picture: Picture) -> list[_Candidate]:
        """Look at a picture with a margin around it."""
        margin = round(STEP_BACK * max(picture.shape[:2]))
        return self._detect(np.pad(picture, ((margin, margin), (margin, margin), (0, 0))), -margin, -margin)

    def _search(self, picture: Picture, parts_of: Sequence[int]) -> list[_Candidate]:
        """Look at parts of a picture, of such sizes, see `TILES`."""
        seen: list[_Candidate] = []
        height, width = picture.shape[:2]
        for parts in parts_of:
            for top, left, side in tiles(height, width, parts):
                seen += self._detect(picture[top : top + side, left : left + side], left, top)
        return seen

    def _detect(self, part: Picture, left: int, top: int) -> list[_Candidate]:
        """Return what the detector sees in a part of a picture that begins at a place."""
        import cv2

        shrink = self.size / max(part.shape[:2])
        small = (max(1, round(part.shape[1] * shrink)), max(1, round(part.shape[0] * shrink)))
        how = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
        scale = np.array([part.shape[1] / small[0], part.shape[0] / small[1]], np.float32)
        boxes, fives = self.detector.detect(cv2.resize(part, small, interpolation=how))
        found: list[_Candidate] = []
        for box, five in zip(boxes, fives if fives is not None else ()):
            corners = np.array([[box[i], box[j]] for i in (0, 2) for j in (1, 3)], np.float32)
            # The centres of the first pixels of the two pictures do not coincide.
            both = [(np.asarray(p, np.float32) + 0.5) * scale - 0.5 + [left, top] for p in (corners, five)]
            found.append(_Candidate(*(p.astype(np.float32) for p in both), score=float(box[4])))
        return found

    def embed(self, picture: Picture, points: Float32[ndarray, "478 2"]) -> Float32[ndarray, "512"]:
        """Return the embedding of a face, of unit length.

        Beyond the picture its edge goes on, as in the crops of `identify`: black there would say who it is.

        Args:
            picture: BGR.
            points: The face's.
        """
        matrix = similarity(five_points(points), ARCFACE_POINTS)
        aligned = cut(picture, matrix, RECOGNISER_SIZE, edge=True)
        vector = np.asarray(self.recogniser.get_feat(aligned), np.float32).flatten()
        return vector / max(float(np.linalg.norm(vector)), 1e-8)

    def _same_in_the_mirror(self, picture: Picture, points: Float32[ndarray, "478 2"]) -> bool:
        """Say whether a face has the same points as seen in the mirror; the heads of animals have others."""
        (left, top), (right, bottom) = points.min(0), points.max(0)
        side = int(max(right - left, bottom - top))  # a margin of a face around it, in which it can be upright
        box = [max(0, int(edge)) for edge in (left - side, top - side, right + side, bottom + side)]
        part, corner = picture[box[1] : box[3], box[0] : box[2]], np.array(box[:2], np.float32)
        far, sign = np.array([part.shape[1] - 1, 0], np.float32), np.array([-1, 1], np.float32)
        turned = (far + (points - corner) * sign)[list(MIRROR)].astype(np.float32)
        seen = self.place(np.ascontiguousarray(part[:, ::-1]), turned, five_points(turned), looks=1)
        apart = np.linalg.norm(seen - turned, axis=1).mean()
        return bool(apart <= MOST_UNLIKE * np.linalg.norm(points[FOREHEAD] - points[CHIN]))

    def place(
        self, picture: Picture, around: Float32[ndarray, "k 2"], five: Float32[ndarray, "5 2"], looks: int = LOOKS
    ) -> Float32[ndarray, "478 2"]:
        """Place the points of a face.

        Args:
            picture: BGR.
            around: Points that enclose the face.
            five: Eyes, nose tip and mouth corners.
            looks: How often the network looks.
        """
        import cv2

        net = self.landmarks
        points = np.zeros((0, 2), np.float32)
        for _ in range(looks):
            matrix = upright_square(around, five, LANDMARK_SIZE)
            crop = cut(picture, matrix, LANDMARK_SIZE)
            values = (crop[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) - net.input_mean) / net.input_std
            (seen,) = net.session.run(net.output_names, {net.input_name: np.ascontiguousarray(values)})
            placed = (seen.reshape(-1, 2).astype(np.float32) + 1) * (LANDMARK_SIZE / 2) - 0.5
            points = move(placed, cv2.invertAffineTransform(matrix))
            around, five = points, five_points(points)
        return points


def tiles(height: int, width: int, parts: int) -> Iterator[tuple[int, int, int]]:
    """Yield top, left and side of squares of a picture that overlap by half.

    Args:
        height: Of the picture, pixels.
        width: Of the picture, pixels.
        parts: How many of them go into its longer side, side by side; none where they would be too small.
    """
    side = max(height, width) // parts
    if side >= LEAST_TILE:
        for top in range(0, max(1, height - side // 2), side // 2):
            for left in range(0, max(1, width - side // 2), side // 2):
                yield top, left, side


def _agree(first: ndarray, second: ndarray) -> bool:
    tall = float(np.linalg.norm(second[:2].mean(0) - second[3:].mean(0)))
    return float(np.linalg.norm(first - second, axis=1).mean()) <= MOST_APART * tall


def _near(one: _Candidate, points: Float32[ndarray, "478 2"]) -> bool:
    off = np.linalg.norm(one.corners.mean(0) - points.mean(0))
    return bool(off < SAME_FACE * min(np.ptp(one.corners[:, 0]), np.ptp(points[:468, 0])))
