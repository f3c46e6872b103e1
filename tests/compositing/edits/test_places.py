"""Other places behind people."""

import torch

from portraittalk_core.compositing.edits.hats import hat_of
from portraittalk_core.compositing.edits.places import SCENES, painted_place
from portraittalk_core.compositing.edits.regions import PAINTED, REGIONS, asked_regions
from portraittalk_core.compositing.matting import before_another_place
from portraittalk_core.compositing.scene import Scene, View
from portraittalk_core.people.words import SCENE_WORDS
from portraittalk_core.topology import SEGMENTS

from ...rendered_people import portraits

SIDE = 96
GREY = torch.full((1, 3, SIDE, SIDE), 0.5)
SHOWN = GREY + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
ALL = torch.ones(1, 1, SIDE, SIDE)


def behind(shown, view=None, drawn=GREY):
    """A photograph that is all skin, of which all place was drawn."""
    all_of = {name: torch.zeros(1, len(SEGMENTS), SIDE, SIDE) for name in ("skin", "background")}
    for name, shares in all_of.items():
        shares[:, SEGMENTS.index(name)] = 1
    none = torch.zeros_like(ALL)
    points = torch.zeros(1, 478, 2)
    view = View() if view is None else view
    return Scene(shown, drawn, shown, all_of["skin"], all_of["background"], points, none, none, none, view=view)


def test_places_have_their_colours_and_details_and_every_one_can_be_asked_for():
    made = {name: painted_place(name, behind(SHOWN)) for name in ("white", "green", "park", "night", "bookshelf")}
    assert {f"{name} background" for name in PAINTED} < set(REGIONS)
    assert set(SCENES) < set(PAINTED)
    assert made["white"].mean() > 0.65 > made["park"].mean() > made["night"].mean()
    red, green, blue = made["green"].mean((0, 2, 3)).tolist()
    assert green > 1.1 * red and green > 1.1 * blue
    assert made["bookshelf"].std() > 1.5 * made["green"].std(), "a wall is even"
    assert all(picture.min() >= 0 and picture.max() <= 1 for picture in made.values())


def test_a_place_lies_behind_the_whole_photograph():
    """What the crop shows of it is what is there in the whole, in the same light."""
    settled = {}
    crop = painted_place("beach", behind(SHOWN, View(0.25, 0.5, 0.5, 1.0, settled=settled)))
    whole = painted_place("beach", behind(0.7 * GREY, View(zoom=2.0, settled=settled), 0.9 * GREY))
    there = torch.nn.functional.avg_pool2d(crop, 2)
    assert (whole[:, :, SIDE // 2 :, SIDE // 4 : 3 * SIDE // 4] - there).abs().mean() < 0.01
    assert (painted_place("beach", behind(SHOWN)) - crop).abs().mean() > 0.05, "not the same part"


def test_a_place_is_as_grainy_as_the_photograph():
    chance = torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    even = painted_place("grey", behind(GREY))
    rough = painted_place("grey", behind(GREY + 0.1 * (chance - 0.5)))
    assert (rough - even).std() > 0.01 and abs(float((rough - even).mean())) < 0.01


def test_the_old_place_is_taken_out_of_hair():
    person = torch.zeros_like(ALL)
    person[..., 30:66, 30:66] = 1
    share = torch.nn.functional.avg_pool2d(person, 7, 1, 3)
    brown, blue, white = (
        torch.tensor(c).view(1, 3, 1, 1) for c in ([0.4, 0.25, 0.1], [0.1, 0.2, 0.9], [1.0, 1.0, 1.0])
    )
    photograph = share * brown + (1 - share) * blue
    made = before_another_place(photograph, photograph, 1 - person, white.expand_as(photograph), person)
    wanted = share * brown + (1 - share) * white
    kept = photograph + (1 - person) * (white - photograph)
    assert (made - wanted).abs().mean() < 0.5 * (kept - wanted).abs().mean()
    assert torch.equal(made[..., :8, :], white.expand_as(made)[..., :8, :])


def test_hats_are_whole():
    points = portraits()[1][:1].float()
    brow = int((points[0, 105, 1] + 1) * SIDE / 2)
    segments = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    segments[:, SEGMENTS.index("accessory"), 4 : brow - 8, 24:72] = 1
    segments[:, SEGMENTS.index("accessory"), 10:14, 40:50] = 0  # an emblem as bright as the place
    segments[:, 0] = 1 - segments.sum(1)
    none = torch.zeros(1, 1, SIDE, SIDE)
    hat = hat_of(segments, points, none)
    assert hat[0, 0, 12, 45] > 0.9 and hat[0, 0, brow:].max() < 0.05
    assert hat_of(segments, points, none + 1).max() == 0, "what is before the eyes is no hat"


def test_every_scene_can_be_asked_for_and_looks_like_itself():
    for name, phrases in SCENE_WORDS.items():
        for phrase in phrases:
            before = phrase if phrase.startswith("in ") else f"at the {phrase}"
            asked = asked_regions(f"a person {before}")
            assert [REGIONS[k] for k in asked[: len(REGIONS)].nonzero()[:, 0]] == [f"{name} background"], phrase
    sea = painted_place("beach", behind(SHOWN)).mean(-1)[0]
    sky, sand = sea[:, :20].mean(1), sea[:, -20:].mean(1)
    assert sky[2] > 1.2 * sky[0] and sand[0] > 1.2 * sand[2]
    night, snow = (painted_place(name, behind(SHOWN)).mean() for name in ("night", "snow"))
    assert snow > 2 * night


def test_a_place_in_another_light_is_that_light():
    for text, name in (
        ("on a street at night", "night"),
        ("in a snowy forest", "snow"),
        ("at night in a city", "night"),
    ):
        assert asked_regions(f"a person {text}")[REGIONS.index(f"{name} background")] == 1
    assert asked_regions("a person in a classroom")[REGIONS.index("room background")] == 0
    assert asked_regions("a man with snowy hair")[REGIONS.index("snow background")] == 0
    assert asked_regions("a man at work")[REGIONS.index("office background")] == 1
