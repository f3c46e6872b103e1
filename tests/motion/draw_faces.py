"""Draw `faces.npz`, the points of rendered people that tests look at: `python -m tests.motion.draw_faces`.

Needs what `[train]` installs. Six people whom no training sees, four views of each by one camera: at rest, a smile that
bares the teeth, speaking with the head turned, and eyes shut.
"""

from pathlib import Path

import numpy as np

from portraittalk_core.people.arkit import coefficients
from portraittalk_core.training.motion.people import HELD_OUT, People

FILE = Path(__file__).with_name("faces.npz")
VIEWS = (
    ({}, (0, 0, 0)),
    ({"mouthSmile": 0.8, "mouthUpperUp": 0.4, "mouthLowerDown": 0.3, "jawOpen": 0.2, "cheekSquint": 0.4}, (4, 3, -2)),
    ({"jawOpen": 0.5, "mouthPucker": 0.2, "browInnerUp": 0.4, "eyeLookUp": 0.2}, (-12, 5, 4)),
    ({"eyeBlink": 1.0}, (6, -4, 2)),
)


def main() -> None:
    """Write the file."""
    people = People(0, 6, HELD_OUT + 5000)
    who = np.repeat(np.arange(6), len(VIEWS))
    cameras = people.cameras(np.arange(6), np.random.default_rng(5))[who]
    rows = np.tile(np.stack([coefficients(actions) for actions, _ in VIEWS]), (6, 1))
    turns = np.tile(np.array([turn for _, turn in VIEWS], np.float64), (6, 1))
    points, said, pose = people.view(who, rows, turns, cameras)
    found = {"landmarks": points, "coefficients": said, "pose": pose}
    np.savez_compressed(FILE, **{name: value.numpy().astype(np.float16) for name, value in found.items()})


if __name__ == "__main__":
    main()
