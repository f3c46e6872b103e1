"""What Load Identity does, beyond one call of the stack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..portraittalk_core.media.image import cut_square, resize
from ..portraittalk_core.perception.mesh_identity import MeshIdentity
from ..portraittalk_core.types import Identity
from . import convert
from .hosted_stack import BoundIdentity, HostedStack

Pictures = Sequence[Float[Tensor, "3 h w"]]


def find(hosted: HostedStack, image: Tensor, mask: Tensor | None, face: int, skip: bool) -> BoundIdentity:
    """Find the person in pictures.

    Args:
        hosted: The model.
        image: IMAGE of one person.
        mask: MASK: where the face is looked for. What the model and the video show is the whole picture.
        face: Which of several faces, 1 the largest.
        skip: Leave out pictures without such a face.

    Returns:
        The person, with the first of their pictures.

    Raises:
        BadInput: For an empty mask.
        NoFaceFound: See `Stack.identify`.
    """
    seen = convert.pictures(convert.masked(image, mask))
    identity = hosted.stack.identify(seen, face=face, skip_missing=skip)
    used = _used(seen, identity)
    if mask is not None:
        identity = _unmasked(identity, [convert.pictures(image[number : number + 1])[0] for number in used])
    return BoundIdentity(identity, hosted, image[used[0]])


def _used(pictures: Pictures, identity: Identity | MeshIdentity) -> list[int]:
    """Return which pictures an identity was made of: all, or those that its crops are cut out of."""
    if len(identity.places) in (0, len(pictures)):  # none: of files that do not say
        return list(range(len(pictures)))
    used = [-1]
    for place, crop in zip(identity.places, identity.crops):
        side = crop.shape[-1]
        off = {
            number: float((resize(cut_square(pictures[number], place), side, side) - crop).abs().mean())
            for number in range(used[-1] + 1, len(pictures))
        }
        used.append(min(off, key=off.__getitem__))
    return used[1:]


def _unmasked(identity: Identity | MeshIdentity, pictures: Pictures) -> Identity | MeshIdentity:
    """Return an identity that was found in masked pictures, with what the pictures show."""
    size = identity.crops.shape[-1]
    cut = [cut_square(picture, place) for picture, place in zip(pictures, identity.places)]
    crops = torch.stack([resize(square, size, size) for square in cut])
    if isinstance(identity, MeshIdentity):
        return replace(identity, crops=crops)
    return replace(identity, crops=crops, portrait=cut[0], photograph=pictures[0])
