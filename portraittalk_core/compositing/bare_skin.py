"""Bare shoulders, arms and hands: what face parsing takes for clothes, having seen hardly any skin below chins."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .masked import blurred, colourfulness, luma, mean_of, softened

_RATHER = 0.12  # by how much a pixel is nearer to skin than to clothes
_HUES = (0.35, 0.5)  # how far the hue of skin may be from a face's: arms are in other light; what is further is none
_LIGHT, _TOLD = 0.3, 0.3  # weight of brightness beside hue; how far colours of skin and clothes are that can be told
_SMOOTH, _NEAR = 0.05, 0.01  # of the range: how much the light of skin varies over that share of the picture's side
_BORDER, _EDGE = 0.04, 0.15  # of the picture's side: on both sides of an edge; by how much of the range they differ
_READ = (0.4, 0.8)  # share of skin that is read, from which on it may be some, and surely is
_SHADE = (0.2, 0.35)  # of the light of a face: what is no skin in the shade, and what may be
_READ_SHADE = (0.45, 0.65)  # likewise, where it is only read
_PIXELS = 1.5  # over which grain is evened out


def bare_skin(
    shown: Float[Tensor, "n 3 s s"],
    skin: Float[Tensor, "n 1 s s"],
    clothes: Float[Tensor, "n 1 s s"],
    read: Float[Tensor, "n 1 s s"] | None = None,
) -> Float[Tensor, "n 1 s s"]:
    """Return how far pixels are smooth and of the hue of a face.

    Args:
        shown: In [0, 1].
        skin: Where surely is skin.
        clothes: Where surely are clothes. Where their colour is like that of skin, they are skin if there is no edge
            between the two: a collar, its shade.
        read: Share of skin that face parsing reads there; it counts where hue and light are a face's, and not in
            photographs without colours. None: nobody has looked.
    """
    even = softened(shown, _PIXELS)
    face, cloth = mean_of(even, skin), mean_of(even, clothes)
    to_face, to_cloth = (_apart(_hue(even), _hue(colour)) for colour in (face, cloth))
    rather = to_cloth - to_face + _LIGHT * (_apart(even, cloth) - _apart(even, face))
    told = ((_apart(_hue(face), _hue(cloth)) + _LIGHT * _apart(face, cloth)) / _TOLD).clamp(max=1)
    meets = [mean_of(even, one * blurred(other, _BORDER)) for one, other in ((skin, clothes), (clothes, skin))]
    goes_on = ((_EDGE - _apart(*meets)) / _EDGE * 2).clamp(0, 1)
    rather = torch.lerp(goes_on.expand_as(rather), (rather / _RATHER - 1).clamp(0, 1), told)
    low, high = _HUES
    light = luma(even)
    smooth = torch.exp(-blurred((light - blurred(light, _NEAR)).square(), _NEAR) / _SMOOTH**2)
    lit = light / luma(face).clamp(min=0.02)
    found = smooth * rather * _rising(lit, _SHADE)
    if read is not None:
        found = torch.maximum(found, _rising(read, _READ) * _rising(lit, _READ_SHADE) * colourfulness(shown))
    return blurred(found * ((high - to_face) / (high - low)).clamp(0, 1), _NEAR / 2)


def _rising(value: Tensor, ends: tuple[float, float]) -> Tensor:
    return ((value - ends[0]) / (ends[1] - ends[0])).clamp(0, 1)


def _hue(colours: Tensor) -> Tensor:
    return colours / luma(colours).clamp(min=0.05)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().sum(1, keepdim=True).sqrt()
