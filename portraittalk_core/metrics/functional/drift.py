"""Does a long video stay what it was? Identity, sharpness and colour, seconds later against the first second."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput

DRIFT_AT_S = (10.0, 30.0, 60.0)
"""Where drift is read, seconds."""


def second_means(values: Float[Tensor, "f *d"], fps: float, at_s: float) -> Float[Tensor, "*d"] | None:
    """Return the mean over the second that begins at `at_s`; None where the video or its known values end before.

    A second that lacks more than half its frames is not there; the last second of a video may be a frame short.

    Args:
        values: One row a frame; NaN rows (frames without a face) do not count.
        fps: Frames a second.
        at_s: Where the second begins.

    Raises:
        BadInput: For an fps that is not positive.
    """
    if not fps > 0:
        raise BadInput(f"`fps` must be positive, but got {fps}. Try 25.")
    first = round(at_s * fps)
    rows = values[first : first + max(1, round(fps))]
    known = rows[torch.isfinite(rows).reshape(len(rows), -1).all(1)] if len(rows) else rows
    return known.mean(0) if len(known) > fps / 2 else None


def identity_drift(
    embeddings: Float[Tensor, "f d"], fps: float, at_s: tuple[float, ...] = DRIFT_AT_S
) -> dict[float, float | None]:
    """Return the cosine similarity to second 0 of the mean face embedding at each time.

    Args:
        embeddings: One a frame, of any length; NaN rows without a face.
        fps: Frames a second.
        at_s: Times, in seconds.

    Returns:
        By time, in [-1, 1], 1 is no drift; None where the video ends before.

    Raises:
        BadInput: Where most of the first second is unknown.
    """
    unit = functional.normalize(embeddings, dim=1)
    return _against_start(unit, fps, at_s, lambda now, start: float(functional.cosine_similarity(now, start, dim=0)))


def sharpness_drift(
    sharpness: Float[Tensor, "f"], fps: float, at_s: tuple[float, ...] = DRIFT_AT_S
) -> dict[float, float | None]:
    """Return by how many per cent sharpness differs from second 0 at each time.

    Args:
        sharpness: One value a frame; see `image.sharpness`.
        fps: Frames a second.
        at_s: Times, in seconds.

    Returns:
        By time: 0 is no drift, below 0 is softer; None where the video ends before.

    Raises:
        BadInput: Where most of the first second is unknown.
    """
    return _against_start(sharpness, fps, at_s, lambda now, start: 100 * float(now / start - 1))


def colour_drift(
    lab: Float[Tensor, "f 3"], fps: float, at_s: tuple[float, ...] = DRIFT_AT_S
) -> dict[float, float | None]:
    """Return the distance in L*a*b* of the mean colour from that of second 0 at each time.

    Args:
        lab: One colour a frame; see `image.mean_colour`.
        fps: Frames a second.
        at_s: Times, in seconds.

    Returns:
        By time: 0 is no drift, about 2 can just be seen; None where the video ends before.

    Raises:
        BadInput: Where most of the first second is unknown.
    """
    return _against_start(lab, fps, at_s, lambda now, start: float((now - start).norm()))


def _against_start(
    values: Float[Tensor, "f *d"], fps: float, at_s: tuple[float, ...], compare: Callable[[Tensor, Tensor], float]
) -> dict[float, float | None]:
    start = second_means(values, fps, 0.0)
    if start is None:
        raise BadInput("Drift: unscored, most frames of the first second have no known value. Find the face there.")
    later = {second: second_means(values, fps, second) for second in at_s}
    return {second: None if now is None else compare(now, start) for second, now in later.items()}
