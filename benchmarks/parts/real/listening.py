"""Clips of people who speak, and the mouth that is heard in their sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from portraittalk_core.checkpoints.native import load_motion, load_speech_encoder, model_folder
from portraittalk_core.errors import BadMedia
from portraittalk_core.media.audio import speech_waveform
from portraittalk_core.media.video import read_video
from portraittalk_core.motion.arkit import to_arkit
from portraittalk_core.motion.audio_to_motion import AudioToMotion, heard_mouth, silent_frames
from portraittalk_core.perception.speech import SpeechEncoder, loudness_track
from portraittalk_core.types import COEFFICIENTS, SPEECH_RATE

from .readings import Readings, cached, open_reader, read_frames


@dataclass(frozen=True)
class Spoken:
    """A clip."""

    name: str
    """Of its file, without its ending."""

    waveform: Float[Tensor, "n"]
    """Mono at 16 kHz."""

    seen: Readings
    """What MediaPipe reads in its pictures."""

    fps: float
    """Pictures a second."""

    @property
    def silent(self) -> Bool[Tensor, "f"]:
        """In which frames nobody speaks."""
        return silent_frames(loudness_track(self.waveform, self.fps, len(self.seen.found)), self.fps)

    def mixed(self, noise: Float[Tensor, "n"], ratio_db: float) -> Float[Tensor, "n"]:
        """Return its sound with noise.

        Args:
            noise: Of unit variance.
            ratio_db: Of the speech to it.
        """
        samples = torch.arange(len(self.waveform))
        speaks = ~self.silent[(samples * self.fps / SPEECH_RATE).long().clamp(max=len(self.silent) - 1)]
        level = self.waveform[speaks].square().mean().sqrt()
        loud = self.waveform + noise * level * 10 ** (-ratio_db / 20)
        return loud / loud.abs().max() * 0.9


@dataclass(frozen=True)
class Listener:
    """What hears."""

    encoder: SpeechEncoder
    """Listens."""

    a2m: AudioToMotion
    """Moves the mouth."""

    @classmethod
    def load(cls, model: str) -> Listener:
        """Load a model's listener.

        Args:
            model: A name, or a folder with speech.safetensors and motion.safetensors.
        """
        folder = Path(model) if Path(model).is_dir() else model_folder(model)
        motion = load_motion(folder / "motion.safetensors")[0]
        return cls(load_speech_encoder(folder / "speech.safetensors"), motion)

    def hear(self, waveform: Float[Tensor, "n"], fps: float, frames: int, gated: bool = True) -> Float[Tensor, "f 52"]:
        """Return what the mouth does with a sound.

        Args:
            waveform: The sound.
            fps: Frames a second.
            frames: How many.
            gated: Whether silences close the mouth, as in a video.
        """
        mouth = heard_mouth(self.encoder.encode(waveform, fps, frames), self.a2m, gated=gated)
        return to_arkit(dict(zip(self.a2m.columns, mouth.unbind(-1), strict=True)))


def column(shapes: Float[Tensor, "f 52"], name: str) -> Float[Tensor, "f"]:
    """Return a blendshape, the left one where it has sides.

    Args:
        shapes: Columns as in `types.COEFFICIENTS`.
        name: With or without its side.
    """
    return shapes[:, COEFFICIENTS.index(name if name in COEFFICIENTS else f"{name}Left")]


def spoken_clips(folder: Path, task: Path, kept: Path | None) -> list[Spoken]:
    """Read every .mp4 file of a folder.

    Args:
        folder: Of people who speak.
        task: MediaPipe's `face_landmarker_v2_with_blendshapes.task`.
        kept: Folder in which what MediaPipe reads is kept.

    Raises:
        BadMedia: For a file without sound.
    """
    clips: list[Spoken] = []
    for path in sorted(folder.glob("*.mp4")):
        chunks, fps, sound = read_video(path)
        if sound is None:
            raise BadMedia(f"`{path}` must have sound, but has none. Take it out of the folder.")
        pixels = (picture for chunk in chunks for picture in chunk.pixels)

        def read(pixels=pixels) -> Readings:
            return read_frames(open_reader(task), pixels)

        seen = cached(kept / f"{path.stem}.npz", read) if kept else read()
        clips.append(Spoken(path.stem, speech_waveform(sound), seen, fps))
    return clips
