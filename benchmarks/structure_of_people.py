"""How well the structure networks know people: rendered ones nobody has seen, and real ones in clips.

    python -m benchmarks.structure_of_people [STRUCTURE.safetensors] [--clips CLIPS --landmarker FILE.task]

Rendered: errors in % of the distance of the eyes. Real, which needs mediapipe: what the fitter reads in MediaPipe's
points against MediaPipe's own blendshapes and angles (r), and the points of the first frame, moved by as much as
MediaPipe's blendshapes and pose change, against those of each frame, beside points that do not move. Then what a
driving video is read as, by each picture alone and by one head that is fitted to all of them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from portraittalk_core.checkpoints.native import load_structure, model_folder
from portraittalk_core.motion.driving_video import driven_motion, follow_face
from portraittalk_core.motion.head_tracking import STEPS
from portraittalk_core.motion.structure import FaceFitter, FaceShaper
from portraittalk_core.perception.other_faces import open_faces
from portraittalk_core.topology import EYES, INNER_LIPS, OUTER_LIPS
from portraittalk_core.types import POSE

from .parts.program import command_line, say
from .parts.real.boxes import eye_distance
from .parts.real.framed import FramedClip, framed_clip
from .parts.real.material import clips
from .parts.real.readings import Readings, open_reader
from .parts.real.scores import correlation, pooled

FOLLOWED = (
    *("jawOpen", "eyeBlink", "yaw", "pitch", "roll", "mouthSmile", "mouthPucker", "mouthClose", "eyeLookDown"),
    *("browDown", "browInnerUp", "browOuterUp", "mouthFunnel"),
)
READ = ("jawOpen", "eyeBlink", "mouthSmile", "mouthPucker", "mouthFunnel", "browInnerUp", "browDown")
_FPS = 25.0
PARTS = {"all": range(478), "lips": (*OUTER_LIPS, *INNER_LIPS), "lids": (*EYES[0], *EYES[1])}


def main() -> None:
    """Write the tables."""
    parser = command_line("structure_of_people", __doc__)
    parser.add_argument("weights", type=Path, nargs="?", default=model_folder("tiny") / "structure.safetensors")
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--landmarker", type=Path)
    given = parser.parse_args()
    nets = load_structure(given.weights)
    _rendered(*nets)
    if given.clips is not None:
        read = open_reader(given.landmarker)
        framed = {path.stem: framed_clip(path, read) for path in clips(given.clips)}
        _real(*nets, framed)
        _followed(*nets, framed)


def _rendered(fitter: FaceFitter, shaper: FaceShaper) -> None:
    from portraittalk_core.training.motion.people import held_out_people
    from portraittalk_core.training.motion.structure import Noise, measure

    people = held_out_people(0)
    noise = Noise(shaper.head.mean[:, :2])
    exact, noisy = (measure(fitter, shaper, people, added) for added in (None, noise))
    say("| rendered people | exact points | points as a network finds them |\n|---|---|---|")
    for name in exact:
        say(f"| {name} | {exact[name]:.3f} | {noisy[name]:.3f} |")


@torch.inference_mode()
def _real(fitter: FaceFitter, shaper: FaceShaper, framed: dict[str, FramedClip]) -> None:
    tracks: dict[str, list[tuple[Tensor, Tensor]]] = {}
    say(f"\n| clip | {' | '.join((*READ, *POSE[:3]))} | moved: {', '.join(PARTS)} | still |\n|{'---|' * 13}")
    sums: list[list[float]] = []
    for stem, clip in framed.items():
        points, readings = clip.points, clip.readings
        coefficients, pose = fitter(points)
        row = _agreement(coefficients, pose, readings)
        for name, pair in row.items():
            tracks.setdefault(name, []).append(pair)
        moved, still = _moved(fitter, shaper, points, readings)
        sums.append([*moved, *still])
        shown = " | ".join(f"{correlation(*pair):.2f}" for pair in row.values())
        say(f"| {stem} | {shown} | {_percent(moved)} | {_percent(still)} |")
    means = torch.tensor(sums).mean(0).tolist()
    shown = " | ".join(f"{pooled(pairs):.2f}" for pairs in tracks.values())
    say(f"| all | {shown} | {_percent(means[: len(PARTS)])} | {_percent(means[len(PARTS) :])} |")


@torch.inference_mode()
def _followed(fitter: FaceFitter, shaper: FaceShaper, framed: dict[str, FramedClip]) -> None:
    """Write how well driving videos are read: r over all clips, each about its own mean."""
    finder = open_faces(model_folder("tiny") / "faces")
    ways = ("face pack, each picture alone", "face pack", "MediaPipe's points")
    tracks: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = {}
    for clip in framed.values():
        own = follow_face(((k / _FPS, frame) for k, frame in enumerate(clip.frames)), finder, fps=_FPS)
        times = torch.arange(len(clip.frames), dtype=torch.float64) / _FPS
        seen_points = (clip.points + 1) * clip.frames.shape[-1] / 2
        points = replace(own, landmarks=seen_points, times_s=times, looked_at=len(times))
        for way, track, steps in zip(ways, (own, own, points), (0, STEPS, STEPS), strict=True):
            motion = driven_motion(track, fitter, shaper, fps=_FPS, frames=len(clip.frames), steps=steps)
            for name, pair in _agreement(motion.coefficients, motion.pose, clip.readings, FOLLOWED).items():
                tracks.setdefault((name, way), []).append(pair)
    say(f"\n| {sum(len(clip.frames) for clip in framed.values())} pictures | {' | '.join(ways)} |\n|{'---|' * 4}")
    for name in FOLLOWED:
        say(f"| {name} | {' | '.join(f'{pooled(tracks[name, way]):.2f}' for way in ways)} |")


def _agreement(
    coefficients: Tensor, pose: Tensor, readings: Readings, names: tuple[str, ...] = (*READ, *POSE[:3])
) -> dict[str, tuple[Tensor, Tensor]]:
    """Return what the fitter reads and what MediaPipe reads."""
    ours = Readings(readings.points, coefficients, torch.rad2deg(pose[:, :3]) * torch.tensor([1.0, 1.0, -1.0]))
    return {name: (ours.track(name), readings.track(name)) for name in names}


def _moved(
    fitter: FaceFitter, shaper: FaceShaper, points: Tensor, readings: Readings
) -> tuple[list[float], list[float]]:
    """Return the errors of points that are moved by true changes, and of points that stay, by part, in shares."""
    has, rest = fitter(points[:1])
    has = has.clamp(0, 1)
    wanted = (has + readings.scores - readings.scores[:1]).clamp(0, 1).float()
    turn = torch.deg2rad(readings.turn - readings.turn[:1]).float() * torch.tensor([1.0, 1.0, -1.0])
    _, seen = fitter(points)  # of which only place and size are used: MediaPipe gives none
    pose = torch.cat([rest[:, :3] + turn, rest[:, 3:5] + seen[:, 3:5] - seen[:1, 3:5], seen[:, 5:]], 1)
    drawn = shaper(points[:1], has, rest, wanted, pose)
    unit = eye_distance(points)[:, None]
    errors = [(made - points).norm(dim=2) / unit for made in (drawn, points[:1].expand_as(points))]
    return tuple([float(error[1:, list(part)].mean()) for part in PARTS.values()] for error in errors)


def _percent(values: list[float]) -> str:
    return ", ".join(f"{100 * value:.1f}" for value in values)


if __name__ == "__main__":
    main()
