"""The records that travel between stages; also the ComfyUI sockets and the test fixtures.

Conventions, everywhere in the package:

* pixels are float32 in [-1, 1], channels first;
* landmark coordinates are in [-1, 1] over the square picture they belong to, x to the right, y down, so that
  they do not depend on resolution;
* landmarks are the 68 points of iBUG in their order, then the centre of the right iris (viewer's left) and of
  the left iris: `LANDMARKS` = 70 in all;
* angles are radians; time is seconds, named `_s`; frame rates are frames per second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LANDMARKS = 70
"""68 iBUG points and two iris centres."""

SPEECH_RATE = 16_000
"""The sample rate, in Hz, at which speech is analysed."""

COEFFICIENTS = (
    "jaw",
    "wide",
    "round",
    "press",
    "smile",
    "brow_raise",
    "brow_frown",
    "blink",
    "gaze_x",
    "gaze_y",
)
"""Expression coefficients, in column order of `FaceMotion.coefficients`.

jaw, wide (lips stretched sideways), round (lips rounded), press (lips pressed together), brow_frown and blink lie
in [0, 1]; smile and brow_raise in [-0.5, 1]; gaze_x and gaze_y in [-1, 1] (right and down positive, as the viewer
sees it).
"""

POSE = ("yaw", "pitch", "roll", "x", "y", "scale")
"""Head pose, in column order of `FaceMotion.pose`: three angles in radians, the head's centre in picture
coordinates, and its size relative to the canonical head (1.0)."""


@dataclass(frozen=True)
class Sound:
    """A recording as it was read: every channel, its own rate.

    samples: float32 in [-1, 1], [channels, n]; sample_rate: Hz; path: the file it came from, if any, from which
    the sound can be copied unaltered.
    """

    samples: Float[Tensor, "channels n"]
    sample_rate: int
    path: str | None = None

    @property
    def duration_s(self) -> float:
        return self.samples.shape[-1] / self.sample_rate

    def frame_count(self, fps: float) -> int:
        """Return how many video frames last as long as the sound: `round(duration * fps)`, at least one."""
        return max(1, round(self.duration_s * fps))


@dataclass(frozen=True)
class Face:
    """One face found in a picture.

    box: left, top, right, bottom in pixels of the picture it was found in; landmarks: pixels of that picture;
    score: the detector's confidence in [0, 1]; embedding: unit length.
    """

    box: Float[Tensor, "4"]
    landmarks: Float[Tensor, "70 2"]
    score: float
    embedding: Float[Tensor, "512"]


@dataclass(frozen=True)
class Identity:
    """Who a person is, from n reference pictures.

    embeddings: unit length; crops: square pictures framed like the training pictures, [-1, 1]; landmarks: in the
    coordinates of the crops. The first reference is the one that the video starts from.
    """

    embeddings: Float[Tensor, "n 512"]
    crops: Float[Tensor, "n 3 size size"]
    landmarks: Float[Tensor, "n 70 2"]

    @property
    def outlines(self) -> Float[Tensor, "n 27 2"]:
        """The line of the jaw and the brows in each crop, as shares of its side."""
        return (torch.cat([self.landmarks[:, :17], self.landmarks[:, 17:27].flip(1)], 1) + 1) / 2


@dataclass(frozen=True)
class SpeechFeatures:
    """Speech at the rate of the video: one row of features a frame.

    hidden: the speech encoder's states resampled to `fps`; loudness: root-mean-square level of each frame in
    decibels relative to full scale.
    """

    hidden: Float[Tensor, "frames dim"]
    loudness: Float[Tensor, "frames"]
    fps: float


@dataclass(frozen=True)
class FaceMotion:
    """How a face moves: columns as in `COEFFICIENTS` and `POSE`. It says nothing of whose face it is."""

    coefficients: Float[Tensor, "frames 10"]
    pose: Float[Tensor, "frames 6"]
    fps: float

    @property
    def frame_count(self) -> int:
        """How many frames it lasts."""
        return len(self.pose)

    @property
    def mouth_opening(self) -> Float[Tensor, "frames"]:
        """How far the mouth is open in each frame: the jaw's coefficient."""
        return self.coefficients[:, COEFFICIENTS.index("jaw")]


@dataclass(frozen=True)
class StructureMaps:
    """What the denoiser is shown of the motion, a row a frame.

    landmarks: the moving face's points, through which `motion.geometry.contours` draws its lines when a window is
    denoised (kept as pictures, the lines of a long video would fill the memory); placement: the affine map [2, 3] that
    takes coordinates of the output frame to coordinates of the (first) reference, so that sampling the reference with
    it puts the head where the motion wants it.
    """

    landmarks: Float[Tensor, "frames 70 2"]
    placement: Float[Tensor, "frames 2 3"]
    fps: float


@dataclass(frozen=True)
class LatentVideo:
    """A video in the VAE's latent space, scaled as the denoiser expects it (unit variance)."""

    latents: Float[Tensor, "frames channels h w"]
    fps: float


@dataclass(frozen=True)
class Frames:
    """Pictures of a video, float32 in [-1, 1]."""

    pixels: Float[Tensor, "frames 3 h w"]
    fps: float
