"""Everything before the denoiser: pictures, sound and prompt become records.

It owns neither U-Net nor VAE, so that every host can bring its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..checkpoints.native import (
    load_motion,
    load_speech_encoder,
    load_structure,
    load_text_encoder,
    model_files,
    model_folder,
)
from ..media.audio import speech_waveform
from ..motion.audio_to_motion import AudioToMotion, MotionDials, generate_motion
from ..motion.priors import MotionPrior
from ..motion.structure import FaceFitter, FaceShaper, clamp_coefficients, structure_maps
from ..perception.face import FaceAnalyser
from ..perception.identity import identify
from ..perception.out_of_domain import InDomainFinder as FamiliarFinder
from ..perception.out_of_domain import Reconstruct as Redraw
from ..perception.speech import SpeechEncoder
from ..perception.text import TextEncoder
from ..types import FaceMotion, Identity, Sound, SpeechFeatures, StructureMaps


@dataclass(frozen=True)
class Preparation:
    """The networks that look at pictures, listen to sound, read prompts and move a face, and what they do.

    name: of the model; size: side of a framed picture in pixels; redraw: of the model's VAE, which tells photographs.
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
    redraw: Redraw

    @classmethod
    def load(cls, model: str, name: str, size: int, redraw: Redraw) -> Preparation:
        """Load the networks of a model (`tiny` or a folder); the host's VAE redraws.

        Raises `BadInput` and `WeightsMismatch`.
        """
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
            redraw=redraw,
        )

    def identify(
        self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None, skip: bool = False
    ) -> Identity:
        """Find the person in the pictures, RGB in [-1, 1]; see `perception.identity.identify`.

        Raises `NoFaceFound` and `OutOfDomain`.
        """
        finder = FamiliarFinder(self.faces, self.name, self.size, self.redraw)
        return identify(images, finder, face=face, size=self.size, skip=skip)

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
