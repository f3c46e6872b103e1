"""Make ahead what training would make of a sample in every step: latents of its frames, features of its sound.

The networks are known by what they make of a picture and a sound that never change, which the index keeps: training
compares its own with that, however their files are called, and reads nothing that others have made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..checkpoints.base import load_base_part
from ..checkpoints.hearing import Hearing, open_hearing, rounded
from ..checkpoints.native import load_vae, model_folder
from ..errors import WeightsMismatch
from ..hosts.kl_vae import KlVae
from ..types import SPEECH_RATE
from .decoding import Picture, pixels_of
from .samples import wave_bytes, wave_samples
from .settings import FPS
from .shards import array_bytes

LATENTS, SPEECH = "latents", "speech"
"""The files' endings, without `.npy`."""

AT_ONCE = 8
"""Pictures."""

_SIDE = 64
"""Of the picture by which a VAE is known."""


@dataclass(frozen=True)
class Cache:
    """Two networks and where they run."""

    vae: Any
    """Makes latents."""

    hearing: Hearing
    """Listens."""

    name: str
    """What the VAE is called."""

    @torch.no_grad()
    def files(self, squares: Sequence[Picture], sound: Float[Tensor, "n"] | None) -> dict[str, bytes]:
        """Return the files of a sample by ending.

        Args:
            squares: All its frames.
            sound: In time with them; None for none.
        """
        device = next(self.vae.parameters()).device
        latents = [self.vae.encode(pixels.to(device)).latents.cpu() for pixels in _some_at_a_time(squares)]
        silence = torch.zeros(len(squares) * round(SPEECH_RATE / FPS))
        heard = silence if sound is None else wave_samples(wave_bytes(sound))  # as training would read it
        found = {LATENTS: torch.cat(latents), SPEECH: self.hearing.encoder.encode(heard, FPS, len(squares)).hidden}
        return {f"{name}.npy": array_bytes(value.half().numpy()) for name, value in found.items()}

    def record(self, size: int) -> dict[str, Any]:
        """Return what the index says of it.

        Args:
            size: Side of the pictures, pixels.
        """
        return {
            LATENTS: {"made by": self.name, "size": size, "sign": sign_of_vae(self.vae)},
            SPEECH: self.hearing.record,
        }


def open_cache(latents: str, speech: str | None) -> Cache:
    """Open the networks that a preparation names.

    Args:
        latents: `tiny`, a VAE of this project's (such as `ground/vae.safetensors` of a training), or SD1.5's: a
            checkpoint, a folder of diffusers, or a VAE alone.
        speech: As `checkpoints.hearing.open_hearing` takes it.

    Raises:
        BadInput: As `open_hearing` does.
        WeightsMismatch: For files that hold something else.
    """
    at = torch.accelerator.current_accelerator() or torch.device("cpu")
    vae: Any = load_vae(model_folder("tiny") / "vae.safetensors") if latents == "tiny" else _vae(Path(latents))
    vae.to(at)
    hearing = open_hearing(speech)
    hearing.encoder.to(at)
    return Cache(vae, hearing, Path(latents).name)


def _vae(path: Path) -> Any:
    if path.is_file():
        try:
            return load_vae(path)
        except WeightsMismatch as error:
            if "has no configuration" not in str(error):
                raise
    return KlVae(load_base_part(path, "vae"))


@torch.no_grad()
def sign_of_vae(vae: Any) -> list[float]:
    """Return what a VAE makes of a picture that never changes.

    Args:
        vae: On the CPU or elsewhere; its weights say where.
    """
    at = next(vae.parameters())
    line = torch.linspace(-1, 1, _SIDE)
    picture = torch.stack([line.expand(_SIDE, -1), line[:, None].expand(-1, _SIDE), (line[:, None] * line * 9).sin()])
    return rounded(vae.encode(picture[None].to(at.device, at.dtype)).latents)


def _some_at_a_time(squares: Sequence[Picture]) -> list[Float[Tensor, "k 3 s s"]]:
    return [
        torch.stack([pixels_of(square) for square in squares[first : first + AT_ONCE]])
        for first in range(0, len(squares), AT_ONCE)
    ]
