"""Read tracks off at other times."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def at_times(
    track: Float[Tensor, "rows d"], times_s: Float[Tensor, "rows"], wanted_s: Float[Tensor, "frames"]
) -> Float[Tensor, "frames d"]:
    """Interpolate a track linearly; before its first and after its last row it keeps still.

    Args:
        track: A row a time, at least one.
        times_s: Of the rows, seconds, not falling; any distance apart.
        wanted_s: Times that are wanted, seconds.
    """
    after = torch.searchsorted(times_s, wanted_s).clamp(0, len(times_s) - 1)
    before = (after - 1).clamp(min=0)
    span = (times_s[after] - times_s[before]).clamp(min=1e-9)
    share = ((wanted_s - times_s[before]) / span).clamp(0, 1)[:, None].to(track)
    return torch.lerp(track[before], track[after], share)
