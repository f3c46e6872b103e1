"""What a photograph shows of a mouth: its own teeth, the light that they are in, and what is behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..motion.structure import FaceFitter, FaceShaper
from ..topology import EYES, IRISES, OVAL
from .lip_points import red_of_lips
from .masked import SHARP, inside, luma, saturation, softness
from .mouth_light import behind_round_lips, light_in_mouth
from .teeth import UPPER_TEETH, MouthFrames, mouth_frames, smooth_step, step

_SKIN = [205, 425, 50, 280, 187, 411, 2, 199]  # cheeks, below the nose, chin
_AROUND = [[0.0, 0.0], [0.02, 0.0], [-0.02, 0.0], [0.0, 0.02], [0.0, -0.02]]
_IVORY = (1.0, 1.0, 0.96)
_SKIN_TINT = 0.3  # power of the tint of skin that teeth have
_LEAST_WHITE = 1.25  # of the light of skin: eyes in the shade say too little
_COLOURED = 0.2  # range of the channels of skin, over its light, from which on a photograph is not a grey one
_BESIDE_IRIS = 0.62  # of the way from an iris to the corner of its eye: the white

# Millimetres.
_APART = 2.0  # between lips that are open
_EDGE, _EDGE_PIXELS = 0.3, 0.6  # over which things end, and at least so many pixels
_LINE = (5.0, 7.5)  # gap up to which a photograph without teeth may show a line, and from which on it shows a mouth
_RIM, _RIM_PIXELS = 0.6, 1.3  # of lips around what the photograph shows; at least so many pixels, or dots lie between
_BACK = 0.5  # that lips draw back, until none of that is left
_FADES = 2.0  # from such a lip on, over which its shadow would be seen on teeth
_COLUMNS = (-4.0, -2.0, 0.0, 2.0, 4.0)  # in which the teeth of a photograph are looked for
_BEYOND = 0.5  # a lower lip that touches teeth, which end behind it
_HIGHER, _LOWER = 2.0, 5.0  # than average, at most, a photograph's upper teeth end

_DOWN, _TOOTH = 24, 0.75  # places down a mouth; of the brightest there, from which on it is a tooth
_GREY, _PALER = 0.1, 0.45  # saturation of lips up to which a photograph has no colours; share that teeth have less
_PALE, _WHITE = 0.65, 0.2  # of the saturation of lips: what has more is lip, where points lie on it; but this is pale
_SHADED = 0.3  # share of light that teeth lack which tells how deep shadows are
_USUAL_SHADE, _LEAST_SHADE = 0.5, 0.3  # how deep they are where teeth that are seen lie in none, and at least
_OWN_SHADE = 0.5  # power of the light that round lips leave on what the photograph shows, which has its own light
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
    skull: float
    """Down to where what it has between its lips is the skull's, millimetres; what is lower goes with the jaw."""
    shade: float
    """How deep the shadow of its lips is: the power of `light_in_mouth`, in [0, 1], that its own teeth are lit by."""
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
        flesh = sampled(picture, red_of_lips(landmarks)[0]).median(1).values
        guess, teeth = teeth_colour(picture, points), _shown_teeth(picture, landmarks, frame, flesh)
        own, shade = teeth.in_light(float(_light_of(guess)))
        above, below = frame.lips(landmarks, picture.new_tensor(_COLUMNS)[None])
        open_wide = float(smooth_step(((below - above).mean() - _LINE[0]) / (_LINE[1] - _LINE[0])))
        jaw = float(frame.jaw)
        skull = jaw - _APART / 2 if jaw > _APART else math.inf
        shown = (picture[None] + 1) / 2
        return cls(
            picture,
            landmarks,
            frame,
            white=torch.lerp(guess, own, teeth.share),
            flesh=flesh,
            lowered=teeth.share * teeth.lowered,
            skull=skull if teeth.end is None else teeth.end,
            shade=1 + teeth.share * (shade - 1),
            shows=max(teeth.share, open_wide),
            blur=math.sqrt(max(softness(shown, inside(landmarks[:, list(OVAL)], shown)) ** 2 - SHARP**2, 0.0)),
        )

    def at(
        self,
        frames: MouthFrames,
        landmarks: Float[Tensor, "n 478 2"],
        places: Float[Tensor, "n k 2"],
        pixel: float,
    ) -> tuple[Float[Tensor, "n 3 k"], Float[Tensor, "n 1 k"]]:
        """Return the photograph's colours at places of mouths, and how much of each it shows between its lips.

        Upper teeth stay where the skull has them; what is below them goes with the jaw. It is darker where lips come
        forward more than they do in the photograph.

        Args:
            frames: Where the mouths are.
            landmarks: Points of the faces.
            places: In pictures, in [-1, 1].
            pixel: The side of a pixel: nothing ends more sharply.
        """
        x, y = frames.local(places).unbind(-1)
        soft, lips = edge_mm(frames, pixel), torch.stack(frames.lips(landmarks, x))
        rim = (_RIM_PIXELS * pixel / frames.across.norm(dim=1, keepdim=True)).clamp(min=_RIM)
        colours, shown = self._between_lips(x, y, lips, soft, rim)
        if math.isfinite(self.skull):
            falls = (frames.jaw - self.frame.jaw)[:, None]
            below, lower = self._between_lips(x, y - falls, lips - falls, soft, rim)
            shown = shown * step((self.skull - y) / soft)
            lower = lower * step((torch.minimum(y - falls, y) - self.skull) / soft)  # and behind what is above
            both = shown + lower
            colours = torch.lerp(below, colours, (shown / both.clamp(min=1e-3))[:, None])
            shown = both
        dark = behind_round_lips(frames, landmarks) / behind_round_lips(self.frame, self.landmarks)
        return colours * (dark.clamp(max=1) ** _OWN_SHADE)[:, None], self.shows * shown[:, None]

    def _between_lips(
        self, x: Tensor, y: Tensor, lips: Float[Tensor, "2 n k"], soft: Tensor, rim: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the photograph's colours at places of its mouth, and how much of each is between its lips.

        Lips that have drawn back uncover what it does not know: there its own lips would be seen beside them.
        """
        above, below = (edge.view_as(x) for edge in self.frame.lips(self.landmarks, x.reshape(1, -1)))
        ends = [
            step((inside + rim * (1 - back) - _FADES / 2 * back) / (soft + _FADES * back))
            for inside, back in (
                (y - above, step((above - lips[0]) / _BACK - 0.5)),
                (below - y, step((lips[1] - below) / _BACK - 0.5)),
            )
        ]
        shown = torch.minimum(*ends) * smooth_step((below - above) / _APART - 1.2)
        there = self.frame.outside(torch.stack([x, y], -1).reshape(1, -1, 2))[0]
        return sampled(self.picture, there).view(3, *x.shape).transpose(0, 1), shown

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
    around = points[_SKIN][:, None] + points.new_tensor(_AROUND)
    skin = sampled(picture, around.flatten(0, 1)).view(3, len(_SKIN), -1).mean(2).median(1).values.clamp(min=0.02)
    whites = [
        torch.lerp(points[iris], points[corner], _BESIDE_IRIS)
        for eye, iris in zip(EYES, IRISES)
        for corner in (eye[0], eye[8])
    ]
    white, light = _light_of(sampled(picture, torch.stack(whites))).amax(), _light_of(skin)
    level = white.clamp(torch.maximum(_LEAST_WHITE * light, 0.18 + 0.5 * light), 2.2 * light).clamp(max=0.88)
    coloured = ((skin.amax() - skin.amin()) / light / _COLOURED).clamp(max=1)
    return level * (skin / light) ** _SKIN_TINT * picture.new_tensor(_IVORY) ** coloured


@dataclass(frozen=True)
class _ShownTeeth:
    """The teeth between the lips of a photograph."""

    share: float
    """How surely there are some, in [0, 1]."""
    seen: Float[Tensor, "3"]
    """Their colour."""
    light: float = 1.0
    """How much light lips leave them, as far as one can tell from their place."""
    lowered: float = 0.0
    """How much lower upper ones end than average, millimetres."""
    end: float | None = None
    """Where upper ones end, millimetres; `None` where none are surely seen."""

    def in_light(self, white: float) -> tuple[Float[Tensor, "3"], float]:
        """Return the colour that they would have outside a mouth, and the power of `light` that makes it theirs.

        Args:
            white: How bright teeth are guessed to be there: no brighter, unless they are so in the mouth.
        """
        seen = float(_light_of(self.seen).clamp(min=0.02))
        most = min(seen / (self.light * UPPER_TEETH.bright), max(white, seen))
        own = self.seen * (most / seen)
        power = math.log(seen / (most * UPPER_TEETH.bright)) / min(math.log(self.light), -1e-3)
        tells = float(smooth_step(torch.tensor(1 - self.light) / _SHADED))
        return own, _USUAL_SHADE + tells * (min(max(power, _LEAST_SHADE), 1.0) - _USUAL_SHADE)


def _shown_teeth(
    picture: Tensor, landmarks: Float[Tensor, "1 478 2"], frame: MouthFrames, flesh: Tensor
) -> _ShownTeeth:
    """Look for teeth: lips are apart, and somewhere between them it is bright and paler than lips.

    Where that begins in the upper half, it is upper teeth: they end where it does, or behind the lower lip.
    """
    x = picture.new_tensor(_COLUMNS)
    above, below = frame.lips(landmarks, x[None])
    y = torch.lerp(above, below, torch.linspace(0, 1, _DOWN).to(x)[:, None])
    places = torch.stack([x.expand_as(y), y], -1).flatten(0, 1)
    colours = sampled(picture, frame.outside(places[None])[0]).unflatten(-1, y.shape).median(2).values
    at = x.expand_as(y).reshape(1, -1), (y - above).reshape(1, -1), (below - y).reshape(1, -1)
    light, reds, lips = _light_of(colours), _saturation_of(colours), float(_saturation_of(flesh[:, None]))
    pale = reds <= max(_PALE * lips, _WHITE) if lips > _GREY else torch.ones_like(reds, dtype=torch.bool)
    tooth = (pale & (light >= _TOOTH * (light * pale).amax())).tolist()
    if not any(tooth):
        return _ShownTeeth(0.0, flesh)
    first = tooth.index(True)
    last = (tooth[first:] + [False]).index(False) + first - 1
    run = slice(first, last + 1)
    bright = light[run].amax() / _light_of(flesh).clamp(min=0.02)
    share = float(smooth_step((below - above).mean() / _APART - 1) * smooth_step((bright - 1) / 0.4))
    own = colours[:, run].mean(1)
    if lips > _GREY:
        share *= float(smooth_step((1 - _saturation_of(own[:, None]) / lips) / _PALER))
    left = float(light_in_mouth(frame, landmarks, *at).view_as(y).mean(1)[run].mean())
    found = _ShownTeeth(share, own, left)
    if first > _UPPER_HALF * _DOWN:
        return found
    end = float(y.mean(1)[last]) - UPPER_TEETH.edges[0]
    if last == _DOWN - 1:
        end = max(end + _BEYOND, 0.0)
    lowered = min(max(end, -_HIGHER), _LOWER)
    sure = UPPER_TEETH.edges[0] + lowered if share > 0.5 else None
    return replace(found, lowered=lowered, end=sure)


def _light_of(colours: Float[Tensor, "3 *k"]) -> Float[Tensor, "*k"]:
    return luma(colours.reshape(1, 3, -1, 1)).view(colours.shape[1:])


def _saturation_of(colours: Float[Tensor, "3 k"]) -> Float[Tensor, "k"]:
    return saturation(colours.T[..., None, None]).flatten()


def edge_mm(frames: MouthFrames, pixel: float) -> Float[Tensor, "n 1"]:
    """Return over how many millimetres things end in pictures of such pixels.

    Args:
        frames: Where the mouths are.
        pixel: The side of a pixel, of pictures in [-1, 1].
    """
    return (_EDGE_PIXELS * pixel / frames.across.norm(dim=1, keepdim=True)).clamp(min=_EDGE)


def sampled(picture: Float[Tensor, "3 s s"], places: Float[Tensor, "k 2"]) -> Float[Tensor, "3 k"]:
    """Return the colours of a picture at some places.

    Args:
        picture: In [-1, 1].
        places: In [-1, 1].

    Returns:
        In [0, 1].
    """
    found = functional.grid_sample(picture[None], places[None, :, None], padding_mode="border", align_corners=False)
    return (found[0, :, :, 0] + 1) / 2
