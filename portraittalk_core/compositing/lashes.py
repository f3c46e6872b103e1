"""The dark line of lashes in which lids that are shut meet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from .lids import ClosingEye, Lid, painted
from .lip_points import places_of
from .masked import luma
from .teeth import along, smooth_step

_PLACES, _STEPS = 17, 15  # along an upper lid, and above it, in which the line of its lashes is looked for
# In distances of the eyes.
_REACH = 0.05  # above its edge, likewise
_LEAST, _MOST = 0.008, 0.03  # how wide the line is
_HANGS = 0.7  # of it that is below where lids meet, as lashes are
_NEARLY_SHUT = 0.35  # share of the photograph's opening from which on lids have that line


def lash_lines(
    frames: Float[Tensor, "n 3 s s"], picture: Float[Tensor, "1 3 s s"], closing: Sequence[ClosingEye]
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 1 s s"]]:
    """Draw the line of lashes where lids meet: what is moved there is as often the rim of the eye, which is light.

    It is as dark and as wide as the upper lid's edge in the photograph; nothing becomes lighter.

    Args:
        frames: In [-1, 1].
        picture: The photograph without frames of glasses, likewise.
        closing: The eyes, see `closing_eyes`.

    Returns:
        The frames, and where they are changed.
    """
    lashes = {eye: _lashes(picture, eye) for eye in closing}

    def line(
        frame: Float[Tensor, "3 s s"], eye: ClosingEye, lid: Lid, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        gap = (lid.lower - lid.upper)[:, 1:-1, 1].mean()
        met = lid.closes * smooth_step(1 - gap / (_NEARLY_SHUT * eye.opening))
        colour, share = (value.to(frame) for value in _line(lid, lashes[eye], part, frame.shape[-1]))
        return torch.minimum(frame[:, part[0], part[1]].flatten(1), colour), met.to(frame) * share

    return painted(frames, closing, line)


def _line(
    lid: Lid, lashes: Float[Tensor, "4 places"], part: tuple[slice, slice], side: int
) -> tuple[Float[Tensor, "3 k"], Float[Tensor, "1 k"]]:
    """Return the colour of the line around an eye, and how much of each pixel it covers."""
    x, y = lid.frame.local(places_of(*part, side)).unbind(-1)
    first, last = lid.lower[:, :1, 0], lid.lower[:, -1:, 0]
    at = ((x - first) / (last - first).clamp(min=1e-3) * (_PLACES - 1)).clamp(0, _PLACES - 1)[0]
    before = at.long().clamp(max=_PLACES - 2)
    there = torch.lerp(lashes[:, before], lashes[:, before + 1], at - before)
    width, soft = there[3], 2 / side / float(lid.frame.across.norm())
    away = (y - along(x, lid.lower))[0] - (_HANGS - 0.5) * width
    return there[:3], lid.middle(x) * smooth_step(1 - away.abs() / (width / 2 + soft))


def _lashes(picture: Float[Tensor, "1 3 s s"], eye: ClosingEye) -> Float[Tensor, "4 places"]:
    """Return the colour of the dark line at the edge of an upper lid, from the left to the right, and its width."""
    x = torch.lerp(eye.upper[:, :1, 0], eye.upper[:, -1:, 0], torch.linspace(0, 1, _PLACES))
    y = along(x, eye.upper)[..., None] - torch.linspace(0, _REACH, _STEPS)
    places = eye.photograph.outside(torch.stack([x[..., None].expand_as(y), y], -1).flatten(1, 2))[:, None]
    seen = functional.grid_sample(picture.float(), places, padding_mode="border", align_corners=False)[0, :, 0]
    seen = seen.unflatten(1, (_PLACES, _STEPS))
    light = luma(seen[None])[0, 0]
    darkest = light[:, : _STEPS // 2].argmin(1)
    dark = seen.gather(2, darkest[None, :, None].expand(3, -1, 1))[..., 0]
    half = (light.amin(1) + light.median(1).values) / 2
    wide = (light < half[:, None]).float().mean(1) * _REACH
    both = functional.pad(torch.cat([dark, wide.clamp(_LEAST, _MOST)[None]])[:, None], (1, 1), mode="replicate")
    return functional.conv1d(both, both.new_tensor([[[0.25, 0.5, 0.25]]]))[:, 0]
