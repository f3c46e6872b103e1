"""How far does the mouth still follow real speakers in rain and in music? r over the signal-to-noise ratio.

    python -m benchmarks.speech_in_noise --clips FOLDER --task FACE_LANDMARKER [--model FOLDER]

The sound of real clips is mixed with noise of a falling spectrum, as rain has it, and with music that is made for each
clip. The jaw that audio-to-motion hears is compared with what MediaPipe reads in the pictures, and with the jaw that it
hears in the clean sound; r is over all clips, each about its own mean. Needs mediapipe.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
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
from portraittalk_core.motion.audio_to_motion import (
    ARTICULATION_DELAY_S,
    MOUTH,
    AudioToMotion,
    delay_rows,
    silence_gate,
    silent_frames,
)
from portraittalk_core.perception.speech import SpeechEncoder, loudness_track
from portraittalk_core.training.speech.augmentation import coloured_noise, music
from portraittalk_core.types import COEFFICIENTS, SPEECH_RATE

from .parts.program import command_line
from .parts.real.readings import Readings, cached, open_reader, read_frames
from .parts.real.scores import pooled

RATIOS_DB = (20, 10, 5, 3, 0, -5)
"""Of the speech, where it speaks, to what is mixed in."""

NOISES: dict[str, Callable[[int, torch.Generator], Float[Tensor, "n"]]] = {"rain": coloured_noise, "music": music}
"""What is mixed in, of unit variance."""

HEARD = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthClose")
"""Blendshapes that are reported for clean sound."""


@dataclass(frozen=True)
class Spoken:
    """A clip."""

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


@torch.inference_mode()
def main() -> None:
    """Write the tables."""
    parser = command_line("speech_in_noise", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of .mp4 files of people who speak")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker_v2_with_blendshapes.task")
    parser.add_argument("--model", default="tiny", help="or a folder with speech.safetensors and motion.safetensors")
    parser.add_argument("--readings", type=Path, help="folder in which what MediaPipe reads is kept")
    given = parser.parse_args()
    folder = Path(given.model) if Path(given.model).is_dir() else model_folder(given.model)
    nets = load_speech_encoder(folder / "speech.safetensors"), load_motion(folder / "motion.safetensors")[0]
    clips = [_clip(path, given.task, given.readings) for path in sorted(given.clips.glob("*.mp4"))]
    clean = [hear(*nets, clip.waveform, clip) for clip in clips]
    lines = ["| blendshape | r, clean |", "|---|---|"]
    for name in HEARD:
        tracks = [(_column(heard, name), clip.seen.track(name)) for heard, clip in zip(clean, clips, strict=True)]
        lines.append(f"| {name} | {pooled(tracks):.2f} |")
    head = [f"{noise}: {what}" for noise in NOISES for what in ("r to the speaker", "r to clean", "open in silence")]
    lines += ["", f"| dB | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
    for ratio in RATIOS_DB:
        row = [f"{value:.2f}" for make in NOISES.values() for value in _scores(nets, clips, clean, make, ratio)]
        lines.append(f"| {ratio} | {' | '.join(row)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def hear(
    encoder: SpeechEncoder, a2m: AudioToMotion, waveform: Float[Tensor, "n"], clip: Spoken
) -> Float[Tensor, "f 52"]:
    """Return what the mouth does with a sound.

    Args:
        encoder: Listens.
        a2m: Moves the mouth.
        waveform: The sound.
        clip: Gives rate and length.
    """
    features = encoder.encode(waveform, clip.fps, len(clip.seen.found))
    late = delay_rows(a2m(features.hidden), ARTICULATION_DELAY_S * clip.fps)
    mouth = late * silence_gate(features.loudness, clip.fps)[:, None]
    return to_arkit(dict(zip(MOUTH, mouth.unbind(-1), strict=True)))


def _scores(
    nets: tuple[SpeechEncoder, AudioToMotion],
    clips: list[Spoken],
    clean: list[Float[Tensor, "f 52"]],
    make: Callable[[int, torch.Generator], Float[Tensor, "n"]],
    ratio: float,
) -> tuple[float, float, float]:
    """Return r to the speaker's jaw, r to the jaw that is heard in clean sound, and how far it is open in silence."""
    true, same, rest = [], [], []
    for number, clip in enumerate(clips):
        noise = make(len(clip.waveform), torch.Generator().manual_seed(number))
        jaw = _column(hear(*nets, clip.mixed(noise, ratio), clip), "jawOpen")
        true.append((jaw, clip.seen.track("jawOpen")))
        same.append((jaw, _column(clean[number], "jawOpen")))
        rest.append(jaw[clip.silent])
    return pooled(true), pooled(same), float(torch.cat(rest).mean())


def _column(shapes: Float[Tensor, "f 52"], name: str) -> Float[Tensor, "f"]:
    return shapes[:, COEFFICIENTS.index(name)]


def _clip(path: Path, task: Path, kept: Path | None) -> Spoken:
    chunks, fps, sound = read_video(path)
    if sound is None:
        raise BadMedia(f"`{path}` must have sound, but has none. Take it out of the folder.")

    def read() -> Readings:
        return read_frames(open_reader(task), (pixels for chunk in chunks for pixels in chunk.pixels))

    return Spoken(speech_waveform(sound), cached(kept / f"{path.stem}.npz", read) if kept else read(), fps)


if __name__ == "__main__":
    main()
