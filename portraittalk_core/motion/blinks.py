"""Blinks as lids do them: a process says when, each is a whole one of known speed, and nobody stares.

A process that draws a lid frame by frame knows when people blink, but of 173 blinks that it drew more than half closed
the lid by less than 0.7, every seventh lasted longer than half a second, and in some videos of 8 s there was none.
A blink is one movement, fast down and slower up (Evinger, Manning and Sibony 1991): in four blinks of six real clips
the lid came down in two to four frames of 40 ms and was up again after six to eight. Who speaks blinks some 26 times
a minute, who reads aloud far less (Bentivoglio et al. 1997).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

_BEGINS, _ENDS = 0.2, 0.12  # of a lid that is drawn: a blink begins, and another one may
_CLOSING_S, _SHUT_S, _OPENING_S = 0.09, 0.03, 0.2
_APART_S = 0.35  # between the beginnings of two
_OPEN_S, _SPREAD, _LEAST_S, _MOST_S = 3.6, 0.35, 2.0, 6.5  # how long eyes stay open: median, deviation of its logarithm


def whole_blinks(lid: Float[Tensor, "frames"], rate: float, generator: torch.Generator) -> Float[Tensor, "frames"]:
    """Return a whole blink wherever a lid begins one, and where eyes have been open for too long.

    Args:
        lid: How far it is closed, in [0, 1], as it was drawn.
        rate: Frames a second.
        generator: Says how long eyes stay open.

    Returns:
        Closed wholly in each blink and open between them; one that comes before the last is over goes on from it.
    """
    closed = torch.zeros_like(lid)
    time_s = torch.arange(len(lid), device=lid.device) / rate
    longest = math.ceil((_CLOSING_S + _SHUT_S + _OPENING_S) * rate) + 1
    patience = _patience_s(generator)
    ready, last = True, -patience * float(torch.rand((), generator=generator))
    for frame, value in enumerate(lid.tolist()):
        since = frame / rate - last
        if (ready and value > _BEGINS and since >= _APART_S) or since >= patience:
            last, ready, patience = frame / rate, False, _patience_s(generator)
            part = slice(frame, frame + longest)
            closed[part] = torch.maximum(closed[part], _blink(time_s[part] - last + 0.5 / rate).to(closed))
        ready = ready or value < _ENDS
    return closed


def _patience_s(generator: torch.Generator) -> float:
    """Draw how long eyes stay open at most."""
    drawn = _OPEN_S * math.exp(_SPREAD * float(torch.randn((), generator=generator)))
    return min(max(drawn, _LEAST_S), _MOST_S)


def _blink(time_s: Float[Tensor, "frames"]) -> Float[Tensor, "frames"]:
    """Return one blink that begins at 0 s."""
    down = (time_s / _CLOSING_S).clamp(0, 1)
    up = ((time_s - _CLOSING_S - _SHUT_S) / _OPENING_S).clamp(0, 1)
    # Lids slow down as they open: the last quarter takes half of the time.
    return (0.5 - 0.5 * torch.cos(torch.pi * down)) * (1 - up) ** 1.5
