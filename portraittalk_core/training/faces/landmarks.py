"""How the landmark network learns: what it starts from, and what is asked of it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ... import topology
from ...perception.face_nets import LANDMARK_SIZE, Landmarker
from .precision import half_precision

ANCHORS = list(topology.ANCHORS)

_RIDGE = 1e-5
_SPREAD_CELLS = 1.2


def point_weights() -> Float32[ndarray, "478"]:
    """Return how much each point counts: lids, lips and irises the most, the outline, which no skin marks, least."""
    weights = np.full(topology.POINTS, 0.6, np.float32)
    weights[list(topology.OVAL)] = 0.4
    for part in (*topology.BROWS, *topology.LOWER_BROWS, *topology.NOSE):
        weights[list(part)] = 0.9
    for part in (*topology.EYES, topology.OUTER_LIPS, topology.INNER_LIPS):
        weights[list(part)] = 2.0
    weights[468:] = 1.2
    weights[list(topology.IRISES)] = 3.0
    return weights


def fit_lift(points: Float32[ndarray, "n 478 2"]) -> Float32[ndarray, "478 anchors"]:
    """Return the matrix by which all points are sums of the anchors, fitted by ridge regression.

    Its rows sum to 1 and it serves x and y alike, so it commutes with every affine map of the picture.

    Args:
        points: Of many faces, in any unit.
    """
    size = np.linalg.norm(points[:, topology.IRISES[0]] - points[:, topology.IRISES[1]], axis=1)
    centre = points[:, ANCHORS].mean(1, keepdims=True)
    scaled = ((points - centre) / size[:, None, None]).transpose(0, 2, 1).reshape(-1, topology.POINTS)
    known = scaled[:, ANCHORS].astype(np.float64)
    gram = known.T @ known + _RIDGE * len(known) * np.eye(len(ANCHORS))
    lift = np.linalg.solve(gram, known.T @ scaled).T
    mean = np.full((len(ANCHORS), len(ANCHORS)), 1 / len(ANCHORS))
    return (lift @ (np.eye(len(ANCHORS)) - mean) + mean[:1]).astype(np.float32)


def landmark_loss(
    net: torch.nn.Module, crops: ndarray, targets: ndarray, *, guide: float = 0.3, half: bool = False
) -> Tensor:
    """Weigh the distance of each point (pixels of the 192 crop) and the cross-entropy of the anchors' heat maps.

    The cross-entropy against a small Gaussian shows where to look within a few hundred steps; the distance then teaches
    the fraction of a cell.

    Args:
        net: A `Landmarker`.
        crops: [b, 3, 192, 192] in [-1, 1].
        targets: Landmarks [b, 478, 2] in [-1, 1].
        guide: Weight of the cross-entropy.
        half: Compute in bfloat16 what can be.
    """
    assert isinstance(net, Landmarker)
    pictures = torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)
    truth, weights = torch.from_numpy(targets), torch.from_numpy(point_weights())
    with half_precision(half):
        features = net.features(pictures)
    logits = torch.matmul(net.heat, features.float())
    highest = logits.detach().amax(-1, keepdim=True)
    heat = (logits - highest).exp()
    total = heat.sum(-1, keepdim=True)
    anchors = (heat @ net.grid) / total
    off = (anchors - truth[:, ANCHORS]).norm(dim=-1) * (LANDMARK_SIZE / 2)
    lifted = (net.lift @ anchors - truth).norm(dim=-1) * (LANDMARK_SIZE / 2)
    entropy = (total.log() + highest)[..., 0] - _expected(logits, truth[:, ANCHORS])
    inside = (truth[:, ANCHORS].abs() < 1).all(-1)
    marks = weights[ANCHORS]
    found = ((0.5 * off + guide * entropy * inside) * marks).mean() / marks.mean()
    return found + (lifted * weights).mean() / weights.mean()


def _expected(logits: Float[Tensor, "b k cells"], places: Float[Tensor, "b k 2"]) -> Float[Tensor, "b k"]:
    """Return the mean of heat maps' logits under a small Gaussian about each place."""
    side = LANDMARK_SIZE // 4
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    wide = _SPREAD_CELLS * 2 / side
    x, y = (F.softmax(-(centres - places[..., k, None]).square() / (2 * wide**2), -1) for k in (0, 1))
    rows = torch.matmul(logits.unflatten(-1, (side, side)), x[..., None])[..., 0]
    return (rows * y).sum(-1)
