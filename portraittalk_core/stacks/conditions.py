"""What the denoiser is told about the frames of a window: conditions, each of which makes branches for any host."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..host import Branch, Call, CrossBranch, Host, Pass
from ..motion.geometry import contours, head_cue, warp_picture
from ..nets.animate_net import AnimateNet, IdentityAttention
from ..nets.attention import has_learned
from ..nets.audio_net import AudioNet
from ..nets.identity_net import IdentityNet
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..nets.structure_encoder import structure_input
from ..nets.temporal import TemporalNet
from ..types import Identity, SpeechFeatures, StructureMaps
from .prompts import PromptTrack


@dataclass(frozen=True)
class Scales:
    """Strengths (lambda) of the branches: 1 as trained, 0 leaves a branch out."""

    identity: float = 1.0
    audio: float = 1.0
    reference: float = 1.0


WarpedLatents = Callable[[Int[Tensor, "n"], Float[Tensor, "n 3 s s"]], Float[Tensor, "n c h w"]]
"""Gives the latents, as the denoiser sees them, of the reference picture warped onto some frames."""


class Condition(Protocol):
    """Something that the denoiser is told about every frame of a video."""

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the branches for some frames; rows count from the first of `frames`.

        host: runs the denoiser, in case something has to be recorded with it; known: whether every pass sees who
        the person is, so that nothing need be made for passes that do not; device: where the denoiser runs.
        """
        ...

    def forget(self) -> None:
        """Drop what was computed with networks or a denoiser that may have changed since."""
        ...


class IdentityCondition:
    """Who the person is: IdentityNet beside the text and AnimateNet's identity attention.

    embeddings: unit length, one a reference picture; scale: lambda_id.
    """

    def __init__(
        self,
        net: IdentityNet,
        attention: IdentityAttention,
        embeddings: Float[Tensor, "references embedding"],
        scale: float = 1.0,
    ) -> None:
        self._net, self._attention = net, attention
        self._embeddings, self._scale = embeddings, scale
        self._made: list[Branch] | None = None

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames."""
        if self._made is None:
            embeddings = self._embeddings.to(device)
            attention = self._attention.branches(embeddings, min(1.0, self._scale))
            self._made = [*self._net.branches(embeddings, self._scale), *attention]
        return self._made

    def forget(self) -> None:
        """Project the embeddings anew next time."""
        self._made = None


class ReferenceCondition:
    """How the person looks in the reference pictures (ReferenceNet).

    latents: of the pictures, as the denoiser sees latents; text: tokens of the empty prompt, [1, tokens, dim].
    """

    def __init__(
        self,
        net: ReferenceNet,
        latents: Float[Tensor, "r c h w"],
        text: Float[Tensor, "1 tokens dim"],
        strength: float = 1.0,
    ) -> None:
        self._net, self._latents, self._text, self._strength = net, latents, text, strength
        self._features: ReferenceFeatures | None = None

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames; the pictures are run through the host's denoiser once."""
        if self._strength == 0:
            return []
        if self._features is None:
            text = self._text.expand(len(self._latents), -1, -1).to(device)
            self._features = self._net.record(host, self._latents.to(device), text)
        return list(self._net.branches(self._features, scale=self._strength))

    def forget(self) -> None:
        """Record the pictures anew next time."""
        self._features = None


class MotionCondition:
    """How head and face move: the structure maps, with the reference placed where head and face will be.

    net: whose structure encoder and occlusion net are used; identity: whose first picture is shown; reference: its
    latent, [1, c, h, w]; warped_latents: gives those of `warp_reference`; contour_size: side of the contour pictures
    in pixels.
    """

    def __init__(
        self,
        net: AnimateNet,
        maps: StructureMaps,
        identity: Identity,
        reference: Float[Tensor, "1 c h w"],
        warped_latents: WarpedLatents,
        contour_size: int,
    ) -> None:
        self._net, self._maps, self._identity = net, maps, identity
        self._reference, self._warped_latents, self._size = reference, warped_latents, contour_size

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the branches of structure and occlusion; maps without the reference only where a pass needs them."""
        landmarks = self._maps.landmarks[frames].to(device)
        drawn = contours(landmarks, self._size)
        warped = warp_reference(self._identity, landmarks)
        latents = self._warped_latents(frames, warped).to(device)
        reference = self._reference.to(device)
        maps = []
        for present in (True,) if known else (True, False):
            conditioning = structure_input(
                drawn,
                self._maps.placement[frames].to(device),
                head_cue(landmarks),
                reference,
                warped,
                latents,
                torch.tensor([present], device=device),
            )
            maps.append(self._net.structure(conditioning))
        return [*self._net.structure.branches(*maps), *self._net.occlusion.branches(latents, reference)]

    def forget(self) -> None:
        """Keep nothing: maps are made for each window."""


class SpeechCondition:
    """What is being said (AudioNet), or that nothing is known of it, which training also shows; scale: lambda_aud."""

    def __init__(self, net: AudioNet, speech: SpeechFeatures | None, scale: float = 1.0) -> None:
        self._net, self._speech, self._scale = net, speech, scale
        self._hears = has_learned(net, "to_v_ip")

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the branches of the frames; speech around them is heard too, each frame listens to its neighbours."""
        if not self._hears:
            return []
        if self._speech is None:
            return list(self._net.branches(torch.zeros(len(frames), self._net.feature_dim, device=device), self._scale))
        first = max(0, int(frames.min()) - self._net.window)
        last = int(frames.max()) + self._net.window
        branches = self._net.branches(self._speech.hidden[first : last + 1].to(device), self._scale)
        return [_Rows(branch, frames - first) for branch in branches]

    def forget(self) -> None:
        """Keep nothing: tokens are made for each window."""


class TemporalCondition:
    """That frames follow one another: AnimateNet's temporal attention over the window."""

    def __init__(self, net: TemporalNet) -> None:
        self._branches = net.branches(float(has_learned(net, "proj_out")))

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames."""
        return list(self._branches)

    def forget(self) -> None:
        """Keep nothing: the branches hold no result."""


class Conditions:
    """Several conditions as one, which keeps the branches of a window for its later steps.

    keep: how many windows are kept: all of them in joint fusion, one in streaming, where memory must not grow with
    the video.
    """

    def __init__(self, conditions: Sequence[Condition], keep: int = 1) -> None:
        self._conditions, self._keep = list(conditions), keep
        self._windows: OrderedDict[tuple[object, ...], list[Branch]] = OrderedDict()

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the branches of all conditions."""
        key = (*frames.tolist(), known, device)
        if key not in self._windows:
            while len(self._windows) >= self._keep:
                self._windows.popitem(last=False)
            self._windows[key] = [b for c in self._conditions for b in c.branches(host, frames, known, device)]
        return self._windows[key]

    def forget(self) -> None:
        """Drop all windows."""
        self._windows.clear()
        for condition in self._conditions:
            condition.forget()


class Encodes(Protocol):
    """Reads prompts: a `TextEncoder`, or CLIP's."""

    def encode(self, prompts: Sequence[str]) -> Float[Tensor, "b tokens dim"]: ...


def warp_reference(identity: Identity, landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n 3 s s"]:
    """Return the person's first picture with its face moved to the landmarks, on their device."""
    picture, points = (value[:1].to(landmarks.device) for value in (identity.crops, identity.landmarks))
    return warp_picture(picture, points, landmarks)


class PromptedDenoiser:
    """Runs the denoiser on windows of one video, with prompts and everything else it is told about their frames."""

    def __init__(self, host: Host, text: Encodes, prompts: PromptTrack, negative: str, conditions: Condition) -> None:
        self._host, self._prompts, self._conditions = host, prompts, conditions
        self._text = text.encode(prompts.prompts)
        self._unprompted = text.encode([negative])

    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Int[Tensor, ""],
        frames: Int[Tensor, "n"],
        passes: tuple[Pass, ...],
    ) -> Float[Tensor, "rows c h w"]:
        """Run the U-Net on a window for each pass; see `latent_fusion.Predict`."""
        count = len(passes)
        shown = self._prompts.mix(self._text, frames)
        hidden = self._unprompted.expand(len(frames), -1, -1)
        text = torch.cat([shown if p.text else hidden for p in passes])
        call = Call(frames=torch.arange(len(frames)), passes=passes, clip=len(frames))
        known = all(p.identity for p in passes)
        with self._host.attach(self._conditions.branches(self._host, frames, known, latents.device)):
            return self._host.denoise(latents.repeat(count, 1, 1, 1), timestep, text, call)


class _Rows:
    """A CROSS branch that holds more rows than the window, and at other places."""

    def __init__(self, branch: CrossBranch, rows: Int[Tensor, "n"]) -> None:
        self.site = branch.site
        self._branch, self._rows = branch, rows

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]:
        return self._branch.cross(query, heads, Call(self._rows[call.frames], call.passes, call.clip))
