"""A large photograph that is moved at a smaller size keeps its finest detail."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from portraittalk_core.compositing import head_warp
from portraittalk_core.compositing.fine_detail import FineDetail
from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.compositing.layers import Moved
from portraittalk_core.media.image import resize
from portraittalk_core.media.resampling import enlarged, sampled
from portraittalk_core.nets.dense_motion import DenseMotionNet, identity_grid
from portraittalk_core.topology import POINTS, SEGMENTS
from portraittalk_core.types import Frames, Identity, StructureMaps

LARGE, SMALL = 384, 128


@pytest.fixture
def photograph() -> torch.Tensor:
    """Grain of every size."""
    noise = torch.rand(1, 3, LARGE, LARGE, generator=torch.Generator().manual_seed(0)) - 0.5
    return (noise + functional.avg_pool2d(noise, 9, 1, 4) * 6)[0].clamp(-1, 1)


def moved(photograph: torch.Tensor, right: float = 0.0, matte: float = 1.0, own: float = 1.0) -> Moved:
    copy = resize(photograph, SMALL, SMALL)
    flow = identity_grid(copy[None]).clone()
    flow[:, 0] -= right
    share = torch.ones(1, 1, SMALL, SMALL)
    return Moved(sampled(copy[None], flow), flow, matte * share, own * share)


def detail(photograph: torch.Tensor, matte: float = 1.0, largest: int = 1000) -> FineDetail:
    return FineDetail.of(photograph, resize(photograph, SMALL, SMALL), torch.full((1, SMALL, SMALL), matte), largest)


@pytest.mark.parametrize("matte", [1.0, 0.0, 0.3])
def test_what_has_not_moved_is_the_photograph(photograph: torch.Tensor, matte: float) -> None:
    rest = moved(photograph, matte=matte)
    made = detail(photograph, matte).added(rest.pixels, rest)
    assert torch.allclose(made[0], photograph, atol=1e-4)


def test_detail_goes_where_the_person_goes(photograph: torch.Tensor) -> None:
    pixels = 12  # of the large photograph: four of the copy
    away = moved(photograph, right=2 * pixels / LARGE)
    made = detail(photograph).added(away.pixels, away)[0]
    inside = (slice(None), slice(40, -40), slice(40, -40))
    true = photograph.roll(pixels, 2)
    soft = enlarged(away.pixels, (LARGE, LARGE), cubic=True)[0]
    assert (made - true)[inside].abs().mean() < 0.1 * (soft - true)[inside].abs().mean()


def test_the_detail_of_the_place_stays(photograph: torch.Tensor) -> None:
    away = moved(photograph, right=0.1, matte=0.0)
    behind = replace(away, pixels=resize(photograph, SMALL, SMALL)[None])
    made = detail(photograph, matte=0.0).added(behind.pixels, behind)
    assert torch.allclose(made[0], photograph, atol=1e-4)


def test_what_was_drawn_or_changed_gets_none(photograph: torch.Tensor) -> None:
    drawn = moved(photograph, own=0.0)
    soft = enlarged(drawn.pixels, (LARGE, LARGE), cubic=True).clamp(-1, 1)
    assert torch.allclose(detail(photograph).added(drawn.pixels, drawn), soft, atol=1e-6)
    own = moved(photograph)
    dyed = own.pixels + 0.2
    soft = enlarged(dyed, (LARGE, LARGE), cubic=True).clamp(-1, 1)
    assert torch.allclose(detail(photograph).added(dyed, own), soft, atol=1e-6)


class Somebody:
    """Finds hair everywhere."""

    def segments(self, pictures: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(len(pictures), len(SEGMENTS), *pictures.shape[2:])
        found[:, SEGMENTS.index("hair")] = 1
        return found


def test_frames_that_go_back_into_a_large_photograph_are_as_large_as_it(
    photograph: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_warp, "LARGEST", SMALL)
    points = torch.rand(1, POINTS, 2, generator=torch.Generator().manual_seed(1)) * 0.8 - 0.4
    identity = Identity(torch.zeros(1, 512), resize(photograph, 256, 256)[None], points, portrait=photograph)
    maps = StructureMaps(points.repeat(2, 1, 1), torch.zeros(2, 2, 3), 25.0)
    warp = HeadWarp(DenseMotionNet(widths=(8, 16)).eval(), Somebody())
    video = [Frames(torch.zeros(2, 3, 64, 64), 25.0)]

    def side(**options: object) -> set[int]:
        return {frames.pixels.shape[-1] for frames in warp.composite(video, identity, maps, **options)}

    assert side() == {SMALL}
    assert side(fine=True) == {LARGE}
    assert side(fine=True, size=96) == {96}, "what is asked for is obeyed"
    monkeypatch.setattr(head_warp, "FINEST", 300)
    assert side(fine=True) == {300}
