"""The networks of a step with random weights, and the same step as diffusers' pipelines take it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from portraittalk_core.diffusion.guidance import GuidanceScales, combine, plan
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.hosts.diffusers_models import build_unet
from portraittalk_core.nets.identity_net import IdentityNet
from portraittalk_core.nets.temporal import TemporalNet
from portraittalk_core.presets import sd15
from portraittalk_core.sites import UNetShape
from portraittalk_core.stacks.base import Condition
from portraittalk_core.stacks.conditions import Conditions
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.mesh_conditions import FixedBranches
from portraittalk_core.stacks.prompts import PromptEmbeds

CFG = 7.5
TEXT_TOKENS, IDENTITY_TOKENS, HEADS_IN_TIME, FACTOR = 77, 16, 8, 8

PARTS = ("identity", "structure", "temporal")
"""What may run beside a U-Net."""

_UNET = sd15().unet


@dataclass(frozen=True)
class Size:
    """How large a step is."""

    shape: UNetShape
    """Of the U-Net."""

    side: int
    """Of the latents."""

    frames: int
    """Of a window."""

    vae: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of the VAE's levels."""


FULL = Size(UNetShape(_UNET.channels, _UNET.layers, _UNET.attention, _UNET.cross_dim, _UNET.heads), 64, 16)
"""512 x 512, as `sd15-portraittalk` is."""

SMALL = Size(UNetShape((32, 64, 64, 64), 1, (True, True, True, False), 32, 4), 8, 4, (32, 32, 32, 32))
"""For rehearsals on a CPU."""


class Networks:
    """U-Net, ControlNet, motion module and FaceID of random weights, and what they are given."""

    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype) -> None:
        """Make them where they run.

        Args:
            size: How large.
            device: Where.
            dtype: Of weights and inputs.
        """
        from diffusers.models.controlnets.controlnet import ControlNetModel

        self.size, self.device, self.dtype = size, device, dtype
        shape, sites = size.shape, size.shape.layer_sites()
        with torch.random.fork_rng(), torch.device(device):
            torch.manual_seed(0)
            self.unet = build_unet(
                latent_channels=4,
                channels=shape.channels,
                layers=shape.layers,
                attention=shape.attention,
                heads=shape.heads,
                cross_dim=shape.cross_dim,
            )
            control = ControlNetModel.from_unet(self.unet)
            temporal = TemporalNet(sites=[(site, shape.width(site)) for site in sites], heads=HEADS_IN_TIME)
            adapters = [(site, shape.width(site)) for site in shape.adapter_sites()]
            identity = IdentityNet(token_dim=shape.cross_dim, sites=adapters, tokens=IDENTITY_TOKENS)
        self.unet, self.control, self.temporal, self.identity = (
            nn.Module.to(_awake(net), device, dtype) for net in (self.unet, control, temporal, identity)
        )
        self.latents = self._random(size.frames, 4, size.side, size.side)
        self.text = self._random(2, TEXT_TOKENS, shape.cross_dim)
        self.embedding = nn.functional.normalize(self._random(1, 512), dim=1)
        self.drawings = self._random(size.frames, 3, FACTOR * size.side, FACTOR * size.side).sigmoid()
        self.timestep = torch.tensor(500, device=device)
        self.passes, self.weights = zip(*plan(GuidanceScales(text=CFG, identity=CFG)), strict=True)

    def _random(self, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(sum(shape))
        return torch.randn(*shape, generator=generator).to(self.device, self.dtype)

    def ours(self, *, guided: bool = True, reuse: int = 1, parts: Sequence[str] = PARTS) -> Callable[[], Tensor]:
        """Return a step of our host.

        Args:
            guided: Whether it has guidance's two passes.
            reuse: Every so many steps inner layers run.
            parts: Which networks run beside the U-Net, of `PARTS`.
        """
        made: list[Condition] = []
        with torch.no_grad():
            if "identity" in parts:
                made.append(FixedBranches(self.identity.branches(self.embedding)))
            if "structure" in parts:
                made.append(FixedBranches(control_branches(self.control, self.drawings)))
            if "temporal" in parts:
                made.append(FixedBranches(self.temporal.branches()))
        prompts = PromptEmbeds(self.text[1:], self.text[:1])
        denoiser = Denoiser(DiffusersHost(self.unet), Conditions(made), prompts, reuse=reuse)
        frames = torch.arange(self.size.frames)
        passes, weights = (self.passes, self.weights) if guided else (self.passes[-1:], (1.0,))

        def step() -> Tensor:
            return combine(denoiser.predict(self.latents, self.timestep, frames, passes), weights)

        return step

    def theirs(self) -> Callable[[], Tensor]:
        """Return the same step as diffusers' AnimateDiff with ControlNet and IP-Adapter takes it."""
        from diffusers.models.unets.unet_motion_model import UNetMotionModel

        with torch.device(self.device):
            net: Any = UNetMotionModel.from_unet2d(self.unet, self._motion_adapter())
        state = {
            "image_proj": self.identity.image_proj.state_dict(),
            "ip_adapter": self.identity.ip_adapter.state_dict(),
        }
        net._load_ip_adapter_weights([state], low_cpu_mem_usage=False)
        net = nn.Module.to(net, self.device, self.dtype).eval().requires_grad_(False)
        frames = self.size.frames
        embeds = torch.stack([torch.zeros_like(self.embedding), self.embedding])
        text = self.text.repeat_interleave(frames, 0)  # as the pipeline hands it over

        @torch.no_grad()
        def step() -> Tensor:
            rows = self.latents.repeat(2, 1, 1, 1)
            down, mid = self.control(
                rows,
                self.timestep,
                text,
                controlnet_cond=self.drawings.repeat(2, 1, 1, 1),
                return_dict=False,
            )
            made = net(
                rows.unflatten(0, (2, frames)).transpose(1, 2),
                self.timestep,
                text,
                added_cond_kwargs={"image_embeds": [embeds]},
                down_block_additional_residuals=down,
                mid_block_additional_residual=mid,
                return_dict=False,
            )[0]
            without, given = made.transpose(1, 2)
            return without + CFG * (given - without)

        return step

    def _motion_adapter(self) -> Any:
        from diffusers.models.unets.unet_motion_model import MotionAdapter

        adapter = MotionAdapter(
            block_out_channels=self.size.shape.channels,
            motion_layers_per_block=self.size.shape.layers,
            motion_num_attention_heads=HEADS_IN_TIME,
            use_motion_mid_block=True,
        )
        own = {_theirs(name): value for name, value in self.temporal.state_dict().items()}
        adapter.load_state_dict({name: own.get(name, value) for name, value in adapter.state_dict().items()})
        return adapter


def decoders(size: Size, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return SD1.5's VAE and TAESD, of random weights.

    Args:
        size: Of the step.
        device: Where they run.
        dtype: Of their weights.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=size.vae,
            layers_per_block=2,
            latent_channels=4,
        )
        made = vae, AutoencoderTiny()
    return tuple(nn.Module.to(net, device, dtype).eval().requires_grad_(False) for net in made)


def _theirs(name: str) -> str:
    """Return diffusers' name of a motion module's tensor."""
    renamed = {".temporal_transformer.": ".", ".attention_blocks.0.": ".attn1.", ".attention_blocks.1.": ".attn2."}
    renamed |= {".norms.0.": ".norm1.", ".norms.1.": ".norm2.", ".ff_norm.": ".norm3."}
    for here, there in renamed.items():
        name = name.replace(here, there)
    return name


def _awake(net: Any) -> Any:
    """Give layers that begin at zero something to add."""
    for value in net.parameters():
        if not value.is_meta and not value.any():
            nn.init.normal_(value, std=0.02)
    return net.eval().requires_grad_(False)
