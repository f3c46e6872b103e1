"""AniPortrait's windows: the plan that FACTS states, the half-batch rule's arithmetic, and one window equals ours."""

import pytest
import torch

from portraittalk_core.diffusion.guidance import GuidanceScales
from portraittalk_core.diffusion.latent_fusion import sample_video
from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.diffusion.wrapped_windows import plan_wrapped, sample_wrapped
from portraittalk_core.errors import BadInput

SCHEDULE = NoiseSchedule(beta_schedule="linear", steps_offset=1)


def test_windows_begin_at_0_12_24_and_wrap():
    assert [w.tolist() for w in plan_wrapped(24)] == [[*range(16)], [*range(12, 24), *range(4)]]
    assert [w.tolist() for w in plan_wrapped(30)][2] == [*range(24, 30), *range(10)]
    assert [w.tolist() for w in plan_wrapped(16)] == [[*range(16)]] and len(plan_wrapped(5)[0]) == 5
    with pytest.raises(BadInput, match="`overlap` shorter than `window`"):
        plan_wrapped(20, 4, 4)


def test_overlaps_are_plain_means_of_the_windows(noise=None):
    seen = []

    def predict(latents, timestep, frames, passes):
        seen.append((int(timestep), frames.tolist()))
        return torch.full_like(latents, float(len(seen) % 2))  # the first window says 1, the second 0

    _, out = next(
        sample_wrapped(
            predict, 24, (4, 2, 2), SCHEDULE, generator=torch.Generator().manual_seed(0), steps=1, shared_noise=1.0
        )
    )
    assert [f[0] for _, f in seen] == [0, 12]
    means = torch.tensor([0.5] * 4 + [1.0] * 8 + [0.5] * 4 + [0.0] * 8)
    start = torch.Generator().manual_seed(0)
    one = [
        next(
            sample_wrapped(
                lambda x, *_, v=v: torch.full_like(x, v), 1, (4, 2, 2), SCHEDULE,
                generator=start.manual_seed(0), steps=1, shared_noise=1.0,
            )
        )[1][0]
        for v in (0.0, 0.5, 1.0)
    ]  # fmt: skip
    for frame, mean in zip(out, means):
        torch.testing.assert_close(frame, one[int(2 * mean)])


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "lcm", "tcd"])
def test_one_window_is_plain_sampling(sampler):
    def predict(latents, timestep, frames, passes):
        rows = [latents * (0.3 if p.identity else 0.1) for p in passes]
        return torch.cat(rows)

    options = {"steps": 3, "scales": GuidanceScales(text=3.5, identity=3.5), "shared_noise": 0.0, "sampler": sampler}
    runs = [
        next(f(predict, 9, (4, 2, 2), SCHEDULE, generator=torch.Generator().manual_seed(4), **options))[1]
        for f in (sample_wrapped, sample_video)
    ]
    torch.testing.assert_close(runs[0], runs[1])
