"""What training minimises: the denoising loss, weighted on the face, and the mask reconstruction loss."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ...topology import EYES, INNER_LIPS, OUTER_LIPS

_SPOTS = ((EYES[0], 0.13), (EYES[1], 0.13), ((*OUTER_LIPS, *INNER_LIPS), 0.18))
"""Eyes and mouth: their points, and how far the weight reaches in [-1, 1] units."""


def face_weight(
    landmarks: Float[Tensor, "n 478 2"],
    size: int,
    strength: float,
    mouth: float = 0.0,
    unseen: Float[Tensor, "n size size"] | None = None,
) -> Float[Tensor, "n 1 size size"]:
    """Return a weight map of mean one that is larger on eyes and mouth.

    They cover a few per cent of the picture, but they decide whether the person is seen to speak.

    Args:
        landmarks: In [-1, 1].
        size: Side of the map.
        strength: How much more eyes and mouth count than the rest.
        mouth: How much more the mouth counts beyond that.
        unseen: Share of each cell that the reference does not show, which counts as much again as eyes and mouth:
            in the end the denoiser's pixels are seen there, and elsewhere the photograph's.
    """
    axis = (torch.arange(size, device=landmarks.device) * 2 + 1) / size - 1
    weight = torch.ones(len(landmarks), size, size, device=landmarks.device)
    for (points, reach), more in zip(_SPOTS, (0.0, 0.0, mouth), strict=True):
        centre = landmarks[:, list(points)].mean(1)
        x = axis[None, None, :] - centre[:, 0, None, None]
        y = axis[None, :, None] - centre[:, 1, None, None]
        weight = weight + (strength + more) * torch.exp(-(x * x + y * y) / reach**2)
    if unseen is not None:
        weight = weight + strength * unseen
    return (weight / weight.mean((1, 2), keepdim=True))[:, None]


def random_regions(
    count: int, size: int, chance: float, generator: torch.Generator
) -> Float[Tensor, "count 1 size size"]:
    """Return masks that are 1 in a random rectangle of 1/16 to 1/2 of the picture.

    Args:
        count: Of masks.
        size: Side of a mask.
        chance: That there is a rectangle; else the mask is zero.
        generator: On the device where the masks are wanted.
    """
    device = generator.device
    draw = torch.rand(count, 5, generator=generator, device=device)
    side = 0.25 + 0.45 * draw[:, 0:2]
    corner = draw[:, 2:4] * (1 - side)
    axis = (torch.arange(size, device=device) + 0.5) / size
    inside_x = (axis[None] >= corner[:, :1]) & (axis[None] <= (corner + side)[:, :1])
    inside_y = (axis[None] >= corner[:, 1:]) & (axis[None] <= (corner + side)[:, 1:])
    mask = inside_y[:, :, None] & inside_x[:, None, :] & (draw[:, 4] < chance)[:, None, None]
    return mask[:, None].float()


def denoising_loss(
    predicted: Float[Tensor, "n c h w"],
    target: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "n 1 h w"],
    mask: Float[Tensor, "n 1 h w"],
) -> Tensor:
    """Return the weighted squared error of a prediction outside the corrupted regions.

    Args:
        predicted: By the denoiser.
        target: What it should predict: velocity, noise or clean latents, see `NoiseSchedule.target`.
        weight: Of each place, such as `face_weight`.
        mask: 1 in the corrupted regions.
    """
    return ((predicted - target).square() * weight * (1 - mask)).mean()


def mask_reconstruction_loss(
    rebuilt: Float[Tensor, "n c h w"],
    clean: Float[Tensor, "n c h w"],
    weight: Float[Tensor, "n 1 h w"],
    mask: Float[Tensor, "n 1 h w"],
) -> Tensor:
    """Return the squared error of the clean latents inside the corrupted regions (PortraitTalk's L_mask).

    Our definition: the paper's equation is not public. Inside a region the input holds no trace of the target, so
    its velocity, which contains the noise, cannot be known; the clean latent can, from the rest of the face.

    Args:
        rebuilt: The clean latents that the denoiser's prediction stands for.
        clean: The true ones.
        weight: Of each place, such as `face_weight`.
        mask: 1 in the corrupted regions.
    """
    error = (rebuilt - clean).square() * weight * mask
    return error.sum() / (mask.sum() * clean.shape[1]).clamp(min=1.0)


def min_snr_weight(alpha: Float[Tensor, "n"], gamma: float, prediction_type: str) -> Float[Tensor, "n"]:
    """Return min-SNR weights of samples (Hang et al., arXiv 2303.09556).

    The loss of a velocity counts `min(SNR + 1, gamma) / (SNR + 1)`, as public trainings with zero terminal signal have
    it (github.com/MooreThreads/Moore-AnimateAnyone): the paper's own form gives pure noise, where its SNR is zero, no
    weight at all.

    Args:
        alpha: Share of signal in the variance, abar, of each sample.
        gamma: The largest SNR that counts in full.
        prediction_type: What is predicted, see `NoiseSchedule`.
    """
    snr = alpha / (1 - alpha)
    if prediction_type == "sample":
        return snr.clamp(max=gamma)
    base = snr + 1 if prediction_type == "v_prediction" else snr
    return base.clamp(max=gamma) / base
