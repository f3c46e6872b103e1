"""MediaPipe, which has only seen real people, agrees with the landmarks and the actions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.person import Person
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.people.scene import studio_scene

TASK = Path(os.environ.get("FACE_LANDMARKER_TASK", "face_landmarker_v2_with_blendshapes.task"))
PEOPLE = (Person(seed=21, style="short", male=0.9), Person(seed=22, style="bun", melanin=0.9, age=45))


@pytest.fixture(scope="module")
def detect() -> Any:
    """Return a function from a picture to MediaPipe's result."""
    mediapipe = pytest.importorskip("mediapipe")
    from mediapipe.tasks.python import BaseOptions, vision

    if not TASK.is_file():
        pytest.skip("set FACE_LANDMARKER_TASK to the path of face_landmarker_v2_with_blendshapes.task")
    base = BaseOptions(model_asset_path=str(TASK))
    made = vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(base_options=base, output_face_blendshapes=True)
    )
    return lambda picture: made.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture))


@pytest.mark.parametrize("person", PEOPLE, ids=("man", "woman"))
def test_landmarks_and_actions_agree(renderer: Renderer, detect: Any, person: Person):
    shapes = np.stack([coefficients(a) for a in ({}, {"jawOpen": 0.8}, {"eyeBlink": 1.0}, {"mouthSmile": 1.0})])
    clip = renderer.render(person, shapes, scene=studio_scene("grey"))
    scores = []
    for picture, truth in zip(clip.pixels, clip.landmarks):
        result = detect(np.ascontiguousarray(picture))
        assert result.face_landmarks, "no face found"
        found = np.array([[p.x, p.y] for p in result.face_landmarks[0]]) * picture.shape[0]
        scores.append({b.category_name: b.score for b in result.face_blendshapes[0]})
        eyes = np.linalg.norm(truth[468] - truth[473])
        assert np.linalg.norm(found - truth, axis=1).mean() < 0.11 * eyes
    assert scores[1]["jawOpen"] > scores[0]["jawOpen"] + 0.3
    assert scores[2]["eyeBlinkLeft"] > scores[0]["eyeBlinkLeft"] + 0.3
    assert scores[3]["mouthSmileLeft"] > scores[0]["mouthSmileLeft"] + 0.3
