"""The motion of a face in a video, to move another face with: found, read, smoothed and put on a video's own times."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, NoFaceFound, WeightsMismatch
from ..perception.framing import CENTRE, SIZE, face_frame
from ..perception.identity import Finder
from ..types import LANDMARKS, Face, FaceMotion
from .head_tracking import STEPS, track_head
from .resampling import at_times, frame_times
from .structure import FaceFitter, FaceShaper

LONGEST_GAP_S = 0.5
"""Seconds without a face up to which nobody is told: a hand that passes, a blurred picture."""

STILLED_S, QUICK_S = 0.06, 0.02
"""Standard deviations of the Gaussians that smooth the head and the expression: points tremble from picture to picture,
a head cannot; but a blink lasts 0.15 s, and lips meet for less."""

FASTEST = 2.0
"""By how many widths of it a face moves in a second at most; one that is further away is somebody else's."""

OFTEN = 0.7
"""Pictures that follow sooner than this, of the time between two frames that are wanted, are not looked at."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FaceTrack:
    """The points of one face in those pictures of a video in which it was found."""

    landmarks: Float[Tensor, "n 478 2"]
    """MediaPipe's points, pixels."""

    times_s: Float[Tensor, "n"]
    """When each picture is shown, seconds from the first picture of the video."""

    duration_s: float
    """How long the video lasts."""

    looked_at: int
    """In how many pictures the face was looked for."""


def follow_face(
    pictures: Iterable[tuple[float, Float[Tensor, "3 h w"]]],
    finder: Finder,
    *,
    face: int = 1,
    fps: float = 25.0,
    name: str = "The driving video",
) -> FaceTrack:
    """Find a face in the pictures of a video, one after the other.

    Args:
        pictures: Times in seconds, not falling, and pictures in [-1, 1].
        finder: Finds the faces of a picture.
        face: Which of several faces in the first picture that has any, 1 the largest; from there the nearest to where
            it was before.
        fps: Frames a second that are wanted in the end; of a video that has many more some are passed over.
        name: What messages call the video.

    Raises:
        NoFaceFound: When no picture has a face, or none as many as asked for.
        WeightsMismatch: When the finder's networks do not know MediaPipe's points.
        BadInput: When there is no picture.
    """
    found: list[tuple[float, Tensor]] = []
    begin = last = seen = None
    step, looked, most = 1 / fps, 0, 0
    for time_s, pixels in pictures:
        begin = time_s if begin is None else begin
        step = step if last is None or time_s <= last else time_s - last
        last = time_s
        if seen is not None and time_s - seen < OFTEN / fps:
            continue
        seen, looked = time_s, looked + 1
        faces = finder.find(pixels)
        most = max(most, len(faces))
        chosen = _chosen(faces, face) if not found else _nearest(faces, found[-1][1], time_s - begin - found[-1][0])
        if chosen is not None:
            found.append((time_s - begin, chosen.landmarks))
    if begin is None or last is None:
        raise BadInput(f"{name} must have at least one picture, but has none. Give another.")
    if not found:
        what = f"must show {face} faces, but shows {most} at most" if most else f"shows no face in {looked} pictures"
        raise NoFaceFound(f"{name} {what}. {finder.hint}")
    if found[0][1].shape != (LANDMARKS, 2):
        raise WeightsMismatch(
            f"what finds faces must place MediaPipe's {LANDMARKS} points, but places {len(found[0][1])}. Use the pack "
            "of the tiny model, or MediaPipe's face landmarker."
        )
    times = torch.tensor([time_s for time_s, _ in found], dtype=torch.float64)
    track = FaceTrack(torch.stack([points for _, points in found]), times, last - begin + step, looked)
    _tell_of_gaps(track, name)
    return track


def driven_motion(
    track: FaceTrack,
    fitter: FaceFitter,
    shaper: FaceShaper,
    *,
    fps: float = 25.0,
    frames: int | None = None,
    name: str = "The driving video",
    steps: int = STEPS,
) -> FaceMotion:
    """Read how a face moves off its points.

    Args:
        track: Of `follow_face`.
        fitter: Gives a first guess of expression and pose.
        shaper: Has the head that is fitted to all pictures together.
        fps: Frames a second of the result.
        frames: How many are wanted: a longer video is cut, a shorter one holds its last frame, with a warning. By
            default as many as the video lasts.
        name: What the warning calls the video.
        steps: See `head_tracking.track_head`.

    Returns:
        Blendshapes and the head; its pose counts from the median of the whole video. Where no face was found, what was
        before goes over into what comes after.

    Raises:
        BadInput: For a rate or a number of frames that is not positive.
    """
    if fps <= 0 or (frames is not None and frames < 1):
        raise BadInput(f"`fps` and `frames` must be above 0, but got {fps} and {frames}. Try 25 frames a second.")
    motion = track_head(_framed(track.landmarks), fps, fitter, shaper, steps)
    wanted = frame_times(track.duration_s, fps, frames, name)
    expression, head = (
        at_times(smoothed(rows, track.times_s, deviation_s), track.times_s, wanted)
        for rows, deviation_s in ((motion.coefficients, QUICK_S), (motion.pose, STILLED_S))
    )
    return replace(motion, coefficients=expression, pose=head)


def _chosen(faces: list[Face], number: int) -> Face | None:
    return faces[number - 1] if len(faces) >= number else None


def _nearest(faces: list[Face], before: Float[Tensor, "478 2"], since_s: float) -> Face | None:
    """Return the face that may be the one that was there before: the nearest, unless nobody moves so fast."""
    middle, size = before.mean(0), float(before[:, 0].max() - before[:, 0].min())
    near = [(float((face.landmarks.mean(0) - middle).norm()), number) for number, face in enumerate(faces)]
    off, number = min(near, default=(0.0, -1))
    return faces[number] if faces and off <= size * (1 + FASTEST * since_s) else None


def _framed(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 478 2"]:
    """Bring points to the units of a picture that frames the face, as it lies most of the time, like a portrait."""
    centre, size = face_frame(landmarks.median(0).values.double().numpy())
    place = torch.from_numpy(centre).to(landmarks)
    return (landmarks - place) * (SIZE / float(size)) + torch.tensor(CENTRE).to(landmarks)


def smoothed(rows: Float[Tensor, "n d"], times_s: Float[Tensor, "n"], deviation_s: float) -> Float[Tensor, "n d"]:
    """Average what was read at nearly the same time, with the weights of a Gaussian.

    Args:
        rows: A row a time.
        times_s: Of the rows, seconds, not falling.
        deviation_s: Standard deviation of the Gaussian, seconds.
    """
    step = float(times_s.diff().clamp(min=1e-3).median()) if len(rows) > 1 else 1.0
    at, total, weights = torch.arange(len(rows)), torch.zeros_like(rows), torch.zeros(len(rows), 1).to(rows)
    reach = min(round(3 * deviation_s / step), len(rows) - 1)
    for offset in range(-reach, reach + 1):
        other = at + offset
        there = (other >= 0) & (other < len(rows))
        other = other.clamp(0, len(rows) - 1)
        share = torch.exp(-0.5 * ((times_s[other] - times_s) / deviation_s).square()).to(rows) * there
        total, weights = total + share[:, None] * rows[other], weights + share[:, None]
    return total / weights


def _tell_of_gaps(track: FaceTrack, name: str) -> None:
    """Warn of stretches without a face that are too long to go unseen."""
    ends = track.times_s.new_tensor([track.duration_s])
    edges = torch.cat([track.times_s.new_zeros(1), track.times_s, ends])
    gaps = edges.diff()
    if float(gaps.max()) > LONGEST_GAP_S:
        longest = int(gaps.argmax())
        logger.warning(
            "%s shows no face in %d of %d pictures, longest from %.2f to %.2f s; the face moves evenly across.",
            name,
            track.looked_at - len(track.times_s),
            track.looked_at,
            float(edges[longest]),
            float(edges[longest + 1]),
        )
