"""Is it still the same person, and the same kind of picture? Distances between embeddings and sets of features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput
from ...types import COEFFICIENTS


def csim(embeddings: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the cosine similarity of face embeddings and those of the reference, mean over all pairs.

    With ArcFace embeddings this is the field's CSIM.

    Args:
        embeddings: One a frame, of any length; rows with NaN are frames without a face and do not count.
        reference: Likewise, of the reference pictures.

    Returns:
        In [-1, 1], higher is better.

    Raises:
        BadInput: When no row is left on one side.
    """
    rows = [_known_rows(part, name) for part, name in ((embeddings, "embeddings"), (reference, "reference"))]
    first, second = (functional.normalize(part, dim=1) for part in rows)
    return float((first @ second.T).mean())


def frechet_distance(features: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the Fréchet distance of two sets of features taken for Gaussians: `|μ-ν|² + tr(A + B - 2 (AB)^½)`.

    FID with Inception's features of pictures (Heusel et al. 2017), FVD with I3D's of clips (Unterthiner et al. 2018),
    see `metrics.features`; `e_fid` with expressions. The covariances are unbiased. Small sets give figures that are too
    high: see `frechet_note`.

    The trace of (AB)^½ is the sum of the singular values of XYᵀ for any XᵀX = A and YᵀY = B. The sets' own centred
    rows are such factors: no root of a covariance is taken, so that sets with fewer rows than columns, whose
    covariances are singular, are no special case and nothing is added to a diagonal.

    Args:
        features: One set; rows with NaN do not count.
        reference: The other.

    Returns:
        At least 0, lower is better.

    Raises:
        BadInput: For widths that differ or fewer than two rows.
    """
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise BadInput(
            f"`features` and `reference` must be [n, d] with one d, but got {list(features.shape)} and "
            f"{list(reference.shape)}. Use one network for both."
        )
    first, second = _known_rows(features, "features", 2), _known_rows(reference, "reference", 2)
    a, b = (_factor(rows) for rows in (first, second))
    cross = torch.linalg.svdvals(a @ b.T).sum()
    distance = (first.mean(0) - second.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * cross
    return max(0.0, float(distance))


def frechet_note(features: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> str | None:
    """Return what must stand beside a Fréchet distance of sets smaller than their features are wide, else None.

    Args:
        features: One set.
        reference: The other.
    """
    rows, width = min(len(features), len(reference)), features.shape[1]
    if rows > width:
        return None
    return (
        f"the smaller set has {rows} rows for {width} features: the Fréchet distance is too high by an unknown amount "
        "and compares with sets of the same size only"
    )


def e_fid(coefficients: Float[Tensor, "n 52"], reference: Float[Tensor, "m 52"]) -> float:
    """Return E-FID, the Fréchet distance of the expressions of two sets of frames, lower is better. Our definition.

    EMO (Tian et al. 2024) takes the expression coefficients of a morphable face model, which is not ours to ship. Ours
    are the 52 of `types.COEFFICIENTS`, in [0, 1] and unscaled, as `motion.structure.fit_motion` reads them off
    landmarks; head pose does not count. So the figures do not compare with papers'.

    Args:
        coefficients: One row a frame; rows with NaN are frames without a face.
        reference: Likewise.

    Raises:
        BadInput: For other columns or fewer than two rows.
    """
    for name, rows in (("coefficients", coefficients), ("reference", reference)):
        if rows.ndim != 2 or rows.shape[1] != len(COEFFICIENTS):
            raise BadInput(
                f"`{name}` must have the {len(COEFFICIENTS)} columns of `types.COEFFICIENTS`, but has the shape "
                f"{list(rows.shape)}. Use `motion.structure.fit_motion`."
            )
    return frechet_distance(coefficients, reference)


def _factor(rows: Float[Tensor, "n d"]) -> Float[Tensor, "k d"]:
    """Return F of at most d rows with FᵀF the unbiased covariance of the rows."""
    centred = (rows - rows.mean(0)) / (len(rows) - 1) ** 0.5
    return centred if len(rows) <= rows.shape[1] else torch.linalg.qr(centred, mode="r").R


def _known_rows(rows: Float[Tensor, "n d"], name: str, least: int = 1) -> Float[Tensor, "k d"]:
    if rows.ndim != 2:
        raise BadInput(f"`{name}` must have the shape [n, d], but got {list(rows.shape)}. Add the missing axis.")
    known = rows[torch.isfinite(rows).all(1)].double()
    if len(known) < least:
        raise BadInput(f"`{name}` must have at least {least} finite rows, but has {len(known)} of {len(rows)}.")
    return known
