"""Follow one face through a video: pictures become a track of landmarks, by whichever detector the user has."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.native import model_folder
from ...errors import BadInput, BadMedia, MissingExtra, WeightsMismatch
from ...media.image import to_bytes
from ...metrics.functional import mean_colour, sharpness
from ...perception.face import FaceAnalyser
from ...perception.out_of_domain import IN_DOMAIN_SCORE
from ...types import LANDMARKS, Face, Frames

MESH_ROWS = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),  # jaw
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),  # brows
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),  # nose
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),  # eyes
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),  # outer lips
    *(78, 82, 13, 312, 308, 317, 14, 87),  # inner lips
    *(468, 473),  # irises
)
"""The point of MediaPipe's mesh for each of the 68 iBUG points and the two irises."""


@dataclass(frozen=True)
class Sighting:
    """A face in one picture.

    landmarks: in pixels; embedding: of unit length, None where the detector has none; familiar: whether the detector is
    as sure of it as of the faces that it was made for.
    """

    landmarks: Float[Tensor, "70 2"]
    embedding: Float[Tensor, "d"] | None = None
    familiar: bool = True


Look = Callable[[Float[Tensor, "3 h w"]], list[Sighting]]
"""Return the faces of the next picture of a video, largest first."""


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

    def watching(self, fps: float) -> AbstractContextManager[Look]:
        """Begin a video: what is yielded is called with every picture in turn and may remember the one before."""
        ...


@dataclass(frozen=True)
class PackFinder:
    """Looks at every picture anew through a pack in insightface's layout.

    faces: finds and measures; name: of the pack; recognises: whether its embeddings are those of photographs that the
    field's CSIM is defined on, so that the tiny pack's are not taken for them; least: score of a familiar face.
    """

    faces: PictureFinder
    name: str
    recognises: bool = False
    least: float = 0.0

    @property
    def hint(self) -> str:
        """Return what the pack says where it finds no face, and what other detectors there are."""
        return f"{self.faces.hint} Name another detector with --faces."

    @contextlib.contextmanager
    def watching(self, fps: float) -> Generator[Look, None, None]:
        """Yield a function that finds the faces of a picture; nothing is remembered between pictures."""

        def look(pixels: Float[Tensor, "3 h w"]) -> list[Sighting]:
            found = self.faces.find(pixels)
            return [Sighting(face.landmarks, face.embedding, face.score >= self.least) for face in found]

        yield look


class PictureFinder(Protocol):
    """What `PackFinder` needs of a `FaceAnalyser`."""

    @property
    def hint(self) -> str: ...

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]: ...


@dataclass(frozen=True)
class MeshFinder:
    """Follows a face by MediaPipe's FaceLandmarker, which smooths over time. task: its model file."""

    task: Path

    @property
    def name(self) -> str:
        return f"mediapipe {self.task.name}, video mode"

    @property
    def hint(self) -> str:
        return "It finds faces of people from the front; for avatars leave --faces out."

    @contextlib.contextmanager
    def watching(self, fps: float) -> Generator[Look, None, None]:
        """Yield a function that follows the face; raises `MissingExtra` without mediapipe."""
        mediapipe, vision, options = _mesh_options(self.task)
        try:
            landmarker = vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise WeightsMismatch(
                f"`--faces` must be a FaceLandmarker model, but MediaPipe cannot open {self.task} ({error})."
            ) from error
        count = 0

        def look(pixels: Float[Tensor, "3 h w"]) -> list[Sighting]:
            nonlocal count
            levels = to_bytes(pixels).permute(1, 2, 0).contiguous().cpu().numpy()
            found = landmarker.detect_for_video(
                mediapipe.Image(mediapipe.ImageFormat.SRGB, levels), round(count / fps * 1000)
            )
            count += 1
            size = torch.tensor([pixels.shape[-1], pixels.shape[-2]])
            points = [torch.tensor([[face[k].x, face[k].y] for k in MESH_ROWS]) * size for face in found.face_landmarks]
            return sorted(map(Sighting, points), key=lambda face: -float(face.landmarks.std(0).prod()))

        with landmarker:
            yield look


def _mesh_options(task: Path) -> tuple[Any, Any, Any]:
    try:
        import mediapipe  # pyright: ignore[reportMissingImports]
        from mediapipe.tasks.python import BaseOptions, vision  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra(
            f"`--faces {task.name}` needs mediapipe, but {error.name} cannot be imported. Run: pip install mediapipe"
        ) from error
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(task)), running_mode=vision.RunningMode.VIDEO, num_faces=2
    )
    return mediapipe, vision, options


def open_finder(faces: str | Path | None = None) -> Finder:
    """Return the detector of that name: none for the tiny pack, a folder of .onnx files, or a MediaPipe .task file.

    Raises `BadInput` for what is neither, `MissingExtra` for a .task without mediapipe.
    """
    if faces is None:
        own = FaceAnalyser(model_folder("tiny") / "faces")
        return PackFinder(own, "tiny face pack (avatars)", least=IN_DOMAIN_SCORE)
    path = Path(faces)
    if path.suffix == ".task" and path.is_file():
        _mesh_options(path)
        return MeshFinder(path)
    if not path.is_dir():
        raise BadInput(
            f"`--faces` must be a folder of .onnx files or a MediaPipe .task file, but got `{faces}`. "
            "Leave it out for rendered avatars."
        )
    hint = "It may be turned away, too small or too dark."
    return PackFinder(FaceAnalyser(path, threshold=0.5, hint=hint), f"insightface pack {path.name}", recognises=True)


@dataclass(frozen=True)
class Track:
    """A face through a video, and what was measured in passing.

    landmarks: pixels, NaN where no face was found; embeddings: NaN likewise, None where the detector has none;
    sharpness, colour: of each frame, see `metrics.functional`; crowded: frames with more than one face; unfamiliar:
    frames whose face the detector is not sure of; height, width: of the pictures; damage: why reading ended early, if
    it did.
    """

    landmarks: Float[Tensor, "f 70 2"]
    embeddings: Float[Tensor, "f d"] | None
    sharpness: Float[Tensor, "f"]
    colour: Float[Tensor, "f 3"]
    fps: float
    height: int
    width: int
    crowded: int = 0
    unfamiliar: int = 0
    damage: str | None = None

    @property
    def seen(self) -> int:
        """Number of frames with a face."""
        return int(torch.isfinite(self.landmarks).flatten(1).all(1).sum())


def track_video(
    chunks: Iterable[Frames], fps: float, finder: Finder, on_frame: Callable[[int], None] | None = None
) -> Track:
    """Follow one face through a video, frame by frame, so that its length costs no memory.

    Of several faces the one nearest to where the face was before is followed, at first the largest. on_frame: called
    with the number of frames done. A file that breaks off is used up to there and says so in `damage`. Raises
    `BadMedia` for a video without frames.
    """
    rows: list[_Row] = []
    damage, crowded, last = None, 0, None
    height = width = 0
    with finder.watching(fps) as look:
        try:
            for chunk in chunks:
                height, width = chunk.pixels.shape[-2:]
                measured = zip(chunk.pixels, sharpness(chunk.pixels), mean_colour(chunk.pixels), strict=True)
                for pixels, sharp, colour in measured:
                    sightings = look(pixels)
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
    unfamiliar = sum(row.found is not None and not row.found.familiar for row in rows)
    return replace(_joined(rows, fps, height, width), crowded=crowded, unfamiliar=unfamiliar, damage=damage)


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
    embedded = next((r.found.embedding for r in rows if r.found and r.found.embedding is not None), None)
    nowhere = torch.full((LANDMARKS, 2), torch.nan)
    nobody = None if embedded is None else torch.full_like(embedded, torch.nan)
    embeddings = None
    if nobody is not None:
        known = [row.found.embedding if row.found is not None else None for row in rows]
        embeddings = torch.stack([nobody if e is None else e for e in known])
    return Track(
        landmarks=torch.stack([nowhere if row.found is None else row.found.landmarks.float() for row in rows]),
        embeddings=embeddings,
        sharpness=torch.stack([row.sharpness for row in rows]),
        colour=torch.stack([row.colour for row in rows]),
        fps=fps,
        height=height,
        width=width,
    )
