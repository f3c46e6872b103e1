"""What the plain warp makes of photographs: the first frame of real clips, moved by the points of every frame.

    python -m benchmarks.warp_of_photographs CLIPS face_landmarker_v2_with_blendshapes.task

Needs mediapipe: `pip install mediapipe`. Crops of 256 pixels, 75 frames; PSNR in dB in the boxes of the mouth and of
the face and of the whole crop, beside that of the first frame as it is. What MediaPipe reads is kept in runs/.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from portraittalk_core.motion.geometry import warp_picture

from .parts.program import command_line, say
from .parts.real.boxes import to_pixels
from .parts.real.framed import framed_clip
from .parts.real.material import clips
from .parts.real.readings import Read, open_reader
from .parts.real.scores import errors

AT_ONCE = 16
COLUMNS = ("psnr mouth", "psnr face", "psnr whole")


def main() -> None:
    """Write the table."""
    parser = command_line("warp_of_photographs", __doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("landmarker", type=Path)
    given = parser.parse_args()
    read = open_reader(given.landmarker)
    rows: list[tuple[torch.Tensor, torch.Tensor]] = []
    say("| clip | still: mouth, face, whole | warped: mouth, face, whole | ms a frame |\n|---|---|---|---|")
    for path in clips(given.clips):
        still, warped, spent = _score(path, read)
        rows.append((still, warped))
        say(f"| {path.stem} | {_numbers(still)} | {_numbers(warped)} | {1000 * spent:.1f} |")
    still, warped = (torch.stack(side).mean(0) for side in zip(*rows))
    say(f"| mean | {_numbers(still)} | {_numbers(warped)} | |")


@torch.inference_mode()
def _score(path: Path, read: Read) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return the scores of the still frame and of the warp, and seconds a frame."""
    clip = framed_clip(path, read)
    true, points = clip.frames[1:], to_pixels(clip.points[1:], clip.frames.shape[-1])
    begun = time.perf_counter()
    parts = clip.points[1:].split(AT_ONCE)
    moved = torch.cat([warp_picture(clip.frames[:1], clip.points[:1], part) for part in parts])
    spent = (time.perf_counter() - begun) / len(points)
    scores = [errors(made, true, points) for made in (clip.frames[:1].expand_as(true), moved)]
    still, warped = (torch.tensor([found[name] for name in COLUMNS]) for found in scores)
    return still, warped, spent


def _numbers(row: torch.Tensor) -> str:
    return ", ".join(f"{value:.1f}" for value in row.tolist())


if __name__ == "__main__":
    main()
