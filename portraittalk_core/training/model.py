"""Which model is trained: read from a recipe, and refused where its parts cannot go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from .. import builders
from ..config import ModelConfig, SamplingConfig, ScheduleConfig
from ..config_file import from_mapping, to_mapping, toml_values
from ..errors import BadConfig, BadInput
from ..presets import PRESETS, sd15

ModelChoice = str | Mapping[str, Any]
"""A preset's name, the path of a TOML file, or a table of `ModelConfig`'s fields; see `read_model`."""


def trained_sd15() -> ModelConfig:
    """Return the model that is trained from a public base of SD1.5's shape.

    `audio_dim` is that of wav2vec2-base-960h; a training with another encoder sets it, see `listening.choose_hearing`.
    What it predicts, and how noise is added, is what public talking heads of this shape are trained with (`sd15.toml`
    names them). ReferenceNet, identity attention and temporal attention are at every site.
    """
    return replace(
        sd15(),
        schedule=ScheduleConfig(
            prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, steps_offset=0
        ),
        sampling=SamplingConfig(steps=25, cfg=2.5, shared_noise=0.0),
        occlusion_fade=1.0,
    )


TRAINED = {**PRESETS, "sd15": trained_sd15}
"""Configurations that training knows by name."""

VAE_FACTOR = 8
"""Pixels a latent: what the VAE's layout makes (three halvings)."""

EMBEDDING = 512
"""Width of a face embedding, as the face networks make it."""

_GROUPS = 32
"""Of the group norms in U-Net and temporal attention: what its channels must be multiples of."""


def read_model(choice: ModelChoice = "tiny", folder: Path | None = None) -> ModelConfig:
    """Return the model that a recipe names.

    Args:
        choice: `tiny` or another preset; or the path of a TOML file; or a table. File and table hold the fields of
            `ModelConfig` that differ from a preset's, which `base` names (tiny where it does not).
        folder: What a path counts from; the working directory by default.

    Returns:
        The configuration, checked. Without a `name` of its own it is called after its file, or `custom`.

    Raises:
        BadConfig: When keys are unknown, values are of the wrong type, or the parts cannot go together.
    """
    if isinstance(choice, str):
        if choice in TRAINED:
            return check_model(TRAINED[choice](), choice)
        if not choice.endswith(".toml"):
            raise BadConfig(
                f"`model` must be one of {', '.join(TRAINED)} or a TOML file, but got {choice!r}. Try tiny."
            )
        where = str((folder or Path()) / choice)
        values, name = toml_values(where), Path(choice).stem
    elif isinstance(choice, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] (a TOML file may hold anything)
        where, values, name = "model", dict(choice), "custom"
    else:
        raise BadConfig(f"`model` must be a preset's name, a TOML file or a table, but got {choice!r}. Try tiny.")
    base = values.pop("base", "tiny")
    if base not in TRAINED:
        raise BadConfig(f"{where}: `base` must be one of {', '.join(TRAINED)}, but got {base!r}. Try tiny.")
    merged = _merged(to_mapping(TRAINED[base]()), {"name": name, **values})
    return check_model(from_mapping(ModelConfig, merged, where), where)


def check_model(model: ModelConfig, where: str = "model") -> ModelConfig:
    """Return a model whose parts go together.

    Args:
        model: To be checked.
        where: How messages call it.

    Raises:
        BadConfig: Naming everything at once that cannot be, such as noise prediction with zero terminal signal.
    """
    problems = [*_schedule_problems(model), *_unet_problems(model)]
    if not problems:  # sites can be named
        problems = [*_layer_problems(model), *_size_problems(model)]
    if problems:
        raise BadConfig(f"{where}: " + "; ".join(problems))
    return model


def check_picture_size(model: ModelConfig, size: int, *, streamed: bool = False) -> None:
    """Refuse pictures that the model cannot be trained on.

    Args:
        model: That is trained.
        size: Side of the pictures in pixels.
        streamed: Whether pictures are encoded as they are needed, at any size that the U-Net can halve.

    Raises:
        BadConfig: When `size` is neither the model's own nor half of it, for which a bank holds latents.
    """
    least = VAE_FACTOR * 2 ** (len(model.unet.channels) - 1)
    if streamed:
        if size < least or size % least:
            raise BadConfig(f"`size` must be a multiple of {least} for {model.name}, but got {size}. Try {model.size}.")
        return
    if size not in picture_sizes(model):
        first, second = picture_sizes(model)
        raise BadConfig(f"`size` must be {first} or {second} for {model.name}, but got {size}. Try {second}.")


def picture_sizes(model: ModelConfig) -> tuple[int, int]:
    """Return the sides of pictures in pixels that a model is trained on: half its own, and its own.

    Args:
        model: That is trained.
    """
    return model.size // 2, model.size


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with values over it, tables inside tables as well."""
    merged = dict(base)
    for key, value in values.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(cast(Any, below), cast(Any, value)) if both else value
    return merged


def _schedule_problems(model: ModelConfig) -> list[str]:
    found: list[str] = []
    try:
        builders.noise_schedule(model)
    except BadInput as error:
        found.append(f"schedule: {error}")
    if not model.occlusion_fade >= 1:
        found.append(f"`occlusion_fade` must be 1 or more, but got {model.occlusion_fade}")
    return found


def _unet_problems(model: ModelConfig) -> list[str]:
    unet, found = model.unet, list[str]()
    if not unet.channels or len(unet.channels) != len(unet.attention):
        found.append(
            f"`unet.channels` and `unet.attention` must be as long as each other, but got {len(unet.channels)} and "
            f"{len(unet.attention)}"
        )
    counts = {"heads": unet.heads, "layers": unet.layers, "latent_channels": unet.latent_channels}
    found += [f"`unet.{name}` must be 1 or more, but got {value}" for name, value in counts.items() if value < 1]
    if unet.heads >= 1:
        found += [
            f"`unet.channels` must be multiples of {_GROUPS} and of `unet.heads` ({unet.heads}), but got {width}"
            for width in unet.channels
            if width < 1 or width % _GROUPS or width % unet.heads
        ]
    return found


def _layer_problems(model: ModelConfig) -> list[str]:
    shape = builders.unet_shape(model)
    places = {
        "reference_layers": (model.reference_layers, shape.attention_sites()),
        "temporal_layers": (model.temporal_layers, shape.layer_sites()),
    }
    found: list[str] = []
    for name, (wanted, sites) in places.items():
        known = [str(site) for site in sites]
        absent = [layer for layer in wanted if layer not in known]
        if absent:
            found.append(f"`{name}` must be among {', '.join(known)}, but got {', '.join(absent)}")
    return found


def _size_problems(model: ModelConfig) -> list[str]:
    found: list[str] = []
    if model.embedding_dim != EMBEDDING:
        found.append(f"`embedding_dim` must be {EMBEDDING}, that of the face networks, but got {model.embedding_dim}")
    if model.sampling.window > model.temporal_frames:
        found.append(
            f"`sampling.window` must be at most `temporal_frames` ({model.temporal_frames}), the longest that can be "
            f"seen, but got {model.sampling.window}"
        )
    if model.vae_factor != VAE_FACTOR:
        found.append(f"`vae_factor` must be {VAE_FACTOR}, that of the VAE which is trained, but got {model.vae_factor}")
    multiple = 2 * VAE_FACTOR * 2 ** (len(model.unet.channels) - 1)  # for pictures of half the size as well
    if model.size < multiple or model.size % multiple:
        found.append(f"`size` must be a multiple of {multiple} for this U-Net, but got {model.size}")
    elif model.contour_size < 1 or model.contour_size * VAE_FACTOR % model.size:
        side = model.size // VAE_FACTOR
        found.append(f"`contour_size` must be a multiple of {side}, the latents' side, but got {model.contour_size}")
    return found
