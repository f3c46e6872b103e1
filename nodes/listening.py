"""What Encode Audio and Speech to Motion do, beyond one call of the core."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import ui
from torch import Tensor

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.motion.audio_to_motion import MotionDials
from ..portraittalk_core.motion.geometry import draw_lines
from ..portraittalk_core.perception.speech import resample_rows
from ..portraittalk_core.prompts import expression_offsets
from ..portraittalk_core.types import COEFFICIENTS, SPEECH_RATE, FaceMotion, Sound, SpeechFeatures
from . import convert
from .adapters import Adapters
from .sockets import Somebody

PREVIEW_SIZE = 128
PREVIEWS = 50
"""Frames shown on the node at most; a longer motion is thinned out."""


def encode(adapters: Adapters, sound: Sound, fps: float, encoded: Any, start_s: float) -> SpeechFeatures:
    """Return the features of a sound, of the model's own encoder or of the host's. Raises `BadInput`."""
    own = adapters.preparation.listen(sound, fps)
    if encoded is None:
        return own
    rows = encoded["encoded_audio"][0].float().cpu()
    wanted = own.hidden.shape[1]
    if rows.shape[-1] != wanted:
        raise BadInput(
            f"`encoded` must have {wanted} features a row for this model, but got {rows.shape[-1]}. "
            "Disconnect it: the model brings its own encoder."
        )
    rate = len(rows) / (encoded["audio_samples"] / SPEECH_RATE)
    first = round(start_s * rate)
    return SpeechFeatures(resample_rows(rows[first:], rate, fps, len(own.hidden)), own.loudness, fps)


@torch.no_grad()
def move(
    speech: SpeechFeatures, somebody: Somebody, dials: dict[str, Any], seed: int, positive: Any
) -> tuple[FaceMotion, Tensor]:
    """Return the motion, and IMAGE of the outlines that it gives the person."""
    preparation = somebody.adapters.preparation
    asked = None
    if positive is not None:
        tokens = convert.embeddings(positive).float().cpu()
        if tokens.shape[-1] == preparation.text.dim:
            asked = expression_offsets(preparation.text, tokens)
            asked = asked if len(asked) in (1, len(speech.hidden)) else asked[:1]
    # The host's seeds have 64 bits, those of torch's generators 63.
    motion = preparation.move(speech, dials=MotionDials(**dials), seed=seed % 2**63, expression=asked)
    lines = draw_lines(preparation.structure(motion, somebody.identity).landmarks, PREVIEW_SIZE)
    return motion, lines[:, 0, :, :, None].expand(-1, -1, -1, 3).contiguous()


def player(motion: FaceMotion, speech: SpeechFeatures, preview: Tensor, node: Any) -> dict[str, Any]:
    """Return what the player on the node shows: some preview frames, jaw opening and loudness of every frame."""
    count = len(preview)
    shown = torch.linspace(0, count - 1, min(count, PREVIEWS)).round().long()
    curves = {
        "fps": motion.fps,
        "frames": count,
        "jaw": _rounded(motion.coefficients[:, COEFFICIENTS.index("jaw")]),
        "loudness": _rounded(speech.loudness),
    }
    return {"portraittalk_motion": [curves], **ui.PreviewImage(preview[shown], cls=node).as_dict()}


def _rounded(values: Tensor) -> list[float]:
    return [round(v, 3) for v in values.tolist()]
