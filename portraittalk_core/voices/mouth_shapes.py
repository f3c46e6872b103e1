"""Turn timed phonemes into mouth movement.

A phoneme asks for a mouth shape and has a say (its dominance) that fades with distance in time; what the mouth does
is the weighted mean of what the phonemes around it ask for. The idea is Cohen and Massaro's ("Modeling
coarticulation in synthetic visual speech", 1993); targets and constants are our own.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

MOUTH = ("jaw", "wide", "round", "press")
"""Columns of a mouth track: open jaw, lips stretched sideways, rounded, and pressed together."""

GRID_HZ = 200
"""Rate, in Hz, at which blending is computed before the frames are read off."""


@dataclass(frozen=True)
class Phoneme:
    """One sound of an utterance."""

    symbol: str
    """IPA; empty for a pause."""

    start_s: float
    """Seconds from the start of the recording."""

    end_s: float
    """Likewise."""


# jaw, wide, round, press, dominance
_SHAPES: dict[str, tuple[float, float, float, float, float]] = {
    **dict.fromkeys("aɑä", (0.85, 0.15, 0.0, 0.0, 1.0)),
    "æ": (0.78, 0.35, 0.0, 0.0, 1.0),
    **dict.fromkeys("ɐʌ", (0.60, 0.10, 0.0, 0.0, 0.9)),
    "ɒ": (0.65, 0.0, 0.35, 0.0, 1.0),
    **dict.fromkeys("ɛ", (0.56, 0.40, 0.0, 0.0, 1.0)),
    **dict.fromkeys("eɘ", (0.42, 0.55, 0.0, 0.0, 1.0)),
    **dict.fromkeys("əɚ", (0.36, 0.10, 0.05, 0.0, 0.55)),
    **dict.fromkeys("ɜɝɞ", (0.42, 0.05, 0.25, 0.0, 0.9)),
    **dict.fromkeys("ɪɨ", (0.32, 0.50, 0.0, 0.0, 0.8)),
    "i": (0.24, 0.80, 0.0, 0.0, 1.0),
    **dict.fromkeys("ɔ", (0.60, 0.0, 0.55, 0.0, 1.0)),
    **dict.fromkeys("oɤ", (0.42, 0.0, 0.75, 0.0, 1.0)),
    **dict.fromkeys("ʊʏ", (0.28, 0.0, 0.70, 0.0, 0.9)),
    **dict.fromkeys("uʉɯ", (0.20, 0.0, 0.95, 0.0, 1.0)),
    "y": (0.18, 0.0, 0.95, 0.0, 1.0),
    **dict.fromkeys("øɵ", (0.30, 0.0, 0.75, 0.0, 1.0)),
    "œ": (0.45, 0.0, 0.55, 0.0, 1.0),
    **dict.fromkeys("mbp", (0.0, 0.0, 0.0, 1.0, 1.6)),
    **dict.fromkeys("fvɱ", (0.08, 0.10, 0.0, 0.45, 1.4)),
    **dict.fromkeys("βɸ", (0.08, 0.0, 0.25, 0.4, 1.2)),
    **dict.fromkeys("wʍɥ", (0.12, 0.0, 0.95, 0.0, 1.3)),
    **dict.fromkeys("ʃʒɕʑʂʐ", (0.15, 0.0, 0.60, 0.0, 1.1)),
    **dict.fromkeys("sz", (0.11, 0.40, 0.0, 0.0, 1.0)),
    **dict.fromkeys("tdnɲcɟʈɖɳ", (0.18, 0.20, 0.0, 0.0, 0.6)),
    **dict.fromkeys("lɫɬɭʎ", (0.30, 0.15, 0.0, 0.0, 0.5)),
    **dict.fromkeys("rɾɽ", (0.28, 0.10, 0.05, 0.0, 0.5)),
    **dict.fromkeys("ɹɻ", (0.22, 0.0, 0.45, 0.0, 0.8)),
    **dict.fromkeys("θð", (0.20, 0.20, 0.0, 0.0, 0.8)),
    **dict.fromkeys("kgɡŋqɣɴ", (0.26, 0.15, 0.0, 0.0, 0.35)),
    **dict.fromkeys("xχʁʀħ", (0.32, 0.10, 0.0, 0.0, 0.4)),
    **dict.fromkeys("hɦʔʕ", (0.35, 0.10, 0.0, 0.0, 0.2)),
    **dict.fromkeys("jʝçʲ", (0.20, 0.55, 0.0, 0.0, 0.8)),
}
STOPS = frozenset("pbtdkgɡcɟʈɖqʔ")
"""Symbols that begin with a closed vocal tract; the closure may be silent."""
_LIPS_CLOSED = frozenset("mbp")
_PAUSE = (0.0, 0.0, 0.0, 0.0, 1.2)
_SHORTEST_PAUSE_S = 0.12
_JAW_GAIN = 1.2
"""Gives back the range that blending takes."""


def _letters(symbol: str) -> str:
    """Return the letters of a symbol that have a mouth shape; of an affricate only its release."""
    plain = "".join(c for c in unicodedata.normalize("NFC", symbol) if c in _SHAPES)
    return plain[-1:] if plain[:1] in STOPS and len(plain) > 1 else plain


def _segments(phonemes: list[Phoneme]) -> list[tuple[str, float, float]]:
    """Split diphthongs into their vowels; the first gets the larger share."""
    found: list[tuple[str, float, float]] = []
    for phoneme in phonemes:
        letters, start, end = _letters(phoneme.symbol), phoneme.start_s, phoneme.end_s
        if not letters:
            if phoneme.symbol == "":
                found.append(("", start, end))
            continue
        cut = start + (1.0 if len(letters) == 1 else 0.6) * (end - start)
        found.append((letters[0], start, cut))
        if len(letters) > 1:
            found.append((letters[-1], cut, end))
    return found


def _closure(
    time_s: Float[Tensor, "t"], start: Float[Tensor, "n"], end: Float[Tensor, "n"], ramp_s: float
) -> Float[Tensor, "t"]:
    """Return 1 inside any of the spans and a raised-cosine fall to 0 within `ramp_s` of it."""
    if not len(start):
        return torch.zeros_like(time_s)
    outside = torch.maximum(start[:, None] - time_s, time_s - end[:, None]).clamp(0, ramp_s)
    return (0.5 + 0.5 * torch.cos(torch.pi * outside / ramp_s)).amax(0)


def _smooth(track: Float[Tensor, "t 4"], sigma_s: float) -> Float[Tensor, "t 4"]:
    radius = int(3 * sigma_s * GRID_HZ)
    offsets = torch.arange(-radius, radius + 1) / GRID_HZ
    kernel = torch.exp(-0.5 * (offsets / sigma_s) ** 2)
    padded = torch.nn.functional.pad(track.T[:, None], (radius, radius), mode="replicate")
    return torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T


def mouth_track(phonemes: list[Phoneme], fps: float, duration_s: float) -> Float[Tensor, "frames 4"]:
    """Return the movement of the mouth for the middle of every frame.

    m, b and p close the lips whatever stands beside them; pauses longer than 0.12 s close the mouth with a ramp of
    0.08 s.

    Args:
        phonemes: In order.
        fps: Frames a second.
        duration_s: Seconds of the video.

    Returns:
        Columns as in `MOUTH`, in [0, 1]; `round(duration_s * fps)` frames, at least one.
    """
    frames = max(1, round(duration_s * fps))
    segments = _segments(phonemes)
    time_s = torch.arange(int(duration_s * GRID_HZ) + 2) / GRID_HZ
    if not segments:
        return torch.zeros(frames, 4)
    start = torch.tensor([s for _, s, _ in segments])
    end = torch.tensor([e for _, _, e in segments])
    shapes = torch.tensor([_SHAPES[letter] if letter else _PAUSE for letter, _, _ in segments])
    reach_s = 0.045 + 0.35 * (end - start).clamp(0.02, 0.25)
    distance = (time_s - 0.5 * (start + end)[:, None]).abs()
    say = shapes[:, 4:] * torch.exp(-distance / reach_s[:, None])
    # The shape before the first sound and after the last is a closed mouth.
    say = torch.cat([say, torch.full((1, len(time_s)), 0.02)])
    track = (say.T @ torch.cat([shapes[:, :4], torch.zeros(1, 4)])) / say.sum(0)[:, None]
    track = _smooth(track, 0.02)
    track[:, 0] *= _JAW_GAIN

    lips = torch.tensor([letter in _LIPS_CLOSED and letter != "" for letter, _, _ in segments])
    middle, half = 0.5 * (start + end), (0.5 * (end - start) - 0.02).clamp(0.005, 0.05)
    shut = _closure(time_s, (middle - half)[lips], (middle + half)[lips], 0.07)
    pause = torch.tensor([letter == "" and e - s > _SHORTEST_PAUSE_S for letter, s, e in segments])
    rest = _closure(time_s, start[pause] + 0.04, end[pause] - 0.04, 0.08)
    track[:, :3] *= 1 - rest[:, None]
    track[:, 0] *= 1 - shut
    track[:, 3] = torch.maximum(track[:, 3] ** 2, shut) * (1 - rest)

    position = ((torch.arange(frames) + 0.5) / fps * GRID_HZ).clamp(max=len(time_s) - 1.001)
    low = position.long()
    return torch.lerp(track[low], track[low + 1], (position - low)[:, None]).clamp(0, 1)
