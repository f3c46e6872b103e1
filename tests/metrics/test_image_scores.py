"""Pictures against formulas written out in another way, and against values known by construction."""

import math
import sys

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.metrics.functional import image


@pytest.fixture
def pictures():
    return torch.rand(3, 3, 24, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_psnr_of_a_known_error_and_of_none(pictures):
    assert image.psnr(pictures, pictures) == math.inf
    step = torch.full_like(pictures, 2 / 255)  # one level of 255
    assert image.psnr(pictures + step, pictures) == pytest.approx(20 * math.log10(255), abs=1e-3)
    one_differs = pictures.clone()
    one_differs[0] += 0.2
    assert image.psnr(one_differs, pictures) == pytest.approx((20 + 100 + 100) / 3, abs=1e-3)


def test_ssim_is_one_for_the_same_and_falls_with_noise(pictures):
    pytest.importorskip("skimage", reason="scikit-image is not installed: pip install scikit-image")
    noisy = pictures + 0.3 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    assert image.ssim(pictures, pictures) == pytest.approx(1.0)
    assert -1 <= image.ssim(noisy, pictures) < 0.95


@pytest.mark.parametrize("name, score", [("skimage.metrics", image.ssim), ("lpips", image.lpips)])
def test_a_missing_package_is_named_and_no_figure_made_up(monkeypatch, pictures, name, score):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtra, match=r"unscored, it needs .*pip install"):
        score(pictures, pictures)


def test_lpips_uses_the_network_it_is_given(pictures):
    distance = image.lpips(pictures, -pictures, network=lambda a, b: (a - b).abs().mean((1, 2, 3)))
    assert distance == pytest.approx(2 * float(pictures.abs().mean()), rel=1e-5)


def test_unequal_pictures_are_refused(pictures):
    with pytest.raises(BadInput, match="must have one shape"):
        image.psnr(pictures, pictures[:2])
    with pytest.raises(BadInput, match=r"shape \[n, 3, h, w\]"):
        image.sharpness(pictures[0])


def test_sharpness_equals_opencv(pictures):
    cv2 = pytest.importorskip("cv2")
    for frame, found in zip(pictures, image.sharpness(pictures).tolist(), strict=True):
        luma = cv2.cvtColor(np.ascontiguousarray((frame.numpy().transpose(1, 2, 0) + 1) / 2), cv2.COLOR_RGB2GRAY) * 255
        assert found == pytest.approx(cv2.Laplacian(luma, cv2.CV_32F)[1:-1, 1:-1].astype(float).var(), rel=1e-4)


def test_mean_colour_equals_opencv():
    cv2 = pytest.importorskip("cv2")
    colours = torch.tensor([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0], [0.2, -0.4, 0.7], [-0.9, -0.97, -0.95]])
    found = image.mean_colour(colours[:, :, None, None].expand(-1, -1, 4, 4))
    wanted = cv2.cvtColor(((colours.numpy() + 1) / 2)[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    assert np.allclose(found.numpy(), wanted, atol=0.1)


def test_flicker_is_the_deviation_of_fresh_noise_and_nothing_for_steady_drift():
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(60, 3, 16, 16, generator=generator) * 2 / 127.5
    assert image.flicker(noise) == pytest.approx(2.0, rel=0.05)
    drift = torch.linspace(-0.5, 0.5, 20).view(-1, 1, 1, 1).expand(-1, 3, 8, 8)
    assert image.flicker(drift) < 1e-3
    left = torch.zeros(16, 16, dtype=torch.bool)
    left[:, :8] = True
    noise[..., :8] = 0
    assert image.flicker(noise, left) == 0
    with pytest.raises(BadInput, match="3 frames or more"):
        image.flicker(noise[:2])
    with pytest.raises(BadInput, match="at least one pixel"):
        image.flicker(noise, left & ~left)


def test_the_static_region_leaves_out_face_hair_and_shoulders():
    points = torch.full((2, 70, 2), torch.nan)
    points[0] = torch.rand(70, 2, generator=torch.Generator().manual_seed(3)) * 20 + 40
    static = image.static_region(points, 100, 100)
    assert static[5, 5] and static[50, 5]
    assert not static[50, 50] and not static[30, 50] and not static[90, 5]
    with pytest.raises(BadInput, match="no frame has a face"):
        image.static_region(points[1:], 100, 100)
