"""Score a face pack on rendered people it was not trained on, through the real `FaceAnalysis`."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ... import topology
from ...perception.face import FaceAnalyser
from ...perception.face_geometry import face_box
from ...types import Face
from ..people.bank import SIZE
from .collage import collage
from .people import People

EYES = [*topology.IRISES, *(k for eye in topology.EYES for k in eye)]

LIPS = [*topology.OUTER_LIPS, *topology.INNER_LIPS]


@dataclass(frozen=True)
class FaceScores:
    """What a pack can do; errors in per cent of the distance of the eyes."""

    recall: float
    """Portraits in which exactly one face was found, where it is."""

    collage_recall: float
    """Faces of at least 24 of 256 pixels found in collages."""

    false_rate: float
    """Wrong boxes a collage without a face."""

    error: float
    """Mean distance of landmarks."""

    eyes_error: float
    """Mean distance of lids and irises."""

    lips_error: float
    """Mean distance of the lips."""

    worst_error: float
    """99th percentile of a portrait's mean error."""

    same: float
    """Top-1 among all people: another frame of the same clip."""

    relit: float
    """Top-1 among all people: another light and camera."""

    edited: float
    """Top-1 among all people: other hair, clothes, beard or glasses."""

    like: float
    """Mean cosine of edited pairs of one person."""

    unlike: float
    """Mean cosine of edited pairs of different people."""

    def rows(self) -> list[tuple[str, float]]:
        """Return the scores by name."""
        return list(asdict(self).items())


def score_faces(analyser: FaceAnalyser, people: People, *, collages: int = 300, seed: int = 0) -> FaceScores:
    """Score a pack on held-out people, and on collages made from their pictures.

    Args:
        analyser: Of the pack.
        people: Held out.
        collages: How many are made.
        seed: Of the collages.
    """
    first = people.first
    views = {"enrolled": first, "same": first + 1, "edited": _first_of(people, 1), "relit": _first_of(people, 2)}
    found = {name: [analyser.find(_pixels(people.bank.picture(int(i)))) for i in rows] for name, rows in views.items()}
    pairs = [(int(i), faces) for name, rows in views.items() for i, faces in zip(rows, found[name])]
    truth = {i: (people.bank.landmarks[i] + 1) * (SIZE / 2) for i, _ in pairs}
    hits = [(i, faces[0]) for i, faces in pairs if len(faces) == 1 and _overlap(faces[0], truth[i]) > 0.5]
    off = np.stack([_error(face.landmarks.numpy(), truth[i]) for i, face in hits])
    collage_recall, false_rate = _score_collages(analyser, people, collages, seed)
    vectors = {name: torch.stack([_vector(faces) for faces in rows]) for name, rows in found.items()}
    alike = vectors["enrolled"] @ vectors["edited"].T
    return FaceScores(
        recall=len(hits) / len(pairs),
        collage_recall=collage_recall,
        false_rate=false_rate,
        error=float(off.mean()),
        eyes_error=float(off[:, EYES].mean()),
        lips_error=float(off[:, LIPS].mean()),
        worst_error=float(np.quantile(off.mean(1), 0.99)),
        same=_top1(vectors["enrolled"] @ vectors["same"].T),
        relit=_top1(vectors["enrolled"] @ vectors["relit"].T),
        edited=_top1(alike),
        like=float(alike.diagonal().mean()),
        unlike=float(alike[~torch.eye(len(alike), dtype=torch.bool)].mean()),
    )


def _first_of(people: People, appearance: int) -> np.ndarray:
    """Return each person's first picture of an appearance, or their first one where there is none."""
    rows = [[i for i in people.rows(k) if people.bank.appearance[i] == appearance] for k in range(len(people))]
    return np.array([found[0] if found else people.first[k] for k, found in enumerate(rows)])


def _error(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    apart = np.linalg.norm(truth[topology.IRISES[0]] - truth[topology.IRISES[1]])
    return np.linalg.norm(points - truth, axis=1) / apart * 100


def _vector(faces: list[Face]) -> Tensor:
    return faces[0].embedding if faces else torch.zeros(512)


def _score_collages(analyser: FaceAnalyser, people: People, count: int, seed: int) -> tuple[float, float]:
    """Return the share of faces found, and wrong boxes a picture without any face."""
    rng = np.random.default_rng([seed, 9])
    there = seen = empty = wrong = 0
    for _ in range(count):
        made = collage(rng, people)
        found = analyser.find(_pixels(made.picture))
        if not made.faces and not made.ignored:
            empty, wrong = empty + 1, wrong + len(found)
        for points in made.faces:
            box = face_box(points)
            if min(box[2] - box[0], box[3] - box[1]) >= 24:
                there += 1
                seen += any(_overlap(face, points + 0.5) > 0.5 for face in found)
    return seen / max(there, 1), wrong / max(empty, 1)


def _top1(alike: Tensor) -> float:
    return float((alike.argmax(1) == torch.arange(len(alike))).float().mean())


def _pixels(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float() / 127.5 - 1


def _overlap(face: Face, points: np.ndarray) -> float:
    """Return intersection over union of a found box and the true one."""
    a, b = face.box.numpy(), face_box(points)
    shared = (np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).clip(0).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))
