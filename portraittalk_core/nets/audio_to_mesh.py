"""From a recording to a moving face mesh: the network of AniPortrait's audio2mesh."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput
from ..types import SPEECH_RATE

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

VERTICES = 468
"""Vertices of MediaPipe's canonical face mesh."""


class AudioToMesh(nn.Module):
    """Turns speech into offsets of the face mesh, one set a video frame.

    Structure and state-dict keys are those of the public file (github.com/Zejun-Yang/AniPortrait): a wav2vec 2.0
    encoder whose convolutional features are resampled to the frame rate before they are projected, then two linear
    layers without activation. The offsets are centimetres in the space of the canonical face; they are added to the
    mesh of the reference face.

    Args:
        audio_encoder: With fresh weights.
        width: Between the two layers.
        fps: Frames a second; 30 for the public file.
    """

    def __init__(self, audio_encoder: Wav2Vec2Model, *, width: int = 512, fps: float = 30.0) -> None:
        super().__init__()
        self.fps = fps
        self.audio_encoder: Any = audio_encoder
        self.in_fn = nn.Linear(audio_encoder.config.hidden_size, width)
        self.out_fn = nn.Linear(width, 3 * VERTICES)

    def forward(self, speech: Float[Tensor, "b n"]) -> Float[Tensor, "b frames 468 3"]:
        """Return the offsets for whole recordings.

        Args:
            speech: Mono at 16 kHz, in any scale.

        Returns:
            x, y and z of each vertex, in centimetres.

        Raises:
            BadInput: For recordings shorter than a receptive field, 400 samples.
        """
        hidden = encode_at_rate(self.audio_encoder, speech, frame_count(speech.shape[-1], self.fps))
        return self.out_fn(self.in_fn(hidden)).unflatten(-1, (VERTICES, 3))


def frame_count(samples: int, fps: float) -> int:
    """Count the frames that a recording gives: as many as begin before it ends.

    Args:
        samples: Length of the recording at 16 kHz.
        fps: Frames a second.
    """
    return math.ceil(samples / SPEECH_RATE * fps)


def encode_at_rate(encoder: Any, speech: Float[Tensor, "b n"], frames: int) -> Float[Tensor, "b frames c"]:
    """Run a wav2vec 2.0 encoder so that it gives one row a video frame.

    What its convolutions give is resampled before it is projected, first row to first frame and last to last.

    Args:
        encoder: A `Wav2Vec2Model` of transformers.
        speech: Mono at 16 kHz, in any scale; it is normalised here.
        frames: How many rows to return.

    Raises:
        BadInput: Below 400 samples.
    """
    if speech.ndim != 2 or speech.shape[1] < 400:
        raise BadInput(f"`speech` must be [recordings, samples] of at least 400 samples, but got {list(speech.shape)}.")
    centred = speech - speech.mean(-1, keepdim=True)
    level = centred.square().mean(-1, keepdim=True).sqrt()
    features = encoder.feature_extractor(centred / level.clamp(min=1e-7))
    features = F.interpolate(features, size=frames, mode="linear", align_corners=True).transpose(1, 2)
    hidden, _ = encoder.feature_projection(features)
    return encoder.encoder(hidden).last_hidden_state
