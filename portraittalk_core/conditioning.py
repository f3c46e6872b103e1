"""What the denoiser is told about each frame: prompts over time, and the branches of a window of frames."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .errors import BadInput
from .host import Branch, Call, CrossBranch, Host, Pass
from .motion.geometry import contours, head_cue
from .nets.animate_net import AnimateNet
from .nets.identity_net import IdentityNet
from .nets.reference_net import ReferenceFeatures, ReferenceNet
from .nets.structure_encoder import structure_input
from .perception.text import TextEncoder
from .types import Identity, SpeechFeatures, StructureMaps

FADE_S = 0.24
"""How long one prompt takes to become the next."""


class PromptTrack:
    """Prompts over time: at frame i, which of them hold, and how strongly.

    prompt: from the start; edits: (seconds, prompt), in any order, each of which replaces the one before it over
    `FADE_S`; fps and frames: of the video. Raises `BadInput` for an edit before the start.
    """

    def __init__(self, prompt: str, edits: Sequence[tuple[float, str]], fps: float, frames: int) -> None:
        if any(not start_s >= 0 for start_s, _ in edits):
            raise BadInput(
                f"`edits` must begin at 0 s or later, but got {min(s for s, _ in edits):g} s. Mend the time."
            )
        ordered = sorted(edits, key=lambda edit: edit[0])
        self.prompts = [prompt, *(text for _, text in ordered)]
        starts = torch.tensor([start_s for start_s, _ in ordered], dtype=torch.float64)
        time_s = torch.arange(frames, dtype=torch.float64)[:, None] / fps
        entered = ((time_s - starts) / FADE_S + 1e-6).clamp(0, 1) if len(starts) else time_s.new_zeros(frames, 0)
        entered = torch.cat([entered.new_ones(frames, 1), entered], 1)
        self.weights: Float[Tensor, "frames prompts"] = _shares(entered).float()

    def mix(self, values: Float[Tensor, "prompts *rest"], frames: Int[Tensor, "n"]) -> Float[Tensor, "n *rest"]:
        """Blend one value a prompt into one a frame."""
        weights = self.weights[frames.cpu()].to(values)
        return torch.einsum("np,p...->n...", weights, values)


def _shares(entered: Float[Tensor, "frames prompts"]) -> Float[Tensor, "frames prompts"]:
    """Return how much of each frame each prompt has: the last to have entered covers those before it."""
    rest = torch.ones_like(entered[:, 0])
    shares: list[Tensor] = []
    for column in reversed(entered.unbind(1)):
        shares.append(column * rest)
        rest = rest * (1 - column)
    return torch.stack(shares[::-1], 1)


def expression_track(
    text: TextEncoder, prompts: PromptTrack, frames: int, names: Sequence[str]
) -> Float[Tensor, "frames names"]:
    """Return what the prompts ask of the face (a smile, raised brows), as offsets of the named coefficients."""
    offsets = [text.expression_of(prompt) for prompt in prompts.prompts]
    table = torch.tensor([[found.get(name, 0.0) for name in names] for found in offsets])
    return prompts.mix(table, torch.arange(frames))


@dataclass(frozen=True)
class Scales:
    """Strengths (lambda) of the branches: 1 as trained, 0 leaves a branch out."""

    identity: float = 1.0
    audio: float = 1.0
    reference: float = 1.0


class WindowConditions:
    """Runs the denoiser on windows of one video, with everything it is told about their frames.

    Branches of a window are made when it is first denoised and kept for its later steps. `keep` windows are kept: all
    of them in joint fusion, one in streaming, where memory must not grow with the video.
    """

    def __init__(
        self,
        *,
        host: Host,
        identity_net: IdentityNet,
        animate_net: AnimateNet,
        reference_net: ReferenceNet,
        text: TextEncoder,
        identity: Identity,
        reference_latents: Float[Tensor, "r c h w"],
        structure: StructureMaps,
        speech: SpeechFeatures | None,
        prompts: PromptTrack,
        negative: str = "",
        contour_size: int = 64,
        scales: Scales | None = None,
        keep: int = 1,
    ) -> None:
        self._host, self._animate = host, animate_net
        self._scales = scales or Scales()
        self._structure, self._speech = structure, speech
        self._latents, self._contour_size = reference_latents, contour_size
        self._prompts, self._keep = prompts, keep
        self._hears = _trained(animate_net.audio, "to_v_ip")
        self._text = text.encode(prompts.prompts)
        self._unprompted = text.encode([negative])
        nobody = text.encode([""]).expand(len(reference_latents), -1, -1)
        features: ReferenceFeatures = reference_net.record(host, reference_latents, nobody)
        embeddings = identity.embeddings.to(reference_latents.device)
        self._shared: list[Branch] = [
            *identity_net.branches(embeddings, self._scales.identity),
            *animate_net.identity.branches(embeddings, min(1.0, self._scales.identity)),
            *reference_net.branches(features, strength=self._scales.reference),
            *animate_net.temporal.branches(float(_trained(animate_net.temporal, "proj_out"))),
        ]
        self._windows: OrderedDict[tuple[int, int, bool], list[Branch]] = OrderedDict()

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Int[Tensor, ""],
        frames: Int[Tensor, "n"],
        passes: tuple[Pass, ...],
        reference: Float[Tensor, "r c h w"] | None,
    ) -> Float[Tensor, "rows c h w"]:
        """Run the U-Net on a window for each pass; see `latent_fusion.Predict`."""
        del reference  # it is in the branches
        count = len(passes)
        shown = self._prompts.mix(self._text, frames)
        hidden = self._unprompted.expand(len(frames), -1, -1)
        text = torch.cat([shown if p.text else hidden for p in passes])
        call = Call(frames=torch.arange(len(frames)), passes=passes, clip=len(frames))
        with self._host.attach(self._branches(frames, all(p.identity for p in passes))):
            return self._host.denoise(latents.repeat(count, 1, 1, 1), timestep, text, call)

    def _branches(self, frames: Int[Tensor, "n"], known: bool) -> list[Branch]:
        key = (int(frames[0]), int(frames[-1]), known)
        if key not in self._windows:
            while len(self._windows) >= self._keep:
                self._windows.popitem(last=False)
            structure = self._structure_branches(frames, known)
            self._windows[key] = [*self._shared, *structure, *self._speech_branches(frames)]
        return self._windows[key]

    def _structure_branches(self, frames: Int[Tensor, "n"], known: bool) -> list[Branch]:
        """Return structure's branches; maps without the reference are made only where a pass shall not know it."""
        device = self._latents.device
        landmarks = self._structure.landmarks[frames].to(device)
        maps = []
        for present in (True,) if known else (True, False):
            conditioning = structure_input(
                contours(landmarks, self._contour_size),
                self._structure.placement[frames].to(device),
                head_cue(landmarks),
                self._latents[:1],
                torch.tensor([present], device=device),
            )
            maps.append(self._animate.structure(conditioning))
        return list(self._animate.structure.branches(*maps))

    def _speech_branches(self, frames: Int[Tensor, "n"]) -> list[Branch]:
        if not self._hears:
            return []
        if self._speech is None:  # what training shows where it leaves the speech out
            nothing = self._latents.new_zeros(len(frames), self._animate.audio.feature_dim)
            return list(self._animate.audio.branches(nothing, self._scales.audio))
        # Speech around the window is seen too: each frame looks at its neighbours.
        reach = self._animate.audio.window
        first, last = int(frames[0]), int(frames[-1])
        left, right = min(reach, first), min(reach, len(self._speech.hidden) - 1 - last)
        hidden = self._speech.hidden[first - left : last + right + 1].to(self._latents.device)
        branches = self._animate.audio.branches(hidden, self._scales.audio)
        shifted: list[Branch] = [_Shifted(branch, left) for branch in branches]
        return shifted if left else list(branches)


def _trained(net: nn.Module, last: str) -> bool:
    """Say whether layers named `last` have left zero, where stage 2 begins; until then they cost time for nothing."""
    return any(bool(value.any()) for name, value in net.named_parameters() if f"{last}." in name)


class _Shifted:
    """A CROSS branch whose rows begin some frames before the window."""

    def __init__(self, branch: CrossBranch, left: int) -> None:
        self.site = branch.site
        self._branch, self._left = branch, left

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]:
        moved = Call(frames=call.frames + self._left, passes=call.passes, clip=call.clip)
        return self._branch.cross(query, heads, moved)
