"""Read and write our own weights files: tensors, and in the metadata the configuration of the networks they fill.

One reader serves every size of model, because the file says what it is. Each loader builds its networks from the
configuration and fills them; a file that does not fit is refused with the names of the tensors that are wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from .. import builders
from ..config import ModelConfig
from ..config_file import from_mapping, to_mapping
from ..errors import BadInput, WeightsMismatch
from ..hosts.diffusers_models import build_tiny_vae
from ..hosts.kl_vae import KlVae
from ..hosts.sd15_models import empty_text_encoder
from ..motion.audio_to_motion import AudioToMotion
from ..motion.priors import MotionPrior
from ..motion.structure import FaceFitter, FaceShaper
from ..nets.adapters import Adapters
from ..nets.dense_motion import DenseMotionNet
from ..nets.face_parsing import FaceParsingNet
from ..people.words import EDIT_WORDS, PLACE_WORDS, SCENE_WORDS
from ..perception.clip_text import ClipTokens
from ..perception.speech import SpeechEncoder, build_wav2vec2
from ..perception.text import TextEncoder
from ..presets import PUBLIC
from ..types import COEFFICIENTS, LANDMARKS
from .files import open_weights
from .layouts import misfit
from .tokenizer import load_clip_tokenizer
from .writing import save_tensors

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

N = TypeVar("N", bound="nn.Module | Mapping[str, nn.Module]")

ASSETS = Path(__file__).resolve().parents[1] / "assets"
"""The folder of what is shipped: the tiny model, a portrait and some speech."""

SD15_LAYOUT = {"layout": "sd15"}
"""The configuration of files that hold SD1.5's own VAE or text encoder."""

_LANGUAGE = {"landmarks": LANDMARKS, "coefficients": len(COEFFICIENTS)}

PARTS = ("denoiser", "vae", "text", "speech", "motion", "structure", "dense_motion", "face_parsing")
"""The networks of a model, one safetensors file each."""


def model_folder(name: str) -> Path:
    """Return the folder of a model.

    Args:
        name: `tiny`, which is shipped, or the path of a folder of the same files.

    Raises:
        BadInput: When the model is made of public files instead, or the folder is not there.
    """
    if name == "tiny":
        return ASSETS / "tiny"
    if name in ("sd15", *PUBLIC):
        raise BadInput(
            f"`name` must be tiny or a folder of weights, but {name} is made of public files. `PortraitTalk.load` "
            "takes sd15-portraittalk and sd15-magictalk; sd15 alone has nothing that moves a face."
        )
    folder = Path(name)
    if not folder.is_dir():
        raise BadInput(f"`name` must be tiny or a folder of weights, but {name} is no folder. Try tiny.")
    return folder


def model_files(name: str) -> dict[str, Path]:
    """Return the weights files of a model, one each of `PARTS`.

    Args:
        name: As `model_folder` takes it.

    Raises:
        BadInput: As `model_folder` does.
        WeightsMismatch: When files are not there; all of them are named.
    """
    folder = model_folder(name)
    files = {part: folder / f"{part}.safetensors" for part in PARTS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        fix = "Run `git checkout -- portraittalk_core/assets` or `make train-tiny`"
        fix = fix if name == "tiny" else "Give the folder of a complete model, such as that of tiny"
        raise WeightsMismatch(f"{folder}: a model must hold {len(PARTS)} files, but lacks {', '.join(missing)}. {fix}.")
    return files


def read_modules(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read a file of this project.

    Args:
        path: A safetensors file whose metadata holds the configuration, or a pickle that is nothing but
            `{"config": JSON text, "state_dict": tensors}`.

    Returns:
        The configuration, and the tensors by name with floating ones as float32.

    Raises:
        WeightsMismatch: When the file is missing, unreadable or without configuration.
        UnsafeWeights: When it is a pickle that holds more than that.
    """
    file = open_weights(path)
    try:
        config = dict(json.loads(file.metadata["config"]))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise WeightsMismatch(f"{path}: has no configuration in its metadata. Use a file of this project.") from error
    return config, file.tensors(torch.float32)


def save_modules(path: Path | str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write tensors in half precision with their configuration in the metadata, whole or not at all.

    Args:
        path: The file; its folder is made where it is not there, an older file is replaced.
        tensors: By the names that they get in the file.
        config: What the networks are built from, as JSON can hold it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {k: (v.half() if v.is_floating_point() else v).detach().cpu().contiguous() for k, v in tensors.items()}
    save_tensors(half, path, metadata={"format": "pt", "config": json.dumps(config, sort_keys=True)})


def named_tensors(nets: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return the tensors of several networks as one file holds them, each behind its network's name and a dot."""
    return {f"{name}.{key}": tensor for name, net in nets.items() for key, tensor in net.state_dict().items()}


@contextmanager
def building(path: Path | str, what: str) -> Generator[None, None, None]:
    """Build networks from a file's configuration inside this; one that is for something else is refused.

    Args:
        path: The file, for the message.
        what: What the file must be, such as "a speech encoder".

    Raises:
        WeightsMismatch: When a constructor does not know a key, or a key that is needed is not there.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsMismatch(
            f"{path}: must be {what}, but its configuration is of something else ({why}). Name another file."
        ) from error


def fill(path: Path | str, what: str, nets: nn.Module | Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors of a file into networks and freeze them.

    Args:
        path: The file, for messages.
        what: What the file must be, for messages.
        nets: One network whose tensors have their own names in the file, or several by the name that stands before
            those of each (`unet.conv_in.weight`). They are of no use after an error.
        tensors: What the file holds.

    Raises:
        WeightsMismatch: Unless every tensor has its place; the message lists ten that are missing, foreign or of
            another shape.
    """
    named = {"": nets} if isinstance(nets, nn.Module) else {f"{name}.": net for name, net in nets.items()}
    wrong = [f"{name} is foreign" for name in tensors if not name.startswith(tuple(named))]
    for prefix, net in named.items():
        own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        sizes = {name: t.shape for name, t in net.state_dict().items()}
        odd = {name: own.pop(name).shape for name, size in sizes.items() if name in own and own[name].shape != size}
        wrong += [f"{prefix}{name} is {list(size)} instead of {list(sizes[name])}" for name, size in odd.items()]
        missing, foreign = net.load_state_dict(own, strict=False)
        wrong += [f"{prefix}{name} is missing" for name in missing if name not in odd]
        wrong += [f"{prefix}{name} is foreign" for name in foreign]
        net.eval().requires_grad_(False)
    if wrong:
        raise misfit(f"{path}: must be {what} with the tensors of its own configuration", wrong)


def read_denoiser(path: Path | str) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a denoiser's file without building its networks; what stage 2 learned beside it, if anything, counts.

    Returns:
        The model's configuration, and the tensors by name, `unet.*`, `identity_net.*` and `animate_net.*`.

    Raises:
        BadConfig: When the file's configuration is not that of a model.
        WeightsMismatch: As `read_modules` does; or where the second file is of another model.
    """
    config, tensors = read_modules(path)
    later = second_stage(path)
    if later.is_file():
        config, learned = read_modules(later)
        if foreign := sorted(learned.keys() - tensors.keys()):
            raise misfit(f"{later}: must go with {Path(path).name}", [f"{name} is foreign" for name in foreign])
        tensors |= learned
    return from_mapping(ModelConfig, config, str(path)), tensors


def second_stage(path: Path | str) -> Path:
    """Return where what stage 2 learned lies: beside the denoiser of stage 1, whose file it leaves as it is."""
    return Path(path).with_name(f"{Path(path).stem}_stage2.safetensors")


def save_denoiser(path: Path | str, tensors: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Write `unet.*`, `identity_net.*` and `animate_net.*` of a model as one file; else as `save_modules`.

    What stage 2 learned over the denoiser that was there goes with it: over another it would be nonsense.
    """
    second_stage(path).unlink(missing_ok=True)
    save_modules(path, tensors, to_mapping(config))


def load_denoiser(path: Path | str) -> tuple[ModelConfig, UNet2DConditionModel, Adapters]:
    """Load a denoiser, float32, frozen: the base U-Net and what runs beside it.

    Raises:
        BadConfig: When the file's configuration is not that of a model.
        WeightsMismatch: Unless every tensor has its place.
    """
    config, tensors = read_denoiser(path)
    unet, adapters = builders.unet(config), builders.adapters(config)
    fill(path, "a denoiser", {"unet": unet, **dict(adapters.named_children())}, tensors)
    return config, unet, adapters.eval()


def load_adapters(path: Path | str) -> tuple[ModelConfig, Adapters]:
    """Load what goes with a U-Net, not the U-Net, from a denoiser's file; else as `load_denoiser`."""
    config, tensors = read_denoiser(path)
    adapters = builders.adapters(config)
    own = {name: tensor for name, tensor in tensors.items() if not name.startswith("unet.")}
    fill(path, "a denoiser", dict(adapters.named_children()), own)
    return config, adapters.eval()


def load_unet(path: Path | str) -> UNet2DConditionModel:
    """Load the U-Net alone from a denoiser's file; else as `load_denoiser`."""
    config, tensors = read_denoiser(path)
    unet = builders.unet(config)
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("unet.")}
    fill(path, "a denoiser", {"unet": unet}, own)
    return unet


def load_vae(path: Path | str) -> AutoencoderTiny:
    """Load a VAE of the TAESD layout, or SD1.5's as `save_modules` wrote it with `SD15_LAYOUT`, float32, frozen.

    Raises:
        WeightsMismatch: Unless the file is one and every tensor has its place.
    """
    return _load(path, "a VAE of the tiny model", _empty_vae)


def load_text_encoder(path: Path | str) -> TextEncoder:
    """Load a text encoder, float32, frozen; else as `load_vae`. CLIP's has its tokenizer in a folder beside it."""
    config, tensors = read_modules(path)
    if config != SD15_LAYOUT:
        encoder = _load(path, "a text encoder", lambda config: TextEncoder(**config))
        encoder.words_of_others = EDIT_WORDS
        encoder.places = (*PLACE_WORDS, *SCENE_WORDS)
        return encoder
    net = ClipTokens(empty_text_encoder(), load_clip_tokenizer(Path(path).with_name("tokenizer")))
    net.to_empty(device="cpu").reset_positions()
    fill(path, "CLIP's text encoder", net, tensors)
    return net  # pyright: ignore[reportReturnType] (it has the same face)


def load_speech_encoder(path: Path | str) -> SpeechEncoder:
    """Load a tiny speech encoder, float32, frozen; else as `load_vae`."""
    model = _load(path, "a speech encoder", lambda config: build_wav2vec2(**config))
    return SpeechEncoder(model).eval().requires_grad_(False)


def load_motion(path: Path | str) -> tuple[AudioToMotion, MotionPrior]:
    """Load audio-to-motion and the motion prior, float32, frozen; else as `load_vae`."""
    kinds = {"audio_to_motion": AudioToMotion, "prior": MotionPrior}
    nets: Any = _load(path, "a motion file", lambda config: {n: kind(**config[n]) for n, kind in kinds.items()})
    return nets["audio_to_motion"], nets["prior"]


def save_structure(path: Path | str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write the fitter and the shaper of faces as one file that says what they speak; else as `save_modules`."""
    save_modules(path, tensors, {**config, **_LANGUAGE})


def load_structure(path: Path | str) -> tuple[FaceFitter, FaceShaper]:
    """Load the fitter and the shaper of faces, float32, frozen; else as `load_vae`.

    Raises:
        WeightsMismatch: Also when the file is of a version that knew other points and coefficients.
    """
    config, tensors = read_modules(path)
    own = {name: config.pop(name, None) for name in _LANGUAGE}
    if "fitter" in config and own != _LANGUAGE:
        raise WeightsMismatch(
            f"{path}: must be a structure file of {LANDMARKS} points and {len(COEFFICIENTS)} blendshapes, but is of an "
            "older version. Train it anew: portraittalk train --part structure."
        )
    with building(path, "a structure file"):
        nets = FaceFitter(**config["fitter"]), FaceShaper(**config["shaper"])
    fill(path, "a structure file", {"fitter": nets[0], "shaper": nets[1]}, tensors)
    return nets


def load_dense_motion(path: Path | str) -> DenseMotionNet:
    """Load the dense motion, float32, frozen; else as `load_vae`."""
    return _load(path, "a dense motion file", lambda config: DenseMotionNet(**config))


def load_face_parsing(path: Path | str) -> FaceParsingNet:
    """Load face parsing, float32, frozen; else as `load_vae`."""
    return _load(path, "a face parsing file", lambda config: FaceParsingNet(**config))


def _empty_vae(config: dict[str, Any]) -> Any:
    return KlVae.empty() if config == SD15_LAYOUT else build_tiny_vae(**config)


def _load(path: Path | str, what: str, build: Callable[[dict[str, Any]], N]) -> N:
    """Read a file, build what its configuration says, and fill it."""
    config, tensors = read_modules(path)
    with building(path, what):
        nets = build(config)
    fill(path, what, nets, tensors)
    return nets
