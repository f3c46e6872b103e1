"""What Paste Back does: compose the frames with the photograph, piece by piece, and put them back into it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.utils
import torch
from jaxtyping import Float
from torch import Tensor

from ..portraittalk_core.drawing import AT_ONCE as ASKED_AT_ONCE
from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.looks import Span, joined
from ..portraittalk_core.media.paste_back import covered, paste_over
from ..portraittalk_core.types import CropPlace, Frames
from . import convert

if TYPE_CHECKING:
    from .hosted_stack import BoundIdentity, Motion
    from .looks import Look

AT_ONCE = 4
"""Frames between which the bar moves and the host may interrupt."""

SMALLEST_SIZE = 64
"""Least side of the square that is moved, pixels."""

Region = tuple[slice, slice]


def are_seen(bound: BoundIdentity, motion: Motion, size: int, edits: Tensor | float = 0.0) -> bool:
    """Say whether anything of the decoded frames of a video would be seen.

    Args:
        bound: See `paste`, here and below.
        motion: That the sampler gets.
        size: Side of the square that is moved.
        edits: How far decoded frames count where they show something else.

    Raises:
        BadInput: For inputs that do not belong together.
    """
    if bool(torch.as_tensor(edits).any()):
        return True
    maps = bound.hosted.stack.structure(motion, bound.identity)
    bound.hosted.bring_moving()
    for _, look, own, count in _shown_of(bound, maps, motion.frame_count):
        for first in range(0, count, ASKED_AT_ONCE):
            comfy.model_management.throw_exception_if_processing_interrupted()
            if look.stack.undrawn(look.identity, own, slice(first, first + ASKED_AT_ONCE), size or None) is None:
                return True
    return False


def paste(
    images: Tensor | None,
    bound: BoundIdentity,
    motion: Motion,
    whole: bool,
    size: int,
    photograph: Tensor | None = None,
    edits: Tensor | float = 0.0,
) -> Tensor:
    """Make the finished pictures of a video.

    Args:
        images: IMAGE of the decoded frames; None where nothing of them would be seen, as `are_seen` says.
        bound: The person, and the photograph that they were found in.
        motion: That the sampler got.
        whole: Whether the photograph is shown, else the square around the head.
        size: Side of the square that is moved, pixels; 0 is the photograph's own.
        photograph: IMAGE in place of the one that the person was found in; prompts change nothing around the crop then.
        edits: How far decoded frames count where they show something else, in [0, 1], one number for all or one a
            frame; see `Stack.composite`. Where prompts have been drawn into the photograph, one number.

    Returns:
        IMAGE. Odd sides are made even by repeating the last row or column, for no usual video has odd ones.

    Raises:
        BadInput: For inputs that do not belong together, and for more pictures than there is memory for.
    """
    count = _check(images, motion, size)
    shown = _shown(bound, photograph, count) if whole else None
    frames = _composited(images, bound, motion, size, edits, fine=whole, changed=whole and photograph is None)
    if shown is None:
        first = next(frames)
        side = first.pixels.shape[-1]
        _check_memory(count, side, side)
        return _filled(itertools.chain([first], frames), count, torch.zeros(side, side, 3), (slice(side), slice(side)))
    place: CropPlace = bound.identity.places[0]
    picture = convert.pictures(shown[None])[0]
    return _filled(paste_over(frames, picture, place), count, shown, covered(place))


def _check(images: Tensor | None, motion: Motion, size: int) -> int:
    side = (motion.frame_count, SMALLEST_SIZE, SMALLEST_SIZE)
    count, height, width = side if images is None else images.shape[:3]
    if count != motion.frame_count:
        raise BadInput(
            f"`images` must be the {motion.frame_count} frames of this motion, but got {count}. Connect VAE Decode, "
            "and the Speech to Motion that the sampler got."
        )
    if height != width:
        raise BadInput(f"`images` must be square, as VAE Decode gives them, but got {width} x {height}. Connect those.")
    if 0 < size < SMALLEST_SIZE:
        raise BadInput(f"`size` must be 0 or at least {SMALLEST_SIZE} pixels, but got {size}. Choose 0.")
    return count


def _shown(bound: BoundIdentity, photograph: Tensor | None, count: int) -> Float[Tensor, "h w 3"]:
    """Return the picture that is pasted into, as IMAGE without transparency."""
    if not bound.identity.places:
        raise BadInput(
            "`identity` must know where the head lies in its picture, but does not. Connect Load Identity, or choose "
            "the frame `crop`."
        )
    place: CropPlace = bound.identity.places[0]
    if photograph is None:
        if bound.photograph is None:
            raise BadInput("`photograph` must be connected, for this identity brings none. Connect Load Image.")
        photograph = bound.photograph[None]
    if len(photograph) != 1:
        raise BadInput(
            f"`photograph` must be one picture, but got {len(photograph)}. Disconnect it: Load Identity knows its own."
        )
    height, width = photograph.shape[1:3]
    if (height, width) != (place.height, place.width):
        raise BadInput(
            f"`photograph` must be as large as the picture given to Load Identity, {place.width} x {place.height}, but "
            f"has {width} x {height}. Connect that picture, or disconnect it."
        )
    _check_memory(count, height, width)
    return convert.opaque(photograph)[0]


def _check_memory(count: int, height: int, width: int) -> None:
    """Say at once what the host would be ended for half an hour later."""
    wanted = count * (height + height % 2) * (width + width % 2) * 3 * 4
    free = comfy.model_management.get_free_memory(torch.device("cpu"))
    if wanted > free:
        raise BadInput(
            f"{count} pictures of {width} x {height} must fit into the memory, {wanted / 2**30:.1f} GiB, but "
            f"{free / 2**30:.1f} are free. Scale the picture down before Load Identity, choose the frame `crop`, or "
            "take less sound."
        )


def _composited(
    images: Tensor | None,
    bound: BoundIdentity,
    motion: Motion,
    size: int,
    edits: Tensor | float,
    fine: bool,
    changed: bool,
) -> Iterator[Frames]:
    """Yield the frames of the crop; they bring the photograph as prompts have changed it, if that is asked for."""
    hosted, identity = bound.hosted, bound.identity
    maps = hosted.stack.structure(motion, identity)
    hosted.bring_moving()

    def made(span: Span, look: Look, own: Any, count: int) -> Iterator[Frames]:
        if images is None:
            frames = _undrawn(look, own, count, size)
        else:
            first = span.first if len(parts) > 1 else 0
            frames = _decoded(images[first : first + count], motion.fps)
        composited = look.stack.composite(frames, look.identity, own, size or None, edits, fine=fine)
        behind = look.identity.photograph if changed and bound.looks else None
        return (replace(part, photograph=behind) for part in composited)

    parts = _shown_of(bound, maps, motion.frame_count)
    if bound.looks is None or len(parts) == 1:
        return made(*parts[0])
    weights = bound.looks.over(motion.frame_count).weights
    return joined((made(*part) for part in parts), [span for span, *_ in parts], weights)


def _shown_of(bound: BoundIdentity, maps: Any, count: int) -> list[tuple[Span, Look, Any, int]]:
    """Return where each look of a video is seen, it, and maps and number of the frames in which it is made."""
    spans = bound.looks.over(count).spans if bound.looks else (Span(0, 0, count),)
    if len(spans) == 1:  # maps of public files cannot be cut
        return [(spans[0], bound.each[spans[0].number], maps, count)]
    return [(span, bound.each[span.number], span.of_maps(maps), span.end - span.first) for span in spans]


def _decoded(images: Tensor, fps: float) -> Iterator[Frames]:
    return (Frames(torch.stack(convert.pictures(part)), fps) for part in images.split(AT_ONCE))


def _undrawn(look: Look, maps: Any, count: int, size: int) -> Iterator[Frames]:
    """Yield what does in place of decoded frames, of which nothing would be seen."""
    for first in range(0, count, AT_ONCE):
        frames = look.stack.undrawn(look.identity, maps, slice(first, first + AT_ONCE), size or None, sure=True)
        if frames is None:
            raise BadInput("`images` must be connected for this model. Connect VAE Decode.")
        yield frames


def _filled(parts: Iterable[Frames], count: int, ground: Float[Tensor, "h w 3"], region: Region) -> Tensor:
    """Return IMAGE of pictures that lie over a region of a ground, or of the photograph that they bring.

    Only the result is as long as the video.
    """
    height, width = ground.shape[:2]
    made = torch.empty(count, height + height % 2, width + width % 2, 3)
    bar, done, shown = comfy.utils.ProgressBar(count), 0, None
    for part in parts:
        if part.photograph is not None and part.photograph is not shown:
            shown = part.photograph
            ground = convert.images(shown[None])[0]
        comfy.model_management.throw_exception_if_processing_interrupted()
        rows = made[done : done + len(part.pixels)]
        rows[:, :height, :width] = ground
        rows[:, region[0], region[1]] = convert.images(part.pixels)
        rows[:, height:] = rows[:, height - 1 : height]
        rows[:, :, width:] = rows[:, :, width - 1 : width]
        done += len(rows)
        bar.update_absolute(done, count)
    return made
