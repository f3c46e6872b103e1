"""How the pixels of a photograph move: a learned warp of the whole head, and where it can be trusted.

Points of the face say how the face moves. Hair, ears, neck, glasses and collars move with it, each in its own way, and
something comes into view that the photograph does not show. As in the first order motion model (Siarohin et al. 2019) a
network turns sparse motion into a dense field of flow and an occlusion map. Ours starts from a smooth field that is
interpolated between the points, is taught by rendered people, of whom every pixel's way is known, and tells three
things apart: what is warped, what stands still, and what nobody has seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import bordered, enlarged, falling_off, sampled
from .small_unet import SmallUNet

SHARES = ("own", "warped", "still")
"""Whose a pixel is: nobody's, so that it has to be drawn; the photograph's, moved; the photograph's, as it is."""

FIELDS = (0.035, 0.12)
"""Widths, in [-1, 1], of the two interpolations between points: lips and lids, and the head."""

ANCHORS = (0.05, 0.03, 0.02)
"""Widths, in [-1, 1], over which a point's error is spread when a field is anchored, one after the other."""

_FAINT = 0.02  # weight of the head's own affine motion against the points': it rules where no point is near
_FARTHEST = 0.02  # of an error that counts whole: points on the far side of a turned head crowd, and their field folds
_FADING = 0.05  # weight of no error against the points' when a field is anchored
_REACH = 5.0  # widths beyond which a point weighs less than 4e-6


@dataclass(frozen=True)
class DenseMotion:
    """Where each cell of the output lies in the reference, and whose it is."""

    flow: Float[Tensor, "n 2 m m"]
    """x and y in the reference's [-1, 1], for `grid_sample` with `align_corners=False`."""

    shares: Float[Tensor, "n 3 m m"]
    """Shares of `SHARES`, which sum to 1."""

    @classmethod
    def joined(cls, parts: Sequence[DenseMotion]) -> DenseMotion:
        """Return the rows of several, in order.

        Args:
            parts: Of one size; one alone is returned as it is.
        """
        if len(parts) == 1:
            return parts[0]
        return cls(torch.cat([part.flow for part in parts]), torch.cat([part.shares for part in parts]))

    def rows(self, which: slice) -> DenseMotion:
        """Return some rows.

        Args:
            which: Of them.
        """
        return DenseMotion(self.flow[which], self.shares[which])

    def cpu(self) -> DenseMotion:
        """Return it on the CPU."""
        return DenseMotion(self.flow.cpu(), self.shares.cpu())


def sparse_motion(
    reference: Float[Tensor, "n k 2"], target: Float[Tensor, "n k 2"], affine: Float[Tensor, "n 2 3"], size: int
) -> Float[Tensor, "n 6 size size"]:
    """Interpolate between points: normalised convolution of their displacements (Knutsson & Westin 1993).

    Args:
        reference: Points in the reference, in [-1, 1].
        target: The same points in the output.
        affine: The head's motion as a whole, which takes coordinates of the output to the reference's.
        size: Side of the fields, cells.

    Returns:
        Two fields of displacement from the output to the reference (x, y each, one a width of `FIELDS`), and how near
        points are, one a width, in [0, 1].
    """
    axis = cell_axis(size, target)
    grid = torch.stack([axis[None].expand(size, -1), axis[:, None].expand(-1, size)])
    whole = torch.einsum("ncd,dyx->ncyx", affine[:, :, :2], grid) + affine[:, :, 2, None, None] - grid
    # Displacements beyond the affine motion, so that far from all points the affine motion is left.
    moved = reference - (target @ affine[:, :, :2].mT + affine[:, None, :, 2])
    fields: list[Tensor] = []
    near: list[Tensor] = []
    for width in FIELDS:
        sums, weight = spread(moved, target, axis, axis, width)
        fields.append(whole + sums / (weight + _FAINT))
        near.append(weight / (weight + 1))
    return torch.cat([*fields, *near], 1)


def anchored(
    flow: Float[Tensor, "n 2 m m"], reference: Float[Tensor, "n k 2"], target: Float[Tensor, "n k 2"]
) -> Float[Tensor, "n 2 m m"]:
    """Return a field that takes points to where they are known to lie, and beside them hardly differs from the old.

    A network's field is smooth and sensible but some tenths of a pixel off at lips and lids, where it shows.

    Args:
        flow: Where each cell of the output lies in the reference.
        reference: Points in the reference, in [-1, 1].
        target: The same points in the output.
    """
    size = flow.shape[-1]
    axis = cell_axis(size, flow)
    flow = flow.clone()
    low, high = target.amin((0, 1)), target.amax((0, 1))
    for width in ANCHORS:
        there = bordered(flow, target[:, :, None])
        error = reference - there[..., 0].mT
        error = error * (_FARTHEST / error.norm(dim=-1, keepdim=True).clamp(min=_FARTHEST))
        ends = torch.stack([low - _REACH * width, high + _REACH * width]).add(1).mul(size / 2)
        (left, top), (right, bottom) = ends.round().long().clamp(0, size).tolist()
        sums, weight = spread(error, target, axis[left:right], axis[top:bottom], width)
        flow[:, :, top:bottom, left:right] += sums / (weight + _FADING)
    return flow


def cell_axis(size: int, like: Tensor) -> Float[Tensor, "size"]:
    """Return the centres of a row of cells, in [-1, 1].

    Args:
        size: How many cells.
        like: Has their type and device.
    """
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) * (2 / size) - 1


def nearness(points: Float[Tensor, "n k 2"], size: int, width: float) -> Float[Tensor, "n 1 size size"]:
    """Return how near points are, in [0, 1].

    Args:
        points: In [-1, 1].
        size: Side of the map, cells.
        width: Of the Gaussian around each, in [-1, 1].
    """
    axis = cell_axis(size, points)
    x, y = _gaussians(points, axis, axis, width)
    weight = (y.mT @ x)[:, None]
    return weight / (weight + 1)


def spread(
    values: Float[Tensor, "n k 2"],
    points: Float[Tensor, "n k 2"],
    columns: Float[Tensor, "w"],
    rows: Float[Tensor, "h"],
    width: float,
) -> tuple[Float[Tensor, "n 2 h w"], Float[Tensor, "n 1 h w"]]:
    """Return the sums of values and of weights around points, weighted by a Gaussian.

    Args:
        values: Two of each point.
        points: In [-1, 1].
        columns: x of the cells.
        rows: y of the cells.
        width: Of the Gaussian, in [-1, 1].
    """
    x, y = _gaussians(points, columns, rows, width)
    weighted = torch.cat([y * values[..., :1], y * values[..., 1:], y], -1)
    sums = (weighted.mT @ x).unflatten(1, (3, len(rows)))
    return sums[:, :2], sums[:, 2:]


def _gaussians(points: Tensor, columns: Tensor, rows: Tensor, width: float) -> tuple[Tensor, Tensor]:
    """Return how near points are to columns and to rows of cells: of a Gaussian, which is their product."""
    x, y = (end - points[..., k : k + 1] for k, end in enumerate((columns, rows)))
    return falling_off(x.square() * (0.5 / width**2)), falling_off(y.square() * (0.5 / width**2))


class DenseMotionNet(SmallUNet):
    """A small U-Net from a picture and the motion of its points to flow and shares.

    Args:
        contours: Groups of lines in the drawings of the face.
        widths: Channels of its levels, from half the maps' side downwards.
    """

    def __init__(self, *, contours: int = 7, widths: Sequence[int] = (48, 80, 112, 144)) -> None:
        # Pictures come at twice the side of the first level and are folded onto it.
        super().__init__(4 * 3 * 2 + 2 * contours + 6, 4 * 5, widths)
        self.config = {"contours": contours, "widths": list(widths)}
        self.multiplies: torch.dtype | None = None
        """In which precision its convolutions multiply; None: in that of the weights. In bfloat16 pixels move by .02 of
        1024; the geometry around them would be off by ten times as much, and stays as it is."""

    def forward(
        self,
        picture: Float[Tensor, "n 3 m m"],
        contours: Float[Tensor, "n groups h h"],
        moved: Float[Tensor, "n groups h h"],
        sparse: Float[Tensor, "n 6 h h"],
    ) -> DenseMotion:
        """Return flow and shares.

        Args:
            picture: The reference in [-1, 1].
            contours: Its lines, at half its side.
            moved: The lines of the output.
            sparse: Of `sparse_motion`, at half its side.

        Returns:
            Maps of the picture's side.
        """
        size = picture.shape[-1]
        fine = enlarged(sparse, (size, size))
        near = fine[:, 4:5]
        start = near * fine[:, :2] + (1 - near) * fine[:, 2:4] + identity_grid(picture)
        warped = sampled(picture, start, cubic=False)
        folded = functional.pixel_unshuffle(torch.cat([picture, warped], 1), 2)
        with torch.autocast(picture.device.type, self.multiplies) if self.multiplies else nullcontext():
            out = self.run(torch.cat([folded, contours, moved, sparse], 1))
        out = functional.pixel_shuffle(out.to(start), 2)
        return DenseMotion(start + 0.1 * out[:, :2], out[:, 2:].softmax(1))


def lengths(field: Float[Tensor, "n 2 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return how long the vectors of a field are: what `norm` does ten times slower on a CPU.

    Args:
        field: x and y of each cell.
    """
    x, y = field.split(1, 1)
    return (x.square() + y.square()).sqrt()


def identity_grid(like: Float[Tensor, "n c h w"]) -> Float[Tensor, "1 2 h w"]:
    """Return x and y of every pixel's centre, in [-1, 1].

    Args:
        like: Has the size, the type and the device.
    """
    height, width = like.shape[-2:]
    x = (torch.arange(width, device=like.device, dtype=like.dtype) * 2 + 1) / width - 1
    y = (torch.arange(height, device=like.device, dtype=like.dtype) * 2 + 1) / height - 1
    return torch.stack([x[None].expand(height, -1), y[:, None].expand(-1, width)])[None]


def pixel_flow(
    motion: DenseMotion, size: Sequence[int], bend: Callable[[Tensor], Tensor] | None = None
) -> Float[Tensor, "n 2 h w"]:
    """Return where each pixel lies in the picture that is moved, in [-1, 1].

    Args:
        motion: Of `DenseMotionNet`.
        size: Height and width, pixels.
        bend: Changes the flow at that size.
    """
    # The field is nearly a translation: what is interpolated is how far it is from standing still.
    flow = enlarged(motion.flow - identity_grid(motion.flow), size, cubic=True)
    flow = flow + identity_grid(flow)
    return flow if bend is None else bend(flow)


def warp_pixels(
    picture: Float[Tensor, "#n c h w"], motion: DenseMotion
) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n 3 h w"]]:
    """Move a picture of any resolution.

    Args:
        picture: Of any layers and range, which cubic interpolation oversteps at edges; one is shared by all rows.
        motion: Of `DenseMotionNet`.

    Returns:
        The moved pictures, and the shares at their size.
    """
    size = picture.shape[-2:]
    return sampled(picture, pixel_flow(motion, size)), enlarged(motion.shares, size)
