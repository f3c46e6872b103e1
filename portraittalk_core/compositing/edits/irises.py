"""The colour of eyes: irises get another one; pupils, lids, lashes and what eyes mirror stay the photograph's."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...topology import EYES, IRISES
from ..masked import as_photographed, grown, inside, luma, mean_of, softened
from ..scene import Scene
from .details import EYE_COLOURS
from .removal import has_dark_lenses

_RING = 4  # points around the centre of an iris, after it
_ARCS = (-25.0, 60.0)  # degrees below the horizontal, where lids seldom hide the edge of an iris
_ARC = 12  # places along each
_MOVES, _SIZES = (-0.5, 0.5, 11), (0.75, 1.3, 12)  # in radii: how far off points may be; of the radius
_EDGE = 0.14  # likewise, half of the width over which an iris ends
_NEAR = 0.45  # likewise: places that are further from the points are less likely
_PUPIL, _PUPIL_ENDS = 0.38, 0.12  # likewise
_RIM, _SOFT = (0.88, 1.04), 0.6  # where irises end; pixels of it
_LIDS = 0.25  # likewise, how far lids may be from their points
_DARKER = (0.75, 0.55)  # of the red of what is around: what is no iris, and what is one
_MIDDLE, _SHUT = (4, 12), (0.25, 0.5)  # of outlines of lids; radii between them at which eyes are shut, and are not
_LEAST = 2.5  # pixels that a radius has
_GLINT, _GLINT_ENDS = (2.0, 0.22), 0.15  # times as light, and by so much lighter than an iris is what it mirrors
_CONTRAST = 1.3  # times as much light and dark that irises may get
_LIMBUS, _SPOKES, _SHADE = 0.4, 0.1, 0.25  # how much darker light irises are at the edge, in spokes, at lids
_SPOKE_COUNT = 48
_WHITE, _SHADED = 1.15, (0.45, 1.0)  # of the light of skin: whites of eyes in full light; what is left of that in shade
_SAME = 0.06  # distance of an iris from the colour of its name
_DARK_LENSES = "The photograph shows glasses that are dark: the colour of the eyes stays."
_SHOWN = "The photograph shows such eyes already: they are left as they are."


def with_eye_colour(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Give irises the colour that a prompt names, in the light of the photograph.

    Args:
        scene: The photograph.
        picture: What is changed, in [0, 1].
        where: Around the eyes.
    """
    named = sorted(scene.details & set(EYE_COLOURS))
    if not named:
        return picture
    if has_dark_lenses(scene):
        scene.warn(_DARK_LENSES)
        return picture
    colours = {name: as_photographed(rgb, scene.shown, scene.was("skin")) for name, rgb in EYE_COLOURS.items()}
    light = mean_of(luma(picture), scene.was("skin"))
    for eye in range(2):
        share, around, turn = iris_share(scene.shown, scene.landmarks, eye)
        share = share * (1 - scene.was("accessory"))
        ring = share * ((around - _PUPIL) / _PUPIL_ENDS).clamp(0, 1)
        if float(ring.sum()) < 1:  # a closed eye
            continue
        old = mean_of(picture, ring)
        # Eyes lie in shade, as their whites say.
        beside = scene.was("eyes") * ((around - 1.1) / 0.2).clamp(0, 1) * (around < 2.5)
        white = mean_of(luma(picture), beside) if float(beside.sum()) > 1 else light
        lit = (white / light.clamp(min=0.02) / _WHITE).clamp(*_SHADED)
        apart = {name: float((lit * colour - old).norm(dim=1).mean()) for name, colour in colours.items()}
        if apart[named[0]] <= min(min(apart.values()), _SAME):
            scene.warn(_SHOWN)
            continue
        made = _dyed_iris(picture, old, lit * colours[named[0]], around, turn)
        picture = picture + ring * (made - picture)
    return picture


def iris_share(
    picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"], eye: int
) -> tuple[Float[Tensor, "n 1 s s"], Float[Tensor, "n 1 s s"], Float[Tensor, "n 1 s s"]]:
    """Return where one iris is seen.

    Args:
        picture: In [0, 1].
        landmarks: In [-1, 1].
        eye: 0 is the one at the left of the picture.

    Returns:
        Its share of each pixel, how far each is from its middle in radii, and in which direction, radians.
    """
    side = picture.shape[-1]
    centre, radius = fitted_iris(picture[:, :1], landmarks, eye)
    axis = (torch.arange(side).to(landmarks) * 2 + 1) / side - 1
    grid = torch.stack([axis[None].expand(side, -1), axis[:, None].expand(-1, side)])
    away = (grid - centre[:, :, None, None]) / radius[:, None, None, None]
    around, turn = away.norm(dim=1, keepdim=True), torch.atan2(away[:, 1:], away[:, :1])
    low, high = _RIM
    share = ((high - around) / (high - low)).clamp(0, 1)
    reach = float(radius.mean()) / 2
    lids = grown(inside(landmarks[:, list(EYES[eye])], picture), _LIDS * reach)
    red = softened(picture[:, :1], _SOFT)
    beside = mean_of(red, lids * ((around - high) / 0.2).clamp(0, 1) * (around < 2))
    other, own = _DARKER
    dark = ((other - red / beside.clamp(min=0.02)) / (other - own)).clamp(0, 1)
    upper, lower = (landmarks[:, EYES[eye][k]] for k in _MIDDLE)
    gap = (lower - upper).norm(dim=1) / radius
    opened = ((gap - _SHUT[0]) / (_SHUT[1] - _SHUT[0])).clamp(0, 1) * (radius * side / 2 > _LEAST)
    return share * lids * dark * opened.view(-1, 1, 1, 1), around, turn


def fitted_iris(
    red: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"], eye: int
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n"]]:
    """Find the circle of an iris near its points: where red rises most across both its sides (Daugman, 1993).

    Irises of every colour are dark in red, for what surrounds them is not.

    Args:
        red: The picture's red, in [0, 1].
        landmarks: In [-1, 1].
        eye: 0 is the one at the left of the picture.

    Returns:
        Middle and radius, in [-1, 1].
    """
    first = IRISES[eye]
    centre = landmarks[:, first]
    radius = (landmarks[:, first + 1 : first + 1 + _RING] - centre[:, None]).norm(dim=-1).mean(1)
    moves = torch.linspace(*_MOVES).to(landmarks)
    x, y, size = (
        part.flatten() for part in torch.meshgrid(moves, moves, torch.linspace(*_SIZES).to(landmarks), indexing="ij")
    )
    angles = torch.linspace(math.radians(_ARCS[0]), math.radians(_ARCS[1]), _ARC).to(landmarks)
    rim = torch.stack([torch.stack([sign * angles.cos(), angles.sin()], -1) for sign in (-1, 1)])  # [2, arc, 2]
    rings = torch.stack([size - _EDGE, size + _EDGE], 1)[:, :, None, None, None] * rim  # [k, 2, 2, arc, 2]
    places = torch.stack([x, y], -1)[:, None, None, None] + rings
    at = centre[:, None, None] + radius[:, None, None, None] * places.flatten(1, 3)[None]
    found = functional.grid_sample(red.float(), at.float(), padding_mode="border", align_corners=False)
    inner, outer = found[:, 0].unflatten(-1, (2, 2, _ARC)).mean(-1).unbind(2)
    rise = outer - inner  # [n, k, 2 sides]
    score = rise.sum(-1) + rise.amin(-1)
    likely = torch.exp(-0.5 * ((x.square() + y.square()) / _NEAR**2))
    best = (score * likely).argmax(1)
    return centre + radius[:, None] * torch.stack([x, y], -1)[best], radius * size[best]


def _dyed_iris(picture: Tensor, old: Tensor, new: Tensor, around: Tensor, turn: Tensor) -> Tensor:
    """Return an iris of another colour; one that was dark shows little of what a light one has, which is drawn."""
    light, before, after = luma(picture), luma(old), luma(new)
    much = (after / before.clamp(min=0.02)).clamp(max=_CONTRAST)
    lighter = (after / before.clamp(min=0.02) - 1).clamp(0, 1)
    spokes = torch.randn(_SPOKE_COUNT, generator=torch.Generator().manual_seed(0)).to(picture)
    which = (turn / (2 * math.pi) % 1) * _SPOKE_COUNT
    low = which.floor().long() % _SPOKE_COUNT
    spoke = torch.lerp(spokes[low], spokes[(low + 1) % _SPOKE_COUNT], which - which.floor())
    limbus = ((around - 0.7) / 0.3).clamp(0, 1)
    above = (-torch.sin(turn) * around - 0.1).clamp(0, 1)
    drawn = 1 + lighter * (_SPOKES * spoke * around.clamp(max=1) - _LIMBUS * limbus.square() - _SHADE * above)
    made = new * ((after + much * (light - before)) / after.clamp(min=0.02)).clamp(0.25, 1.8) * drawn
    times, more = _GLINT
    glint = ((light - torch.maximum(times * before, before + more)) / _GLINT_ENDS).clamp(0, 1)
    return (made + glint * (picture - made)).clamp(0, 1)
