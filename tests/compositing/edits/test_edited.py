"""Prompts change what they ask for, in the photograph's own pixels, and leave the rest."""

from dataclasses import replace

import torch
from torch.nn import functional

from portraittalk_core.compositing.edits.beards import AREAS, BEARDS, beard_density, bearded
from portraittalk_core.compositing.edits.cranium import knitted
from portraittalk_core.compositing.masked import inside, luma
from portraittalk_core.topology import BROW_OUTLINES, OUTER_LIPS, SEGMENTS

from .heads import SIDE, change, correlation, fine, segments


def test_hair_and_clothes_take_the_drawn_colour_and_keep_their_light_and_dark(photograph, points):
    photograph = photograph.clone()
    photograph[:, :, 96:] = photograph[:, :, 96:] * 0.6 - 0.4  # clothes of another colour than skin
    red, blue = (torch.tensor(colour).view(1, 3, 1, 1) for colour in ([0.2, -0.7, -0.7], [-0.6, -0.5, 0.4]))
    hair, clothes = (slice(4, 40), slice(24, 104)), (slice(96, SIDE), slice(0, SIDE))
    for region, there, colour in (("colour of the hair", hair, red), ("clothes", clothes, blue)):
        drawn = photograph * 0 + colour
        made = change(photograph, drawn, points, region)
        new, old = (p[..., there[0], there[1]] for p in (made, photograph))
        assert (new.mean((2, 3)) - colour[..., 0, 0]).abs().max() < 0.12, region
        assert correlation(fine(luma(new)), fine(luma(old))) > 0.95, region
        assert torch.allclose(made[..., 50:90, :], photograph[..., 50:90, :], atol=1e-6), "the face is the photograph's"


def test_a_colour_that_is_there_already_changes_nothing(photograph, points):
    same = ("colour of the hair", "clothes", "background", "no glasses", "shaven chin")
    made = change(photograph, photograph, points, *same)
    inside = segments()[:, 1:].sum(1, keepdim=True)
    assert ((made - photograph).abs() * inside).max() < 0.12 and (made - photograph).abs().mean() < 0.01


def test_another_place_lies_behind_a_person_of_whom_nothing_changes(photograph, points):
    made = change(photograph, torch.full_like(photograph, -0.8), points, "background")
    person = segments()[:, 1:].sum(1, keepdim=True)
    within = -functional.max_pool2d(-functional.pad(person, (10,) * 4, mode="replicate"), 21, 1)[0, 0] > 0
    assert (made - photograph)[0][:, within].abs().max() < 0.02
    place = functional.max_pool2d(functional.pad(person, (10,) * 4, mode="replicate"), 21, 1)[0, 0] == 0
    assert (made[0][:, place] + 0.8).abs().max() < 1e-4


def test_a_place_that_is_known_is_painted(photograph, points):
    drawn = torch.full_like(photograph, -0.8)
    made = change(photograph, drawn, points, "park background")
    place = segments()[0, 0] == 1
    assert (made[0, :, place] - drawn[0, :, place]).abs().mean() > 0.3 and made[0, :, place].std() > 0.05


def worn_glasses(photograph, points, lenses=None, thick=1):
    """Return a face that wears a dark bar before the eyes, its segments, and where the bar is."""
    row = int((points[0, [168, 6], 1].mean() + 1) * SIDE / 2)
    bar = (slice(row - thick, row + thick), slice(36, 92))
    pictured = photograph.clone()
    pictured[..., bar[0], bar[1]] = -0.95
    if lenses is not None:
        pictured[..., row - 2 : row + 22, 36:92] = lenses
    return pictured, segments(accessory=bar), bar


def test_glasses_that_are_worn_are_taken_off_or_exchanged(photograph, points):
    pictured, worn, bar = worn_glasses(photograph, points)
    there = (..., *bar)
    off = change(pictured, photograph, points, "no glasses", before=worn)
    assert (off - pictured)[there].mean() > 0.3, "skin is lighter than the frame was"
    assert torch.allclose(off[..., bar[0].stop + 12 :, :], pictured[..., bar[0].stop + 12 :, :], atol=1e-6)
    other = change(pictured, photograph, points, "round glasses", before=worn)
    alone = change(off, photograph, points, "round glasses")
    assert (other - alone)[there].abs().mean() < 0.25 < (pictured - alone)[there].abs().mean()


def test_half_a_frame_is_left_alone(photograph, points, caplog):
    pictured, _, bar = worn_glasses(photograph, points)
    half = segments(accessory=(bar[0], slice(36, 64)))
    assert torch.allclose(change(pictured, photograph, points, "no glasses", before=half), pictured, atol=1e-6)
    assert "not seen whole" in caplog.text


def test_a_thick_bar_before_the_eyes_is_left_alone(photograph, points, caplog):
    pictured, worn, _ = worn_glasses(photograph, points, thick=5)
    assert torch.allclose(change(pictured, photograph, points, "no glasses", before=worn), pictured, atol=1e-6)
    assert "they stay" in caplog.text


def thick_rims(photograph, points):
    """Return a face in a thick grey frame with a veil on its lenses, where the frame is and where the eyes are."""
    frame, eyes = torch.zeros(1, 1, SIDE, SIDE), []
    veiled = photograph.clone()
    for corners in ((33, 133), (362, 263)):
        x, y = ((points[0, list(corners)].mean(0) + 1) * SIDE / 2).round().long().tolist()
        frame[..., y - 11 : y + 12, x - 12 : x + 13] = 1
        frame[..., y - 7 : y + 8, x - 8 : x + 9] = 0
        veiled[..., y - 7 : y + 8, x - 8 : x + 9] += 0.15
        eyes.append((..., slice(y - 1, y + 2), slice(x - 3, x + 4)))
    return torch.where(frame > 0, -0.2, veiled), frame, eyes


def test_a_thick_frame_around_both_eyes_comes_off_with_the_veil_of_its_lenses(photograph, points, caplog):
    pictured, frame, eyes = thick_rims(photograph, points)
    worn = segments(skin=(slice(0, 110), slice(16, 112)), hair=(slice(0, 8), slice(0, SIDE)))
    worn = worn * (1 - frame)
    worn[:, [SEGMENTS.index("accessory")]] += frame
    off = change(pictured, photograph, points, "no glasses", before=worn)
    assert not caplog.records
    there = frame.expand_as(off) > 0
    assert (off - photograph)[there].abs().mean() < 0.45 * (pictured - photograph)[there].abs().mean()
    for eye in eyes:
        assert (off - photograph)[eye].mean().abs() < 0.6 * (pictured - photograph)[eye].mean().abs()
    assert torch.allclose(off[..., 100:, :], pictured[..., 100:, :], atol=1e-6)
    open_below = worn.clone()
    row = int((points[0, [33, 263], 1].mean() + 1) * SIDE / 2) + 6
    taken = open_below[:, [SEGMENTS.index("accessory")], row:]
    open_below[:, [SEGMENTS.index("skin")], row:] += taken
    open_below[:, [SEGMENTS.index("accessory")], row:] = 0
    kept = change(pictured, pictured, points, "no glasses", before=open_below)
    assert torch.allclose(kept, pictured, atol=1e-6) and "they stay" in caplog.text, "half of it is not found"


def test_dark_glasses_are_left_alone(photograph, points, caplog):
    pictured, worn, _ = worn_glasses(photograph, points, lenses=-0.9)
    for region in ("round glasses", "no glasses"):
        assert torch.allclose(change(pictured, photograph, points, region, before=worn), pictured, atol=1e-6)
    assert caplog.text.count("glasses that are dark") == 2


def test_glasses_are_before_the_eyes(photograph, points):
    made = change(photograph, photograph, points, "square glasses")
    changed = (made - photograph).abs().amax(1)[0]
    row = int((points[0, [33, 263], 1].mean() + 1) * SIDE / 2)
    assert changed[row - 12 : row + 14].max() > 0.2 and changed[row + 30 :].max() < 1e-5


def test_a_beard_has_the_hairs_colour_and_leaves_the_lips(photograph, points):
    chin = ((points[0, [152, 17]].mean(0) + 1) * SIDE / 2).long()
    photograph = photograph.clone()
    photograph[..., 4:40, 24:104] = torch.tensor([0.5, 0.2, -0.4]).view(1, 3, 1, 1)  # fair hair
    wide = segments(skin=(slice(40, SIDE), slice(24, 104)), clothes=None)
    made = change(photograph, photograph, points, "beard", before=wide)
    y, x = int(chin[1]), int(chin[0])
    there = made[0, :, y - 3 : y + 4, x - 8 : x + 9].mean((1, 2))
    assert there[0] > there[1] > there[2] and (there - photograph[0, :, y, x]).abs().max() > 0.05
    lips = ((points[0, list(OUTER_LIPS)].mean(0) + 1) * SIDE / 2).long()
    middle = (slice(None), int(lips[1]), int(lips[0]))
    assert torch.allclose(made[0][middle], photograph[0][middle], atol=0.03)
    assert torch.allclose(made[..., :50, :], photograph[..., :50, :], atol=1e-6)


def test_a_moustache_is_shaven_and_a_bare_face_stays(photograph, points):
    wide = segments(skin=(slice(40, SIDE), slice(24, 104)), clothes=None)
    assert torch.allclose(change(photograph, photograph, points, "shaven chin", before=wide), photograph, atol=1e-6)
    kind = AREAS["mustache"]
    dark, there = torch.full((1, 3, 1, 1), 0.12), beard_density(points, kind, photograph)
    grown = bearded((photograph + 1) / 2, there, dark, replace(kind, opacity=0.9), points) * 2 - 1
    shaved = change(grown, photograph, points, "shaven chin", before=wide)
    there = (grown - photograph).abs().amax(1, keepdim=True) > 0.2
    assert there.sum() > 30
    left, was = ((p - photograph).abs().mean(1, keepdim=True)[there].mean() for p in (shaved, grown))
    assert left < 0.6 * was
    eyes = int((points[0, [33, 263], 1].mean() + 1) * SIDE / 2) + 8
    assert torch.allclose(shaved[..., :eyes, :], grown[..., :eyes, :], atol=1e-6)


def test_a_full_beard_goes_only_where_the_denoiser_took_it_off(photograph, points, caplog):
    wide = segments(skin=(slice(40, SIDE), slice(24, 104)), clothes=None)
    grown = change(photograph, photograph, points, "beard", before=wide)
    there = (grown - photograph).abs().amax(1, keepdim=True) > 0.15
    assert there.sum() > 300
    shaved = change(grown, photograph, points, "shaven chin", before=wide, plain=grown)
    assert not caplog.records
    left, was = ((p - photograph).abs().mean(1, keepdim=True)[there].mean() for p in (shaved, grown))
    assert left < 0.5 * was
    x, y = ((points[0, [13, 14]].mean(0) + 1) * SIDE / 2).long().tolist()
    lips = (..., slice(y - 1, y + 2), slice(x - 5, x + 6))
    assert torch.allclose(shaved[lips], grown[lips], atol=0.05)
    eyes = int((points[0, [33, 263], 1].mean() + 1) * SIDE / 2) + 8
    assert torch.allclose(shaved[..., :eyes, :], grown[..., :eyes, :], atol=1e-6)
    everywhere = beard_density(points, BEARDS["beard"], grown) > 0.2
    dense = torch.where(everywhere, torch.rand(there.shape, generator=torch.Generator().manual_seed(0)) - 0.95, grown)
    kept = change(dense, dense, points, "shaven chin", before=wide, plain=dense)
    assert torch.allclose(kept, dense, atol=1e-6) and "beard that stays" in caplog.text


def test_what_a_denoiser_leaves_of_a_bare_face_stays(photograph, points, caplog):
    wide = segments(skin=(slice(40, SIDE), slice(24, 104)), clothes=None)
    x, y = ((points[0, 164] + 1) * SIDE / 2).long().tolist()
    folds = photograph.clone()
    folds[..., y - 2 : y + 3, x - 12 : x - 4] -= 0.25 * torch.tensor([0.0, 1.0]).repeat(4)  # of a smile
    plain = functional.avg_pool2d(folds, 3, 1, 1)
    made = change(folds, plain + 0.01, points, "shaven chin", before=wide, plain=plain)
    assert torch.allclose(made, folds, atol=1e-6) and not caplog.records


def test_a_bald_head_is_skin_and_what_hair_hid_beside_it_is_place(photograph, points):
    photograph = photograph.clone()
    photograph[..., :20] = photograph[..., 108:] = 0.7
    hair = segments(hair=(slice(0, 40), slice(20, 108)))
    made = change(photograph, photograph, points, "bald head", before=hair, after=segments(hair=None))
    corner = made[0, :, 6, 24]
    assert torch.allclose(corner, torch.full_like(corner, 0.7), atol=0.1)
    top = ((points[0, 10] + 1) * SIDE / 2).long()
    crown, skin = made[0, :, int(top[1]) - 8, int(top[0])], photograph[0, :, 50:90, 40:88].mean((1, 2))
    assert torch.allclose(crown, skin, atol=0.25)
    both = change(photograph, photograph * 0 - 0.9, points, "bald head", "background", before=hair)
    assert torch.allclose(both[0, :, int(top[1]) - 8, int(top[0])], crown, atol=0.2), "the head is no place"
    assert both[0, :, 6, 24].max() < -0.6, "and the place is behind it"


def chin_of(points):
    return int((points[0, 152, 1] + 1) * SIDE / 2)


def test_a_haircut_takes_the_old_hair_off_and_has_its_colour(photograph, points):
    photograph = photograph.clone()
    hair = (slice(4, 100), slice(10, 118))
    worn = segments(hair=hair, skin=(slice(34, 96), slice(36, 92)))
    worn[:, :, 34:96, 36:92] = 0
    worn[:, SEGMENTS.index("skin"), 34:96, 36:92] = 1
    there = worn[0, SEGMENTS.index("hair")] == 1
    photograph[0][:, there] = torch.tensor([0.2, -0.7, -0.7])[:, None]
    made = change(photograph, photograph, points, "hair", "buzz cut", before=worn)
    assert (made[..., 80:98, 12:20] - photograph[..., 80:98, 12:20]).abs().mean() > 0.2, "no ghost beside the chin"
    assert torch.allclose(made[..., 60:80, 50:78], photograph[..., 60:80, 50:78], atol=1e-4), "the face stays"
    top = int((points[0, 10, 1] + 1) * SIDE / 2)
    red, green, _ = made[0, :, top - 8 : top - 2, 58:70].mean((1, 2))
    assert red > green + 0.2


def test_hats_stay(photograph, points, caplog):
    brow = int((points[0, 105, 1] + 1) * SIDE / 2)
    worn = segments(hair=None, accessory=(slice(4, brow - 10), slice(24, 104)))
    for region in ("bald head", "knitted hat", "hair", "long hair", "no hat"):
        made = change(photograph, photograph * 0, points, region, before=worn, after=segments())
        assert torch.allclose(made, photograph, atol=1e-6), region
    assert caplog.text.count("shows a hat") == 5


def test_a_knitted_hat_covers_the_head_and_leaves_the_face(photograph, points):
    made = change(photograph, photograph, points, "knitted hat")
    top, eyes = (int((points[0, k, 1] + 1) * SIDE / 2) for k in (10, 168))
    changed = (made - photograph).abs().amax(1)[0]
    x = int((points[0, 10, 0] + 1) * SIDE / 2)
    assert changed[top - 8, x] > 0.1 and changed[eyes:, 50:90].max() < 0.02


def test_a_knitted_hat_leaves_nothing_of_hair_above_it(photograph, points):
    points = 0.6 * points + torch.tensor([0.0, 0.3])
    _, hat = knitted((photograph + 1) / 2, points, torch.ones(1, 1, 1, 1))
    top, (left, right) = int(hat[0, 0].any(1).nonzero()[0]), hat[0, 0].any(0).nonzero()[[0, -1], 0].tolist()
    assert top > 20
    photograph = torch.full_like(photograph, 0.7)
    photograph[..., 8 : top + 12, left:right] = -0.8
    high = segments(skin=(slice(top + 12, 96), slice(left, right)), hair=(slice(8, top + 12), slice(left, right)))
    made = change(photograph, photograph, points, "knitted hat", before=high)
    assert made[..., : top - 4, :].min() > 0.4, "the place"


def test_hair_that_falls_wide_below_a_hat_stays(photograph, points):
    points = 0.6 * points + torch.tensor([0.0, 0.1])
    photograph = torch.full_like(photograph, 0.7)
    eyes, chin = (int((points[0, k, 1] + 1) * SIDE / 2) for k in (168, 152))
    wide = (slice(eyes - 20, chin), slice(24, 104))
    photograph[..., wide[0], wide[1]] = -0.8
    hair = segments(skin=None, hair=wide, clothes=None)
    made = change(photograph, photograph, points, "knitted hat", before=hair)
    assert (made - photograph)[..., chin - 8 : chin - 2, 28:36].abs().max() < 0.05, "beside the chin"
    assert made[..., eyes - 19 : eyes - 16, 26:32].min() > 0.4, "pressed at the hat's edge"


def test_what_fills_a_gap_has_the_grain_of_the_place(photograph, points):
    points = 0.5 * points + torch.tensor([0.0, 0.4])
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    photograph = 0.3 + 0.1 * noise.expand(-1, 3, -1, -1)
    photograph[..., 4:60, 40:88] = -0.8
    high = segments(skin=(slice(60, 96), slice(40, 88)), hair=(slice(4, 60), slice(40, 88)))
    made = change(photograph, photograph, points, "knitted hat", before=high)
    grain = [float(fine(part).std()) for part in (made[..., 6:30, 44:84], photograph[..., 6:30, :36])]
    assert 0.5 < grain[0] / grain[1] < 1.5


def test_hair_that_goes_shows_the_place_behind_it_and_hair_that_comes_has_the_old_colour(photograph, points):
    photograph = photograph.clone()
    photograph[..., :, :24] = photograph[..., :, 104:] = 0.7
    photograph[..., 4:40, 24:104] = -0.5
    bald = segments(hair=None)
    made = change(photograph, torch.full_like(photograph, 0.1), points, "hair", after=bald)
    corner = made[0, :, 12, 26]  # hair beside the head
    assert torch.allclose(corner, torch.full_like(corner, 0.7), atol=0.05)
    skin = photograph[0, :, 44:92, 36:92].mean((1, 2))
    assert torch.allclose(made[0, :, 12, 64], skin, atol=0.1), "drawn skin, of the colour of the face"
    long = segments(hair=(slice(4, 92), slice(16, 36)))
    drawn = torch.full_like(photograph, -0.9)
    both = change(photograph, drawn, points, "hair", "background", after=long)
    grown = both[0, :, 60:88, 18:22]
    assert abs(float(grown.mean()) + 0.5) < 0.2, "as dark as the hair was"
    assert abs(float(both[0, :, 100:120, 2:6].mean()) - float(photograph[0, :, 100:120, 2:6].mean())) < 0.05


def test_what_nobody_asks_for_stays(photograph, points):
    assert torch.allclose(change(photograph, -photograph, points), photograph, atol=1e-6)


def test_another_haircut_leaves_glasses_on(photograph, points):
    eyes = points[0, [33, 263]].mean(0)
    row = int((eyes[1] + 1) * SIDE / 2)
    worn = segments(accessory=(slice(row - 2, row + 2), slice(32, 100)))
    made = change(photograph, torch.full_like(photograph, 0.9), points, "hair", before=worn, after=segments())
    there = (..., slice(row - 3, row + 3), slice(36, 96))
    assert torch.allclose(made[there], photograph[there], atol=1e-5)


def test_naming_what_is_there_changes_nothing_of_clothes_and_place(photograph, points):
    plain = photograph * 0.9
    made = change(photograph, plain + 0.05, points, "clothes", "background", plain=plain)
    assert torch.allclose(made, photograph, atol=1e-6)
    other = change(photograph, plain + 0.9, points, "clothes", "background", plain=plain)
    assert (other - photograph).abs().mean() > 0.2


def test_a_named_place_that_is_there_already_is_said_to_be(photograph, points, caplog):
    """The denoiser drew for it what it drew without it, before a place full of things."""
    things = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    full = torch.lerp(photograph, functional.interpolate(things, (SIDE, SIDE)), segments()[:, :1])
    made = change(full, full, points, "park background", plain=full)
    assert torch.allclose(made, full, atol=1e-6) and "shows such a place already" in caplog.text


def test_a_place_comes_before_an_even_wall_though_the_denoiser_drew_the_wall(photograph, points):
    wall = photograph.clone()
    wall[..., :40, :20] = 0.2
    where = (..., slice(0, 40), slice(0, 20))
    parts = segments(background=(slice(0, 40), slice(0, 20)))
    made = change(wall, wall, points, "office background", before=parts)
    assert (made - wall)[where].abs().mean() > 0.05
    same = change(wall, wall, points, "grey background", before=parts)
    assert (same - wall)[where].abs().mean() < (made - wall)[where].abs().mean()


def test_clothes_get_the_colour_of_their_word_and_skin_none(photograph, points):
    drawn = torch.full_like(photograph, -0.2)
    made = change(photograph, drawn, points, "clothes", "red clothes", "a garment")
    red, green, blue = made[0, :, 104:].mean((1, 2)).tolist()
    assert red > green + 0.1 and red > blue + 0.1
    assert torch.allclose(made[..., 44:88, 40:88], photograph[..., 44:88, 40:88], atol=1e-6)


def test_clothes_stay_where_a_prompt_names_no_colour(photograph, points, caplog):
    """What the denoiser draws for a garment's word has a colour of its own choice."""
    made = change(photograph, torch.full_like(photograph, -0.8), points, "clothes", "a garment", "clothes of no colour")
    assert torch.allclose(made, photograph, atol=1e-6)
    assert 'Name one, as in "a red dress"' in caplog.text


def test_what_is_hardly_read_as_clothes_keeps_its_colour(photograph, points):
    """Beside edges that are hard to tell face parsing reads some of them on the wall."""
    drawn, beside = torch.full_like(photograph, -0.2), (..., slice(60, 90), slice(4, 24))
    parts = segments()
    parts[:, SEGMENTS.index("clothes")][beside], parts[:, 0][beside] = 0.3, 0.7
    made = change(photograph, drawn, points, "clothes", "red clothes", "a garment", before=parts)
    assert torch.allclose(made[beside], photograph[beside], atol=1e-5)


def test_hairs_of_brows_beside_a_frame_are_none_of_it(photograph, points):
    """They are thin and dark, too, and face parsing finds a little of a frame in them."""
    pictured, worn, bar = worn_glasses(photograph, points)
    brows = torch.stack([inside(points[:, list(outline)], photograph) for outline in BROW_OUTLINES]).amax(0) > 0.5
    pictured = torch.where(brows, pictured * 0.2 - 0.7, pictured)
    worn[:, [SEGMENTS.index("accessory")]] = worn[:, [SEGMENTS.index("accessory")]].maximum(0.3 * brows)
    off = change(pictured, photograph, points, "no glasses", before=worn)
    assert (off - pictured)[..., bar[0], bar[1]].abs().mean() > 0.3
    away = brows.clone()
    away[..., bar[0].start - 4 : bar[0].stop + 4, :] = False
    assert (off - pictured).abs().amax(1, keepdim=True)[away].mean() < 0.1
