"""The base of a stack of public files as the host's own MODEL, CLIP and VAE, and the schedule it runs on."""

from __future__ import annotations

from pathlib import Path

import comfy.diffusers_load
import comfy.sd
import comfy.utils

from ..portraittalk_core import builders
from ..portraittalk_core.checkpoints.detect import Kind
from ..portraittalk_core.checkpoints.layouts import SD15_SHAPE
from ..portraittalk_core.config import ModelConfig
from ..portraittalk_core.errors import WeightsMismatch
from ..portraittalk_core.nets.unet_keys import to_comfy
from ..portraittalk_core.stacks.loader import unet_tensors
from ..portraittalk_core.stacks.spec import StackSpec
from .hosted_stack import Patcher
from .model_patches import scheduled


def load_base(spec: StackSpec, config: ModelConfig) -> tuple[Patcher, comfy.sd.CLIP, comfy.sd.VAE]:
    """Return MODEL, CLIP and VAE of a spec, each by the host's own loader.

    With AniPortrait's U-Net the MODEL is that one, on its own schedule. Raises `WeightsMismatch` where the host does
    not know a file.
    """
    import folder_paths

    base, own_vae = str(spec.files["base"]), "vae" not in spec.files
    words = folder_paths.get_folder_paths("embeddings")
    if spec.kind("base") is Kind.FOLDER:
        model, clip, vae = comfy.diffusers_load.load_diffusers(base, own_vae, True, words)
    else:
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(
            base, output_vae=own_vae, embedding_directory=words, output_model=not spec.is_aniportrait
        )
    if not own_vae:
        vae = _vae(spec)
    if spec.is_aniportrait:
        model = scheduled(_denoiser(spec), builders.noise_schedule(config), config.name)
    return model, clip, vae


def _denoiser(spec: StackSpec) -> Patcher:
    model = comfy.sd.load_diffusion_model_state_dict(to_comfy(unet_tensors(spec), SD15_SHAPE))
    if model is None:
        raise WeightsMismatch(f"{spec.files['denoiser']}: ComfyUI does not know this U-Net. Update ComfyUI.")
    return model


def _vae(spec: StackSpec) -> comfy.sd.VAE:
    file: Path = spec.files["vae"]
    if spec.kind("vae") is Kind.CHECKPOINT:
        return comfy.sd.load_checkpoint_guess_config(str(file), output_clip=False, output_model=False)[2]
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(file)))
    vae.throw_exception_if_invalid()
    return vae
