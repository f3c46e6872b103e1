"""What prompts change around the crop: the place, clothes and hair of the whole photograph.

The networks see a square around the head. A place that a prompt names lies behind the whole photograph, though, and
clothes and long hair go on below the square. So the same changes are made once more around it, with what has been
settled in the crop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.image import cut_square, resize
from ..topology import SEGMENTS
from ..types import Bystander, CropPlace
from .edits.edited import edited
from .edits.regions import REGIONS
from .edits.uncovered import BARE_SHOULDERS, shows_shoulders
from .face_parser import Parser
from .masked import blurred, luma
from .surroundings import Surroundings
from .wide_parsing import CropParser, WideParser, segments_around

LARGEST = 1024
"""Side in pixels of the largest square in which it is decided what changes; a larger photograph keeps its detail."""

_SMALLEST, _MOST = 0.25, 6  # crops of the person that a bystander's is at least; how many of them are looked at
_BETWEEN = 0.2  # half crops over which what is of two people passes from one to the other
_FINE = 0.012  # of the square: what is finer is detail

AROUND = frozenset(
    k
    for k, name in enumerate(REGIONS)
    if name in ("hair", "long hair", "bald head", "knitted hat", "colour of the hair", "greying hair", "clothes")
    or name.endswith("background")
)
"""Which of `edits.regions.REGIONS` goes on beyond the crop."""


def goes_beyond(asked: Float[Tensor, "n asked"]) -> bool:
    """Say whether a prompt asks for something that goes on beyond the crop.

    Args:
        asked: How far each of `edits.regions.ASKED` is asked for.
    """
    return bool(asked[:, sorted(AROUND)].any())


@dataclass(frozen=True)
class WholePhotograph:
    """A photograph that has been read around the crop."""

    picture: Float[Tensor, "3 h w"]
    """The photograph, in [-1, 1]."""

    square: Float[Tensor, "1 3 s s"]
    """The square that holds it, at most `LARGEST`."""

    segments: Float[Tensor, "1 segments s s"]
    """Of that."""

    landmarks: Float[Tensor, "1 478 2"]
    """Of the crop, in [-1, 1] of it."""

    where: Surroundings
    """Where the crop lies, and what has been settled in it."""

    parser: Parser
    """Reads crops."""

    @classmethod
    @torch.no_grad()
    def read(
        cls,
        picture: Float[Tensor, "3 h w"],
        place: CropPlace,
        landmarks: Float[Tensor, "1 478 2"],
        parser: Parser,
        bystanders: Sequence[Bystander] = (),
    ) -> WholePhotograph:
        """Read a photograph.

        Args:
            picture: In [-1, 1].
            place: Of the crop.
            landmarks: Of the crop, in [-1, 1].
            parser: Tells hair, skin, clothes and the place apart.
            bystanders: Who else is in it: they stay as they are. Who is much smaller belongs to the place.
        """
        where = Surroundings.of(place)
        square = cut_square(picture, where.square)
        side = min(LARGEST, square.shape[-1])
        square = resize(square, side, side)[None]
        segments = segments_around(square, where, landmarks, parser)
        near = [other for other in bystanders if other.place.side > _SMALLEST * place.side]
        for other in sorted(near, key=lambda other: -other.place.side)[:_MOST]:
            there = where.of_another(other.place)
            theirs = segments_around(square, there, other.landmarks, parser)[:, :1]
            segments[:, :1] = torch.minimum(segments[:, :1], theirs)
            segments[:, 1:] *= 1 - (1 - theirs) * _rather(there, where, side)
        skin = segments[:, [SEGMENTS.index("skin")]]
        where.whole.settled[BARE_SHOULDERS] = shows_shoulders(skin, where.outside(landmarks))  # crops end too soon
        return cls(picture, square, segments, landmarks, where, parser)

    @property
    def crop_parser(self) -> CropParser:
        """What finds the segments of the crop."""
        return CropParser(self.parser, self.where.cut(self.segments))

    @torch.no_grad()
    def edited(
        self, drawn: Float[Tensor, "1 3 d d"], plain: Float[Tensor, "1 3 d d"], asked: Float[Tensor, "1 asked"]
    ) -> Float[Tensor, "3 h w"]:
        """Change what prompts ask for as it has been changed in the crop.

        Args:
            drawn: What the denoiser drew of the crop for the prompt.
            plain: The same without the prompt.
            asked: How far each of `edits.regions.ASKED` is asked for, in [0, 1].

        Returns:
            The photograph. The crop in it is like the changed one but where only the face changes: it goes over it.
        """
        where, shown, height, width = self.where, self.square, *self.picture.shape[-2:]
        beyond = asked.clone()
        beyond[:, [k for k in range(len(REGIONS)) if k not in AROUND]] = 0
        parser = WideParser(self.parser, self.segments, where)
        with_drawn, with_plain = (where.with_crop(shown, decoded.to(shown)) for decoded in (drawn, plain))
        points = where.outside(self.landmarks)
        made = edited(shown, with_drawn, with_plain, beyond, points, parser, where.whole.said, where.whole)
        if where.square.side != made.shape[-1]:
            made = _with_detail(made, shown, cut_square(self.picture, where.square)[None])
        top, left = -where.square.top, -where.square.left
        return made[0, :, top : top + height, left : left + width].clamp(-1, 1)


def _rather(one: Surroundings, other: Surroundings, side: int) -> Float[Tensor, "side"]:
    """Return which columns are rather below the one head than below the other, as seen from each in heads."""
    columns = (torch.arange(side) * 2 + 1) / side - 1
    apart = [(columns - head.middle[0]).abs() / head.crop.side for head in (one, other)]
    return ((apart[1] - apart[0]) / _BETWEEN + 0.5).clamp(0, 1)


def _with_detail(
    made: Float[Tensor, "1 3 s s"], shown: Float[Tensor, "1 3 s s"], square: Float[Tensor, "1 3 l l"]
) -> Float[Tensor, "1 3 l l"]:
    """Enlarge a changed picture, with the detail that the photograph has wherever it is still seen."""
    large = square.shape[-1]
    before, after = ((luma(values) - luma(blurred(values, _FINE))) for values in (shown, made))
    kept = blurred(before * after, _FINE) / (blurred(before.square(), _FINE) + 1e-5)

    def enlarged(values: Tensor) -> Tensor:
        return functional.interpolate(values, (large, large), mode="bicubic", align_corners=False)

    kept, result = enlarged(kept.clamp(0, 1))[:, 0], torch.empty_like(square)
    for colour in range(3):  # one after the other: of 4K each takes 60 MB
        one = slice(colour, colour + 1)
        own = square[:, colour] - enlarged(shown[:, one])[:, 0]
        result[:, colour] = enlarged(made[:, one])[:, 0] + kept * own
    return result
