"""Forehead and hair go with the skull; brows and what hair hides do not carry it away."""

import torch

from portraittalk_core.checkpoints.native import load_structure, model_files
from portraittalk_core.compositing.skull import skull_flow, with_skull
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid, lengths
from portraittalk_core.topology import BROWS, LOWER_BROWS, OVAL

SIZE = 64
CELL = 2 / SIZE


def head() -> tuple[torch.Tensor, torch.Tensor]:
    """Points of the mean head, in [-1, 1], and their depths."""
    _, shaper = load_structure(model_files("tiny")["structure"])
    mean = shaper.head.mean.detach()
    return mean[None, :, :2], mean[:, 2]


def moved(points: torch.Tensor, depths: torch.Tensor) -> torch.Tensor:
    """A head that comes nearer, tilts, nods and turns a little."""
    near = torch.tensor([[1.03, -0.02], [0.02, 1.03]])
    return points @ near + depths[:, None] * torch.tensor([0.05, 0.04]) + torch.tensor([0.03, -0.02])


def seen_at(flow: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.grid_sample(flow, points[:, None], align_corners=False)[0, :, 0].mT


def standing() -> DenseMotion:
    shares = torch.zeros(1, 3, SIZE, SIZE)
    shares[:, 1] = 1
    return DenseMotion(identity_grid(torch.zeros(1, 1, SIZE, SIZE)), shares)


def test_a_head_at_rest_stays() -> None:
    points, depths = head()
    assert torch.allclose(skull_flow(points, points, depths, SIZE), standing().flow, atol=1e-5)
    assert torch.allclose(with_skull(standing(), points, points, depths).flow, standing().flow, atol=1e-5)


def test_a_rigid_head_is_known_by_its_points() -> None:
    points, depths = head()
    after = moved(points, depths)
    nose = [4, 5, 195, 197]
    found = seen_at(skull_flow(points, after, depths, SIZE), after[:, nose])
    assert float((found - points[0, nose]).norm(dim=1).max()) < 0.25 * CELL


def test_points_that_hair_hides_do_not_count() -> None:
    points, depths = head()
    after = moved(points, depths)
    wrong = after.clone()
    wrong[:, list(OVAL)] += 0.06
    crown = after[:, [10]] - torch.tensor([0.0, 0.1])
    right, found = (seen_at(skull_flow(points, p, depths, SIZE), crown) for p in (after, wrong))
    assert float((right - found).norm(dim=1).max()) < 0.3 * CELL


def test_brows_that_are_raised_do_not_lift_the_hair() -> None:
    points, depths = head()
    raised = points.clone()
    raised[:, [point for line in (*BROWS, *LOWER_BROWS) for point in line], 1] -= 0.06
    crown = points[:, [10]] - torch.tensor([0.0, 0.1])
    lifted = seen_at(skull_flow(points, raised, depths, SIZE), crown) - crown[0]
    assert float(lifted.norm()) < 0.015


def test_only_what_is_around_the_face_changes() -> None:
    points, depths = head()
    after = points - torch.tensor([0.015, 0.0])
    change = lengths(with_skull(standing(), points, after, depths).flow - standing().flow)
    top, lips, chin = (
        after[:, [10]] - torch.tensor([0.0, 0.03]),
        after[:, [13]],
        after[:, [152]] + torch.tensor([0, 0.05]),
    )
    above, mouth, below = (float(seen_at(change, place)) for place in (top, lips, chin))
    assert above > 0.008
    assert mouth < 0.002
    assert below < 1e-4


def test_where_the_field_is_far_from_the_skulls_it_stays() -> None:
    points, depths = head()
    after = points - torch.tensor([0.15, 0.0])
    assert torch.allclose(with_skull(standing(), points, after, depths).flow, standing().flow, atol=1e-4)
