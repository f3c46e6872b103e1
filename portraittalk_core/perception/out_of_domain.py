"""Tell pictures that the tiny model can draw, rendered avatars, from photographs, which it would spoil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..errors import OutOfDomain
from ..types import Face
from .identity import Finder, frame

IN_DOMAIN_SCORE = 0.86
"""Least score of the tiny face detector, in [0, 1], for a face of the model's own kind. The detector has seen nothing
but avatars; `benchmarks/out_of_domain.py` lists what scores how much."""

IN_DOMAIN_PSNR_DB = 28.0
"""Least PSNR in dB between the framed portrait and its reconstruction by the tiny VAE. The detector alone takes faces
in evenly lit studio videos for avatars, but the VAE has not learned to draw them; same benchmark."""

Reconstruct = Callable[[Float[Tensor, "1 3 s s"]], Float[Tensor, "1 3 s s"]]
"""Encodes and decodes a picture in [-1, 1] by the VAE of the model."""


@dataclass(frozen=True)
class InDomainFinder:
    """A finder of only those faces that are of the kind that a model was trained on."""

    faces: Finder
    """Finds faces of any kind."""
    model: str
    """Name of the model, for messages."""
    size: int
    """Side in pixels of a framed portrait, as `reconstruct` takes it."""
    reconstruct: Reconstruct
    """Encodes and decodes a portrait by the model's VAE."""

    @property
    def hint(self) -> str:
        """What a user can do where no face is found."""
        return self.faces.hint

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces that the model can draw.

        Args:
            pixels: A picture, RGB in [-1, 1], of any size.

        Returns:
            The faces, largest first, boxes and landmarks in pixels; empty where there is no face at all.

        Raises:
            OutOfDomain: When there are faces, but none is of the model's kind.
        """
        found = self.faces.find(pixels)
        sure = [face for face in found if face.score >= IN_DOMAIN_SCORE]
        if found and not sure:
            raise self._refusal(
                f"its detector is only {found[0].score:.0%} sure of it ({IN_DOMAIN_SCORE:.0%} is asked)"
            )
        psnr = [reconstruction_db(pixels, face, self.size, self.reconstruct) for face in sure]
        faces = [face for face, reached in zip(sure, psnr) if reached >= IN_DOMAIN_PSNR_DB]
        if sure and not faces:
            raise self._refusal(f"its VAE reconstructs it at only {psnr[0]:.1f} dB ({IN_DOMAIN_PSNR_DB} dB are asked)")
        return faces

    def _refusal(self, why: str) -> OutOfDomain:
        return OutOfDomain(
            f"The face in the picture must be of the kind that the {self.model} model knows, a rendered avatar, but "
            f"{why}. For photographs use the SD1.5 model; for a portrait to try, run `portraittalk avatar -o face.png`."
        )


def reconstruction_db(pixels: Float[Tensor, "3 h w"], face: Face, size: int, reconstruct: Reconstruct) -> float:
    """Return how well a model's VAE reconstructs a portrait that is framed as in training.

    Args:
        pixels: The picture, RGB in [-1, 1].
        face: Where the face is in it.
        size: Side in pixels of the framed portrait.
        reconstruct: Encodes and decodes the portrait.

    Returns:
        The PSNR in dB, at most 100.
    """
    portrait, _ = frame(pixels, face.landmarks, size)
    error = (portrait - reconstruct(portrait[None])[0]) / 2
    return float(-10 * error.square().mean().clamp(min=1e-10).log10())
