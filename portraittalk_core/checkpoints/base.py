"""Read the base of SD1.5: U-Net, VAE and CLIP's text half, from one file, from parts, or from a diffusers folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..errors import WeightsMismatch
from ..hosts.sd15_models import empty_text_encoder, empty_unet, empty_vae
from ..nets.low_rank import transformer_name
from ..nets.unet_keys import to_comfy
from ..nets.vae_keys import deprecated_name, is_attention_weight, ldm_name
from .detect import Kind, detect, expect
from .files import Shape, WeightsFile, open_weights
from .layouts import SD15_SHAPE, Rule, account, shapes_of

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel

_NamesOf = Callable[[Iterable[str], WeightsFile, str], dict[str, str]]
"""Gives the names in a file, by a network's own names; the text is what the names in the file begin with."""

UNET, VAE, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
"""What the names of the three networks begin with in a checkpoint of the LDM layout."""

_SCHEDULE = "the noise schedule is computed"

_RULES = (
    Rule("a copy of the weights averaged in training; the weights themselves are used", start="model_ema."),
    Rule("left by a training of single words", start="embedding_manager."),
    *(Rule("the VAE's training loss", start=start + "loss.") for start in ("", VAE)),
    *(Rule("a constant", start=start, end="embeddings.position_ids") for start in ("", TEXT)),
    *(
        Rule("a part of CLIP that SD1.5 does not use", start=start + name)
        for start in ("", "cond_stage_model.", TEXT)
        for name in ("logit_scale", "text_projection")
    ),
    *(
        Rule(_SCHEDULE, start=name, end=name)
        for name in (
            "alphas_cumprod",
            "alphas_cumprod_prev",
            "betas",
            "log_one_minus_alphas_cumprod",
            "logvar",
            "posterior_log_variance_clipped",
            "posterior_mean_coef1",
            "posterior_mean_coef2",
            "posterior_variance",
            "scale_factor",
            "sqrt_alphas_cumprod",
            "sqrt_one_minus_alphas_cumprod",
            "sqrt_recip_alphas_cumprod",
            "sqrt_recipm1_alphas_cumprod",
        )
    ),
)

_FOLDER_FILES = (
    "{}.safetensors",
    "{}.fp16.safetensors",
    "{}.bin",
    "{}.fp16.bin",
)


@dataclass(frozen=True)
class LoadedBase:
    """The three networks of an SD1.5 base, frozen."""

    unet: UNet2DConditionModel
    """The denoiser."""
    vae: AutoencoderKL
    """Between pixels and latents."""
    text_encoder: CLIPTextModel
    """CLIP's text half."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_base(
    path: Path | str,
    *,
    vae: Path | str | None = None,
    text_encoder: Path | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> LoadedBase:
    """Load an SD1.5 base.

    Args:
        path: A checkpoint of the LDM layout, a diffusers folder, or a U-Net with its VAE and text encoder beside it.
        vae: A file that replaces the VAE of `path`.
        text_encoder: A file that replaces the text encoder of `path`.
        dtype: Of the networks' floating tensors.

    Raises:
        WeightsMismatch: When a part is nowhere, or unless every tensor has its place or a reason to be left out.
    """
    found = detect(path)
    if found.kind not in (Kind.CHECKPOINT, Kind.FOLDER, Kind.UNET):
        raise WeightsMismatch(f"{path}: must be an SD1.5 checkpoint or diffusers folder, but is {found}.")
    ignored: dict[str, str] = {}
    whole = open_weights(path) if found.kind is Kind.CHECKPOINT else None
    if whole:
        ignored |= _account_rest(whole)
    folder = Path(path) if found.kind is Kind.FOLDER else None
    places = {
        "unet": _part_file(None if whole else path, folder, "unet", "diffusion_pytorch_model"),
        "vae": _part_file(vae, folder, "vae", "diffusion_pytorch_model"),
        "text_encoder": _part_file(text_encoder, folder, "text_encoder", "model", "pytorch_model"),
    }
    kinds = {"unet": Kind.UNET, "vae": Kind.VAE, "text_encoder": Kind.TEXT}
    plans: dict[str, _Plan] = {}
    for name, (make, names_of, prefix) in _NETWORKS.items():
        own = places[name]
        if own is not None:
            expect(own, kinds[name])
        file = open_weights(own) if own is not None else whole
        if file is None or (own is None and not any(n.startswith(prefix) for n in file.shapes)):
            raise WeightsMismatch(f"{path}: has no {name}. Name a file that has one, such as vae-ft-mse for the VAE.")
        plans[name] = _plan(make(), file, names_of, prefix if own is None else "")
        ignored |= plans[name].ignored
    # Every part has been held against its layout before the first of the gigabytes is read.
    return LoadedBase(**{name: _fill(plan, dtype) for name, plan in plans.items()}, ignored=ignored)


Part = Literal["unet", "vae", "text_encoder"]
"""A network of a base."""


def load_base_part(path: Path | str, part: Part, dtype: torch.dtype = torch.float32) -> Any:
    """Load one network of an SD1.5 base, frozen; who has little memory loads one after the other.

    Args:
        path: A checkpoint or diffusers folder, or a file of that network alone.
        part: Which network.
        dtype: Of its floating tensors.

    Returns:
        The network of diffusers or transformers, as in `LoadedBase`.

    Raises:
        WeightsMismatch: As `load_base` does.
    """
    return _fill(plan_part(path, part), dtype)


def plan_part(path: Path | str, part: Part) -> _Plan:
    """Hold one network of a base against its layout without reading its tensors.

    Args:
        path: As `load_base_part` takes it.
        part: Which network.

    Returns:
        Which tensors of the file make up the network.

    Raises:
        WeightsMismatch: As `load_base` does.
    """
    single = {"unet": Kind.UNET, "vae": Kind.VAE, "text_encoder": Kind.TEXT}[part]
    found = expect(path, Kind.CHECKPOINT, Kind.FOLDER, single)
    make, names_of, prefix = _NETWORKS[part]
    own: Path | str | None = path if found.kind is single else None
    if found.kind is Kind.FOLDER:
        stems = ("model", "pytorch_model") if part == "text_encoder" else ("diffusion_pytorch_model",)
        own = _part_file(None, Path(path), part, *stems)
    file = open_weights(path if own is None else own)
    if own is None and not any(name.startswith(prefix) for name in file.shapes):
        raise WeightsMismatch(f"{path}: has no {part}. Name a file that has one, such as vae-ft-mse for the VAE.")
    return _plan(make(), file, names_of, prefix if own is None else "")


def load_text_keys(path: Path | str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Read what a base's cross-attentions make of text.

    With these keys and values a U-Net whose own cross-attention was trained on something else (AniPortrait's) can be
    conditioned on text beside it.

    Args:
        path: As `load_base_part` takes it.
        dtype: Of the tensors.

    Returns:
        The weights by the names of `nets.attention.KeyValues`.

    Raises:
        WeightsMismatch: As `load_base` does.
    """
    plan = plan_part(path, "unet")
    names: dict[str, str] = {}
    for k, site in enumerate(SD15_SHAPE.adapter_sites()):
        for kind in ("to_k", "to_v"):
            own = f"{transformer_name(site)}.attn2.{kind}.weight"
            names[f"{2 * k + 1}.{kind}_ip.weight"] = plan.names[own]
    tensors = plan.file.tensors(dtype, names=names.values())
    return {own: tensors[there] for own, there in names.items()}


def load_vae(path: Path | str, dtype: torch.dtype = torch.float32) -> AutoencoderKL:
    """Load a VAE, frozen.

    Args:
        path: A VAE of the LDM or diffusers layout, or a whole checkpoint.
        dtype: Of its floating tensors.

    Raises:
        WeightsMismatch: As `load_base` does.
    """
    found = expect(path, Kind.VAE, Kind.CHECKPOINT)
    prefix = VAE if found.kind is Kind.CHECKPOINT else ""
    return _fill(_plan(empty_vae(), open_weights(path), _vae_names, prefix), dtype)


@dataclass(frozen=True)
class _Plan:
    """Which tensors of a file make up a network."""

    net: Any
    """The network, without memory yet."""
    file: WeightsFile
    """Where its tensors are."""
    prefix: str
    """What the names of its tensors begin with there."""
    names: dict[str, str]
    """The names in the file by the network's own."""
    sizes: dict[str, Shape]
    """The shapes by the network's own names."""
    ignored: dict[str, str]
    """Names of the tensors that are left out, each with the reason."""


def _plan(net: Any, file: WeightsFile, names_of: _NamesOf, prefix: str) -> _Plan:
    """Hold a file against a network that has no memory yet."""
    sizes = shapes_of(_inner(net).state_dict())
    names = names_of(sizes, file, prefix)
    found = {name: size for name, size in file.shapes.items() if name.startswith(prefix)}
    expected = {names[own]: _size_in_file(own, size, found.get(names[own])) for own, size in sizes.items()}
    layout = {"UNet2DConditionModel": "SD1.5's U-Net", "AutoencoderKL": "SD1.5's VAE"}
    what = layout.get(type(net).__name__, "CLIP's text encoder")
    return _Plan(net, file, prefix, names, sizes, account(file.path, what, expected, found, _RULES))


def _fill(plan: _Plan, dtype: torch.dtype) -> Any:
    """Load the tensors of a plan into its network and return it, frozen."""
    inner, tensors = _inner(plan.net), plan.file.tensors(dtype, plan.prefix)
    state = {own: tensors[name].reshape(plan.sizes[own]) for own, name in plan.names.items()}
    inner.load_state_dict(state, assign=True)
    embeddings = getattr(inner, "embeddings", None)
    if embeddings is not None:  # the one buffer that no file needs to hold
        embeddings.position_ids = torch.arange(embeddings.position_embedding.weight.shape[0])[None]
    return plan.net.eval().requires_grad_(False)


def _inner(net: Any) -> Any:
    """Return the module that the public names belong to: transformers may wrap CLIP's text model once more."""
    return getattr(net, "text_model", net)


def _account_rest(file: WeightsFile) -> dict[str, str]:
    """Account for what a checkpoint holds beside its three networks."""
    rest = {name: size for name, size in file.shapes.items() if not name.startswith((UNET, VAE, TEXT))}
    return account(file.path, "an SD1.5 checkpoint beside its networks", {}, rest, _RULES)


def _part_file(given: Path | str | None, folder: Path | None, name: str, *stems: str) -> Path | None:
    """Return the file of one network: the given one, else the folder's; None where the checkpoint has it."""
    if given is not None and Path(given) != folder:
        return Path(given)
    if folder is None:
        return None
    choices = [folder / name / form.format(stem) for form in _FOLDER_FILES for stem in stems]
    found = next((file for file in choices if file.is_file()), None)
    if found is None:
        raise WeightsMismatch(f"{folder}: lacks {name}/{choices[0].name}. Fetch the whole folder.")
    return found


def _unet_names(names: Iterable[str], file: WeightsFile, prefix: str) -> dict[str, str]:
    if not prefix:
        return {name: name for name in names}
    own = list(names)
    renamed = to_comfy(dict.fromkeys(own, torch.empty(0)), SD15_SHAPE)
    return {name: prefix + there for name, there in zip(own, renamed, strict=True)}


def _vae_names(names: Iterable[str], file: WeightsFile, prefix: str) -> dict[str, str]:
    prefixes = (prefix, VAE)  # VAEs on their own come with and without the prefix
    for start in prefixes:
        if f"{start}encoder.down.0.block.0.conv1.weight" in file.shapes:
            return {name: start + ldm_name(name) for name in names}
    deprecated = "encoder.mid_block.attentions.0.query.weight" in file.shapes
    return {name: deprecated_name(name) if deprecated else name for name in names}


def _text_names(names: Iterable[str], file: WeightsFile, prefix: str) -> dict[str, str]:
    wrapped = f"{prefix}text_model.final_layer_norm.weight" in file.shapes
    return {name: f"{prefix}{'text_model.' if wrapped else ''}{name}" for name in names}


def _size_in_file(name: str, size: Shape, found: Shape | None) -> Shape:
    """Return the shape that a file should have: the VAE's attention may be kept as 1 x 1 convolutions."""
    return (*size, 1, 1) if is_attention_weight(name) and found is not None and len(found) == 4 else size


_NETWORKS: dict[str, tuple[Callable[[], Any], _NamesOf, str]] = {
    "unet": (lambda: empty_unet(SD15_SHAPE), _unet_names, UNET),
    "vae": (empty_vae, _vae_names, VAE),
    "text_encoder": (empty_text_encoder, _text_names, TEXT),
}
