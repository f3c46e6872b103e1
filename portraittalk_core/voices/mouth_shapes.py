"""Turn timed phonemes into mouth movement.

A phoneme asks for a mouth shape and has a say (its dominance) that fades with distance in time; what the mouth does
is the weighted mean of what the phonemes around it ask for. The idea is Cohen and Massaro's ("Modeling
coarticulation in synthetic visual speech", 1993); targets and constants are our own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import MOUTH

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


@dataclass(frozen=True)
class Shape:
    """What a phoneme asks of a mouth."""

    asks: dict[str, float]
    """Of blendshapes, by name; of the others nothing."""

    jaw: float
    """How much say it has over the jaw."""

    lips: float
    """Likewise over everything else."""


def _shape(jaw: float, lips: float, open_: float, **asks: float) -> Shape:
    return Shape({"jawOpen": open_} | asks, jaw, lips)


def _spread(corners: float, teeth: float) -> dict[str, float]:
    """Return lips whose corners are drawn apart and which bare the teeth."""
    return {
        "mouthStretch": corners,
        "mouthDimple": 0.5 * corners,
        "mouthLowerDown": teeth,
        "mouthUpperUp": 0.6 * teeth,
    }


def _round(pucker: float, funnel: float) -> dict[str, float]:
    """Return lips that are drawn together, and lips that are turned out like a funnel."""
    return {"mouthPucker": pucker, "mouthFunnel": funnel}


_SHAPES: dict[str, Shape] = {
    **dict.fromkeys("aɑä", _shape(1.0, 0.7, 0.62, **_spread(0.1, 0.2))),
    "æ": _shape(1.0, 0.8, 0.6, **_spread(0.25, 0.25)),
    **dict.fromkeys("ɐʌ", _shape(0.9, 0.5, 0.5, **_spread(0.05, 0.15))),
    "ɒ": _shape(1.0, 0.9, 0.52, **_round(0.2, 0.15)),
    **dict.fromkeys("ɛ", _shape(1.0, 0.8, 0.5, **_spread(0.25, 0.25))),
    **dict.fromkeys("eɘ", _shape(1.0, 0.9, 0.42, **_spread(0.35, 0.28))),
    **dict.fromkeys("əɚ", _shape(0.55, 0.3, 0.29, **_spread(0.05, 0.1))),
    **dict.fromkeys("ɜɝɞ", _shape(0.9, 0.7, 0.34, **_round(0.2, 0.08))),
    **dict.fromkeys("ɪɨ", _shape(0.8, 0.7, 0.36, **_spread(0.3, 0.22))),
    "i": _shape(1.0, 1.0, 0.27, **_spread(0.55, 0.32)),
    **dict.fromkeys("ɔ", _shape(1.0, 1.0, 0.3, **_round(0.45, 0.18))),
    **dict.fromkeys("oɤ", _shape(1.0, 1.1, 0.2, **_round(0.6, 0.12))),
    **dict.fromkeys("ʊʏ", _shape(0.9, 1.0, 0.14, **_round(0.4, 0.05))),
    **dict.fromkeys("uʉɯ", _shape(1.4, 1.2, 0.08, **_round(0.75, 0.02))),
    "y": _shape(1.0, 1.2, 0.13, **_round(0.95, 0.02)),
    **dict.fromkeys("øɵ", _shape(1.0, 1.1, 0.24, **_round(0.7, 0.08))),
    "œ": _shape(1.0, 1.0, 0.36, **_round(0.45, 0.15)),
    **dict.fromkeys("mbp", _shape(1.6, 0.1, 0.06)),
    **dict.fromkeys("fvɱ", _shape(1.4, 0.6, 0.05)),
    **dict.fromkeys("βɸ", _shape(1.2, 1.2, 0.06, mouthPucker=0.25, mouthClose=0.04, mouthPress=0.2)),
    **dict.fromkeys("wʍɥ", _shape(1.3, 2.0, 0.04, **_round(1.0, 0.0))),
    **dict.fromkeys("ʃʒɕʑʂʐ", _shape(1.1, 1.4, 0.06, jawForward=0.25, **_round(0.5, 0.2), mouthUpperUp=0.1)),
    **dict.fromkeys("sz", _shape(1.1, 0.6, 0.1, jawForward=0.1, **_spread(0.25, 0.3))),
    **dict.fromkeys("tdnɲcɟʈɖɳ", _shape(0.8, 0.25, 0.1, **_spread(0.1, 0.18))),
    **dict.fromkeys("lɫɬɭʎ", _shape(0.5, 0.3, 0.3, **_spread(0.1, 0.2))),
    **dict.fromkeys("rɾɽ", _shape(0.5, 0.3, 0.22, **_round(0.05, 0.03))),
    **dict.fromkeys("ɹɻ", _shape(0.8, 0.9, 0.12, **_round(0.45, 0.1))),
    **dict.fromkeys("θð", _shape(0.8, 0.6, 0.18, **_spread(0.05, 0.3))),
    **dict.fromkeys("kgɡŋqɣɴ", _shape(0.35, 0.15, 0.21, **_spread(0.1, 0.12))),
    **dict.fromkeys("xχʁʀħ", _shape(0.4, 0.2, 0.26, **_spread(0.05, 0.12))),
    **dict.fromkeys("hɦʔʕ", _shape(0.2, 0.1, 0.28, **_spread(0.05, 0.12))),
    **dict.fromkeys("jʝçʲ", _shape(0.8, 0.8, 0.16, **_spread(0.4, 0.22))),
}
_SOFT = "ʲ"
STOPS = frozenset("pbtdkgɡcɟʈɖqʔ")
"""Symbols that begin with a closed vocal tract; the closure may be silent."""
HELD_SHUT = {"jawOpen": 0.06, "mouthClose": 0.06, "mouthPress": 0.25, "mouthRollLower": 0.3, "mouthRollUpper": 0.25}
"""A mouth at an m, a b or a p."""

_HELD: tuple[tuple[str, float, dict[str, float]], ...] = (
    ("mbp", 0.07, HELD_SHUT),
    ("fvɱ", 0.06, {"jawOpen": 0.05, "mouthRollLower": 0.9, "mouthUpperUp": 0.65, "mouthShrugLower": 0.4}),
)
"""What is reached whatever stands beside it, seconds in which lips come there, and where: shut, or the lower lip at the
upper teeth. Lips stay as rounded or as wide as they are."""
_OPENERS = ("mouthFunnel", "mouthLowerDown", "mouthUpperUp")
_JAW_REACH, _LIPS_REACH = (0.02, 0.2), (0.03, 0.3)
"""How far the say of a phoneme reaches: it falls to a third within so many seconds and so much of the phoneme's length
of its middle. Rounding is prepared for longer than the jaw (Benguerel and Cowan, 1974)."""

_PAUSE = Shape({}, 1.2, 1.2)
_SHORTEST_PAUSE_S = 0.12
_GAIN = 1.2
"""Gives back the range that blending takes."""


def _letters(symbol: str) -> str:
    """Return the letters of a symbol that have a mouth shape; of an affricate only its release.

    What is palatalised is the sound that it is: the lips of a soft p are shut.
    """
    plain = "".join(c for c in unicodedata.normalize("NFC", symbol) if c in _SHAPES)
    plain = plain.replace(_SOFT, "") or plain[:1]
    return plain[-1:] if plain[:1] in STOPS and len(plain) > 1 else plain


def segments(phonemes: list[Phoneme]) -> list[tuple[str, float, float]]:
    """Split diphthongs into their vowels; the first gets the larger share.

    Args:
        phonemes: In order; what has no shape is left out.

    Returns:
        Letters, empty for a pause, each with the second at which it begins and that at which it ends.
    """
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


def _smooth(track: Float[Tensor, "t k"], sigma_s: float) -> Float[Tensor, "t k"]:
    radius = int(3 * sigma_s * GRID_HZ)
    offsets = torch.arange(-radius, radius + 1) / GRID_HZ
    kernel = torch.exp(-0.5 * (offsets / sigma_s) ** 2)
    padded = torch.nn.functional.pad(track.T[:, None], (radius, radius), mode="replicate")
    return torch.nn.functional.conv1d(padded, (kernel / kernel.sum())[None, None])[:, 0].T


def shape_row(asks: Mapping[str, float]) -> Float[Tensor, "k"]:
    """Return a row of a mouth track.

    Args:
        asks: Values by name; the rest is 0.
    """
    return torch.tensor([asks.get(name, 0.0) for name in MOUTH])


def mouth_track(phonemes: list[Phoneme], fps: float, duration_s: float) -> Float[Tensor, "frames k"]:
    """Return the movement of the mouth for the middle of every frame.

    m, b and p close the lips and f and v bring the lower lip to the upper teeth whatever stands beside them; pauses
    longer than 0.12 s close the mouth with a ramp of 0.08 s.

    Args:
        phonemes: In order.
        fps: Frames a second.
        duration_s: Seconds of the video.

    Returns:
        Columns as in `MOUTH`, in [0, 1]; `round(duration_s * fps)` frames, at least one.
    """
    frames = max(1, round(duration_s * fps))
    parts = segments(phonemes)
    time_s = torch.arange(int(duration_s * GRID_HZ) + 2) / GRID_HZ
    if not parts:
        return torch.zeros(frames, len(MOUTH))
    start = torch.tensor([s for _, s, _ in parts])
    end = torch.tensor([e for _, _, e in parts])
    track = _blended([_SHAPES[letter] if letter else _PAUSE for letter, _, _ in parts], start, end, time_s)
    middle, half = 0.5 * (start + end), (0.5 * (end - start) - 0.02).clamp(0.005, 0.05)
    openers = [MOUTH.index(name) for name in _OPENERS]
    for letters, ramp_s, asks in _HELD:
        here = torch.tensor([letter != "" and letter in letters for letter, _, _ in parts])
        goal = track.clone()
        goal[:, openers] = 0
        goal[:, [MOUTH.index(name) for name in asks]] = torch.tensor(list(asks.values()))
        held = _closure(time_s, (middle - half)[here], (middle + half)[here], ramp_s)
        track = torch.lerp(track, goal, held[:, None])
    pause = torch.tensor([letter == "" and e - s > _SHORTEST_PAUSE_S for letter, s, e in parts])
    track *= 1 - _closure(time_s, start[pause], end[pause] - 0.1, 0.1)[:, None]

    position = ((torch.arange(frames) + 0.5) / fps * GRID_HZ).clamp(max=len(time_s) - 1.001)
    low = position.long()
    return torch.lerp(track[low], track[low + 1], (position - low)[:, None]).clamp(0, 1)


def _blended(
    shapes: list[Shape], start: Float[Tensor, "n"], end: Float[Tensor, "n"], time_s: Float[Tensor, "t"]
) -> Float[Tensor, "t k"]:
    """Return the mean of what phonemes ask for, weighted by their say at each time."""
    lasts_s, away_s = (end - start).clamp(0.02, 0.25), (time_s - 0.5 * (start + end)[:, None]).abs()
    jaw, lips = (torch.exp(-away_s / (least + share * lasts_s)[:, None]) for least, share in (_JAW_REACH, _LIPS_REACH))
    asked = torch.stack([shape_row(shape.asks) for shape in shapes])
    columns: list[Tensor] = []
    for name, column in zip(MOUTH, asked.unbind(1), strict=True):
        of_jaw = name.startswith("jaw")
        say = torch.tensor([s.jaw if of_jaw else s.lips for s in shapes])[:, None] * (jaw if of_jaw else lips)
        # The shape before the first sound and after the last is a closed mouth.
        columns.append(column @ say / (say.sum(0) + 0.02))
    return _smooth(torch.stack(columns, 1), 0.02) * _GAIN
