"""Is it still the same person, and the same kind of picture? Distances between embeddings and sets of features."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput


def csim(embeddings: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the cosine similarity of face embeddings and those of the reference: mean over all pairs, in [-1, 1].

    Rows may have any length; rows with NaN are frames without a face and do not count. With ArcFace embeddings this is
    the field's CSIM. Raises `BadInput` when no row is left on one side.
    """
    rows = [_known_rows(part, name) for part, name in ((embeddings, "embeddings"), (reference, "reference"))]
    first, second = (functional.normalize(part, dim=1) for part in rows)
    return float((first @ second.T).mean())


def frechet_distance(features: Float[Tensor, "n d"], reference: Float[Tensor, "m d"]) -> float:
    """Return the Fréchet distance of two sets of features taken for Gaussians: `|μ-ν|² + tr(A + B - 2 (AB)^½)`.

    FID with Inception features (Heusel et al. 2017), FVD with I3D features (Unterthiner et al. 2018), E-FID with
    expression coefficients (EMO, Tian et al. 2024). At least 0; the covariances are unbiased. Sets smaller than a few
    times d give figures that are too high. Raises `BadInput` for widths that differ or fewer than two rows.
    """
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise BadInput(
            f"`features` and `reference` must be [n, d] with one d, but got {list(features.shape)} and "
            f"{list(reference.shape)}. Use one network for both."
        )
    first, second = _known_rows(features, "features", 2), _known_rows(reference, "reference", 2)
    a, b = _covariance(first), _covariance(second)
    # tr (AB)^½ through the symmetric A^½ B A^½, which has the same eigenvalues and no imaginary noise
    values, vectors = torch.linalg.eigh(a)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    cross = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    distance = (first.mean(0) - second.mean(0)).square().sum() + a.trace() + b.trace() - 2 * cross
    return max(0.0, float(distance))


def _covariance(rows: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    return torch.cov(rows.T).reshape(rows.shape[1], rows.shape[1])


def _known_rows(rows: Float[Tensor, "n d"], name: str, least: int = 1) -> Float[Tensor, "k d"]:
    if rows.ndim != 2:
        raise BadInput(f"`{name}` must have the shape [n, d], but got {list(rows.shape)}. Add the missing axis.")
    known = rows[torch.isfinite(rows).all(1)].double()
    if len(known) < least:
        raise BadInput(f"`{name}` must have at least {least} finite rows, but has {len(known)} of {len(rows)}.")
    return known
