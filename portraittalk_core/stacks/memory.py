"""Predict how much memory each stage of an SD1.5 stack needs: the stack itself runs, on networks without memory."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.catalogue import stacks
from ..checkpoints.layouts import SD15_SHAPE
from ..checkpoints.pictures import empty_clip_vision
from ..config import ModelConfig
from ..diffusion.guidance import GuidanceScales, plan
from ..errors import BadInput
from ..hosts.diffusers_host import DiffusersHost
from ..hosts.sd15_models import empty_controlnet, empty_text_encoder, empty_unet, empty_vae
from ..media.audio import MAX_DURATION_S
from ..motion.mesh_motion import MeshMaps
from ..nets.audio_to_mesh import AudioToMesh, encode_at_rate, frame_count
from ..nets.audio_to_pose import AudioToPose
from ..nets.identity_net import IdentityNet
from ..nets.pose_guider import PoseGuider
from ..nets.temporal import TemporalNet
from ..perception.clip_input import SIDE
from ..perception.mesh_identity import MeshIdentity
from ..perception.speech import build_wav2vec2
from ..presets import PUBLIC
from ..types import SPEECH_RATE, LatentVideo, Sound
from .conditions import Conditions
from .denoiser import Denoiser
from .loader import NetworkLoader, empty_text_beside
from .metering import META, MemoryMeter
from .options import SamplingOptions
from .prompts import PromptTrack
from .public import MESH_FPS, SHORTEST_SPEECH, PublicStack
from .spec import StackSpec

LATENT_COPIES = 4
"""How often the video's latents are there in a step: as they are, fused, predicted, and next."""

LONGEST_PIECE_S = 10.0
"""A recording is cut into pieces below this length for the head's motion."""

TITLES = {
    "mesh": "speech",
    "head": "speech",
    "text_encoder": "text",
    "image_encoder": "image",
    "vae": "encode",
}
"""Stages by what is loaded for them, where they are called otherwise."""


@dataclass(frozen=True)
class Stage:
    """What one stage needs, in bytes."""

    name: str
    """What it does."""

    weights: int
    """Of the networks that it holds."""

    kept: int
    """What earlier stages left."""

    work: int
    """The most that tensors take at once while it runs."""

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.kept + self.work


def plan_memory(
    config: ModelConfig,
    *,
    frames: int,
    size: int | None = None,
    window: int | None = None,
    dtype: torch.dtype = torch.float16,
    passes_at_once: bool = False,
    fps: float = 25.0,
) -> list[Stage]:
    """Predict the memory of a ready stack, stage by stage.

    Args:
        config: Of a stack of `presets.PUBLIC`.
        frames: Of the video.
        size: Side in pixels, a multiple of 64.
        window: Frames that are denoised together.
        dtype: Of the weights.
        passes_at_once: Whether guidance's passes run as one batch.
        fps: Frames a second.

    Returns:
        The stages in running order.

    Raises:
        BadInput: For another model or size.
    """
    side = config.size if size is None else size
    if config.name not in PUBLIC or side < 64 or side % 64 or frames < 1:
        raise BadInput(
            f"A plan must be for {' or '.join(PUBLIC)}, a size that is a multiple of 64 and at least one frame, but "
            f"got {config.name}, {side} and {frames}. Try a size of 512 and 100 frames."
        )
    if frames > MAX_DURATION_S * fps:
        raise BadInput(
            f"`frames` must be at most {MAX_DURATION_S * fps:.0f}, an hour as recordings are, but got {frames}. Try "
            "fewer."
        )
    files = {part: Path(given) for part, given in stacks()[config.name].items()}
    loader = _MetaLoader(StackSpec(files, {}), dtype)
    stack = PublicStack.of(replace(config, size=side), loader, passes_at_once=passes_at_once)
    with loader.meter.running():
        _run(stack, loader, frames, SamplingOptions(window=window), fps)
    return _merged(loader.stages)


def peak_of(stages: list[Stage]) -> Stage:
    """Return the stage that needs most."""
    return max(stages, key=lambda stage: stage.total)


def _run(stack: PublicStack, loader: _MetaLoader, frames: int, options: SamplingOptions, fps: float) -> None:
    """Let a stack do what `pipeline.PortraitTalk.generate` asks of it, but for a single step on a single window."""
    sampling = options.resolve(stack.config.sampling, stack.limits, frames / fps)
    window = torch.arange(min(frames, sampling.window))
    samples = max(SHORTEST_SPEECH, int(frames / fps * SPEECH_RATE))
    stack.listen(Sound(torch.zeros(1, samples), SPEECH_RATE), fps)
    if "head" in loader.spec.files:
        # What hears takes the memory; the decoder behind it, one frame after the other, only takes time.
        heard = min(samples, int(LONGEST_PIECE_S * SPEECH_RATE) - 1)
        with loader.load("head") as (net,):
            encode_at_rate(net.audio_encoder, torch.empty(1, heard, device=META), frame_count(heard, MESH_FPS))
    identity = _somebody(stack.config.size)
    embeds = stack.encode_prompts(PromptTrack("", [], fps, frames))
    read = stack.cross_attention(embeds, identity).to(META)
    maps = MeshMaps(torch.full((frames, 478, 2), 0.5), fps)
    condition = Conditions(stack.conditions(identity, maps, None, embeds, sampling.scales))
    side = stack.config.size // stack.config.vae_factor
    latents = LATENT_COPIES * frames * stack.config.unet.latent_channels * side**2 * torch.float32.itemsize
    passes = tuple(p for p, _ in plan(GuidanceScales(text=2.0, identity=2.0)))
    unet = loader.keep("unet")

    def step() -> None:
        denoiser = Denoiser(DiffusersHost(unet), condition, read, passes_at_once=stack.limits.passes_at_once)
        noisy = torch.empty(len(window), stack.config.unet.latent_channels, side, side, device=META)
        denoiser.predict(noisy, torch.zeros((), dtype=torch.long, device=META), window, passes)

    loader.note("denoise", loader.kept_bytes(), step, also_kept=latents)
    del unet, condition, read
    stack.release()
    loader.decoding = latents // LATENT_COPIES
    for _ in stack.decode(LatentVideo(torch.empty(1, stack.config.unet.latent_channels, side, side), fps)):
        pass


def _somebody(size: int) -> MeshIdentity:
    crop, embedding = torch.zeros(1, 3, size, size), torch.zeros(1, 512)
    return MeshIdentity(crop, torch.zeros(1, 478, 3), embedding, torch.zeros(1, 3, SIDE, SIDE))


def _merged(stages: list[Stage]) -> list[Stage]:
    """Keep the largest of the stages of one name, in the order of the first."""
    found: dict[str, Stage] = {}
    for stage in stages:
        before = found.get(stage.name)
        found[stage.name] = stage if before is None or stage.total > before.total else before
    return list(found.values())


class _MetaLoader(NetworkLoader):
    """Builds networks without memory, and notes what is made while they are held."""

    def __init__(self, spec: StackSpec, dtype: torch.dtype) -> None:
        super().__init__(spec, META, dtype)
        self.meter, self.stages = MemoryMeter(), list[Stage]()
        self.decoding = 0
        """Bytes of the latents that wait to be decoded, once they do."""

    @contextmanager
    def load(self, *names: str) -> Generator[list[Any], None, None]:
        nets = [self.read(name) for name in names]
        kept = self.meter.mark()
        yield nets
        title = "decode" if self.decoding else TITLES.get(names[0], names[0])
        weights = sum(_bytes(getattr(net, "net", net)) for net in nets)
        self.stages.append(Stage(title, weights, kept + self.decoding, self.meter.most - kept))

    @contextmanager
    def load_text(self) -> Generator[Any, None, None]:
        with self.load("text_encoder") as (net,):

            def encode(prompts: Sequence[str]) -> Tensor:
                ids = torch.zeros(len(prompts), 77, dtype=torch.long, device=META)
                return net(input_ids=ids).last_hidden_state

            yield SimpleNamespace(encode=encode)

    def read(self, name: str) -> Any:
        with self.meter.paused():
            return _EMPTY[name](self.spec, self.dtype)

    def clear(self) -> None:
        """Nothing is held by a device."""

    def wait(self, result: Tensor) -> Tensor:
        return torch.zeros(result.shape, dtype=result.dtype)  # pages that nobody touches cost nothing

    def note(self, title: str, weights: int, run: Callable[[], None], also_kept: int) -> None:
        """Run a stage that loads nothing itself."""
        kept = self.meter.mark()
        run()
        self.stages.append(Stage(title, weights, kept + also_kept, self.meter.most - kept))

    def kept_bytes(self) -> int:
        """Return the bytes of the networks that are kept."""
        return sum(_bytes(net) for net in self._kept.values())


def _ready(net: Any, dtype: torch.dtype) -> Any:
    """Return a network in a precision. torch's own method: that of diffusers warns of what does not matter here."""
    for module in net.modules():
        # CLIP counts positions in a buffer that is made anew by the loaders.
        if getattr(module, "position_ids", None) is not None:
            module.position_ids = module.position_ids.to(META)
    return nn.Module.to(net, dtype).eval()


def _bytes(net: Any) -> int:
    return sum(t.nbytes for t in (*net.parameters(), *net.buffers()))


def _temporal() -> TemporalNet:
    with META:
        return TemporalNet(sites=[(site, SD15_SHAPE.width(site)) for site in SD15_SHAPE.layer_sites()])


def _structure(spec: StackSpec) -> nn.Module:
    if not spec.is_aniportrait:
        return empty_controlnet(SD15_SHAPE)
    with META:
        return PoseGuider()


def _identity(dtype: torch.dtype) -> SimpleNamespace:
    sites = [(site, SD15_SHAPE.width(site)) for site in SD15_SHAPE.adapter_sites()]
    with META:
        net = IdentityNet(token_dim=SD15_SHAPE.cross_dim, sites=sites, tokens=16)
    return SimpleNamespace(net=_ready(net, dtype), lora=())


def _speech(kind: type[nn.Module]) -> nn.Module:
    with META:
        return kind(build_wav2vec2()).eval()


_EMPTY: dict[str, Callable[[StackSpec, torch.dtype], Any]] = {
    "unet": lambda spec, dtype: _ready(empty_unet(SD15_SHAPE), dtype),
    "vae": lambda spec, dtype: _ready(empty_vae(), dtype),
    "text_encoder": lambda spec, dtype: _ready(empty_text_encoder(), dtype),
    "text_beside": lambda spec, dtype: _ready(empty_text_beside(), dtype),
    "identity": lambda spec, dtype: _identity(dtype),
    "reference": lambda spec, dtype: _ready(empty_unet(SD15_SHAPE), dtype),
    "image_encoder": lambda spec, dtype: _ready(empty_clip_vision("ViT-L/14"), dtype),
    "temporal": lambda spec, dtype: _ready(_temporal(), dtype),
    "structure": lambda spec, dtype: _ready(_structure(spec), dtype),
    "mesh": lambda spec, dtype: _speech(AudioToMesh),
    "head": lambda spec, dtype: _speech(AudioToPose),
}
"""What `loader.READERS` reads, without its values."""
