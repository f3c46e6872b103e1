"""The figures of the tiny face pack on held-out avatars, as Markdown.

    python -m benchmarks.faces

Draws 64 people that are in no training album (kept in runs/faces) and scores the pack through insightface itself.
What becomes of photographs, `benchmarks.out_of_domain` says.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.training.faces.data import Album, open_album
from portraittalk_core.training.faces.embedding import EmbedFrames
from portraittalk_core.training.faces.people import people_drawer
from portraittalk_core.training.faces.scores import score_faces

from .parts.program import ROOT, RUNS, command_line

HELD_OUT_SEED = 90_001
"""Its generators are seeded above 9e9; the training album's end at 700 084."""

LOW = 0.3
"""Threshold at which scores are read."""


def main() -> None:
    """Write the table."""
    parser = command_line("faces", __doc__)
    parser.add_argument("--pack", type=Path, default=ROOT / "portraittalk_core" / "assets" / "tiny" / "faces")
    parser.add_argument("--album", type=Path, default=RUNS / "faces" / "album")
    parser.add_argument("--people", type=int, default=64, help="a multiple of 16")
    given = parser.parse_args()
    album = open_album(given.album, seed=HELD_OUT_SEED, people=given.people, views=4, draw=people_drawer())
    rows = score_faces(FaceAnalyser(given.pack), album).rows() + _agreement(given.pack, album)
    _table(("figure", "value"), [(name.replace("_", " "), f"{value:.3f}") for name, value in rows])


def _agreement(pack: Path, album: Album) -> list[tuple[str, float]]:
    """Return the least score of a portrait, and how well embeddings from exact landmarks match the analyser's."""
    views = range(0, len(album.points), album.views)
    pixels = torch.stack([torch.tensor(album.picture(i)).permute(2, 0, 1) for i in views])
    analyser = FaceAnalyser(pack, threshold=LOW)
    found = (analyser.find(picture.float() / 127.5 - 1) for picture in pixels)
    faces = [max(some, key=lambda face: face.score) for some in found]
    embedded = EmbedFrames(pack, "cpu")(pixels, torch.from_numpy(album.points[views]))
    cosines = (embedded * torch.stack([face.embedding for face in faces])).sum(1)
    return [
        ("least detector score", min(face.score for face in faces)),
        ("cosine of EmbedFrames, median", float(cosines.median())),
        ("cosine of EmbedFrames, least", float(cosines.min())),
    ]


def _table(head: tuple[str, ...], rows: list) -> None:
    for row in [head, ("---",) * len(head), *rows]:
        sys.stdout.write(f"| {' | '.join(row)} |\n")
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
