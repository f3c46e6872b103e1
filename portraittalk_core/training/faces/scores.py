"""Score a face pack on people it was not trained on, through the real `FaceAnalysis`."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ...perception.face import FaceAnalyser
from ...types import Face
from .collage import collage
from .data import SIDE, Album, face_box

MOUTH, IRISES = slice(48, 68), slice(68, 70)


@dataclass(frozen=True)
class FaceScores:
    """What a pack can do; distances in pixels of a 256x256 portrait."""

    recall: float
    """Portraits in which exactly one face was found, where it is."""

    collage_recall: float
    """Faces of at least 24 of 256 pixels found in collages."""

    false_rate: float
    """Wrong boxes a collage without a face."""

    error: float
    """Mean distance of landmarks."""

    mouth_error: float
    """Mean distance of the mouth's."""

    iris_error: float
    """Mean distance of the irises."""

    worst_error: float
    """99th percentile of a portrait's mean error."""

    same: float
    """Top-1 among all people, pictures with the same attributes."""

    edited: float
    """Top-1 among all people, pictures with edited attributes."""

    like: float
    """Mean cosine of edited pairs of one person."""

    unlike: float
    """Mean cosine of edited pairs of different people."""

    unlike_worst: float
    """99.9th percentile of that."""

    def rows(self) -> list[tuple[str, float]]:
        """Return the scores by name."""
        return list(asdict(self).items())


def score_faces(analyser: FaceAnalyser, album: Album, *, collages: int = 300, seed: int = 0) -> FaceScores:
    """Score a pack on held-out people, and on collages made from their pictures.

    Args:
        analyser: Of the pack.
        album: Each person with at least three views.
        collages: How many are made.
        seed: Of the collages.
    """
    found = [analyser.find(_pixels(album.picture(i))) for i in range(len(album.points))]
    truth = torch.from_numpy((album.points + 1) * (SIDE / 2))
    hits = [i for i, faces in enumerate(found) if len(faces) == 1 and _overlap(faces[0], truth[i]) > 0.5]
    errors = torch.stack([(found[i][0].landmarks - truth[i]).norm(dim=1) for i in hits])
    collage_recall, false_rate = _score_collages(analyser, album, collages, seed)
    vectors = torch.stack([faces[0].embedding if faces else torch.zeros(512) for faces in found])
    views = vectors.view(album.people, album.views, -1)
    alike = views[:, 0] @ views[:, 2].T
    others = alike[~torch.eye(album.people, dtype=torch.bool)]
    return FaceScores(
        recall=len(hits) / len(found),
        collage_recall=collage_recall,
        false_rate=false_rate,
        error=float(errors.mean()),
        mouth_error=float(errors[:, MOUTH].mean()),
        iris_error=float(errors[:, IRISES].mean()),
        worst_error=float(errors.mean(1).quantile(0.99)),
        same=_top1(views[:, 0], views[:, 1]),
        edited=_top1(views[:, 0], views[:, 2]),
        like=float(alike.diagonal().mean()),
        unlike=float(others.mean()),
        unlike_worst=float(others.quantile(0.999)),
    )


def _score_collages(analyser: FaceAnalyser, album: Album, count: int, seed: int) -> tuple[float, float]:
    """Return the share of faces found, and wrong boxes a picture without any face."""
    rng = np.random.default_rng([seed, 9])
    there = seen = empty = wrong = 0
    for _ in range(count):
        picture, faces = collage(rng, album)
        found = analyser.find(_pixels(picture))
        if not faces:
            empty, wrong = empty + 1, wrong + len(found)
        for points in faces:
            box = face_box(points)
            if min(box[2] - box[0], box[3] - box[1]) >= 24:
                there += 1
                seen += any(_overlap(face, torch.from_numpy(points).float()) > 0.5 for face in found)
    return seen / max(there, 1), wrong / max(empty, 1)


def _top1(first: Tensor, second: Tensor) -> float:
    return float(((first @ second.T).argmax(1) == torch.arange(len(first))).float().mean())


def _pixels(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 127.5 - 1


def _overlap(face: Face, points: Tensor) -> float:
    """Return intersection over union of a found box and the true one."""
    a, b = face.box, torch.from_numpy(face_box(points.numpy()))
    low, high = torch.maximum(a[:2], b[:2]), torch.minimum(a[2:], b[2:])
    shared = (high - low).clamp(min=0).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))
