"""Faces measured, drawn and warped: plain geometry."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from portraittalk_core import topology
from portraittalk_core.errors import BadInput
from portraittalk_core.motion.geometry import (
    CONTOUR_GROUPS,
    WARPED,
    contours,
    eye_opening,
    face_warp,
    head_cue,
    head_size,
    mouth_opening,
    placement,
    warp_picture,
)

from .faces import ASLEEP, AT_REST, SPEAKING, TOOTHY, faces

UPPER_LIDS, LOWER_LIDS = ([pair[k] for eye in topology.MEETING_LIDS for pair in eye] for k in (0, 1))
LOWER_LIP = [pair[1] for pair in topology.MEETING_LIPS]


def a_face(n: int = 1) -> torch.Tensor:
    """Return n people at rest."""
    return faces().view(AT_REST)[:n].clone()


def similarity(angle: float, scale: float, x: float, y: float) -> torch.Tensor:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[cos, -sin, x], [sin, cos, y]])


def apply(affine: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return points @ affine[..., :2].mT + affine[..., 2].unsqueeze(-2)


def test_contours_of_a_batch_equal_those_of_each():
    some = faces().landmarks[:9]
    whole = contours(some)
    assert whole.shape == (9, len(CONTOUR_GROUPS), 64, 64)
    assert torch.equal(whole, torch.cat([contours(face[None]) for face in some]))
    assert float(whole.min()) >= 0 and 0.9 < float(whole.max()) <= 1
    assert bool((whole.amax((2, 3)) > 0.3).all()), "every group of every face is drawn"


def test_contours_match_distances_to_sampled_lines():
    face, size, sigma = a_face(), 32, 0.1
    line = face[0, list(topology.JAW)]
    steps = torch.linspace(0, 1, 200)[:, None, None]
    dense = (line[:-1] + steps * (line[1:] - line[:-1])).reshape(-1, 2)
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    expected = torch.exp(-(torch.cdist(pixels, dense).amin(1) ** 2) / sigma**2).view(size, size)
    torch.testing.assert_close(contours(face, size, sigma)[0, 0], expected, atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("points", "channel"),
    [(topology.INNER_LIPS, 5), (topology.OUTER_LIPS, 4), (topology.EYES[0], 3), (topology.IRISES, 6)],
)
def test_contours_show_what_moves_by_a_fifth_of_a_pixel_and_nothing_else(points, channel):
    face = a_face()
    moved = face.clone()
    moved[:, list(points), 1] += 0.2 * 2 / 64
    change = (contours(moved) - contours(face)).abs().amax((0, 2, 3))
    assert float(change[channel]) > 0.1
    assert float(change.sum() - change[channel]) == 0


def test_contours_of_no_faces_and_of_one_point_are_finite():
    assert contours(torch.zeros(0, 478, 2)).shape == (0, 7, 64, 64)
    assert bool(torch.isfinite(contours(torch.zeros(1, 478, 2))).all())


def test_the_jaw_runs_from_temple_to_temple_along_the_chin():
    face = a_face()[0]
    line = face[list(topology.JAW)]
    brows = face[[point for brow in topology.BROWS for point in brow], 1].mean()
    assert abs(float(line[0, 1] - brows)) < 0.1 and abs(float(line[-1, 1] - brows)) < 0.1
    assert line[0, 0] > 0.2 and line[-1, 0] < -0.2
    assert abs(int(line[:, 1].argmax()) - len(line) // 2) <= 1 and topology.JAW[len(line) // 2] == 152


def test_placement_of_equal_faces_is_the_identity():
    some = a_face(3)
    torch.testing.assert_close(placement(some, some), torch.eye(2, 3).expand(3, 2, 3), atol=1e-5, rtol=0)


def test_placement_recovers_a_similarity_whatever_the_mouth_does():
    reference = a_face(4)
    to_reference = similarity(0.3, 1.2, 0.1, -0.07)
    linear = torch.linalg.inv(to_reference[:, :2])
    target = (reference - to_reference[:, 2]) @ linear.mT
    target[:, list(topology.OUTER_LIPS)] += 0.1
    torch.testing.assert_close(placement(reference, target), to_reference.expand(4, 2, 3), atol=1e-5, rtol=0)


def test_placement_puts_the_head_where_the_motion_wants_it():
    reference = a_face()
    target = apply(similarity(-0.2, 0.85, 0.12, 0.05), reference)
    picture = contours(reference)[:, :4]
    grid = F.affine_grid(placement(reference, target), [1, 4, 64, 64], align_corners=False)
    warped = F.grid_sample(picture, grid, align_corners=False)
    wanted = contours(target)[:, :4]
    assert torch.corrcoef(torch.stack([warped.flatten(), wanted.flatten()]))[0, 1] > 0.95
    assert torch.corrcoef(torch.stack([picture.flatten(), wanted.flatten()]))[0, 1] < 0.5


def test_placement_of_a_squeezed_head_is_squeezed_but_less():
    reference = a_face()
    affine = placement(reference, reference * torch.tensor([0.5, 1.0]))[0]
    assert 1.2 < float(affine[0, 0]) < 2
    assert float(torch.linalg.det(affine[:, :2])) > 0


def test_a_face_that_stays_is_not_warped():
    some = a_face(2)
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(warp_picture(picture, some, some), picture, atol=1e-3, rtol=0)


def at(grid: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return what a grid says at points."""
    return F.grid_sample(grid.permute(0, 3, 1, 2), points[:, None], align_corners=False)[:, :, 0].mT


@pytest.mark.parametrize("view", [TOOTHY, SPEAKING, ASLEEP])
def test_the_warp_brings_each_landmark_from_its_own_place(view):
    all_ = faces()
    reference, target = all_.view(AT_REST), all_.view(view)
    found = at(face_warp(reference, target, 128), target)
    rigid = torch.stack([apply(a, p) for a, p in zip(placement(reference, target), target)])
    points = list(WARPED)
    left, without = ((p - reference).norm(dim=2)[:, points].mean() for p in (found, rigid))
    assert left < 0.006 and left < 0.4 * without, (left, without)
    everywhere = (found - reference).norm(dim=2).mean()  # also where no point was asked
    assert everywhere < 0.012, everywhere


def test_the_room_beside_the_head_stands_still():
    reference = a_face()
    target = apply(similarity(0.1, 0.95, 0.05, 0.02), reference)
    grid = face_warp(reference, target, 128)
    still = F.affine_grid(torch.eye(2, 3)[None], [1, 1, 128, 128], align_corners=False)
    middle, size = head_size(target)
    far = (still - middle).norm(dim=3) > 3.2 * size
    assert float(far.float().mean()) > 0.05
    torch.testing.assert_close(grid[far], still[far], atol=6e-3, rtol=0)
    (near,) = apply(placement(reference, target)[0], torch.tensor([[0.0, -0.3]]))
    torch.testing.assert_close(at(grid, torch.tensor([[[0.0, -0.3]]]))[0, 0], near, atol=1e-2, rtol=0)


def test_one_reference_is_warped_to_all_targets():
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    some = a_face(3)
    assert warp_picture(picture, some[:1], some).shape == (3, 3, 32, 32)
    with pytest.raises(BadInput, match="1 row or as many"):
        warp_picture(picture, some[:2], some)


def test_openings_measure_the_gap_and_not_the_roll():
    face = faces().view(SPEAKING)[:1]
    shut = face.clone()
    shut[:, LOWER_LIP] = shut[:, [pair[0] for pair in topology.MEETING_LIPS]]
    shut[:, LOWER_LIDS] = shut[:, UPPER_LIDS]
    rolled = apply(similarity(0.6, 0.8, 0.1, 0.0), face)
    for opening in (mouth_opening, eye_opening):
        assert float(opening(shut).abs().max()) < 1e-6
        assert float(opening(face).min()) > 0.1
        torch.testing.assert_close(opening(rolled), opening(face), atol=1e-5, rtol=0)


def test_openings_tell_the_views_of_everybody_apart():
    all_ = faces()
    assert float(mouth_opening(all_.view(AT_REST)).max()) < 0.01 < 0.1 < float(mouth_opening(all_.view(SPEAKING)).min())
    assert float(eye_opening(all_.view(ASLEEP)).max()) < 0.05 < 0.2 < float(eye_opening(all_.view(AT_REST)).min())


def test_head_cue_follows_a_similarity_and_a_turn():
    face = a_face()
    before, after = head_cue(face)[0], head_cue(apply(similarity(0.3, 0.9, 0.1, -0.2), face))[0]
    torch.testing.assert_close(after[:2], before[:2], atol=1e-5, rtol=0)
    assert float(after[2] - before[2]) == pytest.approx(0.3, abs=1e-5)
    assert float(after[5] / before[5]) == pytest.approx(0.9, abs=1e-5)
    all_ = faces()
    sideways = (head_cue(all_.view(SPEAKING)) - head_cue(all_.view(AT_REST)))[:, 0]
    assert float(sideways.max()) < -0.05, "a head that turns to the left of the picture takes its nose along"


@pytest.mark.parametrize("broken", [torch.zeros(478, 2), torch.zeros(1, 70, 2), torch.full((1, 478, 2), math.nan)])
def test_bad_landmarks_are_refused(broken: torch.Tensor):
    for call in (contours, head_cue, lambda x: placement(x, x)):
        with pytest.raises(BadInput, match="must"):
            call(broken)


def test_other_bad_arguments_are_refused():
    face = a_face(2)
    with pytest.raises(BadInput, match="`size`"):
        contours(face, 0)
    with pytest.raises(BadInput, match="size 0"):
        placement(face, torch.zeros(2, 478, 2))
    with pytest.raises(BadInput, match="`reference` must have 1 row"):
        placement(face, a_face(3))
