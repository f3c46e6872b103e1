"""What Encode Audio and Speech to Motion do, beyond one call of the stack."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import ui
from torch import Tensor

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.motion.audio_to_motion import MotionDials
from ..portraittalk_core.perception.speech import resample_rows
from ..portraittalk_core.types import SPEECH_RATE, Sound, SpeechFeatures
from . import convert
from .hosted_stack import BoundIdentity, HostedStack
from .sockets import Conditioning

PREVIEW_SIZE = 128
PREVIEWS = 50
"""Frames shown on the node at most; a longer motion is thinned out."""


def encode(hosted: HostedStack, sound: Sound, fps: float, encoded: Any, start_s: float) -> SpeechFeatures:
    """Return the features of a sound, of the model's own encoder or of the host's.

    Raises `BadInput` for features that the model cannot use.
    """
    own = hosted.stack.listen(sound, fps)
    if encoded is None:
        return own
    wanted, rows = own.hidden.shape[1], encoded["encoded_audio"][0].float().cpu()
    if not hosted.stack.limits.other_encoders or rows.shape[-1] != wanted:
        raise BadInput(
            f"`encoded` must have {wanted} features a row, of the encoder that {hosted.name} was trained with, but got "
            f"{rows.shape[-1]}. Disconnect it: the model brings its own encoder."
        )
    rate = len(rows) / (encoded["audio_samples"] / SPEECH_RATE)
    rows = rows[round(start_s * rate) :]
    return SpeechFeatures(resample_rows(rows, rate, fps, len(own.hidden)), own.loudness, fps)


@torch.no_grad()
def move(
    speech: SpeechFeatures, bound: BoundIdentity, dials: dict[str, Any], seed: int, positive: Conditioning | None
) -> tuple[Any, Tensor]:
    """Return the motion, and IMAGE of the outlines that it gives the person."""
    stack, asked = bound.hosted.stack, None
    if positive is not None:
        asked = stack.expression(convert.embeddings(positive).float().cpu())
    if asked is not None and len(asked) not in (1, len(speech.hidden)):
        asked = asked[:1]
    # The host's seeds have 64 bits, those of torch's generators 63.
    motion = stack.move(speech, dials=MotionDials(**dials), seed=seed % 2**63, expression=asked)
    drawn = stack.draw(stack.structure(motion, bound.identity), PREVIEW_SIZE)
    return motion, drawn.movedim(1, -1).contiguous()


def player(motion: Any, speech: SpeechFeatures, preview: Tensor, node: Any) -> dict[str, Any]:
    """Return what the player on the node shows: some preview frames, the mouth's opening and loudness of each frame."""
    count = len(preview)
    shown = torch.linspace(0, count - 1, min(count, PREVIEWS)).round().long()
    curves = {
        "fps": motion.fps,
        "frames": count,
        "jaw": _rounded(motion.mouth_opening),
        "loudness": _rounded(speech.loudness),
    }
    return {"portraittalk_motion": [curves], **ui.PreviewImage(preview[shown], cls=node).as_dict()}


def _rounded(values: Tensor) -> list[float]:
    return [round(v, 3) for v in values.tolist()]
