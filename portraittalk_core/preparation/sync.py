"""Say whether a sound belongs to a face, and put it in time.

SyncNet judges where its weights are named and a stretch is long enough for it; else ADFD does, which needs nothing.
In clips of three seconds ADFD tells a foreign sound from the own one only as long as it may not be moved: in six real
clips with one another's sounds, 2 of 30 reach its limit as they are, and 19 once the best offset is taken out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..metrics.functional import adfd, face_boxes
from ..metrics.functional.sync import SHORTEST_FRAMES
from ..metrics.sync import SyncNetwork, score_sync
from ..topology import IBUG
from ..types import SPEECH_RATE
from .measures import Drop
from .settings import FPS, Limits

SAMPLES = int(SPEECH_RATE / FPS)
"""Of the sound, a frame."""

OWN_ERROR = 1
"""Frames by which ADFD's offset may be wrong: in six real clips it is -1, 0 or 1."""


@dataclass(frozen=True)
class Heard:
    """What was heard in a stretch."""

    sound: Float[Tensor, "n"] | None
    """At 16 kHz, `SAMPLES` a frame, in time with the pictures; None where there is none."""

    facts: dict[str, Any]
    """`by`, `score` and `offset_frames`, which was taken out; {} where nobody speaks."""

    drop: Drop | None = None
    """Why the stretch is left out; None where it is not."""


def sound_of(speech: Float[Tensor, "n"], first: int, stop: int, offset: int = 0) -> Float[Tensor, "m"]:
    """Return the sound of frames, silence where the recording has none.

    Args:
        speech: Of the clip, at 16 kHz.
        first: Of the frames.
        stop: One past the last.
        offset: Frames by which the sound is late.
    """
    begin, end = (first + offset) * SAMPLES, (stop + offset) * SAMPLES
    sound = speech.new_zeros(end - begin)
    low, high = max(begin, 0), min(end, len(speech))
    if high > low:
        sound[low - begin : high - begin] = speech[low:high]
    return sound


def judge(
    points: Float[Tensor, "f 478 2"],
    crops: Iterable[Float[Tensor, "1 3 s s"]],
    side: int,
    speech: Float[Tensor, "n"] | None,
    first: int,
    limits: Limits,
    network: SyncNetwork | None = None,
) -> Heard:
    """Judge the sound of a stretch and put it in time.

    Args:
        points: Of the face, in [-1, 1] of its square.
        crops: The squares, in [-1, 1], one at a time; looked at by SyncNet alone.
        side: Of the squares, pixels.
        speech: Of the whole clip; None where it has no sound.
        first: Frame with which the stretch begins.
        limits: To keep to.
        network: SyncNet; None where there is none.
    """
    stop = first + len(points)
    if speech is None:
        return Heard(None, {}, None if limits.silent else Drop(first / FPS, stop / FPS, "no sound"))
    ibug = (points[:, list(IBUG)] + 1) * (side / 2)
    if network is not None and len(points) >= SHORTEST_FRAMES:
        return _by_syncnet(ibug, crops, speech, first, limits, network)
    return _by_adfd(ibug, speech, first, limits)


def _by_syncnet(
    ibug: Float[Tensor, "f 70 2"],
    crops: Iterable[Float[Tensor, "1 3 s s"]],
    speech: Float[Tensor, "n"],
    first: int,
    limits: Limits,
    network: SyncNetwork,
) -> Heard:
    stop = first + len(ibug)
    score = score_sync(crops, face_boxes(ibug), FPS, sound_of(speech, first, stop), network)
    drop = None
    if score.lse_c < limits.sync_confidence:
        drop = Drop(first / FPS, stop / FPS, "sound does not fit (SyncNet)", score.lse_c, limits.sync_confidence)
    facts = {"by": "SyncNet", "score": round(score.lse_c, 3), "offset_frames": score.offset_frames}
    return Heard(sound_of(speech, first, stop, score.offset_frames), facts, drop)


def _by_adfd(ibug: Float[Tensor, "f 70 2"], speech: Float[Tensor, "n"], first: int, limits: Limits) -> Heard:
    stop = first + len(ibug)
    sound = sound_of(speech, first, stop)
    try:
        score = adfd(ibug, sound, SPEECH_RATE, FPS)
    except BadInput as error:
        return Heard(sound, {}, Drop(first / FPS, stop / FPS, f"no ADFD: {error}"))
    if score.audio is None or score.offset_frames is None:
        return Heard(sound, {}, None if limits.silent else Drop(first / FPS, stop / FPS, "nobody speaks"))
    late, audio = int(score.offset_frames), score.audio
    if OWN_ERROR < abs(late) <= limits.sync_shift:
        sound = sound_of(speech, first, stop, late)
        audio = adfd(ibug, sound, SPEECH_RATE, FPS).audio or 0.0
    else:
        late = 0 if abs(late) <= OWN_ERROR else late
    facts = {"by": "ADFD", "score": round(audio, 3), "offset_frames": late}
    if abs(late) > limits.sync_shift:
        return Heard(sound, facts, Drop(first / FPS, stop / FPS, "sound off (ADFD)", float(late), limits.sync_shift))
    if audio < limits.sync_audio:
        return Heard(sound, facts, Drop(first / FPS, stop / FPS, "sound does not fit (ADFD)", audio, limits.sync_audio))
    return Heard(sound, facts)
