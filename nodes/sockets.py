"""The socket types of our own. Everything else is the host's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from comfy_api.latest import io

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..portraittalk_core.evaluation.scoring.tracks import PictureFinder
    from ..portraittalk_core.types import Sound, SpeechFeatures

CATEGORY = "PortraitTalk"

PortraitTalkSocket = io.Custom("PORTRAITTALK")
IdentitySocket = io.Custom("IDENTITY")
SpeechSocket = io.Custom("SPEECH")
MotionSocket = io.Custom("MOTION")

Model = Any
"""The host's ModelPatcher."""

Conditioning = list[Any]
"""The host's CONDITIONING: [tokens, further values] for each entry."""


class PortraitAdapters(Protocol):
    """The value of a PORTRAITTALK socket: what a model adds to a U-Net, whatever model it is.

    Records (an identity, a motion) are the model's own; only it looks into them. An identity has `crops`
    [n, 3, s, s] in [-1, 1] and every motion `fps`.
    """

    def get_models(self) -> list[Model]:
        """Return what the host shall know of when it counts memory."""
        ...

    def finder(self) -> PictureFinder:
        """Return what finds faces in a finished video. Raises `BadInput` where the model has nothing of the kind."""
        ...

    def identify(self, images: Sequence[Float[Tensor, "3 h w"]], face: int, skip: bool) -> Any:
        """Find the person. skip: leave out pictures without a face, unless none has one. Raises `NoFaceFound`."""
        ...

    def outlines(self, identity: Any) -> Float[Tensor, "n points 2"]:
        """Return the outline of the face in each crop, as shares of its side."""
        ...

    def listen(self, sound: Sound, fps: float, encoded: Encoded | None = None) -> SpeechFeatures:
        """Encode a recording. Raises `BadInput`, also for features of another encoder than the model's."""
        ...

    def move(self, speech: Any, identity: Any, dials: dict[str, Any], seed: int, prompt: Conditioning | None) -> Any:
        """Return how the face moves with the speech. Raises `BadInput` for dials that the model does not have."""
        ...

    def preview(self, motion: Any, identity: Any, size: int) -> Float[Tensor, "frames size size 3"]:
        """Return IMAGE of the moving outlines."""
        ...

    def opening(self, motion: Any) -> Float[Tensor, "frames"]:
        """Return how far the mouth is open in each frame."""
        ...

    def tell_identity(self, told: Told, identity: Any, scale: float, percent: tuple[float, float], hides: bool) -> Told:
        """Return MODEL and CONDITIONING that know who the person is.

        hides: whether the negative prompt is denoised without knowing it.
        """
        ...

    def tell_reference(self, model: Model, identity: Any, vae: Any, strength: float) -> Model:
        """Return a MODEL that sees how the person looks."""
        ...

    def tell_motion(self, model: Model, moving: Moving, identity: Any, vae: Any) -> Model:
        """Return a MODEL that moves as told. Raises `BadInput` for more frames in a window than it knows."""
        ...

    def flicker(self) -> float:
        """Return what is taken out of regions that stand still, see `SamplingConfig`."""
        ...

    def empty(self, frames: int) -> dict[str, Any]:
        """Return an empty LATENT of the right size; rows with one batch index start from the same noise."""
        ...


@dataclass(frozen=True)
class Somebody:
    """The value of an IDENTITY socket: who it is, and the networks that can tell a model so."""

    identity: Any
    adapters: PortraitAdapters


@dataclass(frozen=True)
class Told:
    """A MODEL and its two CONDITIONINGs."""

    model: Model
    positive: Conditioning
    negative: Conditioning


@dataclass(frozen=True)
class Moving:
    """What AnimateNet is told: the motion, of how many frames, the speech that made it, and how windows are kept."""

    motion: Any
    speech: Any
    frames: int
    window: int
    audio_scale: float
    keep: int


@dataclass(frozen=True)
class Encoded:
    """Rows of the host's own audio encoder from the start of the sound on; rate: rows a second."""

    rows: Any
    rate: float
