"""How like two pictures or two tracks are: errors in boxes, correlation, sharpness, colours of the irises, lips."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from portraittalk_core.metrics.functional import mean_colour, sharpness
from portraittalk_core.topology import EYES, OUTER_LIPS, OVAL

from .boxes import Box, boxes, eye_distance

QUANTITIES = ("jawOpen", "yaw", "pitch", "roll", "eyeBlink", "mouthPucker", "mouthFunnel")
"""What of a clip is followed."""

IRIS_RINGS = ((468, 469, 470, 471, 472), (473, 474, 475, 476, 477))
"""Centre and four points of the edge of each iris, at the left of the picture and at the right."""

LIP_PAIRS = ((82, 87), (13, 14), (312, 317))
"""Points of the upper and the lower lip that meet."""

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601."""

OPEN_EYE = 0.15
"""Gap of the lids over the width of the eye from which on the iris is looked at."""

AS_OPEN = 0.8
"""Gap of the lids, of that in the photograph, from which on colours of the irises are compared: in the true GRID clips
they then stay within 5.5 of CIE Lab; in eyes that close they do not."""

_IRIS_PIXELS, _IRIS_ZOOM = 24, 4
_INNER, _OUTER = 0.4, 0.85  # of the iris' radius: neither the pupil nor the edge
_HIGHLIGHT = 0.9  # share of the darkest pixels that count


def errors(
    made: Float[Tensor, "f 3 s s"], true: Float[Tensor, "f 3 s s"], points: Float[Tensor, "f 478 2"]
) -> dict[str, float]:
    """Compare frames with true ones in the boxes of mouth, face and the whole: means over all frames but the first.

    The first is the photograph itself, which a frame that does not move would repeat without any error.

    Args:
        made: In [-1, 1].
        true: In [-1, 1].
        points: Of the true frames, in pixels.

    Returns:
        `psnr mouth` and so on in dB, `ssim mouth` and so on.
    """
    rows: list[dict[str, float]] = []
    for ours, truth, face in zip(made[1:], true[1:], points[1:], strict=True):
        alike = ssim_map(ours, truth)
        row: dict[str, float] = {}
        for name, box in boxes(face, truth.shape[-1]).items():
            error = (_cut(ours, box) - _cut(truth, box)).double().square().mean()
            row[f"psnr {name}"] = float((10 * torch.log10(4 / error.clamp(min=1e-12))).clamp(max=100))
            row[f"ssim {name}"] = float(_cut(alike, box).mean())
        rows.append(row)
    return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}


def _cut(picture: Tensor, box: Box) -> Tensor:
    return picture[..., box[0], box[1]]


def ssim_map(made: Float[Tensor, "3 s s"], true: Float[Tensor, "3 s s"]) -> Float[Tensor, "3 s s"]:
    """Return the structural similarity of every pixel, whose mean `metrics.functional.ssim` is.

    Args:
        made: In [-1, 1].
        true: In [-1, 1].
    """
    a, b = made[:, None].double(), true[:, None].double()
    mean_a, mean_b, squares_a, squares_b, products = (_blur(x, 1.5, 5) for x in (a, b, a * a, b * b, a * b))
    var_a, var_b, both = squares_a - mean_a**2, squares_b - mean_b**2, products - mean_a * mean_b
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    above = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return (above / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))[:, 0]


def _blur(x: Float[Tensor, "n 1 h w"], sigma: float, radius: int) -> Float[Tensor, "n 1 h w"]:
    at = torch.arange(-radius, radius + 1, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = functional.pad(x, (radius,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))


def correlation(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> float:
    """Compute Pearson's r over the frames in which both are known; 0 where one of them does not move.

    Args:
        a: NaN where nothing is known.
        b: Likewise.
    """
    return pooled([(a, b)])


def pooled(tracks: list[tuple[Float[Tensor, "n"], Float[Tensor, "n"]]]) -> float:
    """Compute Pearson's r of several clips together, each about its own mean.

    So a clip in which nothing happens, where r would be that of the reader's noise, counts for what moves in it.

    Args:
        tracks: Two tracks for each clip, NaN where nothing is known.
    """
    both = square_a = square_b = 0.0
    for a, b in tracks:
        known = torch.isfinite(a) & torch.isfinite(b)
        x, y = a[known].double(), b[known].double()
        if len(x) > 1:
            x, y = x - x.mean(), y - y.mean()
            both, square_a, square_b = both + x @ y, square_a + x @ x, square_b + y @ y
    size = float(square_a * square_b) ** 0.5
    return float(both) / size if size > 1e-12 else 0.0


def face_sharpness(frames: Float[Tensor, "f 3 s s"], points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    """Measure the sharpness inside the face, see `metrics.functional.sharpness`; NaN where there is no face.

    Args:
        frames: In [-1, 1].
        points: In pixels.
    """
    found: list[Tensor] = []
    for frame, face in zip(frames, points, strict=True):
        if not bool(torch.isfinite(face).all()):
            found.append(torch.tensor(torch.nan))
            continue
        line = face[list(OVAL)]
        middle, half = (line.amin(0) + line.amax(0)) / 2, (line.amax(0) - line.amin(0)) * 0.4
        left, top = (middle - half).round().clamp(min=0).int().tolist()
        right, bottom = (middle + half).round().int().tolist()
        found.append(sharpness(frame[None, :, top:bottom, left:right])[0])
    return torch.stack(found)


def lip_gap(points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    """Return the gap of the lips in per cent of the mouth's width.

    Args:
        points: In any unit.
    """
    gaps = torch.stack([(points[:, low] - points[:, up]).norm(dim=1) for up, low in LIP_PAIRS])
    left, right = OUTER_LIPS[0], OUTER_LIPS[10]
    return 100 * gaps.mean(0) / (points[:, right] - points[:, left]).norm(dim=1).clamp(min=1e-6)


def iris_colours(picture: Float[Tensor, "3 h w"], points: Float[Tensor, "478 2"]) -> Float[Tensor, "2 3"]:
    """Return the colour of each iris in CIE Lab: the median between pupil and edge of what the lids leave open.

    Args:
        picture: In [-1, 1].
        points: In pixels.

    Returns:
        At the left of the picture, at the right; NaN for an eye that is closed or too small to say.
    """
    unknown = torch.full((3,), torch.nan)
    if not bool(torch.isfinite(points).all()):
        return unknown.repeat(2, 1)
    found: list[Tensor] = []
    for ring, lids, gap in zip(IRIS_RINGS, EYES, lid_gaps(points), strict=True):
        colour = _iris(picture, points[list(ring)], points[list(lids)]) if float(gap) >= OPEN_EYE else None
        found.append(unknown if colour is None else colour)
    return torch.stack(found)


def lid_gaps(points: Float[Tensor, "*f 478 2"]) -> Float[Tensor, "*f 2"]:
    """Return the gap of the lids over the width of each eye.

    Args:
        points: In any unit.

    Returns:
        At the left of the picture, at the right.
    """
    gaps: list[Tensor] = []
    for lids in EYES:
        corner, upper, other, lower = (points[..., lids[k], :] for k in (0, 4, 8, 12))
        gaps.append((lower - upper).norm(dim=-1) / (other - corner).norm(dim=-1).clamp(min=1e-6))
    return torch.stack(gaps, -1)


def _iris(picture: Tensor, ring: Float[Tensor, "5 2"], lids: Float[Tensor, "16 2"]) -> Tensor | None:
    radius = (ring[1:] - ring[0]).norm(dim=1).mean()
    step = 1 / _IRIS_ZOOM
    reach = torch.arange(-float(radius), float(radius) + step, step)
    at = ring[0] + torch.stack(torch.meshgrid(reach, reach, indexing="xy"), -1)
    away = (at - ring[0]).norm(dim=-1) / radius
    chosen = (away > _INNER) & (away < _OUTER) & _within(at, lids)
    if int(chosen.sum()) < _IRIS_PIXELS * _IRIS_ZOOM**2 // 8:
        return None
    size = at.new_tensor([picture.shape[-1], picture.shape[-2]])
    grid = (at[chosen] / size * 2 - 1)[None, None]
    seen = functional.grid_sample(picture[None], grid, mode="bilinear", align_corners=False)[0, :, 0]
    dark = seen.mean(0) <= seen.mean(0).quantile(_HIGHLIGHT)  # the lamp that an eye mirrors is no colour of it
    return mean_colour(seen[:, dark].median(1).values.view(1, 3, 1, 1))[0]


def _within(at: Float[Tensor, "h w 2"], line: Float[Tensor, "k 2"]) -> Bool[Tensor, "h w"]:
    """Say which places lie inside a closed line, by the parity of its crossings."""
    after = line.roll(-1, 0)
    x, y = at[..., 0, None], at[..., 1, None]
    crosses = (line[:, 1] > y) != (after[:, 1] > y)
    rise = after[:, 1] - line[:, 1]
    where = line[:, 0] + (y - line[:, 1]) * (after[:, 0] - line[:, 0]) / torch.where(rise == 0, 1e-9, rise)
    return (crosses & (x < where)).sum(-1) % 2 == 1


def detail(
    made: Float[Tensor, "3 s s"],
    photograph: Float[Tensor, "3 s s"],
    mask: Bool[Tensor, "s s"],
    points: Float[Tensor, "478 2"],
) -> float:
    """Correlate what is fine in a frame with what is fine in the photograph: freckles, wrinkles, hair of a beard.

    Args:
        made: In [-1, 1].
        photograph: Likewise, of the same size.
        mask: Where.
        points: Of the face in pixels, which say how large it is: fine is what a Gaussian of a fiftieth of the distance
            of the eyes takes away.

    Returns:
        Pearson's r of the luma.
    """
    sigma = max(1.0, float(eye_distance(points)) / 50)
    luma = torch.stack([torch.einsum("chw,c->hw", p, p.new_tensor(LUMA)) for p in (made, photograph)])[:, None]
    fine = (luma - _blur(luma, sigma, round(3 * sigma)))[:, 0]
    return correlation(fine[0][mask], fine[1][mask])


def away_from_photograph(
    levels: Float[Tensor, "f 3 s s"], photograph: Float[Tensor, "3 s s"], mask: Bool[Tensor, "f s s"]
) -> float | None:
    """Return the mean difference to the photograph where nothing should differ, in levels of 255.

    Args:
        levels: Frames in [-1, 1].
        photograph: In [-1, 1].
        mask: The pixels that count in each frame.

    Returns:
        None where no pixel counts.
    """
    if not bool(mask.any()):
        return None
    apart = (levels - photograph).abs().mean(1)
    return float(apart[mask].mean() * 127.5)


def restlessness(frames: Float[Tensor, "f 3 s s"], mask: Bool[Tensor, "s s"]) -> float | None:
    """Return the standard deviation over time of pixels that stand still, in levels of 255.

    Args:
        frames: In [-1, 1].
        mask: The pixels that count.

    Returns:
        None where no pixel counts.
    """
    return float(frames.std(0, correction=0).mean(0)[mask].mean() * 127.5) if bool(mask.any()) else None
