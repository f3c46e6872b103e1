"""Other finders of faces in front of our own recogniser: MediaPipe's landmarker, or the detector of another pack."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..types import Face
from .face import FaceAnalyser
from .face_mesh import FaceMesher
from .identity import Finder


class MeshAnalyser:
    """A finder of faces whose points are MediaPipe's own, and who they are is what our recogniser says.

    Args:
        task: MediaPipe's face landmarker, a `.task` file.
        pack: Folder of our face pack.
    """

    def __init__(self, task: Path, pack: Path) -> None:
        self._mesher, self._analyser = FaceMesher(task), FaceAnalyser(pack)

    @property
    def hint(self) -> str:
        """What a user can do where no face is found."""
        return self._analyser.hint

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces of a picture (RGB in [-1, 1]), largest first; see `FaceAnalyser.find`.

        MediaPipe says nothing of how sure it is of each: all scores are 1.
        """
        found: list[Face] = []
        for mesh in self._mesher.find(pixels):
            points = mesh[:, :2]
            box = torch.cat([points[:468].amin(0), points[:468].amax(0)])
            found.append(Face(box, points, 1.0, self._analyser.embed(pixels, points)))
        return found


def open_faces(pack: Path, other: Path | str | None = None) -> Finder:
    """Open what finds faces for our own networks.

    Args:
        pack: Folder of our face pack, whose recogniser tells people apart in any case.
        other: MediaPipe's face landmarker (`.task`), or a folder with another pack of insightface, whose detector is
            used in place of ours; None for our pack alone.

    Raises:
        BadInput: When `other` is neither.
    """
    if other is None:
        return FaceAnalyser(pack)
    path = Path(other)
    if path.suffix == ".task" and path.is_file():
        return MeshAnalyser(path, pack)
    if path.is_dir():
        return FaceAnalyser(pack, detector=path)
    raise BadInput(
        f"`faces` must be MediaPipe's face landmarker (a .task file) or a folder of .onnx files, but got `{other}`. "
        "Leave it out for the bundled face pack."
    )
