"""Follow one face through a video: pictures become a track of landmarks, by whichever detector the user has."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.catalogue import find, search_folders, select
from ...checkpoints.native import model_folder
from ...errors import BadInput, BadMedia, MissingExtra, WeightsMismatch
from ...media.image import to_bytes
from ...metrics.functional import mean_colour, sharpness
from ...perception.face import FaceAnalyser
from ...perception.native_messages import without_native_messages
from ...topology import IBUG
from ...types import LANDMARKS, Face, Frames

logger = logging.getLogger(__name__)

TINY = "tiny"
"""What `--faces` calls the pack of the tiny model."""

SURE_SCORE = 0.8
"""Detector's score from which on its landmarks are trusted, 0 to 1."""


@dataclass(frozen=True)
class Sighting:
    """A face in one picture."""

    landmarks: Float[Tensor, "70 2"]
    """iBUG's 68 points and the irises, in pixels, x to the right and y down."""

    mesh: Float[Tensor, "478 2"] | None = None
    """MediaPipe's points likewise; None where the detector does not know them."""

    embedding: Float[Tensor, "d"] | None = None
    """Of unit length; None where the detector has none."""

    sure: bool = True
    """Whether the detector is sure enough of it for its landmarks to be trusted."""


FindNext = Callable[[Float[Tensor, "3 h w"]], list[Sighting]]
"""Finds the faces of the next picture of a video, in [-1, 1]; the largest comes first."""


class Finder(Protocol):
    """Finds faces in the pictures of a video, one after the other."""

    @property
    def name(self) -> str:
        """What the report says of it: figures of two detectors do not compare."""
        ...

    @property
    def hint(self) -> str:
        """What a user can do where it finds no face."""
        ...

    def video(self, fps: float) -> AbstractContextManager[FindNext]:
        """Begin a video.

        Args:
            fps: Its pictures a second.

        Returns:
            A context that gives a function to be called with every picture in turn; it may remember the one before.
        """
        ...


@dataclass(frozen=True)
class PackFinder:
    """Finds faces in every picture anew, by a pack in insightface's layout."""

    faces: PictureFinder
    """Finds and measures the faces of a picture."""

    name: str
    """Of the pack."""

    recognises: bool = False
    """Whether its embeddings are those that the field's CSIM is defined on; the tiny pack's are not."""

    min_score: float = 0.0
    """Detector's score from which on its landmarks are trusted, 0 to 1."""

    @property
    def hint(self) -> str:
        """What the pack says where it finds no face, and what other detectors there are."""
        other = mediapipe_task()
        return f"{self.faces.hint} Name another detector with --faces{f', such as {other}' if other else ''}."

    @contextlib.contextmanager
    def video(self, fps: float) -> Generator[FindNext, None, None]:
        """Begin a video; nothing is remembered between its pictures.

        Args:
            fps: Its pictures a second, which do not matter here.

        Yields:
            A function that finds the faces of a picture.
        """

        def find(pixels: Float[Tensor, "3 h w"]) -> list[Sighting]:
            return [self._sighting(face) for face in self.faces.find(pixels)]

        yield find

    def _sighting(self, face: Face) -> Sighting:
        mesh = face.landmarks if len(face.landmarks) == LANDMARKS else None
        return Sighting(face.ibug, mesh, face.embedding, face.score >= self.min_score)


class PictureFinder(Protocol):
    """What `PackFinder` needs of a `FaceAnalyser`."""

    @property
    def hint(self) -> str:
        """What a user can do where it finds no face."""
        ...

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Find the faces of a picture.

        Args:
            pixels: In [-1, 1].

        Returns:
            The faces, the largest first.
        """
        ...


@dataclass(frozen=True)
class MeshFinder:
    """Follows a face by MediaPipe's FaceLandmarker, which smooths over time."""

    task: Path
    """Its model, a `.task` file."""

    @property
    def name(self) -> str:
        """The model's file and MediaPipe's mode."""
        return f"mediapipe {self.task.name}, video mode"

    @property
    def hint(self) -> str:
        """What a user can do where it finds no face."""
        return "It finds faces of people from the front."

    @contextlib.contextmanager
    def video(self, fps: float) -> Generator[FindNext, None, None]:
        """Begin a video.

        Args:
            fps: Its pictures a second, from which MediaPipe's time stamps are made.

        Yields:
            A function that follows the face from picture to picture.

        Raises:
            MissingExtra: When mediapipe cannot be imported.
            WeightsMismatch: When the file is no FaceLandmarker.
        """
        mediapipe, vision, options = _mesh_options(self.task)
        try:
            with without_native_messages():
                landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise WeightsMismatch(
                f"`--faces` must be a FaceLandmarker model, but MediaPipe cannot open {self.task} ({error})."
            ) from error
        count = 0

        def find(pixels: Float[Tensor, "3 h w"]) -> list[Sighting]:
            nonlocal count
            levels = to_bytes(pixels).permute(1, 2, 0).contiguous().cpu().numpy()
            picture = mediapipe.Image(mediapipe.ImageFormat.SRGB, levels)
            with contextlib.nullcontext() if count else without_native_messages():
                found = landmarker.detect_for_video(picture, round(count / fps * 1000))
            count += 1
            size = torch.tensor([pixels.shape[-1], pixels.shape[-2]])
            meshes = [torch.tensor([[point.x, point.y] for point in face]) * size for face in found.face_landmarks]
            seen = [Sighting(mesh[list(IBUG)], mesh) for mesh in meshes]
            return sorted(seen, key=lambda face: -float(face.landmarks.std(0).prod()))

        with landmarker:
            yield find


def _mesh_options(task: Path) -> tuple[Any, Any, Any]:
    try:
        import mediapipe  # pyright: ignore[reportMissingImports]
        from mediapipe.tasks.python import BaseOptions, vision  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:  # OSError: libEGL or libGLESv2 is not there
        raise MissingExtra(
            f"`--faces {task.name}` needs mediapipe, which cannot be used here ({error}). Run: pip install mediapipe; "
            "on Debian also: apt install libegl1 libgles2."
        ) from error
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(task)), running_mode=vision.RunningMode.VIDEO, num_faces=2
    )
    return mediapipe, vision, options


def mediapipe_task() -> Path | None:
    """Return MediaPipe's face landmarker where this machine has both the file and the package, else None."""
    if importlib.util.find_spec("mediapipe") is None:
        return None
    return find(select(["face-landmarker"])[0], search_folders())


def usual_faces() -> str:
    """Return which detector scores videos where none is named: MediaPipe's, which no model of ours has learned from.

    Returns:
        Its file where this machine has that and a package that works, else `TINY`.
    """
    task = mediapipe_task()
    if task is None:
        return TINY
    try:
        _mesh_options(task)
    except MissingExtra as error:
        logger.warning("Faces are found by the tiny face pack. %s", error)
        return TINY
    return str(task)


def open_finder(faces: str | Path | None = None) -> Finder:
    """Open a detector.

    Args:
        faces: A folder of .onnx files in insightface's layout, or a MediaPipe .task file; `TINY` or None for the pack
            of the tiny model.

    Returns:
        The detector.

    Raises:
        BadInput: When the name is neither.
        MissingExtra: When it is a .task file and mediapipe cannot be imported.
    """
    if faces is None or faces == TINY:
        own = FaceAnalyser(model_folder("tiny") / "faces")
        return PackFinder(own, "tiny face pack", min_score=SURE_SCORE)
    path = Path(faces)
    if path.suffix == ".task" and path.is_file():
        _mesh_options(path)
        return MeshFinder(path)
    if not path.is_dir():
        raise BadInput(
            f"`--faces` must be a folder of .onnx files or a MediaPipe .task file, but got `{faces}`. "
            f"Try {TINY}, the tiny face pack."
        )
    hint = "It may be turned away, too small or too dark."
    return PackFinder(FaceAnalyser(path, threshold=0.5, hint=hint), f"insightface pack {path.name}", recognises=True)


@dataclass(frozen=True)
class Track:
    """A face through a video, and what was measured in passing."""

    landmarks: Float[Tensor, "f 70 2"]
    """iBUG's 68 points and the irises, which scores are defined on, in pixels; NaN where no face was found."""

    embeddings: Float[Tensor, "f d"] | None
    """Of unit length, NaN where no face was found; None where the detector has none."""

    sharpness: Float[Tensor, "f"]
    """Of each frame, see `metrics.functional.sharpness`."""

    colour: Float[Tensor, "f 3"]
    """Mean colour of each frame, see `metrics.functional.mean_colour`."""

    fps: float
    """Frames a second."""

    height: int
    """Of the pictures, pixels."""

    width: int
    """Of the pictures, pixels."""

    mesh: Float[Tensor, "f 478 2"] | None = None
    """MediaPipe's points likewise; None where the detector does not know them."""

    crowded: int = 0
    """Number of frames with more than one face."""

    unsure: int = 0
    """Number of frames whose face the detector is not sure of."""

    damage: str | None = None
    """Why reading ended early; None where it did not."""

    @property
    def seen(self) -> int:
        """Number of frames with a face."""
        return int(torch.isfinite(self.landmarks).flatten(1).all(1).sum())


def track_video(
    chunks: Iterable[Frames], fps: float, finder: Finder, on_frame: Callable[[int], None] | None = None
) -> Track:
    """Follow one face through a video, frame by frame, so that its length costs no memory.

    Of several faces the one nearest to where the face was before is followed, at first the largest.

    Args:
        chunks: The video in pieces, as `media.video.read_video` yields them.
        fps: Frames a second.
        finder: Finds the faces.
        on_frame: Called with the number of frames done.

    Returns:
        The track; that of a file that breaks off ends there and says so in `damage`.

    Raises:
        BadMedia: When the video has no frames.
    """
    rows: list[_Row] = []
    damage, crowded, last = None, 0, None
    height = width = 0
    with finder.video(fps) as find:
        try:
            for chunk in chunks:
                height, width = chunk.pixels.shape[-2:]
                measured = zip(chunk.pixels, sharpness(chunk.pixels), mean_colour(chunk.pixels), strict=True)
                for pixels, sharp, colour in measured:
                    sightings = find(pixels)
                    crowded += len(sightings) > 1
                    found = _nearest(sightings, last)
                    last = last if found is None else found
                    rows.append(_Row(found, sharp, colour))
                    if on_frame is not None:
                        on_frame(len(rows))
        except BadMedia as error:
            if not rows:
                raise
            damage = str(error)
    if not rows:
        raise BadMedia("The video must have at least one picture, but none can be decoded. Export it again.")
    unsure = sum(row.found is not None and not row.found.sure for row in rows)
    return replace(_joined(rows, fps, height, width), crowded=crowded, unsure=unsure, damage=damage)


@dataclass(frozen=True)
class _Row:
    found: Sighting | None
    sharpness: Float[Tensor, ""]
    colour: Float[Tensor, "3"]


def _nearest(found: list[Sighting], last: Sighting | None) -> Sighting | None:
    if not found or last is None:
        return found[0] if found else None
    before = last.landmarks.mean(0)
    return min(found, key=lambda face: float((face.landmarks.mean(0) - before).norm()))


def _joined(rows: list[_Row], fps: float, height: int, width: int) -> Track:
    seen = [None if row.found is None else row.found for row in rows]
    return Track(
        landmarks=cast(Tensor, _column([None if face is None else face.landmarks.float() for face in seen], len(IBUG))),
        mesh=_column([None if face is None or face.mesh is None else face.mesh.float() for face in seen]),
        embeddings=_column([None if face is None else face.embedding for face in seen]),
        sharpness=torch.stack([row.sharpness for row in rows]),
        colour=torch.stack([row.colour for row in rows]),
        fps=fps,
        height=height,
        width=width,
    )


def _column(values: list[Tensor | None], points: int | None = None) -> Tensor | None:
    """Join what was found in each frame, NaN where nothing was.

    Where nothing was found at all, NaN of so many points; without their number None.
    """
    known = next((value for value in values if value is not None), None)
    if known is None:
        return None if points is None else torch.full((len(values), points, 2), torch.nan)
    return torch.stack([torch.full_like(known, torch.nan) if value is None else value for value in values])
