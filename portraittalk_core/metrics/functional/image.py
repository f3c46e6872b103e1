"""Measure pictures: likeness to the truth, sharpness, colour, flicker. Pixels are float in [-1, 1], channels first."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadInput, MissingExtra

_LUMA = (0.299, 0.587, 0.114)
_CHUNK = 64


def psnr(pixels: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> float:
    """Return the peak signal-to-noise ratio, mean over frames.

    Args:
        pixels: In [-1, 1].
        reference: Likewise, of the same shape.

    Returns:
        In dB, higher is better; infinite where every frame is the same. A frame counts as 100 dB at most.

    Raises:
        BadInput: For shapes that differ.
    """
    _check_pair(pixels, reference)
    error = (pixels.double() - reference.double()).square().mean((1, 2, 3))
    if not bool(error.any()):
        return math.inf
    return float((10 * torch.log10(4 / error.clamp(min=1e-12))).clamp(max=100).mean())


def ssim(pixels: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> float:
    """Return structural similarity (Wang et al. 2004: Gaussian window, sigma 1.5), mean over frames.

    scikit-image computes it.

    Args:
        pixels: In [-1, 1].
        reference: Likewise, of the same shape.

    Returns:
        In [-1, 1], higher is better.

    Raises:
        MissingExtra: Without scikit-image.
        BadInput: For shapes that differ.
    """
    _check_pair(pixels, reference)
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise MissingExtra("SSIM: unscored, it needs scikit-image: pip install scikit-image") from error
    settings: dict[str, Any] = {
        "data_range": 2.0,
        "channel_axis": 0,
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
    }
    pairs = zip(pixels.double().cpu().numpy(), reference.double().cpu().numpy(), strict=True)
    values: list[Any] = [structural_similarity(a, b, **settings) for a, b in pairs]
    return float(sum(values) / len(values))


def lpips(
    pixels: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"], network: Callable[..., Tensor] | None = None
) -> float:
    """Return LPIPS (Zhang et al. 2018, AlexNet), mean over frames.

    Args:
        pixels: In [-1, 1].
        reference: Likewise, of the same shape.
        network: A ready `lpips.LPIPS`; None: the lpips package makes one.

    Returns:
        At least 0, lower is better.

    Raises:
        MissingExtra: Where the package or its weights are missing.
        BadInput: For shapes that differ.
    """
    _check_pair(pixels, reference)
    network = lpips_network() if network is None else network
    with torch.no_grad():
        parts = zip(pixels.split(_CHUNK), reference.split(_CHUNK), strict=True)
        return float(torch.cat([network(a, b).flatten() for a, b in parts]).mean())


def lpips_network() -> Callable[..., Tensor]:
    """Load the network of LPIPS.

    Raises:
        MissingExtra: Without its package or its weights.
    """
    try:
        import lpips as package  # pyright: ignore[reportMissingImports]

        return package.LPIPS(net="alex", verbose=False).eval()
    except ImportError as error:
        raise MissingExtra("LPIPS: unscored, it needs the lpips package: pip install lpips") from error
    except OSError as error:
        raise MissingExtra(f"LPIPS: unscored, its AlexNet is missing ({error}). Go online once.") from error


def sharpness(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n"]:
    """Return the variance of the Laplacian of each frame's luma, in squared levels of 255.

    The usual focus measure (Pech-Pacheco et al. 2000): the four-neighbour Laplacian inside the border, Rec. 601 luma.
    It depends on resolution and content: compare frames of one video only.

    Args:
        pixels: In [-1, 1].

    Raises:
        BadInput: For another shape.
    """
    _check_pixels(pixels)
    weights = torch.tensor(_LUMA, dtype=pixels.dtype, device=pixels.device)
    luma = torch.einsum("nchw,c->nhw", pixels, weights) * 127.5
    centre = luma[:, 1:-1, 1:-1]
    around = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return (around - 4 * centre).flatten(1).var(1, correction=0)


def mean_colour(pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3"]:
    """Return the mean colour of each frame in CIE L*a*b* (D65); a distance of about 2 can just be seen.

    Args:
        pixels: sRGB in [-1, 1].

    Raises:
        BadInput: For another shape.
    """
    _check_pixels(pixels)
    mean = (pixels.double() * 0.5 + 0.5).clamp(0, 1).mean((2, 3))
    linear = torch.where(mean <= 0.04045, mean / 12.92, ((mean + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(  # sRGB to XYZ (IEC 61966-2-1), each row divided by the white point
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]],
        dtype=torch.float64,
        device=pixels.device,
    )
    x, y, z = ((linear @ matrix.T) / matrix.sum(1)).unbind(1)
    x, y, z = (torch.where(t > 0.008856, t.clamp(min=1e-9) ** (1 / 3), 7.787 * t + 16 / 116) for t in (x, y, z))
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1).float()


def flicker(pixels: Float[Tensor, "n 3 h w"], static: Bool[Tensor, "h w"] | None = None) -> float:
    """Return how much pixels that should stay change from frame to frame, in levels of 255.

    The root-mean-square second difference over time divided by √6: what is constant or drifts steadily gives 0, noise
    that is drawn anew for each frame gives its standard deviation.

    Args:
        pixels: In [-1, 1], in the order of time.
        static: Pixels that count, see `static_region`; None: all.

    Raises:
        BadInput: For fewer than three frames or a region without pixels.
    """
    _check_pixels(pixels)
    if len(pixels) < 3:
        raise BadInput(f"Flicker: unscored, a video must have 3 frames or more, but has {len(pixels)}.")
    if static is not None and not bool(static.any()):
        raise BadInput("Flicker: unscored, `static` must hold at least one pixel, but holds none. The face fills it.")
    total = torch.zeros((), dtype=torch.float64, device=pixels.device)
    for i in range(1, len(pixels) - 1):
        bend = pixels[i - 1] - 2 * pixels[i] + pixels[i + 1]
        total += (bend if static is None else bend[:, static]).double().square().mean()
    return float((total / (len(pixels) - 2) / 6).sqrt() * 127.5)


def static_region(landmarks: Float[Tensor, "f p 2"], height: int, width: int) -> Bool[Tensor, "h w"]:
    """Return the pixels that neither head and hair nor shoulders ever cover: candidates for `flicker`.

    The box around all faces of the clip is widened by half a face at the sides and by a whole one above; everything
    below the chins counts as body.

    Args:
        landmarks: In pixels of the picture, NaN rows without a face.
        height: Of the picture, in pixels.
        width: Likewise.

    Raises:
        BadInput: When no frame has a face.
    """
    points = landmarks[torch.isfinite(landmarks).flatten(1).all(1)].flatten(0, 1)
    if not len(points):
        raise BadInput("Flicker: unscored, no frame has a face, so no region is known to be still.")
    (left, top), (right, bottom) = points.min(0).values.tolist(), points.max(0).values.tolist()
    wide, tall = right - left, bottom - top
    x = torch.arange(width)
    y = torch.arange(height)
    covered = (x > left - wide / 2) & (x < right + wide / 2)
    return ~(((y > top - tall)[:, None] & covered[None, :]) | (y > bottom)[:, None])


def _check_pixels(pixels: Tensor, name: str = "pixels") -> None:
    if pixels.ndim != 4 or pixels.shape[1] != 3 or not len(pixels):
        raise BadInput(f"`{name}` must have the shape [n, 3, h, w], but got {list(pixels.shape)}.")


def _check_pair(pixels: Tensor, reference: Tensor) -> None:
    _check_pixels(pixels)
    if pixels.shape != reference.shape:
        raise BadInput(
            f"`pixels` and `reference` must have one shape, but got {list(pixels.shape)} and {list(reference.shape)}. "
            f"Cut and resize them alike."
        )
