"""Window plans and the weights at their seams."""

from itertools import pairwise

import pytest
import torch

from portraittalk_core.diffusion.windows import LAST_WIDTH, Window, fusion_weights, later_share, plan_windows
from portraittalk_core.errors import BadInput


@pytest.mark.parametrize("frames", [1, 7, 16, 17, 28, 29, 100])
@pytest.mark.parametrize(("window", "overlap"), [(16, 4), (16, 0), (16, 12), (8, 7), (1, 0)])
def test_windows_cover_the_video(frames: int, window: int, overlap: int):
    windows = plan_windows(frames, window, overlap)
    assert (windows[0].start, windows[-1].stop) == (0, frames)
    assert {len(w) for w in windows} == {min(window, frames)}
    for before, after in pairwise(windows):
        assert after.start > before.start
        assert before.stop - after.start >= overlap


def test_the_last_window_is_shifted_back():
    assert plan_windows(30, 16, 4) == [Window(0, 16), Window(12, 28), Window(14, 30)]
    assert plan_windows(28, 16, 4) == [Window(0, 16), Window(12, 28)]
    assert plan_windows(16, 16, 4) == [Window(0, 16)]


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("frames", "window", "overlap"), [(30, 16, 4), (50, 16, 12), (9, 16, 4), (20, 5, 0)])
def test_weights_sum_to_one(frames: int, window: int, overlap: int, progress: float):
    windows = plan_windows(frames, window, overlap)
    total = torch.zeros(frames)
    for w, weight in zip(windows, fusion_weights(windows, progress), strict=True):
        assert (weight >= 0).all()
        total[w.frames] += weight
    torch.testing.assert_close(total, torch.ones(frames))


def test_frames_of_one_window_have_the_weight_one():
    assert torch.equal(fusion_weights([Window(0, 9)], 0.5)[0], torch.ones(9))
    first, second = fusion_weights([Window(0, 16), Window(12, 28)], 0.0)
    assert (first[:12] == 1).all() and (second[4:] == 1).all()


def test_early_seams_are_triangular_and_late_ones_narrow():
    early, late = (later_share(Window(0, 16), Window(4, 20), p) for p in (0.0, 1.0))
    torch.testing.assert_close(early, (torch.arange(12) + 0.5) / 12)
    assert int(((late > 0) & (late < 1)).sum()) == round(12 * LAST_WIDTH)
    assert (late[:4] == 0).all() and (late[-4:] == 1).all()
    torch.testing.assert_close(late, 1 - late.flip(0))


def test_bad_sizes_are_refused():
    with pytest.raises(
        BadInput, match=r"^`overlap` must be shorter than `window` \(16 frames\), but got 16\. Try 4\.$"
    ):
        plan_windows(40, 16, 16)
    with pytest.raises(BadInput, match=r"`overlap` must not be negative, but got -1\. Try 4\."):
        plan_windows(40, 16, -1)
    with pytest.raises(BadInput, match=r"`window` must be at least 1 frame, but got 0"):
        plan_windows(40, 0, 0)
    with pytest.raises(BadInput, match=r"`frame_count` must be at least 1 frame, but got 0"):
        plan_windows(0, 16, 4)
