"""Fit where MediaPipe sees its points between the vertices of people, and add it to people/landmarks.json.

    python -m benchmarks.people_landmark_mix --task face_landmarker_v2_with_blendshapes.task --bank runs/people

`benchmarks.people_landmarks` gives each point the vertex that is nearest on average. Here a point becomes a mixture of
its vertex and those of its neighbours, by ridge regression over many people, expressions and poses of a bank, mirrored
ones too; every second person is left out, and judges.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy import ndarray

from portraittalk_core import topology
from portraittalk_core.people import landmarks
from portraittalk_core.training.people.bank import Bank, open_bank

from .parts.mediapipe_judge import Judge
from .parts.program import command_line, say

TABLE = Path(landmarks.__file__).with_name("landmarks.json")
NEIGHBOURS = 8
RIDGE = 3e-4
"""Penalty of a squared share, in squared distances of the eyes."""
MIRROR = np.array(topology.MIRROR)
EYES = [topology.IRISES[0], topology.IRISES[1]]
PARTS = {
    "eyes": [k for eye in topology.EYES for k in eye],
    "lips": [*topology.OUTER_LIPS, *topology.INNER_LIPS],
    "brows": [k for brow in (*topology.BROWS, *topology.LOWER_BROWS) for k in brow],
    "nose": [k for line in topology.NOSE for k in line],
    "outline": [*topology.OVAL],
    "all but the outline": [k for k in range(topology.POINTS) if k not in topology.OVAL],
}


def main() -> None:
    """Fit the mixture and write it."""
    parser = command_line("people_landmark_mix", __doc__)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=2500)
    given = parser.parse_args()
    landmarks.landmark_mix = lambda: np.eye(468, dtype=np.float32)  # not known yet
    bank = open_bank(given.bank, range(90))
    rows, seen = _read(bank, Judge(given.task), given.pictures)
    vertices = bank.landmarks[rows]
    held = bank.person[rows] % 2 == 1
    _report("vertices", vertices[held], seen[held])
    nearest = _neighbours(vertices)
    judged = _mixed(_fit(vertices[~held], seen[~held], nearest), nearest, vertices[held])
    _report("mixed, other people", judged, seen[held])
    shares = _fit(vertices, seen, nearest)
    mix = [[[int(j), round(float(s), 3)] for j, s in zip(*pair, strict=True)] for pair in zip(nearest, shares)]
    table = {"vertices": json.loads(TABLE.read_text())["vertices"], "mix": mix}
    TABLE.write_text(json.dumps(table, separators=(",", ":")) + "\n")


def _read(bank: Bank, judge: Judge, count: int) -> tuple[ndarray, ndarray]:
    """Return numbers of pictures, and what MediaPipe sees in them, in the bank's unit."""
    chosen = np.random.default_rng(0).permutation(len(bank))[:count]
    found = [(i, judge.read(bank.picture(i))) for i in chosen]
    side = bank.picture(0).shape[0]
    known = [(i, reading.points / side * 2 - 1) for i, reading in found if reading is not None]
    say(f"MediaPipe finds {len(known)} of {len(found)} faces")
    return np.array([i for i, _ in known]), np.stack([points for _, points in known])


def _apart(points: ndarray) -> ndarray:
    """Return the distance of the eyes of each face."""
    return np.linalg.norm(points[:, EYES[0]] - points[:, EYES[1]], axis=1)


def _neighbours(points: ndarray) -> ndarray:
    """Return the vertices next to each one on the mean face, mirrored on the other side."""
    centred = points - points.mean(1, keepdims=True)
    mean = (centred / _apart(points)[:, None, None]).mean(0)
    mean = (mean + mean[MIRROR] * [-1, 1])[:468] / 2
    order = np.linalg.norm(mean[:, None] - mean[None], axis=2).argsort(1, kind="stable")[:, 1 : NEIGHBOURS + 1]
    first = np.arange(468) <= MIRROR[:468]
    order[~first] = MIRROR[order[MIRROR[:468][~first]]]
    return order


def _fit(points: ndarray, seen: ndarray, nearest: ndarray) -> ndarray:
    """Return the share of each neighbour, [468, neighbours]; a mirrored point has mirrored ones."""
    both = [(points, seen), (points[:, MIRROR] * [-1, 1], seen[:, MIRROR] * [-1, 1])]
    vertices, wanted = (np.concatenate(rows) for rows in zip(*both))
    size = _apart(vertices)[:, None]
    shares = np.zeros(nearest.shape)
    for k in range(468):
        if k <= MIRROR[k]:
            ways = (vertices[:, nearest[k]] - vertices[:, k : k + 1]) / size[..., None]
            ways = ways.transpose(0, 2, 1).reshape(-1, NEIGHBOURS)
            off = ((wanted[:, k] - vertices[:, k]) / size).reshape(-1)
            gram = ways.T @ ways / len(ways) + RIDGE * np.eye(NEIGHBOURS)
            shares[k] = shares[MIRROR[k]] = np.linalg.solve(gram, ways.T @ off / len(ways))
    return shares


def _mixed(shares: ndarray, nearest: ndarray, points: ndarray) -> ndarray:
    moved = points.copy()
    for k in range(468):
        moved[:, k] += np.einsum("j,njd->nd", shares[k], points[:, nearest[k]] - points[:, k : k + 1])
    return moved


def _report(name: str, points: ndarray, seen: ndarray) -> None:
    error = np.linalg.norm(points - seen, axis=2) / _apart(seen)[:, None] * 100
    say(name, "".join(f", {part} {error[:, k].mean():.1f} %" for part, k in PARTS.items()))


if __name__ == "__main__":
    main()
