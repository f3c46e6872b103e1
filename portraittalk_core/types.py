"""The records that travel between stages; also the ComfyUI sockets and the test fixtures.

Conventions, everywhere in the package:

* pixels are float32 in [-1, 1], channels first;
* landmark coordinates are in [-1, 1] over the square picture they belong to, x to the right, y down, so that
  they do not depend on resolution;
* landmarks are MediaPipe's 478 points of a face, by part in `topology`; iBUG's 68 with two irises, which file formats
  and scores speak of, are picked from them by `topology.IBUG`;
* angles are radians; time is seconds, named `_s`; frame rates (`fps`) are frames per second;
* in a shape, `frames` counts frames of the video and `n` pictures; all tensors are float32 unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, UInt8
from torch import Tensor

from .topology import IBUG, OVAL, POINTS

LANDMARKS = POINTS
"""MediaPipe's points: 468 of the face's surface, then five of each iris."""

SPEECH_RATE = 16_000
"""The sample rate, in Hz, at which speech is analysed."""

COEFFICIENTS = (
    *("eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft"),
    *("eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight"),
    *("eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel"),
    *("mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft"),
    *("mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight"),
    *("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft"),
    *("browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft"),
    *("cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut"),
)
"""What a face does: the 52 blendshapes of ARKit (developer.apple.com, `ARFaceAnchor.BlendShapeLocation`), in the order
of Live Link Face, which is the column order of `FaceMotion.coefficients`. Each lies in [0, 1]; left and right are the
person's own: left is right for the viewer."""

MOUTH = (
    *("jawOpen", "jawForward", "mouthClose", "mouthFunnel", "mouthPucker", "mouthStretch", "mouthDimple"),
    *("mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthPress", "mouthLowerDown", "mouthUpperUp"),
)
"""What sounds decide of a face: blendshapes that phonemes ask for and that audio-to-motion hears, both sides alike."""

POSE = ("yaw", "pitch", "roll", "x", "y", "scale")
"""Head pose, in column order of `FaceMotion.pose`: three angles in radians, the head's centre in picture
coordinates, and its size relative to the canonical head (1.0)."""


@dataclass(frozen=True)
class Sound:
    """A recording as it was read: every channel, at its own rate."""

    samples: Float[Tensor, "channels n"]
    """The waveform, in [-1, 1]."""

    sample_rate: int
    """Samples a second, Hz."""

    path: str | None = None
    """The file it came from, from which the sound can be copied unaltered; None where there is no such file."""

    @property
    def duration_s(self) -> float:
        """How long it lasts, in seconds."""
        return self.samples.shape[-1] / self.sample_rate

    def frame_count(self, fps: float) -> int:
        """Count the video frames that last as long as the sound.

        Args:
            fps: Frames a second of the video, above 0.

        Returns:
            `round(duration_s * fps)`, at least 1.
        """
        return max(1, round(self.duration_s * fps))


@dataclass(frozen=True)
class Face:
    """One face found in a picture."""

    box: Float[Tensor, "4"]
    """Left, top, right, bottom, in pixels of the picture it was found in."""

    landmarks: Float[Tensor, "k 2"]
    """x and y of each point, in pixels of that picture: `LANDMARKS` where the networks know them, else iBUG's 68 and
    two irises, as public packs do."""

    score: float
    """The detector's confidence, in [0, 1]."""

    embedding: Float[Tensor, "512"]
    """Who it is: a face embedding of unit length."""

    @property
    def ibug(self) -> Float[Tensor, "70 2"]:
        """The 68 points of iBUG and the two irises, in pixels."""
        return self.landmarks if len(self.landmarks) == len(IBUG) else self.landmarks[list(IBUG)]


@dataclass(frozen=True)
class CropPlace:
    """Where a square crop lies in its picture; beyond the picture the crop repeats the picture's edge."""

    left: int
    """First column of the crop, pixels of the picture; below 0 where the crop begins before it."""

    top: int
    """First row of the crop, likewise."""

    side: int
    """Side of the crop, pixels of the picture."""

    height: int
    """Of the picture, pixels."""

    width: int
    """Of the picture, pixels."""

    @property
    def whole(self) -> bool:
        """Whether the crop is the picture."""
        return (self.left, self.top, self.side, self.side) == (0, 0, self.width, self.height)

    @property
    def covers(self) -> bool:
        """Whether the crop holds all of the picture."""
        ends = ((self.left, self.width), (self.top, self.height))
        return all(start <= 0 and start + self.side >= length for start, length in ends)


@dataclass(frozen=True)
class Bystander:
    """Somebody else in the picture that an identity was found in."""

    place: CropPlace
    """Of the crop around their head."""

    landmarks: Float[Tensor, "1 478 2"]
    """Points of their face, in [-1, 1] over that crop."""


@dataclass(frozen=True)
class Identity:
    """Who a person is, from n reference pictures. The first is the one that the video starts from."""

    embeddings: Float[Tensor, "n 512"]
    """Face embeddings of unit length, one a picture."""

    crops: Float[Tensor, "n 3 size size"]
    """Square pictures framed like the training pictures, in [-1, 1]; `size` is the model's."""

    landmarks: Float[Tensor, "n 478 2"]
    """Points of the face in each crop, in [-1, 1] over the crop."""

    places: tuple[CropPlace, ...] = ()
    """Where each crop lies in its picture; empty where that is not known."""

    portrait: Float[Tensor, "3 side side"] | None = None
    """The first crop in its picture's own resolution; None where that is not known."""

    photograph: Float[Tensor, "3 h w"] | None = None
    """The whole picture that the first crop is of; None where that is not known."""

    bystanders: tuple[Bystander, ...] = ()
    """Who else is in it."""

    @property
    def outlines(self) -> Float[Tensor, "n points 2"]:
        """The oval of the face in each crop, as shares of its side, in [0, 1] inside the crop."""
        return (self.landmarks[:, list(OVAL)] + 1) / 2


@dataclass(frozen=True)
class SpeechFeatures:
    """Speech at the rate of the video: one row of features a frame."""

    hidden: Float[Tensor, "frames dim"]
    """States of the speech encoder that audio-to-motion belongs to, resampled to `fps`."""

    loudness: Float[Tensor, "frames"]
    """Root-mean-square level of each frame, in decibels relative to full scale: 0 or less."""

    fps: float
    """Frames a second."""

    attended: Float[Tensor, "frames width"] | None = None
    """What the denoiser's audio attention reads, where that listens with another encoder; None: `hidden`."""


@dataclass(frozen=True)
class FaceMotion:
    """How a face moves. It says nothing of whose face it is."""

    coefficients: Float[Tensor, "frames 52"]
    """The expression in [0, 1]; columns as in `COEFFICIENTS`."""

    pose: Float[Tensor, "frames 6"]
    """The head; columns and their units as in `POSE`."""

    fps: float
    """Frames a second."""

    @property
    def frame_count(self) -> int:
        """How many frames it lasts."""
        return len(self.pose)

    @property
    def mouth_opening(self) -> Float[Tensor, "frames"]:
        """How far the mouth is open in each frame, in [0, 1]: the jaw, less what the lips close over it."""
        jaw, lips = (self.coefficients[:, COEFFICIENTS.index(name)] for name in ("jawOpen", "mouthClose"))
        return (jaw - lips).clamp(min=0)


@dataclass(frozen=True)
class StructureMaps:
    """What the denoiser is shown of the motion, one row a frame."""

    landmarks: Float[Tensor, "frames 478 2"]
    """Points of the moving face, in [-1, 1] over the output frame. `motion.geometry.contours` draws its lines through
    them when a window is denoised: kept as pictures, the lines of a long video would fill the memory."""

    placement: Float[Tensor, "frames 2 3"]
    """The affine map that takes coordinates of the output frame to coordinates of the first reference, both in [-1, 1].
    Sampling the reference with it puts the head where the motion wants it."""

    fps: float
    """Frames a second."""


@dataclass(frozen=True)
class LatentVideo:
    """A video, or a part of one, in the VAE's latent space."""

    latents: Float[Tensor, "frames channels h w"]
    """Scaled as the denoiser expects them: about unit variance. h and w are the frame's sides over the VAE's factor."""

    fps: float
    """Frames a second."""


@dataclass(frozen=True)
class Frames:
    """Pictures of a video, or of a part of one."""

    pixels: Float[Tensor, "frames 3 h w"] | UInt8[Tensor, "frames 3 h w"]
    """Red, green and blue, in [-1, 1]; what is about to be written may be bytes, 0 to 255."""

    fps: float
    """Frames a second."""

    model: str = ""
    """Name of the model that made them, which a file's metadata then say; empty where none is known."""

    photograph: Float[Tensor, "3 h w"] | None = None
    """The picture that frames of a crop belong in, where a prompt has changed it; None: the one that was given."""
