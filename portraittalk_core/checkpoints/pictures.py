"""Read the networks that look at pictures: AniPortrait's pose guider and the two CLIP image encoders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..errors import WeightsMismatch
from ..nets.pose_guider import PoseGuider
from .detect import Kind, expect
from .files import open_weights
from .layouts import Rule, account, shapes_of

if TYPE_CHECKING:
    from transformers import CLIPVisionModelWithProjection

_CONSTANT = Rule("a constant", end="embeddings.position_ids")

_VISION: dict[str, dict[str, Any]] = {
    "ViT-L/14": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "projection_dim": 768,
        "hidden_act": "quick_gelu",
    },
    "ViT-H/14": {
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "projection_dim": 1024,
        "hidden_act": "gelu",
    },
}
"""Keywords of `CLIPVisionConfig`; L is OpenAI's (AniPortrait), H is LAION's (FaceID-Plus)."""


@dataclass(frozen=True)
class LoadedPoseGuider:
    """A pose guider, frozen; ignored: tensors left out, with reasons."""

    net: PoseGuider
    ignored: dict[str, str]


@dataclass(frozen=True)
class LoadedClipVision:
    """A CLIP image encoder, frozen. AniPortrait takes its `image_embeds` [n, 768] as one token; FaceID-Plus takes
    `hidden_states[-2]` [n, 257, 1280]. ignored: tensors left out, with reasons.
    """

    model: CLIPVisionModelWithProjection
    ignored: dict[str, str]


def load_pose_guider(
    path: Path | str, *, as_released: bool = False, dtype: torch.dtype = torch.float32
) -> LoadedPoseGuider:
    """Read AniPortrait's pose_guider; `as_released` is `PoseGuider`'s. Raises `WeightsMismatch` unless all fits."""
    expect(path, Kind.POSE_GUIDER)
    file = open_weights(path)
    with torch.device("meta"):
        net = PoseGuider(as_released=as_released)
    ignored = account(path, "AniPortrait's pose_guider", shapes_of(net.state_dict()), file.shapes)
    net.load_state_dict(file.tensors(dtype), assign=True)
    return LoadedPoseGuider(net.eval().requires_grad_(False), ignored)


def empty_clip_vision(version: str) -> CLIPVisionModelWithProjection:
    """Return CLIP `ViT-L/14` or `ViT-H/14` with its projection on the meta device."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        return CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=14, image_size=224, **_VISION[version]))


def load_clip_vision(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedClipVision:
    """Read CLIP ViT-L/14 or ViT-H/14 with its projection, told apart by their width.

    Raises `WeightsMismatch` for another width or unless every tensor has its place.
    """
    found = expect(path, Kind.CLIP_VISION)
    if found.version not in _VISION:
        raise WeightsMismatch(f"{path}: must be CLIP {' or '.join(_VISION)}, but has {found.version}. Name another.")
    file, model = open_weights(path), empty_clip_vision(found.version)
    expected = shapes_of(model.state_dict())
    ignored = account(path, f"CLIP {found.version}", expected, file.shapes, (_CONSTANT,))
    tensors = file.tensors(dtype)
    model.load_state_dict({name: tensors[name] for name in expected}, assign=True)
    embeddings: Any = model.vision_model.embeddings  # its positions are no tensor of the file
    embeddings.position_ids = torch.arange(embeddings.position_embedding.weight.shape[0])[None]
    return LoadedClipVision(model.eval().requires_grad_(False), ignored)
