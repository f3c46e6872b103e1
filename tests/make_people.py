"""Draw the stored people of the tests: `python tests/make_people.py` writes tests/data/people.jpg, people.json, talk.json.

Tests need faces of which everything is known, also where no people can be drawn. The strip has eight pictures: four people
from the front and at rest, then each in another appearance, speaking, the head turned. `talk.json` is a face in space
with what moves it, from which tests/metrics makes talking faces.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.caption import tags
from portraittalk_core.people.framing import frame_head
from portraittalk_core.people.landmarks import iris_points, landmark_vertices
from portraittalk_core.people.motion import resting_blendshapes
from portraittalk_core.people.person import draw_person, dress
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.people.scene import Camera, draw_scene
from portraittalk_core.topology import IBUG

FOLDER = Path(__file__).parent / "data"
SIZE = 256
FIRST = 4_000_000_000
"""Seeds that neither training nor benchmarks draw."""

PEOPLE = (
    {"sex": "female", "age": "young", "hat": "none", "glasses": "none", "style": "bob"},
    {"sex": "male", "age": "middle aged", "hat": "none", "glasses": "round", "beard": "beard"},
    {"sex": "female", "age": "old", "hat": "none", "glasses": "none", "style": "bun"},
    {"sex": "male", "age": "young", "hat": "none", "glasses": "none", "beard": "none", "style": "short"},
)
LATER = (
    {"hair": "red", "clothes": "blue", "background": "park", "expression": "smiling"},
    {"hair": "grey", "clothes": "red", "background": "white", "glasses": "none"},
    {"glasses": "square", "clothes": "green", "background": "bookshelf"},
    {"beard": "goatee", "clothes": "black", "background": "blue", "expression": "surprised"},
)
SPEAKING = (
    ({"jawOpen": 0.5, "eyeLookInLeft": 0.3, "eyeLookOutRight": 0.3}, (12.0, 3.0, 0.0)),
    ({"jawOpen": 0.2, "mouthPucker": 0.8}, (-15.0, -4.0, 3.0)),
    ({"eyeBlink": 1.0}, (5.0, 6.0, -4.0)),
    ({"jawOpen": 0.7}, (-8.0, 0.0, 5.0)),
)
ACTIONS = {
    "jaw": {"jawOpen": 0.8},
    "wide": {"mouthStretch": 0.5, "mouthSmile": 0.3},
    "blink": {"eyeBlink": 1.0},
    "brow_raise": {"browInnerUp": 0.8, "browOuterUp": 0.8},
}
"""What moves the face of `talk.json`, by the words of the tests."""


def main() -> None:
    """Draw and write."""
    renderer = Renderer(SIZE)
    pictures, rows = [], []
    for later in (False, True):
        for number, worn in enumerate(PEOPLE):
            rng = np.random.default_rng([FIRST, number])
            person = dress(replace(draw_person(FIRST + number), expression="neutral"), worn, rng)
            scene = draw_scene(FIRST + number, person.background)
            scene = replace(scene, camera=Camera(noise=0.0, jpeg=None))
            scene = frame_head(renderer.actor(person), scene, np.zeros(52, np.float32), np.zeros(3, np.float32), SIZE)
            shapes, turn = coefficients({}), np.zeros(3)
            if later:
                person = dress(person, LATER[number], rng)
                actions, turn = SPEAKING[number]
                shapes = np.clip(coefficients(actions) + resting_blendshapes(person), 0, 1)
                scene = replace(scene, background=person.background)
            shapes, turn = np.asarray(shapes, np.float32)[None], np.asarray(turn, np.float32)[None]
            clip = renderer.render(person, shapes, turn, scene)
            pictures.append(clip.pixels[0])
            points = clip.landmarks[0] / SIZE * 2 - 1
            rows.append(
                {
                    "person": number,
                    "tags": tags(person),
                    "blendshapes": [round(float(v), 3) for v in shapes[0]],
                    "rotation": turn[0].tolist(),
                    "landmarks": [round(float(v), 4) for v in points.ravel()],
                }
            )
    FOLDER.mkdir(exist_ok=True)
    strip = np.concatenate(pictures, 1)[..., ::-1]
    cv2.imwrite(str(FOLDER / "people.jpg"), strip, [cv2.IMWRITE_JPEG_QUALITY, 88])
    (FOLDER / "people.json").write_text(json.dumps(rows, separators=(",", ":")) + "\n")
    (FOLDER / "talk.json").write_text(json.dumps(talking_face(renderer), separators=(",", ":")) + "\n")


def talking_face(renderer: Renderer) -> dict[str, list[float]]:
    """Return iBUG's points of a face in space, x right, y down, z to the viewer, and how far each action moves them."""
    actor = renderer.actor(draw_person(FIRST))
    rows = np.searchsorted(actor.surface.used, landmark_vertices())

    def points(actions: dict[str, float]) -> np.ndarray:
        pose = actor.rig.pose(coefficients(actions), np.zeros(3, np.float32))
        found = np.concatenate([actor.rig.posed(pose)[rows], iris_points(pose)])[list(IBUG)]
        return found * [1, -1, -1 if found[30, 2] < found[0, 2] else 1]

    rest = points({})
    middle = rest[[0, 16]].mean(0)
    size = np.linalg.norm(rest[45] - rest[36])
    face = {"rest": (rest - middle) / size}
    face |= {name: (points(actions) - rest) / size for name, actions in ACTIONS.items()}
    return {name: [round(float(v), 4) for v in values.ravel()] for name, values in face.items()}


if __name__ == "__main__":
    main()
