"""Lend the networks of a stack to one stage at a time, so that never all of them are in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.base import Part, load_base_part, load_text_keys, plan_part
from ..checkpoints.detect import Kind
from ..checkpoints.identity import load_identity
from ..checkpoints.layouts import SD15_SHAPE
from ..checkpoints.pictures import load_clip_vision, load_pose_guider
from ..checkpoints.reference import load_reference_unet
from ..checkpoints.speech import load_audio_to_mesh, load_audio_to_pose
from ..checkpoints.structure import load_controlnet
from ..checkpoints.temporal import load_temporal
from ..checkpoints.tokenizer import load_clip_tokenizer
from ..nets.attention import KeyValues
from ..perception.clip_text import ClipText
from .spec import Mix


class Shelf:
    """Reads networks when they are lent and lets them go when they come back.

    Reading costs seconds a stage, memory is the largest stage's instead of the sum: that is what makes 8 GB enough.
    What lies in the operating system's file cache is read fast the second time. dtype: of weights on the device.
    """

    def __init__(self, mix: Mix, device: torch.device, dtype: torch.dtype) -> None:
        self.mix, self.device, self.dtype = mix, device, dtype

    @contextmanager
    def lend(self, *names: str) -> Generator[list[Any], None, None]:
        """Lend networks by name (`LOADERS`): on the device, frozen, until the block ends."""
        nets = [self.load(name) for name in names]
        try:
            yield nets
        finally:
            nets.clear()
            self.clear()

    def load(self, name: str) -> Any:
        """Read a network to the device; the caller lets it go and calls `clear`."""
        made = LOADERS[name](self.mix, self.dtype)
        return made.to(self.device) if isinstance(made, nn.Module) else made

    def clear(self) -> None:
        """Give memory that is no longer used back to the device."""
        if self.device.type != "cpu":
            torch.get_device_module(self.device).empty_cache()

    def check(self) -> None:
        """Hold the base's networks against their layouts, reading names only, so that a bad file is known at once.

        A host that brings its own may do without these files.
        """
        files = self.mix.files
        base = files.get("base")
        parts: dict[Part, Path | None] = {
            "unet": files.get("denoiser", base),
            "text_encoder": base,
            "vae": files.get("vae", base),
        }
        for part, path in parts.items():
            if path is not None:
                plan_part(path, part)

    def text(self) -> ClipText:
        """Return the text encoder with its tokenizer."""
        tokenizer = load_clip_tokenizer(self.mix.files["tokenizer"])
        return ClipText(self.load("text_encoder"), tokenizer)


def _unet(mix: Mix, dtype: torch.dtype) -> nn.Module:
    return load_base_part(mix.files["denoiser" if mix.is_aniportrait else "base"], "unet", dtype)


def unet_tensors(mix: Mix) -> dict[str, Tensor]:
    """Read the denoising U-Net's tensors as they are, by diffusers' names, for a host that builds its own network."""
    plan = plan_part(mix.files["denoiser" if mix.is_aniportrait else "base"], "unet")
    tensors = plan.file.tensors(names=plan.names.values())
    return {own: tensors[there] for own, there in plan.names.items()}


def _structure(mix: Mix, dtype: torch.dtype) -> nn.Module:
    path = mix.files["structure"]
    if mix.kind("structure") is Kind.CONTROLNET:
        return load_controlnet(path, dtype).net
    return load_pose_guider(path, dtype=dtype).net


def text_beside(mix: Mix, dtype: torch.dtype) -> KeyValues:
    """Return the base's own keys and values of text, for a U-Net that is told something else."""
    sites = [(site, SD15_SHAPE.width(site)) for site in SD15_SHAPE.adapter_sites()]
    with torch.device("meta"):
        net = KeyValues(SD15_SHAPE.cross_dim, sites)
    net.load_state_dict(load_text_keys(mix.files["base"], dtype), assign=True)
    return net.eval().requires_grad_(False)


LOADERS: dict[str, Callable[[Mix, torch.dtype], Any]] = {
    "unet": _unet,
    "vae": lambda mix, dtype: load_base_part(mix.files.get("vae", mix.files["base"]), "vae", dtype),
    "text_encoder": lambda mix, dtype: load_base_part(mix.files["base"], "text_encoder", dtype),
    "text_beside": text_beside,
    "identity": lambda mix, dtype: load_identity(mix.files["identity"], plus=mix.plus, dtype=dtype),
    "reference": lambda mix, dtype: load_reference_unet(mix.files["reference"], dtype).unet,
    "look": lambda mix, dtype: load_clip_vision(mix.files["look"], dtype).model,
    "temporal": lambda mix, dtype: load_temporal(mix.files["temporal"], dtype=dtype).net,
    "structure": _structure,
    # Sound is encoded in single precision: these networks are small and their group norm spans the whole recording.
    "mesh": lambda mix, dtype: load_audio_to_mesh(mix.files["mesh"]).net,
    "head": lambda mix, dtype: load_audio_to_pose(mix.files["head"]).net,
}
"""What can be lent, and how it is read."""
