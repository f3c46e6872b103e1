"""Real faces, speech and clips, and MediaPipe's landmarker: where tests find them, and what to say without them."""

import ctypes.util
import importlib.util
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"

MEDIA = Path(os.environ.get("PORTRAITTALK_MEDIA", SHARED / "media"))
PHOTOGRAPHS = MEDIA / "portraits"


def _landmarker() -> str:
    named = os.environ.get("FACE_LANDMARKER_TASK")
    found = [named] if named else sorted(map(str, (SHARED / "models").glob("face_landmarker*.task")))
    libraries = sys.platform != "linux" or all(map(ctypes.util.find_library, ("EGL", "GLESv2")))
    return found[0] if found and libraries and importlib.util.find_spec("mediapipe") else ""


TASK = _landmarker()
"""MediaPipe's face_landmarker.task, "" where it is not there or MediaPipe cannot run it."""

WITH_MEDIAPIPE = pytest.mark.skipif(
    not TASK,
    reason="NOT TESTED with MediaPipe: needs `pip install mediapipe`, on Debian `apt install libegl1 libgles2`, and "
    f"{SHARED / 'models'}/face_landmarker*.task (or FACE_LANDMARKER_TASK that names it)",
)
WITH_PHOTOGRAPHS = pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(), reason=f"NOT TESTED on photographs: there is no {PHOTOGRAPHS} (set PORTRAITTALK_MEDIA)"
)
