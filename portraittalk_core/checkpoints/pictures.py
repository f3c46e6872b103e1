"""Load the networks that take pictures: AniPortrait's pose guider and the two CLIP image encoders."""

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
    """AniPortrait's pose guider."""

    net: PoseGuider
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


@dataclass(frozen=True)
class LoadedClipVision:
    """A CLIP image encoder."""

    model: CLIPVisionModelWithProjection
    """The network, frozen. AniPortrait takes its `image_embeds` [n, 768] as one token; FaceID-Plus takes
    `hidden_states[-2]` [n, 257, 1280]."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_pose_guider(
    path: Path | str, *, as_released: bool = False, dtype: torch.dtype = torch.float32
) -> LoadedPoseGuider:
    """Load AniPortrait's pose_guider.

    Args:
        path: The file.
        as_released: As `PoseGuider` takes it.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor has its place.
    """
    expect(path, Kind.POSE_GUIDER)
    file = open_weights(path)
    with torch.device("meta"):
        net = PoseGuider(as_released=as_released)
    ignored = account(path, "AniPortrait's pose_guider", shapes_of(net.state_dict()), file.shapes)
    net.load_state_dict(file.tensors(dtype), assign=True)
    return LoadedPoseGuider(net.eval().requires_grad_(False), ignored)


def empty_clip_vision(version: str) -> CLIPVisionModelWithProjection:
    """Return a CLIP image encoder with its projection on the meta device.

    Args:
        version: `ViT-L/14` or `ViT-H/14`.
    """
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        return CLIPVisionModelWithProjection(CLIPVisionConfig(patch_size=14, image_size=224, **_VISION[version]))


def load_clip_vision(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedClipVision:
    """Load CLIP ViT-L/14 or ViT-H/14 with its projection.

    Args:
        path: The file; the width of its tensors says which of the two it is.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: When it has another width, or unless every tensor has its place.
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
