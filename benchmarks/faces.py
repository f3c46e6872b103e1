"""The figures of the tiny face pack on held-out rendered people, as Markdown.

    python -m benchmarks.faces --bank runs/people

Takes the people of the bank's shards from 90 on, which nothing was trained on, and scores the pack through insightface
itself. What becomes of photographs, `benchmarks.face_pack` says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.training.faces.embedding import EmbedFrames
from portraittalk_core.training.faces.people import TRAINING, People, open_people
from portraittalk_core.training.faces.scores import score_faces

from .parts.program import ROOT, RUNS, command_line, say

LOW = 0.3
"""Threshold at which scores are read."""


def main() -> None:
    """Write the table."""
    parser = command_line("faces", __doc__)
    parser.add_argument("--pack", type=Path, default=ROOT / "portraittalk_core" / "assets" / "tiny" / "faces")
    parser.add_argument("--bank", type=Path, default=RUNS / "people")
    given = parser.parse_args()
    people = open_people(given.bank, range(TRAINING.stop, 10**6))
    rows = score_faces(FaceAnalyser(given.pack), people).rows() + _agreement(given.pack, people)
    say("| figure | value |")
    say("|---|---|")
    for name, value in [("people", float(len(people))), *rows]:
        say(f"| {name.replace('_', ' ')} | {value:.3f} |")


def _agreement(pack: Path, people: People) -> list[tuple[str, float]]:
    """Return the least score of a portrait, and how well embeddings from exact landmarks match the analyser's."""
    views = people.first
    pixels = torch.from_numpy(np.stack([people.bank.picture(int(i)) for i in views])).permute(0, 3, 1, 2)
    analyser = FaceAnalyser(pack, threshold=LOW)
    found = [analyser.find(picture.float() / 127.5 - 1) for picture in pixels]
    seen = [k for k, faces in enumerate(found) if faces]
    faces = [max(found[k], key=lambda face: face.score) for k in seen]
    embedded = EmbedFrames(pack, "cpu")(pixels[seen], torch.from_numpy(people.bank.landmarks[views[seen]]))
    cosines = (embedded * torch.stack([face.embedding for face in faces])).sum(1)
    return [
        ("least detector score", min(face.score for face in faces)),
        ("cosine of EmbedFrames, median", float(cosines.median())),
        ("cosine of EmbedFrames, least", float(cosines.min())),
    ]


if __name__ == "__main__":
    main()
