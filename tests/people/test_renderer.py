"""Pictures of people and the truth about their pixels."""

from __future__ import annotations

import builtins
import dataclasses
import gc
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.people import context
from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.landmarks import landmark_vertices
from portraittalk_core.people.person import Person, draw_person
from portraittalk_core.people.renderer import Renderer
from portraittalk_core.people.scene import draw_scene, studio_scene
from portraittalk_core.topology import SEGMENTS

ROOT = Path(__file__).resolve().parents[2]
WOMAN = Person(seed=3, style="bob", melanin=0.4)
STILL = np.zeros(3, np.float32)


def _rows(*actions: dict[str, float]) -> np.ndarray:
    return np.stack([coefficients(a) for a in actions])


@pytest.fixture(scope="module")
def moving(renderer: Renderer):
    shapes = _rows({}, {"jawOpen": 0.7}, {"eyeBlink": 1.0}, {"mouthSmile": 1.0}, {})
    turns = np.array([[0, 0, 0]] * 4 + [[20, 0, 0]], np.float32)
    return renderer.render(WOMAN, shapes, turns, maps=True)


def test_the_same_seed_gives_the_same_pixels(renderer: Renderer):
    person, scene = draw_person(11), draw_scene(11, "room")
    first = renderer.render(person, scene=scene)
    renderer.render(draw_person(12), scene=draw_scene(12))
    second = renderer.render(person, scene=scene)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


def test_shapes_and_ranges(moving: Any):
    assert moving.pixels.shape == (5, 128, 128, 3) and moving.pixels.dtype == np.uint8
    assert moving.landmarks.shape == (5, 478, 2)
    assert moving.maps.source.shape == (5, 128, 128, 2)
    present = set(np.unique(moving.maps.segments))
    assert {SEGMENTS.index(s) for s in ("background", "skin", "hair", "eyes", "clothes")} <= present
    assert moving.pixels.std() > 20


def test_opening_the_jaw_opens_the_lips_and_lowers_the_chin(moving: Any):
    gap = moving.landmarks[:, 14, 1] - moving.landmarks[:, 13, 1]
    assert gap[1] - gap[0] > 5
    assert moving.landmarks[1, 152, 1] - moving.landmarks[0, 152, 1] > 3
    inside = np.isin(moving.maps.segments[1], [SEGMENTS.index("mouth"), SEGMENTS.index("teeth")]).sum()
    assert inside > 20


def test_blinking_hides_the_eyes_and_smiling_lifts_the_corners(moving: Any):
    eyes = (moving.maps.segments == SEGMENTS.index("eyes")).sum((1, 2))
    assert eyes[2] < 0.25 * eyes[0]
    corners = moving.landmarks[:, [61, 291]]
    assert (corners[3, :, 1] < corners[0, :, 1] - 1).all()
    assert corners[3, 1, 0] - corners[3, 0, 0] > corners[0, 1, 0] - corners[0, 0, 0] + 2


def test_necklines_are_as_low_as_they_are_asked_for(renderer: Renderer):
    clothes, skin = SEGMENTS.index("clothes"), SEGMENTS.index("skin")
    found = [
        renderer.render(dataclasses.replace(WOMAN, neckline=low), maps=True).maps.segments[0]
        for low in (None, 1.2, 4.0)
    ]
    covered = [int((segments == clothes).sum()) for segments in found]
    assert covered[0] > 1.2 * covered[1] and covered[1] > 200 and covered[2] == 0
    assert (found[2] == skin).sum() > (found[0] == skin).sum() + 0.8 * covered[0]


def test_a_turn_to_the_right_moves_the_nose_to_the_right(moving: Any):
    assert moving.landmarks[4, 4, 0] - moving.landmarks[0, 4, 0] > 4


def test_the_reference_comes_from_itself(moving: Any):
    y, x = np.mgrid[0:128, 0:128] + 0.5
    there = moving.maps.segments[0] != 0
    error = np.linalg.norm(moving.maps.source[0] - np.stack([x, y], -1), axis=-1)[there]
    assert np.quantile(error, 0.99) < 0.1
    assert moving.maps.visible[0][there].mean() > 0.97


def test_maps_bring_the_reference_to_the_frame(moving: Any):
    first = moving.pixels[0]
    source = moving.maps.source[4]
    brought = cv2.remap(first, source[..., 0] - 0.5, source[..., 1] - 0.5, cv2.INTER_LINEAR)
    skin = moving.maps.visible[4] & (moving.maps.segments[4] == SEGMENTS.index("skin"))
    skin = cv2.erode(skin.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    moved = np.abs(brought[skin].astype(float) - moving.pixels[4][skin]).mean()
    still = np.abs(first[skin].astype(float) - moving.pixels[4][skin]).mean()
    assert moved < 0.6 * still


def test_landmarks_go_the_way_the_maps_go(moving: Any):
    """The source of the pixel below a visible landmark is that landmark in the reference frame."""
    for point in (4, 61, 291, 50, 280):
        x, y = moving.landmarks[4, point]
        if moving.maps.visible[4, int(y), int(x)]:
            back = moving.maps.source[4, int(y), int(x)]
            assert np.linalg.norm(back - moving.landmarks[0, point]) < 2.5


def test_a_beard_and_glasses_change_the_picture_where_they_are(renderer: Renderer):
    scene = studio_scene("grey")
    man = Person(seed=8, male=0.9, style="short", age=40)
    plain = renderer.render(man, scene=scene)
    bearded = renderer.render(dataclasses.replace(man, beard="beard"), scene=scene)
    glasses = renderer.render(dataclasses.replace(man, glasses="square"), scene=scene)
    chin, eyes = plain.landmarks[0, 152], plain.landmarks[0, [33, 263]].mean(0)
    for other, at in ((bearded, chin + [0, -8]), (glasses, eyes)):
        difference = np.abs(other.pixels[0].astype(int) - plain.pixels[0]).sum(-1)
        x, y = at.astype(int)
        near = difference[y - 8 : y + 8, x - 20 : x + 20].mean()
        assert near > 4 * difference[:20, :20].mean() + 5


def test_the_table_of_landmarks_is_complete():
    assert len(landmark_vertices()) == 468


def test_motion_of_the_wrong_shape_is_refused(renderer: Renderer):
    with pytest.raises(BadInput, match=r"`blendshapes` must be \[n, 52\]"):
        renderer.render(WOMAN, np.zeros((2, 51), np.float32))


def test_a_folder_without_textures_is_refused(tmp_path: Any, renderer: Renderer):
    with pytest.raises(BadInput, match="`textures` must be a folder"):
        Renderer(64, textures=tmp_path)


def test_missing_moderngl_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "moderngl":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(context, "_opened", threading.local())
    with pytest.raises(MissingExtra, match="pip install moderngl") as caught:
        context.open_context()
    assert "\n" not in str(caught.value)


def test_triton_can_be_loaded_after_a_picture_was_drawn(drawing: None):
    pytest.importorskip("triton")
    program = "from portraittalk_core.people.context import open_context; open_context(); import triton; print('alive')"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.stdout.strip() == "alive", f"it ended with {ran.returncode}: {ran.stderr[-200:]}"


def test_a_renderer_that_goes_leaves_the_others_their_pictures(renderer: Renderer):
    first = renderer.render(WOMAN).pixels
    other = Renderer(64)
    other.render(WOMAN)
    np.testing.assert_array_equal(renderer.render(WOMAN).pixels, first)
    del other
    gc.collect()
    np.testing.assert_array_equal(renderer.render(WOMAN).pixels, first)
