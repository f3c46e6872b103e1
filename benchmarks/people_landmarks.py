"""Fit which vertex of the template each of MediaPipe's points is, and write portraittalk_core/people/landmarks.json.

    python -m benchmarks.people_landmarks --task face_landmarker_v2_with_blendshapes.task --people 60

For each point the vertex that lies nearest on average, over people who hold still and who open the mouth, smile, close
the eyes and purse the lips; so the inner rims of the lips and the lids are told apart by how they move.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from portraittalk_core.people import landmarks
from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.drawing import place_camera
from portraittalk_core.people.person import Person, draw_person
from portraittalk_core.people.projection import to_pixels
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.people.scene import studio_scene

from .parts.mediapipe_judge import Judge
from .parts.program import command_line, say

ACTIONS = (
    {},
    {"jawOpen": 0.5},
    {"mouthSmile": 0.6},
    {"eyeBlink": 0.7},
    {"mouthPucker": 0.6},
    {"jawOpen": 0.25, "mouthFunnel": 0.4},
)
TABLE = Path(landmarks.__file__).with_name("landmarks.json")


def bare(person: Person) -> Person:
    """Return a person without anything that hides the face."""
    style = person.style if person.style in ("bald", "buzz", "short", "bun", "ponytail") else "short"
    return dataclasses.replace(person, glasses="none", hat="none", beard="none", fringe=False, style=style)


def fit(task: Path, people: int, first: int, textures: Path | None) -> dict[str, object]:
    """Return the table and how well it fits, in per cent of the distance of the eyes."""
    judge, renderer = Judge(task), Renderer(256, textures)
    total, frames = 0.0, 0
    for seed in range(first, first + people):
        person = bare(draw_person(seed))
        actor = renderer.actor(person)
        scene = studio_scene("grey")
        shapes = np.stack([coefficients(a) for a in ACTIONS])
        clip = renderer.render(person, shapes, scene=scene)
        matrix = place_camera(actor, scene.camera).matrix
        for shape, picture, truth in zip(shapes, clip.pixels, clip.landmarks):
            reading = judge.read(picture)
            if reading is None:
                continue
            pose = actor.rig.pose(shape, np.zeros(3, np.float32))
            skin = to_pixels(actor.rig.posed(pose), matrix, 256)
            hidden = (pose.normals[:, 2] < 0.05) | (actor.surface.inside[corner_of(actor)] > 0.5)
            eyes = np.linalg.norm(truth[468] - truth[473])
            distance = ((reading.points[:468, None] - skin[None]) ** 2).sum(-1) / eyes**2
            distance[:, hidden] += 0.02
            total, frames = total + distance, frames + 1
        say(seed, frames)
    mean = np.asarray(total) / max(frames, 1)
    best = mean.argmin(1)
    error = 100 * np.sqrt(mean.min(1))
    used = actor.surface.used
    return {"vertices": [int(v) for v in used[best]], "error": float(error.mean()), "worst": float(error.max())}


def corner_of(actor: object) -> np.ndarray:
    """Return one corner of the surface for each vertex."""
    surface = actor.surface  # type: ignore[attr-defined]
    corner = np.zeros(len(surface.used), np.int64)
    corner[surface.local] = np.arange(len(surface.local))
    return corner


def main() -> None:
    """Fit the table and write it."""
    parser = command_line("people_landmarks", __doc__)
    parser.add_argument("--task", type=Path, required=True)
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--first", type=int, default=50000)
    parser.add_argument("--textures", type=Path)
    arguments = parser.parse_args()
    landmarks.landmark_vertices = lambda: np.full(468, 520)  # not known yet
    table = fit(arguments.task, arguments.people, arguments.first, arguments.textures)
    TABLE.write_text(json.dumps({"vertices": table["vertices"]}, separators=(",", ":")) + "\n")
    say(f"error {table['error']:.2f} %, worst point {table['worst']:.2f} %")


if __name__ == "__main__":
    main()
