"""Signals over time: read a track off on a common grid, smooth, correlate in windows at many lags."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

GRID_HZ = 100
"""Rows a second on which faces and sound are compared, whatever the frame rate."""

_CHUNK = 500_000


def on_grid(
    values: Float[Tensor, "f d"], fps: float, steps: int, widest_gap_s: float = 0.25
) -> tuple[Float[Tensor, "t d"], Bool[Tensor, "t"]]:
    """Interpolate rows of a video linearly at times 0, 1 / GRID_HZ, ...

    Args:
        values: One row a frame; row i stands for the time (i + 0.5) / fps. Rows with NaN are stepped over.
        fps: Frames a second.
        steps: How many times.
        widest_gap_s: Seconds without a known row that may be interpolated.

    Returns:
        The rows, and where they are known. They are not in wider gaps and more than a frame outside the known rows:
        their values are those of the nearest row, or 0 where no row is known.
    """
    known = torch.isfinite(values).all(1).nonzero()[:, 0]
    times = (known.double() + 0.5) / fps
    wanted = torch.arange(steps, dtype=torch.float64) / GRID_HZ
    if not len(known):
        return torch.zeros(steps, values.shape[1], dtype=torch.float64), torch.zeros(steps, dtype=torch.bool)
    after = torch.searchsorted(times, wanted).clamp(max=len(times) - 1)
    before = (after - 1).clamp(min=0)
    span = (times[after] - times[before]).clamp(min=1e-9)
    share = ((wanted - times[before]) / span).clamp(0, 1)[:, None]
    rows = values[known].double()
    allowed = (times[after] - times[before] <= widest_gap_s + 1e-9) & (wanted >= times[0] - 1 / fps)
    return torch.lerp(rows[before], rows[after], share), allowed & (wanted <= times[-1] + 1 / fps)


def smooth(values: Float[Tensor, "t d"], sigma_s: float) -> Float[Tensor, "t d"]:
    """Blur over time by a Gaussian; ends are held.

    Args:
        values: A row every 1 / GRID_HZ seconds.
        sigma_s: Standard deviation of the Gaussian, seconds.
    """
    reach = max(1, math.ceil(3 * sigma_s * GRID_HZ))
    if len(values) < 2:
        return values
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / (sigma_s * GRID_HZ)) ** 2)
    held = torch.cat([values[:1].expand(reach, -1), values, values[-1:].expand(reach, -1)]).double()
    size = len(held) + 2 * reach  # room for the tail, so that the transform does not wrap around
    spectrum = torch.fft.rfft(held, size, dim=0) * torch.fft.rfft(kernel / kernel.sum(), size)[:, None]
    return torch.fft.irfft(spectrum, size, dim=0)[2 * reach : 2 * reach + len(values)]


def velocity(values: Float[Tensor, "t d"]) -> Float[Tensor, "t d"]:
    """Return the change per second, by central differences.

    Args:
        values: A row every 1 / GRID_HZ seconds.
    """
    if len(values) < 2:
        return torch.zeros_like(values)
    return torch.gradient(values, spacing=1 / GRID_HZ, dim=0)[0]


def lagged_correlation(
    mouth: Float[Tensor, "t"],
    voice: Float[Tensor, "t"],
    weight: Float[Tensor, "t"],
    lags: list[int],
    window_s: float = 3.0,
    hop_s: float = 0.5,
) -> Float[Tensor, "lags"]:
    """Correlate mouth and voice in windows, with the voice moved earlier by each of `lags` (grid steps).

    Both signals are centred and normalised inside every window over the steps that count, so that slow drifts and
    changes of level do not matter; the windows' correlations are averaged, each with the weight it holds. Where a lag
    leaves part of a window without sound, the rest of it counts.

    Args:
        mouth: A value every 1 / GRID_HZ seconds.
        voice: Likewise, at the same times.
        weight: Of each step of the mouth, at least 0; 0 where the face is unknown.
        lags: In grid steps; above 0 the sound is taken to be late.
        window_s: Length of a window, seconds.
        hop_s: From the start of one window to the next, seconds.

    Returns:
        A correlation in [-1, 1] for each lag.
    """
    length = len(mouth)
    window, hop = min(length, round(window_s * GRID_HZ)), round(hop_s * GRID_HZ)
    first = torch.arange(0, max(1, length - window + hop), hop).clamp(max=length - window)
    found = []
    at = torch.arange(length)
    for part in torch.tensor(lags).split(max(1, _CHUNK // length)):
        index = at + part[:, None]
        w = weight * ((index >= 0) & (index < length))
        moved = voice[index.clamp(0, length - 1)]
        sums = torch.stack([w, w * mouth, w * moved, w * mouth**2, w * moved**2, w * mouth * moved])
        total = functional.pad(sums.cumsum(-1), (1, 0))
        mass, a, b, aa, bb, ab = total[..., first + window] - total[..., first]
        safe = mass.clamp(min=1e-9)
        power = (aa - a * a / safe).clamp(min=0) * (bb - b * b / safe).clamp(min=0)
        r = torch.where(power > 1e-16, (ab - a * b / safe) / power.clamp(min=1e-16).sqrt(), 0.0)
        found.append((r * mass).sum(-1) / mass.sum(-1).clamp(min=1e-9))
    return torch.cat(found).clamp(-1, 1)
