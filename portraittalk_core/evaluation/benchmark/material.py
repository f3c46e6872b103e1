"""The files of a benchmark's case: what is said, its sound and the true video, made where they are missing.

espeak-ng remembers what it said before, and says the next sentence a little differently: every case is therefore spoken
by a fresh process, `python -m portraittalk_core.evaluation.benchmark.material`, which writes down what was said and how
the face moves. Who has those files needs no espeak-ng.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from ...checkpoints.writing import save_tensors
from ...errors import BadMedia, MissingExtra, PortraitTalkError
from ...media.target import Partial
from ...media.video import VideoWriter
from ...types import SPEECH_RATE, Sound
from .people import FPS, PersonCase, Take, draw_person, draw_take


@dataclass(frozen=True)
class Material:
    """The files of a case."""

    folder: Path
    """Where the files of all cases lie."""

    case: PersonCase
    """The clip."""

    @property
    def truth(self) -> Path:
        """The true video, with its sound."""
        return self.folder / f"{self.case.name}.mp4"

    @property
    def sound(self) -> Path:
        """The speech, uncompressed: 16 bits, 16 kHz."""
        return self.folder / f"{self.case.name}.wav"

    @property
    def said(self) -> Path:
        """What was said and how the face moves: the sound, blendshapes, rotation and the voice."""
        return self.folder / f"{self.case.name}.safetensors"

    @property
    def done(self) -> bool:
        """Whether nothing is left to make."""
        return all(path.is_file() for path in (self.truth, self.sound, self.said))

    def take(self) -> Take:
        """Read what was made.

        Returns:
            The take.

        Raises:
            BadMedia: When the file is damaged or something else.
        """
        try:
            with safe_open(self.said, "pt") as file:
                voice = json.loads((file.metadata() or {})["take"])["voice"]
                names = ("samples", "blendshapes", "rotation")
                samples, blendshapes, rotation = (file.get_tensor(name) for name in names)
        except Exception as error:  # safetensors raises its own errors, of a class without a base of ours
            raise BadMedia(f"`{self.said}` cannot be read ({error}). Delete it, and it is made again.") from error
        return Take(Sound(samples[None].float() / 32768, SPEECH_RATE), blendshapes, rotation, voice)

    def make(self) -> None:
        """Speak, render and write what is missing; half-written files never have the final name.

        Raises:
            MissingExtra: When there is no espeak-ng.
            BadMedia: When the speech cannot be made for another reason.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.said.is_file():
            _speak_elsewhere(self)
        take = self.take()
        if not self.sound.is_file():
            write_wave(self.sound, take.sound)
        if not self.truth.is_file():
            frames = draw_person(self.case.person).show(take.blendshapes, take.rotation)
            write_frames(self.truth, frames, take.sound)

    def speak(self) -> None:
        """Draw the case in this process and write `said`; see the module's docstring for why this is not `make`."""
        take = draw_take(self.case)
        samples = (take.sound.samples[0] * 32767).round().short()
        with Partial(self.said) as partial:
            tensors = {"blendshapes": take.blendshapes, "rotation": take.rotation, "samples": samples}
            save_tensors(tensors, partial, {"take": json.dumps({"voice": take.voice})})


def _speak_elsewhere(material: Material) -> None:
    case, root = material.case, str(Path(__file__).resolve().parents[3])
    known = os.environ.get("PYTHONPATH")
    ended = subprocess.run(
        [sys.executable, "-m", __name__, str(case.person), str(case.take), str(case.longest_s), str(material.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, known] if known else [root])},
        capture_output=True,
        text=True,
        check=False,
    )
    if not material.said.is_file():
        lines = ended.stderr.strip().splitlines() or ["no message"]
        kind = MissingExtra if ended.returncode == _LACKS else BadMedia
        raise kind(lines[-1] if kind is MissingExtra else f"The speech of {case.name} cannot be made: {lines[-1]}")


_LACKS = 3
"""Exit code of the process that speaks where espeak-ng is missing."""


def write_wave(path: Path, sound: Sound) -> None:
    """Write a sound as WAV, 16 bits, in one step.

    Args:
        path: The file.
        sound: Of any rate.
    """
    import soundfile

    with Partial(path) as partial:
        soundfile.write(partial, sound.samples.T.numpy(), sound.sample_rate, subtype="PCM_16", format="WAV")


def write_frames(path: Path, frames: Float[Tensor, "n 3 h w"], sound: Sound) -> None:
    """Write a video at the benchmark's rate, H.264 as `generate` writes it.

    Args:
        path: The file.
        frames: In [-1, 1].
        sound: Of the video.
    """
    with VideoWriter(path, FPS, (frames.shape[-2], frames.shape[-1]), sound, provenance=None) as writer:
        writer.append(frames)


def _main(person: str, take: str, longest_s: str, folder: str) -> int:
    torch.set_num_threads(1)
    try:
        Material(Path(folder), PersonCase(int(person), int(take), float(longest_s))).speak()
    except PortraitTalkError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return _LACKS if isinstance(error, MissingExtra) else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
