"""Read any public file as the part of a stack that it is, to check that every tensor has its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..hosts.sd15_models import empty_unet
from .base import Part, load_base, load_base_part, plan_part
from .detect import Detected, Kind, detect
from .few_steps import read_low_rank
from .identity import load_identity
from .layouts import SD15_SHAPE, shapes_of
from .pictures import load_clip_vision, load_pose_guider
from .reference import load_reference_unet
from .small_vae import load_small_vae
from .speech import load_audio_to_mesh, load_audio_to_pose, load_wav2vec2
from .structure import load_controlnet
from .syncnet import load_syncnet
from .temporal import load_temporal

_DTYPE = torch.float16
"""Halves the memory of the largest files; their values are not used."""


@dataclass(frozen=True)
class Reading:
    """A file that was read whole: every tensor that is not ignored has its place."""

    detected: Detected
    """What the file is."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""

    def __str__(self) -> str:
        reasons = Counter(self.ignored.values())
        left = "; ".join(f"{count} left out: {reason}" for reason, count in reasons.items())
        return f"{self.detected}: every tensor has its place" + (f"; {left}" if left else "")


def read_whole(path: Path | str) -> Reading:
    """Load a public file into the network that it is for, and let it go.

    Args:
        path: The file, or a diffusers folder.

    Raises:
        WeightsMismatch: When the file is unknown or does not fit.
        UnsafeWeights: When it is a pickle that holds code.
    """
    detected = detect(path)
    return Reading(detected, _READERS[detected.kind](detected.path))


def _base(path: Path) -> dict[str, str]:
    return load_base(path, dtype=_DTYPE).ignored


def _part(part: Part) -> Callable[[Path], dict[str, str]]:
    def read(path: Path) -> dict[str, str]:
        load_base_part(path, part, _DTYPE)
        return plan_part(path, part).ignored

    return read


_READERS: dict[Kind, Callable[[Path], dict[str, str]]] = {
    Kind.CHECKPOINT: _base,
    Kind.FOLDER: _base,
    Kind.UNET: _part("unet"),
    Kind.VAE: _part("vae"),
    Kind.TEXT: _part("text_encoder"),
    Kind.FACEID: lambda path: load_identity(path, dtype=_DTYPE).ignored,
    Kind.FACEID_PORTRAIT: lambda path: load_identity(path, dtype=_DTYPE).ignored,
    # Both kinds of Plus have the same tensors: for reading either will do.
    Kind.FACEID_PLUS: lambda path: load_identity(path, plus="plus", dtype=_DTYPE).ignored,
    Kind.MOTION_MODULE: lambda path: load_temporal(path, dtype=_DTYPE).ignored,
    Kind.CONTROLNET: lambda path: load_controlnet(path, _DTYPE).ignored,
    Kind.REFERENCE_UNET: lambda path: load_reference_unet(path, _DTYPE).ignored,
    Kind.POSE_GUIDER: lambda path: load_pose_guider(path, dtype=_DTYPE).ignored,
    Kind.AUDIO2MESH: lambda path: load_audio_to_mesh(path, _DTYPE).ignored,
    Kind.AUDIO2POSE: lambda path: load_audio_to_pose(path, _DTYPE).ignored,
    Kind.CLIP_VISION: lambda path: load_clip_vision(path, _DTYPE).ignored,
    Kind.WAV2VEC2: lambda path: load_wav2vec2(path, _DTYPE).ignored,
    Kind.LOW_RANK: lambda path: read_low_rank(path, shapes_of(empty_unet(SD15_SHAPE).state_dict())).ignored,
    Kind.SMALL_VAE: lambda path: load_small_vae(path, _DTYPE).ignored,
    Kind.SYNCNET: lambda path: load_syncnet(path, _DTYPE).ignored,
}
