"""What a model is made of, and how it is trained: frozen records, read from TOML, checked all at once.

Size is data: the tiny model and the SD1.5 stack are two values of `ModelConfig`.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .errors import BadConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

T = TypeVar("T")

RENAMED = {"text_scale": "cfg"}
"""Keys that older files have, and what they are called now."""


@dataclass(frozen=True)
class UNetConfig:
    """The base denoiser, in the words of diffusers' `UNet2DConditionModel`.

    channels: `block_out_channels`; layers: `layers_per_block`; attention: whether each down block has transformers;
    heads: attention heads at every site; cross_dim: width of text, identity and audio tokens.
    """

    latent_channels: int = 4
    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: int = 2
    attention: tuple[bool, ...] = (True, True, True, False)
    heads: int = 8
    cross_dim: int = 768


@dataclass(frozen=True)
class ScheduleConfig:
    """The noise schedule, in the words of diffusers' schedulers."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    prediction_type: str = "epsilon"
    timestep_spacing: str = "leading"
    rescale_betas_zero_snr: bool = False
    steps_offset: int = 1


@dataclass(frozen=True)
class SamplingConfig:
    """Defaults of generation. window and overlap count frames; the guidance scales are those of `GuidanceScales`.

    cfg: how strongly the prompt is followed; guide_identity: whether cfg guides identity along with the text;
    flicker: how much the denoiser's answer varies where nothing moves, see `StillRegions`.
    """

    steps: int = 25
    cfg: float = 7.0
    guide_identity: bool = False
    identity_scale: float = 1.0
    audio_scale: float = 1.0
    guidance_end: float = 1.0
    window: int = 16
    overlap: int = 4
    shared_noise: float = 1.0
    flicker: float = 0.0


@dataclass(frozen=True)
class ModelConfig:
    """One complete model. `name` is what `PortraitTalk.load` is given; `size` is the side of a frame in pixels;
    `occlusion_fade`: see `nets.occlusion_net`, 2 in weights that do not say.
    """

    name: str = "sd15"
    size: int = 512
    unet: UNetConfig = field(default_factory=UNetConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    identity_tokens: int = 4
    embedding_dim: int = 512
    audio_dim: int = 768
    audio_tokens: int = 4
    contour_size: int = 64
    structure_width: int = 64
    reference_layers: tuple[str, ...] = ()
    temporal_layers: tuple[str, ...] = ()
    temporal_frames: int = 32
    occlusion_fade: float = 2.0
    vae_factor: int = 8


@dataclass(frozen=True)
class TrainingConfig:
    """How one stage is trained; see `training.stages` for what a stage updates.

    size: side of the pictures in pixels, half the model's own to learn the coarse things quickly; minutes: wall time
    of this run; steps: where the learning rate has fallen from `rate` to `final_rate` (0: it stays at `rate`);
    refs and targets: reference pictures a step, and target frames (or clips) for each; clip: consecutive frames a
    target stands for; parts: of the stage that this run updates, such as `audio` (all of them); high_noise: exponent
    below 1 that biases the sampled time towards noise; shared_noise: chance that all frames of a clip get the same
    noise; face_weight, mouth_weight: how much more eyes and mouth count than the rest, and the mouth beyond that;
    mask_weight: weight of the mask reconstruction loss; drop_*: chance of leaving a condition out, which is what
    classifier-free guidance later relies on (drop_mouth: structure shows the mouth at rest, so that speech must tell
    it); precision: `no` or `bf16`, as Accelerate calls them; workers: processes that draw batches ahead.
    """

    stage: int = 1
    size: int = 256
    seed: int = 0
    minutes: float = 60.0
    steps: int = 0
    refs: int = 6
    targets: int = 4
    clip: int = 1
    parts: tuple[str, ...] = ()
    rate: float = 6e-4
    final_rate: float = 3e-5
    warmup: int = 100
    weight_decay: float = 0.01
    clip_gradient: float = 1.0
    ema: float = 0.998
    high_noise: float = 0.7
    shared_noise: float = 0.5
    face_weight: float = 3.0
    mouth_weight: float = 0.0
    mask_weight: float = 0.25
    mask_chance: float = 0.3
    drop_text: float = 0.1
    drop_identity: float = 0.1
    drop_reference: float = 0.1
    drop_audio: float = 0.1
    drop_mouth: float = 0.15
    precision: str = "no"
    workers: int = 0
    save_every_s: float = 300.0


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "configuration") -> T:
    """Build a configuration record from plain values, recursing into nested records.

    Raises `BadConfig` naming every unknown key and every value of the wrong type at once, so that a file is mended
    in one go.
    """
    problems: list[str] = []
    made = _build(cls, values, "", problems)
    if problems:
        raise BadConfig(f"{where}: " + "; ".join(problems))
    return made


def _build(cls: type[T], values: Mapping[str, Any], prefix: str, problems: list[str]) -> T:
    known = get_type_hints(cls)
    fields: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            key = RENAMED.get(key, key)
        if key not in known:
            problems.append(f"unknown key `{name}` (known: {', '.join(known)})")
            continue
        fields[key] = _convert(known[key], value, name, problems)
    try:
        return cls(**fields)
    except TypeError as error:
        problems.append(str(error))
        return cls()


def _convert(kind: Any, value: Any, name: str, problems: list[str]) -> Any:
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return _build(kind, value, f"{name}.", problems)  # pyright: ignore[reportArgumentType]
        problems.append(f"`{name}` must be a table, but got {value!r}")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            problems.append(f"`{name}` must be a list, but got {value!r}")
            return value
        return tuple(_convert(get_args(kind)[0], v, f"{name}[{k}]", problems) for k, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool) and not (
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    ):
        problems.append(f"`{name}` must be {kind.__name__}, but got {value!r}")
    return value


def to_mapping(config: Any) -> dict[str, Any]:
    """Return a record as plain values, ready for JSON; the inverse of `from_mapping`."""
    return dataclasses.asdict(config)


def read_toml(cls: type[T], path: str | Path, **overrides: Any) -> T:
    """Read a record from a TOML file; `overrides` that are not None win. Raises `BadConfig`."""
    values = toml_values(path)
    return from_mapping(cls, {**values, **{k: v for k, v in overrides.items() if v is not None}}, str(path))


def toml_values(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds. Raises `BadConfig`."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read ({error.strerror}). Give the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfig(f"{path}: is no TOML file ({error}). Mend it.") from error
