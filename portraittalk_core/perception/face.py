"""Find faces in pictures: a thin layer over `insightface.app.FaceAnalysis`.

Any pack in insightface's layout serves: the one in the box, which is trained on rendered people and places MediaPipe's
478 points, or the public ones, which place 68 and 106.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..errors import MissingExtra, WeightsMismatch
from ..media.image import to_bytes
from ..types import Face
from .face_geometry import face_box
from .face_search import FaceSearch

if TYPE_CHECKING:
    from insightface.app import FaceAnalysis

IRIS_ROWS = (38, 88)
"""The rows of insightface's 106-point layout that hold the pupils: viewer's left, viewer's right."""

LONGEST_SIDE = 1280
"""Larger pictures are shrunk to this before detection by a public pack: its networks' crops are small, and bilinear
cropping of a huge picture would alias."""

THRESHOLD = 0.63
"""Least confidence of the detector. In photographs single portraits score 0.92 or more, faces of 45 pixels in a crowd
0.66 or more, and what is none up to 0.6."""

FACE_HINT = (
    "Use a picture in which a person's face is seen from the front, is at least 64 pixels wide and stands upright."
)
"""What a user can do where no face is found."""

POINTS = "landmark_2d_478"
"""What insightface calls a network of 478 points in the plane, whatever its file is called."""


class FaceAnalyser:
    """A finder of faces that places landmarks on each and embeds it.

    The files are loaded at the first picture.

    Args:
        directory: Folder of a face pack: detector, landmark networks (478 points; or 68 points in space and 106 in the
            plane) and recogniser as ONNX files.
        threshold: Least confidence of the detector, in [0, 1].
        hint: What a user can do where no face is found.
        providers: Execution providers of onnxruntime.
        detector: Folder of another pack whose detector is used in place of this one's, by a pack of 478 points.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        threshold: float = THRESHOLD,
        hint: str = FACE_HINT,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        detector: Path | None = None,
    ):
        self.directory = Path(directory)
        self.threshold = threshold
        self.hint = hint
        self.providers = list(providers)
        self.detector = detector
        self._analysis: FaceAnalysis | None = None

    def find(self, pixels: Float[Tensor, "3 h w"], portrait: bool = False) -> list[Face]:
        """Find the faces of one picture.

        Args:
            pixels: RGB in [-1, 1], of any size.
            portrait: Whether more care is taken, see `FaceSearch.find`; packs without a network for 478 points look no
                closer.

        Returns:
            The faces, largest first; empty where there is none. Boxes and landmarks (MediaPipe's 478 where the pack has
            a network for them, else iBUG's 68 and the irises) are in pixels of the picture, (0, 0) being its upper left
            corner.

        Raises:
            MissingExtra: When insightface or onnxruntime is not installed.
            WeightsMismatch: When the directory is no complete pack.
        """
        analysis = self._load()
        if POINTS in analysis.models:
            return _find_by_points(_search(analysis), pixels, portrait)
        picture, scale = _as_opencv(pixels, LONGEST_SIDE)
        with warnings.catch_warnings():
            # insightface calls a deprecated function of scikit-image for every face; the user cannot help it.
            warnings.filterwarnings("ignore", category=FutureWarning, module="insightface")
            found = analysis.get(picture)
        faces = [_face(face, scale) for face in found]
        return sorted(faces, key=lambda face: -float((face.box[2:] - face.box[:2]).prod()))

    def embed(self, pixels: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "478 2"]) -> Float[Tensor, "512"]:
        """Return the embedding, of unit length, of a face whose points are known; only packs of 478 points do.

        Args:
            pixels: RGB in [-1, 1], of any size.
            landmarks: MediaPipe's, in pixels of the picture.
        """
        picture, scale = _as_opencv(pixels)
        points = (landmarks / scale - 0.5).numpy().astype(np.float32)
        return torch.from_numpy(_search(self._load()).embed(picture, points))

    def _load(self) -> FaceAnalysis:
        if self._analysis is None:
            self._analysis = _open_pack(self.directory, self.providers)
            if self.detector is not None:
                self._analysis.models["detection"] = _other_detector(self.detector, self.providers)
            self._analysis.prepare(ctx_id=0, det_thresh=self.threshold, det_size=_detector_size(self._analysis))
        return self._analysis


def _open_pack(directory: Path, providers: list[str]) -> FaceAnalysis:
    if not sorted(directory.glob("*.onnx")):
        raise WeightsMismatch(
            f"a face pack must be a folder of .onnx files, but {directory} holds none. "
            "Give the folder that holds the files themselves, not the one above it."
        )
    try:
        from insightface.app import FaceAnalysis
    except ImportError as error:
        raise MissingExtra(
            f"finding faces needs insightface and onnxruntime, but {error.name} cannot be imported. "
            "Run: pip install insightface onnxruntime"
        ) from error
    try:
        analysis = FaceAnalysis(name=str(directory.resolve()), providers=providers)
    except AssertionError as error:
        raise WeightsMismatch(f"a face pack must hold a detector, but {directory} has none.") from error
    points = {POINTS} if POINTS in analysis.models else {"landmark_3d_68", "landmark_2d_106"}
    missing = ({"recognition"} | points) - set(analysis.models)
    if missing:
        raise WeightsMismatch(
            f"a face pack must hold {', '.join(sorted(missing))}, but {directory} does not. "
            "Use the tiny pack, antelopev2 or buffalo_l."
        )
    return analysis


def _detector_size(analysis: FaceAnalysis) -> tuple[int, int]:
    """Return the detector's own input size where its graph fixes one, otherwise insightface's usual 640."""
    shape: list[Any] = analysis.models["detection"].session.get_inputs()[0].shape
    return (shape[3], shape[2]) if isinstance(shape[2], int) and isinstance(shape[3], int) else (640, 640)


def _other_detector(directory: Path, providers: list[str]) -> Any:
    from insightface.app import FaceAnalysis

    try:
        return FaceAnalysis(name=str(directory.resolve()), allowed_modules=["detection"], providers=providers).det_model
    except AssertionError as error:
        raise WeightsMismatch(f"a face pack must hold a detector, but {directory} has none.") from error


def _search(analysis: FaceAnalysis) -> FaceSearch:
    models = analysis.models
    return FaceSearch(models["detection"], models[POINTS], models["recognition"], max(_detector_size(analysis)))


def _find_by_points(search: FaceSearch, pixels: Float[Tensor, "3 h w"], portrait: bool) -> list[Face]:
    picture, scale = _as_opencv(pixels)
    return [
        Face(
            box=(torch.from_numpy(face_box(found.points)) + 0.5) * scale.repeat(2),
            landmarks=(torch.from_numpy(found.points) + 0.5) * scale,
            score=found.score,
            embedding=torch.from_numpy(search.embed(picture, found.points)),
        )
        for found in search.find(picture, portrait)
    ]


def _as_opencv(
    pixels: Float[Tensor, "3 h w"], longest: int = 4096
) -> tuple[UInt8[np.ndarray, "h2 w2 3"], Float[Tensor, " 2"]]:
    """Return the picture as BGR bytes, shrunk where it is huge, and how much larger the original is in x and y."""
    import cv2

    height, width = pixels.shape[-2:]
    picture = np.ascontiguousarray(to_bytes(pixels).cpu().permute(1, 2, 0).numpy()[..., ::-1])
    shrink = longest / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return picture, torch.tensor([width / picture.shape[1], height / picture.shape[0]])


def _face(found: Any, scale: Float[Tensor, " 2"]) -> Face:
    """Make a record of what insightface found; OpenCV counts pixel centres, we count their corners."""
    plane = np.asarray(found.landmark_2d_106)[list(IRIS_ROWS)]
    points = np.concatenate([np.asarray(found.landmark_3d_68)[:, :2], plane]).astype(np.float32)
    return Face(
        box=torch.from_numpy(np.asarray(found.bbox, np.float32)) * scale.repeat(2),
        landmarks=(torch.from_numpy(points) + 0.5) * scale,
        score=float(found.det_score),
        embedding=torch.from_numpy(np.asarray(found.normed_embedding, np.float32)),
    )
