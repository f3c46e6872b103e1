"""The arithmetic of the figures on real people: boxes, errors, tracks, eyes, lips, and whose face it is."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.parts.real import boxes, driven, looking, material, readings, scores, sheet, spoken
from portraittalk_core.errors import NoFaceFound
from portraittalk_core.metrics.functional import mean_colour, ssim
from portraittalk_core.topology import EYES, IRISES, OUTER_LIPS, OVAL, STEADY
from portraittalk_core.types import COEFFICIENTS, CropPlace, FaceMotion, Identity

from ..rendered_people import portraits

PLACE = CropPlace(left=-20, top=10, side=100, height=130, width=90)


@pytest.fixture(scope="module")
def face():
    pixels, points = portraits()
    return pixels[0], boxes.to_pixels(points[0], 256)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_points_go_into_the_crop_and_to_its_pixels():
    points = torch.tensor([[-20.0, 10.0], [80.0, 110.0], [30.0, 60.0]])
    inside = boxes.in_crop(points, PLACE)
    assert torch.equal(inside, torch.tensor([[-1.0, -1], [1, 1], [0, 0]]))
    assert torch.equal(boxes.to_pixels(inside, 100), points - torch.tensor([-20.0, 10.0]))


def test_boxes_hold_what_they_are_named_after(face):
    _, points = face
    found = boxes.boxes(points, 256)
    for name, part in (("mouth", OUTER_LIPS), ("face", OVAL)):
        rows, columns = found[name]
        x, y = points[list(part)].T
        assert columns.start <= x.min() + 1 and x.max() - 1 <= columns.stop, name
        assert rows.start <= y.min() + 1 and y.max() - 1 <= rows.stop, name
    mouth, oval = found["mouth"], found["face"]
    assert (mouth[0].stop - mouth[0].start) < (oval[0].stop - oval[0].start) / 2


def test_outside_the_head_is_the_picture_that_stands_still():
    line = torch.linspace(0, 2 * math.pi, len(OVAL) + 1)[:-1]
    points = torch.full((2, 478, 2), 50.0)
    points[:, list(OVAL)] = torch.stack([50 + 10 * line.sin(), 50 - 10 * line.cos()], 1)
    points[1] += torch.tensor([20.0, 0])
    still = torch.ones(2, 20, 20)
    still[1, 0, 19] = 0
    found = boxes.outside_head(points, still, PLACE)
    assert not found[:, 50, 50].any() and not found[:, 50, 62].any(), "the oval and a margin"
    assert not found[1, 50, 70] and found[0, 50, 70] and not found[1, 50, 50], "the face here and in the photograph"
    assert found[0, 2, 98] and not found[1, 2, 98] and not found[1, 8, 90], "a cell that moves, and those beside it"
    assert not found[:, :, :20].any() and found[0, 2, 21], "the crop begins 20 columns before the picture"


def test_similarity_of_pixels_has_the_mean_that_the_metric_gives(face):
    picture, _ = face
    noisy = (picture + 0.1 * torch.randn(picture.shape, generator=generator())).clamp(-1, 1)
    inner = scores.ssim_map(noisy, picture)[:, 5:-5, 5:-5]
    assert float(inner.mean()) == pytest.approx(ssim(noisy[None], picture[None]), abs=1e-4)


def test_errors_are_those_of_the_box_and_leave_the_photograph_out(face):
    picture, points = face
    true = picture.expand(3, -1, -1, -1)
    made = true.clone()
    made[0] = 0  # the photograph's own frame does not count
    rows, columns = boxes.boxes(points, 256)["mouth"]
    made[1:, :, rows, columns] += 0.2
    found = scores.errors(made, true, points.expand(3, -1, -1))
    assert found["psnr mouth"] == pytest.approx(-20 * math.log10(0.1), abs=0.01)
    assert found["psnr mouth"] < found["psnr face"] < found["psnr whole"] < 100
    assert found["ssim mouth"] < found["ssim whole"] < 1


def test_r_of_several_clips_is_that_of_what_moves():
    a, noise = torch.randn(40, generator=generator(1)), torch.randn(40, generator=generator(2))
    b = a + noise
    r = scores.correlation(a, b)
    assert r == pytest.approx(float(torch.corrcoef(torch.stack([a, b]))[0, 1]), abs=1e-6)
    holes = torch.where(torch.arange(40) < 3, torch.nan, b)
    assert scores.correlation(a, holes) == pytest.approx(scores.correlation(a[3:], b[3:]))
    still = (5 + 0.001 * noise, 5 - 0.001 * noise)  # a clip in which only the reader's noise is seen
    assert scores.correlation(*still) == pytest.approx(-1, abs=1e-3)
    assert scores.pooled([(a, b), still]) == pytest.approx(r, abs=1e-3)
    assert scores.pooled([(a, a), (a + 7, a - 9)]) == pytest.approx(1), "each about its own mean"
    assert scores.correlation(a, torch.ones(40)) == 0


def test_sharpness_of_a_face_falls_with_blur_and_is_unknown_without_one(face):
    picture, points = face
    soft = torch.nn.functional.avg_pool2d(picture[None], 3, 1, 1)[0]
    pictures = torch.stack([picture, soft, picture])
    found = scores.face_sharpness(pictures, torch.stack([points, points, torch.full_like(points, torch.nan)]))
    assert found[1] < 0.7 * found[0] and math.isnan(found[2])


def painted(picture, points, left, right):
    """Paint the irises, each with a dark pupil and a lamp in it."""
    x, y = torch.meshgrid(torch.arange(256) + 0.5, torch.arange(256) + 0.5, indexing="xy")
    out = picture.clone()
    for ring, colour in zip(scores.IRIS_RINGS, (left, right)):
        middle, radius = points[ring[0]], (points[list(ring[1:])] - points[ring[0]]).norm(dim=1).mean()
        away = ((x - middle[0]).square() + (y - middle[1]).square()).sqrt() / radius
        out = torch.where(away < 1.1, torch.tensor(colour).view(3, 1, 1), out)
        out = torch.where(away < 0.3, torch.tensor(-1.0), out)
        out = torch.where(((x - middle[0] - 0.6 * radius).abs() < 0.8) & ((y - middle[1]).abs() < 0.8), 1.0, out)
    return out


def test_colours_of_irises_are_those_between_pupil_and_edge(face):
    picture, points = face
    brown, blue = (0.0, -0.4, -0.7), (-0.4, -0.1, 0.3)
    found = scores.iris_colours(painted(picture, points, brown, blue), points)
    for seen, colour in zip(found, (brown, blue)):
        assert float((seen - mean_colour(torch.tensor(colour).view(1, 3, 1, 1))[0]).norm()) < 4
    shut = points.clone()
    lids = list(EYES[0])
    shut[lids, 1] = points[lids, 1].mean()
    found = scores.iris_colours(picture, shut)
    assert torch.isnan(found[0]).all() and torch.isfinite(found[1]).all()
    assert torch.isnan(scores.iris_colours(picture, torch.full_like(points, torch.nan))).all()


def test_eyes_that_change_colour_are_seen_and_closing_ones_do_not_count(face):
    picture, points = face
    own = painted(picture, points, (0.0, -0.4, -0.7), (0.0, -0.4, -0.7))
    other = painted(picture, points, (-0.4, -0.1, 0.3), (0.0, -0.4, -0.7))
    photograph = looking.Photograph("a", own, CropPlace(0, 0, 256, 256, 256), points)
    closing = points.clone()
    lids = list(EYES[0])
    closing[lids, 1] = points[lids, 1].mean() + 0.6 * (points[lids, 1] - points[lids, 1].mean())
    found = looking.eyes(torch.stack([own, other, other]), torch.stack([points, points, closing]), photograph)
    assert found["iris"][:2] == [0, 0] and found["iris"][2] > 15 and found["iris"][3:] == [0, 0]
    assert found["iris pair"][0] == 0 and found["iris pair"][1] > 15 and len(found["iris pair"]) == 2


def test_gap_of_the_lips_is_in_per_cent_of_the_mouth():
    points = torch.zeros(1, 478, 2)
    points[:, OUTER_LIPS[10], 0] = 50
    for _, low in scores.LIP_PAIRS:
        points[:, low, 1] = 10
    assert float(scores.lip_gap(points)) == pytest.approx(20)
    assert float(scores.lip_gap(3 * points)) == pytest.approx(20)


def test_detail_is_what_blur_takes_away(face):
    picture, points = face
    mask = boxes.oval(points, 256)
    soft = torch.nn.functional.avg_pool2d(picture[None], 5, 1, 2)[0]
    assert scores.detail(picture, picture, mask, points) == pytest.approx(1)
    assert scores.detail(0.8 * picture + 0.1, picture, mask, points) == pytest.approx(1), "colour is no detail"
    assert scores.detail(soft, picture, mask, points) < 0.8
    assert abs(scores.detail(picture.roll(40, -1), picture, mask, points)) < 0.3


def test_what_should_stand_still_is_measured_only_there():
    photograph, mask = torch.zeros(3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.bool)
    mask[:, :4] = True
    frames = torch.zeros(2, 3, 8, 8)
    frames[:, :, 4:] = 1
    frames[1, :, :4] = 2 / 127.5
    assert scores.away_from_photograph(frames, photograph, mask) == pytest.approx(1, abs=1e-4)
    assert scores.restlessness(frames, mask.all(0)) == pytest.approx(1, abs=1e-4)
    assert scores.away_from_photograph(frames, photograph, mask & False) is None
    assert scores.restlessness(frames, mask[0] & False) is None


def read(frames=3, missing=()):
    points = torch.randn(frames, 478, 2, generator=generator()) + torch.arange(frames).view(-1, 1, 1)
    held = readings.Readings(points, torch.rand(frames, len(COEFFICIENTS), generator=generator()), points[:, :3, 0])
    for frame in missing:
        held.points[frame], held.scores[frame], held.turn[frame] = torch.nan, torch.nan, torch.nan
    return held


def test_frames_without_a_face_have_that_of_the_one_before():
    held = read(5, missing=(0, 3))
    assert held.found.tolist() == [False, True, True, False, True]
    filled = held.filled()
    assert torch.equal(filled.points, held.points[[1, 1, 2, 2, 4]]) and bool(filled.found.all())
    with pytest.raises(NoFaceFound, match="at least one frame, but finds none"):
        read(2, missing=(0, 1)).filled()


def test_tracks_are_of_both_sides():
    held = read()
    left, right = (held.scores[:, COEFFICIENTS.index(f"eyeBlink{side}")] for side in ("Left", "Right"))
    assert torch.equal(held.track("eyeBlink"), torch.stack([left, right], 1).mean(1))
    assert torch.equal(held.track("pitch"), held.turn[:, 1])
    assert torch.equal(held.track("jawOpen"), held.scores[:, COEFFICIENTS.index("jawOpen")])


def test_readings_are_kept(tmp_path):
    held, asked = read(missing=(1,)), []

    def make():
        asked.append(1)
        return held

    for _ in range(2):
        back = readings.cached(tmp_path / "a" / "b.npz", make)
    assert len(asked) == 1
    assert all(torch.equal(getattr(back, n).nan_to_num(9), getattr(held, n).nan_to_num(9)) for n in ("points", "turn"))


def test_frames_are_read_in_the_order_of_the_blendshapes():
    def one(pixels):
        if float(pixels.mean()) < 0:
            return None
        return SimpleNamespace(points=np.ones((478, 2)), scores={"jawOpen": 0.5, "_neutral": 1.0}, turn=np.arange(3))

    found = readings.read_frames(one, [torch.ones(3, 4, 4), -torch.ones(3, 4, 4)])
    assert found.found.tolist() == [True, False] and float(found.track("jawOpen")[0]) == 0.5
    assert float(found.scores[0].sum()) == 0.5 and found.turn[0].tolist() == [0, 1, 2]


def test_who_may_be_shown_and_who_is_the_same(tmp_path):
    files = [{"file": "portraits/a.png", "redistribution": "ok"}, {"file": "portraits/b.png", "redistribution": "no"}]
    (tmp_path / "MANIFEST.json").write_text(json.dumps({"files": files}))
    (tmp_path / "portraits").mkdir()
    assert material.may_be_shown(tmp_path / "portraits") == {"a.png"}
    assert material.may_be_shown(tmp_path / "portraits" / "x" / "y") == set()
    assert material.same_person("c03_grid_lwbsza", "p15_grid_lwbsza_frame0")
    assert not material.same_person("c03_grid_lwbsza", "c01_grid_bbaf2n") and not material.same_person("a", "b")


def test_the_right_photograph_is_asked_for_among_other_people():
    gallery = {
        "c1_anna": torch.tensor([1.0, 0]),
        "p1_anna_2": torch.tensor([0.9, 0.1]),
        "p2_ben": torch.tensor([0, 1.0]),
    }
    seen = [torch.tensor([0.8, 0.7]), torch.tensor([0.7, 0.8]), None]
    finds = iter([[] if e is None else [SimpleNamespace(embedding=e)] for e in seen])
    stack = SimpleNamespace(face_finder=lambda: SimpleNamespace(find=lambda pixels: next(finds)))
    found = looking.whose(stack, torch.zeros(3, 3, 4, 4, dtype=torch.uint8), "c1_anna", gallery)
    assert found == {"asked": 3, "right": 1, "likeness": pytest.approx(0.75)}


def identity(points):
    return Identity(torch.zeros(1, 512), torch.zeros(1, 3, 256, 256), points[None], (CropPlace(0, 0, 256, 256, 256),))


class Fitter:
    """Reads no expression, and where the head is off its steady points."""

    def __call__(self, points):
        steady = points[:, list(STEADY)]
        middle = steady.mean(1)
        pose = torch.zeros(len(points), 6)
        pose[:, 3:5], pose[:, 5] = middle, (steady - middle[:, None]).square().sum(2).mean(1).sqrt()
        return torch.full((len(points), len(COEFFICIENTS)), 0.1), pose


class Shaper:
    """Turns, moves and scales a face; turned heads stray from their place, as real ones do."""

    limits = (0.5, 0.35, 0.3)

    def parameters(self):
        yield torch.zeros(1)

    def __call__(self, reference, coefficients, rest, wanted, pose):
        face = (reference - rest[:, None, 3:5]) / rest[:, None, 5:]
        angle = pose[:, 2] - rest[:, 2]
        c, s = angle.cos()[:, None], angle.sin()[:, None]
        turned = torch.stack([face[..., 0] * c - face[..., 1] * s, face[..., 0] * s + face[..., 1] * c], -1)
        stray = torch.stack([0.3 * (pose[:, 0] - rest[:, 0]), torch.zeros(len(pose))], 1)
        return (turned * (1 - 0.2 * stray[:, None, :1]) + stray[:, None]) * pose[:, None, 5:] + pose[:, None, 3:5]


def test_the_motion_said_as_blendshapes_puts_the_head_where_it_is(face):
    _, points = face
    frames = 4
    held = read(frames)
    size = torch.tensor([1, 1.05, 1.1, 0.95]).view(-1, 1, 1)
    middle = points.mean(0)
    track = (points - middle) * size + middle + torch.tensor([[0.0, 0], [9, 0], [0, -7], [4, 5]])[:, None]
    turn = torch.tensor([[2.0, 1, 5], [4, 1, 5], [2, 3, 5], [2, 1, -5]])
    seen = readings.Readings(track, 0.3 * held.scores, turn)
    stack = SimpleNamespace(fitter=Fitter(), shaper=Shaper())
    person = identity(points / 128 - 1)
    motion, maps = driven.by_blendshapes(stack, person, seen, 25.0)
    assert torch.allclose(motion.coefficients, (0.1 + seen.scores - seen.scores[0]).clamp(0, 1))
    assert torch.allclose(motion.pose[:, :2], torch.deg2rad(turn - turn[0])[:, :2])
    assert float(motion.pose[3, 2]) == pytest.approx(math.radians(10)), "MediaPipe's roll turns the other way"
    there, wanted = (boxes.to_pixels(maps.landmarks, 256)[:, list(STEADY)], track[:, list(STEADY)])
    assert (there.mean(1) - wanted.mean(1)).abs().max() < 0.1
    spread = [(p - p.mean(1, keepdim=True)).square().sum(2).mean(1).sqrt() for p in (there, wanted)]
    assert (spread[0] / spread[1] - 1).abs().max() < 0.01
    assert torch.allclose(maps.landmarks[0], person.landmarks[0], atol=1e-4)


def test_the_motion_said_by_points_moves_each_as_it_was_seen_to_move(face):
    _, points = face
    own = points / 128 - 1
    track = points + 3 + 5 * torch.randn(3, 478, 2, generator=generator())
    maps = driven.by_points(identity(own), readings.Readings(track, torch.zeros(3, 52), torch.zeros(3, 3)), 25.0)
    assert torch.allclose(maps.landmarks - own, (track - track[:1]) / 128, atol=1e-5)


def test_the_widest_mouths_are_apart():
    jaw = torch.tensor([0.0, 5, 9, 8, 0, 0, 7, 0, 0, 6])
    assert sheet.widest(jaw, 3, apart=3) == [2, 6, 9]
    assert sheet.widest(jaw, 1) == [2]


def test_a_sheet_is_as_good_as_its_size_allows(tmp_path):
    noise = torch.rand(9, 3, 64, 64, generator=generator()) * 2 - 1
    sizes = []
    for most in (10**6, 30_000):
        sheet.write_jpeg(tmp_path / "a.jpg", noise, most)
        sizes.append((tmp_path / "a.jpg").stat().st_size)
    assert sizes[1] <= 30_000 < sizes[0]


@pytest.mark.slow
def test_lips_are_scored_against_voice_and_silence(face):
    _, points = face
    seconds, rate = 4, 16000
    at = torch.arange(seconds * rate) / rate
    speaks = (at > 1.5).float()
    audio = speaks * 0.3 * torch.sin(2 * math.pi * 2000 * at) * (1 + (2 * math.pi * 3 * at).sin()) / 2
    frames = torch.arange(25 * seconds) / 25
    opening = (frames > 1.5) * (1 + (2 * math.pi * 3 * frames).sin()) / 2
    track = points.expand(len(frames), -1, -1).clone()
    below = [14, 17, 87, 317, 84, 181, 314, 405, 178, 402]
    closed = points[14, 1] - points[13, 1]
    track[:, below, 1] += (opening * 12 - closed)[:, None]
    seen = readings.Readings(track, torch.zeros(len(frames), 52), torch.zeros(len(frames), 3))
    row = spoken.scored(seen, audio, rate, opening)
    assert row["r jaw"] > 0.99 and row["r voice"] > 0.8 and row["silent frames"] > 20
    assert row["gap in silence"] < 8 < row["widest"] and 0 < row["adfd"] <= 1
    quiet = spoken.scored(seen, torch.zeros_like(audio), rate, opening)
    assert quiet["adfd"] is None and quiet["r voice"] is None and quiet["gap in silence"] > 5
    nobody = readings.Readings(*(torch.full_like(v, torch.nan) for v in (track, seen.scores, seen.turn)))
    assert spoken.scored(nobody, audio, rate, opening)["adfd"] == 0


def test_irises_are_the_topology_s():
    assert tuple(ring[0] for ring in scores.IRIS_RINGS) == IRISES


def test_a_minute_ends_as_it_begins():
    motion = FaceMotion(torch.rand(10, 52, generator=generator()), torch.rand(10, 6, generator=generator(1)), 25.0)
    made = spoken.ends_as_it_begins(motion, 3)
    assert torch.equal(made.pose[-3:], motion.pose[:3]) and torch.equal(made.coefficients[-3:], motion.coefficients[:3])
    assert torch.equal(made.pose[:-3], motion.pose[:-3]) and made.frame_count == 10
