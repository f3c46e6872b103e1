"""What Encode Audio and Speech to Motion do, beyond one call of the adapters."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import ui
from torch import Tensor

from ..portraittalk_core.types import SPEECH_RATE, Sound, SpeechFeatures
from .sockets import Conditioning, Encoded, PortraitAdapters, Somebody

PREVIEW_SIZE = 128
PREVIEWS = 50
"""Frames shown on the node at most; a longer motion is thinned out."""


def encode(adapters: PortraitAdapters, sound: Sound, fps: float, encoded: Any, start_s: float) -> SpeechFeatures:
    """Return the features of a sound, of the model's own encoder or of the host's. Raises `BadInput`."""
    if encoded is None:
        return adapters.listen(sound, fps)
    rows = encoded["encoded_audio"][0].float().cpu()
    rate = len(rows) / (encoded["audio_samples"] / SPEECH_RATE)
    return adapters.listen(sound, fps, Encoded(rows[round(start_s * rate) :], rate))


@torch.no_grad()
def move(
    speech: SpeechFeatures, somebody: Somebody, dials: dict[str, Any], seed: int, positive: Conditioning | None
) -> tuple[Any, Tensor]:
    """Return the motion, and IMAGE of the outlines that it gives the person."""
    adapters, identity = somebody.adapters, somebody.identity
    # The host's seeds have 64 bits, those of torch's generators 63.
    motion = adapters.move(speech, identity, dials, seed % 2**63, positive)
    return motion, adapters.preview(motion, identity, PREVIEW_SIZE)


def player(motion: Any, speech: SpeechFeatures, somebody: Somebody, preview: Tensor, node: Any) -> dict[str, Any]:
    """Return what the player on the node shows: some preview frames, the mouth's opening and loudness of each frame."""
    count = len(preview)
    shown = torch.linspace(0, count - 1, min(count, PREVIEWS)).round().long()
    curves = {
        "fps": motion.fps,
        "frames": count,
        "jaw": _rounded(somebody.adapters.opening(motion)),
        "loudness": _rounded(speech.loudness),
    }
    return {"portraittalk_motion": [curves], **ui.PreviewImage(preview[shown], cls=node).as_dict()}


def _rounded(values: Tensor) -> list[float]:
    return [round(v, 3) for v in values.tolist()]
