"""What years do to the shape and the colours of a face: brows, cheeks and jaws sag, lips thin, skin spots.

Eyes, the line between the lips and the outline of the forehead stay where they are, so that the points of the face
still fit it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...media.resampling import enlarged
from ...topology import EYES, MIRROR
from ..head_camera import face_unit
from ..masked import blurred, colourfulness, inside, luma, mean_of, softened

# How far points of one side move, in distances of the eyes: down, and away from the middle.
_SAGS = {
    **{70: (0.035, 0.012), 63: (0.03, 0.0), 105: (0.016, 0.0), 46: (0.035, 0.01), 225: (0.03, 0.0)},
    **{50: (0.03, 0.0), 205: (0.055, 0.01), 187: (0.055, 0.015), 207: (0.06, 0.01), 212: (0.05, 0.0)},
    **{61: (0.028, 0.0), 172: (0.055, 0.035), 136: (0.075, 0.035), 150: (0.06, 0.015), 149: (0.035, 0.0)},
    **{48: (0.015, 0.02), 4: (0.035, 0.0), 2: (0.025, 0.0), 37: (0.032, 0.0), 0: (0.032, 0.0), 17: (-0.022, 0.0)},
    **{57: (0.035, 0.0), 43: (0.05, 0.0), 234: (0.0, 0.01)},
}
_STAY = (33, 133, 159, 145, 158, 153, 160, 144, 78, 13, 14, 81, 87, 10, 54, 67, 152, 6, 168)
_REACH = 0.13  # distances of the eyes, over which a point takes the skin along
_ALONE = 0.12  # share of the weight that all that is far from any point has
_GRID = 96  # cells of the field
_STILL = 0.1  # pixels: what moves less is left as it is
_SPOTS, _SPOT, _JAGGED = 26, (0.008, 0.05), 0.02  # how many, of which size in distances of the eyes, how uneven
_SPOT_TINT = (0.12, 0.2, 0.26)  # how much red, green and blue they swallow
_BLOTCHES = ((0.32, 0.016), (0.11, 0.012))  # sizes in distances of the eyes, how much lighter and redder
_REDDER = (-0.2, 0.8, 0.75)  # how they differ in red, green and blue
_CHEEKS = ((117, 118, 101, 36, 205, 187, 123), (346, 347, 330, 266, 425, 411, 352))
_ROUGH = (1.5, 1.9)  # times as rough as cheeks, from which on skin of the forehead is a fringe


def sagged(
    picture: Float[Tensor, "n c s s"], landmarks: Float[Tensor, "n 478 2"], much: float
) -> Float[Tensor, "n c s s"]:
    """Let a face sag.

    Args:
        picture: Colours or shares, in [0, 1].
        landmarks: In [-1, 1].
        much: 1 is about seventy years; below 0 the face becomes firmer.
    """
    side = picture.shape[-1]
    axis = (torch.arange(_GRID) * 2 + 1) / _GRID - 1
    grid = torch.stack([axis[None].expand(_GRID, -1), axis[:, None].expand(-1, _GRID)], -1).reshape(-1, 2)
    rows: list[Tensor] = []
    for points in landmarks.float().cpu():
        unit = float(face_unit(points[None]))
        left, right = (points[list(eye)].mean(0) for eye in EYES)
        across = (right - left) / (right - left).norm().clamp(min=1e-6)
        down = torch.stack([-across[1], across[0]])
        names, moves = [*_STAY, *(MIRROR[k] for k in _STAY)], [torch.zeros(2)] * (2 * len(_STAY))
        for name, (below, out) in _SAGS.items():
            for other, sign in ((name, -1.0), (MIRROR[name], 1.0)):
                names.append(other)
                moves.append(unit * (below * down + sign * out * across))
        weight = torch.exp(-0.5 * (torch.cdist(grid, points[names]) / (_REACH * unit)).square())
        rows.append(weight @ torch.stack(moves) / (weight.sum(1, keepdim=True) + _ALONE))
    field = torch.stack(rows).view(-1, _GRID, _GRID, 2).permute(0, 3, 1, 2).to(picture)
    field = much * enlarged(field, (side, side))
    axis = (torch.arange(side, device=picture.device, dtype=picture.dtype) * 2 + 1) / side - 1
    still = torch.stack([axis[None].expand(side, -1), axis[:, None].expand(-1, side)])
    moved = functional.grid_sample(
        picture, (still - field).permute(0, 2, 3, 1), mode="bicubic", padding_mode="border", align_corners=False
    )
    far = field.square().sum(1, keepdim=True).sqrt() * side / 2 > _STILL
    return torch.where(far, moved.clamp(0, 1), picture)


def spotted(
    picture: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 3 s s"]:
    """Give skin the brown spots and the uneven red of age; a picture in black and white stays so.

    Args:
        picture: In [0, 1].
        skin: Where it may be.
        landmarks: In [-1, 1].
    """
    side, chance = picture.shape[-1], torch.Generator().manual_seed(7)
    unit = float(face_unit(landmarks).mean()) / 2  # of the picture's side
    middle = landmarks[0, 168].cpu() / 2 + 0.5
    axis = (torch.arange(side) + 0.5) / side
    x, y = axis[None], axis[:, None]
    jagged = _noise(chance, side, _JAGGED * unit)
    shares = torch.zeros(1, 1, side, side)
    for _ in range(_SPOTS):
        at = middle + unit * (torch.rand(2, generator=chance) * torch.tensor([2.6, 3.0]) - torch.tensor([1.3, 1.0]))
        size, strong, turn = torch.rand(3, generator=chance).tolist()
        radius = unit * (_SPOT[0] + (_SPOT[1] - _SPOT[0]) * size**3)
        across = (x - at[0]) * (1 + 0.5 * turn) + 0.4 * turn * (y - at[1])
        away = (across.square() + (y - at[1]).square()).sqrt() / radius + 0.25 * jagged
        shares = torch.maximum(shares, (0.2 + 0.6 * strong) * ((1.2 - away) / 0.7).clamp(0, 1))
    tint = picture.new_tensor(_SPOT_TINT).view(1, 3, 1, 1)
    colour = colourfulness(picture)
    tint = luma(tint) + colour * (tint - luma(tint))
    made = picture * (1 - tint * skin * softened(shares.to(picture), 0.5))
    for size, strong in _BLOTCHES:
        red = 0.3 + colour * (picture.new_tensor(_REDDER).view(1, 3, 1, 1) - 0.3)
        made = made * (1 + strong * skin * red * _noise(chance, side, size * unit).to(picture))
    return made.clamp(0, 1)


def _noise(chance: torch.Generator, side: int, size: float) -> Float[Tensor, "1 1 s s"]:
    """Return smooth noise of deviation 1, whose patches have a size in sides of the picture."""
    cells = max(4, min(side, round(1 / size)))
    coarse = torch.randn(1, 1, cells, cells, generator=chance)
    noise = functional.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    return noise / noise.std().clamp(min=1e-4)


def bare_forehead(picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 s s"]:
    """Return where no fringe is: above the brows, skin is about as smooth as cheeks.

    Args:
        picture: In [0, 1].
        landmarks: In [-1, 1].
    """
    side = picture.shape[-1]
    unit = float(face_unit(landmarks).mean()) / 2
    light = luma(picture)
    fine = (light - softened(light, 0.05 * unit * side)).square()
    cheeks = [mean_of(fine, inside(landmarks[:, list(cheek)], picture)) for cheek in _CHEEKS]
    usual = torch.stack(cheeks).amin(0).sqrt().clamp(min=4e-3)  # the other has hair or a shadow
    rough = ((blurred(fine, 0.05 * unit).clamp(min=0).sqrt() / usual - _ROUGH[0]) / (_ROUGH[1] - _ROUGH[0])).clamp(0, 1)
    axis = (torch.arange(side, device=picture.device) * 2 + 1) / side - 1
    brows = landmarks[:, [105, 334]]
    across = functional.normalize(brows[:, 1] - brows[:, 0], dim=-1)[:, :, None, None]
    x, y = axis[None, None, :] - brows[:, :1, None, 0], axis[None, :, None] - brows[:, :1, None, 1]
    over = (across[:, 1] * x - across[:, 0] * y)[:, None]
    above = (over / (0.2 * unit) + 0.2).clamp(0, 1)
    return 1 - above * rough
