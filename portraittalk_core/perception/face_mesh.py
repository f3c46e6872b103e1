"""Find the 478 points of MediaPipe's face mesh in photographs: a thin layer over its face landmarker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import MissingExtra, WeightsMismatch
from ..media.image import to_bytes
from .native_messages import without_native_messages

POINTS = 478
"""468 points of the mesh, then five of the right iris and five of the left, each beginning with its centre."""

PHOTOGRAPH_HINT = "Use a picture in which a person's face is seen from the front and is at least 64 pixels wide."
"""What a user can do where no face is found."""

_MOST_FACES = 16
_TILES = (2, 4, 8)
_LEAST_TILE = 192
_SAME_FACE = 0.4


class FaceMesher:
    """A finder of faces that places MediaPipe's landmarks on them.

    Its detector sees only faces that fill a good part of the picture; where it finds none, halves, quarters and eighths
    of the picture, which overlap, are searched too. The file is opened at the first picture.

    Args:
        path: The face landmarker (`.task`, see `portraittalk models where face-landmarker`).
        threshold: Least confidence of the detector, in [0, 1].
        hint: What a user can do where no face is found.
    """

    def __init__(self, path: Path | str, *, threshold: float = 0.5, hint: str = PHOTOGRAPH_HINT) -> None:
        self.path, self.threshold, self.hint = Path(path), threshold, hint
        self._landmarker: Any = None

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Float[Tensor, "478 3"]]:
        """Find the faces of one picture.

        Args:
            pixels: RGB in [-1, 1], of any size.

        Returns:
            Landmarks of each face, largest first, in pixels with (0, 0) at the upper left; the third column is depth,
            in pixels too, smaller being nearer.

        Raises:
            MissingExtra: When mediapipe cannot be used.
            WeightsMismatch: When the file is missing or no face landmarker.
        """
        picture = np.ascontiguousarray(to_bytes(pixels).cpu().permute(1, 2, 0).numpy())
        faces = self._detect(picture, 0, 0)
        if not faces:
            for top, left, side in _tiles(*picture.shape[:2]):
                faces += self._detect(np.ascontiguousarray(picture[top : top + side, left : left + side]), left, top)
        return _distinct(sorted(faces, key=lambda face: -_width(face)))

    def close(self) -> None:
        """Free the landmarker; the next picture opens it anew."""
        if self._landmarker is not None:
            self._landmarker.close()
            self._landmarker = None

    def _detect(self, picture: np.ndarray, left: int, top: int) -> list[Tensor]:
        with without_native_messages() if self._landmarker is None else nullcontext():
            landmarker, mediapipe = self._open()
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))
        height, width = picture.shape[:2]
        faces: list[Tensor] = []
        for points in found.face_landmarks:
            shares = torch.tensor([[p.x, p.y, p.z] for p in points])
            faces.append(shares * torch.tensor([width, height, width]) + torch.tensor([left, top, 0]))
        return faces

    def _open(self) -> tuple[Any, Any]:
        try:
            import mediapipe  # pyright: ignore[reportMissingImports] - an extra
            from mediapipe.tasks.python import BaseOptions, vision  # pyright: ignore[reportMissingImports]
        except (ImportError, OSError) as error:  # OSError: libEGL or libGLESv2 is not there
            raise MissingExtra(
                f"Landmarks of photographs need mediapipe, which cannot be used here ({error}). Run: pip install "
                "'mediapipe>=0.10.14'; on Debian also: apt install libegl1 libgles2."
            ) from error
        if self._landmarker is None:
            if not self.path.is_file():
                raise WeightsMismatch(f"{self.path}: there is no such file. Run `portraittalk models list`.")
            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(self.path)),
                num_faces=_MOST_FACES,
                min_face_detection_confidence=self.threshold,
            )
            try:
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
            except (RuntimeError, ValueError) as error:
                why = str(error).splitlines()[0]
                raise WeightsMismatch(f"{self.path}: is no face landmarker ({why}). Fetch face-landmarker.") from error
        return self._landmarker, mediapipe


def _tiles(height: int, width: int) -> Iterator[tuple[int, int, int]]:
    """Yield top, left and side of squares that overlap by half, larger ones first."""
    for parts in _TILES:
        side = max(height, width) // parts
        if side < _LEAST_TILE:
            return
        for top in range(0, max(1, height - side // 2), side // 2):
            for left in range(0, max(1, width - side // 2), side // 2):
                yield top, left, side


def _width(face: Float[Tensor, "478 3"]) -> float:
    return float(face[:, 0].max() - face[:, 0].min())


def _distinct(faces: list[Tensor]) -> list[Tensor]:
    """Leave out faces that were found in two tiles: those whose middles are near one another."""
    kept: list[Tensor] = []
    for face in faces:
        middle = face[:, :2].mean(0)
        if all(float((middle - other[:, :2].mean(0)).norm()) > _SAME_FACE * _width(other) for other in kept):
            kept.append(face)
    return kept
