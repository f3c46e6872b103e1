"""Load IP-Adapter FaceID files into IdentityNet, and the LoRA that some of them carry into low-rank patches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ..errors import BadInput, WeightsMismatch
from ..nets.face_perceiver import PlusIdentityNet
from ..nets.identity_net import IdentityNet
from ..nets.low_rank import LowRankPatch, Projection
from ..sites import Site, UNetShape
from .detect import Detected, Kind, expect
from .files import Shape, open_weights
from .layouts import SD15_SHAPE, account, shapes_of

Plus = Literal["plus", "plusv2"]
"""The two FaceID-Plus files, whose tensors are the same: plusv2 adds what CLIP sees to the tokens of the
face embedding, plus replaces them by it."""

_LORA: dict[str, Projection] = {
    "to_q_lora": "to_q",
    "to_k_lora": "to_k",
    "to_v_lora": "to_v",
    "to_out_lora": "to_out.0",
}


@dataclass(frozen=True)
class LoadedIdentity:
    """What an IP-Adapter FaceID file holds."""

    detected: Detected
    """Which of the files it is."""
    net: IdentityNet | PlusIdentityNet
    """`PlusIdentityNet` for the plus files, else `IdentityNet`; frozen."""
    lora: tuple[LowRankPatch, ...]
    """What the file changes in the U-Net itself, to be attached at scale 1 in every pass; empty for nothing."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_identity(
    path: Path | str,
    *,
    plus: Plus | None = None,
    shape: UNetShape = SD15_SHAPE,
    dtype: torch.dtype = torch.float32,
) -> LoadedIdentity:
    """Load `ip-adapter-faceid`, `-portrait`, `-plus` or `-plusv2` (huggingface.co/h94/IP-Adapter-FaceID).

    Args:
        path: The file, a pickle or safetensors.
        plus: Which of the two a plus file is, because their tensors are the same; None with any other file.
        shape: The U-Net that the file is for.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor has its place.
        BadInput: When `plus` is missing or needless.
    """
    detected = expect(path, Kind.FACEID, Kind.FACEID_PORTRAIT, Kind.FACEID_PLUS)
    _check_choice(detected, plus)
    file = open_weights(path)
    net = _empty_net(file.shapes, shape, path, plus)
    expected = shapes_of(net.state_dict())
    lora = _lora_names(shape) if any("_lora." in name for name in file.shapes) else {}
    rank = file.shapes.get("ip_adapter.0.to_q_lora.down.weight", (0,))[0]
    for name, place in lora.items():
        inner, outer = _lora_widths(place, shape)
        expected[f"{name}.down.weight"], expected[f"{name}.up.weight"] = (rank, inner), (outer, rank)
    ignored = account(path, f"{detected.kind.value} for SD1.5", expected, file.shapes)
    tensors = file.tensors(dtype)
    net.load_state_dict({name: tensors[name] for name in net.state_dict()}, assign=True)
    patches = tuple(
        LowRankPatch(*place, tensors[f"{name}.down.weight"], tensors[f"{name}.up.weight"])
        for name, place in lora.items()
    )
    return LoadedIdentity(detected, net.eval().requires_grad_(False), patches, ignored)


_Place = tuple[Site, Literal["attn1", "attn2"], Projection]


def _check_choice(detected: Detected, plus: Plus | None) -> None:
    if plus not in (None, "plus", "plusv2"):
        raise BadInput(f"`plus` must be plus or plusv2, but got {plus!r}.")
    if detected.kind is Kind.FACEID_PLUS and plus is None:
        raise BadInput(
            f"{detected.path}: `plus` must say whether this is plus or plusv2, because the two files have the same "
            "tensors and only their names tell them apart. Give plusv2 for ip-adapter-faceid-plusv2_sd15.bin."
        )
    if detected.kind is not Kind.FACEID_PLUS and plus is not None:
        raise BadInput(f"{detected.path}: `plus` must be left out, because this is {detected.kind.value}.")


def _empty_net(
    shapes: dict[str, Shape], shape: UNetShape, path: Path | str, plus: Plus | None
) -> IdentityNet | PlusIdentityNet:
    """Return the network that the file's projection calls for, without memory for its weights."""
    out = shapes["image_proj.proj.2.weight"][0]
    if out % shape.cross_dim:
        raise WeightsMismatch(
            f"{path}: image_proj.proj.2.weight must give whole tokens of {shape.cross_dim} numbers, but gives {out}. "
            "Use a file for SD1.5."
        )
    sites = [(site, shape.width(site)) for site in shape.adapter_sites()]
    tokens = out // shape.cross_dim
    with torch.device("meta"):
        if plus is None:
            return IdentityNet(token_dim=shape.cross_dim, sites=sites, tokens=tokens)
        return PlusIdentityNet(token_dim=shape.cross_dim, sites=sites, tokens=tokens, shortcut=plus == "plusv2")


def _lora_names(shape: UNetShape) -> dict[str, _Place]:
    """Return the LoRA layers of a file by name: self-attentions have even numbers, cross-attentions odd ones."""
    names: dict[str, _Place] = {}
    for k, site in enumerate(shape.adapter_sites()):
        for name, projection in _LORA.items():
            names[f"ip_adapter.{2 * k}.{name}"] = (site, "attn1", projection)
            names[f"ip_adapter.{2 * k + 1}.{name}"] = (site, "attn2", projection)
    return names


def _lora_widths(place: _Place, shape: UNetShape) -> tuple[int, int]:
    """Return how many numbers a patched projection takes and gives."""
    site, attention, projection = place
    width = shape.width(site)
    return (shape.cross_dim if attention == "attn2" and projection in ("to_k", "to_v") else width), width
