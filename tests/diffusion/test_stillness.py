"""Holding regions still: shimmer goes, movement stays."""

import pytest
import torch

from portraittalk_core.diffusion.stillness import StillRegions, final_lengths, hold_chunks, hold_still
from portraittalk_core.diffusion.windows import plan_windows
from portraittalk_core.errors import BadInput

FLICKER = 0.05


def video(frames, *, shimmer=0.03, seed=0):
    """Return a clean and a shimmering video: the left half stands still, the right half swings by 0.5."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randn(1, 8, 4, 8, generator=generator).repeat(frames, 1, 1, 1)
    clean[..., 4:] += 0.5 * torch.sin(torch.arange(frames) / 3)[:, None, None, None]
    return clean, clean + shimmer * torch.randn(clean.shape, generator=generator)


def test_shimmer_goes_and_movement_stays():
    clean, seen = video(48)
    held = hold_still(seen, plan_windows(48, 16, 4), FLICKER)
    assert held[..., :4].std(0).max() < 1e-6 < seen[..., :4].std(0).min()
    assert (held[..., 4:] - seen[..., 4:]).abs().max() < 0.04
    assert (held - clean).square().mean() < (seen - clean).square().mean()


def test_nothing_is_held_at_zero():
    _, seen = video(20)
    assert torch.equal(hold_still(seen, plan_windows(20, 16, 4), 0.0), seen)
    assert StillRegions(0.0).hold(seen) is seen


def test_one_frame_stays_as_it_is():
    _, seen = video(1)
    assert torch.equal(hold_still(seen, plan_windows(1, 16, 4), FLICKER), seen)


@pytest.mark.parametrize("frames", [7, 16, 17, 40, 61])
def test_a_streamed_video_is_held_like_a_whole_one(frames):
    _, seen = video(frames)
    windows = plan_windows(frames, 16, 4)
    assert sum(final_lengths(windows)) == frames
    starts = [window.start for window in windows]
    parts = seen.split(final_lengths(windows))
    streamed = list(hold_chunks(zip(starts, parts, strict=True), FLICKER))
    assert [start for start, _ in streamed] == starts
    assert torch.equal(torch.cat([part for _, part in streamed]), hold_still(seen, windows, FLICKER))


def test_what_changes_for_good_is_let_go():
    """A prompt edit may repaint the background in the middle of a video."""
    _, seen = video(64)
    seen[30:] += 1.0
    held = hold_still(seen, plan_windows(64, 16, 4), FLICKER)
    assert (held[40:, ..., :4].mean(0) - seen[40:, ..., :4].mean(0)).abs().max() < 0.05


def test_negative_flicker_is_refused():
    with pytest.raises(BadInput, match="must not be negative, but got -1"):
        StillRegions(-1.0)
