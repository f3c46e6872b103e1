"""Tell pictures that the tiny model can draw, rendered avatars, from photographs, which it would spoil."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..errors import OutOfDomain
from ..types import Face
from .identity import Finder, frame

FAMILIAR_SCORE = 0.86
"""Least score of the tiny face detector for a face of the model's own kind. It has seen nothing but avatars; see
`benchmarks/familiar.py` for what scores how much."""

FAMILIAR_PSNR_DB = 28.0
"""Least agreement of the framed portrait with what the tiny VAE makes of it, in dB of PSNR. The detector alone takes
faces in evenly lit studio videos for avatars, but the VAE has not learned to draw them; same benchmark."""

Redraw = Callable[[Float[Tensor, "1 3 s s"]], Float[Tensor, "1 3 s s"]]
"""Encodes and decodes a picture in [-1, 1] by the VAE of the model."""


@dataclass(frozen=True)
class FamiliarFinder:
    """Finds only faces of the kind that a model was trained on.

    faces: finds any; model: its name, for messages; size: side in pixels of a framed portrait, which `redraw` takes.
    """

    faces: Finder
    model: str
    size: int
    redraw: Redraw

    @property
    def hint(self) -> str:
        """Say what to do where there is no face."""
        return self.faces.hint

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces as `FaceAnalyser.find` does; raises `OutOfDomain` where there are some, all unfamiliar."""
        found = self.faces.find(pixels)
        sure = [face for face in found if face.score >= FAMILIAR_SCORE]
        if found and not sure:
            raise self._outside(f"its detector is only {found[0].score:.0%} sure of it ({FAMILIAR_SCORE:.0%} is asked)")
        redrawn = [redrawn_db(pixels, face, self.size, self.redraw) for face in sure]
        familiar = [face for face, psnr in zip(sure, redrawn) if psnr >= FAMILIAR_PSNR_DB]
        if sure and not familiar:
            raise self._outside(f"its VAE redraws it at only {redrawn[0]:.1f} dB ({FAMILIAR_PSNR_DB} dB are asked)")
        return familiar

    def _outside(self, why: str) -> OutOfDomain:
        return OutOfDomain(
            f"The face in the picture must be of the kind that the {self.model} model knows, a rendered avatar, but "
            f"{why}. For photographs use the SD1.5 model; for a portrait to try, run `portraittalk avatar -o face.png`."
        )


def redrawn_db(pixels: Float[Tensor, "3 h w"], face: Face, size: int, redraw: Redraw) -> float:
    """Return the PSNR in dB between the portrait of a face, framed as in training, and the same redrawn."""
    portrait, _ = frame(pixels, face.landmarks, size)
    error = (portrait - redraw(portrait[None])[0]) / 2
    return float(-10 * error.square().mean().clamp(min=1e-10).log10())
