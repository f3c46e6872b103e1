"""PORTRAITTALK of the tiny model and its like: networks of our own beside a U-Net, loaded for ComfyUI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor, nn

from ..portraittalk_core import builders
from ..portraittalk_core.checkpoints.native import load_adapters, model_files
from ..portraittalk_core.config import ModelConfig
from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.motion.audio_to_motion import MotionDials
from ..portraittalk_core.motion.geometry import draw_lines
from ..portraittalk_core.nets.animate_net import AnimateNet
from ..portraittalk_core.nets.identity_net import IdentityNet
from ..portraittalk_core.nets.reference_net import ReferenceNet
from ..portraittalk_core.perception.face import FaceAnalyser
from ..portraittalk_core.perception.speech import resample_rows
from ..portraittalk_core.presets import PUBLIC
from ..portraittalk_core.sites import UNetShape
from ..portraittalk_core.stacks.conditions import (
    Conditions,
    IdentityCondition,
    MotionCondition,
    ReferenceCondition,
    SpeechCondition,
    TemporalCondition,
    warp_reference,
)
from ..portraittalk_core.stacks.preparation import Preparation
from ..portraittalk_core.stacks.prompts import expression_offsets
from ..portraittalk_core.types import COEFFICIENTS, FaceMotion, Identity, Sound, SpeechFeatures
from . import convert
from .comfy_host import attach
from .sockets import Conditioning, Encoded, Model, Moving, Told

STACK = "stack.toml"
"""In a folder, says from which public files a stack is mixed; see `models.StackFile`."""

_ENCODED_AT_ONCE = 16
"""Pictures: only their latents, a twenty-fourth of their size, grow with the video."""

_OWN = ("denoiser.safetensors", STACK)


class AdapterNets(nn.Module):
    """The networks that run beside the U-Net, as one module that the host moves and frees."""

    def __init__(self, identity_net: IdentityNet, animate_net: AnimateNet) -> None:
        super().__init__()
        self.identity_net, self.animate_net = identity_net, animate_net


@dataclass(frozen=True)
class Adapters:
    """See `sockets.PortraitAdapters`.

    patcher: of `nets`; vae: the model's own, as the host's class, None for adapters that go with a stock checkpoint;
    nobody: tokens of the empty prompt, [1, tokens, dim].
    """

    config: ModelConfig
    shape: UNetShape
    nets: AdapterNets
    patcher: comfy.model_patcher.ModelPatcher
    reference_net: ReferenceNet
    preparation: Preparation
    nobody: Tensor
    vae: Any = None

    def get_models(self) -> list[comfy.model_patcher.ModelPatcher]:
        """Return what the host shall know of when it counts memory."""
        return [self.patcher]

    def finder(self) -> FaceAnalyser:
        """Return the model's own face networks."""
        return self.preparation.faces

    def identify(self, images: Sequence[Tensor], face: int, skip: bool) -> Identity:
        """Find the person."""
        return self.preparation.identify(images, face=face, skip=skip)

    def outlines(self, identity: Identity) -> Tensor:
        """Return the line of the jaw and the brows."""
        points = identity.landmarks
        return (torch.cat([points[:, :17], points[:, 17:27].flip(1)], 1) + 1) / 2

    def listen(self, sound: Sound, fps: float, encoded: Encoded | None = None) -> SpeechFeatures:
        """Encode a recording; features of another encoder count if they are as wide as the model's."""
        own = self.preparation.listen(sound, fps)
        if encoded is None:
            return own
        wanted = own.hidden.shape[1]
        if encoded.rows.shape[-1] != wanted:
            raise BadInput(
                f"`encoded` must have {wanted} features a row for this model, but got {encoded.rows.shape[-1]}. "
                "Disconnect it: the model brings its own encoder."
            )
        return SpeechFeatures(resample_rows(encoded.rows, encoded.rate, fps, len(own.hidden)), own.loudness, fps)

    def move(
        self, speech: SpeechFeatures, identity: Identity, dials: dict[str, Any], seed: int, prompt: Conditioning | None
    ) -> FaceMotion:
        """Return how the face moves; it wears what the prompt asks for."""
        asked = None
        if prompt is not None:
            tokens = convert.embeddings(prompt).float().cpu()
            if tokens.shape[-1] == self.preparation.text.dim:
                asked = expression_offsets(self.preparation.text, tokens)
                asked = asked if len(asked) in (1, len(speech.hidden)) else asked[:1]
        return self.preparation.move(speech, dials=MotionDials(**dials), seed=seed, expression=asked)

    def preview(self, motion: FaceMotion, identity: Identity, size: int) -> Tensor:
        """Return the moving outlines in white."""
        lines = draw_lines(self.preparation.structure(motion, identity).landmarks, size)
        return lines[:, 0, :, :, None].expand(-1, -1, -1, 3).contiguous()

    def opening(self, motion: FaceMotion) -> Tensor:
        """Return the jaw's coefficient."""
        return motion.coefficients[:, COEFFICIENTS.index("jaw")]

    def tell_identity(
        self, told: Told, identity: Identity, scale: float, percent: tuple[float, float], hides: bool
    ) -> Told:
        """Attach IdentityNet and AnimateNet's identity attention; the conditioning stays as it is."""
        if scale == 0:
            return told
        nets = self.nets
        condition = IdentityCondition(nets.identity_net, nets.animate_net.identity, identity.embeddings, scale)
        model = attach(told.model, condition, self.shape, self.patcher, percent=percent, hides=hides)
        return Told(model, told.positive, told.negative)

    def tell_reference(self, model: Model, identity: Identity, vae: Any, strength: float) -> Model:
        """Attach ReferenceNet, which runs the model itself on the pictures when sampling begins."""
        if strength == 0:
            return model
        latents = convert.latents(model, vae, identity.crops)
        return attach(
            model, ReferenceCondition(self.reference_net, latents, self.nobody, strength), self.shape, self.patcher
        )

    def tell_motion(self, model: Model, moving: Moving, identity: Identity, vae: Any) -> Model:
        """Attach AnimateNet's temporal, structure and audio networks."""
        if moving.window > self.config.temporal_frames:
            raise BadInput(
                f"`window` must be at most {self.config.temporal_frames} frames for this model, but got "
                f"{moving.window}. Try 16."
            )
        animate, motion = self.nets.animate_net, moving.motion
        maps = self.preparation.structure(motion, identity)
        vae = vae or self.vae
        latents = convert.latents(model, vae, identity.crops[:1])
        # Before sampling: a VAE that is loaded meanwhile may push the model that samples out of memory.
        warped = torch.cat(
            [
                convert.latents(model, vae, warp_reference(identity, part))
                for part in maps.landmarks.split(_ENCODED_AT_ONCE)
            ]
        )
        condition = Conditions(
            [
                TemporalCondition(animate.temporal),
                MotionCondition(
                    animate, maps, identity, latents, lambda frames, _: warped[frames], self.config.contour_size
                ),
                SpeechCondition(animate.audio, moving.speech, moving.audio_scale),
            ],
            moving.keep,
        )
        return attach(model, condition, self.shape, self.patcher, frames=moving.frames)

    def flicker(self) -> float:
        """Return what the configuration says."""
        return self.config.sampling.flicker

    def empty(self, frames: int) -> dict[str, Any]:
        """Return a LATENT whose frames share their noise: with noise of its own every frame would flicker."""
        side = self.config.size // self.config.vae_factor
        empty = torch.zeros(frames, self.config.unet.latent_channels, side, side)
        return {"samples": empty, "batch_index": [0] * frames}


def load(model: str, own: Any, alone: bool = False) -> Adapters:
    """Load the adapters of a model, `tiny` or a folder. Raises `BadInput` and `WeightsMismatch`.

    own: the model's VAE as the host's class; alone: MODEL and VAE come from elsewhere, so that it only checks pictures.
    """
    config, identity_net, animate_net = load_adapters(model_files(model)["denoiser"])
    nets = AdapterNets(identity_net, animate_net)
    castable(nets)
    patcher = comfy.model_patcher.ModelPatcher(
        nets,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    preparation = Preparation.load(model, config.name, config.size, partial(convert.redrawn, own))
    return Adapters(
        config=config,
        shape=builders.unet_shape(config),
        nets=nets,
        patcher=patcher,
        reference_net=builders.reference_net(config),
        preparation=preparation,
        nobody=preparation.text.encode([""]),
        vae=None if alone else own,
    )


def castable(net: nn.Module) -> nn.Module:
    """Replace layers by the host's, which fetch and cast their weights when they run (low memory, half precision)."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            made = _host_layer(layer)
            if made is not None:
                made.weight, made.bias = layer.weight, layer.bias
                setattr(parent, name, made.requires_grad_(False))
    return net


def _host_layer(layer: Any) -> Any:
    """Return the host's empty layer of the same kind, None for what holds no weights of its own."""
    ops, empty = comfy.ops.manual_cast, {"device": torch.device("meta")}
    if type(layer) is nn.Linear:
        return ops.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, **empty)
    if type(layer) is nn.LayerNorm:
        return ops.LayerNorm(layer.normalized_shape, eps=layer.eps, **empty)
    if type(layer) is nn.GroupNorm:
        return ops.GroupNorm(layer.num_groups, layer.num_channels, eps=layer.eps, **empty)
    if type(layer) is nn.Conv2d:
        return ops.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            stride=layer.stride,
            padding=layer.padding,
            bias=layer.bias is not None,
            **empty,
        )
    return None


def available() -> list[str]:
    """Return the names of models to choose from: `tiny` is shipped, the stacks are made of public files, others are
    folders in ComfyUI's models/portraittalk.
    """
    import folder_paths

    folders = [Path(folder) for folder in folder_paths.get_folder_paths("portraittalk") if Path(folder).is_dir()]
    found = {file.parent.name for folder in folders for name in _OWN for file in folder.glob(f"*/{name}")}
    return ["tiny", *PUBLIC, *sorted(found)]


def located(name: str) -> str:
    """Return a name that is no folder's, or the path of the folder of that name under models/portraittalk."""
    import folder_paths

    if name == "tiny" or name in PUBLIC:
        return name
    for folder in folder_paths.get_folder_paths("portraittalk"):
        if (Path(folder) / name).is_dir():
            return str(Path(folder) / name)
    return name
