"""When lips are shut: the m, b and p of speech, which everybody sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

PARTING = ("mouthFunnel", "mouthLowerDown", "mouthUpperUp")
"""Blendshapes that part lips."""

PRESSED = ("mouthPress", "mouthRollLower", "mouthRollUpper")
"""Blendshapes of lips that are pressed where they are shut."""

_ROLLED = (0.075, 0.175)
_ODDS = (0.0, 0.6)
"""From where on lips come together, and where they are: `mouthRollUpper`, which is 0.25 at an m, where the network says
no log-odds; log-odds where it does."""

_BESIDE_S, _LESS = 0.08, 0.5
"""What is this near to a frame that is surer is no closure of its own if it is less sure by this much: evidence rises
and falls over more time than lips are shut for."""

LASTS_S = 0.06
"""How long lips are shut at least, seconds."""


def surely_shut(
    mouth: Float[Tensor, "frames columns"],
    columns: Sequence[str],
    fps: float,
    log_odds: Float[Tensor, "frames"] | None = None,
) -> Float[Tensor, "frames"]:
    """Return how sure it is that lips are shut, 0 to 1.

    Args:
        mouth: A track of a mouth. The upper lip is rolled in for an m, b or p alone, so that it says how sure the
            network is where `log_odds` are missing.
        columns: What it is made of.
        fps: Frames a second.
        log_odds: That lips are shut, of each frame.
    """
    if log_odds is not None:
        reach = max(1, round(_BESIDE_S * fps))
        surest = functional.pad(log_odds, (reach, reach), value=-torch.inf).unfold(0, 2 * reach + 1, 1).amax(1)
        return _rise(log_odds, *_ODDS) * _rise(log_odds - surest, -_LESS, 0.0)
    if "mouthRollUpper" in columns:
        return _rise(mouth[:, list(columns).index("mouthRollUpper")], *_ROLLED)
    return mouth.new_zeros(len(mouth))


def _rise(values: Float[Tensor, "frames"], low: float, high: float) -> Float[Tensor, "frames"]:
    share = ((values - low) / (high - low)).clamp(0, 1)
    return share.square() * (3 - 2 * share)


def held(sure: Float[Tensor, "frames"], late: float, lasts: float) -> Float[Tensor, "frames"]:
    """Delay closures, each of which lasts a while.

    Interpolated, a closure of one frame that is half a frame late would be two that are half open. Lips are shut in
    both.

    Args:
        sure: How sure it is that they are shut, 0 to 1.
        late: By how many frames, 0 or more.
        lasts: How many frames a closure lasts at least.
    """
    offsets = range(math.ceil(late - lasts / 2), math.floor(late + lasts / 2) + 1)
    before, after = max(0, *offsets), max(0, *(-k for k in offsets))
    padded = torch.cat([sure[:1].expand(before), sure, sure[-1:].expand(after)])
    return torch.stack([padded[before - k : before - k + len(sure)] for k in offsets]).amax(0)


def shut_lips(
    mouth: Float[Tensor, "frames columns"], columns: Sequence[str], sure: Float[Tensor, "frames"]
) -> Float[Tensor, "frames columns"]:
    """Shut lips that are more likely shut than not.

    A network that is not sure of an m, b or p says the mean of a mouth that is shut and one that is open, which is
    neither.

    Args:
        mouth: A track of a mouth.
        columns: What it is made of; nothing happens where what shuts lips is not among them.
        sure: How sure it is that they are, 0 to 1.
    """
    if not {"jawOpen", "mouthClose"} <= set(columns):
        return mouth
    at = {name: number for number, name in enumerate(columns)}
    shut = mouth.clone()
    shut[:, at["mouthClose"]] = torch.maximum(mouth[:, at["mouthClose"]], sure * mouth[:, at["jawOpen"]])
    parted = [at[name] for name in PARTING if name in at]
    shut[:, parted] *= (1 - sure)[:, None]
    return shut
