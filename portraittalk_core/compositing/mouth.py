"""The inside of an open mouth: drawn teeth, cavity and tongue, or the photograph's own teeth where it shows them.

A photograph of a closed mouth says nothing of what is behind the lips, a small denoiser blurs it, and what is stretched
with the lips is no tooth. So the detail between the lips is drawn: teeth where skull and jaw have them (`teeth`), lit
as the face is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ..media.image import resize
from ..motion.structure import FaceFitter, FaceShaper
from ..parallel import shared_out
from ..topology import EYES, IRISES, OVAL
from ..types import Frames, Identity, StructureMaps
from .lip_points import red_of_lips
from .masked import SHARP, inside, luma, saturation, softened, softness
from .teeth import LIPS, LOWER_TEETH, UPPER_TEETH, MouthFrames, draw_row, mouth_frames, smooth_step, step

_LUMA = (0.299, 0.587, 0.114)
_SKIN = [205, 425, 50, 280, 187, 411, 2, 199]  # cheeks, below the nose, chin
_AROUND = [[0.0, 0.0], [0.02, 0.0], [-0.02, 0.0], [0.0, 0.02], [0.0, -0.02]]
_IVORY = (1.0, 1.0, 0.96)
_SKIN_TINT = 0.3  # power of the tint of skin that teeth have
_LEAST_WHITE = 1.25  # of the light of skin: eyes in the shade say too little
_COLOURED = 0.2  # range of the channels of skin, over its light, from which on a photograph is not a grey one
_BESIDE_IRIS = 0.62  # of the way from an iris to the corner of its eye: the white

_ALONG = 33  # places along a mouth at which it may be open
_AHEAD = 64  # frames whose mouths are found together: for a few it takes as long

# Millimetres.
_APART = 2.0  # between lips that are open
_EDGE, _EDGE_PIXELS = 0.3, 0.6  # over which things end, and at least so many pixels
_OPENS = (1.2, 5.0)  # gap that is still the photograph's, and how much more is needed until all is drawn
_LINE = (5.0, 7.5)  # gap up to which a photograph without teeth may show a line, and from which on it shows a mouth
_RIM, _RIM_PIXELS = 0.6, 1.3  # of lips around what the photograph shows; at least so many pixels, or dots lie between
_SHADOW = 4.5  # of the upper lip
_COLUMNS = (-4.0, -2.0, 0.0, 2.0, 4.0)  # in which the teeth of a photograph are looked for
_BEYOND = 0.5  # a lower lip that touches teeth, which end behind it
_HIGHER, _LOWER = 2.0, 5.0  # than average, at most, a photograph's upper teeth end
_SLIT = (4.0, 12.0)  # widest gap up to which a mouth is lit as through a slit, and from which on it is not
_WIDE = (6.0, 14.0)  # gap from which on light comes in below the upper lip, and where no more does

# Shares of the colour of lips, and of light.
_CAVITY, _TONGUE, _TONGUE_BACK, _GUMS = 0.65, 0.95, 0.6, 0.9
_WARM = 0.6  # how far the tint of flesh is that of teeth in the dark
_UNDER_UPPER_LIP, _UNDER_RAISED, _UNDER_WIDE = 0.4, 0.6, 0.8
_ABOVE_LOWER_LIP, _CORNERS = 0.9, 0.85
_IN_SLIT = 0.8  # of mouths that are open by little; this and what is under an upper lip stood beside 24 true clips
_RAISED = (1.5, 4.5)  # of an upper lip, from where on it leaves light, and where it leaves most
_UNDER_UPPER_TEETH = 0.6  # which stand before the lower ones
_GROOVE, _GROOVE_WIDE = 0.07, 2.0  # how much darker the middle of a tongue is, and over how many millimetres
_TONGUE_ROUND, _TONGUE_WIDE = 0.25, 22.0  # how much darker its sides are, and where they are, millimetres
_TONGUE_TOP = 0.15  # of the way of the jaw: it lies behind the lower teeth

_SOFTER = 2.5  # chroma is stored at half the size, and scaling softens: more than brightness shows
_RIM_SOFTER = 1.5  # likewise at the lips, which move
_DOWN, _TOOTH = 24, 0.75  # places down a mouth; of the brightest there, from which on it is a tooth
_GREY, _PALER = 0.1, 0.45  # saturation of lips up to which a photograph has no colours; share that teeth have less
_MIDDLE = (-4.0, 0.0, 4.0)  # where an upper lip is raised that shows teeth, millimetres
_UPPER_HALF = 0.5  # of the gap, in which upper teeth begin


@dataclass(frozen=True)
class SeenMouth:
    """What a photograph shows of a mouth."""

    picture: Float[Tensor, "3 s s"]
    """The photograph in [-1, 1]."""
    landmarks: Float[Tensor, "1 478 2"]
    """Its points."""
    frame: MouthFrames
    """Where the mouth is, one row."""
    white: Float[Tensor, "3"]
    """The colour that teeth have in its light, in [0, 1]."""
    flesh: Float[Tensor, "3"]
    """The colour of its lips."""
    lowered: float
    """How much lower its upper teeth end than average, millimetres."""
    shows: float
    """How far what it has between its lips is an open mouth's, in [0, 1], and no dark line in which lips meet."""
    blur: float
    """How far its light is blurred beyond that of a sharp photograph: the deviation of a Gaussian, pixels."""

    @classmethod
    def of(
        cls,
        picture: Float[Tensor, "3 s s"],
        landmarks: Float[Tensor, "1 478 2"],
        fitter: FaceFitter,
        shaper: FaceShaper,
    ) -> SeenMouth:
        """Look at a photograph.

        Args:
            picture: In [-1, 1].
            landmarks: Its points.
            fitter: Reads the head's pose.
            shaper: Gives the face without expression.
        """
        frame, points = mouth_frames(landmarks, landmarks, fitter, shaper), landmarks[0]
        flesh = _sampled(picture, red_of_lips(landmarks)[0]).median(1).values
        teeth, own, lowered = _shown_teeth(picture, landmarks, frame, flesh)
        white = torch.lerp(teeth_colour(picture, points), own, teeth)
        above, below = frame.lips(landmarks, picture.new_tensor(_COLUMNS)[None])
        shows = max(teeth, float(smooth_step(((below - above).mean() - _LINE[0]) / (_LINE[1] - _LINE[0]))))
        shown = (picture[None] + 1) / 2
        blur = math.sqrt(max(softness(shown, inside(landmarks[:, list(OVAL)], shown)) ** 2 - SHARP**2, 0.0))
        return cls(picture, landmarks, frame, white, flesh, lowered, shows, blur)

    def at(
        self, frames: MouthFrames, places: Float[Tensor, "n k 2"], pixel: float
    ) -> tuple[Float[Tensor, "n 3 k"], Float[Tensor, "n 1 k"]]:
        """Return the photograph's colours at places of the skull, and how much of each it shows between its lips.

        Args:
            frames: Where the mouths are.
            places: In pictures, in [-1, 1].
            pixel: The side of a pixel: nothing ends more sharply.
        """
        x, y = frames.local(places).unbind(-1)
        soft = _edge_mm(frames, pixel)
        above, below = self.frame.lips(self.landmarks, x.reshape(1, -1))
        jaw = float(self.frame.jaw)
        if jaw > _APART:  # what is lower goes with the jaw
            below = below.clamp(max=jaw - _APART / 2)
        above, below = above.view_as(x), below.view_as(x)
        open_there = smooth_step((below - above) / _APART - 1.2)
        rim = (_RIM_PIXELS * pixel / frames.across.norm(dim=1, keepdim=True)).clamp(min=_RIM)
        shown = step((torch.minimum(y - above, below - y) + rim) / soft) * open_there
        there = self.frame.outside(torch.stack([x, y], -1).reshape(1, -1, 2))[0]
        return _sampled(self.picture, there).view(3, *x.shape).transpose(0, 1), self.shows * shown[:, None]

    def gap(self, x: Float[Tensor, "n k"]) -> Float[Tensor, "n k"]:
        """Return how far its lips are apart at places along a mouth without showing it, millimetres."""
        above, below = self.frame.lips(self.landmarks, x.reshape(1, -1))
        return (1 - self.shows) * (below - above).view_as(x)


def teeth_colour(picture: Float[Tensor, "3 s s"], points: Float[Tensor, "478 2"]) -> Float[Tensor, "3"]:
    """Guess the colour that teeth have in the light of a picture, in [0, 1].

    They are as bright as the whites of the eyes, with some of the tint of the skin.

    Args:
        picture: In [-1, 1].
        points: Of the face.
    """
    weights = picture.new_tensor(_LUMA)
    around = points[_SKIN][:, None] + points.new_tensor(_AROUND)
    skin = _sampled(picture, around.flatten(0, 1)).view(3, len(_SKIN), -1).mean(2).median(1).values.clamp(min=0.02)
    whites = [
        torch.lerp(points[iris], points[corner], _BESIDE_IRIS)
        for eye, iris in zip(EYES, IRISES)
        for corner in (eye[0], eye[8])
    ]
    white, light = (weights @ _sampled(picture, torch.stack(whites))).amax(), weights @ skin
    level = white.clamp(torch.maximum(_LEAST_WHITE * light, 0.18 + 0.5 * light), 2.2 * light).clamp(max=0.88)
    coloured = ((skin.amax() - skin.amin()) / light / _COLOURED).clamp(max=1)
    return level * (skin / light) ** _SKIN_TINT * picture.new_tensor(_IVORY) ** coloured


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
    own, shown = (value.unflatten(-1, sides) for value in seen.at(frames, at, pixel))
    if seen.blur > 0:  # as soft as the rest of the face, which the photograph's own is already
        spread = softened(torch.cat([colours * between, shown * between, between], 1), _SOFTER * seen.blur)
        colours, shown = (spread[:, :4] / spread[:, 4:].clamp(min=1e-3)).split((3, 1), 1)
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
    soft = _edge_mm(frames, pixel)
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
    light = _light(frames, landmarks, x, y - above, below - y)[:, None]
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


def _raised(frames: MouthFrames, landmarks: Tensor) -> Float[Tensor, "n 1"]:
    """Return how high an upper lip is above where the lips meet, millimetres."""
    columns = landmarks.new_tensor(_MIDDLE).expand(len(landmarks), -1)
    return -frames.lips(landmarks, columns)[0].mean(1, keepdim=True)


def _light(frames: MouthFrames, landmarks: Tensor, x: Tensor, from_above: Tensor, from_below: Tensor) -> Tensor:
    """Return how much light lips leave: little below the upper one, unless it is wide open, and towards the corners.

    Through a slit less light comes in, unless the upper lip is raised, as smiles do.
    """
    ends = frames.local(landmarks[:, [LIPS[0], LIPS[10]]])[..., 0]
    half = ((ends[:, 1:] - ends[:, :1]) / 2).clamp(min=1)
    beside = ((x - ends.mean(1, keepdim=True)) / half).abs()
    gap = from_above + from_below
    wide = smooth_step((gap - _WIDE[0]) / (_WIDE[1] - _WIDE[0]))
    raised = smooth_step((_raised(frames, landmarks) - _RAISED[0]) / (_RAISED[1] - _RAISED[0]))
    under = _UNDER_UPPER_LIP + (_UNDER_RAISED - _UNDER_UPPER_LIP) * raised
    darkest = under + (_UNDER_WIDE - under) * wide
    upper = torch.lerp(darkest, torch.ones_like(x), smooth_step(from_above / _SHADOW))
    lower = torch.lerp(x.new_tensor(_ABOVE_LOWER_LIP), x.new_tensor(1.0), smooth_step(from_below / 2.5))
    corners = torch.lerp(x.new_tensor(1.0), x.new_tensor(_CORNERS), smooth_step((beside - 0.35) / 0.65))
    open_wide = smooth_step((gap.amax(1, keepdim=True) - _SLIT[0]) / (_SLIT[1] - _SLIT[0]))
    open_wide = torch.maximum(open_wide, raised.square())
    return upper * lower * corners * torch.lerp(x.new_tensor(_IN_SLIT), x.new_tensor(1.0), open_wide)


def _shown_teeth(
    picture: Tensor, landmarks: Float[Tensor, "1 478 2"], frame: MouthFrames, flesh: Tensor
) -> tuple[float, Float[Tensor, "3"], float]:
    """Say how surely a photograph shows teeth, in [0, 1], their colour, and how much lower than average they end.

    Lips are apart, and somewhere between them it is bright. Where that begins in the upper half, it is upper
    teeth: they end where it does, or behind the lower lip.
    """
    x = picture.new_tensor(_COLUMNS)
    above, below = frame.lips(landmarks, x[None])
    gap = (below - above).mean()
    down = torch.linspace(0, 1, _DOWN).to(x)[:, None]
    places = torch.stack(torch.broadcast_tensors(x, torch.lerp(above, below, down)), -1).flatten(0, 1)
    colours = _sampled(picture, frame.outside(places[None])[0]).unflatten(-1, (_DOWN, len(x))).median(2).values
    light = picture.new_tensor(_LUMA) @ colours
    tooth = (light >= _TOOTH * light.amax()).tolist()
    first = tooth.index(True)
    last = (tooth[first:] + [False]).index(False) + first - 1
    bright = light[first : last + 1].amax() / (picture.new_tensor(_LUMA) @ flesh).clamp(min=0.02)
    shows = float(smooth_step((gap - _APART) / _APART) * smooth_step((bright - 1) / 0.4))
    own = colours[:, first : last + 1].mean(1)
    teeth, lips = saturation(torch.stack([own, flesh])[..., None, None]).flatten()
    if float(lips) > _GREY:
        shows *= float(smooth_step((1 - teeth / lips) / _PALER))
    if first > _UPPER_HALF * _DOWN:
        return shows, own, 0.0
    end = float(torch.lerp(above, below, down).mean(1)[last]) - UPPER_TEETH.edges[0]
    if last == _DOWN - 1:
        end = max(end + _BEYOND, 0.0)
    return shows, own, shows * min(max(end, -_HIGHER), _LOWER)


def _edge_mm(frames: MouthFrames, pixel: float) -> Float[Tensor, "n 1"]:
    """Return over how many millimetres things end in pictures of such pixels."""
    return (_EDGE_PIXELS * pixel / frames.across.norm(dim=1, keepdim=True)).clamp(min=_EDGE)


def _sampled(picture: Float[Tensor, "3 s s"], places: Float[Tensor, "k 2"]) -> Float[Tensor, "3 k"]:
    found = functional.grid_sample(picture[None], places[None, :, None], padding_mode="border", align_corners=False)
    return (found[0, :, :, 0] + 1) / 2
