"""The photograph, moved: dense motion put to work on a person and a motion, and pixels that exist taken from it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.image import resize
from ..motion.geometry import contours, placement
from ..nets.dense_motion import DenseMotion, DenseMotionNet, anchored, identity_grid, sparse_motion, warp_pixels
from ..topology import EYES, IRISES, POINTS
from ..types import Frames, Identity, StructureMaps
from .edit_regions import BEHIND, LAID_OVER, REGIONS, TINTED, region_maps

SIDE = 128
"""Side of the reference that the network sees, and of its maps."""

LARGEST = 1024
"""Side in pixels of the largest crop that is moved unasked: beyond, time grows and little is seen of it."""

KEPT = 512
"""Frames whose motion is kept from the denoiser until they are composited: 20 s of video in 170 MB."""

_EYES = {*EYES[0], *EYES[1], *range(IRISES[0], POINTS)}
_ANCHORS = [k for k in range(POINTS) if k not in _EYES]  # lids that meet have two ways back: the network knows which

_AT_ONCE = 4_000_000  # pixels that are composited together
_AGREES, _DIFFERS = 0.10, 0.25  # of [-1, 1]: decoded and moved pictures show the same, or not
_TINT = 9  # pixels of the decoded picture over which a colour is even
_KEPT_LIGHT = 0.3  # how much of the photograph's light and dark a new colour keeps
_LUMA = (0.299, 0.587, 0.114)
_HAIRS = 0.7  # share of the moved head below which the old background still shines through
_CELLS = 64  # at which they are compared
_RIM = 2  # cells of the maps around a head that show a little of it
_BLOCK = 8  # cells, within one or two of which of the moved head its rim may lie
_HARDLY = 0.05  # of [-1, 1]: moved so far, a place is no longer as at rest
_NEAR, _FAR = 0.02, 0.06  # of [-1, 1]: the head has hardly moved; it has left its rim behind


class MotionsKept:
    """The motions of one person's latest frames, known by their points: the same points move in the same way."""

    def __init__(self) -> None:
        self._person: tuple[Tensor, Tensor, torch.device] | None = None
        self._rows: OrderedDict[bytes, DenseMotion] = OrderedDict()

    def get(
        self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], make: Callable[[Tensor], DenseMotion], last: bool
    ) -> DenseMotion:
        """Return motions, and make those that are not kept.

        Args:
            identity: The person; another one's motions are forgotten.
            landmarks: Of each frame.
            make: Gives the motion of landmarks.
            last: Nobody asks for these frames again.
        """
        self._know(identity, landmarks.device)
        keys = [row.tobytes() for row in landmarks.detach().float().cpu().numpy()]
        missing = [place for place, key in enumerate(keys) if key not in self._rows]
        if missing:
            made = make(landmarks[missing])
            for row, place in enumerate(missing):
                self._rows[keys[place]] = DenseMotion(made.flow[row].clone(), made.shares[row].clone())
        rows = [self._rows[key] for key in keys]
        for key in keys:
            if last:
                self._rows.pop(key, None)
            else:
                self._rows.move_to_end(key)
        while len(self._rows) > KEPT:
            self._rows.popitem(last=False)
        return DenseMotion(torch.stack([row.flow for row in rows]), torch.stack([row.shares for row in rows]))

    def _know(self, identity: Identity, device: torch.device) -> None:
        known = self._person
        same = known is not None and known[0] is identity.crops and known[1] is identity.landmarks
        if not (same and known is not None and known[2] == device):
            self._person = (identity.crops, identity.landmarks, device)
            self._rows.clear()


@dataclass(frozen=True)
class HeadWarp:
    """Moves a person's first picture as the points of the face say."""

    net: DenseMotionNet
    """The dense motion."""

    kept: MotionsKept = field(default_factory=MotionsKept, compare=False, repr=False)
    """Motions that are asked for again: by the next window, and when frames are composited."""

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return next(self.net.parameters()).device

    @torch.no_grad()
    def motion(
        self,
        picture: Float[Tensor, "1 3 s s"],
        reference: Float[Tensor, "1 478 2"],
        landmarks: Float[Tensor, "n 478 2"],
    ) -> DenseMotion:
        """Return how the picture's pixels move.

        Args:
            picture: The reference in [-1, 1].
            reference: Its points.
            landmarks: Where they are to be, one row a frame.
        """
        rows, half = len(landmarks), SIDE // 2
        small = functional.interpolate(picture.to(landmarks.device), (SIDE, SIDE), mode="area")
        fixed = reference.to(landmarks).expand(rows, -1, -1)
        found = self.net(
            small.expand(rows, -1, -1, -1).contiguous(memory_format=torch.channels_last),
            contours(fixed[:1], half).expand(rows, -1, -1, -1),
            contours(landmarks, half),
            sparse_motion(fixed, landmarks, placement(fixed, landmarks), half),
        )
        return replace(found, flow=anchored(found.flow, fixed[:, _ANCHORS], landmarks[:, _ANCHORS]))

    def warped(self, identity: Identity, landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 3 s s"]:
        """Return the person's first crop moved to each frame, what stands still left where it is.

        It is what the denoiser is shown of the photograph. What the photograph does not show is only stretched.

        Args:
            identity: The person.
            landmarks: Points of each frame, in [-1, 1].
        """
        return moved_picture(identity.crops[:1].to(landmarks.device), self.motion_of(identity, landmarks))

    def motion_of(self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], last: bool = False) -> DenseMotion:
        """Return how the person's first crop moves, computed once for each frame.

        Args:
            identity: The person.
            landmarks: Points of each frame, in [-1, 1].
            last: Nobody asks for these frames again.
        """
        picture, points = (value[:1].to(landmarks.device) for value in (identity.crops, identity.landmarks))
        return self.kept.get(identity, landmarks, lambda rows: self.motion(picture, points, rows), last)

    def composite(
        self,
        video: Iterable[Frames],
        identity: Identity,
        maps: StructureMaps,
        size: int | None = None,
        edits: Float[Tensor, "frames *regions"] | float = 0.0,
        plain: Float[Tensor, "frames 3 d d"] | None = None,
    ) -> Iterator[Frames]:
        """Take what the photograph shows from the photograph, moved or as it is, and only the rest from the decoder.

        `own * decoded + warped * warp(photograph) + still * photograph`, at the photograph's resolution. The shares are
        those of the dense motion; where the prompt asks for another appearance, and the decoded picture plainly shows
        something else than the photograph, it is the decoded picture's.

        Args:
            video: Decoded frames in order.
            identity: The person, whose `portrait` is the photograph in its own resolution.
            maps: Of all frames.
            size: Side of the result in pixels; None: the portrait's own, at most `LARGEST`.
            edits: See `Stack.composite`.
            plain: Likewise.

        Yields:
            As many frames.
        """
        portrait = identity.crops[0] if identity.portrait is None else identity.portrait
        size = size or min(portrait.shape[-1], LARGEST)
        if portrait.shape[-1] != size:
            portrait = resize(portrait, size, size)
        wanted = torch.as_tensor(edits).float()
        wanted = (wanted if wanted.ndim == 2 else wanted.reshape(-1, 1)).expand(len(maps.landmarks), len(REGIONS))
        points = identity.landmarks[:1].to(self.device)
        rest = self.motion(identity.crops[:1].to(self.device), points, points).cpu()
        done = 0
        for frames in video:
            for part in frames.pixels.split(max(1, _AT_ONCE // size**2)):
                landmarks = maps.landmarks[done : done + len(part)].to(self.device)
                motion = calibrated(without_rim(self.motion_of(identity, landmarks, last=True).cpu(), rest), rest)
                asked = wanted[done : done + len(part)]
                without = None if plain is None else plain[done : done + len(part)].float()
                done += len(part)
                made = composited(part.float(), portrait, motion, asked, landmarks.cpu(), without)
                yield replace(frames, pixels=made)


def moved_picture(picture: Float[Tensor, "#n 3 s s"], motion: DenseMotion) -> Float[Tensor, "n 3 s s"]:
    """Move a picture; what stands still stays to the pixel.

    Args:
        picture: In [-1, 1].
        motion: Of each row.
    """
    moved, shares = warp_pixels(picture, motion)
    still = shares[:, 2:]
    return moved + still * (picture - moved)


def without_rim(motion: DenseMotion, rest: DenseMotion) -> DenseMotion:
    """Leave out the rim of a head in the photograph where the head has moved away from it.

    What stands still begins where the head ended, and there its outermost hairs are: left behind, they are a pale line
    around nothing. They are to be drawn.

    Args:
        motion: Of each frame.
        rest: Of the head as it is in the photograph, one row.

    Returns:
        The same motion, some of what stands still being drawn.
    """
    _, _, still = rest.shares.split(1, 1)
    rim = functional.max_pool2d(1 - still, 2 * _RIM + 1, 1, _RIM)
    away = (motion.flow - identity_grid(motion.flow)).norm(dim=1, keepdim=True) * motion.shares[:, 1:2]
    near = functional.max_pool2d(functional.max_pool2d(away, _BLOCK), 3, 1, 1)
    moved = functional.interpolate(near, away.shape[-2:], mode="bilinear", align_corners=False)
    left = motion.shares[:, 2:] * rim * ((moved - _NEAR) / (_FAR - _NEAR)).clamp(0, 1)
    return replace(motion, shares=motion.shares + torch.cat([left, torch.zeros_like(left), -left], 1))


def calibrated(motion: DenseMotion, rest: DenseMotion) -> DenseMotion:
    """Take away what the network's field is off where nothing has moved, so that a head at rest is the photograph.

    Args:
        motion: Of each frame.
        rest: Of the head as it is in the photograph, one row.

    Returns:
        The same motion; what has moved far stays as it is, for the network errs differently there.
    """
    away = (motion.flow - rest.flow).norm(dim=1, keepdim=True)
    error = rest.flow - identity_grid(rest.flow)
    return replace(motion, flow=motion.flow - torch.exp(-(away / _HARDLY).square()) * error)


def composited(
    decoded: Float[Tensor, "n 3 d d"],
    portrait: Float[Tensor, "3 s s"],
    motion: DenseMotion,
    edits: Float[Tensor, "n regions"] | None = None,
    landmarks: Float[Tensor, "n 478 2"] | None = None,
    plain: Float[Tensor, "n 3 d d"] | None = None,
) -> Float[Tensor, "n 3 s s"]:
    """Mix decoded frames and the photograph, see `HeadWarp.composite`.

    Args:
        decoded: Frames in [-1, 1].
        portrait: The photograph in the crop.
        motion: Of each frame.
        edits: How far the decoded picture counts in each of `edit_regions.REGIONS` where it shows something else, in
            [0, 1]; None: nowhere.
        landmarks: Of each frame, which say where the regions are.
        plain: Frames decoded without the prompt: then what counts is the difference that the prompt makes, and beards
            and glasses are laid over the photograph.
    """
    size = portrait.shape[-1]
    moved, shares = warp_pixels(portrait[None], motion)
    own, warped, still = shares.split(1, 1)
    shown = (warped * moved + still * portrait) / (warped + still).clamp(min=1e-3)
    large = decoded if decoded.shape[-1] == size else resize(decoded, size, size)
    drawn = own
    if edits is not None and landmarks is not None and bool(edits.any()):
        before = shown if plain is None else plain
        other = disagreement(decoded, before, 1 - own)
        where = region_maps(landmarks, _CELLS) * edits[:, :, None, None]
        new, behind, tinted, laid = (_enlarged(part * other, size) for part in _kinds(where, plain is not None))
        if bool(tinted.any()):
            shown = shown + tinted * warped * tint(decoded, before, size)
        if plain is not None and bool(laid.any()):
            shown = shown + laid * _enlarged(decoded - plain, size)
        head = ((warped - _HAIRS) / (1 - _HAIRS)).clamp(0, 1)
        drawn = own + (1 - own) * torch.maximum(new, behind * (1 - head))
    return torch.lerp(shown, large, drawn).clamp(-1, 1)


def _kinds(where: Float[Tensor, "n regions cells cells"], over: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return where something new is drawn, where behind the head, where colours are new, and where it is laid over."""
    laid = list(LAID_OVER) if over else []
    others = [k for k in range(len(REGIONS)) if k not in (BEHIND, TINTED, *laid)]
    over_it = where[:, laid].amax(1, keepdim=True) if laid else torch.zeros_like(where[:, :1])
    return where[:, others].amax(1, keepdim=True), where[:, [BEHIND]], where[:, [TINTED]], over_it


def tint(
    decoded: Float[Tensor, "n 3 d d"], before: Float[Tensor, "n 3 b b"], size: int
) -> Float[Tensor, "n 3 size size"]:
    """Return what to add to a picture to give it another's colours and keep its own detail.

    Args:
        decoded: Has the new colours.
        before: Has the old ones.
        size: Of the picture.
    """
    side, half = decoded.shape[-1], _TINT // 2
    apart = decoded - functional.interpolate(before, (side, side), mode="area")
    grey = (apart * apart.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    coloured = functional.pad(apart - _KEPT_LIGHT * grey, (half,) * 4, mode="replicate")
    return _enlarged(functional.avg_pool2d(coloured, _TINT, 1), size)


def _enlarged(values: Float[Tensor, "n c a a"], size: int) -> Float[Tensor, "n c size size"]:
    return functional.interpolate(values, (size, size), mode="bilinear", align_corners=False)


def disagreement(
    decoded: Float[Tensor, "n 3 d d"], shown: Float[Tensor, "n 3 s s"], known: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n 1 cells cells"]:
    """Say where two pictures show different things: not finer or coarser, but of another colour over some area.

    Args:
        decoded: What the denoiser drew.
        shown: What the photograph shows there.
        known: How much of it the photograph shows.

    Returns:
        1 where they differ, 0 where they agree.
    """
    small = (_CELLS, _CELLS)
    there = functional.interpolate(known, small, mode="area")
    first, second = (functional.interpolate(p, small, mode="area") for p in (decoded, shown))
    apart = (first - second).abs().amax(1, keepdim=True) * there
    near = functional.avg_pool2d(functional.pad(apart, (2, 2, 2, 2), mode="replicate"), 5, 1)
    rising = ((near - _AGREES) / (_DIFFERS - _AGREES)).clamp(0, 1)
    return rising * rising * (3 - 2 * rising)
