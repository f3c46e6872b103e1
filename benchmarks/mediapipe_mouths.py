"""How far the mouth of each clip is open in every frame, as MediaPipe sees it: a JSON file.

    python -m benchmarks.mediapipe_mouths CLIPS face_landmarker.task -o mouths.json

Needs mediapipe: `pip install mediapipe`.
"""

from __future__ import annotations

import json
from pathlib import Path

import av
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from .parts.program import command_line

UPPER, LOWER, LEFT_EYE, RIGHT_EYE = 13, 14, 33, 263
"""Points of the mesh: inner lips at the middle, outer corners of the eyes."""


def main() -> None:
    """Write the file."""
    parser = command_line("mediapipe_mouths", __doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("landmarker", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    found = {file.name: _mouth(file, given.landmarker) for file in sorted(given.clips.glob("*.mp4"))}
    given.output.write_text(json.dumps(found))


def _mouth(file: Path, landmarker: Path) -> dict[str, object]:
    """Return fps and opening (inner lips over the distance of the eyes; null where there is no face) of each frame."""
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)), running_mode=vision.RunningMode.VIDEO
    )
    openings: list[float | None] = []
    with av.open(str(file)) as container, vision.FaceLandmarker.create_from_options(options) as detector:
        fps = float(container.streams.video[0].average_rate)
        for number, frame in enumerate(container.decode(video=0)):
            picture = mediapipe.Image(
                mediapipe.ImageFormat.SRGB, np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            )
            faces = detector.detect_for_video(picture, round(number / fps * 1000)).face_landmarks
            openings.append(_opening(faces[0], frame.width, frame.height) if faces else None)
    return {"fps": fps, "opening": openings}


def _opening(points: list, width: int, height: int) -> float:
    place = {k: np.array([points[k].x * width, points[k].y * height]) for k in (UPPER, LOWER, LEFT_EYE, RIGHT_EYE)}
    return float(np.linalg.norm(place[LOWER] - place[UPPER]) / np.linalg.norm(place[RIGHT_EYE] - place[LEFT_EYE]))


if __name__ == "__main__":
    main()
