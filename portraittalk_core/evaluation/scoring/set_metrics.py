"""Figures of a whole set of clips against the set of their references: FID, FVD and E-FID."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import PortraitTalkError
from ...metrics.functional import e_fid, frechet_distance, frechet_note
from ..data.clips import Clip
from .features import read_features
from .figures import SET_FIGURES
from .summary import jackknife

_DIGITS = 6
_DISTANCES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "fid": frechet_distance,
    "fvd": frechet_distance,
    "e_fid": e_fid,
}


def set_figures(clips: Sequence[Clip], total: int, features_of: Callable[[Clip], Path]) -> dict[str, dict[str, Any]]:
    """Take every figure of the set that clips have features for.

    A clip counts where both it and its reference have features; a reference that several clips share counts once.

    Args:
        clips: Those that are done.
        total: How many clips the set has.
        features_of: The file of a clip's features, see `features.write_features`.

    Returns:
        By the figure's key: `value`, `low` and `high` (None, with a note that says why, where the distance cannot be
        taken), `clips` that count `of` all, `rows` and `reference_rows` of features, `how` it is taken, `notes`.

    Raises:
        BadMedia: When features cannot be read.
    """
    compared = [clip for clip in clips if clip.reference is not None]
    found: dict[str, dict[str, Any]] = {}
    for figure in SET_FIGURES:
        pairs = _pairs(figure.key, compared, features_of)
        if not pairs:
            continue
        distance = _DISTANCES[figure.key]
        first, second = _joined(pairs)
        lines: list[str] = []
        bounds: dict[str, float | None] = dict.fromkeys(("value", "low", "high"))
        try:
            mean = jackknife(distance(first, second), _of_some(pairs, distance), len(pairs))
            bounds = {
                name: None if number is None else round(number, _DIGITS)
                for name, number in (("value", mean.value), ("low", mean.low), ("high", mean.high))
            }
            note = frechet_note(first, second)
            lines += [] if note is None else [note]
        except PortraitTalkError as error:
            lines.append(f"{figure.title}: unscored, {' '.join(str(error).split())}")
        counts = {"clips": len(pairs), "of": total, "rows": len(first), "reference_rows": len(second)}
        found[figure.key] = {**bounds, **counts, "how": figure.how, "notes": lines}
    return found


@dataclass(frozen=True)
class _Pair:
    """Features of a clip and of its reference, which other clips may share."""

    made: Float[Tensor, "n d"]
    true: Float[Tensor, "m d"]
    reference: Path


def _pairs(key: str, clips: Sequence[Clip], features_of: Callable[[Clip], Path]) -> list[_Pair]:
    found: list[_Pair] = []
    for clip in clips:
        features = read_features(features_of(clip), key)
        if features is not None and clip.reference is not None:
            found.append(_Pair(*features, clip.reference.resolve()))
    return found


def _joined(pairs: Sequence[_Pair]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    true: dict[Path, Tensor] = {}
    for pair in pairs:
        true.setdefault(pair.reference, pair.true)
    return torch.cat([pair.made for pair in pairs]), torch.cat(list(true.values()))


def _of_some(pairs: Sequence[_Pair], distance: Callable[[Tensor, Tensor], float]) -> Callable[[Sequence[int]], float]:
    return lambda kept: distance(*_joined([pairs[number] for number in kept]))
