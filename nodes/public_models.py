"""The base of a stack of public files as the host's own MODEL, CLIP and VAE, and the schedule it runs on."""

from __future__ import annotations

from pathlib import Path

import comfy.diffusers_load
import comfy.latent_formats
import comfy.sd
import comfy.utils
import torch

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
    if spec.few_steps is not None:
        model = with_few_steps(model, spec.files["few_steps"], spec.few_steps.strength)
    if spec.is_aniportrait:
        model = scheduled(_denoiser(spec), builders.noise_schedule(config), config.name)
    return model, clip, vae


def with_few_steps(model: Patcher, file: Path, strength: float) -> Patcher:
    """Return a clone of a MODEL with a LoRA that distils it to few steps, as the host's own node loads it.

    Args:
        model: Of SD1.5's shape.
        file: The LoRA.
        strength: Of what is added.

    Raises:
        WeightsMismatch: Where the host finds nothing for the MODEL in it.
    """
    made, _ = comfy.sd.load_lora_for_models(model, None, comfy.utils.load_torch_file(str(file)), strength, 0.0)
    if len(made.patches) <= len(model.patches):
        raise WeightsMismatch(f"{file}: ComfyUI finds nothing for this model in it. Download it again.")
    return made


def small_vae(file: Path) -> comfy.sd.VAE:
    """Return TAESD in diffusers' layout, with the names that the host gives it."""
    names = {"encoder.layers.": ("taesd_encoder.", 0), "decoder.layers.": ("taesd_decoder.", 1)}
    made = {"vae_scale": torch.tensor(comfy.latent_formats.SD15().scale_factor), "vae_shift": torch.tensor(0.0)}
    for name, value in comfy.utils.load_torch_file(str(file)).items():
        for theirs, (own, further) in names.items():
            if name.startswith(theirs):
                number, rest = name.removeprefix(theirs).split(".", 1)
                made[f"{own}{int(number) + further}.{rest}"] = value
    vae = comfy.sd.VAE(sd=made)
    vae.throw_exception_if_invalid()
    return vae


def _denoiser(spec: StackSpec) -> Patcher:
    model = comfy.sd.load_diffusion_model_state_dict(to_comfy(unet_tensors(spec), SD15_SHAPE))
    if model is None:
        raise WeightsMismatch(f"{spec.files['denoiser']}: ComfyUI does not know this U-Net. Update ComfyUI.")
    return model


def _vae(spec: StackSpec) -> comfy.sd.VAE:
    file: Path = spec.files["vae"]
    if spec.kind("vae") is Kind.CHECKPOINT:
        return comfy.sd.load_checkpoint_guess_config(str(file), output_clip=False, output_model=False)[2]
    if spec.kind("vae") is Kind.SMALL_VAE:
        return small_vae(file)
    vae = comfy.sd.VAE(sd=comfy.utils.load_torch_file(str(file)))
    vae.throw_exception_if_invalid()
    return vae
