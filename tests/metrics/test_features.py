"""FID, FVD and E-FID: the distance against closed forms and scipy, the networks' calls against scripted stand-ins."""

import numpy as np
import pytest
import torch
from torch import nn

from portraittalk_core.errors import BadInput, MissingExtra, WeightsMismatch
from portraittalk_core.metrics import features
from portraittalk_core.metrics.functional import e_fid, frechet_distance, frechet_note

from ..motion.faces import faces


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(5)


def by_scipy(first, second):
    """The distance as the field's scripts take it, with a matrix square root."""
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed: pip install scipy")
    a, b = (np.cov(part.double().numpy(), rowvar=False) for part in (first, second))
    gap = np.square(first.double().numpy().mean(0) - second.double().numpy().mean(0)).sum()
    return gap + np.trace(a + b) - 2 * np.trace(np.real(linalg.sqrtm(a @ b)))


def with_moments(rows, mean, scale):
    """Rows with exactly this mean and these deviations, and no covariance between columns."""
    centred = rows.double() - rows.double().mean(0)
    white = torch.linalg.qr(centred).Q * (len(rows) - 1) ** 0.5
    return white * scale + mean


def test_the_distance_of_known_gaussians_is_the_closed_form(noise):
    rows = torch.randn(300, 40, generator=noise)
    means = torch.randn(2, 40, generator=noise).double()
    scales = torch.rand(2, 40, generator=noise).double() * 10 ** torch.linspace(-3, 2, 40, dtype=torch.float64)
    first, second = (with_moments(rows, m, s) for m, s in zip(means, scales))
    wanted = float((means[0] - means[1]).square().sum() + (scales[0] - scales[1]).square().sum())
    assert frechet_distance(first, second) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("rows, width", [((500, 300), 30), ((80, 60), 30), ((31, 400), 30), ((2, 2), 3)])
def test_the_distance_is_that_of_scipy(noise, rows, width):
    mix = torch.randn(width, width, generator=noise)
    first = torch.randn(rows[0], width, generator=noise) @ mix
    second = torch.randn(rows[1], width, generator=noise) * 1.3 + 0.2
    found = frechet_distance(first, second)
    assert found == pytest.approx(by_scipy(first, second), rel=1e-6)
    assert found == pytest.approx(frechet_distance(second, first), rel=1e-9)


def test_fewer_rows_than_columns_is_no_special_case(noise):
    """Two rows span a line; the distance of two lines through one middle is known."""
    direction = torch.zeros(2, 2048, dtype=torch.float64)
    direction[0, 5], direction[1, 900] = 3.0, 4.0
    first, second = (torch.stack([d, -d]) for d in direction)
    # deviations along orthogonal lines: 2 * 9 and 2 * 16, nothing in common
    assert frechet_distance(first, second) == pytest.approx(18 + 32, rel=1e-12)
    assert frechet_distance(first, 2 * first) == pytest.approx(18, rel=1e-12)
    many = torch.randn(100, 2048, generator=noise)
    assert frechet_distance(many, many) == pytest.approx(0, abs=1e-8)
    assert frechet_distance(many + 1000, many) == pytest.approx(2048e6, rel=1e-6)


def test_small_sets_are_told(noise):
    few, many = torch.randn(50, 60, generator=noise), torch.randn(80, 60, generator=noise)
    assert "50 rows for 60 features" in frechet_note(few, many) and frechet_note(many, many) is None


def test_e_fid_takes_the_52_blendshapes(noise):
    calm = torch.rand(400, 52, generator=noise)
    lively = calm.clone()
    lively[:, 0] *= 2
    lively[7] = torch.nan
    kept = lively[torch.isfinite(lively).all(1)]
    assert e_fid(lively, calm) == pytest.approx(by_scipy(kept, calm), rel=1e-6)
    assert e_fid(calm, calm) == pytest.approx(0, abs=1e-9) and e_fid(lively, calm) > 0.1
    with pytest.raises(BadInput, match="must have the 52 columns"):
        e_fid(calm[:, :6], calm)


class Inception(nn.Module):
    """A stand-in for the scripted Inception: takes what it takes, gives what it was given."""

    def forward(self, img: torch.Tensor, return_features: bool = False, use_fp16: bool = False) -> torch.Tensor:
        assert return_features and img.dtype == torch.uint8 and img.ndim == 4
        return img.float().mean((2, 3)).repeat(1, 683)[:, :2048]


class I3D(nn.Module):
    """A stand-in for the scripted I3D."""

    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale and resize and return_features and x.dtype == torch.uint8 and x.size(1) == 3 and x.size(2) == 16
        return x.float().mean((3, 4))[:, 0].repeat(1, 25)


def saved(net, path):
    torch.jit.script(net).save(str(path))
    return path


def levels(frames, size=5):
    """Yield gray pictures of level 0, 1, 2, ... in pieces."""
    for part in torch.arange(frames).float().split(size):
        yield (part[:, None, None, None] / 127.5 - 1).expand(-1, 3, 8, 6)


def test_fid_sees_every_picture_as_bytes(tmp_path):
    network = features.load_features("FID", saved(Inception(), tmp_path / "i.pt"))
    rows = features.picture_features(levels(75), network)
    assert rows.shape == (75, 2048) and torch.equal(rows[:, 0], torch.arange(75.0))
    assert features.picture_features(levels(75), network, every=10)[:, 3].tolist() == [0, 10, 20, 30, 40, 50, 60, 70]
    with pytest.raises(BadInput, match="at least one picture"):
        features.picture_features(iter(()), network)
    with pytest.raises(BadInput, match="`every` must be at least 1"):
        features.picture_features(levels(3), network, every=0)


def test_fvd_sees_clips_of_sixteen_frames(tmp_path):
    network = features.load_features("FVD", saved(I3D(), tmp_path / "i.pt"))
    rows = features.clip_features(levels(50), network)
    assert rows.shape == (3, 400) and torch.equal(rows[:, :16].flatten(), torch.arange(48.0))
    with pytest.raises(BadInput, match="at least 16 frames"):
        features.clip_features(levels(15), network)


def test_a_missing_or_wrong_network_is_a_line_and_no_figure(tmp_path):
    for score in ("FID", "FVD"):
        with pytest.raises(
            MissingExtra, match=f"{score}: unscored, it needs .*pt`, but no path was given. Get it from"
        ):
            features.load_features(score, None)
    torch.save({"a": torch.zeros(2)}, tmp_path / "weights.pt")
    (tmp_path / "page.pt").write_text("<html>")
    for name in ("weights.pt", "page.pt"):
        with pytest.raises(WeightsMismatch, match="FID: unscored, .*must be a TorchScript file"):
            features.load_features("FID", tmp_path / name)
    swapped = features.load_features("FID", saved(I3D(), tmp_path / "i3d.pt"))
    with pytest.raises(WeightsMismatch, match="FID: unscored, .*is another network") as caught:
        features.picture_features(levels(3), swapped)
    assert "\n" not in str(caught.value)

    class Narrow(nn.Module):
        def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return img.float().mean((2, 3))

    narrow = features.load_features("FID", saved(Narrow(), tmp_path / "n.pt"))
    with pytest.raises(WeightsMismatch, match=r"must give 2048 features a row, but gives \[3, 3\]"):
        features.picture_features(levels(3), narrow)


@pytest.mark.weights
def test_e_fid_of_fitted_motion_tells_lively_from_frozen_faces():
    from portraittalk_core.checkpoints.native import load_structure, model_folder
    from portraittalk_core.motion.structure import fit_motion

    fitter, _ = load_structure(model_folder("tiny") / "structure.safetensors")
    rows = fit_motion(faces().landmarks, 25.0, fitter).coefficients.view(6, 4, -1)
    first, second = rows[:3].flatten(0, 1), rows[3:].flatten(0, 1)
    frozen = rows[:3, :1].expand(-1, 4, -1).flatten(0, 1)
    assert e_fid(first, second) < 0.5 * e_fid(frozen, second)
