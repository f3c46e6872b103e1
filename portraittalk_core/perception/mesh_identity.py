"""Who is in photographs, with the points of the face mesh: what a stack of public files begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, NoFaceFound
from ..media.image import cut_square
from ..types import CropPlace, Face
from .clip_input import aligned_face
from .face_drawing import CONTROLNET
from .identity import Finder, warn_of_strangers

FACE_SHARE = 0.45
"""Height of the face mesh, brow to chin, over the side of a picture that is cut anew."""

SHARES = (0.28, 0.72)
"""Heights that need no new cut, if the picture is square."""

_ABOVE = 0.46

FACE_OVAL = tuple(CONTROLNET[0][1][0])
"""The points of the mesh along the face's oval."""


@dataclass(frozen=True)
class MeshIdentity:
    """Who a person is, from n reference pictures, of which the first is the one that moves."""

    crops: Float[Tensor, "n 3 size size"]
    """Square pictures around the face, RGB in [-1, 1]."""
    landmarks: Float[Tensor, "n 478 3"]
    """Points of the face mesh: x and y as shares of the crop, depth in the same unit, smaller being nearer."""
    embeddings: Float[Tensor, "n 512"] | None = None
    """Face embeddings of insightface, of unit length; None without insightface."""
    faces: Float[Tensor, "n 3 224 224"] | None = None
    """Upright close-ups for CLIP, RGB in [-1, 1]; None without insightface."""
    places: tuple[CropPlace, ...] = ()
    """Where each crop lies in its picture; empty where that is not known."""

    @property
    def outlines(self) -> Float[Tensor, "n points 2"]:
        """The oval of the face in each crop, as shares of its side."""
        return self.landmarks[:, list(FACE_OVAL), :2]

    @classmethod
    def join(cls, parts: Sequence[MeshIdentity]) -> MeshIdentity:
        """Join pictures of one person that were looked at one by one.

        Args:
            parts: All with, or all without what only insightface gives.

        Returns:
            One identity.
        """
        embeddings = [one.embeddings for one in parts if one.embeddings is not None]
        faces = [one.faces for one in parts if one.faces is not None]
        return cls(
            torch.cat([one.crops for one in parts]),
            torch.cat([one.landmarks for one in parts]),
            torch.cat(embeddings) if embeddings else None,
            torch.cat(faces) if faces else None,
            tuple(place for one in parts for place in one.places),
        )


class Mesher(Protocol):
    """What `identify_mesh` needs of a `FaceMesher`."""

    hint: str
    """What a user can do where no face is found."""

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Float[Tensor, "478 3"]]:
        """Return the faces of a picture (RGB in [-1, 1]), largest first; see `FaceMesher.find`."""
        ...


def identify_mesh(
    pictures: Sequence[Float[Tensor, "3 h w"]],
    mesher: Mesher,
    analyser: Finder | None = None,
    *,
    face: int | None = None,
    size: int = 512,
) -> MeshIdentity:
    """Return who is in pictures that all show the same person.

    A square picture in which the face has a usual size comes back whole; of others a square around the face is cut,
    never beyond the picture.

    Args:
        pictures: RGB in [-1, 1], of any size.
        mesher: Finds the points of the face mesh.
        analyser: Embeds the faces; None leaves embeddings and close-ups out.
        face: Which of several faces in a picture counts, 1 being the largest; None is the largest.
        size: Side of the crops, pixels.

    Returns:
        What is known of each picture, in the order of the pictures.

    Raises:
        NoFaceFound: When a picture has no face, not as many as asked for, or one that only one of the two finders sees.
        BadInput: When there is no picture, or `face` is below 1.
    """
    if not pictures or (face is not None and face < 1):
        raise BadInput(
            f"`pictures` must hold at least one and `face` be 1 or more, but got {len(pictures)} and {face}. Leave "
            "`face` out for the largest."
        )
    crops: list[Tensor] = []
    landmarks: list[Tensor] = []
    seen: list[Face] = []
    upright: list[Tensor] = []
    places: list[CropPlace] = []
    for number, picture in enumerate(pictures, 1):
        points = _chosen(mesher, picture, number, face)
        places.append(portrait_place(picture, points))
        crop, placed = _framed(picture, points, places[-1], size)
        crops.append(crop)
        landmarks.append(placed)
        if analyser is not None:
            seen.append(_same_face(analyser, picture, points, number))
            upright.append(aligned_face(picture, seen[-1].ibug))
    if analyser is None:
        return MeshIdentity(torch.stack(crops), torch.stack(landmarks), places=tuple(places))
    embeddings = torch.stack([found.embedding for found in seen])
    warn_of_strangers(list(embeddings))
    return MeshIdentity(torch.stack(crops), torch.stack(landmarks), embeddings, torch.stack(upright), tuple(places))


def frame_portrait(
    picture: Float[Tensor, "3 h w"], points: Float[Tensor, "478 3"], size: int
) -> tuple[Float[Tensor, "3 size size"], Float[Tensor, "478 3"]]:
    """Cut a square picture around a face.

    Args:
        picture: RGB in [-1, 1].
        points: Of the face mesh, in pixels of the picture.
        size: Side of the crop, pixels.

    Returns:
        The crop, and the points as shares of it.
    """
    return _framed(picture, points, portrait_place(picture, points), size)


def portrait_place(picture: Float[Tensor, "3 h w"], points: Float[Tensor, "478 3"]) -> CropPlace:
    """Return the square that frames a face.

    Args:
        picture: RGB in [-1, 1].
        points: Of the face mesh, in pixels of the picture.

    Returns:
        The whole picture where it is square and the face has a usual size in it, else a square around the face.
    """
    height, width = picture.shape[-2:]
    low, high = points[:, :2].amin(0), points[:, :2].amax(0)
    tall = float(high[1] - low[1])
    share = tall / height
    side, left, top = min(height, width), 0, 0
    if height != width or not SHARES[0] <= share <= SHARES[1]:
        side = max(8, min(side, round(tall / FACE_SHARE)))
        middle = (low + high) / 2
        left = min(max(0, round(float(middle[0]) - side / 2)), width - side)
        top = min(max(0, round(float(middle[1]) - side * _ABOVE)), height - side)
    return CropPlace(left, top, side, height, width)


def _framed(picture: Tensor, points: Tensor, place: CropPlace, size: int) -> tuple[Tensor, Tensor]:
    crop = cut_square(picture, place)
    if place.side != size:
        crop = F.interpolate(crop[None], (size, size), mode="bicubic", antialias=True)[0].clamp(-1, 1)
    return crop.clone(), (points - torch.tensor([place.left, place.top, 0.0])) / place.side


def _chosen(mesher: Mesher, picture: Tensor, number: int, face: int | None) -> Tensor:
    faces = mesher.find(picture)
    if not faces:
        raise NoFaceFound(f"picture {number}: no face was found in it. {mesher.hint}")
    if (face or 1) > len(faces):
        raise NoFaceFound(
            f"picture {number}: `face` must be at most the number of faces, {len(faces)}, but got {face}. Leave it out "
            "for the largest."
        )
    return faces[(face or 1) - 1]


def _same_face(analyser: Finder, picture: Tensor, points: Tensor, number: int) -> Face:
    """Return insightface's view of the face that the mesh is on."""
    middle = points[:, :2].mean(0)
    inside = [
        found for found in analyser.find(picture) if bool(((middle > found.box[:2]) & (middle < found.box[2:])).all())
    ]
    if not inside:
        raise NoFaceFound(
            f"picture {number}: MediaPipe sees a face that insightface does not, and only that tells who it is. "
            f"{analyser.hint}"
        )
    return min(inside, key=lambda found: float((middle - (found.box[:2] + found.box[2:]) / 2).norm()))
