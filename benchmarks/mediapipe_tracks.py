"""The landmark tracks of real clips, as MediaPipe sees them: one .npz a clip and variant.

    python -m benchmarks.mediapipe_tracks CLIPS face_landmarker.task -o runs/figures/tracks [--variants]

Needs mediapipe: `pip install mediapipe`.
A file holds `landmarks` [frames, 70, 2] in pixels (NaN where there is no face) and `fps`. Files that exist are kept.
`benchmarks.adfd_behaviour` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import av
import cv2
import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

from portraittalk_core.topology import IBUG

from .parts.program import command_line

Picture = np.ndarray
"""[height, width, 3], uint8."""

Variant = Callable[[list[Picture], float], tuple[list[Picture], float]]
"""Changes the pictures of a clip and their number a second."""


def _crop(pictures: list[Picture], fps: float) -> tuple[list[Picture], float]:
    height, width = pictures[0].shape[:2]
    top, left = round(0.08 * height), round(0.1 * width)
    return [np.ascontiguousarray(p[top : height - top // 2, left : width - left // 3]) for p in pictures], fps


def _resize(factor: float) -> Variant:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return lambda pictures, fps: ([cv2.resize(p, None, fx=factor, fy=factor, interpolation=how) for p in pictures], fps)


def _repeat_to_30(pictures: list[Picture], fps: float) -> tuple[list[Picture], float]:
    """Repeat pictures as FFmpeg's `-r 30` does: each begins at the tick of the new rate that is nearest to its own."""
    begins = [round(j * 30 / fps) for j in range(len(pictures))] + [round(len(pictures) * 30 / fps)]
    return [picture for picture, a, b in zip(pictures, begins, begins[1:]) for _ in range(b - a)], 30.0


def _blend_to_30(pictures: list[Picture], fps: float) -> tuple[list[Picture], float]:
    made = []
    for i in range(int(len(pictures) * 30 / fps)):
        at = min(max((i + 0.5) * fps / 30 - 0.5, 0), len(pictures) - 1)
        low = int(at)
        high = min(low + 1, len(pictures) - 1)
        made.append(cv2.addWeighted(pictures[low], 1 - (at - low), pictures[high], at - low, 0))
    return made, 30.0


VARIANTS: dict[str, Variant | None] = {
    "crop": _crop,
    "half": _resize(0.5),
    "large": _resize(1.5),
    "repeat30": _repeat_to_30,
    "blend30": _blend_to_30,
    "single": None,
}
"""By name; `single` changes nothing, its faces are found without smoothing over time."""


def main() -> None:
    """Write the files."""
    parser = command_line("mediapipe_tracks", __doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("landmarker", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--variants", action="store_true", help="cropped, resized and 30 fps versions too")
    given = parser.parse_args()
    write_tracks(given.clips, given.landmarker, given.output, list(VARIANTS) if given.variants else [])


def write_tracks(clips: Path, landmarker: Path, output: Path, variants: Sequence[str]) -> None:
    """Write a file for each clip of a folder as it is, and for each variant of it; files that exist are kept.

    Args:
        clips: The folder, of .mp4 files.
        landmarker: MediaPipe's face_landmarker.task.
        output: The folder of the tracks.
        variants: Names of `VARIANTS`.
    """
    output.mkdir(parents=True, exist_ok=True)
    for file in sorted(clips.glob("*.mp4")):
        for name in ("plain", *variants):
            path = output / f"{file.stem}.{name}.npz"
            if not path.exists():
                pictures, fps = _read(file)
                change = VARIANTS.get(name)
                pictures, fps = change(pictures, fps) if change else (pictures, fps)
                points = list(_track(pictures, fps, landmarker, alone=name == "single"))
                np.savez(path, landmarks=np.stack(points), fps=fps)


def _read(file: Path) -> tuple[list[Picture], float]:
    with av.open(str(file)) as container:
        fps = float(container.streams.video[0].average_rate)
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)], fps


def _track(pictures: list[Picture], fps: float, landmarker: Path, alone: bool) -> Iterator[np.ndarray]:
    """Yield the points of each picture; alone: find the face in each anew, without smoothing over time."""
    mode = vision.RunningMode.IMAGE if alone else vision.RunningMode.VIDEO
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(landmarker)), running_mode=mode
    )
    with vision.FaceLandmarker.create_from_options(options) as detector:
        for number, picture in enumerate(pictures):
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(picture))
            found = detector.detect(image) if alone else detector.detect_for_video(image, round(number / fps * 1000))
            faces = found.face_landmarks
            size = np.array([picture.shape[1], picture.shape[0]])
            yield (
                np.array([[faces[0][k].x, faces[0][k].y] for k in IBUG]) * size if faces else np.full((70, 2), np.nan)
            )


if __name__ == "__main__":
    main()
