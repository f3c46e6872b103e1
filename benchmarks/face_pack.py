"""The face pack on photographs, with MediaPipe as the truth, as Markdown.

    python -m benchmarks.face_pack --task face_landmarker_v2_with_blendshapes.task --sheet faces.png

Portraits: which faces are found, and how far the points lie from MediaPipe's. Clips: the same over time, how much
points tremble, and how well they follow mouth and lids. Recogniser: every frame of a clip must be nearest to its own
first frame, and a changed portrait to itself.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from portraittalk_core import topology
from portraittalk_core.perception.face import THRESHOLD, FaceAnalyser
from portraittalk_core.perception.face_mesh import FaceMesher

from .parts.photographs import PARTS, clip_frames, close_pictures, compare, drawn, errors, portraits, sheet
from .parts.program import ROOT, command_line, say

OPENINGS = {"lips": ((13, 14),), "lids": ((159, 145), (386, 374))}
"""Pairs of points that move apart."""


def main() -> None:
    """Write the tables."""
    parser = command_line("face_pack", __doc__)
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--pack", type=Path, default=ROOT / "portraittalk_core" / "assets" / "tiny" / "faces")
    parser.add_argument("--media", type=Path, default=ROOT.parent / "shared" / "media")
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--every", type=int, default=3, help="of a clip's frames, one in so many (3)")
    parser.add_argument("--sheet", type=Path, help="picture of the points on the portraits")
    given = parser.parse_args()
    torch.set_num_threads(1)
    analyser, mesher = FaceAnalyser(given.pack, threshold=given.threshold), FaceMesher(given.task)
    _portraits(given, analyser, mesher)
    _clips(given, analyser, mesher)
    _recogniser(given, analyser)
    mesher.close()


def _portraits(given: argparse.Namespace, analyser: FaceAnalyser, mesher: FaceMesher) -> None:
    names = ("portrait", "faces", "found", "others found", "least score", "s", *(f"{part}, %" for part in PARTS))
    say(_row(names))
    say(_row(("---",) * len(names)))
    rows: list[list[float]] = []
    cells: list[ndarray] = []
    for name, pixels in portraits(given.media / "portraits"):
        analyser.find(pixels[:, :64, :64])
        start = time.perf_counter()
        analyser.find(pixels)
        seconds = time.perf_counter() - start
        seen = compare(pixels, mesher, analyser)
        pairs = [(truth, face) for truth, face in zip(seen.truth, seen.found) if face is not None]
        off = [list(errors(face.landmarks.numpy(), truth).values()) for truth, face in pairs]
        rows += [list(np.mean(off, 0))] if off else []
        least = min([face.score for _, face in pairs], default=float("nan"))
        parts = np.mean(off, 0) if off else ()
        say(_row([name, len(seen.truth), len(pairs), len(seen.extra), least, seconds, *parts]))
        both = [(t, None if f is None else f.landmarks.numpy()) for t, f in zip(seen.truth, seen.found)]
        cells += [drawn(pixels, *pair) for pair in both[:3]]
        cells += [drawn(pixels, None, face.landmarks.numpy()) for face in seen.extra][:3]
    say(_row(["mean of the portraits", "", "", "", "", "", *np.mean(rows, 0)]))
    say()
    if given.sheet is not None:
        cv2.imwrite(str(given.sheet), sheet(cells))


def _clips(given: argparse.Namespace, analyser: FaceAnalyser, mesher: FaceMesher) -> None:
    names = ("clip", "frames", "found", "tremble, %", "MediaPipe's", *(f"r of {part}" for part in OPENINGS))
    names += tuple(f"{part}, %" for part in PARTS)
    say(_row(names))
    say(_row(("---",) * len(names)))
    for file in sorted((given.media / "clips").glob("*.mp4")):
        seen = [compare(pixels, mesher, analyser) for pixels in clip_frames(file, given.every)]
        pairs = [(s.truth[0], s.found[0].landmarks.numpy()) for s in seen if s.truth and s.found[0] is not None]
        truth, points = (np.stack(rows) for rows in zip(*pairs))
        off = np.mean([list(errors(p, t).values()) for p, t in zip(points, truth)], 0)
        follows = [np.corrcoef(_opening(points, part), _opening(truth, part))[0, 1] for part in OPENINGS]
        count = sum(bool(s.truth) for s in seen)
        say(_row([file.stem, count, len(pairs), _tremble(points), _tremble(truth), *follows, *off]))
    say()


def _apart(points: ndarray) -> ndarray:
    return np.linalg.norm(points[:, topology.IRISES[0]] - points[:, topology.IRISES[1]], axis=1)


def _opening(points: ndarray, part: str) -> ndarray:
    gaps = [np.linalg.norm(points[:, a] - points[:, b], axis=1) for a, b in OPENINGS[part]]
    return np.mean(gaps, 0) / _apart(points)


def _tremble(points: ndarray) -> float:
    """Return how far points lie from between where they were before and will be, per cent of the eyes' distance."""
    off = points[1:-1] - (points[:-2] + points[2:]) / 2
    return float((np.linalg.norm(off, axis=2) / _apart(points)[1:-1, None]).mean() * 100)


def _recogniser(given: argparse.Namespace, analyser: FaceAnalyser) -> None:
    say(_row(("recogniser", "pictures", "right one first", "own, mean", "own, least", "others, most")))
    say(_row(("---",) * 6))
    clips = sorted((given.media / "clips").glob("*.mp4"))
    frames = [[_vector(analyser, pixels) for pixels in clip_frames(file, 10)] for file in clips]
    gallery = [vectors[0] for vectors in frames]
    _ranked("frames of a clip", gallery, [(i, v) for i, vectors in enumerate(frames) for v in vectors[1:]])
    known = [(name, pixels) for name, pixels in portraits(given.media / "portraits") if analyser.find(pixels)]
    known = [(name, pixels) for name, pixels in known if "group" not in name]
    gallery = [_vector(analyser, pixels) for _, pixels in known]
    changed = [close_pictures(pixels, i) for i, (_, pixels) in enumerate(known)]
    for change in changed[0]:
        queries = [(i, _vector(analyser, pictures[change])) for i, pictures in enumerate(changed)]
        _ranked(f"portraits, {change}", gallery, queries)


def _vector(analyser: FaceAnalyser, pixels: Tensor) -> Tensor:
    faces = analyser.find(pixels)
    return faces[0].embedding if faces else torch.zeros(512)


def _ranked(name: str, gallery: list[Tensor], queries: list[tuple[int, Tensor]]) -> None:
    alike = torch.stack([vector for _, vector in queries]) @ torch.stack(gallery).T
    own = torch.tensor([i for i, _ in queries])
    mine = alike.gather(1, own[:, None])[:, 0]
    others = alike.scatter(1, own[:, None], -1.0)
    right = int((alike.argmax(1) == own).sum())
    figures = [float(v) for v in (mine.mean(), mine.min(), others.max())]
    say(_row([name, len(queries), f"{right} of {len(queries)}", *figures]))


def _row(cells: object) -> str:
    assert isinstance(cells, tuple | list)
    return f"| {' | '.join(f'{c:.2f}' if isinstance(c, float) else str(c) for c in cells)} |"


if __name__ == "__main__":
    main()
