"""Make talk.json, a face in space with what moves it: `python tests/metrics/make_talk.py`. The tests read it alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.landmarks import iris_points, landmark_vertices
from portraittalk_core.people.person import draw_person
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.topology import IBUG

SEED = 4_000_000_000
"""Of somebody whom neither training nor benchmarks draw."""

ACTIONS = {
    "jaw": {"jawOpen": 0.8},
    "wide": {"mouthStretch": 0.5, "mouthSmile": 0.3},
    "blink": {"eyeBlink": 1.0},
    "brow_raise": {"browInnerUp": 0.8, "browOuterUp": 0.8},
}
"""What moves the face, by the words of the tests."""


def main() -> None:
    """Write the file."""
    actor = Renderer(64).actor(draw_person(SEED))
    rows = np.searchsorted(actor.surface.used, landmark_vertices())

    def points(actions: dict[str, float]) -> np.ndarray:
        pose = actor.rig.pose(coefficients(actions), np.zeros(3, np.float32))
        found = np.concatenate([actor.rig.posed(pose)[rows], iris_points(pose)])
        return found[list(IBUG)] * [1, -1, 1]  # y down, z to the viewer

    rest = points({})
    middle, size = rest[[0, 16]].mean(0), np.linalg.norm(rest[45] - rest[36])
    face = {"rest": (rest - middle) / size}
    face |= {name: (points(actions) - rest) / size for name, actions in ACTIONS.items()}
    rounded = {name: [round(float(v), 4) for v in values.ravel()] for name, values in face.items()}
    Path(__file__).with_name("talk.json").write_text(json.dumps(rounded, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
