"""Photographs that speak by the sound alone: every one with every recording, and one for a whole minute."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.drawing import AT_ONCE
from portraittalk_core.errors import BadInput
from portraittalk_core.metrics.functional import adfd, mean_colour, silent_frames
from portraittalk_core.metrics.functional.signals import GRID_HZ
from portraittalk_core.metrics.functional.voice import voice_signals
from portraittalk_core.motion.geometry import mouth_opening
from portraittalk_core.topology import IBUG
from portraittalk_core.types import FaceMotion, Sound

from ..program import say
from .making import PROMPT
from .material import cut, mono, recordings
from .readings import Readings, read_frames
from .scores import correlation, face_sharpness, lip_gap
from .session import Portrait, Session

FPS = 25.0
"""Frames a second."""

LARGEST = 512
"""Side of the frames that are read, pixels, at most: a face in them is larger than MediaPipe's own input."""

CLOSED = 4.0
"""Gap of the lips in silence, in per cent of the mouth's width, up to which a mouth is closed. MediaPipe reads 0.3 to 1
in mouths that are closed, and 10 in a mouth that says a soft vowel (both in the GRID clips)."""

LONG_S = 60.0
"""Seconds of the long video."""


def measure(session: Session) -> dict[str, Any]:
    """Make every portrait speak every recording, and read the lips; what is measured already is not made again.

    Args:
        session: What was asked for.

    Returns:
        A row for each pair, by both names.
    """
    found: dict[str, Any] = {}
    pairs = [(portrait, *said) for portrait in session.portraits for said in recordings(*_speech(session))]
    for number, (portrait, name, sound) in enumerate(pairs):
        if number % session.given.every == 0:
            key = f"{portrait.photograph.name} {name}"
            file = session.folder / "sound" / f"{key.replace(' ', '__')}_{session.given.seconds:g}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                file.write_text(json.dumps(one(session, portrait, sound, number)))
            found[key] = json.loads(file.read_text())
            say(key, {n: v for n, v in found[key].items() if not isinstance(v, list)})
    return found


def _speech(session: Session) -> tuple[Any, float]:
    return session.given.speech, session.given.seconds


def one(session: Session, portrait: Portrait, sound: Sound, seed: int) -> dict[str, float | None]:
    """Make one portrait speak one recording.

    Args:
        session: What was asked for.
        portrait: Who speaks.
        sound: What is said.
        seed: Of head, eyes and noise.

    Returns:
        ADFD and its parts, gaps of the lips, and how they follow voice and jaw; None where something is not there.
    """
    motions: list[FaceMotion] = []
    frames = _generate(session, portrait, sound, seed, motions)
    row = scored(read_frames(session.read, frames), mono(sound), sound.sample_rate, motions[0].mouth_opening)
    maps = session.stack.structure(motions[0], portrait.identity)
    return row | {"denoised": _denoised(session.stack, portrait.identity, maps)}


def _denoised(stack: Any, identity: Any, maps: Any) -> int:
    """Return in how many frames something would be seen of what is drawn, as many at a time as the product asks."""
    parts = [slice(first, first + AT_ONCE) for first in range(0, len(maps.landmarks), AT_ONCE)]
    return sum(len(maps.landmarks[part]) for part in parts if stack.undrawn(identity, maps, part) is None)


def _generate(
    session: Session,
    portrait: Portrait,
    sound: Sound,
    seed: int,
    motions: list[FaceMotion],
    motion: FaceMotion | None = None,
) -> Iterator[Float[Tensor, "3 s s"]]:
    size = min(LARGEST, portrait.photograph.place.side)
    video = session.model.generate(
        [portrait.photograph.pixels],
        sound,
        PROMPT,
        fps=FPS,
        seed=seed,
        size=size,
        motion=motion,
        on_motion=motions.append,
    )
    for chunk in video:
        yield from chunk.pixels


def scored(
    readings: Readings, audio: Float[Tensor, "n"], sample_rate: int, jaw: Float[Tensor, "f"]
) -> dict[str, float | None]:
    """Score the lips of a video against its sound.

    Args:
        readings: Of the video.
        audio: One channel.
        sample_rate: Hz.
        jaw: How far the mouth was told to open, a value a frame.

    Returns:
        See `one`.
    """
    frames = len(readings.found)
    row: dict[str, float | None] = {"frames": frames, "found": int(readings.found.sum())}
    gap = lip_gap(readings.points)
    opening = mouth_opening(readings.points)
    silent = silent_frames(audio, sample_rate, FPS, frames) & readings.found
    voice = voice_signals(audio, sample_rate)
    at = ((torch.arange(frames) + 0.5) / FPS * GRID_HZ).round().long().clamp(max=len(voice.level) - 1)
    speaks = bool(voice.voiced.any())
    row["r voice"] = correlation(opening, voice.level[at].float()) if speaks else None
    row["r jaw"] = correlation(opening, jaw.cpu().float()) if speaks else None
    row["silent frames"] = int(silent.sum())
    row["gap in silence"] = float(gap[silent].mean()) if bool(silent.any()) else None
    row["widest in silence"] = float(gap[silent].max()) if bool(silent.any()) else None
    row["widest"] = float(gap[readings.found].quantile(0.98)) if bool(readings.found.any()) else None
    try:
        score = adfd(readings.points[:, list(IBUG)], audio, sample_rate, FPS)
    except BadInput:  # fewer than two frames with a face
        return row | {"adfd": 0.0}
    parts = {name: getattr(score, name) for name in ("spatial", "temporal", "audio", "stillness", "offset_frames")}
    return row | parts | {"adfd": score.score if speaks else None}


def long(session: Session) -> dict[str, Any]:
    """Make one portrait speak for a minute, and compare its last second with its first.

    The last second moves as the first does: what differs is not the pose, but what a minute has done.

    Args:
        session: What was asked for.

    Returns:
        `identity`, `sharpness` and `colour`, and who spoke; nothing where no portrait can speak.
    """
    if not session.portraits:
        return {}
    portrait = session.portraits[0]
    file = session.folder / f"minute_{portrait.photograph.name}.json"
    if not file.exists():
        sounds = [sound for _, sound in recordings(*_speech(session))]
        first = max(sounds, key=lambda sound: sound.duration_s)
        times = int(LONG_S / first.duration_s) + 1
        whole = cut(Sound(mono(first).repeat(times)[None], first.sample_rate), LONG_S)
        motion = session.model.stack.move(session.model.stack.listen(whole, FPS), seed=0)
        begin: list[Tensor] = []
        end: list[Tensor] = []
        for frame in _generate(session, portrait, whole, 0, [], ends_as_it_begins(motion, int(FPS))):
            begin = begin if len(begin) == int(FPS) else [*begin, frame]
            end = [*end[-int(FPS) + 1 :], frame]
        seconds = (torch.stack(begin), torch.stack(end))
        row = compared(session, *seconds) | {"portrait": portrait.photograph.name, "seconds": LONG_S}
        file.write_text(json.dumps(row))
    row = json.loads(file.read_text())
    say("long", row)
    return row


def ends_as_it_begins(motion: FaceMotion, frames: int) -> FaceMotion:
    """Return a motion whose last frames move as the first ones do.

    Args:
        motion: Any, longer than twice as many frames.
        frames: How many.
    """
    coefficients, pose = (torch.cat([rows[:-frames], rows[:frames]]) for rows in (motion.coefficients, motion.pose))
    return replace(motion, coefficients=coefficients, pose=pose)


def compared(session: Session, begin: Float[Tensor, "f 3 s s"], end: Float[Tensor, "f 3 s s"]) -> dict[str, Any]:
    """Compare two seconds of a video.

    Args:
        session: Has the face pack and MediaPipe.
        begin: The first.
        end: The last.

    Returns:
        `identity`: similarity of the mean embeddings; `sharpness`: by how many per cent the face is sharper;
        `colour`: difference of the mean colour, of the channel that differs most, in per cent of the range; `colour,
        Lab`: the same in CIE Lab.
    """
    who = [_embedding(session, second) for second in (begin, end)]
    sharp = [face_sharpness(s, read_frames(session.read, s).points).nanmean() for s in (begin, end)]
    colour = [second.mean((0, 2, 3)) for second in (begin, end)]
    lab = [mean_colour(second).mean(0) for second in (begin, end)]
    return {
        "identity": float(torch.nn.functional.cosine_similarity(who[0], who[1], dim=0)),
        "sharpness": 100 * float(sharp[1] / sharp[0] - 1),
        "colour": 100 * float((colour[1] - colour[0]).abs().max()) / 2,
        "colour, Lab": float((lab[1] - lab[0]).norm()),
    }


def _embedding(session: Session, frames: Float[Tensor, "f 3 s s"]) -> Float[Tensor, "512"]:
    finder = session.stack.face_finder()
    faces = [finder.find(frame) for frame in frames[::5]]
    return torch.stack([found[0].embedding for found in faces if found]).mean(0)
