"""Eyes of another colour."""

import pytest
import torch

from portraittalk_core.compositing.edits.irises import fitted_iris, iris_share
from portraittalk_core.compositing.masked import inside
from portraittalk_core.topology import EYES, IRISES

from .heads import SIDE, change, segments

EYE = 0
WHITE, IRIS, PUPIL = 0.55, -0.55, -0.9


def axes():
    axis = (torch.arange(SIDE) * 2 + 1) / SIDE - 1
    return axis[None].expand(SIDE, -1), axis[:, None].expand(-1, SIDE)


@pytest.fixture
def eyed(photograph, points):
    """A large head with brown irises, a little off their points; where each is."""
    points = 2.2 * (points - points[:, [168]]) + torch.tensor([0.0, -0.1])
    picture = torch.tensor([0.5, 0.25, 0.1]).view(3, 1, 1) + torch.zeros_like(photograph)
    x, y = axes()
    places = []
    for outline, first in zip(EYES, IRISES, strict=True):
        radius = float((points[0, first + 1 : first + 5] - points[0, first]).norm(dim=1).mean())
        white = inside(points[:, list(outline)], picture)[0, 0] > 0.5
        middle, height = (points[0, first] + 0.2 * radius).tolist()
        away = ((x - middle).square() + (y - height).square()).sqrt()
        picture[:, :, white] = WHITE
        picture[:, :, white & (away < radius)] = torch.tensor([IRIS, IRIS - 0.15, IRIS - 0.25])[:, None]
        picture[:, :, white & (away < 0.35 * radius)] = PUPIL
        places.append((middle, height, radius))
    return picture, points, places


def test_irises_are_found_beside_their_points(eyed):
    picture, points, places = eyed
    for eye, (x, y, radius) in enumerate(places):
        centre, found = fitted_iris((picture[:, :1] + 1) / 2, points, eye)
        assert torch.allclose(centre[0], torch.tensor([x, y]), atol=0.3 * radius)
        assert abs(float(found) / radius - 1) < 0.2


def test_irises_take_the_colour_of_its_name_and_nothing_else_does(eyed):
    picture, points, places = eyed
    shares = segments(skin=(slice(0, SIDE), slice(0, SIDE)), hair=None, clothes=None)
    made = change(picture, picture, points, "colour of the eyes", "blue eyes", before=shares)
    x, y = axes()
    for middle, height, radius in places:
        away = ((x - middle).square() + (y - height).square()).sqrt()
        lid = picture[0].mean(0) > WHITE - 0.3  # or white
        iris = made[0][:, (away > 0.5 * radius) & (away < 0.8 * radius) & ~lid].mean(1)
        pupil = made[0][:, away < 0.2 * radius]
        assert iris[2] > iris[0] + 0.2, "blue"
        assert (pupil < PUPIL + 0.15).all(), "pupils stay"
        beside = (away > 1.25 * radius) & (away < 2.5 * radius)
        assert (made - picture)[0][:, beside].abs().max() < 0.02
    brown = change(made, made, points, "colour of the eyes", "blue eyes", before=shares)
    assert (brown - made).abs().mean() < 0.3 * (made - picture).abs().mean()


def test_closed_eyes_and_dark_lenses_are_left_alone(eyed, caplog):
    picture, points, _ = eyed
    shut = points.clone()
    for outline in EYES:
        shut[:, list(outline), 1] = shut[:, list(outline), 1].amax()
    assert float(iris_share((picture + 1) / 2, shut, EYE)[0].max()) < 0.05
    _, y = axes()
    dark = torch.where((y > -0.4) & (y < 0.15), -0.9, picture)
    shares = segments(skin=(slice(0, SIDE), slice(0, SIDE)), hair=None, clothes=None)
    made = change(dark, dark, points, "colour of the eyes", "blue eyes", before=shares)
    assert torch.allclose(made, dark, atol=1e-5)
    assert "the colour of the eyes stays" in caplog.text


def test_a_grey_photograph_stays_one(eyed):
    picture, points, _ = eyed
    grey = picture.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    shares = segments(skin=(slice(0, SIDE), slice(0, SIDE)), hair=None, clothes=None)
    made = change(grey, grey, points, "colour of the eyes", "blue eyes", before=shares)
    assert (made - made.mean(1, keepdim=True)).abs().max() < 0.02 and (made - grey).abs().max() > 0.1
