"""Teeth are fixed to skull and jaw, and an open mouth shows them; a shut one shows the photograph."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from portraittalk_core import ASSETS
from portraittalk_core.checkpoints.native import load_structure
from portraittalk_core.compositing.masked import softened
from portraittalk_core.compositing.mouth import draw_mouth, draw_mouths, open_mouths
from portraittalk_core.compositing.mouth_light import light_in_mouth
from portraittalk_core.compositing.seen_mouth import SeenMouth, teeth_colour
from portraittalk_core.compositing.teeth import LIPS, LOWER_TEETH, UPPER_TEETH, along, draw_row, mouth_frames
from portraittalk_core.media.image import read_image
from portraittalk_core.motion.structure import structure_maps
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import COEFFICIENTS, FaceMotion, Frames

JAW, YAW = COEFFICIENTS.index("jawOpen"), 0


@pytest.fixture(scope="module")
def networks():
    return load_structure(ASSETS / "tiny" / "structure.safetensors")


@pytest.fixture(scope="module")
def person():
    return TinyStack.load("tiny").identify([read_image(ASSETS / "portrait.png")])


def moving(person, networks, jaw, turned=0.0, pucker=0.0):
    coefficients, pose = torch.zeros(len(jaw), len(COEFFICIENTS)), torch.zeros(len(jaw), 6)
    coefficients[:, JAW] = torch.tensor(jaw)
    coefficients[:, COEFFICIENTS.index("mouthPucker")] = pucker
    pose[:, YAW], pose[:, 5] = turned, 1
    return structure_maps(FaceMotion(coefficients, pose, 25.0), person, *networks)


def test_only_the_jaw_carries_the_lower_teeth(person, networks):
    maps = moving(person, networks, [0.0, 0.3, 0.6])
    frames = mouth_frames(maps.landmarks, person.landmarks[:1], *networks)
    nose = frames.local(maps.landmarks[:, [1, 2]])[..., 1].mean(1)
    assert (nose - nose[0]).abs().max() < 1.5  # the skull stays where it is, in millimetres
    assert frames.jaw[0] < 1.5 and frames.jaw[1] > frames.jaw[0] + 3 and frames.jaw[2] > frames.jaw[1] + 3
    assert torch.allclose(frames.local(frames.outside(maps.landmarks)), maps.landmarks, atol=1e-4)


@pytest.mark.parametrize("turn", [-0.25, 0.0, 0.25])
def test_the_middle_of_a_row_is_behind_the_lips(person, networks, turn):
    """A head that turns to the right of the picture shows what is deeper further to the left of its lips."""
    frames = mouth_frames(moving(person, networks, [0.4], turn).landmarks, person.landmarks[:1], *networks)
    x, y, soft = torch.linspace(-3.5, 3.5, 701)[None], torch.zeros(1, 701), torch.full((1, 1), 0.1)
    middle = x[0, draw_row(frames, UPPER_TEETH, x, y, soft)[2][0].argmin()]
    assert middle == pytest.approx(-5 * float(frames.yaw.sin()), abs=0.05)
    assert float(frames.yaw) == pytest.approx(turn, abs=0.12)


def test_rows_are_above_and_below(person, networks):
    frames = mouth_frames(moving(person, networks, [0.6]).landmarks, person.landmarks[:1], *networks)
    x, soft = torch.zeros(1, 3), torch.full((1, 1), 0.3)
    jaw = float(frames.jaw)
    y = torch.tensor([[-4.0, jaw / 2, jaw + 4.0]])
    upper, lower = (draw_row(frames, teeth, x, y, soft)[0][0].tolist() for teeth in (UPPER_TEETH, LOWER_TEETH))
    assert upper == [1, 0, 0] and lower == [0, 0, 1]


def test_an_open_mouth_shows_teeth_and_a_shut_one_the_photograph(person, networks):
    maps = moving(person, networks, [0.0, 0.7])
    grey = Frames(torch.full((2, 3, 256, 256), -0.2), 25.0)
    (drawn,) = open_mouths([grey], person, maps, *networks)
    change = (drawn.pixels - grey.pixels).abs().amax(1)
    assert change[0].max() < 0.05
    between = (maps.landmarks[1, [13, 14]].mean(0) * 128 + 128).long()
    lips = maps.landmarks[1, LIPS, 1] * 128 + 128
    rows = drawn.pixels[1, :, int(lips.min()) : int(lips.max()), between[0]]
    assert rows.amax() - rows.amin() > 0.15  # bright teeth, and dark between them
    outside = change[1].clone()
    box = (maps.landmarks[1, LIPS] * 128 + 128).long()
    outside[box[:, 1].min() - 2 : box[:, 1].max() + 3, box[:, 0].min() - 2 : box[:, 0].max() + 3] = 0
    assert outside.max() == 0
    parts = open_mouths([replace(grey, pixels=grey.pixels[k : k + 1]) for k in range(2)], person, maps, *networks)
    assert torch.allclose(torch.cat([part.pixels for part in parts]), drawn.pixels, atol=2e-3)


def test_soft_photographs_have_soft_teeth(person, networks):
    maps = moving(person, networks, [0.7])
    grey = Frames(torch.full((1, 3, 256, 256), -0.2), 25.0)
    soft = replace(person, portrait=functional.avg_pool2d(person.crops[:1], 7, 1, 3)[0])
    box = (maps.landmarks[0, LIPS] * 128 + 128).long()
    rows = slice(int(box[5, 1]) + 4, int(box[16, 1]) - 4)  # between the lips, not at their edges
    detail = []
    for who in (replace(person, portrait=person.crops[0]), soft):
        (drawn,) = open_mouths([grey], who, maps, *networks)
        detail.append(float(drawn.pixels[0, 1, rows, box[3, 0] : box[7, 0]].diff(dim=0).abs().max()))
    assert detail[1] < 0.6 * detail[0]


def test_teeth_are_not_brown_because_what_was_drawn_is(person, networks):
    """A denoiser that mixes lips and teeth says how light a mouth is, not of which colour."""
    maps = moving(person, networks, [0.5])
    brown = torch.tensor([0.1, -0.3, -0.6])[:, None, None].expand(3, 256, 256)
    (drawn,) = open_mouths([Frames(brown[None].clone(), 25.0)], person, maps, *networks)
    x, y = (maps.landmarks[0, 13] * 128 + 128).long().tolist()
    tooth = drawn.pixels[0, :, y + 3 : y + 5, x - 4 : x + 4].mean((1, 2))
    assert float(tooth[0] - tooth[2]) < 0.6 * float(brown[0, 0, 0] - brown[2, 0, 0])


def test_what_lies_below_says_nothing_of_how_light_a_mouth_is(person, networks):
    maps = moving(person, networks, [0.7])
    x, y = (maps.landmarks[0, [13, 14]].mean(0) * 128 + 128).long().tolist()
    soft = functional.avg_pool2d(person.crops[:1], 7, 1, 3)[0]
    sharp = person.crops[0] + 0.05 * torch.randn(3, 256, 256, generator=torch.Generator().manual_seed(0))
    for portrait in (sharp, soft):
        grey = (Frames(torch.full((1, 3, 256, 256), light), 25.0) for light in (-0.6, 0.2))
        who = replace(person, portrait=portrait)
        dark, light = (next(open_mouths([frames], who, maps, *networks)).pixels for frames in grey)
        assert float((light - dark)[0, :, y - 3 : y + 3, x - 4 : x + 4].mean().abs()) < 0.02


def test_light_comes_in_where_a_mouth_is_wide_open(person, networks):
    """The same place below the upper lip, in the same face, its lower lip further down."""
    maps = moving(person, networks, [0.7])
    frames = mouth_frames(maps.landmarks, person.landmarks[:1], *networks)
    seen = SeenMouth.of(person.crops[0], person.landmarks[:1], *networks)
    upper = frames.lips(maps.landmarks, torch.zeros(1, 1))[0]
    below = frames.outside(torch.stack([torch.zeros(1, 1), upper + 1.5], -1))
    light = []
    for gap in (5.0, 15.0):
        lips = maps.landmarks.clone()
        lower = frames.outside(torch.stack([torch.linspace(-8, 8, 11)[None], (upper + gap).expand(1, 11)], -1))
        lips[:, LIPS[11:]] = lower
        light.append(float(draw_mouth(frames, lips, below, seen, 1 / 256)[0].mean()))
    assert light[1] > 1.15 * light[0]


def test_little_light_comes_in_through_a_slit(person, networks):
    """Far below the upper lip, whose own shadow ends there."""
    light = []
    for jaw in (0.25, 0.8):
        maps = moving(person, networks, [jaw])
        frames = mouth_frames(maps.landmarks, person.landmarks[:1], *networks)
        above, below = frames.lips(maps.landmarks, torch.zeros(1, 1))
        far = torch.full((1, 1), 5.0)
        light.append(float(light_in_mouth(frames, maps.landmarks, torch.zeros(1, 1), far, below - above - far)))
    assert light[0] < 0.92 * light[1]


def test_little_light_comes_in_behind_lips_that_come_forward(person, networks):
    """The same place in a mouth as wide as at rest, and in one that is drawn together."""
    landmarks = moving(person, networks, [0.5]).landmarks
    frames = mouth_frames(landmarks, person.landmarks[:1], *networks)
    above, below = frames.lips(landmarks, torch.zeros(1, 1))
    light = []
    for share in (1.0, 0.6):
        far, lips = torch.full((1, 1), 5.0), narrowed(frames, landmarks, share)
        light.append(float(light_in_mouth(frames, lips, torch.zeros(1, 1), far, below - above - far)))
    assert light[1] < 0.6 * light[0]


def narrowed(frames, landmarks, share):
    """Return points whose lips are as wide as a share of the mouth without expression."""
    lips, local = landmarks.clone(), frames.local(landmarks[:, list(LIPS)])
    local[..., 0] *= share * frames.wide / (local[0, 10, 0] - local[0, 0, 0])
    lips[:, list(LIPS)] = frames.outside(local)
    return lips


@pytest.mark.parametrize("teeth", [UPPER_TEETH, LOWER_TEETH])
def test_teeth_are_not_tiles(person, networks, teeth):
    """The two halves of a row are no mirror images, and canines are darker than the teeth beside them."""
    frames = mouth_frames(person.landmarks[:1], person.landmarks[:1], *networks)
    frames = replace(frames, jaw=torch.zeros(1), yaw=torch.zeros(1), pitch=torch.zeros(1))
    x = torch.linspace(-18, 18, 721)[None]
    y, soft = torch.full_like(x, teeth.edges[0]), torch.full((1, 1), 0.2)
    cover = draw_row(frames, teeth, x, y, soft)[0]
    assert (cover - cover.flip(1)).abs().max() > 0.3
    middles = torch.tensor([[(a + b) / 2 for a, b in zip(teeth.sides[:2], teeth.sides[1:3], strict=True)]])
    beside, canine = draw_row(frames, teeth, middles, torch.full_like(middles, teeth.gums[0] / 2), soft)[2][0]
    assert canine < 0.9 * beside


def test_lower_teeth_are_in_the_shade_of_the_upper_ones_until_the_jaw_falls(person, networks):
    reference = person.landmarks[:1]
    light = []
    for jaw in (0.25, 0.7):
        maps = moving(person, networks, [jaw])
        frames = mouth_frames(maps.landmarks, reference, *networks)
        seen = SeenMouth.of(person.crops[0], reference, *networks)
        edge = frames.outside(torch.tensor([[[2.0, float(frames.jaw) - 1.0]]]))
        light.append(float(draw_mouth(frames, maps.landmarks, edge, seen, 1 / 256)[0].mean()))
    assert light[0] < 0.93 * light[1]


def mouth_of(person, networks, colour, end, jaw=0.8, below=(-0.95, -0.95, -0.95)):
    """Return a photograph's points, open by a jaw, and a picture whose mouth has a colour down to some millimetres."""
    landmarks = moving(person, networks, [jaw]).landmarks
    frame = mouth_frames(landmarks, landmarks, *networks)
    axis = (torch.arange(256) * 2 + 1) / 256 - 1
    places = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(1, -1, 2)
    x, y = frame.local(places)[0].unbind(-1)
    above, lower = (line[0] for line in frame.lips(landmarks, x[None]))
    picture = torch.tensor([0.2, -0.3, -0.3])[:, None].repeat(1, len(x))
    picture[:, (y > above) & (y < lower)] = torch.tensor(below)[:, None]
    picture[:, (y > above) & (y < lower) & (y < end)] = torch.tensor(colour)[:, None]
    return landmarks, picture.view(3, 256, 256)


@pytest.mark.parametrize("end", [0.5, 4.0])
def test_upper_teeth_end_where_the_photograph_shows_it(person, networks, end):
    landmarks, picture = mouth_of(person, networks, [0.8, 0.8, 0.7], end)
    seen = SeenMouth.of(picture, landmarks, *networks)
    assert seen.lowered == pytest.approx(end - UPPER_TEETH.edges[0], abs=1.0)
    assert (seen.white - torch.tensor([0.9, 0.9, 0.85])).abs().max() < 0.1


def test_teeth_go_on_behind_a_lower_lip(person, networks):
    """Of a smile that is all teeth: when the jaw falls, no gap opens below what the photograph shows of them."""
    landmarks, picture = mouth_of(person, networks, [0.8, 0.8, 0.7], 99.0)
    seen = SeenMouth.of(picture, landmarks, *networks)
    _, below = seen.frame.lips(landmarks, torch.zeros(1, 1))
    assert seen.lowered + UPPER_TEETH.edges[0] > min(float(below), 5.0)


def test_lips_on_which_points_lie_are_no_teeth(person, networks):
    """Lips are lit as brightly as the teeth above them, but red."""
    landmarks, picture = mouth_of(person, networks, [0.6, 0.6, 0.5], 3.0, 0.5, below=[0.7, -0.1, -0.1])
    seen = SeenMouth.of(picture, landmarks, *networks)
    assert seen.lowered == pytest.approx(1.0, abs=1.0)
    assert (seen.white - torch.tensor([0.8, 0.8, 0.75])).abs().max() < 0.1


def test_what_is_below_upper_teeth_goes_with_the_jaw(person, networks):
    """Teeth keep their place on the skull, and a blue tongue below them falls with the jaw."""
    blue = [-0.6, -0.6, 0.9]
    landmarks, picture = mouth_of(person, networks, [0.8, 0.8, 0.7], 3.0, 0.5, below=blue)
    seen = SeenMouth.of(picture, landmarks, *networks)
    wider = moving(person, networks, [0.9]).landmarks
    frames = mouth_frames(wider, landmarks, *networks)
    falls = float(frames.jaw - seen.frame.jaw)
    lower = float(seen.frame.lips(landmarks, torch.zeros(1, 1))[1])
    assert falls > 3 and lower > 5
    heights = torch.tensor([1.5, 3.5, lower + falls - 4.0, falls])
    places = frames.outside(torch.stack([torch.zeros(4), heights], -1)[None])
    colours, shown = seen.at(frames, wider, places, 2 / 256)
    assert [round(float(value)) for value in shown[0, 0]] == [1, 0, 1, 0]
    assert colours[0, 0, 0] > 0.8 and colours[0, 2, 2] > 0.8 > 2 * colours[0, 0, 2]


def test_lips_that_draw_back_leave_no_line_on_teeth(person, networks):
    """The photograph's own lips begin where its teeth end: they are not taken along with them."""
    landmarks, picture = mouth_of(person, networks, [0.8, 0.8, 0.7], 99.0, 0.3)
    seen = SeenMouth.of(picture, landmarks, *networks)
    edge = seen.frame.lips(landmarks, torch.zeros(1, 1))[0]
    raised = landmarks.clone()
    raised[:, list(LIPS[:11])] = seen.frame.outside(seen.frame.local(landmarks[:, LIPS[:11]]) - torch.tensor([0, 2.0]))
    places = seen.frame.outside(torch.stack([torch.zeros(1, 1), edge - 0.3], -1))
    kept, uncovered = (float(seen.at(seen.frame, points, places, 2 / 256)[1]) for points in (landmarks, raised))
    assert kept > 0.9 and uncovered < 0.05


@pytest.mark.parametrize("bright", [False, True])
def test_shadows_of_lips_are_as_deep_as_on_the_photographs_own_teeth(person, networks, bright):
    """Little of teeth is seen, below an upper lip: so they are dark, or light falls in from the front."""
    landmarks, picture = mouth_of(person, networks, [0.5, 0.5, 0.45] if bright else [0.0, -0.02, -0.05], 99.0, 0.3)
    picture = picture.clone()
    for eye in (468, 473):  # whites of the eyes tell how bright teeth are
        x, y = (landmarks[0, eye] * 128 + 128).long().tolist()
        picture[:, y - 12 : y + 12, x - 24 : x + 24] = 0.6
    seen = SeenMouth.of(picture, landmarks, *networks)
    assert 0.3 <= seen.shade <= 1 and (seen.shade < 0.75) == bright


@pytest.mark.parametrize("colour", [[-0.6, -0.8, -0.8], [0.6, -0.1, -0.1]])
def test_lips_and_tongues_are_no_teeth(person, networks, colour):
    landmarks, picture = mouth_of(person, networks, colour, 4.0)
    seen = SeenMouth.of(picture, landmarks, *networks)
    assert abs(seen.lowered) < 0.5 and seen.white[1] > 0.8 * seen.white[0]


def test_mouths_of_soft_photographs_have_soft_rims(person, networks):
    maps = moving(person, networks, [0.6])
    soft = functional.avg_pool2d(person.crops[:1], 7, 1, 3)[0]
    steepest = []
    for portrait in (person.crops[0], soft):
        plain = Frames(torch.full((1, 3, 256, 256), 0.4), 25.0)
        (drawn,) = open_mouths([plain], replace(person, portrait=portrait), maps, *networks)
        x = int(maps.landmarks[0, 13, 0] * 128 + 128)
        lip = int(maps.landmarks[0, 14, 1] * 128 + 128)
        steepest.append(float(drawn.pixels[0, 1, lip - 4 : lip + 4, x].diff().abs().max()))
    assert steepest[1] < 0.65 * steepest[0]


def drawn_into(pictures, *how):
    made = pictures.clone()
    draw_mouths(made, *how)
    return made


@pytest.mark.parametrize("blur", [0.0, 1.5])
@pytest.mark.parametrize("pucker", [0.0, 1.0])
def test_own_teeth_stay_as_they_are(person, networks, blur, pucker):
    """A photograph with an open mouth, driven to itself, is itself, also a soft one: it is as soft as it is.

    So is one whose own lips are round; how dark it is behind them it shows.
    """
    reference = moving(person, networks, [0.6], pucker=pucker).landmarks
    picture = torch.rand(3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = softened(picture[None], blur)[0]
    seen = SeenMouth.of(picture, reference, *networks)
    assert (seen.blur > 0) == (blur > 0)
    frames = mouth_frames(reference, reference, *networks)
    drawn = drawn_into(picture[None], frames, reference, seen)[0]
    x, y = (reference[0, LIPS] * 128 + 128).mean(0).long().tolist()
    top = int(reference[0, 13, 1] * 128 + 128) + 2  # what is lower goes with the jaw
    change = (drawn - picture)[:, top, x - 3 : x + 3].abs().max()
    assert change < (0.2 * picture.std() if blur else 0.02), y


def test_teeth_are_lit_as_the_face_is(person):
    picture, points = person.crops[0], person.landmarks[0]
    light = teeth_colour(picture, points)
    dark = teeth_colour((picture + 1) * 0.4 - 1, points)
    blue = teeth_colour((picture + 1) * torch.tensor([0.6, 0.8, 1.0])[:, None, None] - 1, points)
    assert dark.mean() < light.mean() < 0.95
    assert blue[2] / blue[0] > light[2] / light[0]


def test_a_line_goes_through_its_points():
    line = torch.tensor([[[0.0, 1.0], [1.0, 3.0], [2.0, 2.0]]])
    assert along(torch.tensor([[-5.0, 0.0, 1.0, 2.0, 9.0]]), line)[0].tolist() == pytest.approx([1, 1, 3, 2, 2])


def test_a_raised_upper_lip_lets_light_into_a_slit(person, networks):
    """As in a smile: both lips are higher on the skull."""
    landmarks = moving(person, networks, [0.25]).landmarks
    frames = mouth_frames(landmarks, person.landmarks[:1], *networks)
    lower = replace(frames, origin=frames.outside(torch.tensor([[[0.0, 5.0]]]))[:, 0])
    far, gap = torch.full((1, 1), 5.0), torch.full((1, 1), 1.0)
    slit, smile = (float(light_in_mouth(f, landmarks, torch.zeros(1, 1), far, gap)) for f in (frames, lower))
    assert smile > 1.2 * slit


@pytest.mark.parametrize(("jaw", "mouth"), [(0.15, False), (0.8, True)])
def test_a_dark_line_between_lips_is_no_mouth_that_a_photograph_shows(person, networks, jaw, mouth):
    """What is in the mouth is drawn as lips part further than the line is wide; at rest the photograph stays."""
    landmarks, picture = mouth_of(person, networks, [-0.95] * 3, -99.0, jaw)
    seen = SeenMouth.of(picture, landmarks, *networks)
    gap = float(seen.frame.lips(landmarks, torch.zeros(1, 1))[1] - seen.frame.lips(landmarks, torch.zeros(1, 1))[0])
    assert seen.shows == float(mouth) and (gap > 7.5) == mouth
    rest = drawn_into(picture[None], seen.frame, landmarks, seen)
    assert float((rest - picture).abs().amax(1).gt(0.02).sum()) <= (99 if mouth else 0), "but for an edge"
    wider = moving(person, networks, [jaw + 0.5]).landmarks
    opened = drawn_into(picture[None], mouth_frames(wider, landmarks, *networks), wider, seen)
    dark, was = (float((shown.amax(-3) < -0.5).sum()) for shown in (opened, picture))
    assert (dark > 0.9 * was) == mouth
