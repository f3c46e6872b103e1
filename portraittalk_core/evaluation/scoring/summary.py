"""Means over clips with their confidence, paired differences of two runs, and the confidence of a figure of a set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .figures import FIGURES

DRAWS = 2000
"""Draws of the bootstrap."""

SEED = 0
"""Of bootstrap and jackknife."""

GROUPS = 10
"""Of the jackknife: how many groups of clips are left out in turn."""

FEWEST = 5
"""Of the jackknife: fewer clips have no interval."""


@dataclass(frozen=True)
class Mean:
    """A mean over clips, or a figure of a set, with its 95 % confidence interval."""

    value: float
    """The mean."""

    low: float | None
    """Lower end of the interval; None where there are too few clips."""

    high: float | None
    """Upper end of the interval; None where there are too few clips."""

    clips: int
    """How many clips count."""


def bootstrap_mean(values: Sequence[float], draws: int = DRAWS, seed: int = SEED) -> Mean | None:
    """Take the mean of clips with its percentile bootstrap interval (Efron 1979).

    Args:
        values: One a clip.
        draws: How often clips are drawn with replacement.
        seed: Of the draws.

    Returns:
        The mean; None without values.
    """
    if not values:
        return None
    data = torch.tensor(values, dtype=torch.float64)
    mean = float(data.mean())
    if len(data) < 2:
        return Mean(mean, None, None, 1)
    generator = torch.Generator().manual_seed(seed)
    means = data[torch.randint(len(data), (draws, len(data)), generator=generator)].mean(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return Mean(mean, low, high, len(data))


def jackknife(value: float, of_clips: Callable[[Sequence[int]], float], clips: int, seed: int = SEED) -> Mean:
    """Take the interval of a figure of a whole set that cannot be negative by leaving out groups of clips.

    A Fréchet distance grows when a set holds the same rows twice, as every draw of a bootstrap does; the delete-a-group
    jackknife (Kott 2001) repeats no row. The clips fall into at most ten groups, seeded; Student's t has one degree of
    freedom less than there are groups.

    Args:
        value: The figure of all clips.
        of_clips: The figure of the clips with these numbers, from 0.
        clips: How many clips there are.
        seed: Of the groups.

    Returns:
        The figure with its 95 % interval, without one for fewer than `FEWEST` clips.
    """
    if clips < FEWEST:
        return Mean(value, None, None, clips)
    from scipy.special import stdtrit

    groups = min(GROUPS, clips)
    mixed = torch.randperm(clips, generator=torch.Generator().manual_seed(seed)).tolist()
    left = [of_clips([c for place, c in enumerate(mixed) if place % groups != group]) for group in range(groups)]
    spread = torch.tensor(left, dtype=torch.float64).var(correction=0) * (groups - 1)
    reach = float(stdtrit(groups - 1, 0.975)) * float(spread.sqrt())
    return Mean(value, max(0.0, value - reach), value + reach, clips)


def means(records: Sequence[dict[str, Any]]) -> dict[str, Mean]:
    """Take the mean of every figure that at least one clip has.

    Args:
        records: One a clip, as results.json holds them.

    Returns:
        The means by the figure's key, in the order of `FIGURES`.
    """
    found = {f.key: bootstrap_mean([r[f.key] for r in records if r.get(f.key) is not None]) for f in FIGURES}
    return {key: mean for key, mean in found.items() if mean is not None}


def paired_differences(
    records: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]
) -> dict[str, tuple[Mean, Mean, Mean]]:
    """Compare two runs clip by clip, so that what a clip is does not count, only what was done to it.

    Args:
        records: Of this run, one a clip.
        others: Of the other run; clips are paired by the name of their file.

    Returns:
        By the figure's key: the means of this run, of the other, and of this minus the other, over the clips that have
        the figure in both.
    """
    other = {record["file"]: record for record in others}
    pairs = [(record, other[record["file"]]) for record in records if record["file"] in other]
    found = {}
    for key in (figure.key for figure in FIGURES):
        both = [(a[key], b[key]) for a, b in pairs if a.get(key) is not None and b.get(key) is not None]
        columns = [a for a, _ in both], [b for _, b in both], [a - b for a, b in both]
        summed = [mean for mean in map(bootstrap_mean, columns) if mean is not None]
        if len(summed) == 3:
            found[key] = (summed[0], summed[1], summed[2])
    return found
