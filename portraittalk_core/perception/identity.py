"""Turn pictures of one person into an `Identity`: embeddings, and crops framed like the training pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, NoFaceFound, WeightsMismatch
from ..media.image import cut_square
from ..types import LANDMARKS, Bystander, CropPlace, Face, Identity
from .framing import CENTRE, SIZE, face_frame

SIZE_RANGE = (0.75, 1.28)
"""Sizes of a face, as shares of the usual one, that need no new framing: those of the training pictures, and what
a landmark hidden by hair may be off."""

CENTRE_RANGE = 0.17
"""How far, in x and in y, the middle of a face may lie from its usual place without new framing."""


LEAST_LIKENESS = 0.35
"""Cosine similarity of two embeddings below which two pictures hardly show one person.

By the tiny pack two frames of one clip have 0.68 to 1, photographs of different people -0.34 to 0.58, and frames of
different people in one studio (GRID) up to 0.8: who looks alike is not told apart."""

logger = logging.getLogger(__name__)


class Finder(Protocol):
    """What `identify` needs of a `FaceAnalyser`."""

    @property
    def hint(self) -> str:
        """What a user can do where no face is found."""
        ...

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces of a picture (RGB in [-1, 1]), largest first; see `FaceAnalyser.find`."""
        ...


def identify(
    pictures: Sequence[Float[Tensor, "3 h w"]],
    analyser: Finder,
    *,
    face: int | None = None,
    size: int = 256,
    skip: bool = False,
) -> Identity:
    """Return who is in pictures that all show the same person.

    A square picture whose head is framed as in training comes back whole; others are cut around the head, never
    rotated, their edges repeated outwards where the cut reaches beyond them.

    Args:
        pictures: RGB in [-1, 1], of any size.
        analyser: Finds and embeds the faces.
        face: Which of several faces in a picture counts, 1 being the largest; None is the largest.
        size: Side of the crops, pixels.
        skip: Whether pictures without such a face are left out, as long as one picture has it.

    Returns:
        Embeddings, crops, landmarks and places of each picture, in the order of the pictures.

    Raises:
        NoFaceFound: When a picture has no face, or not as many as asked for.
        BadInput: When there is no picture, or `face` is below 1.
        WeightsMismatch: When the analyser's networks do not know MediaPipe's points.
    """
    if not pictures:
        raise BadInput("`pictures` must hold at least one picture, but got none. Give one or more pictures.")
    if face is not None and face < 1:
        raise BadInput(f"`face` must be 1 (the largest) or more, but got {face}. Leave it out for the largest.")
    chosen: list[Face] = []
    cuts: list[tuple[Tensor, Tensor]] = []
    places: list[CropPlace] = []
    portrait: Tensor | None = None
    photograph: Tensor | None = None
    bystanders: tuple[Bystander, ...] = ()
    for number, picture in enumerate(pictures, 1):
        try:
            found, others = _choose(analyser, picture, number, face)
        except NoFaceFound:
            if not skip or (number == len(pictures) and not chosen):
                raise
            continue
        chosen.append(found)
        places.append(crop_place(picture, found.landmarks))
        if portrait is None:
            portrait, photograph = cut_square(picture, places[-1]), picture
            bystanders = tuple(_bystander(picture, other) for other in others)
        cuts.append(_framed(picture, found.landmarks, places[-1], size))
    warn_of_strangers([found.embedding for found in chosen])
    return Identity(
        embeddings=torch.stack([found.embedding for found in chosen]),
        crops=torch.stack([crop for crop, _ in cuts]),
        landmarks=torch.stack([landmarks for _, landmarks in cuts]),
        places=tuple(places),
        portrait=portrait,
        photograph=photograph,
        bystanders=bystanders,
    )


def warn_of_strangers(embeddings: Sequence[Float[Tensor, "d"]]) -> None:
    """Say in the log which pictures seem to show somebody else than the first.

    Args:
        embeddings: Of the face in each picture.
    """
    first, *others = [F.normalize(embedding.float(), dim=0) for embedding in embeddings]
    for number, other in enumerate(others, 2):
        alike = float(first @ other)
        if alike < LEAST_LIKENESS:
            logger.warning(
                "Picture %d seems to show another person than the first (similarity %.2f, below %.2f). The face "
                "becomes a mixture of them. Leave it out if it is somebody else.",
                *(number, alike, LEAST_LIKENESS),
            )


def _choose(
    analyser: Finder, picture: Float[Tensor, "3 h w"], number: int, face: int | None
) -> tuple[Face, list[Face]]:
    """Return the face that is asked for, and the others."""
    faces = analyser.find(picture)
    if not faces:
        raise NoFaceFound(f"picture {number}: no face was found in it. {analyser.hint}")
    wanted = face or 1
    if wanted > len(faces):
        count = "is 1 face" if len(faces) == 1 else f"are {len(faces)} faces"
        raise NoFaceFound(
            f"picture {number}: `face` must be at most the number of faces, but got {wanted} and there {count}. "
            "Leave it out for the largest."
        )
    found = faces[wanted - 1]
    if len(found.landmarks) != LANDMARKS:
        raise WeightsMismatch(
            f"the face pack must place MediaPipe's {LANDMARKS} points, but places {len(found.landmarks)}. Use the pack "
            "of the tiny model; antelopev2 and buffalo_l serve the SD1.5 models only."
        )
    return found, [other for other in faces if other is not found]


def frame(
    picture: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "478 2"], size: int
) -> tuple[Float[Tensor, "3 size size"], Float[Tensor, "478 2"]]:
    """Frame a picture like a training picture.

    Args:
        picture: RGB in [-1, 1].
        landmarks: Of the face, in pixels of the picture.
        size: Side of the crop, pixels.

    Returns:
        The crop, and the landmarks in its own [-1, 1].
    """
    return _framed(picture, landmarks, crop_place(picture, landmarks), size)


def crop_place(picture: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "478 2"]) -> CropPlace:
    """Return the square that frames a head as in training.

    Args:
        picture: RGB in [-1, 1].
        landmarks: Of the face, in pixels of the picture.

    Returns:
        The whole picture where it is square and well framed, else a square around the head, not always inside it.
    """
    height, width = picture.shape[-2:]
    left, top, side = 0, 0, width
    if height != width or not _well_framed(landmarks / width * 2 - 1):
        left, top, side = _square_around(landmarks)
    return CropPlace(left, top, side, height, width)


def _bystander(picture: Float[Tensor, "3 h w"], face: Face) -> Bystander:
    place = CropPlace(*_square_around(face.landmarks), *picture.shape[-2:])
    corner = torch.tensor([place.left, place.top])
    return Bystander(place, ((face.landmarks - corner) / place.side * 2 - 1)[None])


def _framed(picture: Tensor, landmarks: Tensor, place: CropPlace, size: int) -> tuple[Tensor, Tensor]:
    crop = cut_square(picture, place)
    if place.side != size:
        crop = F.interpolate(crop[None], (size, size), mode="bilinear", antialias=True)[0].clamp(-1, 1)
    return crop.clone(), (landmarks - torch.tensor([place.left, place.top])) / place.side * 2 - 1


def _well_framed(landmarks: Float[Tensor, "478 2"]) -> bool:
    centre, size = face_frame(landmarks.numpy())
    off = max(abs(float(at) - usual) for at, usual in zip(centre, CENTRE))
    return SIZE_RANGE[0] <= size / SIZE <= SIZE_RANGE[1] and off <= CENTRE_RANGE


def _square_around(landmarks: Float[Tensor, "478 2"]) -> tuple[int, int, int]:
    """Return left, top and side, in whole pixels, of the square in which the head has its usual size and place."""
    centre, size = face_frame(landmarks.numpy())
    side = max(8, round(2 * size / SIZE))
    left, top = (round(float(at) - (usual + 1) / 2 * side) for at, usual in zip(centre, CENTRE))
    return left, top, side
