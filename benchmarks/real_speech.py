"""Does the mouth do what real speakers' mouths do? Pearson's r, the best lag, and how far it moves beside theirs.

    python -m benchmarks.real_speech --clips FOLDER --task FACE_LANDMARKER [--model FOLDER]

The mouth that is heard in the sound of real clips is compared with what MediaPipe reads in their pictures: the
blendshapes, and the gap and the width of the lips of the points that it moves, the clip's own first frame being the
photograph. r is over all clips, each about its own mean. *Moves* is the standard deviation of what is heard over that
of what is seen, over all clips the root mean square of their own. Needs mediapipe.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.checkpoints.native import load_structure, model_folder
from portraittalk_core.motion.structure import structure_maps
from portraittalk_core.topology import EYE_CORNERS, MEETING_LIPS, OUTER_LIPS
from portraittalk_core.types import FaceMotion, Identity

from .parts.program import command_line
from .parts.real.listening import Listener, column, spoken_clips
from .parts.real.readings import Readings
from .parts.real.scores import pooled
from .parts.rendered.scores import best_lag

SEEN = ("jawOpen", "mouthPucker", "mouthFunnel", "mouthClose", "mouthRollLower", "mouthRollUpper", "mouthPress")
"""Blendshapes that are compared."""

_NOSE = 2  # where its base meets the lip

MOVED = ("gap of the lips", "width of the lips", "upper lip", "lower lip")
"""Of which is told how far they move."""

Tracks = dict[str, tuple[Float[Tensor, "f"], Float[Tensor, "f"]]]
"""What is heard and what is seen, by name."""


@torch.inference_mode()
def main() -> None:
    """Write the table."""
    parser = command_line("real_speech", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of .mp4 files of people who speak")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker_v2_with_blendshapes.task")
    parser.add_argument("--model", default="tiny", help="or a folder with speech.safetensors and motion.safetensors")
    parser.add_argument("--readings", type=Path, help="folder in which what MediaPipe reads is kept")
    given = parser.parse_args()
    listener = Listener.load(given.model)
    clips = spoken_clips(given.clips, given.task, given.readings)
    found: list[Tracks] = []
    for clip in clips:
        shapes = listener.hear(clip.waveform, clip.fps, len(clip.seen.found))
        found.append(compared(shapes, clip.seen.filled(), clip.fps))
    lines = [f"| | all | {' | '.join(clip.name for clip in clips)} |", "|---" * (len(clips) + 2) + "|"]
    for name in found[0]:
        each = [f"{pooled([tracks[name]]):.2f}" for tracks in found]
        lines.append(f"| {name}, r | {pooled([tracks[name] for tracks in found]):.2f} | {' | '.join(each)} |")
    for name in ("jawOpen", "gap of the lips"):
        lags = [best_lag(*tracks[name]) for tracks in found]
        mean = sum(lags) / len(lags)
        lines.append(f"| {name}, frames late | {mean:+.1f} | {' | '.join(f'{lag:+d}' for lag in lags)} |")
    for name in MOVED:
        spread = torch.tensor([[float(track.std()) for track in tracks[name]] for tracks in found])
        heard, seen = spread.square().mean(0).sqrt()
        each = [f"{own:.2f}" for own in (spread[:, 0] / spread[:, 1]).tolist()]
        lines.append(f"| {name}, moves | {heard / seen:.2f} | {' | '.join(each)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def compared(shapes: Float[Tensor, "f 52"], seen: Readings, fps: float) -> Tracks:
    """Return what is compared.

    Args:
        shapes: What is heard.
        seen: What MediaPipe reads, without gaps.
        fps: Pictures a second.
    """
    tracks: Tracks = {name: (column(shapes, name), seen.track(name)) for name in SEEN}
    drawn = _drawn(shapes, seen.points, fps)
    tracks["gap of the lips"] = _gap(drawn), _gap(seen.points)
    tracks["width of the lips"] = _width(drawn), _width(seen.points)
    for name, side in (("upper lip", 0), ("lower lip", 1)):
        tracks[name] = _below_nose(drawn, side), _below_nose(seen.points, side)
    return tracks


def _drawn(shapes: Float[Tensor, "f 52"], points: Float[Tensor, "f 478 2"], fps: float) -> Float[Tensor, "f 478 2"]:
    """Return the points of the first frame's face with other blendshapes, the head still."""
    first = points[:1]
    middle, side = first.mean(1, keepdim=True), 1.5 * (first.amax(1) - first.amin(1)).amax()
    still = torch.zeros(len(shapes), 6)
    still[:, 5] = 1
    who = Identity(torch.zeros(1, 512), torch.zeros(1, 3, 8, 8), 2 * (first - middle) / side)
    nets = load_structure(model_folder("tiny") / "structure.safetensors")
    return structure_maps(FaceMotion(shapes, still, fps), who, *nets).landmarks


def _eyes(points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    return (points[:, EYE_CORNERS[3]] - points[:, EYE_CORNERS[0]]).norm(dim=1)


def _gap(points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    upper, lower = ([pair[k] for pair in MEETING_LIPS] for k in (0, 1))
    return (points[:, lower, 1] - points[:, upper, 1]).mean(1) / _eyes(points)


def _below_nose(points: Float[Tensor, "f 478 2"], side: int) -> Float[Tensor, "f"]:
    """Return how far the inner edge of a lip is from the base of the nose, of the distance of the eyes."""
    lip = points[:, [pair[side] for pair in MEETING_LIPS]].mean(1)
    return (lip - points[:, _NOSE]).norm(dim=1) / _eyes(points)


def _width(points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f"]:
    return (points[:, OUTER_LIPS[0]] - points[:, OUTER_LIPS[10]]).norm(dim=1) / _eyes(points)


if __name__ == "__main__":
    main()
