"""How near an edited picture is to the true one, where the edit acts and where it does not."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from portraittalk_core.media.image import resize
from portraittalk_core.metrics.functional import mean_colour

CHANGES = 0.08
"""Difference of the true pictures, of the range 2, from which on a place is changed by an edit."""

FEWEST = 40
"""Pixels that must change, or the edit cannot be seen in the picture."""

MOST_LAG = 5
"""Lags that are tried both ways, frames."""

_AWAY = 6  # pixels around the changed region that count for neither
_SIDE = 128  # at which pictures are named


def changed_region(before: Float[Tensor, "3 s s"], after: Float[Tensor, "3 s s"]) -> Bool[Tensor, "s s"]:
    """Return where an edit changes the true picture.

    Args:
        before: The true picture without the edit, in [-1, 1].
        after: With it.
    """
    apart = (after - before).abs().amax(0, keepdim=True)
    return functional.avg_pool2d(functional.pad(apart, (1,) * 4, mode="replicate"), 3, 1)[0] > CHANGES


def rest_of(region: Bool[Tensor, "s s"]) -> Bool[Tensor, "s s"]:
    """Return what is some pixels away from a region.

    Args:
        region: Of `changed_region`.
    """
    return functional.max_pool2d(region.float()[None, None], 2 * _AWAY + 1, 1, _AWAY)[0, 0] < 0.5


def edit_scores(
    made: Float[Tensor, "3 s s"], before: Float[Tensor, "3 s s"], after: Float[Tensor, "3 s s"]
) -> dict[str, float] | None:
    """Compare an edited picture with the true ones.

    Args:
        made: In [-1, 1].
        before: The true picture without the edit.
        after: With it.

    Returns:
        `error`, root mean square of the distance to `after` over that of `before`, where they differ: below 1 the
        picture has come nearer; `moved`, how far it went from the one to the other: 0 not at all, 1 all the way;
        `colour` and `colour before`, distances of the region's mean colour from the true one in CIE Lab; `rest`, mean
        difference to `after` elsewhere, of 255; None where the edit changes nothing that can be seen.
    """
    region = changed_region(before, after)
    if int(region.sum()) < FEWEST:
        return None
    wanted, got = (after - before)[:, region], (made - before)[:, region]
    rest = rest_of(region)
    colours = mean_colour(torch.stack([p[:, region][:, :, None] for p in (made, before, after)]))
    return {
        "error": float((wanted - got).norm() / wanted.norm()),
        "moved": float((wanted * got).sum() / wanted.square().sum()),
        "colour": float((colours[0] - colours[2]).norm()),
        "colour before": float((colours[1] - colours[2]).norm()),
        "rest": float((made - after).abs().mean(0)[rest].mean() * 127.5) if bool(rest.any()) else 0.0,
        "share": float(region.float().mean()),
    }


def named(made: Float[Tensor, "3 s s"], shown: dict[str, Float[Tensor, "3 s s"]]) -> str:
    """Name what a picture shows: the word whose rendering is nearest, where the renderings of words differ.

    Args:
        made: In [-1, 1].
        shown: By word, a rendering.
    """
    words = list(shown)
    pictures = resize(torch.stack([made, *shown.values()]), _SIDE, _SIDE)
    others = pictures[1:]
    place = (others.amax(0) - others.amin(0)).amax(0) > CHANGES  # elsewhere they differ in exposure and grain alone
    if not bool(place.any()):
        return words[0]
    distance = (others - pictures[:1]).abs().mean(1)[:, place].mean(1)
    return words[int(distance.argmin())]


def correlation(a: Float[Tensor, "n"], b: Float[Tensor, "n"]) -> float:
    """Compute Pearson's r; 0 where one side does not move.

    Args:
        a: One track.
        b: Another.
    """
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-9))


def best_lag(seen: Float[Tensor, "n"], true: Float[Tensor, "n"]) -> int:
    """Find the lag at which two tracks match best.

    Args:
        seen: One track.
        true: The other.

    Returns:
        By how many frames `seen` is late, up to `MOST_LAG` both ways.
    """

    def at(lag: int) -> float:
        a, b = (seen[lag:], true[: len(true) - lag]) if lag >= 0 else (seen[:lag], true[-lag:])
        return correlation(a, b)

    return max(range(-MOST_LAG, MOST_LAG + 1), key=at)


def top1(faces: Float[Tensor, "n d"], own: list[int], gallery: Float[Tensor, "people d"]) -> float:
    """Count how often a face is nearest to its own person's row of the gallery.

    Args:
        faces: Embeddings.
        own: Whose each is.
        gallery: One embedding a person.

    Returns:
        A share, 0 to 1.
    """
    nearest = torch.cdist(faces, gallery).argmin(1)
    return float((nearest == torch.tensor(own)).float().mean())


def sharpness(frames: Float[Tensor, "n 3 h w"]) -> float:
    """Measure sharpness as the mean size of the Laplacian of the brightness.

    Args:
        frames: In [-1, 1].

    Returns:
        Comparable for pictures of one size.
    """
    gray = frames.mean(1, keepdim=True)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return float(functional.conv2d(gray, kernel).abs().mean())
