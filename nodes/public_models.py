"""The base of a stack of public files as the host's own MODEL, CLIP and VAE, and the schedule it runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.diffusers_load
import comfy.model_sampling
import comfy.sd
import comfy.utils

from ..portraittalk_core import builders
from ..portraittalk_core.checkpoints.detect import Kind
from ..portraittalk_core.checkpoints.layouts import SD15_SHAPE
from ..portraittalk_core.config import ModelConfig
from ..portraittalk_core.errors import WeightsMismatch
from ..portraittalk_core.nets.unet_keys import to_comfy
from ..portraittalk_core.stacks.loader import unet_tensors
from ..portraittalk_core.stacks.spec import Mix
from .sockets import Model

SCHEDULED = "portraittalk_schedule"
"""In `transformer_options`: that a MODEL runs on a stack's schedule."""

_PREDICTIONS = {"epsilon": comfy.model_sampling.EPS, "v_prediction": comfy.model_sampling.V_PREDICTION}


def load_base(mix: Mix, config: ModelConfig) -> tuple[Model, Any, Any]:
    """Return MODEL, CLIP and VAE of a mix, each by the host's own loader.

    With AniPortrait's U-Net the MODEL is that one, on its own schedule. Raises `WeightsMismatch` where the host does
    not know a file.
    """
    import folder_paths

    base, own_vae = str(mix.files["base"]), "vae" not in mix.files
    words = folder_paths.get_folder_paths("embeddings")
    if mix.kind("base") is Kind.FOLDER:
        model, clip, vae = comfy.diffusers_load.load_diffusers(base, own_vae, True, words)
    else:
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
            base, output_vae=own_vae, embedding_directory=words, output_model=not mix.is_aniportrait
        )
    if not own_vae:
        vae = _vae(mix)
    if mix.is_aniportrait:
        model = scheduled(_denoiser(mix), config)
    return model, clip, vae


def scheduled(model: Model, config: ModelConfig) -> Model:
    """Return a clone of a MODEL that runs on a stack's noise schedule; one that does already is left as it is.

    So does whichever of our nodes comes first, and a node after it may choose another.
    """
    if SCHEDULED in model.model_options["transformer_options"]:
        return model
    schedule = builders.noise_schedule(config)

    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, _PREDICTIONS[schedule.prediction_type]):
        pass

    sampling = Sampling(model.model.model_config)
    sampling.set_sigmas(schedule.sigmas())
    clone = model.clone()
    clone.add_object_patch("model_sampling", sampling)
    clone.model_options["transformer_options"][SCHEDULED] = config.name
    return clone


def _denoiser(mix: Mix) -> Model:
    model = comfy.sd.load_diffusion_model_state_dict(to_comfy(unet_tensors(mix), SD15_SHAPE))
    if model is None:
        raise WeightsMismatch(f"{mix.files['denoiser']}: ComfyUI does not know this U-Net. Update ComfyUI.")
    return model


def _vae(mix: Mix) -> Any:
    file: Path = mix.files["vae"]
    if mix.kind("vae") is Kind.CHECKPOINT:
        return comfy.sd.load_checkpoint_guess_config(str(file), output_clip=False, output_model=False)[2]
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(file)))
    vae.throw_exception_if_invalid()
    return vae
