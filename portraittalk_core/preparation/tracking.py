"""Follow one face through a clip and find the stretches that show it without a break."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import BadInput, BadMedia
from ..evaluation.scoring.tracks import Finder, FindNext, Sighting
from ..types import LANDMARKS
from .cuts import ChangeMeter
from .decoding import Picture, pixels_of
from .measures import face_sharpness

LONGEST_GAP = 2
"""Frames without the face that are filled in between those beside them; a longer gap ends the stretch."""

JUMP = 0.5
"""A face whose middle moves further from one frame to the next, in its widths, is another."""

_SURFACE = 468


@dataclass(frozen=True)
class Seen:
    """What was seen in a frame."""

    sightings: tuple[Sighting, ...]
    """Its faces, the largest first."""

    sharpness: tuple[float, ...]
    """Of each, see `face_sharpness`."""

    change: float
    """By how much the picture differs from the one before, see `ChangeMeter`."""

    repeated: bool
    """Whether it is the one before once more."""


@dataclass(frozen=True)
class Look:
    """All frames of a clip, looked at once."""

    frames: tuple[Seen, ...]
    """In order."""

    height: int
    """Of the pictures, pixels."""

    width: int
    """Of the pictures, pixels."""

    damage: str = ""
    """Why reading ended early; empty where it did not."""


@dataclass(frozen=True)
class Stretch:
    """Frames of a clip that show one face."""

    first: int
    """The first frame."""

    points: Float[Tensor, "f 478 2"]
    """In pixels of the picture; short gaps filled in."""

    sharpness: Float[Tensor, "f"]
    """Of the face."""

    seen: Bool[Tensor, "f"]
    """Where the face was found."""

    sure: Bool[Tensor, "f"]
    """Where the detector was sure of it."""

    rival: Bool[Tensor, "f"]
    """Where another face was at least half as wide."""

    repeated: Bool[Tensor, "f"]
    """Where a frame repeats the one before."""

    def __len__(self) -> int:
        return len(self.points)

    @property
    def stop(self) -> int:
        """One past the last frame."""
        return self.first + len(self)

    def part(self, first: int, stop: int) -> Stretch:
        """Return a part.

        Args:
            first: Of the clip's frames.
            stop: One past the last.
        """
        rows = slice(first - self.first, stop - self.first)
        names = ("points", "sharpness", "seen", "sure", "rival", "repeated")
        return replace(self, first=first, **{name: getattr(self, name)[rows] for name in names})


def look(frames: Iterable[tuple[Picture, bool]], fps: float, finder: Finder) -> Look:
    """Find the faces of every frame.

    Args:
        frames: Of `decoding.frames_by_time`.
        fps: Their rate.
        finder: Places MediaPipe's points.

    Raises:
        BadMedia: When there is no frame at all.
        BadInput: When the finder places other points.
    """
    rows: list[Seen] = []
    meter, damage = ChangeMeter(), ""
    size: tuple[int, ...] = (0, 0)
    with finder.video(fps) as find:
        try:
            for picture, repeated in frames:
                size = picture.shape[:2]
                again = repeated and bool(rows)
                rows.append(replace(rows[-1], change=0.0, repeated=True) if again else _seen(picture, find, meter))
        except BadMedia as error:
            if not rows:
                raise
            damage = str(error)
    if not rows:
        raise BadMedia("The video must have at least one picture, but none can be decoded. Export it again.")
    return Look(tuple(rows), size[0], size[1], damage)


def _seen(picture: Picture, find: FindNext, meter: ChangeMeter) -> Seen:
    found = find(pixels_of(picture))
    if found and found[0].mesh is None:
        raise BadInput(
            f"`--faces` must place MediaPipe's {LANDMARKS} points, but does not. Leave it out, or name a .task."
        )
    sharp = tuple(face_sharpness(picture, _points(face).numpy()) for face in found)
    return Seen(tuple(replace(face, embedding=None) for face in found), sharp, meter(picture), False)


def _points(face: Sighting) -> Float[Tensor, "478 2"]:
    assert face.mesh is not None
    return face.mesh.float()


def stretches(seen: Look, cuts: Sequence[int]) -> list[Stretch]:
    """Return the stretches of a clip that show one face each, in order.

    In each shot the largest face of its first frame is followed.

    Args:
        seen: The clip.
        cuts: Frames with which a new shot begins.
    """
    edges = sorted({0, len(seen.frames), *(cut for cut in cuts if 0 < cut < len(seen.frames))})
    found: list[Stretch] = []
    for first, stop in pairwise(edges):
        found += _in_shot(seen.frames[first:stop], first)
    return found


def _in_shot(frames: Sequence[Seen], first: int) -> list[Stretch]:
    found: list[Stretch] = []
    run: list[tuple[int, int]] = []  # frame and face
    for number, frame in enumerate(frames):
        last = _points(frames[run[-1][0]].sightings[run[-1][1]]) if run else None
        chosen = _next(frame, last)
        if run and (number - run[-1][0] > LONGEST_GAP + (chosen is not None) or (chosen is None and frame.sightings)):
            found.append(_stretch(frames, run, first))
            run = []
            chosen = _next(frame, None)
        if chosen is not None:
            run.append((number, chosen))
    return found + ([_stretch(frames, run, first)] if run else [])


def _next(frame: Seen, last: Float[Tensor, "478 2"] | None) -> int | None:
    """Return which face of a frame goes on where a face was; None for none. Without one before, the largest."""
    if not frame.sightings or last is None:
        return 0 if frame.sightings else None
    apart = [float((_points(face).mean(0) - last.mean(0)).norm()) for face in frame.sightings]
    nearest = int(np.argmin(apart))
    return nearest if apart[nearest] <= JUMP * face_width(last[None]).item() else None


def _stretch(frames: Sequence[Seen], run: list[tuple[int, int]], first: int) -> Stretch:
    begin, count = run[0][0], run[-1][0] - run[0][0] + 1
    known = {number - begin: (frames[number], face) for number, face in run}
    at = sorted(known)
    rows = np.stack([_points(known[k][0].sightings[known[k][1]]).numpy().ravel() for k in at])
    every = np.arange(count)
    points = np.stack([np.interp(every, at, rows[:, column]) for column in range(rows.shape[1])], 1)
    sharp = np.interp(every, at, [known[k][0].sharpness[known[k][1]] for k in at])
    sure = [k in known and known[k][0].sightings[known[k][1]].sure for k in every.tolist()]
    return Stretch(
        first=first + begin,
        points=torch.from_numpy(points.reshape(count, LANDMARKS, 2)).float(),
        sharpness=torch.from_numpy(sharp).float(),
        seen=torch.tensor([k in known for k in every.tolist()]),
        sure=torch.tensor(sure),
        rival=torch.tensor([k in known and _has_rival(*known[k]) for k in every.tolist()]),
        repeated=torch.tensor([frames[begin + k].repeated for k in every.tolist()]),
    )


def _has_rival(frame: Seen, face: int) -> bool:
    width = face_width(_points(frame.sightings[face])[None])
    others = [_points(other)[None] for k, other in enumerate(frame.sightings) if k != face]
    return any(bool(face_width(other) >= width / 2) for other in others)


def face_width(points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    """Return how wide faces are, in the unit of their points.

    Args:
        points: MediaPipe's.
    """
    across = points[:, :_SURFACE, 0]
    return across.amax(1) - across.amin(1)


def pieces(stretch: Stretch, longest: int) -> list[Stretch]:
    """Cut a stretch into equal parts that are not too long.

    Args:
        stretch: Of any length.
        longest: Frames of a part, at most.
    """
    count = -(-len(stretch) // longest)
    edges = [stretch.first + round(k * len(stretch) / count) for k in range(count + 1)]
    return [stretch.part(a, b) for a, b in pairwise(edges)]
