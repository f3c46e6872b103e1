"""AniPortrait's windows: fixed, wrapping around the video's end, and averaged with equal weights.

What the released program does (github.com/Zejun-Yang/AniPortrait, context schedule `uniform`, stride 1, asked at step
0 every time): kept so that results can be compared with its own. For long videos our own fusion (`latent_fusion`) is
better founded: it does not blend the last frames with the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput
from .guidance import GuidanceScales, combine, plan
from .latent_fusion import OnPreview, OnStep, Predict
from .noise import FrameNoise
from .sampler import make_sampler
from .schedule import NoiseSchedule


def plan_wrapped(frame_count: int, window: int = 16, overlap: int = 4) -> list[Int[Tensor, "window"]]:
    """Return the frames of each window: they begin every `window - overlap` frames and wrap at the end.

    A video no longer than a window is one window. 24 frames give 0...15 and 12...23, 0...3.

    Args:
        frame_count: Frames of the video, at least 1.
        window: Frames of a window.
        overlap: Frames that neighbours share, fewer than `window`.

    Raises:
        BadInput: For sizes that cannot work.
    """
    if frame_count < 1 or not 0 <= overlap < window:
        raise BadInput(
            f"`frame_count` must be at least 1 and `overlap` shorter than `window`, but got {frame_count}, {overlap} "
            f"and {window}. Try 16 and 4."
        )
    if frame_count <= window:
        return [torch.arange(frame_count)]
    return [torch.arange(start, start + window) % frame_count for start in range(0, frame_count, window - overlap)]


@torch.no_grad()
def sample_wrapped(
    predict: Predict,
    frame_count: int,
    latent_shape: Sequence[int],
    schedule: NoiseSchedule,
    *,
    generator: torch.Generator,
    steps: int = 25,
    window: int = 16,
    overlap: int = 4,
    scales: GuidanceScales | None = None,
    sampler: str = "ddim",
    shared_noise: float = 0.0,
    on_step: OnStep | None = None,
    on_preview: OnPreview | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Float[Tensor, "n c h w"]]]:
    """Denoise a video's latents as AniPortrait does, on the mean over windows.

    Args:
        predict: Runs the denoiser on one window.
        frame_count: Frames of the video, at least 1.
        latent_shape: Of a frame: (c, h, w).
        schedule: Noise schedule of the denoiser.
        generator: Asked for one seed.
        steps: Of the sampler, 1 to 1000.
        window: Frames of a window.
        overlap: Frames that neighbours share, fewer than `window`.
        scales: Of guidance; None: all 1, which is one pass.
        sampler: Of `sampler.SAMPLERS`; AniPortrait's is `ddim`.
        shared_noise: See `FrameNoise`.
        on_step: Called after every prediction.
        on_preview: See `latent_fusion.sample_video`.
        device: Where the latents are.

    Yields:
        One pair: the first frame, 0, and the latents of all.

    Raises:
        BadInput: For sizes that cannot work, at the first chunk.
    """
    windows = plan_wrapped(frame_count, window, overlap)
    solver = make_sampler(sampler, schedule, steps)
    noise = FrameNoise(tuple(latent_shape), generator, shared=shared_noise)
    latents = noise.at(torch.arange(frame_count)).to(device)
    count = torch.zeros(frame_count, 1, 1, 1, device=device)
    for frames in windows:
        count[frames] += 1
    done, memory = 0, None
    for step, time in enumerate(solver.timesteps):
        guided = (scales or GuidanceScales()).at(step, len(solver.timesteps))
        passes, weights = zip(*plan(guided), strict=True)
        total = torch.zeros_like(latents)
        for frames in windows:
            rows = predict(latents[frames], time.to(device), frames, passes)
            total[frames] += combine(rows, weights, guided.rescale)
            done += 1
            if on_step is not None:
                on_step(done, len(solver.timesteps) * len(windows))
        fresh = noise.at(torch.arange(frame_count), 1 + step).to(device) if solver.needs_noise else None
        latents, memory = solver.step(latents, total / count, step, memory, fresh)
        if on_preview is not None:
            on_preview(memory[frame_count // 2])
    yield 0, latents
