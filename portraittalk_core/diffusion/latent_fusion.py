"""Progressive latent fusion: one video from overlapping windows, fused in latent space at every denoising step.

The idea is MAGIC-Talk's (arXiv 2510.22810); its equations are not public to us, so what follows is our definition.

joint      All windows at every step. Their predictions are averaged with triangular weights (`windows`), then the
           sampler moves the whole video. Early steps blend whole overlaps, late steps only their middle.
streaming  One window after the other. At every step the shared frames are blended with the latents that the window
           before had there at that step (its stored trajectory, of the shared frames only), by the same ramps.
           Frames are handed out as soon as no later window can change them; memory does not grow with length.

Both are the plain sampler, bit for bit, where one window suffices and no `flicker` is taken out of the finished video
(`stillness`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput
from ..host import Pass
from ..types import LatentVideo
from .guidance import GuidanceScales, combine, plan
from .noise import FrameNoise
from .sampler import Sampler, make_sampler
from .schedule import NoiseSchedule
from .stillness import hold_chunks, hold_still
from .windows import Window, fusion_weights, later_share, plan_windows, without_overlap

Fusion = Literal["joint", "streaming"]
"""How windows become one video; see the top of this module."""

OnStep = Callable[[int, int], None]
OnPreview = Callable[[Float[Tensor, "c h w"]], object]
"""Called after every prediction with (done, total); an exception from it ends the sampling and passes through."""


class Predict(Protocol):
    """Runs the denoiser on one window."""

    def __call__(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Int[Tensor, ""],
        frames: Int[Tensor, "n"],
        passes: tuple[Pass, ...],
    ) -> Float[Tensor, "rows c h w"]:
        """Predict the window's frames once for each pass.

        Args:
            latents: Noisy latents of the window.
            timestep: Of the step.
            frames: Which frames of the video they are.
            passes: What each pass sees.

        Returns:
            What the schedule's `prediction_type` says: `len(passes)` groups of n rows, one after the other (the batch
            of a `host.Call`).
        """
        ...


@dataclass(frozen=True)
class _Job:
    """What one sampling run needs at every step."""

    predict: Predict
    sampler: Sampler
    windows: list[Window]
    noise: FrameNoise
    scales: GuidanceScales
    initial: Tensor | None
    on_step: OnStep | None
    on_preview: OnPreview | None
    device: torch.device
    flicker: float

    @property
    def steps(self) -> int:
        return len(self.sampler.timesteps)

    def progress(self, step: int) -> float:
        return step / max(1, self.steps - 1)

    def start(self, frames: Int[Tensor, "n"]) -> Float[Tensor, "n c h w"]:
        """Return the latents that sampling starts from: noise, over the initial latents where there are any."""
        noise = self.noise.at(frames).to(self.device, non_blocking=True)
        if self.initial is None:
            return noise
        rows = self.initial if len(self.initial) == 1 else self.initial[frames.to(self.initial.device)]
        return self.sampler.schedule.add_noise(rows.to(noise).expand_as(noise), noise, self.sampler.timesteps[:1])

    def guided(self, latents: Float[Tensor, "n c h w"], step: int, window: Window) -> Float[Tensor, "n c h w"]:
        """Return the guided prediction for one window."""
        scales = self.scales.at(step, self.steps)
        passes, weights = zip(*plan(scales), strict=True)
        time = self.sampler.timesteps[step].to(self.device, non_blocking=True)
        rows = self.predict(latents, time, window.indices, passes)
        expected = (len(passes) * len(latents), *latents.shape[1:])
        if tuple(rows.shape) != expected:
            raise BadInput(f"`predict` must return {list(expected)} for its passes, but got {list(rows.shape)}.")
        return combine(rows, weights, scales.rescale)

    def step_noise(self, step: int, frames: Int[Tensor, "n"]) -> Float[Tensor, "n c h w"] | None:
        if not self.sampler.needs_noise:
            return None
        return self.noise.at(frames, 1 + step).to(self.device, non_blocking=True)

    def report(self, done: int) -> None:
        if self.on_step is not None:
            self.on_step(done, self.steps * len(self.windows))

    def show(self, clean: Float[Tensor, "n c h w"] | None) -> None:
        """Hand out what the frame in the middle is heading for."""
        if self.on_preview is not None and clean is not None:
            self.on_preview(clean[len(clean) // 2])


def sample_video(
    predict: Predict,
    frame_count: int,
    latent_shape: Sequence[int],
    schedule: NoiseSchedule,
    *,
    generator: torch.Generator,
    steps: int = 8,
    window: int = 16,
    overlap: int = 4,
    fusion: Fusion = "joint",
    scales: GuidanceScales | None = None,
    sampler: str = "ddim",
    eta: float | None = None,
    shared_noise: float = 1.0,
    initial: Float[Tensor, "n c h w"] | None = None,
    denoise: float = 1.0,
    flicker: float = 0.0,
    coupled: bool = True,
    on_step: OnStep | None = None,
    on_preview: OnPreview | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[tuple[int, Float[Tensor, "n c h w"]]]:
    """Denoise a video's latents window by window.

    Args:
        predict: Runs the denoiser on one window.
        frame_count: Frames of the video, at least 1.
        latent_shape: Of a frame: (c, h, w).
        schedule: Noise schedule of the denoiser.
        generator: Asked for one seed.
        steps: Of the sampler, 1 to 1000.
        window: Frames that are denoised together.
        overlap: Frames that neighbouring windows share at least, fewer than `window`.
        fusion: `joint` or `streaming`.
        scales: Of guidance; None: all 1, which is one pass.
        sampler: Of `sampler.SAMPLERS`.
        eta: See `DDIMSampler`.
        shared_noise: See `FrameNoise`.
        initial: Clean latents to start from, one a frame or one for all.
        denoise: In (0, 1], the last share of the steps to run; below 1 from `initial`.
        flicker: See `StillRegions`.
        coupled: Whether what is predicted for a frame depends on the others of its window; if not, a frame that two
            windows share is predicted once.
        on_step: Called after every prediction.
        on_preview: Gets, after every step, the clean latents that a frame in the middle is heading for.
        device: Where the latents are.

    Returns:
        Pairs of a first frame and latents, which join to all frames in order. `joint` yields one pair, at the end;
        `streaming` each as soon as it is final.

    Raises:
        BadInput: At once, not at the first chunk, where arguments do not fit together.
    """
    if fusion not in ("joint", "streaming"):
        raise BadInput(f"`fusion` must be joint or streaming, but got {fusion!r}.")
    if denoise < 1 and initial is None:
        raise BadInput(f"`initial` must be given when `denoise` is below 1, but denoise is {denoise}. Set denoise=1.")
    if initial is not None and len(initial) not in (1, frame_count):
        raise BadInput(f"`initial` must hold 1 or {frame_count} frames of latents, but got {len(initial)}.")
    windows = plan_windows(frame_count, window, overlap)
    job = _Job(
        predict=predict,
        sampler=make_sampler(sampler, schedule, steps, eta=eta, denoise=denoise),
        windows=windows if coupled else without_overlap(windows),
        noise=FrameNoise(tuple(latent_shape), generator, shared=shared_noise),
        scales=scales or GuidanceScales(),
        initial=initial,
        on_step=on_step,
        on_preview=on_preview,
        device=torch.device(device),
        flicker=flicker,
    )
    return _joint(job) if fusion == "joint" else hold_chunks(_streaming(job), flicker)


@torch.no_grad()
def _joint(job: _Job) -> Iterator[tuple[int, Tensor]]:
    frames = torch.arange(job.windows[-1].stop)
    latents, memory, done = job.start(frames), None, 0
    for step in range(job.steps):
        fused = torch.zeros_like(latents)
        weights = fusion_weights(job.windows, job.progress(step))
        for window, weight in zip(job.windows, weights, strict=True):
            prediction = job.guided(latents[window.frames], step, window)
            fused[window.frames] += prediction * weight.to(prediction, non_blocking=True).reshape(-1, 1, 1, 1)
            done += 1
            job.report(done)
        latents, memory = job.sampler.step(latents, fused, step, memory, job.step_noise(step, frames))
        job.show(memory)
    yield 0, hold_still(latents, job.windows, job.flicker)


@torch.no_grad()
def _streaming(job: _Job) -> Iterator[tuple[int, Tensor]]:
    before: Window | None = None
    trajectory: list[Tensor] = []
    for number, window in enumerate(job.windows):
        after = job.windows[number + 1] if number + 1 < len(job.windows) else None
        shared = before.stop - window.start if before else 0
        kept = window.stop - after.start if after else 0
        latents, memory, stored = job.start(window.indices), None, []
        for step in range(job.steps):
            prediction = job.guided(latents, step, window)
            noise = job.step_noise(step, window.indices)
            latents, memory = job.sampler.step(latents, prediction, step, memory, noise)
            job.show(memory)
            if before and shared > 0:
                share = (
                    later_share(before, window, job.progress(step)).to(latents, non_blocking=True).reshape(-1, 1, 1, 1)
                )
                latents[:shared] = torch.lerp(trajectory[step], latents[:shared], share)
            stored.append(latents[len(window) - kept :].clone())
            job.report(number * job.steps + step + 1)
        before, trajectory = window, stored
        yield window.start, latents[: len(window) - kept].clone()


def outside_inference(videos: Iterator[LatentVideo]) -> Iterator[LatentVideo]:
    """Run a generator in inference mode, and only it: the caller's mode is its own between two videos.

    Args:
        videos: What makes latents.

    Yields:
        The same latents, which autograd may see.
    """
    while True:
        with torch.inference_mode():
            video = next(videos, None)
        if video is None:
            return
        yield LatentVideo(video.latents.clone(), video.fps)
