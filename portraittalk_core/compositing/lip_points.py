"""Where a photograph shows lips: points of inner lips that are found are brought to where they end or meet.

Found points leave shut mouths open, and lie on teeth rather than on the edge of lips. What is between them says more:
segments of the photograph, a dark line, and colours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..motion.geometry import eye_distance, eye_line, mouth_opening
from ..topology import INNER_LIPS, MEETING_LIPS, OUTER_LIPS, SEGMENTS
from .masked import inside as within
from .masked import luma, saturation
from .teeth import LIPS, MouthFrames, along, smooth_step

PLACES = 33
"""Along the mouth at which its edges are looked for."""

MEET = 0.006
"""Opening, see `mouth_opening`, of lips that meet: points of both never lie on one another."""

SURE = 0.3
"""Mean share of teeth and mouth between the lips below which a mouth is shut, whatever its points say."""

_HIGH, _STEP = 0.12, 0.003  # how far from its points an edge is looked for, and how finely
_OPEN, _CLOSED = 0.22, 0.12  # mean share between points of lips that are surely apart, and of such that surely meet
_WIDE = 0.09  # opening, see `mouth_opening`, from which on points are not wrong
_SEEN = 0.4  # share of teeth and mouth from which on a pixel is inside
_AROUND, _FADES = 0.2, 0.05  # how far beyond the points the line is looked for; what counts as nearly as dark
_LIKE_LIP, _DARK = 0.86, 0.3  # of the light of the lower lip: the least that is a lip, and how much darker a line is
_THIN, _BLACK, _EVEN = (0.05, 0.012), (0.6, 0.1), (0.12, 0.05)  # of a line: at most, and how much less is sure
_TEETH = 0.12  # mean share of teeth between points from which on points lie on them; dark lips are taken for a mouth
_NEAR, _FALL = 0.036, 0.1  # how far from a segment's end lips may end, and a clear fall of whiteness within two steps
_INWARDS = 0.4  # of the opening, that an edge is at most inside of points that lie on no tooth
_FEW = 0.05  # of the places between lips: what is there counts as nothing
_MISTAKEN = 0.28  # mean share between points above which what is there is no lip
# From where on, and by how much more surely.
_REDDER, _LIGHT = (1.05, 0.12), (0.4, 0.1)  # of a lip's saturation and light, in `_all_lip`
_RED = (0.25, 0.1)  # saturation of lips whose red tells
_PAINTED = (0.15, 0.1)  # more saturation than skin, which tells that lips are painted
_AS_RED, _AS_LIGHT = (0.75, 0.1), (0.5, 0.2)  # of the saturation and the light of painted lips: what is one, too
_WHITER, _PALER, _LIGHTER = (0.05, 0.15), (-0.7, 0.15), (1.0, 0.2)  # of teeth, see `_white_teeth`
_PINK, _COLOURED = (-0.65, 0.25), (0.2, 0.1)  # of teeth; of lips
_LINES = 0.006  # of the picture's side: half the width of what is dark between teeth
_WHITE_TO, _WHITE_ROWS = 0.9, 12  # of the way to the lower points, and rows up to there, in which teeth begin
_BEYOND = 0.6  # beyond the edge of lips, of the way from their middle to it: skin


def lips_as_seen(
    pictures: Float[Tensor, "n 3 s s"],
    segments: Float[Tensor, "n segments s s"],
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 478 2"]:
    """Bring points of lips together where a photograph shows nothing between them.

    Found points leave shut mouths some hundredths of the distance of the eyes open: lips would be pressed thin to close
    them. In 64 pictures of real people in which less than a fifth of what is between the points was mouth, all but two
    mouths were open by less than 0.03, most by less than 0.01. Dark lips may be taken for a mouth; so a mouth is shut,
    too, where the lower part of what is between the points is as light as the lower lip, below a line that is far
    darker, or where that line is thin, or where all of it is of a lip's red. Lips meet in that line. And where teeth
    are seen, points of lips lie on them, and go to where the lips end: what is drawn in a mouth would end before it,
    and leave a strip of teeth on the lip.

    Args:
        pictures: In [-1, 1].
        segments: Of the photographs, see `topology.SEGMENTS`.
        landmarks: In [-1, 1].

    Returns:
        The same points but those of inner lips.
    """
    upper, lower = (landmarks[:, list(points)] for points in zip(*MEETING_LIPS, strict=True))
    between = torch.cat([torch.lerp(upper, lower, share) for share in (0.3, 0.5, 0.7)], 1)
    white_there, white = _white_teeth(pictures, landmarks)
    inside = _inside(pictures, segments, landmarks, white_there).to(between)
    mouth, teeth = functional.grid_sample(inside, between[:, None], align_corners=False).mean((2, 3)).unbind(1)
    seen, teeth = torch.maximum(mouth + teeth, white), torch.maximum(teeth, white)
    opening = mouth_opening(landmarks)
    line, alike, thin = _dark_line(pictures, landmarks, upper, lower)
    mistaken = alike * ((_MISTAKEN - seen) / (_MISTAKEN - _OPEN)).clamp(0, 1)
    nothing = torch.stack([((_OPEN - seen) / (_OPEN - _CLOSED)).clamp(0, 1), mistaken, thin]).amax(0)
    rises, lip = _all_lip(pictures, landmarks, upper, lower)
    line = torch.lerp(line, rises, (lip * (1 - nothing))[:, None, None])
    shut = torch.maximum(nothing, lip) * (opening < _WIDE) * (1 - white)
    left = 1 - shut * (1 - (MEET / opening.clamp(min=MEET)))
    middle = torch.lerp(upper, lower, 0.5 + shut[:, None, None] * (line - 0.5))
    half = (lower - upper) / 2 * left[:, None, None]
    made = landmarks.clone()
    for points, place in zip(zip(*MEETING_LIPS, strict=True), (middle - half, middle + half), strict=True):
        made[:, list(points)] = place
    for row in ((seen > SURE) & (teeth > _TEETH) & (shut < 0.5)).nonzero()[:, 0].tolist():
        one = slice(row, row + 1)
        made[one] = _at_edges(
            pictures[one], inside[one].sum(1, keepdim=True), landmarks[one], _INWARDS * float(white[row])
        )
    return made


def _at_edges(
    picture: Float[Tensor, "1 3 s s"],
    inside: Float[Tensor, "1 1 s s"],
    landmarks: Float[Tensor, "1 478 2"],
    inwards: float,
) -> Float[Tensor, "1 478 2"]:
    """Move points of inner lips that lie on teeth, or on the lips, to where the lips end; inwards by a share at most.

    Segments say so roughly; near there it is where light and whiteness fall most.
    """
    beyond, _ = beyond_points(inside, landmarks)
    frame, made = frames_of_eyes(landmarks), landmarks.clone()
    lines = frame.local(landmarks[:, LIPS]).chunk(2, 1)
    places = torch.linspace(float(lines[0][0, 0, 0]), float(lines[0][0, -1, 0]), PLACES).to(landmarks)
    near = torch.arange(-_NEAR, _NEAR + _STEP / 2, _STEP).to(landmarks)
    for line, points, more, way in zip(lines, (LIPS[:11], LIPS[11:]), beyond, (-1.0, 1.0), strict=True):
        y = along(places[None], line)[0, :, None] + way * (more[:, None] + near)
        at = frame.outside(torch.stack([places[:, None].expand_as(y), y], -1).flatten(0, 1)[None])
        colours = functional.grid_sample(picture.to(at), at[:, None], align_corners=False)[0, :, 0].view(3, *y.shape)
        white = colours[1] - (colours[0] - colours[1])  # teeth are lighter and less red than lips
        falls = (white[:, :-2] - white[:, 2:]).clamp(min=0)
        prior = torch.exp(-(near[1:-1] / (_NEAR / 2)).square())
        share = (falls * prior).square()
        better = (share * near[1:-1]).sum(1) / share.sum(1).clamp(min=1e-9) * (falls.amax(1) / _FALL).clamp(max=1)
        better = functional.avg_pool1d(functional.pad(better[None, None], (2, 2), mode="replicate"), 5, 1)[0, 0]
        least = torch.where(more > 0, 0.0, -inwards * float(mouth_opening(landmarks)[0]))
        away = along(line[..., 0], torch.stack([places, torch.maximum(more + better, least)], -1)[None])
        to = frame.outside(torch.stack([line[..., 0], line[..., 1] + way * away], -1))
        made[:, list(points[1:-1])] = to[:, 1:-1]
    return made


def _dark_line(
    pictures: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    upper: Float[Tensor, "n 9 2"],
    lower: Float[Tensor, "n 9 2"],
) -> tuple[Float[Tensor, "n 9 1"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Find the darkest line between the points of inner lips.

    Returns:
        Where it is, from the upper points, 0, to the lower ones, 1; how surely what is below it is a lip; and how
        surely there is nothing but that line, which is thin.
    """
    ends = landmarks[:, list(OUTER_LIPS[:10:-1])]

    def light(places: Float[Tensor, "n k 9 2"]) -> Float[Tensor, "n k 9"]:
        found = functional.grid_sample(pictures.to(places), places, padding_mode="border", align_corners=False)
        return (luma(found)[:, 0] + 1) / 2

    share = torch.linspace(-_AROUND, 1 + _AROUND, PLACES).to(upper)[:, None, None]
    values = light(torch.lerp(upper[:, None], lower[:, None], share))
    darkest = values.amin(1, keepdim=True)
    weights = ((darkest - values) / (_FADES * values.mean(1, keepdim=True).clamp(min=1e-3))).exp()
    line = (weights * share[..., 0]).sum(1) / weights.sum(1)
    line = functional.avg_pool1d(functional.pad(line[:, None], (2, 2), mode="replicate"), 5, 1)[:, 0, :, None]
    lip = light(torch.lerp(lower[:, None], ends[:, None], share.clamp(0.15, 0.55)))[..., 2:7].mean((1, 2))
    below = values[:, (share[:, 0, 0] > 0.7) & (share[:, 0, 0] <= 1), 2:7].mean((1, 2))
    alike = smooth_step((below / lip.clamp(min=1e-3) - _LIKE_LIP) / (1 - _LIKE_LIP) * 3)
    dark = smooth_step((1 - darkest[..., 2:7].mean((1, 2)) / lip.clamp(min=1e-3)) / _DARK - 0.5)
    width = (1 + 2 * _AROUND) * mouth_opening(landmarks)
    return line, alike * dark, _thin(values[..., 2:7] / lip.clamp(min=1e-3)[:, None, None], width)


def _thin(values: Float[Tensor, "n places 5"], width: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Return how surely light falls to one thin, dark line and rises again, without a tooth in between.

    Args:
        values: Light across a mouth, over that of the lower lip.
        width: What is looked at across it, in distances of the eyes.
    """
    place = torch.arange(values.shape[1])[:, None].to(values.device)
    darkest, at = values.min(1, keepdim=True)
    above = (values - values.cummin(1).values) * (place <= at)
    below = (values - values.flip(1).cummin(1).values.flip(1)) * (place >= at)
    bump = torch.maximum(above, below).amax((1, 2))
    thick = (values < (darkest + values[:, -1:]) / 2).float().mean((1, 2)) * width
    parts = ((_THIN, thick), (_BLACK, darkest.mean((1, 2))), (_EVEN, bump))
    return torch.stack([smooth_step((most - value) / some) for (most, some), value in parts]).prod(0)


def _all_lip(
    pictures: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    upper: Float[Tensor, "n 9 2"],
    lower: Float[Tensor, "n 9 2"],
) -> tuple[Float[Tensor, "n 9 1"], Float[Tensor, "n"]]:
    """Say whether everything between the points of inner lips is lip: painted ones may meet in no dark line.

    Nothing there is paler than lips are, as teeth would be, and nothing is dark.

    Returns:
        Where it becomes lighter, from the upper points, 0, to the lower ones, 1: there the upper lip ends, which is in
        the shade; and how surely all is lip.
    """
    share = torch.linspace(0.1, 0.9, PLACES // 2).to(upper)[:, None, None]
    places = torch.lerp(upper[:, None], lower[:, None], share)
    red = red_of_lips(landmarks)[:, None]
    between, lips = (
        (functional.grid_sample(pictures.to(at), at, padding_mode="border", align_corners=False) + 1) / 2
        for at in (places, red)
    )
    own, light = saturation(lips).flatten(1).median(1).values, luma(lips).flatten(1).median(1).values.clamp(min=0.02)
    inner = between[..., 1:-1]
    pale = saturation(inner).flatten(1).quantile(_FEW, 1) / own.clamp(min=0.02)
    dark = luma(inner).flatten(1).quantile(_FEW, 1) / light
    sure = [smooth_step((v - a) / b) for v, (a, b) in ((pale, _REDDER), (dark, _LIGHT), (own, _RED))]
    smooth = functional.avg_pool2d(functional.pad(luma(between), (1, 1, 1, 1), mode="replicate"), 3, 1)[:, 0]
    rises = smooth.diff(dim=1).clamp(min=1e-3).pow(4)
    line = (rises * (share[1:] + share[:-1])[..., 0] / 2).sum(1) / rises.sum(1)
    return line[..., None], sure[0] * sure[1] * sure[2]


def red_of_lips(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 20 2"]:
    """Return places on the lips: between their inner and their outer edges."""
    return torch.lerp(landmarks[:, list(OUTER_LIPS)], landmarks[:, list(INNER_LIPS)], 0.5)


def beyond_points(
    inside: Float[Tensor, "1 1 s s"], landmarks: Float[Tensor, "1 478 2"]
) -> tuple[Float[Tensor, "2 places"], float]:
    """Return how far beyond their points lips end, see `LipEdges.beyond`, and how surely the mouth is open."""
    frame = frames_of_eyes(landmarks)
    upper, lower = frame.local(landmarks[:, LIPS]).chunk(2, 1)
    x = torch.linspace(float(upper[0, 0, 0]), float(upper[0, -1, 0]), PLACES)[None].to(landmarks)
    between = frame.outside(torch.stack([x, (along(x, upper) + along(x, lower)) / 2], -1))
    sure = float(functional.grid_sample(inside, between[:, None], align_corners=False).mean())
    away = torch.arange(0, _HIGH, _STEP).to(landmarks)
    found: list[Tensor] = []
    for line, way in ((upper, -1.0), (lower, 1.0)):
        y = along(x, line)[0, :, None] + way * away
        places = frame.outside(torch.stack([x[0, :, None].expand_as(y), y], -1).flatten(0, 1)[None])
        seen = functional.grid_sample(inside, places[:, None], align_corners=False)[0, 0, 0].view(PLACES, -1)
        # The first pixel outwards that is no longer inside.
        found.append((seen > _SEEN).long().cumprod(1).sum(1) * _STEP)
    smooth = functional.avg_pool1d(functional.pad(torch.stack(found)[None], (2, 2), mode="replicate"), 5, 1)
    return smooth[0], sure


def inside_of(
    pictures: Float[Tensor, "n 3 s s"], segments: Float[Tensor, "n segments s s"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 s s"]:
    """Return the shares of mouth and of teeth in each pixel.

    Lips in a red that skin has not are taken for a mouth: beyond the points, what is as red as they are, and as light,
    is none. And teeth in warm light are taken for skin: what is whiter than lips and than the skin around them is
    teeth, if some of it is between the points.

    Args:
        pictures: In [-1, 1].
        segments: Of them, see `topology.SEGMENTS`.
        landmarks: In [-1, 1].
    """
    return _inside(pictures, segments, landmarks, _white_teeth(pictures, landmarks)[0])


def _inside(pictures: Tensor, segments: Tensor, landmarks: Tensor, white: Tensor) -> Float[Tensor, "n 2 s s"]:
    """Return what `inside_of` does, of what is known to be white."""
    shown = (pictures + 1) / 2
    lips, around = _beside_lips(shown, landmarks)
    own, light, skin = (
        values.flatten(1).median(1).values.view(-1, 1, 1, 1)
        for values in (saturation(lips), luma(lips), saturation(around))
    )
    as_red = smooth_step((saturation(shown) / own.clamp(min=0.02) - _AS_RED[0]) / _AS_RED[1])
    as_light = smooth_step((luma(shown) / light.clamp(min=0.02) - _AS_LIGHT[0]) / _AS_LIGHT[1])
    beyond = 1 - within(landmarks[:, list(INNER_LIPS)], pictures)
    painted = smooth_step((own - skin - _PAINTED[0]) / _PAINTED[1]) * as_red * as_light * beyond
    mouth, teeth = (segments[:, [SEGMENTS.index(name)]] * (1 - painted) for name in ("mouth", "teeth"))
    return torch.cat([mouth, torch.maximum(teeth, white)], 1)


def _beside_lips(shown: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]) -> tuple[Tensor, Tensor]:
    """Return the colours of lips and of the skin around them."""
    red = red_of_lips(landmarks)
    outside = torch.lerp(landmarks[:, list(OUTER_LIPS)], red, -_BEYOND)
    lips, skin = (
        functional.grid_sample(shown.to(at), at[:, None], padding_mode="border", align_corners=False)
        for at in (red, outside)
    )
    return lips, skin


def _white_teeth(
    pictures: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> tuple[Float[Tensor, "n 1 s s"], Float[Tensor, "n"]]:
    """Return how far pixels are teeth, whiter than lips and skin, up to halfway over lips; and how surely any are.

    Those begin between the points of inner lips, all along the middle of the mouth. What shines on a lip is below them.
    """

    def middle(values: Tensor) -> Tensor:
        return values.flatten(1).median(1).values.view(-1, 1, 1, 1)

    shown = (pictures + 1) / 2
    lips, skin = _beside_lips(shown, landmarks)

    def pink(values: Tensor) -> Tensor:  # what lips are in any light, and teeth are not
        return (values[:, :1] + values[:, 2:]) / 2 - values[:, 1:2]

    own, light = middle(saturation(lips)), middle(luma(skin)).clamp(min=0.02)
    whiter = (2 * shown[:, 1:2] - shown[:, :1] - middle(2 * skin[:, 1] - skin[:, 0])) / light
    parts = (
        (whiter, _WHITER),
        (-saturation(shown) / own.clamp(min=0.02), _PALER),
        (luma(shown) / middle(luma(lips)).clamp(min=0.02), _LIGHTER),
        (-pink(shown) / middle(pink(lips)).clamp(min=0.02), _PINK),
        (own, _COLOURED),
    )
    white = torch.ones_like(whiter)
    for value, (least, more) in parts:
        white *= smooth_step((value - least) / more)
    upper, lower = (landmarks[:, None, list(points)] for points in zip(*MEETING_LIPS, strict=True))
    places = torch.lerp(upper, lower, torch.linspace(0.1, _WHITE_TO, _WHITE_ROWS).to(upper)[:, None, None])
    rows = functional.grid_sample(white.to(places), places, align_corners=False)[:, 0, :, 2:7].median(2).values
    sure = functional.avg_pool1d(rows[:, None], 3, 1).amax((1, 2))
    half = max(1, round(_LINES * white.shape[-1]))
    for way in (1, -1):  # the dark between two teeth is no lip
        white = way * functional.max_pool2d(way * white, (1, 2 * half + 1), 1, (0, half))
    return sure.view(-1, 1, 1, 1) * white * within(red_of_lips(landmarks), pictures), sure


def frames_of_eyes(landmarks: Float[Tensor, "n 478 2"]) -> MouthFrames:
    """Return frames of mouths whose unit is the distance of the eyes."""
    none = torch.zeros(len(landmarks))
    across = functional.normalize(eye_line(landmarks), dim=-1) * eye_distance(landmarks)[:, None]
    corners = landmarks[:, [OUTER_LIPS[0], OUTER_LIPS[10]]].mean(1)
    return MouthFrames(corners, across, none, none, none, none)


def places_of(rows: slice, columns: slice, side: int) -> Float[Tensor, "1 k 2"]:
    """Return the centres of some pixels of a picture, in [-1, 1].

    Args:
        rows: Of the pixels.
        columns: Likewise.
        side: Of the picture.
    """
    axis = (torch.arange(side) * 2 + 1) / side - 1
    return torch.stack(torch.meshgrid(axis[columns], axis[rows], indexing="xy"), -1).flatten(0, 1)[None]
