"""What stage 2 brings to people who are real: decoded frames of clips, with it and without. Written as Markdown.

    python -m benchmarks.decoded_clips --clips FOLDER --task FACE_LANDMARKER
    python -m benchmarks.decoded_clips --clips FOLDER --task FACE_LANDMARKER --model FOLDER --size 256

The first frame of each clip is the photograph, moved by the clip's true points while its sound is heard. What the
denoiser draws, with nothing taken from the photograph, is compared with the true frames: peak signal to noise in dB in
the box of the mouth, that of the face and the whole crop, means over the clips. Every variant sees the same noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import SpeechFeatures

from .parts.program import command_line, say
from .parts.real.boxes import in_crop, to_pixels
from .parts.real.driven import by_points, heard
from .parts.real.making import SIDE, crops, enlarged
from .parts.real.material import clips, read_clip
from .parts.real.readings import open_reader, read_frames
from .parts.real.scores import errors
from .parts.rendered.variants import WithoutTemporal, as_kind

MEASURES = ("psnr mouth", "psnr face", "psnr whole")
"""Of `errors`."""


@dataclass(frozen=True)
class Way:
    """What is taken away of stage 2."""

    audio: float = 1.0
    """`audio_scale`."""

    alone: bool = False
    """Whether the denoiser sees each frame alone."""

    other: bool = False
    """Whether another part of the recording is heard than the one that is said."""


WAYS = {
    "stage 1 alone": Way(0.0, True),
    "the audio branch": Way(1.0, True),
    "temporal attention": Way(0.0),
    "both": Way(),
    "both, other words heard": Way(other=True),
}
"""By the name of the row."""


def main() -> None:
    """Write the table."""
    parser = command_line("decoded_clips", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of clips")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face landmarker")
    parser.add_argument("--model", default="tiny", help="a folder of weights (tiny)")
    parser.add_argument("--size", type=int, default=128, help="side at which frames are denoised (128)")
    parser.add_argument("--frames", type=int, default=48, help="of each clip, from its first (48)")
    given = parser.parse_args()
    model, read = PortraitTalk.load(given.model), open_reader(given.task)
    found: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    for path in clips(given.clips):
        for name, row in one(model, read, path, given.frames, given.size).items():
            found[name].append(row)
    say("| weights | " + " | ".join(MEASURES) + " |\n|---|---|---|---|")
    for name, rows in found.items():
        say(f"| {name} | " + " | ".join(f"{mean:.2f}" for mean in torch.tensor(rows).mean(0).tolist()) + " |")


@torch.inference_mode()
def one(model: PortraitTalk, read: Callable[..., Any], path: Path, frames: int, size: int) -> dict[str, list[float]]:
    """Measure one clip.

    Args:
        model: Of the tiny kind.
        read: MediaPipe's landmarker.
        path: Of the clip.
        frames: From its first.
        size: Side at which frames are denoised, pixels.

    Returns:
        `MEASURES` of each of `WAYS`.
    """
    clip = read_clip(path, frames)
    count = len(clip.levels)
    truth = read_frames(read, (clip.frame(number) for number in range(count))).filled()
    identity = model.stack.identify([clip.frame(0)])
    place = identity.places[0]
    true, points = crops(clip.levels, place, SIDE), to_pixels(in_crop(truth.points, place), SIDE)
    maps = by_points(identity, truth, clip.fps)
    features = heard(model.stack, clip.sound, clip.fps, count)
    row: dict[str, list[float]] = {}
    for name, way in WAYS.items():
        sampling = replace(model.stack.config.sampling, plain_size=size)
        stack = replace(model.stack, config=replace(model.stack.config, sampling=sampling))  # pyright: ignore
        used = PortraitTalk(stack, model.host)
        used = as_kind(WithoutTemporal)(used) if way.alone else used
        said = _rolled(features, count // 2) if way.other else features
        options = SamplingOptions(audio_scale=way.audio)
        track = PromptTrack("", (), clip.fps, count)
        latents = used.animate(identity, maps, said, track, seed=0, options=options)
        decoded = torch.cat([part.pixels for video in latents for part in used.stack.decode(video)])
        measured = errors(enlarged(decoded), true, points)
        row[name] = [float(measured[measure]) for measure in MEASURES]
    say("", path.stem, {name: [round(value, 2) for value in values] for name, values in row.items()})
    return row


def _rolled(features: SpeechFeatures | None, frames: int) -> SpeechFeatures | None:
    if features is None:
        return None
    return replace(features, hidden=features.hidden.roll(frames, 0), loudness=features.loudness.roll(frames, 0))


if __name__ == "__main__":
    main()
