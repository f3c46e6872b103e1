"""Read the networks of an SD1.5 stack one stage at a time, so that never all of them are in memory."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.base import Part, load_base_part, load_text_keys, plan_part
from ..checkpoints.detect import Kind
from ..checkpoints.few_steps import read_low_rank
from ..checkpoints.identity import load_identity
from ..checkpoints.layouts import SD15_SHAPE, shapes_of
from ..checkpoints.pictures import load_clip_vision, load_pose_guider
from ..checkpoints.reference import load_reference_unet
from ..checkpoints.small_vae import load_small_vae
from ..checkpoints.speech import load_audio_to_mesh, load_audio_to_pose
from ..checkpoints.structure import load_controlnet
from ..checkpoints.temporal import load_temporal
from ..checkpoints.tokenizer import load_clip_tokenizer
from ..nets.attention import KeyValues
from ..perception.clip_text import ClipText
from .spec import StackSpec


class NetworkLoader:
    """Reads networks when a stage asks for them and lets them go when it is over.

    Reading costs seconds a stage, memory is the largest stage's instead of the sum: that is what makes 8 GB enough.
    What lies in the operating system's file cache is read fast the second time.
    """

    def __init__(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> None:
        """Read nothing yet.

        Args:
            spec: Which files.
            device: Where networks run.
            dtype: Of their weights there.
        """
        self.spec, self.device, self.dtype = spec, device, dtype
        self._last: tuple[object, Tensor] | None = None
        self._kept: dict[str, Any] = {}

    @contextmanager
    def load(self, *names: str) -> Generator[list[Any], None, None]:
        """Hold networks until the block ends.

        Args:
            *names: Of `READERS`.

        Yields:
            Them: frozen, on the device.
        """
        nets = [self.read(name) for name in names]
        try:
            yield nets
        finally:
            nets.clear()
            self.clear()

    @contextmanager
    def load_text(self) -> Generator[ClipText, None, None]:
        """Hold the text encoder with its tokenizer until the block ends."""
        tokenizer = load_clip_tokenizer(self.spec.files["tokenizer"])
        with self.load("text_encoder") as nets:
            yield ClipText(nets.pop(), tokenizer)

    def keep(self, name: str) -> Any:
        """Return a network that is needed while the U-Net samples; it is held until `release`.

        Args:
            name: Of `READERS`.
        """
        if name not in self._kept:
            self._kept[name] = self.read(name)
        return self._kept[name]

    def release(self) -> None:
        """Let go of everything that was kept."""
        self._kept.clear()
        self._last = None
        self.clear()

    def read(self, name: str) -> Any:
        """Read a network to the device; the caller lets it go and calls `clear`.

        Args:
            name: Of `READERS`.
        """
        made = READERS[name](self.spec, self.dtype)
        return made.to(self.device) if isinstance(made, nn.Module) else made

    def wait(self, result: Tensor) -> Tensor:
        """Return a stage's result where it waits for a later stage: on the CPU."""
        return result.cpu()

    def once(self, of: object, make: Callable[[], Tensor]) -> Tensor:
        """Return a result that several stages ask for, made for the first of them: networks are large to read.

        Args:
            of: What it is made of; only the result of the last such object is held, until `release`.
            make: Makes it.
        """
        if self._last is None or self._last[0] is not of:
            self._last = (of, self.wait(make()))
        return self._last[1]

    def clear(self) -> None:
        """Give memory that is no longer used back to the device."""
        if self.device.type != "cpu":
            torch.get_device_module(self.device).empty_cache()

    def check(self) -> None:
        """Hold the base's networks against their layouts, reading names only, so that a bad file is known at once.

        A host that brings its own may do without these files.

        Raises:
            WeightsMismatch: For a file that does not fit.
        """
        files = self.spec.files
        base = files.get("base")
        parts: dict[Part, Path | None] = {
            "unet": files.get("denoiser", base),
            "text_encoder": base,
            "vae": None if self.spec.kind("vae") is Kind.SMALL_VAE else files.get("vae", base),
        }
        plans = {part: plan_part(path, part) for part, path in parts.items() if path is not None}
        if "few_steps" in files and "unet" in plans:
            read_low_rank(files["few_steps"], plans["unet"].sizes)


def _unet_file(spec: StackSpec) -> Path:
    return spec.files["denoiser" if spec.is_aniportrait else "base"]


def unet_tensors(spec: StackSpec) -> dict[str, Tensor]:
    """Read the denoising U-Net's tensors as they are, for a host that builds its own network.

    Args:
        spec: Which files.

    Returns:
        Tensors by diffusers' names.
    """
    plan = plan_part(_unet_file(spec), "unet")
    tensors = plan.file.tensors(names=plan.names.values())
    return _distilled(spec, {own: tensors[there] for own, there in plan.names.items()})


def _distilled(spec: StackSpec, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a U-Net's weights with the LoRA for few steps added, where the stack has one."""
    if spec.few_steps is None:
        return weights
    file = read_low_rank(spec.files["few_steps"], shapes_of(weights))
    return {**weights, **file.added_to(weights, spec.few_steps.strength)}


def _unet(spec: StackSpec, dtype: torch.dtype) -> nn.Module:
    net = load_base_part(_unet_file(spec), "unet", dtype)
    if spec.few_steps is not None:
        net.load_state_dict(_distilled(spec, net.state_dict()), assign=True)
        net.requires_grad_(False)
    return net


def _vae(spec: StackSpec, dtype: torch.dtype) -> nn.Module:
    if spec.kind("vae") is Kind.SMALL_VAE:
        return load_small_vae(spec.files["vae"], dtype).net
    return load_base_part(spec.files.get("vae", spec.files["base"]), "vae", dtype)


def _structure(spec: StackSpec, dtype: torch.dtype) -> nn.Module:
    path = spec.files["structure"]
    if spec.kind("structure") is Kind.CONTROLNET:
        return load_controlnet(path, dtype).net
    return load_pose_guider(path, dtype=dtype).net


def empty_text_beside() -> KeyValues:
    """Return SD1.5's keys and values of text, as a network beside a U-Net, without memory for its weights."""
    with torch.device("meta"):
        return KeyValues(SD15_SHAPE.cross_dim, [(site, SD15_SHAPE.width(site)) for site in SD15_SHAPE.adapter_sites()])


def _text_beside(spec: StackSpec, dtype: torch.dtype) -> KeyValues:
    net = empty_text_beside()
    net.load_state_dict(load_text_keys(spec.files["base"], dtype), assign=True)
    return net.eval().requires_grad_(False)


READERS: dict[str, Callable[[StackSpec, torch.dtype], Any]] = {
    "unet": _unet,
    "vae": _vae,
    "text_encoder": lambda spec, dtype: load_base_part(spec.files["base"], "text_encoder", dtype),
    "text_beside": _text_beside,
    "identity": lambda spec, dtype: load_identity(spec.files["identity"], plus=spec.plus, dtype=dtype),
    "reference": lambda spec, dtype: load_reference_unet(spec.files["reference"], dtype).unet,
    "image_encoder": lambda spec, dtype: load_clip_vision(spec.files["image_encoder"], dtype).model,
    "temporal": lambda spec, dtype: load_temporal(spec.files["temporal"], dtype=dtype).net,
    "structure": _structure,
    # Sound is encoded in single precision: these networks are small and their group norm spans the whole recording.
    "mesh": lambda spec, dtype: load_audio_to_mesh(spec.files["mesh"]).net,
    "head": lambda spec, dtype: load_audio_to_pose(spec.files["head"]).net,
}
"""The networks by name, and how each is read."""
