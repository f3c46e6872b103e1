"""New hair on a photograph: strands where the denoiser drew a smooth surface."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...motion.geometry import eye_distance
from ...topology import EYES

# In distances of the eyes.
_THICK = 0.011  # a strand
_CROWN = 1.3  # above the eyes: from where the hair of the head falls
_STEPS = 14  # along a strand


def head_of_hair(
    colour: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"], contrast: float = 0.3
) -> Float[Tensor, "n 3 s s"]:
    """Give a smooth surface the strands of hair that falls from the head.

    Args:
        colour: The surface, in [0, 1].
        landmarks: Of the face, in [-1, 1].
        contrast: Of light and dark strands, of their colour.
    """
    return stranded(colour, strands_of_head(landmarks, colour), contrast)


def strands_of_head(landmarks: Float[Tensor, "n 478 2"], like: Float[Tensor, "n c s s"]) -> Float[Tensor, "n 1 s s"]:
    """Return noise of mean 0 and deviation 1 that is drawn out as hair falls from the head.

    Args:
        landmarks: Of the face, in [-1, 1].
        like: Has the size.
    """
    eyes = [landmarks[:, list(eye)].float().mean(1) for eye in EYES]
    middle, across = (eyes[0] + eyes[1]) / 2, eyes[1] - eyes[0]
    crown = middle - _CROWN * torch.stack([-across[:, 1], across[:, 0]], -1)
    return strand_noise(landmarks, crown, like.shape[-1], length=0.16, bend=0.12).to(like)


def stranded(
    colour: Float[Tensor, "n 3 #s #s"], strands: Float[Tensor, "n 1 s s"], contrast: float
) -> Float[Tensor, "n 3 s s"]:
    """Make strands lighter and darker.

    Args:
        colour: In [0, 1].
        strands: Of `strand_noise`.
        contrast: Of the strands, of their colour.
    """
    return (colour * (1 + contrast * strands.clamp(-2, 2) / 2)).clamp(0, 1)


def strand_noise(
    landmarks: Float[Tensor, "n 478 2"], root: Float[Tensor, "n 2"], side: int, *, length: float, bend: float
) -> Float[Tensor, "n 1 side side"]:
    """Return noise of mean 0 and deviation 1 that is drawn out along strands: line integral convolution.

    Args:
        landmarks: Of the face, in [-1, 1].
        root: From where strands fall: beside it sideways and down, below it straight down.
        side: Of the result, pixels.
        length: Of a strand, in distances of the eyes.
        bend: How much strands wave.
    """
    distance = eye_distance(landmarks.float())
    grain = max(8, round(2 / (_THICK * float(distance.mean()))))
    noise = torch.randn(1, 1, grain, grain, generator=torch.Generator().manual_seed(0))
    axis = (torch.arange(side) * 2 + 1) / side - 1
    grid = torch.stack([axis[None].expand(side, -1), axis[:, None].expand(-1, side)], -1).to(root)
    away = grid - root[:, None, None]
    down = torch.stack([away[..., 0], away[..., 1].abs() + 0.6 * distance[:, None, None]], -1)
    wave = bend * torch.sin(grid[..., :1] * 23 + grid[..., 1:] * 11)
    along = functional.normalize(down + wave * down.flip(-1) * down.new_tensor([1.0, -1.0]), dim=-1)
    sums = torch.zeros(len(root), 1, side, side)
    rows = noise.expand(len(root), -1, -1, -1)
    for step in range(_STEPS):
        way = (step / (_STEPS - 1) - 0.5) * length * distance[:, None, None, None]
        sums = sums + functional.grid_sample(rows, grid + way * along, padding_mode="reflection", align_corners=False)
    return (sums - sums.mean((-2, -1), keepdim=True)) / sums.std((-2, -1), keepdim=True).clamp(min=1e-4)
