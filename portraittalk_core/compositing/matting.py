"""People cut out of photographs hair by hair, and put before another place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .masked import STRANDS, blurred, filled, softened, surely

_STRAY = 0.15  # share of a person below which a pixel is all place
_EDGE = 0.02  # of the picture's side: how far from the edge of a person pixels may be mixed
_TOLD = 0.18  # by how much of the range person and place differ where their mixture can be read
_BESIDE = 0.15  # of the range: how far from all mixtures of the two a pixel is neither
_NEAR = 0.12  # of the range: how much a mixed pixel's own colour may differ from the person's further in
_LOCKS = 0.06  # of the picture's side: how far from the rest of somebody tips of their hair may be
_AROUND = 0.05  # likewise: how far from somebody the place is surely as it is
_CALM = 0.06  # of the range: how much a place may vary in which a lock of hair is told from it
_HAIRY = 0.25, 0.6  # of the way from place to hair: of less a pixel is place, from the second on hair
_WRAP, _WRAP_REACH = 0.35, 0.02  # how much of the new place's light falls on the edge of a person


def person_share(
    picture: Float[Tensor, "n 3 s s"],
    shown: Float[Tensor, "n 3 s s"],
    place: Float[Tensor, "n 1 s s"],
    hair: Float[Tensor, "n 1 s s"],
    zoom: float = 1.0,
) -> tuple[Float[Tensor, "n 1 s s"], Float[Tensor, "n 3 s s"], Float[Tensor, "n 3 s s"]]:
    """Return how much of each pixel is person, and what person and place look like further in.

    Args:
        picture: The person, in [0, 1].
        shown: The photograph with its place.
        place: The share of the place in each pixel, as far as it is known.
        hair: The share of hair.
        zoom: How many crops the pictures are wide.
    """
    edge = _EDGE / zoom
    person = ((1 - place - _STRAY) / (1 - 2 * _STRAY)).clamp(0, 1)
    inner = filled(picture, surely(person, 0.008 / zoom))
    outer = filled(shown, surely(place, STRANDS / zoom))
    apart = inner - outer
    told = (apart.square().sum(1, keepdim=True).sqrt() / _TOLD).clamp(max=1).square()
    read = ((picture - outer) * apart).sum(1, keepdim=True) / apart.square().sum(1, keepdim=True).clamp(min=1e-3)
    beside = (picture - outer - read * apart).square().sum(1, keepdim=True)
    told = told * torch.exp(-beside / _BESIDE**2)
    near = blurred(person, edge)
    mixed = (4 * near * (1 - near)).clamp(0, 1).sqrt() * (3 * blurred(hair, edge)).clamp(max=1)
    share = person + told * mixed * (softened(read.clamp(0, 1), 0.5) - person)
    return share, inner, outer


def loose_locks(
    picture: Float[Tensor, "n 3 s s"],
    place: Float[Tensor, "n 1 s s"],
    hair: Float[Tensor, "n 1 s s"],
    zoom: float = 1.0,
) -> Float[Tensor, "n 1 s s"]:
    """Return how far pixels beside somebody are tips of hair that were taken for the place, in [0, 1].

    Before a place that is calm, what has the colour of the hair beside it is hair.

    Args:
        picture: In [0, 1].
        place: The share of the place in each pixel.
        hair: The share of hair.
        zoom: How many crops the pictures are wide.
    """
    around, reach = _AROUND / zoom, _LOCKS / zoom
    far = surely(place, around)
    outer = filled(picture, far)
    inner = filled(picture, surely(hair, 0.008 / zoom))
    apart = inner - outer
    told = (apart.square().sum(1, keepdim=True).sqrt() / _TOLD).clamp(max=1).square()
    read = ((picture - outer) * apart).sum(1, keepdim=True) / apart.square().sum(1, keepdim=True).clamp(min=1e-3)
    beside = (picture - outer - read.clamp(max=1.5) * apart).square().sum(1, keepdim=True)
    varies = filled((picture - blurred(outer, around)).square().sum(1, keepdim=True), far)
    calm = torch.exp(-blurred(varies, reach) / _CALM**2)
    near = (8 * blurred(hair, reach)).clamp(max=1)
    least, most = _HAIRY
    return told * torch.exp(-beside / _BESIDE**2) * calm * near * ((read - least) / (most - least)).clamp(0, 1)


def before_another_place(
    picture: Float[Tensor, "n 3 s s"],
    shown: Float[Tensor, "n 3 s s"],
    place: Float[Tensor, "n 1 s s"],
    new: Float[Tensor, "n 3 s s"],
    hair: Float[Tensor, "n 1 s s"],
    zoom: float = 1.0,
) -> Float[Tensor, "n 3 s s"]:
    """Put another place behind somebody.

    A pixel at the edge is a mixture of the person and the old place. Where their colours differ, it says itself of how
    much of each; the old place is taken out of it.

    Args:
        picture: The person, in [0, 1].
        shown: The photograph, whose place is to go.
        place: Its share in each pixel.
        new: The other place.
        hair: The share of hair: only it is so fine that edges are wider than those of what it belongs to.
        zoom: How many crops the pictures are wide.
    """
    share, inner, outer = person_share(picture, shown, place, hair, zoom)
    own = (picture - (1 - share) * outer) / share.clamp(min=0.1)
    own = inner + (own - inner).clamp(-_NEAR, _NEAR)
    own = own + ((share - 0.9) / 0.1).clamp(0, 1) * (picture - own)
    wrap = _WRAP * blurred(1 - share, _WRAP_REACH / zoom)
    lit = own + wrap * (blurred(new, _WRAP_REACH / zoom) - own)
    return new + share * (lit - new)
