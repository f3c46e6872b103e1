"""Give the tiny model's parts to ComfyUI as its own MODEL, CLIP and VAE, so that stock nodes run them.

ComfyUI recognises models by their tensors and has never heard of these, hence each is built here from the host's
classes. The host's layers start as uninitialised memory: whatever is not loaded would be noise, so every loader
insists that all tensors fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import comfy.clip_model
import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models_base
import comfy.taesd.taesd
import torch
from comfy import cli_args
from jaxtyping import Float
from torch import Tensor, nn

from ..portraittalk_core import builders
from ..portraittalk_core.checkpoints import native as weights
from ..portraittalk_core.config import ModelConfig
from ..portraittalk_core.errors import WeightsMismatch
from ..portraittalk_core.hosts.devices import fast_dtype, lowered
from ..portraittalk_core.nets.unet_keys import comfy_config, to_comfy
from ..portraittalk_core.perception.text import TextEncoder
from .comfy_host import MULTIPLIES

if TYPE_CHECKING:
    from comfy.clip_model import Operations

AT_ONCE = 8
"""Pictures that the VAE encodes or decodes together."""

_MODEL_TYPES = {
    "v_prediction": comfy.model_base.ModelType.V_PREDICTION,
    "epsilon": comfy.model_base.ModelType.EPS,
}


class TinyLatent(comfy.latent_formats.LatentFormat):
    """Latents of the tiny VAE: eight channels of zero mean and unit variance, an eighth of the picture's size.

    The factors give the host's previews: least squares from the latents of twelve random avatars at 256 x 256 to
    their 8 x 8 averages (RGB in [-1, 1]). On four others they miss by 0.10 RMS, where the colours spread by 0.49.
    """

    scale_factor = 1.0
    latent_channels = 8
    latent_rgb_factors = [  # noqa: RUF012 - the host's own form
        [-0.096, 0.063, 0.264],
        [0.072, 0.208, 0.014],
        [0.128, 0.073, 0.142],
        [0.043, 0.058, 0.119],
        [0.028, 0.069, -0.018],
        [0.059, 0.102, -0.073],
        [-0.143, 0.009, 0.008],
        [-0.187, 0.017, -0.060],
    ]
    latent_rgb_factors_bias = [0.225, -0.055, -0.177]  # noqa: RUF012


LATENTS: dict[int, type[comfy.latent_formats.LatentFormat]] = {8: TinyLatent, 4: comfy.latent_formats.SD15}
"""By their channels: the tiny VAE's and SD1.5's, on which a model may have been trained as well."""


class TinyModelConfig(comfy.supported_models_base.BASE):
    """What the host asks of a kind of model."""

    unet_extra_config: dict[str, object] = {}  # noqa: RUF012 - nothing beyond `comfy_config`
    latent_format = TinyLatent
    memory_usage_factor = 0.4
    """SD1.5 counts as one; a fifth of its width, and as much again for the nets that are attached."""

    prediction = comfy.model_base.ModelType.V_PREDICTION
    """What the denoiser predicts."""

    def model_type(self, state_dict: Mapping[str, Tensor], prefix: str = "") -> comfy.model_base.ModelType:
        """Return what the denoiser predicts."""
        return self.prediction

    def inpaint_model(self) -> bool:
        """Return False: the host takes every model of more than four input channels for an inpainting one."""
        return False


def load_model(file: Path) -> comfy.model_patcher.ModelPatcher:
    """Return the base denoiser of a denoiser file as a MODEL; what is attached to it is another node's work.

    Its sigmas are those of the file's schedule, one a training timestep. With conditions attached it multiplies as the
    command line does: on CPUs that have it in bfloat16, unless the host is told to keep float32. Raises
    `WeightsMismatch` naming up to ten tensors that do not fit.
    """
    config, tensors = weights.read_denoiser(file)
    found = {key.removeprefix("unet."): value for key, value in tensors.items() if key.startswith("unet.")}
    model = _base_model(config, file, sum(value.numel() for value in found.values()))
    weights.fill(file, "a denoiser", model.diffusion_model, to_comfy(found, builders.unet_shape(config)))
    model.model_sampling.set_sigmas(builders.noise_schedule(config).sigmas())
    patcher = comfy.model_patcher.ModelPatcher(
        model.eval().requires_grad_(False),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    patcher.model_options["transformer_options"][MULTIPLIES] = _multiplies(
        patcher.load_device, model.get_dtype(), cli_args.args.force_fp32 or cli_args.args.fp32_unet
    )
    patcher.cached_patcher_init = (_again, (file,))  # newer hosts load a model anew for a second GPU
    return patcher


def load_clip(file: Path) -> comfy.sd.CLIP:
    """Return the text encoder of a text file as a CLIP, which takes prompts with weights such as `(smiling:1.3)`.

    Without weights it gives the tokens of `TextEncoder.encode`, and as there what exceeds the context is cut off; words
    outside the vocabulary are ignored, see `notes`. Raises `WeightsMismatch` as `load_model` does.
    """
    config, tensors = weights.read_modules(file)
    if config == weights.SD15_LAYOUT:  # CLIP's own, which the host knows
        return comfy.sd.load_text_encoder_state_dicts([tensors])
    encoder = weights.load_text_encoder(file)
    text_model = partial(
        comfy.sd1_clip.SDClipModel,
        max_length=encoder.context,
        textmodel_json_config=_text_config(encoder),
        model_class=_TextModel,
        special_tokens={"start": 0, "end": 1, "pad": 1},
        return_projected_pooled=False,
    )
    tokenizer = partial(comfy.sd1_clip.SD1Tokenizer, tokenizer=partial(_Tokenizer, encoder))
    clip_model = partial(comfy.sd1_clip.SD1ClipModel, clip_model=text_model)
    clip = comfy.sd.CLIP(comfy.supported_models_base.ClipTarget(tokenizer, clip_model))
    state = {f"text_model.{key}": value for key, value in encoder.text_model.state_dict().items()}
    state["text_projection.weight"] = torch.eye(encoder.dim)
    weights.fill(file, "a text encoder", clip.cond_stage_model.clip_l.transformer, state)
    return clip


def load_vae(file: Path) -> comfy.sd.VAE:
    """Return the VAE of a VAE file. Raises `WeightsMismatch` as `load_model` does.

    Zero-padded to 64 channels ours is a TAESD that the host loads as it stands, but one that takes seven times as
    long to decode. So the host builds its TAESD and the network inside is exchanged for one of our width. Its weights
    stay in float32 on every device; it multiplies as the command line does, see `load_model`.
    """
    config, tensors = weights.read_modules(file)
    if config == weights.SD15_LAYOUT:
        return comfy.sd.VAE(sd={name.removeprefix("vae."): value for name, value in tensors.items()})
    with weights.building(file, "a VAE of the tiny model"):
        net = TinyAutoencoder(**config)
    weights.fill(file, "a VAE of the tiny model", net, tensors)
    pattern = comfy.taesd.taesd.TAESD(latent_channels=config["latent_channels"])
    vae = comfy.sd.VAE(sd=pattern.state_dict(), dtype=torch.float32)
    net.multiplies = multiplies(vae.device)
    vae.first_stage_model = net
    vae.patcher = comfy.model_patcher.ModelPatcher(
        net, load_device=vae.device, offload_device=comfy.model_management.vae_offload_device()
    )
    return vae


class TinyAutoencoder(nn.Module):
    """The VAE's network in the host's layers, with the tensor names of diffusers' `AutoencoderTiny`."""

    def __init__(
        self, *, latent_channels: int, width: int, encoder_blocks: list[int], decoder_blocks: list[int]
    ) -> None:
        """Build the network.

        Args:
            latent_channels: Of the latents.
            width: Channels of every hidden map.
            encoder_blocks: Residual blocks a level, from the finest.
            decoder_blocks: Likewise, from the coarsest.
        """
        super().__init__()
        self.multiplies: torch.dtype | None = None
        conv, block = comfy.taesd.taesd.conv, comfy.taesd.taesd.Block
        encoder: list[nn.Module] = []
        for level, count in enumerate(encoder_blocks):
            encoder.append(conv(width, width, stride=2, bias=False) if level else conv(3, width))
            encoder += [block(width, width) for _ in range(count)]
        decoder: list[nn.Module] = [conv(latent_channels, width), nn.ReLU()]
        for level, count in enumerate(decoder_blocks):
            if level:
                decoder += [nn.Upsample(scale_factor=2), conv(width, width, bias=False)]
            decoder += [block(width, width) for _ in range(count)]
        self.encoder = nn.ModuleDict({"layers": nn.Sequential(*encoder, conv(width, latent_channels))})
        self.decoder = nn.ModuleDict({"layers": nn.Sequential(*decoder, conv(width, 3))})

    def encode(self, pixels: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
        """Return the latents of pixels in [-1, 1]."""
        return self._in_parts(lambda part: self.encoder["layers"](part * 0.5 + 0.5), pixels)

    def decode(self, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 H W"]:
        """Return pixels about [-1, 1]; latents beyond three standard deviations are squashed, as in TAESD."""
        return self._in_parts(lambda part: self.decoder["layers"](torch.tanh(part / 3) * 3) * 2 - 1, latents)

    def _in_parts(self, run: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """Run on a few pictures at a time: between them the host may interrupt, and memory does not grow."""
        made: list[Tensor] = []
        for part in rows.split(AT_ONCE):
            comfy.model_management.throw_exception_if_processing_interrupted()
            with lowered(self.multiplies, rows.device):
                made.append(run(part).to(rows.dtype))
        return torch.cat(made)


class _TextModel(comfy.clip_model.CLIPTextModel):
    """The host's CLIP text model with a vocabulary of the configured size; the host fixes it at that of CLIP."""

    def __init__(
        self, config_dict: dict[str, int], dtype: torch.dtype, device: torch.device, operations: Operations
    ) -> None:
        super().__init__(config_dict, dtype, device, operations)
        size = config_dict["vocab_size"], config_dict["hidden_size"]
        self.set_input_embeddings(operations.Embedding(*size, dtype=dtype, device=device))


class _Tokenizer(comfy.sd1_clip.SDTokenizer):
    """The host's handling of prompt weights over the words of our text encoder."""

    def __init__(
        self, encoder: TextEncoder, embedding_directory: object = None, tokenizer_data: dict[str, object] | None = None
    ) -> None:
        super().__init__(
            max_length=encoder.context,
            embedding_directory=embedding_directory,
            embedding_size=encoder.dim,
            tokenizer_class=SimpleNamespace(from_pretrained=partial(_given, encoder.tokenizer)),
            tokenizer_data=tokenizer_data or {},
        )
        self.max_word_length = 1  # fill the context to the last place, as the core does
        self._encoder = encoder
        self._told: set[str] = set()  # unknown words of which the user has been told, on a node or in the log

    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: object
    ) -> list[list[tuple[int, float]]]:
        """Return one section of (token, weight) pairs, as long as the context."""
        host = comfy.sd1_clip
        parts = [(text, 1.0)] if kwargs.get("disable_weights") else host.token_weights(host.escape_important(text), 1.0)
        prompt = " ".join(host.unescape_important(part) for part, _ in parts)
        self._encoder.warn_of_length([prompt])
        unknown = self._encoder.unknown_words(prompt)
        self._encoder.warn_of_words([" ".join(word for word in unknown if word not in self._told)])
        self._told.update(unknown)
        return super().tokenize_with_weights(text, return_word_ids, **kwargs)[:1]

    def unknown_words(self, prompts: Sequence[str]) -> list[tuple[str, str | None]]:
        """Return words that the model does not know, each once, with the nearest that it knows."""
        plain = [" ".join(part for part, _ in comfy.sd1_clip.token_weights(prompt, 1.0)) for prompt in prompts]
        words = dict.fromkeys(word for prompt in plain for word in self._encoder.unknown_words(prompt))
        self._told.update(words)
        return [(word, self._encoder.nearest_word(word)) for word in words]


def _given(tokenizer: object, *_: object, **__: object) -> object:
    """Return a tokenizer that is there already, where the host would read one."""
    return tokenizer


def _text_config(encoder: TextEncoder) -> dict[str, object]:
    """Return the host's description of a CLIP text model."""
    config = encoder.text_model.config
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "hidden_act")
    names += ("max_position_embeddings", "eos_token_id", "projection_dim", "vocab_size")
    return {name: getattr(config, name) for name in names}


def _base_model(config: ModelConfig, file: Path, parameters: int) -> comfy.model_base.BaseModel:
    """Return the host's model around an unfilled U-Net, of the number format the host wants on its device."""
    channels, kind = config.unet.latent_channels, config.schedule.prediction_type
    if channels not in LATENTS or kind not in _MODEL_TYPES:
        raise WeightsMismatch(
            f"{file}: a MODEL must have {' or '.join(map(str, LATENTS))} latent channels and predict one of "
            f"{', '.join(_MODEL_TYPES)}, but this one has {channels} and predicts {kind}. Use the tiny model's file."
        )
    shape = builders.unet_shape(config)
    host_config = TinyModelConfig(comfy_config(shape, in_channels=channels, out_channels=channels))
    host_config.prediction = _MODEL_TYPES[kind]
    setattr(host_config, "latent_format", LATENTS[channels]())  # noqa: B010 - the host's class has a type there, its objects do not
    management, formats = comfy.model_management, TinyModelConfig.supported_inference_dtypes
    device = management.get_torch_device()
    dtype = management.unet_dtype(device, model_params=parameters, supported_dtypes=formats)
    host_config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device, formats))
    return host_config.get_model({}, "", device=management.unet_offload_device())


def multiplies(device: torch.device | None = None) -> torch.dtype | None:
    """Return the precision in which networks do that draw and move pictures; None: in their own.

    Args:
        device: Where they run; None: where the host puts networks.
    """
    asked = cli_args.args.force_fp32 or cli_args.args.fp32_vae
    return _multiplies(device or comfy.model_management.get_torch_device(), torch.float32, asked)


def _multiplies(device: torch.device, dtype: torch.dtype, exact: bool) -> torch.dtype | None:
    """Return the precision in which float32 weights multiply on a device; None: in their own, also where asked to."""
    return None if exact or dtype != torch.float32 else fast_dtype(device)


def _again(file: Path, **_: object) -> comfy.model_patcher.ModelPatcher:
    return load_model(file)
