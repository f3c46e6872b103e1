"""Pictures become an identity: framing, choosing, and what a pack must know."""

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput, NoFaceFound, WeightsMismatch
from portraittalk_core.perception.framing import CENTRE, SIZE, face_frame
from portraittalk_core.perception.identity import CENTRE_RANGE, crop_place, frame, identify
from portraittalk_core.topology import IBUG, OVAL
from portraittalk_core.types import Face

from ..motion.faces import AT_REST, faces


def in_pixels(side: float, left: float = 0.0, top: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    """Return somebody at rest as if framed in a square of a picture."""
    points = faces().view(AT_REST)[0]
    middle, size = face_frame(points.numpy())
    usual = (points - torch.from_numpy(middle)) * (scale * SIZE / size) + torch.tensor(CENTRE)
    return (usual + 1) / 2 * side + torch.tensor([left, top])


class Finds:
    hint = "Look elsewhere."

    def __init__(self, *landmarks: torch.Tensor):
        self.found = [
            Face(torch.zeros(4), points, 0.9, torch.nn.functional.one_hot(torch.tensor(number), 512).float())
            for number, points in enumerate(landmarks)
        ]

    def find(self, pixels):
        return self.found


def picture(height: int, width: int) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_a_face_is_measured_whatever_its_expression():
    sizes = []
    for view in range(4):
        middle, size = face_frame(faces().view(view)[0].numpy())
        assert np.abs(middle - CENTRE).max() < 0.3
        sizes.append(size)
    assert max(sizes) / min(sizes) < 1.06


@pytest.mark.parametrize(("scale", "off", "whole"), [(1.0, 0.0, True), (0.8, 0.1, True), (0.7, 0.0, False)])
def test_a_square_picture_that_is_framed_stays_whole(scale, off, whole):
    place = crop_place(picture(200, 200), in_pixels(200, left=off * 100, scale=scale))
    assert place.whole == whole
    assert not crop_place(picture(200, 200), in_pixels(200, left=(CENTRE_RANGE + 0.02) * 100)).whole
    assert not crop_place(picture(200, 210), in_pixels(200)).whole


@pytest.mark.parametrize(("left", "top", "side"), [(130, 40, 150), (-40, -30, 180), (400, 200, 220)])
def test_other_pictures_are_cut_around_the_head_wherever_it_is(left, top, side):
    crop, landmarks = frame(picture(300, 500), in_pixels(side, left, top), 128)
    assert crop.shape == (3, 128, 128) and float(crop.abs().max()) <= 1
    middle, size = face_frame(landmarks.numpy())
    assert size == pytest.approx(SIZE, rel=0.02) and middle == pytest.approx(np.array(CENTRE), abs=0.02)
    place = crop_place(picture(300, 500), in_pixels(side, left, top))
    assert (place.left, place.top, place.side) == pytest.approx((left, top, side), abs=2)


def test_an_identity_has_the_portrait_in_its_own_resolution_and_the_oval_of_the_face():
    seen = identify([picture(300, 500), picture(200, 200)], Finds(in_pixels(150, 130, 40)), size=64)
    assert seen.crops.shape == (2, 3, 64, 64) and seen.landmarks.shape == (2, 478, 2)
    assert seen.portrait.shape == (3, seen.places[0].side, seen.places[0].side)
    top, left = seen.places[0].top, seen.places[0].left
    assert torch.equal(seen.portrait[:, 50, 50], picture(300, 500)[:, top + 50, left + 50])
    assert (
        seen.outlines.shape == (2, len(OVAL), 2)
        and 0 < float(seen.outlines[0].min()) < float(seen.outlines[0].max()) < 1
    )


def test_the_first_or_the_asked_for_face():
    finder = Finds(in_pixels(150, 130, 40), in_pixels(90, 300, 100))
    first = identify([picture(300, 500)], finder, size=64)
    second = identify([picture(300, 500)], finder, face=2, size=64)
    assert first.embeddings.argmax(1).tolist() == [0] and second.embeddings.argmax(1).tolist() == [1]
    with pytest.raises(NoFaceFound, match="at most the number of faces, but got 3 and there are 2 faces"):
        identify([picture(300, 500)], finder, face=3)


def test_what_cannot_be_is_one_line():
    with pytest.raises(BadInput, match="at least one picture"):
        identify([], Finds())
    with pytest.raises(BadInput, match="`face` must be 1"):
        identify([picture(64, 64)], Finds(), face=0)
    with pytest.raises(NoFaceFound, match=r"picture 1: no face was found in it\. Look elsewhere"):
        identify([picture(64, 64)], Finds())
    with pytest.raises(WeightsMismatch, match="must place MediaPipe's 478 points, but places 70"):
        identify([picture(200, 200)], Finds(in_pixels(200)[list(IBUG)]))


def test_pictures_without_a_face_may_be_left_out():
    class Second:
        hint, calls = "", 0

        def find(self, pixels):
            self.calls += 1
            return Finds(in_pixels(200)).found if self.calls == 2 else []

    seen = identify([picture(200, 200)] * 3, Second(), size=64, skip=True)
    assert len(seen.crops) == len(seen.places) == 1


def test_ibugs_points_of_a_face_are_picked_or_kept():
    points = in_pixels(200)
    known, public = (Face(torch.zeros(4), p, 1.0, torch.zeros(512)) for p in (points, points[list(IBUG)]))
    assert torch.equal(known.ibug, public.ibug) and known.ibug.shape == (70, 2)


def test_references_of_another_person_are_named(caplog):
    class Cycle(Finds):
        def find(self, pixels):
            self.found = self.found[1:] + self.found[:1]
            return self.found[:1]

    points = in_pixels(200)
    identify([picture(200, 200)] * 3, Cycle(points, points))
    (record,) = caplog.records
    assert "Picture 2 seems to show another person than the first (similarity 0.00, below 0.35)" in record.getMessage()
    caplog.clear()
    identify([picture(200, 200)] * 3, Finds(points))
    assert not caplog.records
