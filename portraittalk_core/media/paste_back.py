"""Put the frames of a crop back into the photograph that the crop was cut from.

The model sees a square around the head; a video shows the whole photograph. What lies outside the square is the
photograph, to the bit; inside, the frame's colours are drawn to the photograph's along the border, where both show the
same things, and a feathered edge leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..errors import BadInput
from ..parallel import frames_at_once, shared_out
from ..types import CropPlace, Frames
from .image import cut_square, resize, to_bytes, to_side
from .resampling import bands, enlarged

LONGEST_SIDE = 3840
"""Photographs are pasted into up to this longest side, pixels: 4K UHD."""

FEATHER = 0.08
"""Width of the edge over the crop's side; a head as `identify` frames it leaves about that much beside the hair."""

COLOUR_LIMIT = 0.08
"""By how much a colour is shifted at most, of pixels in [-1, 1]: ten levels of 255. A decoder's tint is less; more is
another thing in the same place, such as another background."""

STILL = (0.004, 0.012)
"""Differences between frame and photograph, of pixels in [-1, 1]: up to the first (half a level of 255) nothing has
moved, from the second on something has."""

_CELLS = 16  # the border is compared in so many cells a side
_PARTS = 32  # a frame stands still or moves in so many cells a side
_SAME = 0.25  # larger differences at the border are things that moved
_LOOKED_AT = 640  # pixels a side that are compared, of large frames every second one or third
_MEMORY = 0.9  # share of the past in the colour shift: a shift that follows each frame would flicker


def paste_back(
    frames: Iterable[Frames], photograph: Float[Tensor, "3 h w"], place: CropPlace, levels: bool = False
) -> Iterator[Frames]:
    """Put the frames of a crop back into their photograph.

    Where the crop reaches the picture's edge there is nothing to blend with, and its frame goes to the edge. Where the
    frames show what the photograph shows, and have done so from the first one on, it is the photograph that is left: of
    a large one the frames are smaller copies.

    Args:
        frames: Square pictures of the crop, of any size, such as `PortraitTalk.generate` yields. Where they bring a
            photograph of their own, which a prompt has changed, they go into that.
        photograph: The picture that was given to `identify`, RGB in [-1, 1].
        place: Where the crop lies in it: the first of `identity.places`.
        levels: Whether pixels are bytes, 0 to 255, as a writer takes them: what the crop does not cover is then
            converted once, not in every frame.

    Yields:
        Frames of the photograph's size, in order and as many; of a large photograph one at a time. Odd sides stay odd:
        what an encoder wants is the writer's to add.

    Raises:
        BadInput: When the photograph has another size than `place` says, the crop lies outside it, or frames are not
            square.
    """
    rows, columns = covered(place)
    shown, ground = None, photograph
    at_once = frames_at_once(place.height * place.width)
    for part in paste_over(frames, photograph, place, levels):
        behind = photograph if part.photograph is None else part.photograph
        if behind is not shown:
            shown, ground = behind, to_bytes(behind) if levels else behind
        for pixels in part.pixels.split(at_once):
            whole = ground.repeat(len(pixels), 1, 1, 1)
            whole[:, :, rows, columns] = pixels
            yield replace(part, pixels=whole)


def paste_over(
    frames: Iterable[Frames], photograph: Float[Tensor, "3 h w"], place: CropPlace, levels: bool = False
) -> Iterator[Frames]:
    """Do what `paste_back` does, but hand on only the part of the photograph that the crop covers.

    For whoever keeps the rest of the photograph: it is the same in every frame.

    Args:
        frames: See `paste_back`, also for what is raised.
        photograph: Likewise.
        place: Likewise.
        levels: Likewise.

    Yields:
        Frames as large as `covered` says, with the photograph that they brought.
    """
    _check(photograph, place)
    rows, columns = covered(place)
    paste: _Paste | None = None
    at_once = frames_at_once((rows.stop - rows.start) * (columns.stop - columns.start))
    for chunk in frames:
        height, width = chunk.pixels.shape[-2:]
        if height != width:
            raise BadInput(f"`frames` must be square, but got {width} x {height}. Give the frames of a crop.")
        behind = photograph if chunk.photograph is None else chunk.photograph
        if paste is None or paste.size != height or paste.photograph is not behind:
            _check(behind, place)
            paste = _Paste.prepare(behind, place, height, paste)
        for part in chunk.pixels.split(at_once):
            yield replace(chunk, pixels=paste(part, levels))


def covered(place: CropPlace) -> tuple[slice, slice]:
    """Return the rows and columns of the picture that a crop covers."""
    return (
        slice(max(0, place.top), min(place.height, place.top + place.side)),
        slice(max(0, place.left), min(place.width, place.left + place.side)),
    )


def _check(photograph: Float[Tensor, "3 h w"], place: CropPlace) -> None:
    if tuple(photograph.shape[-2:]) != (place.height, place.width):
        raise BadInput(
            f"`photograph` must be the picture of `place`, {place.width} x {place.height}, but has "
            f"{photograph.shape[-1]} x {photograph.shape[-2]}. Give the picture that was given to `identify`."
        )
    right, bottom = place.left + place.side, place.top + place.side
    if place.side < 1 or min(right, bottom) <= 0 or place.left >= place.width or place.top >= place.height:
        raise BadInput(f"`place` must touch the picture, but got {place}. Take it from `identify`.")


@dataclass
class _Paste:
    """What pasting one frame after the other needs."""

    photograph: Float[Tensor, "3 h w"]
    place: CropPlace
    size: int
    there: Float[Tensor, "3 rows columns"]  # the part of the photograph that the crop covers
    own: Float[Tensor, "3 some some"]  # the photograph in the crop, as large as the frames, of which some are compared
    border: Float[Tensor, "1 some some"]  # 1 where frame and photograph are alike
    reach: Float[Tensor, "cells cells"]  # how much a cell of the border says about each cell
    mask: Float[Tensor, "rows columns"]  # share of the frame, over the part of the crop inside the photograph
    known: Float[Tensor, "4 cells"] | None = None
    moved: Float[Tensor, "1 parts parts"] | None = None  # the largest difference so far

    @classmethod
    def prepare(
        cls, photograph: Float[Tensor, "3 h w"], place: CropPlace, size: int, before: _Paste | None = None
    ) -> _Paste:
        """Prepare; what the frames before have shown to move goes on moving."""
        own = resize(cut_square(photograph, place), size, size)[_some(size)]
        near = 1 - _ramps(place, size)[None][_some(size)]
        cell = (torch.arange(_CELLS).float() + 0.5) / _CELLS
        places = torch.cartesian_prod(cell, cell)
        reach = 1 / (torch.cdist(places, places).square() + 1 / _CELLS**2)
        down, across = covered(place)
        mask = _ramps(place, place.side)[_inside(place)]
        known = (None, None) if before is None or before.size != size else (before.known, before.moved)
        return cls(photograph, place, size, photograph[:, down, across], own, (near > 0).float(), reach, mask, *known)

    def __call__(self, frames: Float[Tensor, "n 3 size size"], levels: bool) -> Tensor:
        """Return frames as the part of the photograph that the crop covers."""
        some = [frame[_some(self.size)].float() for frame in frames]
        changes = [(self._shift(frame), self._moved(frame)) for frame in some]  # of one after the other
        made = frames.new_empty(len(frames), *self.there.shape, dtype=torch.uint8 if levels else self.there.dtype)

        def share(rows: slice) -> None:
            for row in range(*rows.indices(len(frames))):
                self._paste(frames[row].float(), *changes[row], made[row])

        shared_out(share, len(frames), frames.device)
        return made

    def _paste(self, frame: Float[Tensor, "3 size size"], shift: Tensor | None, moved: Tensor, made: Tensor) -> None:
        side, (rows, columns) = self.place.side, _inside(self.place)
        if side > self.size:  # nothing to average: `resize` would take three times as long
            large = enlarged(frame[None], (side, side), cubic=True)[0, :, rows, columns]
        else:
            large = to_side(frame, side)[:, rows, columns]
        share = enlarged(((moved - STILL[0]) / (STILL[1] - STILL[0])).clamp(0, 1)[None], (side, side))
        colours = None if shift is None else enlarged(shift, (side, side))[0, :, rows, columns]
        for band in bands(*self.mask.shape):
            part = large[:, band] if colours is None else large[:, band] + colours[:, band]
            mask = self.mask[band] * share[0, 0, rows, columns][band]
            part = torch.lerp(self.there[:, band], part.clamp(-1, 1), mask)
            made[:, band] = to_bytes(part) if made.dtype == torch.uint8 else part

    def _moved(self, frame: Float[Tensor, "3 some some"]) -> Float[Tensor, "1 parts parts"]:
        """Return how much has moved so far: what moves and rests again does not change its sharpness."""
        apart = functional.adaptive_max_pool2d((frame - self.own).abs().amax(0, keepdim=True), _PARTS)
        wide = functional.max_pool2d(apart[None], 3, 1, 1)[0]
        self.moved = wide if self.moved is None else torch.maximum(self.moved, wide)
        return self.moved

    def _shift(self, frame: Float[Tensor, "3 some some"]) -> Float[Tensor, "1 3 cells cells"] | None:
        """Return what is added to a frame's colours: the difference at the border, carried smoothly inwards."""
        difference = self.own - frame
        same = self.border * (difference.abs().amax(0, keepdim=True) < _SAME)
        counted = functional.adaptive_avg_pool2d(torch.cat([difference * same, same]), _CELLS).flatten(1)
        self.known = counted if self.known is None else torch.lerp(counted, self.known, _MEMORY)
        if not bool(self.known[3].any()):
            return None
        carried = self.known @ self.reach
        return (carried[:3] / carried[3:]).clamp(-COLOUR_LIMIT, COLOUR_LIMIT).view(1, 3, _CELLS, _CELLS)


def _some(size: int) -> tuple[slice, slice, slice]:
    """Return which rows and columns of a frame are compared with the photograph: changes are no points."""
    step = max(1, size // _LOOKED_AT)
    return slice(None), slice(None, None, step), slice(None, None, step)


def _inside(place: CropPlace) -> tuple[slice, slice]:
    """Return the rows and columns of the crop that lie inside the picture."""
    return (
        slice(max(0, -place.top), min(place.side, place.height - place.top)),
        slice(max(0, -place.left), min(place.side, place.width - place.left)),
    )


def _ramps(place: CropPlace, size: int) -> Float[Tensor, "size size"]:
    """Return the share of the frame over the crop: 1 inside, less towards each border that has photograph behind."""
    distance = (torch.arange(size).float() + 0.5) / size
    rising = (distance / FEATHER).clamp(max=1)
    rising = rising * rising * (3 - 2 * rising)
    falling, flat = rising.flip(0), torch.ones(size)
    down = (rising if place.top > 0 else flat) * (falling if place.top + place.side < place.height else flat)
    across = (rising if place.left > 0 else flat) * (falling if place.left + place.side < place.width else flat)
    return down[:, None] * across[None]
