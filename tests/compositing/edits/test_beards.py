"""Beards grow where beards grow."""

import pytest
import torch

from portraittalk_core.compositing.edits import beards
from portraittalk_core.compositing.edits.beards import AREAS, BEARDS, beard_colour, beard_density, bearded, shows_beard
from portraittalk_core.topology import OUTER_LIPS

from ...rendered_people import portraits

POINTS = portraits()[1][:1].float()
SIDE = 128
LIKE = torch.zeros(1, 3, SIDE, SIDE)


def at(map_, point):
    x, y = ((POINTS[0, point] + 1) * SIDE / 2).long().tolist()
    return float(map_[0, 0, y, x])


@pytest.mark.parametrize(
    ("kind", "there", "bare"),
    [
        ("beard", (199, 164, 214), (4, 151, 33, 50)),
        ("goatee", (199, 164), (214, 4, 50)),
        ("mustache", (164,), (199, 214, 4)),
        ("stubble", (199, 164, 214), (4, 151, 33, 50)),
    ],
)
def test_each_kind_has_its_place(kind, there, bare):
    density = beard_density(POINTS, BEARDS[kind], LIKE)
    assert all(at(density, point) > 0.5 for point in there), [at(density, point) for point in there]
    assert all(at(density, point) < 0.1 for point in bare), [at(density, point) for point in bare]
    x, y = ((POINTS[0, list(OUTER_LIPS)].mean(0) + 1) * SIDE / 2).long().tolist()
    assert density[0, 0, y, x] < 0.05
    assert ((density > 0.05) & (density < 0.9)).sum() > 0.2 * (density > 0.05).sum(), "its edges are soft"


def test_a_beard_takes_its_colour_and_thin_ones_show_skin():
    face, colour = torch.full_like(LIKE, 0.8), torch.tensor([0.3, 0.2, 0.1]).view(1, 3, 1, 1)
    made = {
        kind: bearded(face, beard_density(POINTS, BEARDS[kind], LIKE), colour, BEARDS[kind], POINTS) for kind in BEARDS
    }
    again = bearded(face, beard_density(POINTS, BEARDS["beard"], LIKE), colour, BEARDS["beard"], POINTS)
    assert torch.equal(made["beard"], again)
    x, y = ((POINTS[0, 199] + 1) * SIDE / 2).long().tolist()
    chin = {kind: picture[0, :, y - 4 : y + 5, x - 8 : x + 9] for kind, picture in made.items()}
    assert (chin["beard"].mean((1, 2)) - colour[0, :, 0, 0]).abs().max() < 0.15 and chin["beard"].std(0).mean() > 0.02
    assert 0.4 < float(chin["stubble"][0].mean()) < 0.75
    assert torch.equal(made["beard"][..., :40, :], face[..., :40, :])


def test_the_colour_is_that_of_hair_beside_the_face_and_never_blue():
    picture, hair = torch.full_like(LIKE, 0.6), torch.zeros_like(LIKE[:, :1])
    picture[..., :30, :], hair[..., :30, :] = torch.tensor([0.1, 0.2, 0.7]).view(1, 3, 1, 1), 1
    bare = beard_colour(picture, hair, POINTS)
    assert (bare - 0.6 * 0.65 * 0.94).abs().max() < 0.02, "of the brows"
    picture[..., 50:90, :20], hair[..., 50:90, :20] = torch.tensor([0.5, 0.3, 0.1]).view(1, 3, 1, 1), 1
    red, green, blue = beard_colour(picture, hair, POINTS).flatten().tolist()
    assert red > 1.2 * green > 1.2 * blue


def test_a_dark_chin_is_a_beard():
    face, skin = torch.full_like(LIKE, 0.7), torch.ones_like(LIKE[:, :1])
    assert not shows_beard(face, skin, POINTS)
    dark = face - 0.5 * beard_density(POINTS, BEARDS["beard"], LIKE)
    assert shows_beard(dark, skin, POINTS)


def test_drawn_moustaches_follow_the_lip_and_cheeks_begin_with_single_hairs():
    drawn, found = (beard_density(POINTS, kinds["mustache"], LIKE) for kinds in (BEARDS, AREAS))
    assert at(drawn, 164) > 0.5
    assert drawn.sum() < 0.8 * found.sum()
    assert max(at(drawn, 216), at(drawn, 436)) < 0.1, "nothing hangs beside the mouth"
    thin, dense = (beard_density(POINTS, kinds["beard"], LIKE) for kinds in (BEARDS, AREAS))
    edge = (dense > 0.1) & (dense < 0.6)
    assert thin[edge].mean() < 0.8 * dense[edge].mean()
    assert (thin[dense > 0.95] > 0.9).all()


def test_beards_are_darker_under_the_lip(monkeypatch):
    kind, colour = BEARDS["beard"], torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1)
    large = torch.full((1, 3, 256, 256), 0.8)
    density = beard_density(POINTS, kind, large)
    shaded = bearded(large, density, colour, kind, POINTS)[0].mean(0)
    monkeypatch.setattr(beards, "_SHADE", 0.0)
    plain = bearded(large, density, colour, kind, POINTS)[0].mean(0)
    x = int((POINTS[0, 17, 0] + 1) * 128)
    lip, chin = (int((POINTS[0, k, 1] + 1) * 128) for k in (17, 199))
    darker = (shaded / plain)[:, x - 8 : x + 9].mean(1)
    assert darker[lip + 3 : lip + 9].mean() < 0.97 < darker[chin - 3 : chin + 4].mean()
