"""Predict how much memory each stage of a stack needs: its networks are built and run without memory.

On torch's meta device tensors have shapes and no values. Weights are counted as they are; working memory is the most
that tensors take at once while the real code runs, attention being a fused kernel that keeps no matrix. What the
driver, the convolution libraries and the allocator's gaps take comes on top.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..checkpoints.layouts import SD15_SHAPE
from ..checkpoints.pictures import empty_clip_vision
from ..config import ModelConfig
from ..diffusion.guidance import GuidanceScales, plan
from ..errors import BadInput
from ..host import Branch
from ..hosts.diffusers_control import control_branches
from ..hosts.diffusers_host import DiffusersHost
from ..hosts.sd15_models import empty_controlnet, empty_text_encoder, empty_unet, empty_vae
from ..nets.attention import KeyValues
from ..nets.audio_to_mesh import AudioToMesh, encode_at_rate
from ..nets.audio_to_pose import AudioToPose
from ..nets.pose_guider import PoseGuider
from ..nets.reference_net import ReferenceNet
from ..nets.temporal import TemporalNet
from ..perception.clip_input import SIDE
from ..perception.speech import build_wav2vec2
from ..presets import PUBLIC
from .conditions import Conditions
from .mesh_conditions import FixedBranches, PublicDenoiser, TextBesideCondition
from .prompts import PromptTrack

_META = torch.device("meta")
_LATENT = 8
_SPEECH_RATE, _MESH_FPS = 16_000, 30


@dataclass(frozen=True)
class Stage:
    """What one stage needs, in bytes. weights: of the networks that are lent; kept: what earlier stages left; work:
    the most that tensors take at once while it runs.
    """

    name: str
    weights: int
    kept: int
    work: int

    @property
    def total(self) -> int:
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
    """Return the stages of a ready stack (`presets.PUBLIC`) in running order.

    frames: of the video; size: side in pixels, a multiple of 64; window: frames that are denoised together. Raises
    `BadInput` for another model or size.
    """
    side = config.size if size is None else size
    if config.name not in PUBLIC or side < 64 or side % 64 or frames < 1:
        raise BadInput(
            f"A plan must be for {' or '.join(PUBLIC)}, a size that is a multiple of 64 and at least one frame, but "
            f"got {config.name}, {side} and {frames}. Try 512."
        )
    shown = min(frames, config.sampling.window if window is None else window)
    work = _Work(config, side, shown, dtype, passes_at_once, frames / fps)
    latents = frames * 4 * (side // _LATENT) ** 2 * 4
    stages = [work.speech(), work.text()]
    if work.is_aniportrait:
        stages += [work.look(), work.encode(), work.reference()]
    # The video's latents are there four times in a step: as they are, fused, predicted, and next.
    stages.append(work.denoise(kept=4 * latents))
    stages.append(work.decode(kept=latents))
    return stages


@dataclass
class _Work:
    """Builds and runs the networks of each stage."""

    config: ModelConfig
    side: int
    window: int
    dtype: torch.dtype
    at_once: bool
    seconds: float

    @property
    def is_aniportrait(self) -> bool:
        return self.config.name == "sd15-magictalk"

    def speech(self) -> Stage:
        with _META:
            net = AudioToMesh(build_wav2vec2()).eval()
        samples, rows = max(400, int(self.seconds * _SPEECH_RATE)), max(1, int(self.seconds * _MESH_FPS))
        speech = torch.empty(1, samples, device=_META)
        stage = Stage("speech", _bytes(net), 0, _peak(lambda: encode_at_rate(net.audio_encoder, speech, rows)))
        if not self.is_aniportrait:
            return stage
        with _META:
            head = AudioToPose(build_wav2vec2()).eval()
        # Ten seconds less a sample is the longest piece that a recording is cut into.
        piece = torch.empty(1, min(samples, 10 * _SPEECH_RATE - 1), device=_META)
        work = _peak(lambda: encode_at_rate(head.audio_encoder, piece, min(rows, 300)))
        other = Stage("speech", _bytes(head), 0, work)
        return max(stage, other, key=lambda s: s.total)

    def text(self) -> Stage:
        net = _ready(empty_text_encoder(), self.dtype)
        ids = torch.zeros(2, 77, dtype=torch.long, device=_META)
        _place_positions(net)
        return Stage("text", _bytes(net), 0, _peak(lambda: net(input_ids=ids)))

    def look(self) -> Stage:
        net = _ready(empty_clip_vision("ViT-L/14"), self.dtype)
        _place_positions(net)
        picture = self._empty(1, 3, SIDE, SIDE)
        return Stage("look", _bytes(net), 0, _peak(lambda: net(picture)))

    def encode(self) -> Stage:
        net = _ready(empty_vae(), self.dtype)
        return Stage("encode", _bytes(net), 0, _peak(lambda: net.encode(self._empty(1, 3, self.side, self.side))))

    def reference(self) -> Stage:
        net = _ready(empty_unet(SD15_SHAPE), self.dtype)
        work = _peak(lambda: self._record(net))
        return Stage("reference", _bytes(net), 0, work)

    def denoise(self, kept: int) -> Stage:
        unet = _ready(empty_unet(SD15_SHAPE), self.dtype)
        nets: list[nn.Module] = [unet]
        features = None
        if self.is_aniportrait:
            features = self._record(unet)
            kept += sum(t.nbytes for t in features.tokens.values())
        with _META:
            temporal = TemporalNet(sites=[(s, SD15_SHAPE.width(s)) for s in SD15_SHAPE.layer_sites()])
        temporal = temporal.to(self.dtype).eval()
        structure, branches, work = self._structure()
        nets += [temporal, structure]
        conditions: list[Any] = [FixedBranches([*branches, *temporal.branches()])]
        track = PromptTrack("", [], 25.0, self.window)
        tokens = self._empty(1, 77, SD15_SHAPE.cross_dim)
        keys = [(site, SD15_SHAPE.width(site)) for site in SD15_SHAPE.adapter_sites()]
        with _META:
            beside = KeyValues(SD15_SHAPE.cross_dim, keys).to(self.dtype)
        if features is not None:
            conditions.append(FixedBranches(list(ReferenceNet(sites=list(features.tokens)).branches(features))))
            conditions.append(TextBesideCondition(beside, tokens, tokens, track, 0.5))
            nets.append(beside)
            seen = PublicDenoiser(
                DiffusersHost(unet), Conditions(conditions), tokens[:, :1], tokens[:, :1], None,
                passes_at_once=self.at_once,
            )  # fmt: skip
        else:
            faces = self._empty(1, self.config.identity_tokens, SD15_SHAPE.cross_dim)
            conditions.append(FixedBranches(list(beside.branches(faces, faces, "identity", 1.0))))
            kept += sum(4 * faces.shape[1] * width * self.dtype.itemsize for _, width in keys)
            seen = PublicDenoiser(
                DiffusersHost(unet), Conditions(conditions), tokens, tokens, track, passes_at_once=self.at_once
            )
        latents = torch.empty(self.window, 4, self.side // _LATENT, self.side // _LATENT, device=_META)
        passes = tuple(p for p, _ in plan(GuidanceScales(text=2.0, identity=2.0)))
        time, frames = torch.zeros((), dtype=torch.long, device=_META), torch.arange(self.window)
        work = max(work, _peak(lambda: seen.predict(latents, time, frames, passes)))
        return Stage("denoise", sum(_bytes(net) for net in nets), kept, work)

    def decode(self, kept: int) -> Stage:
        net = _ready(empty_vae(), self.dtype)
        side = self.side // _LATENT
        return Stage("decode", _bytes(net), kept, _peak(lambda: net.decode(self._empty(1, 4, side, side))))

    def _structure(self) -> tuple[nn.Module, list[Branch], int]:
        """Return the structure network, its branches for a window, and what making them takes."""
        drawings = torch.empty(self.window, 3, self.side, self.side, device=_META)
        if not self.is_aniportrait:
            control = _ready(empty_controlnet(SD15_SHAPE), self.dtype)
            return control, control_branches(control, drawings), 0
        with _META:
            guider = PoseGuider().to(self.dtype).eval()
        drawn = drawings.to(self.dtype)
        return guider, list(guider.branches(guider(drawn))), _peak(lambda: guider(drawn))

    def _record(self, unet: Any) -> Any:
        side = self.side // _LATENT
        net = ReferenceNet(sites=SD15_SHAPE.attention_sites())
        latents, look = self._empty(1, 4, side, side), self._empty(1, 1, SD15_SHAPE.cross_dim)
        with torch.no_grad(), _FusedAttention():
            return net.record(DiffusersHost(unet), latents, look)

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(*shape, dtype=self.dtype, device=_META)


def peak_of(stages: list[Stage]) -> Stage:
    """Return the stage that needs most."""
    return max(stages, key=lambda stage: stage.total)


def _ready(net: Any, dtype: torch.dtype) -> Any:
    """Return a network in a precision. torch's own method: that of diffusers warns of what does not matter here."""
    return nn.Module.to(net, dtype).eval()


def _bytes(net: Any) -> int:
    return sum(t.nbytes for t in (*net.parameters(), *net.buffers()))


def _place_positions(net: Any) -> None:
    """CLIP counts positions in a buffer that is made anew by the loaders."""
    for module in net.modules():
        if getattr(module, "position_ids", None) is not None:
            module.position_ids = module.position_ids.to(_META)


def _peak(run: Callable[[], Any]) -> int:
    """Return the most bytes that tensors made by `run` take at once."""
    with torch.no_grad(), _FusedAttention(), _counting() as counter:
        run()
    return counter.most


@contextmanager
def _counting() -> Generator[_Counter, None, None]:
    counter = _Counter()
    with counter:
        yield counter


class _Counter(TorchDispatchMode):
    """Counts the bytes of tensors that are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {_address(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and _address(tensor) not in known:
                self._count(tensor.untyped_storage())
        return out

    def _count(self, storage: Any) -> None:
        if storage in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(storage)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]; meta tensors have no data_ptr


class _FusedAttention(TorchFunctionMode):
    """Lets attention take what the fused kernels take: its result."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            query, value = args[0], (kwargs or {}).get("value", args[2] if len(args) > 2 else args[0])
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))
