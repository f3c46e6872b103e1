"""Where in a picture a prompt's words act: glasses around the eyes, a beard below the nose, a place behind the head.

What a prompt does not speak of stays the photograph's, though the denoiser draws the whole picture anew.
"""

from __future__ import annotations

import re
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor

from ..people.words import HAIR_WORDS
from ..topology import EYES

REGIONS = (
    "older skin",
    "younger skin",
    "hair",
    "colour of the hair",
    "clothes",
    "shaven chin",
    "beard",
    "eyes",
    "background",
)
"""What prompts change in a picture, in the order of every tensor of regions and in that of the changes."""

_WORDS = {
    "older skin": "old older elderly aged senior",
    "younger skin": "young younger youthful",
    "eyes": "glasses spectacles eyeglasses",
    "beard": "beard bearded mustache moustache goatee stubble",
    "hair": "bald hat cap beanie earrings studs hoops afro bob bun ponytail curls buzz fringe bangs hairline parting",
    "colour of the hair": "blonde blond brunette ginger redhead",
    "clothes": "dressed clothes shirt t-shirt tee top sweater pullover jumper hoodie sweatshirt suit blazer jacket "
    "turtleneck blouse collar",
    "background": "background backdrop wall front room indoors outdoors office library bookshelf window park garden "
    "trees street city night curtain brick kitchen beach",
}
WORDS: dict[str, frozenset[str]] = {region: frozenset(words.split()) for region, words in _WORDS.items()}
"""Words that ask for another look of a region. Expressions are none: they move the face."""

_HAIRCUTS = frozenset(["long", "short", "curly", "wavy", "straight", "shaved", "cropped", "no", "without"])
_HAIR_COLOURS = frozenset(word for words in HAIR_WORDS.values() for phrase in words for word in phrase.split())
_BEGINNINGS = frozenset(["a", "an", "the", "with", "and", "in", "of", "has", "wearing", "her", "his"])
_SHAVEN = re.compile(r"shaven|\b(no|without)( an?)?( \w+)? (beard|mustache|moustache|goatee|stubble|facial hair)")

_SOFT = 0.12
"""Width of the edges of regions, in distances of the eyes."""


def asked_regions(prompt: str) -> Float[Tensor, "regions"]:
    """Say which regions a prompt asks for, 1 or 0 each.

    Args:
        prompt: In the words of captions.
    """
    text = prompt.lower().replace("-haired", " hair")
    shaven = _SHAVEN.search(text)
    if shaven:
        text = text.replace(shaven[0], "")
    spoken = re.findall(r"[a-z-]+", text)
    words = set(spoken)
    asked = {region for region, known in WORDS.items() if words & known}
    for place in (k for k, word in enumerate(spoken) if word == "hair"):
        of_it = set(takewhile(lambda word: word not in _BEGINNINGS, reversed(spoken[:place])))
        asked |= {"hair"} if of_it & _HAIRCUTS else set()
        asked |= {"colour of the hair"} if of_it & _HAIR_COLOURS else set()
    if shaven:
        asked.add("shaven chin")
    if "older skin" in asked:
        asked.add("colour of the hair")  # which greys
    if "wearing" in words and not asked & {"eyes", "hair", "clothes"}:
        asked.add("clothes")
    return torch.tensor([float(region in asked) for region in REGIONS])


def region_maps(landmarks: Float[Tensor, "n 478 2"], size: int) -> Float[Tensor, "n regions size size"]:
    """Return where the regions of heads lie, in [0, 1].

    Args:
        landmarks: In [-1, 1].
        size: Side of the maps.
    """
    left, right = (landmarks[:, list(eye)].mean(1) for eye in EYES)
    across = right - left
    axis = (torch.arange(size, device=landmarks.device, dtype=landmarks.dtype) * 2 + 1) / size - 1
    grid = torch.stack([axis[None].expand(size, -1), axis[:, None].expand(-1, size)], -1)
    away = grid - ((left + right) / 2)[:, None, None]
    unit = across.square().sum(-1).clamp(min=1e-6)[:, None, None]
    right_of = (away * across[:, None, None]).sum(-1) / unit
    below = (away[..., 1] * across[:, None, None, 0] - away[..., 0] * across[:, None, None, 1]) / unit

    def box(sides: float, top: float, bottom: float) -> Tensor:
        return _soft(sides - right_of.abs()) * _soft(below - top) * _soft(bottom - below)

    def oval(middle: float, wide: float, high: float) -> Tensor:
        distance = (right_of / wide).square() + ((below - middle) / high).square()
        return _soft((1 - distance.clamp(min=1e-6).sqrt()) * min(wide, high))

    around = 1 - oval(0.75, 0.9, 1.2)
    # In distances of the eyes from between them: the mouth is 1.1 below, the chin 1.9, the cheeks 1.2 beside.
    return torch.stack(
        [
            oval(0.6, 1.2, 1.6),
            oval(0.6, 1.2, 1.6),
            around,
            around,
            _soft(below - 1.8),
            box(1.4, 0.4, 2.4),
            box(1.4, 0.4, 2.4),
            box(1.5, -0.6, 0.8),
            1 - oval(0.6, 1.1, 1.4),
        ],
        1,
    )


def _soft(inside: Tensor) -> Tensor:
    return (inside / _SOFT + 0.5).clamp(0, 1)
