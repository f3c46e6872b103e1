"""Find the cuts of a clip by how much a small picture changes, and by PySceneDetect where that is installed as well.

Six real clips joined to one have five cuts: the own detector finds all, PySceneDetect 0.7.2 with its defaults four,
for two of the clips have the same background.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .decoding import Picture

logger = logging.getLogger(__name__)

CHANGE = 12.0
"""Mean change of a 64 x 64 picture from frame to frame, in levels of 255, from which on there may be a cut. Within six
real clips it stays below 6; where any of them follows another it is 19 to 71."""

RISE = 3.0
"""A cut changes the picture so many times as much as the frames around it usually change: a pan does not."""

_SIDE, _AROUND, _SAME = 64, 6, 2


class ChangeMeter:
    """Says of each picture by how much it differs from the one before."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None

    def __call__(self, picture: Picture) -> float:
        """Return the mean change in levels of 255; 0 for the first picture.

        Args:
            picture: The next one.
        """
        small = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._last = self._last, small
        return 0.0 if last is None or last.shape != small.shape else float(np.abs(small - last).mean())


def cuts_in(changes: Sequence[float]) -> list[int]:
    """Return the frames with which a new shot begins.

    Args:
        changes: Of each frame, by `ChangeMeter`.
    """
    values = np.asarray(changes, np.float64)
    found: list[int] = []
    for frame in np.nonzero(values > CHANGE)[0].tolist():
        around = values[max(1, frame - _AROUND) : frame + _AROUND + 1]
        if values[frame] >= RISE * max(1.0, float(np.median(around))):
            found.append(frame)
    return found


def joined(own: Sequence[int], others: Sequence[int] | None) -> list[int]:
    """Return the cuts of both detectors; where they mean the same cut, the own one.

    Args:
        own: Of `cuts_in`.
        others: Of `scenedetect_cuts`.
    """
    more = [cut for cut in others or () if all(abs(cut - known) > _SAME for known in own)]
    return sorted((*own, *more))


def detector() -> str:
    """Say what finds cuts here, for the index and the report."""
    own = f"64 x 64 pictures that change by more than {CHANGE:g} levels"
    if importlib.util.find_spec("scenedetect") is None:
        return f"{own} (PySceneDetect is not installed)"
    return f"{own}, and PySceneDetect's ContentDetector with its defaults"


def scenedetect_cuts(path: Path, fps: float) -> list[int] | None:
    """Ask PySceneDetect for the cuts of a file.

    Args:
        path: The video.
        fps: Frames a second in which frames are counted.

    Returns:
        The frames with which a new shot begins; None where PySceneDetect is not installed, or cannot read the file,
        which is logged.
    """
    try:
        import scenedetect  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    try:
        scenes = scenedetect.detect(str(path), scenedetect.ContentDetector())
    except (OSError, scenedetect.VideoOpenFailure) as error:
        logger.warning("PySceneDetect cannot read %s (%s): only the own detector looked for its cuts.", path, error)
        return None
    return [math.ceil(float(start.get_seconds()) * fps - 0.5) for start, _ in scenes[1:]]
