"""Load AnimateDiff's motion modules (v1, v2, v3, AnimateLCM) into TemporalNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..nets.temporal import TemporalNet, TemporalTransformer
from ..sites import UNetShape
from .detect import Detected, Kind, expect
from .files import WeightsFile, open_weights
from .layouts import SD15_SHAPE, Rule, account, shapes_of

LCM_FRAMES = 64
"""The longest window of AnimateLCM, whose files do not say it."""

_COMPUTED = "positions are computed, as AnimateDiff's own loader does"

_RENAMED = {".norm1.": ".norms.0.", ".norm2.": ".norms.1.", ".norm3.": ".ff_norm.", ".attn1.": ".attention_blocks.0."}
_RENAMED[".attn2."] = ".attention_blocks.1."


@dataclass(frozen=True)
class LoadedTemporal:
    """What a motion module holds.

    v1 was trained with a U-Net whose group norms see all frames of a clip at once; ours see one frame, so v1 is close
    to its original, but not equal.
    """

    detected: Detected
    """Which of the files it is."""
    net: TemporalNet
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_temporal(
    path: Path | str, *, shape: UNetShape = SD15_SHAPE, dtype: torch.dtype = torch.float32
) -> LoadedTemporal:
    """Load a motion module.

    v1 has 24 positions, v2 32 and a module in the mid block, v3 32, AnimateLCM 64 which are not in the file. Files
    of AnimateDiff's training hold the whole U-Net; what is no motion module is left out.

    Args:
        path: The file, in AnimateDiff's or diffusers' layout.
        shape: The U-Net that it is for.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor of a motion module has its place.
    """
    detected = expect(path, Kind.MOTION_MODULE)
    file = open_weights(path)
    names = _names(file)
    found = {names[name]: size for name, size in file.shapes.items()}
    positions = {size[1] for name, size in found.items() if name.endswith(".pe")} or {LCM_FRAMES}
    has_mid = any(name.startswith("mid_block.motion_modules.") for name in found)
    sites = [(site, shape.width(site)) for site in shape.layer_sites() if has_mid or site.stage != "mid"]
    with torch.device("meta"):
        net = TemporalNet(sites=sites, heads=shape.heads, max_frames=min(positions))
    computed = {name for name in net.state_dict() if name.endswith(".pe")}
    expected = {name: size for name, size in shapes_of(net.state_dict()).items() if name not in computed}
    rules = (Rule(_COMPUTED, end=".pos_encoder.pe"), Rule(_COMPUTED, end=".pos_embed.pe"))
    layout = f"an AnimateDiff {detected.version} motion module for SD1.5"
    others = {name for name in found if ".motion_modules." not in name}
    motion = {name: size for name, size in found.items() if name not in others}
    ignored = account(path, layout, expected, motion, rules)
    ignored |= {name: "not part of a motion module" for name in others}
    tensors = {names[name]: tensor for name, tensor in file.tensors(dtype).items()}
    state = {name: tensors[name] for name in expected} | _positions(net, shape)
    net.load_state_dict(state, assign=True)
    return LoadedTemporal(detected, net.eval().requires_grad_(False), ignored)


def _names(file: WeightsFile) -> dict[str, str]:
    """Return AnimateDiff's name of each tensor; those of diffusers' `MotionAdapter` are translated."""
    theirs = any(".motion_modules." in name and ".temporal_transformer." not in name for name in file.shapes)
    return {name: _original(name) if theirs else name for name in file.shapes}


def _original(name: str) -> str:
    """Undo diffusers' renaming: `…motion_modules.0.norm.weight` lacks `temporal_transformer` there."""
    before, found, after = name.partition(".motion_modules.")
    number, _, rest = after.partition(".")
    for there, here in _RENAMED.items():
        rest = f".{rest}".replace(there, here)[1:]
    return f"{before}.motion_modules.{number}.temporal_transformer.{rest}" if found else name


def _positions(net: TemporalNet, shape: UNetShape) -> dict[str, Tensor]:
    """Return the position tables of a network that was made without memory."""
    tables: dict[int, Tensor] = {}
    for width in set(shape.channels):
        small = TemporalTransformer(width=width, heads=shape.heads, max_frames=net.max_frames)
        tables[width] = small.state_dict()["transformer_blocks.0.attention_blocks.0.pos_encoder.pe"]
    return {name: tables[t.shape[-1]] for name, t in net.state_dict().items() if name.endswith(".pe")}
