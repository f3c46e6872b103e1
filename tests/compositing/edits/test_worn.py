"""What people wear in photographs already is known, and naming it changes nothing."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_face_parsing
from portraittalk_core.compositing.edits.beards import AREAS, beard_density, bearded
from portraittalk_core.compositing.edits.details import HAIR_COLOURS
from portraittalk_core.compositing.edits.edited import edited
from portraittalk_core.compositing.edits.hair_colours import hair_of_colour
from portraittalk_core.compositing.edits.regions import REGIONS, asked_regions, region_maps
from portraittalk_core.compositing.edits.worn import has_clothes_colour, has_hair_colour, worn_beard, worn_lenses
from portraittalk_core.compositing.edits.worn_hair import worn_hair
from portraittalk_core.compositing.face_parser import FaceParser
from portraittalk_core.compositing.scene import Scene
from portraittalk_core.topology import SEGMENTS

from ...rendered_people import portraits

PICTURES, POINTS = portraits()[0], portraits()[1].float()
SHORT, LONG, ROUND_GLASSES, CURLY = range(0, 8, 2)


class Known:
    """Face parsing of each picture, read once."""

    def __init__(self):
        self.parser = FaceParser(load_face_parsing(ASSETS / "tiny" / "face_parsing.safetensors"))
        self.read = {}

    def segments(self, pictures, landmarks):
        key = float(landmarks.sum())
        if key not in self.read:
            self.read[key] = self.parser.segments(pictures, landmarks)
        return self.read[key].clone()


@pytest.fixture(scope="module")
def parser():
    return Known()


def scene(parser, row, picture=None):
    shown = (PICTURES[row : row + 1] + 1) / 2 if picture is None else picture
    points = POINTS[row : row + 1]
    before = parser.segments(PICTURES[row : row + 1], points)
    eyes = region_maps(points, shown.shape[-1])[:, [REGIONS.index("no glasses")]]
    hair = before[:, [SEGMENTS.index("hair")]]
    return Scene(shown, shown, shown, before, before, points, eyes, torch.zeros_like(hair), hair)


@pytest.mark.parametrize(
    ("row", "cuts", "others"),
    [
        (SHORT, {"short", "side"}, {"bald", "buzz", "bob", "long", "wavy", "curly", "afro"}),
        (LONG, {"long"}, {"bald", "buzz", "short", "side", "bob", "curly", "afro"}),
        (CURLY, {"curly"}, {"bald", "buzz", "short", "side", "bob", "long"}),
    ],
)
def test_the_outline_of_hair_and_how_strands_run_tell_haircuts(parser, row, cuts, others):
    known = scene(parser, row)
    worn = worn_hair(known.shown, known.hair, known.landmarks)
    assert all(worn.is_cut(name) for name in cuts) and not any(worn.is_cut(name) for name in others), worn


def test_haircuts_are_told_at_any_size(parser):
    known = scene(parser, LONG)
    worn = worn_hair(known.shown, known.hair, known.landmarks)
    large = [torch.nn.functional.interpolate(v, (480, 480), mode="bilinear") for v in (known.shown, known.hair)]
    again = worn_hair(*large, known.landmarks)
    assert again.cuts == worn.cuts and abs(again.area - worn.area) < 0.1 * worn.area


def test_no_hair_is_a_bald_head_and_has_no_run(parser):
    known = scene(parser, SHORT)
    worn = worn_hair(known.shown, known.hair * 0, known.landmarks)
    assert worn.cuts == {"bald"} and worn.curl != worn.curl and worn.straight


def test_lenses_are_round_or_square(parser):
    for row, shape in ((ROUND_GLASSES, "round"), (ROUND_GLASSES + 1, "round"), (LONG, "square"), (LONG + 1, "square")):
        known = scene(parser, row)
        assert worn_lenses(known.was("accessory") * known.eyes, known.landmarks) == f"{shape} glasses", row


def test_hair_has_the_colour_that_it_has_and_no_other(parser):
    known = scene(parser, CURLY)
    shown = {name for name in HAIR_COLOURS if has_hair_colour(known, name)}
    assert "black hair" in shown and not shown & {"blonde hair", "red hair", "grey hair", "white hair", "pink hair"}
    red = hair_of_colour(HAIR_COLOURS["red hair"], known.shown, known.was("skin"))
    dyed = scene(parser, CURLY, known.shown + known.hair * (red - known.shown))
    assert has_hair_colour(dyed, "red hair") and not has_hair_colour(dyed, "black hair")


def test_beards_are_known_by_where_they_grow(parser):
    bare = scene(parser, ROUND_GLASSES)
    assert worn_beard(bare) is None
    colour = torch.tensor([0.1, 0.08, 0.07]).view(1, 3, 1, 1)
    for name in ("beard", "mustache", "goatee"):
        density = beard_density(bare.landmarks, AREAS[name], bare.shown) * bare.was("skin")
        grown = bearded(bare.shown, density, colour, AREAS[name], bare.landmarks)
        assert worn_beard(scene(parser, ROUND_GLASSES, grown)) == name


def made(parser, row, prompt):
    picture = PICTURES[row : row + 1]
    return (edited(picture, picture, None, asked_regions(prompt)[None], POINTS[row : row + 1], parser) - picture).abs()


@pytest.mark.parametrize(
    ("row", "prompt"),
    [
        (SHORT, "a boy with short hair, wearing earrings"),
        (SHORT, "his hair is cropped"),
        (LONG, "a woman with long straight hair and square glasses"),
        (ROUND_GLASSES, "somebody with round glasses"),
        (CURLY, "a man with curly black hair"),
    ],
)
def test_what_is_named_as_it_is_stays(parser, row, prompt, caplog):
    assert made(parser, row, prompt).max() < 1e-4
    assert "already" in caplog.text


@pytest.mark.parametrize(("row", "prompt"), [(SHORT, "curly hair"), (LONG, "a bob"), (CURLY, "short blonde hair")])
def test_another_wish_is_obeyed(parser, row, prompt):
    assert made(parser, row, prompt).mean() > 0.02


def test_a_moustache_takes_the_colour_that_is_asked_of_the_hair_and_skin_does_not(parser):
    bare = scene(parser, ROUND_GLASSES)
    black = torch.tensor([0.1, 0.08, 0.07]).view(1, 3, 1, 1)
    density = beard_density(bare.landmarks, AREAS["mustache"], bare.shown) * bare.was("skin")
    worn = bearded(bare.shown, density, black, AREAS["mustache"], bare.landmarks) * 2 - 1
    asked = asked_regions("a person with white hair")[None]
    dyed = edited(worn, worn, None, asked, bare.landmarks, parser)
    lip = density[0, 0] > 0.8 * density.max()
    assert float((dyed - worn)[0, :, lip].mean()) > 0.25
    chin = beard_density(bare.landmarks, AREAS["goatee"], bare.shown)[0, 0] * (density[0, 0] == 0) > 0.5
    assert float((dyed - worn)[0, :, chin].abs().mean()) < 0.03
    pink = edited(worn, worn, None, asked_regions("a person with pink hair")[None], bare.landmarks, parser)
    assert (pink - worn)[0, :, lip].abs().max() < 1e-4, "who dyes their hair leaves their beard"


def test_a_beard_that_is_asked_for_has_the_colour_that_is_asked_of_the_hair(parser):
    picture, points = PICTURES[LONG : LONG + 1], POINTS[LONG : LONG + 1]
    chin = beard_density(points, AREAS["goatee"], picture)[0, 0] > 0.9
    means = {}
    for prompt in ("a beard", "a beard and red hair", "a beard and white hair"):
        made = edited(picture, picture, None, asked_regions(prompt)[None], points, parser)
        means[prompt] = (made[0, :, chin].mean(1) + 1) / 2
    red, white, own = means["a beard and red hair"], means["a beard and white hair"], means["a beard"]
    assert red[0] - red[2] > own[0] - own[2] + 0.05 and white.mean() > own.mean() + 0.15


def test_clothes_of_one_colour_take_the_one_that_is_named_whatever_was_drawn(parser):
    known = scene(parser, SHORT)
    grey = known.shown + known.was("clothes") * (0.4 + 0.1 * (known.shown - 0.5) - known.shown)
    dressed = scene(parser, SHORT, grey)
    assert has_clothes_colour(dressed, ["grey clothes"]) and not has_clothes_colour(dressed, ["pink clothes"])
    picture, cloth = grey * 2 - 1, known.was("clothes")[0, 0] > 0.95
    asked = asked_regions("a person wearing pink")[None]
    made = edited(picture, picture, None, asked, known.landmarks, parser)
    red, green, _ = made[0, :, cloth].mean(1).tolist()
    assert red > green + 0.15
    asked = asked_regions("a person wearing grey")[None]
    assert (edited(picture, picture, None, asked, known.landmarks, parser) - picture).abs().max() < 1e-4
