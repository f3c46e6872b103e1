"""The structure encoder: where the head is and what the face does, added to the U-Net's input."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput
from ..host import Call, InputBranch
from ..media.resampling import bordered
from ..sites import Site


def structure_channels(
    *, latent_channels: int, groups: int = 7, fold: int = 2, cue: int = 6, picture_fold: int = 8
) -> int:
    """Return how many channels `structure_input` makes.

    Args:
        latent_channels: Channels of a latent.
        groups: Channels of the contour pictures.
        fold: Side of a contour picture over the latent's.
        cue: Width of the head-pose cue.
        picture_fold: Side of the warped picture over the latent's.
    """
    return groups * fold**2 + 3 * latent_channels + cue + 4 + 3 * picture_fold**2


def structure_input(
    contours: Float[Tensor, "n groups size size"],
    placement: Float[Tensor, "n 2 3"],
    cue: Float[Tensor, "n cue"],
    reference_latent: Float[Tensor, "#n c h w"],
    warped: Float[Tensor, "n 3 s s"],
    warped_latent: Float[Tensor, "n c h w"],
    present: Bool[Tensor, "#n"] | None = None,
) -> Float[Tensor, "n channels h w"]:
    """Build the conditioning of each frame at the latent's resolution.

    Channels, in order: contours folded onto the latent grid; the reference latent sampled at `placement` (our head
    placement guidance: it stands where the output's head will be); 1 where that sampling left the picture; the
    reference latent as it is; the head-pose cue as constant planes; 1 where a reference is present; x and y in
    [-1, 1]; the reference picture warped so that its landmarks lie on the output's (`geometry.warp_picture`), folded
    onto the latent grid; the latent of that warped picture. A row whose `present` is false has zeros for everything
    that comes from the reference.

    A latent that is moved by a part of its grid is not the latent of the moved picture: eyes, lines and curls, of its
    grid's own size, are lost in it. They are seen in the warped picture, and in its latent they can be copied as they
    are.

    Args:
        contours: Lines of the face by group, in [0, 1]; see `motion.geometry.contours`.
        placement: The affine map from output coordinates to reference coordinates.
        cue: Where the head is and how it is turned; see `motion.geometry.head_cue`.
        reference_latent: Of the reference picture, one row a frame or one for all.
        warped: The reference picture warped to each frame's landmarks, in [-1, 1].
        warped_latent: Of those pictures.
        present: Whether a row knows a reference; None: all do.

    Returns:
        The channels that `structure_channels` counts, at the latent's resolution.

    Raises:
        BadInput: When contours or picture do not fold onto the latent.
    """
    rows, size = len(contours), contours.shape[-1]
    height, width = reference_latent.shape[-2:]
    for name, side in (("contours", size), ("warped", warped.shape[-1])):
        if height != width or side % width:
            raise BadInput(
                f"`{name}` must be square with a side that is a multiple of the latent's, but got {side} for a latent "
                f"of {height}x{width}. Draw them at a multiple of {width}."
            )
    latent = reference_latent.expand(rows, -1, -1, -1)
    grid = F.affine_grid(placement.to(latent.dtype), list(latent.shape), align_corners=False)
    placed = bordered(latent, grid, "bicubic")
    outside = (grid.abs().amax(-1) > 1)[:, None].to(latent.dtype)
    seen = latent.new_ones(rows) if present is None else present.to(latent).expand(rows)
    mask = seen[:, None, None, None]
    parts = [
        F.pixel_unshuffle(contours.to(latent), size // width),
        torch.cat([placed, outside, latent], 1) * mask,
        torch.cat([cue.to(latent), seen[:, None]], 1)[:, :, None, None].expand(-1, -1, height, width),
        _coordinates(latent),
        F.pixel_unshuffle(warped.to(latent), warped.shape[-1] // width) * mask,
        warped_latent.to(latent) * mask,
    ]
    return torch.cat(parts, 1)


class StructureEncoder(nn.Module):
    """Turns `structure_input` into residuals for the U-Net's first map and for the first layer of each deeper level.

    Two convolutions at the latent's resolution, one strided convolution a level, SiLU between, and one linear
    convolution past them all to the finest output: what the placed reference shows can be copied without loss. The
    last convolution of each output starts at zero, so that an untrained encoder leaves the U-Net as it is
    (ControlNet's practice, Zhang et al., arXiv 2302.05543).

    Args:
        in_channels: Channels of the conditioning, see `structure_channels`.
        channels: Of the U-Net's levels, fine to coarse.
        width: Channels inside the encoder.
    """

    def __init__(self, *, in_channels: int, channels: Sequence[int], width: int = 64) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.SiLU())
        self.refine = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU())
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU()) for _ in channels[1:]
        )
        # The map that enters level k has the width of level k - 1.
        self.out = nn.ModuleList(_zeroed(nn.Conv2d(width, c, 3, padding=1)) for c in (channels[0], *channels[:-1]))
        self.direct = _zeroed(nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False))

    def forward(self, conditioning: Float[Tensor, "n channels h w"]) -> list[Tensor]:
        """Return one residual map a level, fine to coarse. Compute it once a clip, not once a step.

        Args:
            conditioning: What `structure_input` returned, one row a frame.

        Returns:
            Maps as wide as what enters each level; each has half the side of the one before.
        """
        hidden = self.refine(self.enter(conditioning))
        maps = [self.out[0](hidden) + self.direct(conditioning)]
        for down, out in zip(self.down, list(self.out)[1:], strict=True):
            hidden = down(hidden)
            maps.append(out(hidden))
        return maps

    def branches(
        self, maps: Sequence[Tensor], without_identity: Sequence[Tensor] | None = None, scale: float = 1.0
    ) -> list[InputBranch]:
        """Return the INPUT branches of `forward`'s maps.

        Args:
            maps: What `forward` returned, one row a frame (in training: a sample).
            without_identity: The maps of the same motion with `present` false, for the passes that do not see the
                identity, because the reference latent shows it. None: every pass sees the same maps.
            scale: Multiplies what is added; at 0 there are no branches.
        """
        if scale == 0:
            return []
        sites = [None, *(Site("down", k, 0) for k in range(1, len(maps)))]
        absent = without_identity or [None] * len(maps)
        return [MapResidual(s, m, a, scale) for s, m, a in zip(sites, maps, absent, strict=True)]


class MapResidual:
    """Adds a precomputed map to a layer's input.

    Args:
        site: The layer; None: the first feature map.
        given: One row a frame.
        absent: What passes without identity get, likewise; None: the same.
        scale: Multiplies what is added.
    """

    def __init__(
        self, site: Site | None, given: Float[Tensor, "n c h w"], absent: Float[Tensor, "n c h w"] | None, scale: float
    ) -> None:
        self.site = site
        self._given, self._absent, self._scale = given, absent, scale

    def residual(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        """Return what is added; see `host.InputBranch`."""
        rows = call.batch(self._given, self._absent, "identity").to(hidden.dtype)
        return rows if self._scale == 1 else rows * self._scale


def _coordinates(like: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 2 h w"]:
    """Return the x and y of every pixel's centre."""
    n, _, height, width = like.shape
    x = (torch.arange(width, device=like.device, dtype=like.dtype) * 2 + 1) / width - 1
    y = (torch.arange(height, device=like.device, dtype=like.dtype) * 2 + 1) / height - 1
    grid = torch.stack([x[None, :].expand(height, -1), y[:, None].expand(-1, width)])
    return grid.expand(n, -1, -1, -1)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
