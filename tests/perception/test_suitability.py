"""Which faces can be made to speak, and what is said of others."""

import logging

import numpy as np
import pytest
import torch

from portraittalk_core.errors import OutOfDomain
from portraittalk_core.perception.suitability import (
    LARGEST_YAW_DEGREES,
    LEAST_WIDTH_PX,
    UNSURE_SCORE,
    PortraitFinder,
    unsuitable,
    yaw_degrees,
)
from portraittalk_core.types import Face

from ..rendered_people import portraits

PICTURE = torch.zeros(3, 256, 256)


def face(points, score=0.9, scale=128.0):
    landmarks = (points + 1) * scale
    box = torch.cat([landmarks.amin(0), landmarks.amax(0)])
    return Face(box=box, landmarks=landmarks, score=score, embedding=torch.zeros(512))


def turned(degrees):
    """Return the points of a coarse head, a half cylinder with a nose before it."""
    points = torch.zeros(478, 2)
    across, depth = torch.sin(torch.linspace(-1.5, 1.5, 478)), torch.cos(torch.linspace(-1.5, 1.5, 478))
    turn = np.radians(degrees)
    points[:, 0] = (across * np.cos(turn) + depth * np.sin(turn)) * 0.5
    points[:, 1] = torch.linspace(-0.7, 0.7, 478)
    for k, x, z in ((234, -1.0, 0.0), (454, 1.0, 0.0), (4, 0.0, 1 / 0.676)):
        points[k] = torch.tensor([(x * np.cos(turn) + z * np.sin(turn)) * 0.5, 0.0])
    return points


class Finds:
    hint = "Look elsewhere."

    def __init__(self, *faces):
        self.faces = list(faces)

    def find(self, pixels):
        return self.faces


@pytest.mark.parametrize("degrees", [-60, -20, 0, 35])
def test_the_turn_of_a_head_is_read_off_its_points(degrees):
    assert yaw_degrees(turned(degrees)) == pytest.approx(degrees, abs=0.5)


def test_people_who_face_the_camera_are_suitable():
    for points in portraits()[1]:
        assert unsuitable(face(points)) is None and abs(yaw_degrees(points)) < 30


def test_profiles_and_tiny_faces_end_in_one_line():
    sideways = face(turned(LARGEST_YAW_DEGREES + 10))
    with pytest.raises(OutOfDomain, match=r"^The face must be turned at most 50 degrees .*, but is turned 60\."):
        PortraitFinder(Finds(sideways)).find(PICTURE)
    tiny = face(portraits()[1][0], scale=0.35 * LEAST_WIDTH_PX)
    with pytest.raises(OutOfDomain, match=r"^The face must be at least 64 pixels wide, but .* has \d+\. Use a picture"):
        PortraitFinder(Finds(tiny, sideways)).find(PICTURE)
    assert PortraitFinder(Finds()).find(PICTURE) == []
    assert PortraitFinder(Finds()).hint == "Look elsewhere."


def test_faces_beside_suitable_ones_are_left_out(caplog):
    points = portraits()[1][0]
    good = face(points)
    with caplog.at_level(logging.WARNING):
        found = PortraitFinder(Finds(face(turned(70)), good, face(points, scale=10))).find(PICTURE)
    assert len(found) == 1 and found[0] is good and not caplog.records


def test_a_face_that_may_be_painted_is_taken_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        assert len(PortraitFinder(Finds(face(portraits()[1][0], score=UNSURE_SCORE - 0.1))).find(PICTURE)) == 1
    assert "only 70 % sure of the face: a painting" in caplog.text
