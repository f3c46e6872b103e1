"""Photographs of people, what MediaPipe sees in them, and how far a face pack is from that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from portraittalk_core import topology
from portraittalk_core.media.image import read_image, to_bytes
from portraittalk_core.media.video import read_video
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.perception.face_mesh import FaceMesher
from portraittalk_core.types import Face

PARTS: dict[str, list[int]] = {
    "eyes": [*topology.IRISES, *(k for eye in topology.EYES for k in eye)],
    "lips": [*topology.OUTER_LIPS, *topology.INNER_LIPS],
    "brows": [k for brow in (*topology.BROWS, *topology.LOWER_BROWS) for k in brow],
    "nose": [k for line in topology.NOSE for k in line],
    "all but the outline": [k for k in range(topology.POINTS) if k not in topology.OVAL],
    "outline": [*topology.OVAL],
}
"""Which points make which part."""

SAME_FACE = 0.4
"""Faces whose middles are nearer than this, of their width, are one."""


@dataclass(frozen=True)
class Comparison:
    """What a pack finds in a picture, beside what MediaPipe finds."""

    truth: list[ndarray]
    """MediaPipe's points of each face, pixels."""

    found: list[Face | None]
    """The pack's face for each of these."""

    extra: list[Face]
    """Faces that the pack alone finds."""


def portraits(media: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the pictures of a folder by name, in [-1, 1].

    Args:
        media: The folder.
    """
    for file in sorted(media.iterdir()):
        if file.suffix in (".png", ".jpg"):
            yield file.stem, read_image(file)


def clip_frames(file: Path, every: int = 1) -> Iterator[Tensor]:
    """Yield frames of a video, in [-1, 1].

    Args:
        file: The video.
        every: How many frames a step goes.
    """
    number = 0
    for part in read_video(file, chunk=25)[0]:
        for pixels in part.pixels:
            if number % every == 0:
                yield pixels
            number += 1


def compare(pixels: Tensor, mesher: FaceMesher, analyser: FaceAnalyser) -> Comparison:
    """Find the faces of a picture twice, and pair them.

    Args:
        pixels: In [-1, 1].
        mesher: MediaPipe.
        analyser: The pack.
    """
    truth = [face[:, :2].numpy() for face in mesher.find(pixels)]
    faces = analyser.find(pixels)
    left = list(range(len(faces)))
    found: list[Face | None] = []
    for points in truth:
        near = {k: np.linalg.norm(faces[k].landmarks.mean(0).numpy() - points.mean(0)) for k in left}
        best = min(near, key=lambda k: near[k]) if near else None
        if best is None or near[best] > SAME_FACE * np.ptp(points[:, 0]):
            found.append(None)
            continue
        found.append(faces[best])
        left.remove(best)
    return Comparison(truth, found, [faces[k] for k in left])


def errors(points: ndarray, truth: ndarray) -> dict[str, float]:
    """Return the mean distance of the points of each part, in per cent of the distance of the eyes.

    Args:
        points: [478, 2].
        truth: [478, 2] of the same face.
    """
    apart = np.linalg.norm(truth[topology.IRISES[0]] - truth[topology.IRISES[1]])
    off = np.linalg.norm(points - truth, axis=1) / apart * 100
    return {part: float(off[rows].mean()) for part, rows in PARTS.items()}


def drawn(pixels: Tensor, truth: ndarray | None, points: ndarray | None, side: int = 320) -> ndarray:
    """Return a close-up, BGR in 0..255: MediaPipe's points in red, others in green.

    Args:
        pixels: The picture.
        truth: MediaPipe's points, pixels.
        points: The pack's.
        side: Of the close-up, pixels.
    """
    known = truth if truth is not None else points
    assert known is not None
    low, high = known.min(0), known.max(0)
    scale = side / (1.25 * float((high - low).max()))
    shift = side / 2 - scale * (low + high) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    picture = np.ascontiguousarray(to_bytes(pixels).permute(1, 2, 0).numpy()[..., ::-1])
    crop = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_AREA)
    for marks, colour in ((truth, (60, 60, 255)), (points, (60, 255, 60))):
        for x, y in (marks - 0.5) * scale + shift if marks is not None else ():
            cv2.circle(crop, (round(float(x) * 8), round(float(y) * 8)), 9, colour, -1, cv2.LINE_AA, 3)
    return crop


def sheet(cells: list[ndarray], columns: int = 6) -> ndarray:
    """Lay pictures of one size out in rows.

    Args:
        cells: The pictures.
        columns: In a row.
    """
    blank = np.zeros_like(cells[0])
    cells = cells + [blank] * (-len(cells) % columns)
    return np.concatenate([np.concatenate(cells[i : i + columns], 1) for i in range(0, len(cells), columns)])


def close_pictures(pixels: Tensor, seed: int) -> dict[str, Tensor]:
    """Return a photograph as it may come a second time: mirrored, recoloured, cropped.

    Args:
        pixels: In [-1, 1].
        seed: Of the colours.
    """
    generator = torch.Generator().manual_seed(seed)
    gain = 1 + (torch.rand(3, 1, 1, generator=generator) - 0.5) * 0.5
    height, width = pixels.shape[-2:]
    top, left = round(0.06 * height), round(0.05 * width)
    return {
        "mirrored": pixels.flip(2),
        "recoloured": (((pixels + 1) / 2).clamp(0, 1) ** 0.75 * gain * 2 - 1).clamp(-1, 1),
        "cropped": pixels[:, top : height - top // 3, left : width - left // 2],
    }
