"""Everything before the denoiser: pictures, sound and prompt become records. It needs neither U-Net nor VAE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .errors import OutsideWorld
from .media.audio import speech_waveform
from .motion.audio_to_motion import AudioToMotion, MotionDials, generate_motion, load_motion
from .motion.priors import MotionPrior
from .motion.structure import FaceFitter, FaceShaper, clamp_coefficients, load_structure, structure_maps
from .perception.face import FAMILIAR_SCORE, FaceAnalyser
from .perception.identity import identify
from .perception.speech import SpeechEncoder, load_speech_encoder
from .perception.text import TextEncoder, load_text_encoder
from .types import Face, FaceMotion, Identity, Sound, SpeechFeatures, StructureMaps
from .weights import model_files, model_folder


@dataclass(frozen=True)
class Preparation:
    """The networks that look at pictures, listen to sound, read prompts and move a face, and what they do.

    name: of the model; size: side of a framed picture in pixels.
    """

    name: str
    size: int
    text: TextEncoder
    speech: SpeechEncoder
    audio_to_motion: AudioToMotion
    prior: MotionPrior
    fitter: FaceFitter
    shaper: FaceShaper
    faces: FaceAnalyser

    @classmethod
    def load(cls, model: str, name: str, size: int) -> Preparation:
        """Load the networks of a model (`tiny` or a folder). Raises `BadInput` and `WeightsMismatch`."""
        files = model_files(model)
        audio_to_motion, prior = load_motion(files["motion"])
        fitter, shaper = load_structure(files["structure"])
        return cls(
            name=name,
            size=size,
            text=load_text_encoder(files["text"]),
            speech=load_speech_encoder(files["speech"]),
            audio_to_motion=audio_to_motion,
            prior=prior,
            fitter=fitter,
            shaper=shaper,
            faces=FaceAnalyser(model_folder(model) / "faces", threshold=0.5),
        )

    def identify(
        self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None, skip: bool = False
    ) -> Identity:
        """Find the person in the pictures, RGB in [-1, 1]; see `perception.identity.identify`.

        Raises `NoFaceFound` and `OutsideWorld`.
        """
        return identify(images, _Familiar(self.faces, self.name), face=face, size=self.size, skip=skip)

    @torch.no_grad()
    def listen(self, speech: Sound, fps: float = 25.0) -> SpeechFeatures:
        """Encode a recording at the frame rate of the video. Raises `BadInput` for one that is empty or not finite."""
        waveform = speech_waveform(speech)
        return self.speech.encode(waveform, fps, speech.frame_count(fps))

    @torch.no_grad()
    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        expression: Float[Tensor, "n 10"] | None = None,
    ) -> FaceMotion:
        """Return how the face moves with the speech.

        expression: offsets of the coefficients that a prompt asks for, one row for all frames or one a frame; see
        `prompts.expression_track`.
        """
        generator = torch.Generator().manual_seed(seed)
        motion = generate_motion(features, self.audio_to_motion, self.prior, dials or MotionDials(), generator)
        if expression is None:
            return motion
        return replace(motion, coefficients=clamp_coefficients(motion.coefficients + expression.cpu()))

    def structure(self, motion: FaceMotion, identity: Identity) -> StructureMaps:
        """Draw the motion on the person's face."""
        return structure_maps(motion, identity, self.fitter, self.shaper)


@dataclass(frozen=True)
class _Familiar:
    """Finds only faces of the kind that the model was trained on."""

    faces: FaceAnalyser
    model: str

    @property
    def hint(self) -> str:
        return self.faces.hint

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        found = self.faces.find(pixels)
        familiar = [face for face in found if face.score >= FAMILIAR_SCORE]
        if found and not familiar:
            raise OutsideWorld(
                f"The face in the picture must be of the kind that the {self.model} model knows, a rendered avatar, "
                f"but its detector is only {found[0].score:.0%} sure of it ({FAMILIAR_SCORE:.0%} is asked). For "
                "photographs use the SD1.5 model; for a portrait to try, run `portraittalk avatar -o face.png`."
            )
        return familiar
