"""What a listener is taught by: the mouth, whether lips are shut, and which sound it is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ...motion.audio_to_motion import AudioToMotion
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import MOUTH, SPEECH_RATE
from ...voices.mouth_shapes import HELD_SHUT
from ...voices.sounds import SOUNDS
from .corpus import Batch
from .scores import FPS, correlation

_SHUT_AT = HELD_SHUT["mouthRollUpper"]
_RARE = 4.0
"""How much more a frame of shut lips counts than one of open ones: there are a dozen of these for each."""

_OF_CLOSURES, _OF_SOUNDS = 1.0, 0.5


class Pupil(nn.Module):
    """A speech encoder and audio-to-motion that learn, and what names sounds while they do.

    Args:
        encoder: Listens.
        a2m: Moves the mouth.
    """

    def __init__(self, encoder: SpeechEncoder, a2m: AudioToMotion) -> None:
        super().__init__()
        self.encoder, self.a2m = encoder, a2m
        self.naming = nn.Linear(encoder.dim, len(SOUNDS))
        nn.init.zeros_(self.naming.weight)
        nn.init.zeros_(self.naming.bias)

    def loss(self, batch: Batch, spread: Float[Tensor, "k"]) -> Tensor:
        """Return what is wrong with what is heard: the mouth, shut lips, the sounds.

        Args:
            batch: What is said.
            spread: As in `speech_loss`.
        """
        rows = self.encoder(batch.sound)
        hidden = resample_rows(rows, SPEECH_RATE / self.encoder.stride, FPS, batch.mouth.shape[1])
        seconds = batch.mouth.shape[1] / FPS
        named = functional.log_softmax(self.naming(rows), -1)
        classes = resample_rows(batch.sounds, batch.sounds.shape[1] / seconds, rows.shape[1] / seconds, rows.shape[1])
        sounds = -(classes * named).sum(-1).mean()
        return mouth_loss(self.a2m, hidden, batch.mouth, spread) + _OF_SOUNDS * sounds


def mouth_loss(
    a2m: AudioToMotion, hidden: Float[Tensor, "b f d"], wanted: Float[Tensor, "b f k"], spread: Float[Tensor, "k"]
) -> Tensor:
    """Return what is wrong with a mouth and with when its lips are shut.

    Args:
        a2m: Moves the mouth.
        hidden: What is heard.
        wanted: The mouth, as it was.
        spread: As in `speech_loss`.
    """
    found, closed = a2m.hear(hidden)
    loss = speech_loss(found, wanted, spread)
    if closed is None:
        return loss
    shut = (wanted[..., MOUTH.index("mouthRollUpper")] / _SHUT_AT).clamp(0, 1)
    return loss + _OF_CLOSURES * functional.binary_cross_entropy_with_logits(
        closed, shut, pos_weight=closed.new_tensor(_RARE)
    )


def speech_loss(found: Float[Tensor, "b f k"], wanted: Float[Tensor, "b f k"], spread: Float[Tensor, "k"]) -> Tensor:
    """Return the squared error of places and of velocities, and what correlation lacks; the jaw counts four times.

    Args:
        found: The mouth, as it was heard.
        wanted: As it was.
        spread: In whose units each column is measured, so that lips count as the jaw does.
    """
    weight = torch.tensor([4.0 if name == "jawOpen" else 1.0 for name in MOUTH])
    weight = weight / weight.mean()
    place = (((found - wanted) / spread).square() * weight).mean()
    speed = (((found.diff(dim=1) - wanted.diff(dim=1)) / spread).square() * weight).mean()
    moving = (wanted.std(1) > 0.2 * spread) * weight
    shape = ((1 - correlation(found.mT, wanted.mT)) * moving).mean()
    return place + 2 * speed + 0.3 * shape
