"""What ADFD Score does, beyond one call of the core."""

from __future__ import annotations

import torch
from torch import Tensor

from ..portraittalk_core.errors import BadInput, NoFaceFound
from ..portraittalk_core.evaluation.tracks import PackFinder, PictureFinder, track_video
from ..portraittalk_core.media.audio import speech_waveform
from ..portraittalk_core.metrics.functional import AdfdScore, adfd
from ..portraittalk_core.types import SPEECH_RATE, Frames, Sound
from . import convert

_PARTS = ("spatial", "temporal", "audio", "stillness")


@torch.no_grad()
def score(faces: PictureFinder, images: Tensor, sound: Sound, fps: float) -> AdfdScore:
    """Return ADFD of IMAGE [n, h, w, c] with its sound. Raises `NoFaceFound`, and `BadInput` where nobody speaks."""
    chunks = (Frames(torch.stack(convert.pictures(images[i : i + 8])), fps) for i in range(0, len(images), 8))
    track = track_video(chunks, fps, PackFinder(faces, "of the model"))
    if track.seen < 2:
        raise NoFaceFound(
            f"ADFD: unscored, a face must be seen in 2 of the {len(images)} pictures, but was in {track.seen}. "
            f"{faces.hint}"
        )
    found = adfd(track.landmarks, speech_waveform(sound), SPEECH_RATE, fps)
    if found.audio is None:
        raise BadInput("ADFD: unscored, somebody must speak while the face is seen, but the sound holds no speech.")
    return found


def summary(found: AdfdScore) -> tuple[float, float, int, str]:
    """Return score, audio part, offset in frames, and a few lines to read."""
    offset = int(found.offset_frames or 0)
    late = "in time" if offset == 0 else f"{'late' if offset > 0 else 'early'} by {abs(offset)}"
    values = [(name, getattr(found, name)) for name in _PARTS]
    lines = [
        f"ADFD {found.score:.3f} over {found.seconds:.1f} s (our own definition, docs/adfd.md)",
        *(f"{name}: {'unscored' if value is None else format(value, '.3f')}" for name, value in values),
        f"sound: {late}{'' if offset == 0 else ' frames' if abs(offset) > 1 else ' frame'}",
        *found.notes,
    ]
    return found.score, found.audio or 0.0, offset, "\n".join(lines)
