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
"""In `transformer_options`: the low-rank corrections that a MODEL has, each by what tells its file from others."""

_PREDICTIONS = {"epsilon": comfy.model_sampling.EPS, "v_prediction": comfy.model_sampling.V_PREDICTION}


def scheduled(model: Patcher, schedule: NoiseSchedule, name: str) -> Patcher:
    """Return a clone of a MODEL that runs on a stack's noise schedule; one that does already is left as it is.

    So does whichever of our nodes comes first, and a node after it may choose another.
    """
    if SCHEDULED in model.model_options["transformer_options"]:
        return model

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, _PREDICTIONS[schedule.prediction_type]):
        pass

    sampling = Sampling(model.model.model_config)
    sampling.set_sigmas(schedule.sigmas())
    clone = model.clone()
    clone.add_object_patch("model_sampling", sampling)
    clone.model_options["transformer_options"][SCHEDULED] = name
    return clone


def patched(model: Patcher, patches: Sequence[LowRankPatch], shape: UNetShape) -> Patcher:
    """Give low-rank corrections to a MODEL of our own, once, as the host patches weights.

    They come from one file, are not scaled, and the same ones may come with every identity node of a graph.
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
    """Return what tells one file's corrections from another's."""
    first = patches[0]
    return len(patches), float(first.up.float().sum()), float(first.down.float().sum())
