"""How far does the mouth still follow real speakers in rain, babble and music? r over the signal-to-noise ratio.

    python -m benchmarks.speech_in_noise --clips FOLDER --task FACE_LANDMARKER [--model FOLDER]

The sound of real clips is mixed with noise of a falling spectrum, as rain has it, with the voices of the other clips,
and with music that is made for each clip. The jaw that audio-to-motion hears is compared with what MediaPipe reads in
the pictures, with the jaw that it hears in the clean sound, and with that where no silence closes it, which tells what
the network loses from what the gate does. r is over all clips, each about its own mean. Needs mediapipe.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.training.speech.augmentation import coloured_noise, music

from .parts.program import command_line
from .parts.real.listening import Listener, Spoken, column, spoken_clips
from .parts.real.scores import pooled

RATIOS_DB = (20, 10, 5, 3, 0, -5)
"""Of the speech, where it speaks, to what is mixed in."""

WHAT = ("to the speaker", "to clean", "to clean, no gate", "open in silence")
"""What is said of each noise: three times r, and how far the jaw is open where nobody speaks."""

Noise = Callable[[list[Spoken], int], Float[Tensor, "n"]]
"""Makes noise of unit variance for a clip, by its number."""


def rain(clips: list[Spoken], number: int) -> Float[Tensor, "n"]:
    """Return noise of a falling spectrum.

    Args:
        clips: All of them.
        number: The one that it is for.
    """
    return coloured_noise(len(clips[number].waveform), torch.Generator().manual_seed(number))


def babble(clips: list[Spoken], number: int) -> Float[Tensor, "n"]:
    """Return the other clips' voices, each repeated; as `rain`."""
    count = len(clips[number].waveform)
    others = [clip.waveform for k, clip in enumerate(clips) if k != number]
    voices = torch.stack([other.repeat(count // len(other) + 1)[:count] / other.std() for other in others])
    return voices.sum(0) / voices.sum(0).std()


def tunes(clips: list[Spoken], number: int) -> Float[Tensor, "n"]:
    """Return music; as `rain`."""
    return music(len(clips[number].waveform), torch.Generator().manual_seed(number))


NOISES: dict[str, Noise] = {"rain": rain, "babble": babble, "music": tunes}
"""What is mixed in."""


@torch.inference_mode()
def main() -> None:
    """Write the table."""
    parser = command_line("speech_in_noise", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of .mp4 files of people who speak")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker_v2_with_blendshapes.task")
    parser.add_argument("--model", default="tiny", help="or a folder with speech.safetensors and motion.safetensors")
    parser.add_argument("--readings", type=Path, help="folder in which what MediaPipe reads is kept")
    given = parser.parse_args()
    listener = Listener.load(given.model)
    clips = spoken_clips(given.clips, given.task, given.readings)
    clean = [_jaws(listener, clip, clip.waveform) for clip in clips]
    at_best = pooled([(jaw, clip.seen.track("jawOpen")) for (jaw, _), clip in zip(clean, clips, strict=True)])
    lines = [f"clean, to the speaker: {at_best:.2f}", "", f"| noise | {' | '.join(WHAT)} |", "|---" * 5 + "|"]
    for name, make in NOISES.items():
        for ratio in RATIOS_DB:
            row = _scores(listener, clips, clean, make, ratio)
            lines.append(f"| {name}, {ratio} dB | {' | '.join(f'{value:.2f}' for value in row)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _jaws(listener: Listener, clip: Spoken, sound: Float[Tensor, "n"]) -> tuple[Float[Tensor, "f"], Float[Tensor, "f"]]:
    """Return the jaw as it moves, and as it would without the gate."""
    gated, free = (listener.hear(sound, clip.fps, len(clip.seen.found), gated) for gated in (True, False))
    return column(gated, "jawOpen"), column(free, "jawOpen")


def _scores(
    listener: Listener,
    clips: list[Spoken],
    clean: list[tuple[Float[Tensor, "f"], Float[Tensor, "f"]]],
    make: Noise,
    ratio: float,
) -> tuple[float, ...]:
    """Return what `WHAT` names."""
    true, same, free, rest = [], [], [], []
    for number, clip in enumerate(clips):
        jaw, ungated = _jaws(listener, clip, clip.mixed(make(clips, number), ratio))
        true.append((jaw, clip.seen.track("jawOpen")))
        same.append((jaw, clean[number][0]))
        free.append((ungated, clean[number][1]))
        rest.append(jaw[clip.silent])
    return pooled(true), pooled(same), pooled(free), float(torch.cat(rest).mean())


if __name__ == "__main__":
    main()
