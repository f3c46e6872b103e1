"""What Encode Audio and Speech to Motion do, beyond one call of the stack."""

from __future__ import annotations

from dataclasses import replace

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io, ui
from torch import Tensor

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.motion.audio_to_motion import MotionDials
from ..portraittalk_core.motion.mesh_motion import MeshMaps
from ..portraittalk_core.perception.speech import resample_rows
from ..portraittalk_core.stacks.base import Stack
from ..portraittalk_core.types import SPEECH_RATE, Sound, SpeechFeatures, StructureMaps
from . import convert
from .host_values import Conditioning, EncodedAudio
from .hosted_stack import BoundIdentity, HostedStack, Motion

PREVIEW_SIZE = 128
AT_ONCE = 8
"""Outlines that are drawn together."""

PREVIEWS = 50
"""Frames shown on the node at most; a longer motion is thinned out."""


def encode(
    hosted: HostedStack, sound: Sound, fps: float, encoded: EncodedAudio | None, start_s: float
) -> SpeechFeatures:
    """Return the features of a sound, of the model's own encoder or of the host's.

    Args:
        hosted: The model.
        sound: The recording from `start_s` on.
        fps: Frames a second of the video.
        encoded: Features of the whole recording by the host's encoder, instead of the model's.
        start_s: Where the sound begins in it.

    Returns:
        One row a frame.

    Raises:
        BadInput: For features that the model cannot use.
    """
    own = hosted.stack.listen(sound, fps)
    if encoded is None:
        return own
    known = own.hidden if own.attended is None else own.attended
    wanted, rows = known.shape[1], encoded["encoded_audio"][0].float().cpu()
    if not hosted.stack.limits.other_encoders or rows.shape[-1] != wanted:
        raise BadInput(
            f"`encoded` must have {wanted} features a row, of the encoder that {hosted.name} was trained with, but got "
            f"{rows.shape[-1]}. Disconnect it: the model brings its own encoder."
        )
    rate = len(rows) / (encoded["audio_samples"] / SPEECH_RATE)
    rows = rows[round(start_s * rate) :]
    read = resample_rows(rows, rate, fps, len(own.hidden))
    return replace(own, hidden=read) if own.attended is None else replace(own, attended=read)


@torch.no_grad()
def move(
    speech: SpeechFeatures, bound: BoundIdentity, dials: MotionDials, seed: int, positive: Conditioning | None
) -> tuple[Motion, Tensor]:
    """Move a face with speech.

    Args:
        speech: Of `encode`.
        bound: Whose face.
        dials: Strengths of the movements.
        seed: Of what the voice leaves open, of the host's 64 bits.
        positive: CONDITIONING whose prompts ask something of the face.

    Returns:
        The motion, and IMAGE of the outlines that it gives the person.
    """
    stack, asked = bound.hosted.stack, None
    if positive is not None:
        asked = stack.expression(convert.embeddings(positive).float().cpu())
    if asked is not None and len(asked) not in (1, len(speech.hidden)):
        asked = asked[:1]
    # The host's seeds have 64 bits, those of torch's generators 63.
    motion = stack.move(speech, dials=dials, seed=seed % 2**63, expression=asked)
    return motion, _drawn(stack, stack.structure(motion, bound.identity))


def _drawn(stack: Stack, maps: StructureMaps | MeshMaps) -> Tensor:
    """Return IMAGE of the outlines, a few at a time: between them the host may interrupt."""
    count = len(maps.landmarks)
    bar = comfy.utils.ProgressBar(count)
    made: list[Tensor] = []
    for begin in range(0, count, AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        part = replace(maps, landmarks=maps.landmarks[begin : begin + AT_ONCE])
        made.append(stack.draw(part, PREVIEW_SIZE))
        bar.update_absolute(min(begin + AT_ONCE, count))
    return torch.cat(made).movedim(1, -1).contiguous()


def player(motion: Motion, speech: SpeechFeatures, preview: Tensor, node: type[io.ComfyNode]) -> dict[str, object]:
    """Return what the player on the node shows: some preview frames, the mouth's opening and loudness of each frame."""
    count = len(preview)
    shown = torch.linspace(0, count - 1, min(count, PREVIEWS)).round().long()
    curves = {
        "fps": motion.fps,
        "frames": count,
        "pictures": min(count, PREVIEWS),
        "jaw": _rounded(motion.mouth_opening),
        "loudness": _rounded(speech.loudness),
    }
    return {"portraittalk_motion": [curves], **ui.PreviewImage(preview[shown], cls=node).as_dict()}


def _rounded(values: Tensor) -> list[float]:
    return [round(v, 3) for v in values.tolist()]
