"""LSE, CSIM, Fréchet distance and drift against formulas written out in another way."""

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.metrics.functional import drift, identity, sync
from portraittalk_core.metrics.networks import NEEDED, find_weights


@pytest.fixture
def tracks():
    return torch.randn(120, 16, generator=torch.Generator().manual_seed(0))


def test_lse_follows_the_protocol_row_by_row(tracks):
    other = torch.randn(120, 16, generator=torch.Generator().manual_seed(1))
    padded = np.pad(other.numpy().astype(np.float64), ((15, 15), (0, 0)))
    means = []
    for k in range(31):
        rows = [np.sqrt(((tracks[i].numpy() - padded[i + k] + 1e-6) ** 2).sum()) for i in range(120)]
        means.append(np.mean(rows))
    found = sync.sync_score(tracks, other)
    assert found.lse_d == pytest.approx(min(means), rel=1e-6)
    assert found.lse_c == pytest.approx(np.median(means) - min(means), rel=1e-6)
    assert found.offset_frames == int(np.argmin(means)) - 15
    assert np.allclose(found.curve.numpy(), means, rtol=1e-5)


@pytest.mark.parametrize("by", [-9, 0, 4])
def test_lse_offset_is_positive_when_the_sound_is_late(tracks, by):
    assert sync.sync_score(tracks, tracks.roll(by, 0)).offset_frames == by


def test_short_clips_and_nan_are_reported_not_scored(tracks):
    with pytest.raises(BadInput, match="unscored, a clip must have at least 100 frames"):
        sync.sync_score(tracks[:94], tracks[:94])
    assert sync.sync_score(tracks[:95], tracks[:95]).lse_d < 1e-4
    with pytest.raises(BadInput, match="one shape"):
        sync.sync_score(tracks, tracks[:50])
    with pytest.raises(BadInput, match="finite"):
        sync.sync_score(tracks.where(tracks < 3, torch.nan), tracks)


def test_missing_networks_are_named_with_their_source(tmp_path):
    for score, needed in NEEDED.items():
        with pytest.raises(MissingExtra, match=rf"{score}: unscored, it needs `{needed.file}`"):
            find_weights(score, None)
        with pytest.raises(MissingExtra, match="there is nothing at"):
            find_weights(score, tmp_path / "absent")
    assert find_weights("LSE", tmp_path) == tmp_path


def test_csim_is_the_mean_cosine_and_skips_frames_without_a_face(tracks):
    reference = torch.randn(2, 16, generator=torch.Generator().manual_seed(2))
    cosines = [float(a @ b / a.norm() / b.norm()) for a in tracks for b in reference]
    holes = torch.cat([tracks * 3, torch.full((5, 16), torch.nan)])
    assert identity.csim(holes, reference) == pytest.approx(np.mean(cosines), abs=1e-6)
    assert identity.csim(tracks[:1], tracks[:1]) == pytest.approx(1.0)
    with pytest.raises(BadInput, match="at least 1 finite rows"):
        identity.csim(holes[-5:], reference)


def test_frechet_distance_of_gaussians_with_known_moments(tracks):
    assert identity.frechet_distance(tracks, tracks) == pytest.approx(0, abs=1e-8)
    assert identity.frechet_distance(tracks + 2, tracks) == pytest.approx(4 * 16, rel=1e-6)
    # scaling all by s: tr(C) (s - 1)^2 beside the shift of the mean
    spread, mean = float(torch.cov(tracks.double().T).trace()), tracks.double().mean(0)
    wanted = spread + float(mean.square().sum())
    assert identity.frechet_distance(tracks * 2, tracks) == pytest.approx(wanted, rel=1e-6)
    linalg = pytest.importorskip("scipy.linalg", reason="scipy is not installed: pip install scipy")
    other = tracks @ torch.randn(16, 16, generator=torch.Generator().manual_seed(3)) + 0.5
    a, b = (np.cov(part.double().numpy().T) for part in (tracks, other))
    gap = (tracks.double().mean(0) - other.double().mean(0)).square().sum()
    wanted = float(gap) + np.trace(a + b - 2 * np.real(linalg.sqrtm(a @ b)))
    assert identity.frechet_distance(tracks, other) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(BadInput, match="at least 2 finite rows"):
        identity.frechet_distance(tracks[:1], tracks)


def test_drift_compares_seconds_with_the_first(tracks):
    sharp = torch.linspace(100, 50, 26 * 25)
    found = drift.sharpness_drift(sharp, 25.0, (10.0, 20.0, 30.0))
    begin, ten = float(sharp[:25].mean()), float(sharp[250:275].mean())
    assert found[10.0] == pytest.approx(100 * (ten / begin - 1), rel=1e-5)
    assert found[20.0] is not None and found[30.0] is None
    lab = torch.zeros(300, 3)
    lab[250:] = torch.tensor([3.0, 0.0, 4.0])
    assert drift.colour_drift(lab, 25.0, (10.0,)) == {10.0: pytest.approx(5.0)}


def test_identity_drift_skips_frames_without_a_face():
    faces = torch.eye(2).repeat_interleave(250, 0)
    faces[3] = torch.nan
    assert drift.identity_drift(faces, 25.0, (5.0, 10.0)) == {5.0: pytest.approx(1.0), 10.0: pytest.approx(0.0)}
    faces[:20] = torch.nan
    with pytest.raises(BadInput, match="first second"):
        drift.identity_drift(faces, 25.0)
