"""Stacks that are small enough for every test: tiny with a random denoiser, and the SD1.5 recipes at little width."""

from __future__ import annotations

import copy
import functools
import gc
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from portraittalk_core import presets
from portraittalk_core.checkpoints.detect import Detected, Kind
from portraittalk_core.checkpoints.identity import LoadedIdentity
from portraittalk_core.config import UNetConfig
from portraittalk_core.host import Pass
from portraittalk_core.hosts.diffusers_models import build_unet
from portraittalk_core.hosts.diffusers_session import DiffusersSession
from portraittalk_core.motion.geometry import placement
from portraittalk_core.motion.mesh_motion import MeshMaps
from portraittalk_core.nets.attention import KeyValues
from portraittalk_core.nets.identity_net import IdentityNet
from portraittalk_core.nets.low_rank import LowRankPatch
from portraittalk_core.nets.pose_guider import PoseGuider
from portraittalk_core.nets.temporal import TemporalNet
from portraittalk_core.perception.clip_input import SIDE
from portraittalk_core.perception.mesh_identity import MeshIdentity
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.sites import UNetShape
from portraittalk_core.stacks.base import Condition
from portraittalk_core.stacks.conditions import Conditions
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.loader import NetworkLoader
from portraittalk_core.stacks.prompts import PromptEmbeds, PromptTrack
from portraittalk_core.stacks.public import PublicStack
from portraittalk_core.stacks.spec import StackSpec
from portraittalk_core.types import SpeechFeatures, StructureMaps

from ..hosts.conftest import awake_control

SHAPE = UNetShape((32, 64, 128, 128), 1, (True, True, True, False), 32, 4)
UNET = UNetConfig(
    latent_channels=4, channels=SHAPE.channels, layers=1, attention=SHAPE.attention, heads=4, cross_dim=SHAPE.cross_dim
)
PARTS = {
    "sd15-portraittalk": ("base", "identity", "faces", "temporal", "structure"),
    "sd15-magictalk": ("base", "denoiser", "reference", "image_encoder", "identity", "faces", "temporal", "structure"),
}
FRAMES = 4
BOTH = (Pass(), Pass(text=False, identity=False, audio=False))


@dataclass(frozen=True)
class Case:
    """A model, and the records of a short video for it."""

    name: str
    model: PortraitTalk
    identity: Any
    maps: Any
    features: SpeechFeatures | None
    track: PromptTrack

    @property
    def stack(self) -> Any:
        return self.model.stack

    @property
    def embeds(self) -> PromptEmbeds:
        return self.stack.encode_prompts(self.track)

    def conditions(self, **options: Any) -> list[Condition]:
        """Everything that the stack composes."""
        return self.stack.conditions(self.identity, self.maps, self.features, self.embeds, **options)

    def latents(self, frames: int = FRAMES) -> Tensor:
        config = self.stack.config
        side = config.size // config.vae_factor
        return torch.randn(frames, config.unet.latent_channels, side, side, generator=seeded(7))

    @torch.no_grad()
    def predict(self, conditions: list[Condition], passes: tuple[Pass, ...] = BOTH) -> Tensor:
        """Run the U-Net once on the whole video with these conditions."""
        condition, read = Conditions(conditions), self.stack.cross_attention(self.embeds, self.identity)
        with self.model.host.open(condition.patches) as host:
            denoiser = Denoiser(host, condition, read)
            return denoiser.predict(self.latents(), torch.tensor(500), torch.arange(FRAMES), passes)

    def animate(self, **options: Any) -> Any:
        return self.model.animate(self.identity, self.maps, self.features, self.track, **options)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_case(model: PortraitTalk, avatar_identity: Any, size: int = 64) -> Case:
    """The model of the fixture `random_model`, for small pictures."""
    stack = replace(model.stack, config=replace(model.stack.config, size=size, contour_size=size // 4))
    crops = nn.functional.interpolate(avatar_identity.crops, (size, size), mode="area")
    identity = replace(avatar_identity, crops=crops)
    drift = 0.01 * torch.randn(FRAMES, 1, 2, generator=seeded(0)).cumsum(0)
    landmarks = identity.landmarks[:1] + drift
    maps = StructureMaps(landmarks, placement(identity.landmarks[:1], landmarks), 25.0)
    features = SpeechFeatures(
        torch.randn(FRAMES, stack.config.audio_dim, generator=seeded(1)), torch.zeros(FRAMES), 25.0
    )
    return Case("tiny", PortraitTalk(stack, model.host), identity, maps, features, track())


def sd15_case(name: str) -> Case:
    """A recipe of SD1.5 with networks of its own; `case.stack.loader` is a `SmallLoader`."""
    preset = presets.PRESETS[name]()
    config = replace(preset, unet=UNET, size=64, sampling=replace(preset.sampling, steps=2, cfg=2.0))
    spec = StackSpec({part: Path(part) for part in PARTS[name]}, {})
    loader = SmallLoader(spec)
    stack = PublicStack.of(config, loader)

    @contextmanager
    def load_unet() -> Generator[Any, None, None]:
        with loader.load("unet") as nets:
            yield nets.pop()

    faces = torch.rand(2, 478, 3, generator=seeded(2))
    embeddings = nn.functional.normalize(torch.randn(2, 512, generator=seeded(3)), dim=1)
    crops = torch.rand(2, 3, 64, 64, generator=seeded(4)) * 2 - 1
    identity = MeshIdentity(crops, faces, embeddings, torch.zeros(2, 3, SIDE, SIDE))
    maps = MeshMaps(torch.rand(FRAMES, 478, 2, generator=seeded(5)), 25.0)
    return Case(name, PortraitTalk(stack, DiffusersSession(load_unet)), identity, maps, None, track())


def track() -> PromptTrack:
    return PromptTrack("a man", [(0.04, "a smiling man with red hair")], 25.0, FRAMES)


class SmallLoader(NetworkLoader):
    """Makes networks instead of reading them, and knows which of them are still there."""

    def __init__(self, spec: StackSpec) -> None:
        super().__init__(spec, torch.device("cpu"), torch.float32)
        self.reads: list[str] = []
        self.missing: str | None = None
        """A network that cannot be read."""
        self._made: list[tuple[str, weakref.ref[Any]]] = []

    def read(self, name: str) -> Any:
        self.reads.append(name)
        if name == self.missing:
            raise OSError(f"{name} is gone")
        made = _copied(*_made(name, self.spec.is_aniportrait))
        self._made.append((name, weakref.ref(getattr(made, "net", made))))
        return made

    @contextmanager
    def load_text(self) -> Generator[Any, None, None]:
        with self.load("text_encoder"):
            yield SimpleNamespace(encode=lambda prompts: torch.stack([_tokens(text) for text in prompts]))

    def held(self, collect: bool = False) -> set[str]:
        """Return which networks are in memory; collect: also break cycles, such as those of an exception."""
        if collect:
            gc.collect()
        return {name for name, made in self._made if made() is not None}


def _tokens(text: str) -> Tensor:
    return torch.randn(5, SHAPE.cross_dim, generator=seeded(sum(text.encode())))


def _random(seed: int, make: Callable[[], nn.Module]) -> Any:
    """Return a network of random weights; what starts at zero would hide what it should add."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make().eval().requires_grad_(False)
        for value in net.parameters():
            if not value.any():
                nn.init.normal_(value, std=0.05)
    return net


def _unet() -> nn.Module:
    return build_unet(
        latent_channels=4, channels=SHAPE.channels, layers=1, attention=SHAPE.attention, heads=4, cross_dim=32
    )


def _vae() -> nn.Module:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
    )


class _ImageEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(3, SHAPE.cross_dim)

    def forward(self, pictures: Tensor) -> Any:
        return SimpleNamespace(image_embeds=self.project(pictures.mean((2, 3))))


def _sites() -> list[tuple[Any, int]]:
    return [(site, SHAPE.width(site)) for site in SHAPE.adapter_sites()]


def _identity(aniportrait: bool) -> LoadedIdentity:
    net = _random(4, lambda: IdentityNet(token_dim=SHAPE.cross_dim, sites=_sites(), tokens=2))
    site, width = _sites()[0]
    down, up = torch.randn(2, width, generator=seeded(5)), torch.randn(width, 2, generator=seeded(6))
    patches = (LowRankPatch(site, "attn1", "to_q", down, up), LowRankPatch(site, "attn2", "to_out.0", down, up))
    return LoadedIdentity(
        detected=Detected(Path("identity"), Kind.FACEID_PORTRAIT if aniportrait else Kind.FACEID),
        net=net,
        lora=() if aniportrait else patches,
        ignored={},
    )


MAKERS: dict[str, Callable[[bool], Any]] = {
    "unet": lambda _: _random(0, _unet),
    "reference": lambda _: _random(1, _unet),
    "vae": lambda _: _random(2, _vae),
    "text_encoder": lambda _: nn.Identity(),
    "image_encoder": lambda _: _random(3, _ImageEncoder),
    "identity": _identity,
    "structure": lambda aniportrait: (
        _random(6, lambda: PoseGuider(width=32, heads=2, head_dim=16))
        if aniportrait
        else awake_control(_random(0, _unet))
    ),
    "temporal": lambda _: _random(
        7, lambda: TemporalNet(sites=[(site, SHAPE.width(site)) for site in SHAPE.layer_sites()])
    ),
    "text_beside": lambda _: _random(8, lambda: KeyValues(SHAPE.cross_dim, _sites())),
}


@functools.cache
def _made(name: str, aniportrait: bool) -> tuple[Any, dict[int, Tensor]]:
    """Return what is read over and over, and its tensors by their ids: copies have the same ones."""
    made = MAKERS[name](aniportrait)
    net = getattr(made, "net", made)
    return made, {id(tensor): tensor for tensor in (*net.parameters(), *net.buffers())}


def _copied(made: Any, tensors: dict[int, Tensor]) -> Any:
    """Return modules of their own, as if they had been read: quicker than to draw random weights again."""
    return copy.deepcopy(made, dict(tensors))
