"""The drawings of the public annotators: colours and places, and MediaPipe's own drawing where it is installed."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.perception.face_drawing import (
    ANIPORTRAIT,
    CONTROLNET,
    draw_for_aniportrait,
    draw_for_controlnet,
)


@pytest.fixture
def face():
    """478 points that are a face only in number; spread so that every line can be seen."""
    return 0.1 + 0.8 * torch.rand(478, 3, generator=torch.Generator().manual_seed(4))


def colours(picture):
    values = (picture * 255).round().to(torch.uint8).flatten(1).T
    return {tuple(row) for row in torch.unique(values, dim=0).tolist()}


def test_parts_have_as_many_lines_as_the_public_ones():
    count = [sum(len(line) - 1 for line in lines) for _, lines in ANIPORTRAIT]
    assert count == [26, 16, 8, 16, 8, 5, 5, 5, 5, 5, 5, 5, 5]
    assert [sum(len(line) - 1 for line in lines) for _, lines in CONTROLNET] == [36, 16, 8, 16, 8, 40]
    edges = {frozenset(pair) for _, lines in CONTROLNET for line in lines for pair in pairwise(line)}
    mine = {frozenset(pair) for _, lines in ANIPORTRAIT for line in lines for pair in pairwise(line)}
    assert len(edges) == 124 and len(mine) == 114 and mine < edges


@pytest.mark.slow
def test_channels_are_reversed_for_the_controlnet_only(face):
    pair = draw_for_aniportrait(face, 512, 512), draw_for_controlnet([face], 512, 512)
    assert {(180, 200, 10), (10, 220, 180), (20, 10, 180), (150, 120, 100)} <= colours(pair[0])
    assert {(10, 200, 180), (180, 220, 10), (10, 180, 10), (250, 200, 10), (10, 200, 250)} <= colours(pair[1])
    eye = face.clone()
    eye[:] = -1  # outside the picture: not drawn
    eye[[33, 7]] = torch.tensor([[0.25, 0.5, 0.0], [0.3, 0.5, 0.0]])
    assert colours(draw_for_controlnet([eye], 100, 200)) == {(0, 0, 0), (180, 200, 10)}
    assert colours(draw_for_aniportrait(eye, 512, 512)) == {(0, 0, 0), (10, 200, 180)}


def test_places_of_lines_and_pupils():
    points = torch.full((478, 2), -1.0)
    points[468], points[473] = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
    picture = draw_for_controlnet([points], 40, 60)
    drawn = picture.amax(0).nonzero().tolist()
    square = [[y, x] for y in range(18, 22) for x in range(28, 32)]
    assert drawn == square + [[y, x] for y in range(37, 40) for x in range(0, 2)]
    assert (picture[:, 20, 30] * 255).round().tolist() == [250, 200, 10]
    assert (picture[:, 39, 0] * 255).round().tolist() == [10, 200, 250]


def test_several_faces_share_a_picture_and_fewer_points_are_refused(face):
    both = draw_for_controlnet([face, face.flip(0)], 64, 96)
    assert both.shape == (3, 64, 96) and both.max() <= 1 and both.min() == 0
    assert draw_for_controlnet([], 8, 8).max() == 0
    assert draw_for_aniportrait(face[:468], 64, 48).shape == (3, 64, 48)
    with pytest.raises(BadInput, match=r"must be \[478 or more, 2 or 3\].*but got \[468, 3\]"):
        draw_for_controlnet([face[:468]], 64, 64)


@pytest.mark.parity
@pytest.mark.parametrize("name", ["aniportrait", "controlnet"])
def test_lines_are_those_of_mediapipes_own_drawing(name, face, capsys):
    vision = pytest.importorskip("mediapipe.tasks.python.vision", reason="mediapipe is not installed")
    from mediapipe.tasks.python.components.containers.landmark import NormalizedLandmark

    landmarks = [NormalizedLandmark(x=float(x), y=float(y), z=float(z)) for x, y, z in face.double()]
    spec, connections = {}, []
    for colour, lines in ANIPORTRAIT if name == "aniportrait" else CONTROLNET:
        for line in lines:
            for start, end in pairwise(line):
                connections.append(vision.FaceLandmarksConnections.Connection(start, end))
                spec[(start, end)] = vision.drawing_utils.DrawingSpec(color=colour, thickness=2)
    expected = np.zeros((512, 512, 3), np.uint8)
    vision.drawing_utils.draw_landmarks(expected, landmarks, connections, None, spec)
    found = draw_for_aniportrait(face, 512, 512) if name == "aniportrait" else draw_for_controlnet([face], 512, 512)
    found = (found * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    if name == "controlnet":
        found = found[..., ::-1].copy()
        for number in (468, 473):  # pupils are the annotator's own
            x, y = (int(v * 512) for v in face[number, :2].double().tolist())
            found[y - 2 : y + 2, x - 2 : x + 2] = expected[y - 2 : y + 2, x - 2 : x + 2]
    with capsys.disabled():
        print(f"\n{name}: pixels that differ from MediaPipe's drawing: {int((found != expected).any(-1).sum())}")
    assert np.array_equal(found, expected)
