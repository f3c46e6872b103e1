"""The photograph, moved: dense motion put to work on a person and a motion, and pixels that exist taken from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.image import resize, to_side
from ..media.resampling import enlarged, sampled
from ..motion.geometry import contours, face_warp, placement
from ..nets.dense_motion import (
    DenseMotion,
    DenseMotionNet,
    anchored,
    lengths,
    nearness,
    sparse_motion,
    warp_pixels,
)
from ..parallel import frames_at_once, shared_out
from ..topology import EYES, IRISES, POINTS
from ..types import Frames, Identity, StructureMaps
from .edits.edited import edited
from .edits.regions import ASKED
from .face_parser import Parser
from .fine_detail import FineDetail
from .head_field import head_field
from .known import Known, KnownKept
from .layers import Layers, before_plate, taken_apart
from .lids import with_open_lids
from .lips import LipEdges, lip_edges
from .motions_kept import MotionsKept
from .resting import all_shown, calibrated, without_rim
from .scene import View
from .skull import with_skull
from .unseen import redrawn
from .whole_photograph import WholePhotograph, goes_beyond

SIDE = 128
"""Side of the reference that the network sees, and of its maps."""

LARGEST = 1024
"""Side in pixels of the largest crop that is moved unasked: beyond, time grows and little is seen of it."""

FINEST = 2560
"""Side in pixels of the largest crop that gets its photograph's detail back where it moves."""

_EYES = {*EYES[0], *EYES[1], *range(IRISES[0], POINTS)}
_ANCHORS = [k for k in range(POINTS) if k not in _EYES]  # lids that meet have two ways back: the network knows which

_LIDS, _EYE = [*EYES[0], *EYES[1]], 0.05  # points of both eyes, and their reach in [-1, 1]
_AGREE = 0.08  # of [-1, 1]: further apart, one of the two is wrong, the smooth one of a cheek that is turned away

_SEEN = 0.1  # share of a cell from which on what is drawn there may be seen


@dataclass(frozen=True)
class HeadWarp:
    """Moves a person's first picture as the points of the face say."""

    net: DenseMotionNet
    """The dense motion."""

    parser: Parser | None = None
    """Tells apart what belongs to whom; None: prompts change nothing, what a head uncovers is drawn, and teeth that the
    photograph shows stay between lips that meet."""

    depths: Float[Tensor, "478"] | None = field(default=None, compare=False, repr=False)
    """Of the points of any head, see `skull.with_skull`; None: forehead and hair go where the network has them go."""

    kept: MotionsKept = field(default_factory=MotionsKept, compare=False, repr=False)
    """Motions that are asked for again: by the next window, and when frames are composited."""

    looked: KnownKept = field(default_factory=KnownKept, compare=False, repr=False)
    """What is known of the photograph that moves."""

    fields: MotionsKept = field(default_factory=MotionsKept, compare=False, repr=False)
    """The same as frames are composited with them, for those of which it was asked whether anything is drawn."""

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
        sparse = sparse_motion(fixed, landmarks, placement(fixed, landmarks), half)
        found = self.net(
            small.expand(rows, -1, -1, -1).contiguous(memory_format=torch.channels_last),
            contours(fixed[:1], half).expand(rows, -1, -1, -1),
            contours(landmarks, half),
            sparse,
        )
        flow = anchored(found.flow, fixed[:, _ANCHORS], landmarks[:, _ANCHORS])
        # Where points are near, the smooth field between them is the better one, but for lids, see `_ANCHORS`.
        near = enlarged(sparse[:, 5:], flow.shape[-2:]).square() * (1 - nearness(landmarks[:, _LIDS], SIDE, _EYE))
        smooth = face_warp(fixed[:1], landmarks, SIDE).permute(0, 3, 1, 2)
        agree = torch.exp(-(lengths(smooth - flow) / _AGREE).square())
        return replace(found, flow=torch.lerp(flow, smooth, near * agree))

    def warped(
        self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], size: int | None = None
    ) -> Float[Tensor, "n 3 s s"]:
        """Return the person's first crop moved to each frame, what stands still left where it is.

        It is what the denoiser is shown of the photograph. What the photograph does not show is only stretched.

        Args:
            identity: The person.
            landmarks: Points of each frame, in [-1, 1].
            size: Side of the result in pixels; None: the crop's.
        """
        picture = identity.crops[:1].to(landmarks.device)
        if size is not None and size != picture.shape[-1]:
            picture = functional.interpolate(picture, (size, size), mode="area")
        return moved_picture(picture, self.motion_of(identity, landmarks))

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
        fine: bool = False,
        plain: Float[Tensor, "frames 3 d d"] | None = None,
        view: View | None = None,
    ) -> Iterator[Frames]:
        """Take what the photograph shows from the photograph, moved or as it is, and only the rest from the decoder.

        `own * decoded + warped * warp(photograph) + still * photograph`, at the photograph's resolution. The shares are
        those of the dense motion; where prompts ask for another appearance, `edits.edited` changes it. With
        `layers`, the person moves before the place, and what is not seen is its own pixels too, as far as they go.

        Args:
            video: Decoded frames in order.
            identity: The person, whose `portrait` is the photograph in its own resolution.
            maps: Of all frames.
            size: Side of the result in pixels; None: the portrait's own, at most `LARGEST`.
            edits: See `Stack.composite`.
            fine: Likewise.
            plain: The same frames decoded without prompts: what differs is what prompts change. Frames are then looks:
                the person as in the photograph, all of it shown. None: nobody has drawn them.
            view: Which part of the photograph the crop is, where more of it is changed; see `edits.edited`.

        Yields:
            As many frames.
        """
        known, photograph = self._known(identity, size), _photograph(identity)
        portrait, layers, lips = known.portrait, known.layers, known.lips
        wanted = torch.as_tensor(edits).float()
        wanted = (wanted if wanted.ndim == 2 else wanted.reshape(-1, 1)).expand(len(maps.landmarks), len(ASKED))
        detail = None
        if fine and size is None and layers is not None and photograph.shape[-1] > portrait.shape[-1]:
            detail = FineDetail.of(photograph, portrait, layers.matte, FINEST)
        mixed = partial(composited, portrait=portrait, layers=layers, lips=lips, detail=detail)
        done, said = 0, set[str]() if view is None else view.said
        largest_side = (portrait if detail is None else detail.person).shape[-1]
        at_once = frames_at_once(largest_side**2)
        for frames in video:
            for part in frames.pixels.split(at_once):
                landmarks = maps.landmarks[done : done + len(part)].to(self.device)
                motion = self._field(identity, landmarks, known, shown=plain is not None, last=True)
                asked = wanted[done : done + len(part)]
                without = None if plain is None else plain[done : done + len(part)].float()
                done += len(part)
                edit = self._edit(asked, landmarks.cpu(), without, said, view) if bool(asked.any()) else None
                parts = (part.float(), motion, landmarks.cpu())
                if edit is not None:  # which knows its frames
                    yield replace(frames, pixels=mixed(*parts, edit=edit))
                else:
                    yield replace(frames, pixels=_in_shares(mixed, *parts))
        self.looked.forget()

    def undrawn(
        self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], size: int | None = None, sure: bool = False
    ) -> Float[Tensor, "n 3 d d"] | None:
        """Return frames that do in place of decoded ones, see `Stack.undrawn`."""
        landmarks = landmarks.to(self.device)
        return self.warped(identity, landmarks, SIDE).cpu() if sure or self._whole(identity, landmarks, size) else None

    def _whole(self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], size: int | None) -> bool:
        """Return whether the photograph shows all of some frames, but for mouths."""
        known = self._known(identity, size)
        if known.layers is None:
            return False
        motion = self._field(identity, landmarks, known)
        person = sampled(known.layers.holds.solid, motion.flow, cubic=False)
        return float((redrawn(motion, landmarks.cpu()) * person).max()) <= _SEEN

    def _field(
        self,
        identity: Identity,
        landmarks: Float[Tensor, "n 478 2"],
        known: Known,
        shown: bool = False,
        last: bool = False,
    ) -> DenseMotion:
        """Return how the photograph moves in finished frames.

        Args:
            identity: The person.
            landmarks: Points of each frame, in [-1, 1].
            known: Of the photograph.
            shown: Whether all of it is to be seen, whatever the network doubts.
            last: Nobody asks for these frames again.
        """
        layers = known.layers

        def taking_along(rows: Float[Tensor, "k 478 2"]) -> Float[Tensor, "k 478 2"]:
            """Return the points that a field follows: frames of glasses stay while lids close behind them."""
            if layers is None or layers.glasses is None:
                return rows
            return with_open_lids(known.points, rows.cpu()).to(rows)

        def made(rows: Float[Tensor, "k 478 2"]) -> DenseMotion:
            motion, points = self.motion_of(identity, taking_along(rows)).cpu(), rows.cpu()
            motion = calibrated(without_rim(motion, known.rest) if layers is None else motion, known.rest)
            if self.depths is not None:
                motion = with_skull(motion, known.points, points, self.depths.cpu())
            motion = all_shown(motion) if shown else motion
            return motion if layers is None else replace(motion, flow=head_field(motion, layers.holds, points))

        def shared(rows: Float[Tensor, "k 478 2"]) -> DenseMotion:
            return DenseMotion.joined(shared_out(lambda part: made(rows[part]), len(rows), rows.device))

        motion = shared(landmarks) if shown else self.fields.get(identity, landmarks, shared, last)
        if last:
            self.kept.drop(landmarks)
            self.kept.drop(taking_along(landmarks))
        return motion

    def look(
        self,
        drawn: Frames,
        plain: Float[Tensor, "1 3 d d"],
        identity: Identity,
        rest: StructureMaps,
        asked: Float[Tensor, "1 asked"],
        size: int | None = None,
        whole: bool = False,
    ) -> Identity:
        """Return a person as a prompt wants the photograph to look; see `Stack.look`."""
        photograph, around, warp = identity.photograph, None, self
        beyond = whole and goes_beyond(asked) and bool(identity.places) and not identity.places[0].covers
        if beyond and photograph is not None and self.parser is not None:
            points = identity.landmarks[:1].cpu()
            whole_picture = photograph.cpu().float()
            around = WholePhotograph.read(whole_picture, identity.places[0], points, self.parser, identity.bystanders)
            warp = replace(self, parser=around.crop_parser)
        view = None if around is None else around.where.crop
        (made,) = warp.composite([drawn], identity, rest, size, asked, True, plain, view)
        (portrait,) = made.pixels
        side = identity.crops.shape[-1]
        first = resize(portrait, side, side)[None].to(identity.crops)
        if around is not None:
            photograph = around.edited(drawn.pixels, plain, asked)
        crops = torch.cat([first, identity.crops[1:]])
        return replace(identity, portrait=portrait, crops=crops, photograph=photograph)

    def _known(self, identity: Identity, size: int | None) -> Known:
        """Look at a photograph in the size of frames; what was seen of the last one is kept.

        Args:
            identity: The person.
            size: See `composite`.
        """
        return self.looked.get(identity, size, self.parser, lambda: self._look_at(identity, size))

    def _look_at(self, identity: Identity, size: int | None) -> Known:
        photograph = _photograph(identity)
        side = size or min(photograph.shape[-1], LARGEST)
        portrait = to_side(photograph, side)
        points = identity.landmarks[:1].to(self.device)
        rest, at = self.motion(identity.crops[:1].to(self.device), points, points).cpu(), points.cpu()
        if self.parser is None:
            return Known(portrait, at, rest, None, None)
        segments = self.parser.segments(portrait[None], at)
        place = identity.places[0] if identity.places else None
        layers = taken_apart(portrait, segments, at, SIDE, place)
        return Known(portrait, at, rest, layers, lip_edges(portrait[None], segments, at))

    def _edit(
        self,
        asked: Float[Tensor, "n asked"],
        landmarks: Float[Tensor, "n 478 2"],
        plain: Tensor | None,
        said: set[str],
        view: View | None,
    ) -> Callable[[Tensor, Tensor], Tensor] | None:
        if self.parser is None:
            return None
        parser = self.parser

        def edit(shown: Tensor, drawn: Tensor) -> Tensor:
            size = shown.shape[-1]
            without = None if plain is None else resize(plain, size, size)
            return edited(shown, drawn, without, asked, landmarks, parser, said, view)

        return edit


def _photograph(identity: Identity) -> Float[Tensor, "3 s s"]:
    return identity.crops[0] if identity.portrait is None else identity.portrait


def _in_shares(
    mixed: Callable[[Tensor, DenseMotion, Tensor], Tensor],
    decoded: Float[Tensor, "n 3 d d"],
    motion: DenseMotion,
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 3 l l"]:
    """Mix some frames on every core."""

    def share(rows: slice) -> Tensor:
        return mixed(decoded[rows], motion.rows(rows), landmarks[rows])

    return torch.cat(shared_out(share, len(decoded), decoded.device))


def moved_picture(picture: Float[Tensor, "#n 3 s s"], motion: DenseMotion) -> Float[Tensor, "n 3 s s"]:
    """Move a picture; what stands still stays to the pixel.

    Args:
        picture: In [-1, 1].
        motion: Of each row.
    """
    moved, shares = warp_pixels(picture, motion)
    moved, still = moved.clamp(-1, 1), shares[:, 2:]
    return moved + still * (picture - moved)


def composited(
    decoded: Float[Tensor, "n 3 d d"],
    motion: DenseMotion,
    landmarks: Float[Tensor, "n 478 2"],
    portrait: Float[Tensor, "3 s s"],
    edit: Callable[[Tensor, Tensor], Tensor] | None = None,
    layers: Layers | None = None,
    lips: LipEdges | None = None,
    detail: FineDetail | None = None,
) -> Float[Tensor, "n 3 l l"]:
    """Mix decoded frames and the photograph, see `HeadWarp.composite`.

    Args:
        decoded: Frames in [-1, 1].
        motion: Of each frame.
        landmarks: Of each frame, in [-1, 1].
        portrait: The photograph in the crop.
        edit: Changes the moved photograph as prompts want it; takes it and the decoded frames, at one size.
        layers: The portrait taken apart; None: the shares say what moves, and all that the photograph does not show the
            decoder draws.
        lips: Where they end in the photograph; None: they are shut there.
        detail: What a larger photograph has besides; None: the result is as large as `portrait`. Needs `layers`.
    """
    size, moved = portrait.shape[-1], None
    large = to_side(decoded, size) if layers is None or edit is not None else decoded
    if layers is None:
        warped_picture, shares = warp_pixels(portrait[None], motion)
        own, warped, still = shares.split(1, 1)
        shown = (warped * warped_picture + still * portrait) / (warped + still).clamp(min=1e-3)
        shown = torch.lerp(shown, large, own)
    else:
        moved = before_plate(large, layers, motion, landmarks, lips)
        shown = moved.pixels
    made = shown.clamp_(-1, 1) if edit is None else edit(shown, large).clamp(-1, 1)
    return made if detail is None or moved is None else detail.added(made, moved)
