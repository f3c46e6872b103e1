"""Print the figures of the tiny face pack on held-out avatars: `python benchmarks/faces.py`.

Draws 64 people that are in no training album (kept in runs/faces) and scores the pack through insightface itself.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.training.face_data import open_album
from portraittalk_core.training.face_people import people_drawer
from portraittalk_core.training.face_scores import score_faces

HELD_OUT_SEED = 90_001


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=Path("portraittalk_core/assets/tiny/faces"))
    parser.add_argument("--album", type=Path, default=Path("runs/faces/album"))
    parser.add_argument("--people", type=int, default=64, help="a multiple of 16")
    given = parser.parse_args()
    album = open_album(given.album, seed=HELD_OUT_SEED, people=given.people, views=4, draw=people_drawer())
    for name, value in score_faces(FaceAnalyser(given.pack), album).rows():
        sys.stdout.write(f"| {name.replace('_', ' ')} | {value:.3f} |\n")


if __name__ == "__main__":
    main()
