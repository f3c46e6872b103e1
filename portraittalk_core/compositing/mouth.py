"""The inside of an open mouth: drawn teeth, cavity and tongue, or the photograph's own teeth where it shows them.

A photograph of a closed mouth says nothing of what is behind the lips, a small denoiser blurs it, and what is stretched
with the lips is no tooth. So the detail between the lips is drawn: teeth where skull and jaw have them (`teeth`), lit
as the face is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..media.image import resize
from ..motion.structure import FaceFitter, FaceShaper
from ..parallel import shared_out
from ..types import Frames, Identity, StructureMaps
from .masked import luma, softened
from .mouth_light import light_in_mouth
from .seen_mouth import SeenMouth, edge_mm
from .teeth import LIPS, LOWER_TEETH, UPPER_TEETH, MouthFrames, draw_row, mouth_frames, smooth_step, step

_ALONG = 33  # places along a mouth at which it may be open
_AHEAD = 64  # frames whose mouths are found together: for a few it takes as long
_OPENS = (1.2, 5.0)  # gap that is still the photograph's, and how much more is needed until all is drawn, millimetres

# Shares of the colour of lips, and of light.
_CAVITY, _TONGUE, _TONGUE_BACK, _GUMS = 0.65, 0.95, 0.6, 0.9
_WARM = 0.6  # how far the tint of flesh is that of teeth in the dark
_UNDER_UPPER_TEETH = 0.6  # which stand before the lower ones
_GROOVE, _GROOVE_WIDE = 0.07, 2.0  # how much darker the middle of a tongue is, and over how many millimetres
_TONGUE_ROUND, _TONGUE_WIDE = 0.25, 22.0  # how much darker its sides are, and where they are, millimetres
_TONGUE_TOP = 0.15  # of the way of the jaw: it lies behind the lower teeth

_SOFTER = 2.5  # chroma is stored at half the size, and scaling softens: more than brightness shows
_RIM_SOFTER = 1.5  # likewise at the lips, which move


def open_mouths(
    video: Iterable[Frames], identity: Identity, maps: StructureMaps, fitter: FaceFitter, shaper: FaceShaper
) -> Iterator[Frames]:
    """Draw the inside of the mouth wherever it is open.

    Args:
        video: Composited frames in order. They are drawn into: another copy of large ones takes time.
        identity: The person, whose `portrait` is the photograph in its own resolution.
        maps: Of all frames.
        fitter: Reads the head's pose.
        shaper: Gives the face without expression.

    Yields:
        As many frames.
    """
    device = next(shaper.parameters()).device
    reference, seen, done = identity.landmarks[:1].to(device).float(), None, 0
    landmarks = maps.landmarks.to(device).float()
    first, where = 0, mouth_frames(landmarks[:0], reference, fitter, shaper)
    for frames in video:
        if seen is None:
            portrait = identity.crops[0] if identity.portrait is None else identity.portrait
            size = min(portrait.shape[-1], frames.pixels.shape[-1])
            seen = SeenMouth.of(resize(portrait, size, size).to(device).float(), reference, fitter, shaper)
        stop = done + len(frames.pixels)
        if stop > first + len(where.jaw):
            first, where = done, mouth_frames(landmarks[done : max(stop, done + _AHEAD)], reference, fitter, shaper)
        _in_shares(frames.pixels, where.rows(slice(done - first, stop - first)), landmarks[done:stop], seen)
        yield frames
        done = stop


def _in_shares(
    pictures: Float[Tensor, "n 3 s s"], frames: MouthFrames, landmarks: Float[Tensor, "n 478 2"], seen: SeenMouth
) -> None:
    """Draw mouths into some pictures on every core."""

    def share(rows: slice) -> None:
        draw_mouths(pictures[rows], frames.rows(rows), landmarks[rows], seen)

    shared_out(share, len(pictures), pictures.device)


def draw_mouths(
    pictures: Float[Tensor, "n 3 s s"], frames: MouthFrames, landmarks: Float[Tensor, "n 478 2"], seen: SeenMouth
) -> None:
    """Draw the inside of open mouths into pictures.

    Args:
        pictures: In [-1, 1]; they are changed.
        frames: Where the mouths are.
        landmarks: Points of the faces.
        seen: What the photograph shows.
    """
    which = _open(frames, landmarks)
    if not len(which):
        return
    frames, landmarks, size = frames.rows(which), landmarks[which], pictures.shape[-1]
    boxes, sides = _boxes(landmarks, size)
    parts = [pictures[row, :, rows, columns] for row, (rows, columns) in zip(which.tolist(), boxes, strict=True)]
    axes = ((torch.arange(size, device=landmarks.device) * 2 + 1) / size - 1).to(landmarks)
    places = [torch.meshgrid(axes[columns], axes[rows], indexing="xy") for rows, columns in boxes]
    at = torch.stack([torch.stack(xy, -1).flatten(0, 1) for xy in places])
    pixel = 2 / min(size, seen.picture.shape[-1])
    colours, between = draw_mouth(frames, landmarks, at, seen, pixel)
    colours, between = (value.unflatten(-1, sides) for value in (colours, between))
    own, shown = (value.unflatten(-1, sides) for value in seen.at(frames, landmarks, at, pixel))
    if seen.blur > 0:  # as soft as the rest of the face, which the photograph's own is already
        spread = softened(torch.cat([colours * between, shown * between, between], 1), _SOFTER * seen.blur)
        colours, softly = (spread[:, :4] / spread[:, 4:].clamp(min=1e-3)).split((3, 1), 1)
        shown = torch.minimum(softly, shown)  # beyond it the photograph has its lips
        between = softened(between, _RIM_SOFTER * seen.blur)
    colours = torch.lerp(colours, own, shown)
    for part, colour, within in zip(parts, colours, between, strict=True):
        part += (within * (colour * 2 - 1 - part.to(colour))).to(part)
        part.clamp_(-1, 1)


def _open(frames: MouthFrames, landmarks: Float[Tensor, "n 478 2"]) -> Int[Tensor, "k"]:
    """Return which mouths are open wide enough for something to be drawn in them."""
    ends = frames.local(landmarks[:, [LIPS[0], LIPS[10]]])[..., 0]
    share = torch.linspace(0, 1, _ALONG).to(ends)
    above, below = frames.lips(landmarks, torch.lerp(ends[:, :1], ends[:, 1:], share))
    return ((below - above).amax(1) > _OPENS[0]).nonzero()[:, 0]


def _boxes(landmarks: Float[Tensor, "n 478 2"], size: int) -> tuple[list[tuple[slice, slice]], tuple[int, int]]:
    """Return rows and columns of pixels around lips, as many for each, and how many."""
    lips = (landmarks[:, LIPS] + 1) / 2 * size
    first = (lips.amin(1).floor().long() - 1).clamp(0, size)
    last = (lips.amax(1).ceil().long() + 2).clamp(0, size)
    width, height = (last - first).amax(0).tolist()
    corners = torch.minimum(first, size - (last - first).amax(0)).tolist()
    return [(slice(y, y + height), slice(x, x + width)) for x, y in corners], (height, width)


def draw_mouth(
    frames: MouthFrames,
    landmarks: Float[Tensor, "n 478 2"],
    places: Float[Tensor, "n k 2"],
    seen: SeenMouth,
    pixel: float,
) -> tuple[Float[Tensor, "n 3 k"], Float[Tensor, "n 1 k"]]:
    """Draw what is between the lips at some places of pictures, as if the photograph showed nothing of it.

    Args:
        frames: Where the mouths are.
        landmarks: Points of the faces, in [-1, 1].
        places: In [-1, 1].
        seen: What the photograph shows.
        pixel: The side of a pixel in [-1, 1]: nothing ends more sharply.

    Returns:
        Colours in [0, 1], and how far each place is between open lips.
    """
    x, y = frames.local(places).unbind(-1)
    soft = edge_mm(frames, pixel)
    above, below = frames.lips(landmarks, x)
    least = (seen.gap(x) + _OPENS[0] / 2).clamp(min=_OPENS[0])
    wide_enough = smooth_step((below - above - least) / _OPENS[1])
    between = step((torch.minimum(y - above, below - y) - 0.2) / soft) * wide_enough
    white, flesh = seen.white[None, :, None], seen.flesh[None, :, None]
    jaw = frames.jaw[:, None]
    tongue_top = _TONGUE_TOP * jaw + 0.02 * x.square()
    tongue = step((y - tongue_top) / (3 * soft)) * smooth_step((jaw - 1.5) / 4)
    lit = _tongue_light(x, y - tongue_top)
    colour = torch.lerp(flesh * _CAVITY, flesh * (_TONGUE * lit)[:, None], tongue[:, None])
    light = light_in_mouth(frames, landmarks, x, y - above, below - y)[:, None] ** seen.shade
    warm = flesh / luma(flesh[..., None])[..., 0].clamp(min=0.02)
    for teeth in (LOWER_TEETH, UPPER_TEETH):
        down = y - seen.lowered if teeth is UPPER_TEETH else y
        cover, pink, bright = (value[:, None] for value in draw_row(frames, teeth, x, down, soft))
        if teeth is LOWER_TEETH:
            bright = (
                bright * torch.lerp(x.new_tensor(_UNDER_UPPER_TEETH), x.new_tensor(1.0), smooth_step(y / 5))[:, None]
            )
        # What lies in shade is lit by the flesh around it.
        shade = (1 - bright * light).clamp(min=0)
        colour = torch.lerp(colour, white * bright * warm ** (_WARM * shade), cover)
        colour = torch.lerp(colour, flesh * (_GUMS * bright), pink)
    return colour * light, between[:, None]


def _tongue_light(x: Tensor, below_top: Tensor) -> Tensor:
    """Return how light a tongue is: less at its back, at its sides and in the groove in its middle."""
    front = _TONGUE_BACK + (1 - _TONGUE_BACK) * smooth_step(below_top / 6)
    groove = 1 - _GROOVE * torch.exp(-(x / _GROOVE_WIDE).square())
    return front * groove * (1 - _TONGUE_ROUND * (x / _TONGUE_WIDE).square().clamp(max=1))
