"""A person who moves before a place that stands still."""

import pytest
import torch
from torch.nn import functional

from portraittalk_core.compositing.head_camera import _HEAD, head_camera, seen
from portraittalk_core.compositing.head_field import Holds, _without_tears, head_field, plane_of_head
from portraittalk_core.compositing.layers import Layers, Moved, before_plate, taken_apart
from portraittalk_core.compositing.other_half import HALVES, other_half
from portraittalk_core.compositing.unseen import stretching
from portraittalk_core.media.resampling import enlarged
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid
from portraittalk_core.topology import EYES, LOWER_BROWS, MIRROR, OVAL, SEGMENTS
from portraittalk_core.types import CropPlace

SIZE, SIDE = 256, 128
OWN, WARPED, STILL = range(3)
DRAWN = torch.zeros(1, 3, SIZE, SIZE)


def noise(seed: int, cells: int = 24) -> torch.Tensor:
    coarse = torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[0]


def camera(yaw: float = 0.0) -> torch.Tensor:
    """A head of a sixth of the picture's side in eye distances, turned to the right of the picture."""
    turn = torch.tensor(yaw)
    across = torch.stack([turn.cos(), torch.zeros(()), turn.sin()])
    rows = torch.stack([across, torch.tensor([0.0, 1.0, 0.0])], 1)
    return torch.cat([rows, torch.zeros(1, 2)])[None] * 0.22


def face(yaw: float = 0.0) -> torch.Tensor:
    """Points of a turned head; those that no head in space is known of lie in the middle of the forehead."""
    points = seen(camera(yaw), torch.tensor([_HEAD[10]])).repeat(1, 478, 1)
    points[:, list(_HEAD)] = seen(camera(yaw), torch.tensor(list(_HEAD.values())))
    points[:, 152] = seen(camera(yaw), torch.tensor([[0.0, 1.8, 0.1]]))[:, 0]
    return points


def disc(size: int, radius: float, down: float = 0.0) -> torch.Tensor:
    here = identity_grid(torch.zeros(1, 1, size, size))
    return ((here[:, :1].square() + (here[:, 1:] - down).square()).sqrt() < radius).float()


def segments(size: int, radius: float) -> torch.Tensor:
    """Hair in a disc, a place around it."""
    found = torch.zeros(1, len(SEGMENTS), size, size)
    found[:, SEGMENTS.index("hair")] = disc(size, radius)[:, 0]
    found[:, SEGMENTS.index("background")] = 1 - disc(size, radius)[:, 0]
    return found


def motion(away: torch.Tensor, share: torch.Tensor) -> DenseMotion:
    """What is moved, and of which share; the rest stands still."""
    flow = identity_grid(torch.zeros(1, 1, SIDE, SIDE)) + away
    return DenseMotion(flow, torch.cat([torch.zeros_like(share), share, 1 - share], 1))


def finished(layers: Layers, moves: DenseMotion, points: torch.Tensor) -> Moved:
    whole = DenseMotion(head_field(moves, layers.holds, points), moves.shares)
    return before_plate(DRAWN, layers, whole, points, None)


@pytest.fixture
def layers() -> Layers:
    return taken_apart(noise(1), segments(SIZE, 0.5), face(), SIDE)


def test_a_person_at_rest_is_the_photograph(layers: Layers) -> None:
    rest = motion(torch.zeros(1, 2, SIDE, SIDE), disc(SIDE, 0.5))
    made = finished(layers, rest, face()).pixels
    torch.testing.assert_close(made[0], noise(1), atol=1e-3, rtol=0)


def test_places_never_move_and_heads_leave_nothing_behind() -> None:
    photograph = torch.lerp(torch.full((3, SIZE, SIZE), -0.5), torch.full((3, SIZE, SIZE), 0.8), disc(SIZE, 0.5)[0])
    layers = taken_apart(photograph, segments(SIZE, 0.5), face(), SIDE)
    shift = torch.tensor([0.1, 0.0])
    # The network takes a rim of the head for still, and its field runs back to the place's.
    known = disc(SIDE, 0.42)
    away = -shift.view(1, 2, 1, 1) * known
    made = finished(layers, motion(away, known), face() + shift).pixels
    middle = made[0, :, SIZE // 2]
    left, right = (round((x + 1) * SIZE / 2) for x in (-0.4, 0.6))
    assert torch.allclose(middle[:, left + 4 : right - 4], torch.tensor(0.8), atol=0.03), "the head, moved as one"
    assert torch.allclose(middle[:, : left - 4], torch.tensor(-0.5), atol=0.03), "no ghost of its rim"
    assert torch.allclose(middle[:, right + 4 :], torch.tensor(-0.5), atol=0.03)


def test_a_textured_place_stays_where_it_is(layers: Layers) -> None:
    shift = torch.tensor([0.06, 0.0])
    away = -shift.view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE)
    made = finished(layers, motion(away, torch.ones(1, 1, SIDE, SIDE)), face() + shift).pixels
    far = (1 - disc(SIZE, 0.65))[0] > 0
    assert torch.allclose(made[0][far.expand(3, -1, -1)], noise(1)[far.expand(3, -1, -1)], atol=1e-3)


def test_hair_beyond_the_face_turns_as_a_plane_through_the_head() -> None:
    holds = taken_apart(noise(1), segments(SIZE, 0.6), face(), SIDE).holds
    nothing = motion(torch.zeros(1, 2, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE))
    flow = head_field(nothing, holds, face(0.3))
    plane = plane_of_head(camera(), camera(0.3), flow)
    beside = (slice(None), slice(None), SIDE // 4, SIDE // 5)
    torch.testing.assert_close(flow[beside], plane[beside], atol=0.01, rtol=0)
    assert (plane[:, 0] - identity_grid(plane)[:, 0]).abs().max() > 0.05, "it moves"
    below = flow[..., -8:, :] - identity_grid(flow)[..., -8:, :]
    assert below.abs().max() < 5e-3, "there are shoulders"


def everywhere() -> Holds:
    """Nothing but a head, which nothing holds."""
    whole, none = torch.ones(1, 1, SIDE, SIDE), torch.zeros(1, 1, SIDE, SIDE)
    return Holds(whole, body=none, low=none, glasses=none, ends=whole.repeat(1, 2, 1, 1), beyond=none, camera=camera())


def test_lids_that_close_keep_their_field_however_steep() -> None:
    """Contours that are pressed together are smoothed elsewhere, or they would come in steps."""
    here = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    moves = torch.zeros(1, 2, SIDE, SIDE)
    moves[:, 1] = 0.06 * torch.tanh(here[:, 1] / 0.01)  # half of the pixels around a line are pressed into it
    whole, holds = torch.ones(1, 1, SIDE, SIDE), everywhere()
    on_the_line = face().clone()
    lids = [*EYES[0], *EYES[1]]
    on_the_line[:, lids] = torch.stack([torch.linspace(-0.1, 0.1, len(lids)), torch.zeros(len(lids))], -1)
    field = head_field(motion(moves, whole), holds, on_the_line)
    changed = (field - here - moves)[0, 1].abs()
    rows = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    at_lids, elsewhere = changed[rows, SIDE // 2 - 4 : SIDE // 2 + 4], changed[rows, SIDE // 2 + 20 : SIDE // 2 + 28]
    assert float(at_lids.max()) < 0.25 * float(elsewhere.max())


def test_skin_of_lids_is_drawn_out_as_they_close() -> None:
    """What evens fields out again and again undid wholly what is but near the eyes: lids stayed open."""
    here = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    moves = torch.zeros(1, 2, SIDE, SIDE)
    moves[:, 1] = -0.8 * here[:, 1].clamp(-0.05, 0.05) * torch.exp(-((here[:, 0] / 0.15) ** 2))
    whole, holds = torch.ones(1, 1, SIDE, SIDE), everywhere()
    closing = face().clone()
    lids = [*EYES[0], *EYES[1]]
    closing[:, lids] = torch.stack([torch.linspace(-0.1, 0.1, len(lids)), torch.zeros(len(lids))], -1)
    field = head_field(motion(moves, whole), holds, closing)
    changed = (field - here - moves)[0, 1, :, SIDE // 2 - 6 : SIDE // 2 + 6].abs()
    assert float(changed[SIDE // 2 - 5 : SIDE // 2 + 5].max()) < 0.1 * 0.04


def test_no_outline_is_torn_off_what_does_not_follow_it() -> None:
    """A cheek turns away from hair that stays: what is drawn out between them is drawn out evenly."""
    whole, holds = torch.ones(1, 1, SIDE, SIDE), everywhere()
    cheek = disc(SIDE, 0.4)
    moved = motion(torch.cat([0.06 * cheek, torch.zeros_like(cheek)], 1), whole)
    around = torch.linspace(0, 2 * torch.pi, len(OVAL) + 1)[:-1]
    points = face()
    points[:, list(OVAL)] = 0.4 * torch.stack([around.cos(), around.sin()], -1)
    before, after = moved.flow, head_field(moved, holds, points)
    assert float(stretching(before)[0].amin()) < 0, "the outline is torn off"
    assert float(stretching(after)[0][..., 2:-2, 2:-2].amin()) > 0.15
    torch.testing.assert_close(after[..., 60:68, 60:68], before[..., 60:68, 60:68], atol=0.004, rtol=0)


def test_a_frame_beside_a_torn_one_is_as_it_is_alone() -> None:
    here, every = identity_grid(torch.zeros(1, 1, SIDE, SIDE)), torch.ones(2, 1, SIDE, SIDE)
    cheek = disc(SIDE, 0.4)
    torn = torch.cat([0.06 * cheek, torch.zeros_like(cheek)], 1)
    both = _without_tears(torch.cat([0 * torn, torn]), here, every)
    torch.testing.assert_close(both[:1], 0 * torn, atol=0, rtol=0)
    torch.testing.assert_close(both[1:], _without_tears(torn, here, every[:1]), atol=0, rtol=0)
    assert (both[1:] - torn).abs().max() > 0.01, "evened out"


def test_glasses_are_not_bent_by_brows_and_turn_with_the_head() -> None:
    points, bare = face(), segments(SIZE, 0.8)
    for eye, corners in zip(EYES, ((33, 133), (362, 263)), strict=True):
        points[:, [k for k in eye if k not in _HEAD]] = points[:, list(corners)].mean(1, keepdim=True)
    row, column = (round((float(value) + 1) * SIZE / 2) for value in points[0, [362, 263]].mean(0).flip(0))
    worn = bare.clone()
    worn[..., row - 6 : row + 6, column - 20 : column + 20] = 0
    worn[:, SEGMENTS.index("accessory"), row - 6 : row + 6, column - 20 : column + 20] = 1
    at = (slice(None), slice(None), row // 2, column // 2)
    whole = torch.ones(1, 1, SIDE, SIDE)
    frowning = motion(torch.cat([0 * whole, 0.04 * whole], 1), whole)

    def holds(found: torch.Tensor) -> Holds:
        return taken_apart(noise(1), found, points, SIDE).holds

    moved = [head_field(frowning, holds(found), points) - identity_grid(frowning.flow) for found in (bare, worn)]
    assert float(moved[0][at].abs().max()) > 0.03 and float(moved[1][at].abs().max()) < 0.006
    turned = head_field(motion(0 * whole.repeat(1, 2, 1, 1), whole), holds(worn), face(0.2) + 0.05)
    at = (slice(None), slice(None), (row + 6) // 2, (column + 6) // 2)  # where they are now
    expected = plane_of_head(head_camera(points), head_camera(face(0.2) + 0.05), turned, depth=0.15)
    assert float((expected - identity_grid(turned))[at].abs().max()) > 0.02, "the head turns"
    torch.testing.assert_close(turned[at], expected[at], atol=0.01, rtol=0)


def test_brows_beside_glasses_rise() -> None:
    points, worn = face(), segments(SIZE, 0.8)
    row, column = (round((float(value) + 1) * SIZE / 2) for value in points[0, [362, 263]].mean(0).flip(0))
    bar = (slice(row - 20, row - 16), slice(column - 20, column + 20))
    worn[..., bar[0], bar[1]] = 0
    worn[:, SEGMENTS.index("accessory"), bar[0], bar[1]] = 1
    brow = torch.linspace(column - 20, column + 20, 5)
    points[:, LOWER_BROWS[1], 0] = brow * 2 / SIZE - 1
    points[:, LOWER_BROWS[1], 1] = (row - 26) * 2 / SIZE - 1  # six pixels above the frame
    whole = torch.ones(1, 1, SIDE, SIDE)
    rising = motion(torch.cat([0 * whole, 0.03 * whole], 1), whole)
    holds = taken_apart(noise(1), worn, points, SIDE).holds
    moved = (head_field(rising, holds, points) - identity_grid(whole))[0, 1, :, column // 2]
    assert float(moved[row // 2 - 13]) > 0.01, "the brow goes"
    assert abs(float(moved[row // 2 - 9])) < 0.01, "the frame stays"


def test_skin_that_moves_behind_glasses_makes_no_second_pair() -> None:
    points, worn = face(), segments(SIZE, 0.8)
    row, column = (round((float(value) + 1) * SIZE / 2) for value in points[0, [362, 263]].mean(0).flip(0))
    bar = (slice(row - 10, row - 6), slice(column - 20, column + 20))
    worn[..., bar[0], bar[1]] = 0
    worn[:, SEGMENTS.index("accessory"), bar[0], bar[1]] = 1
    holds, whole = taken_apart(noise(1), worn, points, SIDE).holds, torch.ones(1, 1, SIDE, SIDE)
    found = head_field(motion(torch.cat([0 * whole, 0.06 * whole], 1), whole), holds, points)
    shown = functional.grid_sample(holds.glasses, found.permute(0, 2, 3, 1), align_corners=False)
    assert 0.9 < float(shown.sum() / holds.glasses.sum()) < 1.45


def test_what_goes_on_beyond_the_crop_stays_at_its_edge() -> None:
    shift = torch.tensor([0.0, 0.1])
    away, every = -shift.view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
    for place, moved in ((CropPlace(10, 10, 100, 200, 200), 0.0), (CropPlace(10, 0, 100, 200, 200), 0.1)):
        holds = taken_apart(noise(1), segments(SIZE, 1.5), face(), SIDE, place).holds
        top = head_field(motion(away, every), holds, face() + shift)[0, 1, 0, SIDE // 2]
        assert float(-1 + 1 / SIDE - top) == pytest.approx(moved, abs=0.02)


def test_hair_near_the_end_of_a_crop_goes_with_a_head_that_hardly_moves() -> None:
    place, every = CropPlace(10, 10, 100, 200, 200), torch.ones(1, 1, SIDE, SIDE)
    holds = taken_apart(noise(1), segments(SIZE, 1.5), face(), SIDE, place).holds
    row = round(0.1 * SIDE)  # 0.2 from the upper end
    for far, goes in ((0.02, 0.9), (0.1, 0.6)):
        shift = torch.tensor([0.0, far])
        moved = motion(-shift.view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE), every)
        found = (identity_grid(every) - head_field(moved, holds, face() + shift))[0, 1, row, SIDE // 2]
        assert (float(found) > goes * far) == (far == 0.02)


def test_no_end_of_a_photograph_holds_a_chin() -> None:
    points, every = face(), torch.ones(1, 1, SIDE, SIDE)
    chin = float(points[0, 152, 1])
    side = 100
    place = CropPlace(10, 10, side, 10 + round((chin + 1.3) / 2 * side), 200)  # the photograph ends 0.3 below it
    holds = taken_apart(noise(1), segments(SIZE, 1.5), points, SIDE, place).holds
    down = torch.tensor([0.0, 0.08])
    moved = motion(-down.view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE), every)
    away = (identity_grid(every) - head_field(moved, holds, points + down))[0, 1, :, SIDE // 2]
    at = round((chin + 0.08 + 1) / 2 * SIDE) - 2
    assert float(away[at]) > 0.8 * 0.08
    assert float(away[round((chin + 1.3) / 2 * SIDE) - 1]) < 0.3 * 0.08, "what is below it stays"


def test_what_would_come_from_beyond_a_photograph_is_its_mirror_image() -> None:
    place = CropPlace(10, 0, 100, 200, 200)
    layers = taken_apart(noise(1), segments(SIZE, 1.5), face(), SIDE, place)
    shift = torch.tensor([0.0, 16 * 2 / SIZE])
    away, every = -shift.view(1, 2, 1, 1).expand(1, 2, SIDE, SIDE), torch.ones(1, 1, SIDE, SIDE)
    made = finished(layers, motion(away, every), face() + shift).pixels[0, :, :40, 100:150]
    # Of the two lines above, which may be a frame, nothing is mirrored.
    torch.testing.assert_close(made[:, 4:18], made[:, 20:34].flip(1), atol=0.2, rtol=0)
    assert made[:, :14].std(1).mean() > 0.1, "no streaks"


def half_seen(much: float) -> torch.Tensor:
    """A face of which the half in the right of the picture is pressed together."""
    points = torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    points[:, :, 1] *= 1.2
    middle = torch.tensor([k == m for k, m in enumerate(MIRROR)])
    left = points[:, :, 0].abs()
    sign = torch.ones(478)
    for k, other in enumerate(MIRROR):
        if k < other:
            sign[k], sign[other] = -1.0, 1.0
            points[:, other] = points[:, k]
            left[:, other] = left[:, k]
    points[:, :, 0] = torch.where(middle, torch.zeros(()), left * sign)
    angle = torch.linspace(0, 2 * torch.pi, len(OVAL) + 1)[:-1]
    points[0, list(OVAL)] = torch.stack([0.55 * angle.sin(), -0.7 * angle.cos()], 1)
    right = points[:, :, 0] > 0
    points[:, :, 0] = torch.where(right, points[:, :, 0] * much, points[:, :, 0])
    return points


def test_a_place_is_not_filled_with_what_goes_on_beyond_its_photograph() -> None:
    """The photograph ends at the right of a head, in a dark frame, of which the crop's rest is made."""
    end = round(0.8 * SIZE)
    photograph = torch.full((3, SIZE, SIZE), 0.8)
    photograph[:, :, end - 2 :] = -0.9
    place = CropPlace(0, -50, SIZE, 400, end)
    layers = taken_apart(photograph, segments(SIZE, 0.58), face(), SIDE, place)
    head = disc(SIZE, 0.58)[0].bool().expand(3, -1, -1)[..., : end - 3]
    assert torch.allclose(layers.plate[..., : end - 3][head], torch.tensor(0.8), atol=1e-3)
    whole = taken_apart(photograph, segments(SIZE, 0.58), face(), SIDE)
    torch.testing.assert_close(layers.plate[..., end:], whole.plate[..., end:])


def test_tips_of_hair_that_were_taken_for_the_place_go_with_the_hair() -> None:
    tip = disc(SIZE, 0.03, 0.0).roll(round(0.3 * SIZE), -1)  # a lock beside the head
    person = (disc(SIZE, 0.5) + tip).clamp(max=1)
    photograph = torch.lerp(torch.full((3, SIZE, SIZE), 0.7), torch.full((3, SIZE, SIZE), -0.6), person[0])
    layers = taken_apart(photograph, segments(SIZE, 0.5), face(), SIDE)
    lock = tip[0, 0] > 0
    assert float(layers.matte[0][lock].mean()) > 0.9
    assert torch.allclose(layers.plate[:, lock], torch.tensor(0.7), atol=0.1), "it leaves nothing behind"
    busy = taken_apart(torch.where(person > 0, photograph, noise(1, 40))[0], segments(SIZE, 0.5), face(), SIDE)
    assert float(busy.matte[0][(1 - person)[0, 0] > 0].mean()) < 0.02, "of places full of colours nothing is taken"


def test_a_half_that_a_photograph_hides_is_the_other_one_mirrored() -> None:
    whole = half_seen(1.0)
    here = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    assert not other_half(here, whole, whole), "of a head at rest nothing"
    pressed = torch.cat([torch.where(here[:, :1] > 0, 0.2, 1.0) * here[:, :1], here[:, 1:]], 1)
    found = other_half(pressed, half_seen(0.2), whole)
    assert list(found) == [0]
    flow, share = found[0]
    cheek = (0, 0, SIDE // 2, round(1.4 * SIDE / 2))
    assert float(share[cheek]) > 0.75 and float(share[0, 0, :, : SIDE // 2 - 4].max()) < 0.05
    assert float(flow[cheek]) == pytest.approx(-0.4, abs=0.06), "from the other side"
    inside = enlarged(share, (SIZE, SIZE))[0, 0]
    assert float(inside[:, round(1.62 * SIZE / 2) :].max()) < 0.05, "nothing beside the face"


def test_both_halves_are_mirror_images() -> None:
    assert {MIRROR[k] for k in HALVES[0]} == set(HALVES[1])
