"""Conditions made of the networks of `nets.adapters`: identity, reference, temporal attention, structure and audio."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..host import Branch, Call, CrossBranch, Host
from ..kernels.attention import KeySet
from ..kernels.cross import OwnKeys
from ..motion.geometry import CONTOUR_SIGMA, contours, head_cue
from ..nets.adapters import Adapters
from ..nets.reference_net import ReferenceFeatures
from ..types import SpeechFeatures, StructureMaps
from .base import Condition

WarpedPictures = Callable[[Float[Tensor, "n 478 2"]], Float[Tensor, "n 3 s s"]]
"""Gives the reference picture moved so that its points lie where they are wanted, see `head_warp.HeadWarp.warped`."""

WarpedLatents = Callable[[Int[Tensor, "n"], Float[Tensor, "n 3 s s"]], Float[Tensor, "n c h w"]]
"""Gives the latents, as the denoiser sees them, of the reference picture warped onto some frames."""


class IdentityCondition(Condition):
    """Who the person is: IdentityNet beside the text, and AnimateNet's identity attention."""

    couples_frames = False

    def __init__(
        self, adapters: Adapters, embeddings: Float[Tensor, "references embedding"], scale: float = 1.0
    ) -> None:
        """Bind a person.

        Args:
            adapters: Whose IdentityNet and identity attention are used.
            embeddings: Unit length, one a reference picture.
            scale: lambda_id; above 1 identity attention stays at 1.
        """
        self._adapters, self._embeddings, self._scale = adapters, embeddings, scale
        self._made: list[Branch] | None = None
        self.networks = (adapters,)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames."""
        if self._made is None:
            self._made = self._adapters.identity_branches(self._embeddings.to(device), self._scale)
        return self._made

    def reset(self) -> None:
        """Project the embeddings anew next time."""
        self._made = None


class ReferenceCondition(Condition):
    """How the person looks in the reference pictures: ReferenceNet with the denoiser's own weights."""

    couples_frames = False

    def __init__(
        self,
        adapters: Adapters,
        latents: Float[Tensor, "r c h w"],
        text: Float[Tensor, "1 tokens dim"],
        scale: float = 1.0,
    ) -> None:
        """Bind pictures.

        Args:
            adapters: Whose ReferenceNet says where to record.
            latents: Of the pictures, as the denoiser sees latents.
            text: Tokens of the empty prompt.
            scale: From 0, without ReferenceNet, to 1.
        """
        self._adapters, self._latents, self._text, self._scale = adapters, latents, text, scale
        self._features: ReferenceFeatures | None = None

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames; the pictures are run through the host's denoiser once."""
        if self._scale == 0:
            return []
        if self._features is None:
            text = self._text.expand(len(self._latents), -1, -1).to(device)
            self._features = self._adapters.reference_net.record(host, self._latents.to(device), text)
        return list(self._adapters.reference_branches(self._features, scale=self._scale))

    def reset(self) -> None:
        """Record the pictures anew next time."""
        self._features = None


class StructureCondition(Condition):
    """How head and face move: structure maps, with the reference placed where head and face will be."""

    couples_frames = False

    def __init__(
        self,
        adapters: Adapters,
        maps: StructureMaps,
        reference_latents: Float[Tensor, "1 c h w"],
        warped_pictures: WarpedPictures,
        warped_latents: WarpedLatents,
        contour_size: int,
        networks: Sequence[nn.Module] = (),
        line_width: float = CONTOUR_SIGMA,
    ) -> None:
        """Bind a motion.

        Args:
            adapters: Whose structure encoder and occlusion map are used.
            maps: The motion on the person's face.
            reference_latents: Of the person's first picture.
            warped_pictures: Moves that picture.
            warped_latents: Gives the latents of what it gives.
            contour_size: Side of the contour pictures in pixels.
            networks: What `warped_pictures` runs.
            line_width: Of the lines, see `motion.geometry.contours`.
        """
        self._adapters, self._maps, self._size, self._line_width = adapters, maps, contour_size, line_width
        self._reference, self._warped_pictures = reference_latents, warped_pictures
        self._warped_latents = warped_latents
        self._rows: dict[int, list[Tensor]] = {}
        self.networks = (adapters, *networks)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches of structure and occlusion; maps without the reference only where a pass needs them."""
        landmarks = self._maps.landmarks[frames].to(device)
        lines, warped, latents = self._shown(frames, landmarks)
        return self._adapters.structure_branches(
            contours=lines,
            placement=self._maps.placement[frames].to(device),
            cue=head_cue(landmarks),
            reference_latents=self._reference.to(device),
            warped_pictures=warped,
            warped_latents=latents,
            uncond=uncond,
        )

    def _shown(self, frames: Int[Tensor, "n"], landmarks: Float[Tensor, "n 478 2"]) -> list[Tensor]:
        """Return lines, moved pictures and their latents; frames shared with the last window are not made again."""
        numbers = frames.tolist()
        known = {n: rows for n, rows in self._rows.items() if rows[0].device == landmarks.device}
        new = [place for place, number in enumerate(numbers) if number not in known]
        if new:
            points = landmarks[new]
            warped = self._warped_pictures(points)
            latents = self._warped_latents(frames[new], warped).to(landmarks.device)
            made = (contours(points, self._size, self._line_width), warped, latents)
            known |= {numbers[place]: [rows[k] for rows in made] for k, place in enumerate(new)}
        self._rows = {number: known[number] for number in numbers}
        return [torch.stack(rows) for rows in zip(*(known[number] for number in numbers), strict=True)]

    def reset(self) -> None:
        """Forget the last window."""
        self._rows = {}


class AudioCondition(Condition):
    """What is being said (AudioNet). Where nothing is known of it frames are those of stage 1, which knew no sound."""

    couples_frames = False

    def __init__(self, adapters: Adapters, features: SpeechFeatures | None, scale: float = 1.0) -> None:
        """Bind a recording.

        Args:
            adapters: Whose AudioNet is used.
            features: Of the recording, or None.
            scale: lambda_aud.
        """
        self._adapters, self._features, self._scale = adapters, features, scale
        self.networks = (adapters,)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches of the frames; speech around them is heard too, each frame listens to its neighbours."""
        audio = self._adapters.animate_net.audio
        if self._features is None or not self._adapters.hears:
            return []
        first, last = max(0, int(frames.min()) - audio.window), int(frames.max()) + audio.window
        known = self._features.hidden if self._features.attended is None else self._features.attended
        heard = known[first : last + 1].to(device)
        places = (frames - first).to(device)
        return [_Rows(branch, places) for branch in self._adapters.audio_branches(heard, self._scale)]


class TemporalCondition(Condition):
    """That frames follow one another: AnimateNet's temporal attention over the window."""

    def __init__(self, adapters: Adapters) -> None:
        """Bind the network.

        Args:
            adapters: Whose temporal attention is used.
        """
        self._branches = adapters.temporal_branches()
        self.networks = (adapters,)
        self.couples_frames = bool(self._branches)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames."""
        return list(self._branches)


class Conditions(Condition):
    """Several conditions as one, which keeps the branches of a window for its later steps."""

    def __init__(self, conditions: Sequence[Condition], keep: int = 1) -> None:
        """Join conditions.

        Args:
            conditions: In the order in which their branches add up.
            keep: How many windows are kept: all of them in joint fusion, one in streaming, where memory must not grow
                with the video.
        """
        self._conditions, self._keep = list(conditions), keep
        self._windows: OrderedDict[tuple[object, ...], list[Branch]] = OrderedDict()
        self.networks = [net for condition in conditions for net in condition.networks]
        self.patches = [patch for condition in conditions for patch in condition.patches]
        self.couples_frames = any(condition.couples_frames for condition in conditions)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches of all conditions."""
        key = (*frames.tolist(), uncond, device)
        if key not in self._windows:
            while len(self._windows) >= self._keep:
                self._windows.popitem(last=False)
            self._windows[key] = [b for c in self._conditions for b in c.branches(host, frames, uncond, device)]
        return self._windows[key]

    def reset(self) -> None:
        """Drop all windows."""
        self._windows.clear()
        for condition in self._conditions:
            condition.reset()


class _Rows:
    """A CROSS branch that holds more rows than the window, and at other places."""

    def __init__(self, branch: CrossBranch, rows: Int[Tensor, "n"]) -> None:
        self.site = branch.site
        self._branch, self._rows = branch, rows

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]:
        return self._branch.cross(query, heads, self._at(call))

    def key_set(self, call: Call, dtype: torch.dtype) -> KeySet:
        return cast(OwnKeys, self._branch).key_set(self._at(call), dtype)

    def _at(self, call: Call) -> Call:
        rows = self._rows if call.in_order else self._rows[call.frames.to(self._rows.device)]
        return Call(rows, call.passes, call.clip)
