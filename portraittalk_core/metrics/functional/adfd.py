"""ADFD, Audio-Driven Facial Dynamics: does a face move as the voice says? Our definition.

The PortraitTalk paper (arXiv 2412.07754) names a score ADFD that judges spatial and temporal facial dynamics together,
aligned with the audio, but its equation is not public. What stands here is defined by us and explained, with the
evidence for every choice, in docs/adfd.md; its figures cannot be compared with the papers'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .dynamics import BLUR_S, NATURAL_LAG_S, Dynamics, facial_dynamics
from .landmarks import align, check_track, known_frames, mean_face
from .signals import GRID_HZ, smooth, velocity

_ARTICULATION = 0.05  # usual deviation of the lips, interocular distances per unit of deviation of the voice
_ARTICULATION_FACTOR = 3.0
_FACE_MOVES = 0.002
_LIPS_HZ, _LIPS_POWER = 5.0, 8
_FACE_JITTER, _HEAD_JITTER = 0.004, 0.005
_FREEZE = 0.03
_BELIEF = 0.04
_LAG_WIDTH_S = 0.08
_AGREEMENT = 3.0
_SILENT_SPEED, _USUAL_SPEED = 0.5, 0.1
_ENOUGH_S = 1.0
_LENGTH_S = 0.1


@dataclass(frozen=True)
class AdfdScore:
    """ADFD of a clip and its parts, each in [0, 1], higher is better; None where a part cannot be scored."""

    score: float
    """The geometric mean of the parts; see `combine`."""

    spatial: float | None
    """Does the face articulate as much as the voice asks for, or as the reference does? None where nobody speaks."""

    temporal: float | None
    """Does it move without jerk, jitter or freezing?"""

    audio: float | None
    """Does the mouth follow the voice in time? None where nobody speaks."""

    stillness: float | None
    """Is the mouth still in silence? None where there is no silence."""

    offset_frames: float | None
    """Whole frames by which the sound is late, below 0 where it is early; None where nobody speaks."""

    offset_s: float | None
    """The same in seconds, not rounded."""

    seconds: float
    """How much was scored."""

    voiced_s: float
    """Seconds of it that are surely speech."""

    silent_s: float
    """Seconds of it that are surely silence."""

    notes: tuple[str, ...] = ()
    """What the reader should know, a line each."""


def adfd(
    landmarks: Float[Tensor, "f p 2"],
    audio: Float[Tensor, "n"],
    sample_rate: int,
    fps: float,
    reference: Float[Tensor, "f p 2"] | None = None,
) -> AdfdScore:
    """Score how a face moves to a voice. What is longer, picture or sound, is cut.

    With a reference, *spatial* is the likeness to it and the other parts are divided by what the reference reaches (at
    most 1), so that the reference itself scores exactly 1.

    Args:
        landmarks: [frames, 70 or 68, 2], iBUG's order, any scale with square pixels, NaN rows where there is no face.
        audio: One channel in [-1, 1].
        sample_rate: Of the audio, Hz, at least 4000.
        fps: Frames a second; frame i lasts from i / fps.
        reference: The track of the true video at the same fps, if there is one.

    Raises:
        BadInput: For fewer than two frames with a face, NaN in the sound, or shapes that are no track.
    """
    dynamics = facial_dynamics(landmarks, audio, sample_rate, fps)
    parts = score_parts(dynamics)
    notes = _notes(landmarks, len(audio) / sample_rate, fps, reference)
    if reference is not None:
        true = score_parts(facial_dynamics(reference, audio, sample_rate, fps))
        parts = {name: _relative(value, true[name]) for name, value in parts.items()}
        parts["spatial"] = likeness(landmarks, reference)
    voiced_s, silent_s = (float(mask.sum()) / GRID_HZ for mask in (dynamics.voiced, dynamics.silent))
    if parts["audio"] is None:
        notes.append("nobody speaks while the face is seen: articulation and audio are unscored")
    if parts["stillness"] is None:
        notes.append("no silence while the face is seen: stillness is unscored")
    offset_s = None if parts["audio"] is None else best_offset_s(dynamics)
    return AdfdScore(
        score=combine(parts, silent_s),
        **parts,
        offset_frames=None if offset_s is None else float(round(offset_s * fps)),
        offset_s=offset_s,
        seconds=(len(dynamics.known) - 1) / GRID_HZ,
        voiced_s=voiced_s,
        silent_s=silent_s,
        notes=tuple(notes),
    )


def combine(parts: dict[str, float | None], silent_s: float) -> float:
    """Return the geometric mean of the parts that could be scored: one that fails cannot be bought back by the others.

    All count alike: weights gained nothing (docs/adfd.md). Only stillness counts the less the shorter the silence is,
    below a second, so that a breath does not decide.

    Args:
        parts: In [0, 1] by name; None for one that cannot be scored.
        silent_s: How much silence the clip has, seconds.

    Returns:
        In [0, 1]; 0 where no part could be scored. A part of 0 counts as 1e-6.
    """
    total = weights = 0.0
    for name, value in parts.items():
        if value is not None:
            weight = min(1.0, silent_s / _ENOUGH_S) if name == "stillness" else 1.0
            total += weight * math.log(max(value, 1e-6))
            weights += weight
    return math.exp(total / weights) if weights else 0.0


def score_parts(dynamics: Dynamics) -> dict[str, float | None]:
    """Return the parts of a clip without a reference, by name; None for one that cannot be scored.

    Args:
        dynamics: Signals of the clip.
    """
    spoken = bool(dynamics.voiced.sum() >= 0.3 * GRID_HZ)
    return {
        "spatial": _spatial(dynamics) if spoken else None,
        "temporal": _temporal(dynamics, spoken),
        "audio": _audio(dynamics) if spoken else None,
        "stillness": _stillness(dynamics),
    }


def likeness(landmarks: Float[Tensor, "f p 2"], reference: Float[Tensor, "f p 2"]) -> float:
    """Return `exp(-d / a)`: d is the distance of the lips from the reference's, a how far those stray from their mean.

    Root mean squares over the frames in which both have a face; head pose and size are taken out of both with the mean
    face of the reference.

    Args:
        landmarks: [frames, 70 or 68, 2], any scale.
        reference: Likewise, at the same frame rate; the longer of the two is cut.

    Returns:
        In [0, 1]: 1 for the reference itself, about 0.37 for lips that rest at its mean, 0 where the two never have a
        face at once.

    Raises:
        BadInput: For shapes that are no track, or a reference without a face.
    """
    frames = min(len(landmarks), len(reference))
    face = mean_face(reference)
    made, true = (align(check_track(track[:frames]), face)[:, 48:68] for track in (landmarks, reference))
    both = known_frames(made) & known_frames(true)
    if not bool(both.any()):
        return 0.0
    made, true = made[both], true[both]
    distance = (made - true).square().sum(-1).mean().sqrt()
    amplitude = (true - true.mean(0)).square().sum(-1).mean().sqrt().clamp(min=0.002)
    return float(torch.exp(-distance / amplitude))


def best_offset_s(dynamics: Dynamics) -> float:
    """Return by how many seconds the sound is late: the peak of the curve, between its samples by a parabola.

    Args:
        dynamics: Signals of the clip.
    """
    curve, lags = dynamics.curve, dynamics.lags_s
    peak = int(curve.argmax())
    shift = 0.0
    if 0 < peak < len(curve) - 1:
        left, middle, right = curve[peak - 1 : peak + 2].tolist()
        bend = left - 2 * middle + right
        shift = 0.5 * (left - right) / bend if bend < -1e-12 else 0.0
    return float(lags[peak]) + shift * float(lags[1] - lags[0]) - NATURAL_LAG_S


def _rms(values: Tensor) -> float:
    return math.sqrt(float(values.square().mean())) if values.numel() else 0.0


def _spatial(dynamics: Dynamics) -> float:
    """Compare the articulation of the lips with what the voice asks for; brows and eyes add a quarter."""
    near = dynamics.voice.near_speech & dynamics.known
    lips, face = (smooth(part, BLUR_S) for part in (dynamics.lips, dynamics.face))
    asked = _ARTICULATION * float(dynamics.voice.level[near].std(correction=0))
    ratio = _rms((lips - smooth(lips, 1.0))[near]) / max(asked, 1e-6)
    mouth = 1 / (1 + (math.log(max(ratio, 1e-6)) / math.log(_ARTICULATION_FACTOR)) ** 4)
    moves = _rms((face - smooth(face, 1.0))[near])
    return mouth * (0.75 + 0.25 * moves**2 / (moves**2 + _FACE_MOVES**2))


def _temporal(dynamics: Dynamics, spoken: bool) -> float:
    """Judge velocity and acceleration, the mouth and the rest of the head apart."""
    known = dynamics.known
    speed = velocity(smooth(dynamics.lips, BLUR_S))
    moving, bending = _rms(speed[known]), _rms(velocity(speed)[known])
    hertz = bending / moving / (2 * math.pi) if moving > 1e-4 else 0.0
    mouth = 1 / (1 + (hertz / _LIPS_HZ) ** _LIPS_POWER)
    if spoken:
        local = smooth(speed.square().mean(1, keepdim=True), 0.2)[:, 0][dynamics.voiced]
        mouth *= float((local / (local + _FREEZE**2)).mean())
    brows_and_eyes = _steadiness(dynamics.face, known, _FACE_JITTER)
    return math.sqrt(mouth * brows_and_eyes * _steadiness(dynamics.head, known, _HEAD_JITTER))


def _steadiness(values: Float[Tensor, "t d"], known: Bool[Tensor, "t"], scale: float) -> float:
    """Return 1 for motion that is smooth at the scale of frames, falling with what a short blur takes away."""
    short = smooth(values, BLUR_S / 2)
    return 1 / (1 + (_rms((short - smooth(short, 1.5 * BLUR_S))[known]) / scale) ** 2)


def _audio(dynamics: Dynamics) -> float:
    """Weigh every lag by how much the curve speaks for it; ask for agreement there and for the lag to be natural."""
    belief = torch.softmax(dynamics.curve / _BELIEF, 0)
    agreement = float((belief * dynamics.curve).sum())
    late = (dynamics.lags_s - NATURAL_LAG_S) / _LAG_WIDTH_S
    timing = float((belief / (1 + late.square())).sum())
    return max(0.0, math.tanh(_AGREEMENT * agreement)) * timing


def _stillness(dynamics: Dynamics) -> float | None:
    """Compare the speed of the lips in silence with that in speech, or with what is usual where they speak slower."""
    silent = dynamics.silent
    if not bool(silent.any()):
        return None
    speed = velocity(smooth(dynamics.lips, BLUR_S))
    usual = max(_rms(speed[dynamics.voiced]), _USUAL_SPEED)
    square = float((speed.square().mean(1) * silent).sum() / silent.sum())
    return 1 / (1 + square / (usual * _SILENT_SPEED) ** 2)


def _relative(value: float | None, true: float | None) -> float | None:
    return None if value is None or true is None else min(1.0, (value + 0.02) / (true + 0.02))


def _notes(landmarks: Tensor, sound_s: float, fps: float, reference: Tensor | None) -> list[str]:
    notes = []
    missing = int((~known_frames(landmarks)).sum())
    if missing:
        notes.append(f"{missing} of {len(landmarks)} frames have no face; they do not count")
    picture_s = len(landmarks) / fps
    if abs(picture_s - sound_s) > _LENGTH_S:
        notes.append(f"the picture lasts {picture_s:.2f} s, the sound {sound_s:.2f} s: scored what they share")
    if reference is not None and len(reference) != len(landmarks):
        notes.append(f"the reference has {len(reference)} frames, the clip {len(landmarks)}: scored what they share")
    return notes
