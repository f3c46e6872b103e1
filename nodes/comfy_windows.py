"""Progressive latent fusion inside ComfyUI's sampling, for any sampler; weights and plan are the core's.

Joint fusion wraps the prediction: every window at every step. Streaming wraps the whole sampling: one window after the
other, each fused at every step with what the window before had there. What stands still in the finished video is held.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, cast

import comfy.model_management
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..portraittalk_core.diffusion.stillness import hold_still
from ..portraittalk_core.diffusion.windows import Window, fusion_weights, later_share
from ..portraittalk_core.errors import BadInput
from .comfy_host import FRAMES
from .host_values import Conds, OnStep, Options, PredictExecutor, SampleExecutor
from .hosted_stack import Patcher
from .window_plan import WindowPlan

KEY = "portraittalk_windows"

REPORT = "portraittalk_report"
"""In `transformer_options`: who is told after each window of a step, how many are done, of how many."""


class _Control(Protocol):
    """What is asked of the host's ControlNets."""

    cond_hint_original: Tensor | None
    cond_hint: Tensor | None
    previous_controlnet: _Control | None


def add_windows(model: Patcher, plan: WindowPlan, fusion: str, flicker: float = 0.0) -> None:
    """Make a MODEL denoise long videos in windows.

    Args:
        model: A clone of the caller's own, which is changed.
        plan: Of the windows.
        fusion: How windows join, "joint" or "streaming".
        flicker: What is taken out of regions that stand still, see `StillRegions`.
    """
    model.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, KEY)
    model.remove_wrappers_with_key(WrappersMP.SAMPLER_SAMPLE, KEY)
    if flicker:
        model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, Still(plan, flicker))
    if fusion == "joint":
        model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, Joint(plan))
        return
    stream = Streaming(plan)
    model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, stream.sample)
    model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, stream.predict)


def reporting(model: Patcher, report: Callable[[int, int], None]) -> Patcher:
    """Return a clone of a MODEL that tells after each window how many of the step are done, of how many."""
    told = model.clone()
    told.model_options["transformer_options"][REPORT] = report
    return told


class Joint:
    """Predicts for all windows and averages by `fusion_weights`."""

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan

    def __call__(
        self, executor: PredictExecutor, model: object, conds: Conds, x: Tensor, sigma: Tensor, options: Options
    ) -> list[Tensor]:
        """Predict for the whole video (a wrapper of the host).

        Args:
            executor: Predicts for a window.
            model: For it.
            conds: CONDITIONINGs, with one row a frame or one for all.
            x: Latents of the whole video.
            sigma: Noise level, one a frame.
            options: For the executor.

        Returns:
            A prediction for each of `conds`.
        """
        windows = self.plan.windows(len(x))
        if _windowed(options) or len(windows) == 1:
            return executor(model, conds, x, sigma, options)
        step, steps = _step(options, sigma)
        fused = [torch.zeros_like(x) for _ in conds]
        report: Callable[[int, int], None] | None = options["transformer_options"].get(REPORT)
        weights = fusion_weights(windows, step / max(1, steps - 1))
        for done, (window, weight) in enumerate(zip(windows, weights, strict=True), 1):
            comfy.model_management.throw_exception_if_processing_interrupted()
            parts = _predict(executor, model, conds, x[window.frames], sigma[window.frames], options, window, len(x))
            for total, part in zip(fused, parts, strict=True):
                total[window.frames] += part * weight.to(part).reshape(-1, 1, 1, 1)
            if report is not None:
                report(done, len(windows))
        return fused


class Streaming:
    """Samples one window after the other. `_tail` is what the window before had at each step, of the shared frames."""

    def __init__(self, plan: WindowPlan) -> None:
        self.plan = plan
        self._now: Window | None = None
        self._before: Window | None = None
        self._kept = self._count = 0
        self._tail: list[Tensor] = []
        self._next_tail: list[Tensor] = []

    def __deepcopy__(self, memo: dict[int, object]) -> Streaming:
        return self  # the two wrappers of a MODEL have to stay one object

    def sample(
        self,
        executor: SampleExecutor,
        guider: object,
        sigmas: Tensor,
        extra: Options,
        callback: OnStep | None,
        noise: Tensor,
        latent: Tensor | None = None,
        mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Run the host's sampler on each window (a wrapper of the host); return the latents of the whole video."""
        windows = self.plan.windows(len(noise))
        if len(windows) == 1:
            return executor(guider, sigmas, extra, callback, noise, latent, mask, disable_pbar)
        if mask is not None:
            raise BadInput("`fusion` must be joint where the latent has a noise mask, but got streaming. Set joint.")
        done: list[Tensor] = []
        try:
            for number, window in enumerate(windows):
                after = windows[number + 1] if number + 1 < len(windows) else None
                self._begin(window, windows[number - 1] if number else None, after, len(noise))
                counted = _counted(callback, number, len(windows))
                part = None if latent is None else latent[window.frames]
                rows = executor(guider, sigmas, dict(extra), counted, noise[window.frames], part, None, disable_pbar)
                self._fuse(rows, len(sigmas) - 2, len(sigmas) - 1)
                done.append(rows[: len(window) - self._kept])
                self._tail, self._next_tail = self._next_tail, []
        finally:
            self._now, self._tail, self._next_tail = None, [], []
        return torch.cat(done)

    def predict(
        self, executor: PredictExecutor, model: object, conds: Conds, x: Tensor, sigma: Tensor, options: Options
    ) -> list[Tensor]:
        """Return a prediction for each of `conds` on the running window (a wrapper of the host)."""
        if self._now is None:
            return executor(model, conds, x, sigma, options)
        comfy.model_management.throw_exception_if_processing_interrupted()
        step, steps = _step(options, sigma)
        if step and len(self._next_tail) < step:
            # Here the sampler has just finished a step. What it holds is changed in place: samplers of k-diffusion go
            # on with the very tensor that they have given to the model.
            self._fuse(x, step - 1, steps)
        return _predict(executor, model, conds, x, sigma, options, self._now, self._count)

    def _begin(self, window: Window, before: Window | None, after: Window | None, count: int) -> None:
        self._now, self._before, self._count = window, before, count
        self._kept = window.stop - after.start if after else 0

    def _fuse(self, x: Tensor, step: int, steps: int) -> None:
        """Blend the frames shared with the window before, and keep those shared with the next one."""
        if self._before is not None and self._now is not None:
            share = later_share(self._before, self._now, step / max(1, steps - 1)).to(x).reshape(-1, 1, 1, 1)
            x[: len(share)] = torch.lerp(self._tail[step], x[: len(share)], share)
        self._next_tail.append(x[len(x) - self._kept :].clone())


class Still:
    """Holds regions still when the host's sampler, or the stream of windows, has finished a video."""

    def __init__(self, plan: WindowPlan, flicker: float) -> None:
        self.plan, self.flicker = plan, flicker

    def __call__(
        self,
        executor: SampleExecutor,
        guider: object,
        sigmas: Tensor,
        extra: Options,
        callback: OnStep | None,
        noise: Tensor,
        latent: Tensor | None = None,
        mask: Tensor | None = None,
        disable_pbar: bool = False,
    ) -> Tensor:
        """Return the latents of the whole video; those that another sampler goes on with stay as they are."""
        rows = executor(guider, sigmas, extra, callback, noise, latent, mask, disable_pbar)
        if float(sigmas[-1]) > 0:
            return rows
        return hold_still(rows, self.plan.windows(len(rows)), self.flicker)


def _predict(
    executor: PredictExecutor,
    model: object,
    conds: Conds,
    x: Tensor,
    sigma: Tensor,
    options: Options,
    window: Window,
    count: int,
) -> list[Tensor]:
    """Predict for one window: what has a row a frame of the whole video is cut to the window's."""
    inside = {**options["transformer_options"], FRAMES: window.indices}
    cut: Conds = [None if cond is None else [_cut(entry, window, count) for entry in cond] for cond in conds]
    with _hints(conds, window, count):
        return executor(model, cut, x, sigma, {**options, "transformer_options": inside})


def _cut(entry: Options, window: Window, count: int) -> Options:
    tensors: Options = dict(entry["model_conds"])
    for name, value in tensors.items():
        tensor = getattr(value, "cond", None)
        if torch.is_tensor(tensor) and len(tensor) == count:
            tensors[name] = value._copy_with(tensor[window.frames])
    return {**entry, "model_conds": tensors}


@contextmanager
def _hints(conds: Conds, window: Window, count: int) -> Generator[None, None, None]:
    """Let ControlNets see the hints of the window only, where they have one a frame."""
    held: list[tuple[_Control, Tensor, Tensor | None]] = []
    for control in _controls(conds):
        hint = getattr(control, "cond_hint_original", None)
        if torch.is_tensor(hint) and len(hint) == count:
            held.append((control, hint, control.cond_hint))
            control.cond_hint_original, control.cond_hint = hint[window.frames], None
    try:
        yield
    finally:
        for control, hint, prepared in held:
            control.cond_hint_original, control.cond_hint = hint, prepared


def _controls(conds: Conds) -> list[_Control]:
    found: dict[int, _Control] = {}
    for entry in (entry for cond in conds if cond is not None for entry in cond):
        control = cast("_Control | None", entry.get("control"))
        while control is not None:
            found[id(control)] = control
            control = getattr(control, "previous_controlnet", None)
    return list(found.values())


def _windowed(options: Options) -> bool:
    """Say whether another pack, or the host, has cut the video into windows already."""
    inside: Options = options.get("transformer_options", {})
    return inside.get("context_window") is not None or bool((inside.get("ad_params") or {}).get("sub_idxs"))


def _step(options: Options, sigma: Tensor) -> tuple[int, int]:
    """Return which step runs, of how many; a sampler may also ask between two steps, which counts as the former."""
    sigmas = options["transformer_options"]["sample_sigmas"]
    level = sigma.flatten()[0]
    passed = int((sigmas[:-1].to(level) >= level * (1 - 1e-5)).sum())
    return max(0, passed - 1), len(sigmas) - 1


def _counted(callback: OnStep | None, number: int, windows: int) -> OnStep | None:
    """Return a callback that counts the steps of all windows."""
    if callback is None:
        return None
    return lambda step, x0, x, total: callback(number * total + step, x0, x, windows * total)
