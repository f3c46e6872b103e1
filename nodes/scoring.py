"""What ADFD Score does, beyond one call of the core."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.utils
import torch
from jaxtyping import Float
from torch import Tensor

from ..portraittalk_core.errors import BadInput, NoFaceFound
from ..portraittalk_core.evaluation.scoring.curves import curves
from ..portraittalk_core.evaluation.scoring.tracks import PackFinder, PictureFinder, Track, track_video
from ..portraittalk_core.media.audio import speech_waveform
from ..portraittalk_core.media.image import resize
from ..portraittalk_core.metrics.functional import AdfdScore, adfd, face_boxes
from ..portraittalk_core.metrics.functional.dynamics import facial_dynamics
from ..portraittalk_core.metrics.plot import Agreement, describe_offset, draw_score
from ..portraittalk_core.metrics.sync import SyncNetwork, score_sync
from ..portraittalk_core.types import SPEECH_RATE, Frames, Sound
from . import convert

if TYPE_CHECKING:
    from comfy_api.latest import io

PREVIEWS, PREVIEW_SIDE = 50, 256
"""Frames shown on the node at most (a longer video is thinned out), and their longer side."""

AT_ONCE = 8
"""Pictures between which the bar moves and the host may interrupt."""

_PARTS = ("spatial", "temporal", "audio", "stillness")


@dataclass(frozen=True)
class Scored:
    """A score, and what it was taken from."""

    score: AdfdScore
    """The score."""

    track: Track
    """The face in the video."""

    waveform: Float[Tensor, "n"]
    """The sound, mono at 16 kHz."""

    truth: bool = False
    """Whether a ground truth was given."""

    lse: str = ""
    """A line of LSE, or why there is none; empty where it was not asked for."""


@torch.no_grad()
def score(
    faces: PictureFinder,
    images: Tensor,
    sound: Sound,
    fps: float,
    truth: Tensor | None = None,
    network: SyncNetwork | None = None,
) -> Scored:
    """Score a video.

    Args:
        faces: Finds faces in pictures.
        images: IMAGE [n, h, w, c] of the video.
        sound: That belongs to it.
        fps: Frames a second.
        truth: IMAGE of the true video, where there is one.
        network: SyncNet, for LSE beside the score.

    Returns:
        The score.

    Raises:
        NoFaceFound: For fewer than two pictures with a face.
        BadInput: Where nobody speaks.
    """
    finder = PackFinder(faces, "of the model")
    track = _track(finder, images, fps, "images")
    reference = None if truth is None else _track(finder, truth, fps, "ground_truth").landmarks
    waveform = speech_waveform(sound)
    found = adfd(track.landmarks, waveform, SPEECH_RATE, fps, reference)
    if found.audio is None:
        raise BadInput("ADFD: unscored, speech must be heard while the face is seen, but the sound holds no speech.")
    lse = "" if network is None else _lse(images, track, waveform, network)
    return Scored(found, track, waveform, truth is not None, lse)


def _lse(images: Tensor, track: Track, waveform: Tensor, network: SyncNetwork) -> str:
    chunks = (part.pixels for part in _parts(images, track.fps))
    try:
        found = score_sync(chunks, face_boxes(track.landmarks), track.fps, waveform, network)
    except BadInput as error:  # too short for this score, which is no reason to give up the other
        return str(error)
    return f"LSE-C {found.lse_c:.2f}, LSE-D {found.lse_d:.2f} (SyncNet v2), {describe_offset(found.offset_frames)}"


def _parts(images: Tensor, fps: float) -> Iterator[Frames]:
    bar = comfy.utils.ProgressBar(len(images))
    for begin in range(0, len(images), AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield Frames(torch.stack(convert.pictures(images[begin : begin + AT_ONCE])), fps)
        bar.update_absolute(min(begin + AT_ONCE, len(images)))


def _track(finder: PackFinder, images: Tensor, fps: float, name: str) -> Track:
    track = track_video(_parts(images, fps), fps, finder)
    if track.seen < 2:
        raise NoFaceFound(
            f"ADFD: unscored, a face must be seen in 2 of the {len(images)} pictures of `{name}`, but was in "
            f"{track.seen}. {finder.faces.hint}"
        )
    return track


def summary(scored: Scored) -> tuple[float, float, int, str]:
    """Return score, audio part, offset in frames, and a few lines to read."""
    found = scored.score
    values = [(name, getattr(found, name)) for name in _PARTS]
    against = ", against the ground truth" if scored.truth else ""
    lines = [
        f"ADFD {found.score:.3f} over {found.seconds:.1f} s{against} (our own definition, docs/adfd.md)",
        *(f"{name}: {'unscored' if value is None else format(value, '.3f')}" for name, value in values),
        describe_offset(found.offset_frames),
        *([scored.lse] if scored.lse else []),
        *found.notes,
    ]
    if scored.track.crowded:
        lines.append(f"{scored.track.crowded} frames show more than one face; the first one is followed")
    return found.score, found.audio or 0.0, int(found.offset_frames or 0), "\n".join(lines)


def plot(scored: Scored) -> Tensor:
    """Return IMAGE of the score, its parts, and mouth against voice over time."""
    track = scored.track
    dynamics = facial_dynamics(track.landmarks, scored.waveform, SPEECH_RATE, track.fps)
    agreement = Agreement(dynamics.lags_s, dynamics.curve, track.fps)
    return convert.images(draw_score(scored.score, curves(track, scored.waveform), agreement)[None])


def player(scored: Scored, images: Tensor, node: type[io.ComfyNode]) -> dict[str, object]:
    """Return what the node shows: some frames of the video, and the curves of mouth and voice below them."""
    from comfy_api.latest import ui

    count, track = len(images), scored.track
    chosen = torch.linspace(0, count - 1, min(count, PREVIEWS)).round().long()
    pixels = torch.stack(convert.pictures(images[chosen]))
    shrink = min(1.0, PREVIEW_SIDE / max(track.height, track.width))
    if shrink < 1:
        pixels = resize(pixels, *(max(1, round(side * shrink)) for side in (track.height, track.width)))
    shown = {
        "fps": track.fps,
        "frames": count,
        "pictures": len(pixels),
        "adfd": round(scored.score.score, 4),
        "offset": int(scored.score.offset_frames or 0),
        **curves(track, scored.waveform),
    }
    return {"portraittalk_score": [shown], **ui.PreviewImage(convert.images(pixels), cls=node).as_dict()}
