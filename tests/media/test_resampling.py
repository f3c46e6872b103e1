"""What OpenCV does in torch's place is what torch does."""

import pytest
import torch
from torch.nn import functional

from portraittalk_core.media import resampling
from portraittalk_core.media.resampling import averaged, bands, enlarged, falling_off, interleaved, largest, sampled


@pytest.fixture
def picture() -> torch.Tensor:
    coarse = torch.rand(1, 5, 20, 24, generator=torch.Generator().manual_seed(0))
    return functional.interpolate(coarse, (40, 48), mode="bilinear")


@pytest.fixture
def places() -> torch.Tensor:
    """Inside and outside of the picture, of two rows."""
    return torch.rand(2, 2, 30, 31, generator=torch.Generator().manual_seed(1)) * 2.4 - 1.2


def by_torch(work, *given: object, **how: object) -> torch.Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_for_opencv", lambda *values: False)
        return work(*given, **how)


@pytest.mark.parametrize("cubic", [True, False])
def test_samples_are_torchs(picture: torch.Tensor, places: torch.Tensor, cubic: bool) -> None:
    for pictures in (picture, torch.cat([picture, picture.flip(-1)])):
        found = sampled(pictures, places, cubic)
        torch.testing.assert_close(found, by_torch(sampled, pictures, places, cubic), atol=1e-5, rtol=0)


def test_a_large_picture_is_sampled_in_bands_that_join(
    monkeypatch, picture: torch.Tensor, places: torch.Tensor
) -> None:
    whole = sampled(picture, places)
    monkeypatch.setattr(resampling, "_BAND", 100)
    assert [band.stop - band.start for band in bands(*places.shape[-2:])] == [3] * 10
    assert torch.equal(sampled(picture, places), whole)
    beside = interleaved(picture[0, :4])
    assert beside.stride() == (1, 48 * 4, 4) and torch.equal(sampled(beside[None], places), whole[:, :4])


@pytest.mark.parametrize("cubic", [True, False])
def test_enlarged_maps_are_torchs(picture: torch.Tensor, cubic: bool) -> None:
    found = enlarged(picture[..., ::2], (90, 61), cubic)
    torch.testing.assert_close(found, by_torch(enlarged, picture[..., ::2], (90, 61), cubic), atol=1e-5, rtol=0)


@pytest.mark.parametrize("edge", [True, False])
def test_means_are_torchs_and_the_picture_stays(picture: torch.Tensor, edge: bool) -> None:
    before = picture.clone()
    found = averaged(picture, 3, times=2, edge=edge)
    torch.testing.assert_close(found, by_torch(averaged, picture, 3, times=2, edge=edge), atol=1e-5, rtol=0)
    assert torch.equal(picture, before)


@pytest.mark.parametrize("half", [1, 4, 30])
def test_largest_values_are_torchs_and_the_picture_stays(picture: torch.Tensor, half: int) -> None:
    before, values = picture.clone(), picture - 2.0
    found = largest(values, half)
    assert torch.equal(found, functional.max_pool2d(values, 2 * half + 1, 1, half) if half < 20 else found)
    assert torch.equal(found, by_torch(largest, values, half))
    assert torch.equal(values, before - 2.0)


def test_gradients_flow_where_somebody_learns(picture: torch.Tensor, places: torch.Tensor) -> None:
    pictures = picture.clone().requires_grad_()
    total = sampled(pictures, places).sum() + enlarged(pictures, (80, 96)).sum() + averaged(pictures, 1).sum()
    total.backward()
    assert pictures.grad is not None and bool(pictures.grad.any())


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_what_apples_gpus_lack_is_done_on_the_cpu(monkeypatch, picture: torch.Tensor, places: torch.Tensor, mode: str):
    rows, grid = picture.expand(2, -1, -1, -1), places.permute(0, 2, 3, 1)
    expected = functional.grid_sample(rows, grid, mode=mode, padding_mode="border", align_corners=False)
    assert torch.equal(resampling.bordered(rows, grid, mode), expected)
    assert resampling.off_apple(rows) is rows
    monkeypatch.setattr(resampling, "_APPLE", ("cpu",))  # as if this were one
    found = resampling.bordered(rows.half(), grid, mode)
    assert found.dtype == torch.float16 and resampling.off_apple(rows.half()).dtype == torch.float32
    torch.testing.assert_close(found.float(), expected, atol=2e-3, rtol=0)


def test_what_falls_off_is_a_gaussian_and_then_nothing() -> None:
    """Numbers that a processor multiplies slowly are in none, nor in products of two."""
    distance = torch.linspace(0, 200, 2001)
    made = falling_off(distance)
    assert (made - torch.exp(-distance)).abs().max() < 5e-9
    products = made[:, None] * made
    least = torch.finfo(torch.float32).tiny
    assert made[0] == 1 and made[-1] == 0 and not ((products > 0) & (products < least)).any()
