"""Change a MODEL itself in the host's own ways: the noise schedule it runs on, low-rank corrections of its weights."""

from __future__ import annotations

from collections.abc import Sequence

import comfy.lora
import comfy.model_sampling
from torch import Tensor

from ..portraittalk_core.diffusion.schedule import NoiseSchedule
from ..portraittalk_core.nets.low_rank import LowRankPatch, comfy_names
from ..portraittalk_core.sites import UNetShape
from .hosted_stack import Patcher

SCHEDULED = "portraittalk_schedule"
"""In `transformer_options`: that a MODEL runs on a stack's schedule."""

PATCHED = "portraittalk_lora"
"""In `transformer_options`: the low-rank corrections that a MODEL has, each by what its file is recognised by."""


class _Epsilon(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


class _Velocity(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
    pass


_SAMPLINGS = {"epsilon": _Epsilon, "v_prediction": _Velocity}


def scheduled(model: Patcher, schedule: NoiseSchedule, name: str) -> Patcher:
    """Put a MODEL on a stack's noise schedule; one that is on it already is left as it is.

    So does whichever of our nodes comes first, and a node after it may choose another.

    Args:
        model: It stays as it is.
        schedule: Of the stack.
        name: Of the stack.

    Returns:
        A clone of the MODEL.
    """
    if SCHEDULED in model.model_options["transformer_options"]:
        return model
    sampling = _SAMPLINGS[schedule.prediction_type](model.model.model_config)
    sampling.set_sigmas(schedule.sigmas())
    clone = model.clone()
    clone.add_object_patch("model_sampling", sampling)
    clone.model_options["transformer_options"][SCHEDULED] = name
    return clone


def patched(model: Patcher, patches: Sequence[LowRankPatch], shape: UNetShape) -> Patcher:
    """Give low-rank corrections to a MODEL of our own, once, as the host patches weights.

    They come from one file, are not scaled, and the same ones may come with every identity node of a graph.

    Args:
        model: A clone of the caller's own, which is changed.
        patches: Of one file, or none.
        shape: Of the U-Net.

    Returns:
        The same MODEL.
    """
    if not patches:
        return model
    options = model.model_options["transformer_options"]
    key, known = _fingerprint(patches), options.get(PATCHED, ())
    if key in known:
        return model
    options[PATCHED] = (*known, key)
    names = comfy_names(patches, shape)
    state: dict[str, Tensor] = {}
    for name, patch in names.items():
        state |= {f"{name}.lora_up.weight": patch.up.cpu(), f"{name}.lora_down.weight": patch.down.cpu()}
    model.add_patches(comfy.lora.load_lora(state, {name: f"diffusion_model.{name}" for name in names}))
    return model


def _fingerprint(patches: Sequence[LowRankPatch]) -> tuple[int, float, float]:
    """Return what one file's corrections are recognised by."""
    first = patches[0]
    return len(patches), float(first.up.float().sum()), float(first.down.float().sum())
