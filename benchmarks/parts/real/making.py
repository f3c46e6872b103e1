"""Make a moving portrait as the product does, and keep what lies between: decoded, composited, finished in an mp4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from portraittalk_core.compositing.head_warp import moved_picture
from portraittalk_core.media.image import cut_square, from_bytes, resize, to_bytes
from portraittalk_core.media.paste_back import paste_back
from portraittalk_core.media.video import VideoWriter, read_video
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import CropPlace, Frames, Identity, SpeechFeatures, StructureMaps

PROMPT = "a person"
"""Says nothing that the photograph does not show."""

SIDE = 256
"""Side of the crops that errors are measured on, pixels."""

_AT_ONCE = 8


@dataclass(frozen=True)
class Made:
    """A video and what it was made of."""

    decoded: UInt8[Tensor, "f 3 s s"]
    """The crop as the denoiser drew it, `SIDE` pixels large."""

    finished: UInt8[Tensor, "f 3 h w"]
    """The whole photograph as a player shows it: composited, pasted back, encoded and decoded."""


def make(
    model: PortraitTalk,
    photograph: Float[Tensor, "3 h w"],
    identity: Identity,
    maps: StructureMaps,
    features: SpeechFeatures | None,
    target: Path,
) -> Made:
    """Make a video from structure maps.

    Args:
        model: Tiny.
        photograph: That was identified.
        identity: Of it.
        maps: The motion.
        features: What is heard.
        target: An .mp4 file, which is kept.
    """
    stack: Any = model.stack
    prompts = PromptTrack(PROMPT, (), maps.fps, len(maps.landmarks))
    latents = model.animate(identity, maps, features, prompts, seed=0)
    decoded = [frames for video in latents for frames in stack.decode(video)]
    used = model.draw(identity, maps, features, prompts, seed=0)
    whole = paste_back(stack.composite(used, identity, maps, fine=True), photograph, identity.places[0])
    return Made(_bytes(replace(part, pixels=enlarged(part.pixels)) for part in decoded), through_mp4(whole, target))


def enlarged(pixels: Float[Tensor, "f 3 s s"]) -> Float[Tensor, "f 3 side side"]:
    """Return decoded frames, `SIDE` pixels large."""
    return pixels if pixels.shape[-1] == SIDE else torch.stack([resize(frame, SIDE, SIDE) for frame in pixels])


def _bytes(frames: Iterable[Frames]) -> UInt8[Tensor, "f 3 h w"]:
    return torch.cat([to_bytes(part.pixels) for part in frames])


def through_mp4(frames: Iterable[Frames], target: Path) -> UInt8[Tensor, "f 3 h w"]:
    """Write frames as the product writes them, and read them back.

    Args:
        frames: Of any size.
        target: An .mp4 file.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    parts = iter(frames)
    first = next(parts)
    height, width = first.pixels.shape[-2:]
    with VideoWriter(target, first.fps, (height, width)) as writer:
        writer.append(first.pixels)
        for part in parts:
            writer.append(part.pixels)
    read, _, _ = read_video(target)
    return _bytes(read)[:, :, :height, :width]  # odd sides are padded for the encoder


def chunks(levels: UInt8[Tensor, "f 3 h w"], fps: float) -> Iterator[Frames]:
    """Hand out frames a few at a time.

    Args:
        levels: 0 to 255.
        fps: Frames a second.
    """
    for part in levels.split(_AT_ONCE):
        yield Frames(from_bytes(part), fps)


def crops(levels: UInt8[Tensor, "f 3 h w"], place: CropPlace, size: int | None = None) -> Float[Tensor, "f 3 s s"]:
    """Cut the crop out of every frame.

    Args:
        levels: 0 to 255.
        place: Of the crop.
        size: Its side; None leaves it as it is in the picture.
    """
    cut = [cut_square(frame, place) for frame in levels]
    if size is None:
        return from_bytes(torch.stack(cut))
    return torch.stack([resize(from_bytes(picture), size, size) for picture in cut])


def moved_by_dense_motion(
    stack: Any, identity: Identity, maps: StructureMaps, picture: Float[Tensor, "1 3 s s"] | None = None
) -> tuple[Float[Tensor, "f 3 s s"], Float[Tensor, "f m m"]]:
    """Move the photograph's crop by the dense motion alone, and say what it takes to stand still.

    Args:
        stack: Tiny.
        identity: The person.
        maps: The motion.
        picture: The crop in another resolution; None: that which the model sees.

    Returns:
        The moved crops, and the share of standing still of each cell of the motion.
    """
    pictures: list[Tensor] = []
    still: list[Tensor] = []
    for part in maps.landmarks.to(stack.device).split(_AT_ONCE):
        shown = identity.crops[:1] if picture is None else picture
        pictures.append(moved_picture(shown.to(stack.device), stack.warp.motion_of(identity, part)).cpu())
        crop, points = (value[:1].to(stack.device) for value in (identity.crops, identity.landmarks))
        still.append(stack.warp.motion(crop, points, part).shares[:, 2].cpu())
    return torch.cat(pictures), torch.cat(still)
