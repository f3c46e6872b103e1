"""How much light comes into an open mouth: the upper lip has a shadow, corners are dark, and slits let little in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .teeth import LIPS, MouthFrames, smooth_step

# Millimetres.
_SHADOW = 4.5  # of the upper lip
_SLIT = (4.0, 12.0)  # widest gap up to which a mouth is lit as through a slit, and from which on it is not
_WIDE = (6.0, 14.0)  # gap from which on light comes in below the upper lip, and where no more does
_RAISED = (1.5, 4.5)  # of an upper lip, from where on it leaves light, and where it leaves most
_ROUND = (0.85, 0.55)  # shares of a mouth's width without expression: where lips begin to come forward, and do wholly
_MIDDLE = (-4.0, 0.0, 4.0)  # where an upper lip is raised that shows teeth

# Shares of light.
_UNDER_UPPER_LIP, _UNDER_RAISED, _UNDER_WIDE = 0.4, 0.6, 0.8
_ABOVE_LOWER_LIP, _CORNERS = 0.9, 0.85
_BEHIND_ROUND_LIPS = 0.45
_IN_SLIT = 0.8  # of mouths that are open by little; this and what is under an upper lip stood beside 24 true clips


def light_in_mouth(
    frames: MouthFrames,
    landmarks: Float[Tensor, "n 478 2"],
    x: Float[Tensor, "n k"],
    from_above: Float[Tensor, "n k"],
    from_below: Float[Tensor, "n k"],
) -> Float[Tensor, "n k"]:
    """Return how much light lips leave: little below the upper one, unless it is wide open, and towards the corners.

    Through a slit less light comes in, unless the upper lip is raised, as smiles do; and less behind lips that come
    forward about a round hole.

    Args:
        frames: Where the mouths are.
        landmarks: Points of the faces.
        x: Places in mouths, millimetres.
        from_above: How far below the upper lip each is, millimetres.
        from_below: How far above the lower one.
    """
    ends = frames.local(landmarks[:, [LIPS[0], LIPS[10]]])[..., 0]
    half = ((ends[:, 1:] - ends[:, :1]) / 2).clamp(min=1)
    beside = ((x - ends.mean(1, keepdim=True)) / half).abs()
    gap = from_above + from_below
    wide = smooth_step((gap - _WIDE[0]) / (_WIDE[1] - _WIDE[0]))
    raised = smooth_step((_raised(frames, landmarks) - _RAISED[0]) / (_RAISED[1] - _RAISED[0]))
    under = _UNDER_UPPER_LIP + (_UNDER_RAISED - _UNDER_UPPER_LIP) * raised
    darkest = under + (_UNDER_WIDE - under) * wide
    upper = torch.lerp(darkest, torch.ones_like(x), smooth_step(from_above / _SHADOW))
    lower = torch.lerp(x.new_tensor(_ABOVE_LOWER_LIP), x.new_tensor(1.0), smooth_step(from_below / 2.5))
    corners = torch.lerp(x.new_tensor(1.0), x.new_tensor(_CORNERS), smooth_step((beside - 0.35) / 0.65))
    open_wide = smooth_step((gap.amax(1, keepdim=True) - _SLIT[0]) / (_SLIT[1] - _SLIT[0]))
    open_wide = torch.maximum(open_wide, raised.square())
    slit = torch.lerp(x.new_tensor(_IN_SLIT), x.new_tensor(1.0), open_wide)
    return upper * lower * corners * slit * behind_round_lips(frames, landmarks)


def behind_round_lips(frames: MouthFrames, landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1"]:
    """Return how much light comes into mouths whose lips come forward about a round hole, in [0, 1].

    Args:
        frames: Where the mouths are.
        landmarks: Points of the faces.
    """
    ends = frames.local(landmarks[:, [LIPS[0], LIPS[10]]])[..., 0]
    narrow = (ends[:, 1:] - ends[:, :1]) / frames.wide[:, None].clamp(min=1)
    rounded = smooth_step((_ROUND[0] - narrow) / (_ROUND[0] - _ROUND[1]))
    return torch.lerp(narrow.new_tensor(1.0), narrow.new_tensor(_BEHIND_ROUND_LIPS), rounded)


def _raised(frames: MouthFrames, landmarks: Tensor) -> Float[Tensor, "n 1"]:
    """Return how high an upper lip is above where the lips meet, millimetres."""
    columns = landmarks.new_tensor(_MIDDLE).expand(len(landmarks), -1)
    return -frames.lips(landmarks, columns)[0].mean(1, keepdim=True)
