"""Read and write weights files: safetensors whose metadata holds what the networks were built from.

One loader serves every size of model, because the file says what it is. A pickle is opened only by torch's restricted
unpickler, which runs no code, and refused where that is not enough.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .. import builders
from ..config import ModelConfig, from_mapping, to_mapping
from ..errors import BadInput, UnsafeWeights, WeightsMismatch
from ..hosts.diffusers_models import build_tiny_vae
from ..nets.animate_net import AnimateNet
from ..nets.identity_net import IdentityNet
from ..presets import PUBLIC

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

ASSETS = Path(__file__).resolve().parents[1] / "assets"

PARTS = ("denoiser", "vae", "text", "speech", "motion", "structure")
"""The networks of a model, one safetensors file each."""

_LISTED = 10


def model_folder(name: str) -> Path:
    """Return the folder of a model: `tiny` is shipped, any other name is a folder of the same files.

    Raises `BadInput` for a model that cannot be loaded (yet) or a folder that is not there.
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

    Raises `BadInput` as `model_folder` does, and `WeightsMismatch` naming every file that is not there.
    """
    folder = model_folder(name)
    files = {part: folder / f"{part}.safetensors" for part in PARTS}
    missing = [file.name for file in files.values() if not file.is_file()]
    if missing:
        cure = "Run `git checkout -- portraittalk_core/assets` or `make train-tiny`"
        cure = cure if name == "tiny" else "Give the folder of a complete model, such as that of tiny"
        raise WeightsMismatch(
            f"{folder}: a model must hold {len(PARTS)} files, but lacks {', '.join(missing)}. {cure}."
        )
    return files


def save_modules(path: Path | str, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write tensors in half precision with their configuration in the metadata, whole or not at all."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = {k: (v.half() if v.is_floating_point() else v).detach().cpu().contiguous() for k, v in tensors.items()}
    part = path.with_name(path.name + ".part")
    save_file(half, part, metadata={"format": "pt", "config": json.dumps(config, sort_keys=True)})
    os.replace(part, path)


def save_denoiser(path: Path | str, tensors: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Write `unet.*`, `identity_net.*` and `animate_net.*` of a model as one file."""
    save_modules(path, tensors, to_mapping(config))


def load_denoiser(path: Path | str) -> tuple[ModelConfig, UNet2DConditionModel, IdentityNet, AnimateNet]:
    """Read a denoiser, float32, frozen. Raises `WeightsMismatch` unless every tensor fits."""
    values, tensors = read_tensors(path)
    config = from_mapping(ModelConfig, values, str(path))
    nets: dict[str, nn.Module] = {
        "unet": builders.unet(config),
        "identity_net": builders.identity_net(config),
        "animate_net": builders.animate_net(config),
    }
    _fill(path, nets, tensors)
    return config, *nets.values()  # pyright: ignore[reportReturnType]


def load_adapters(path: Path | str) -> tuple[ModelConfig, IdentityNet, AnimateNet]:
    """Read what goes with a U-Net, not the U-Net, from a denoiser's file; else as `load_denoiser`."""
    values, tensors = read_tensors(path)
    config = from_mapping(ModelConfig, values, str(path))
    own = {k: v for k, v in tensors.items() if not k.startswith("unet.")}
    nets = {"identity_net": builders.identity_net(config), "animate_net": builders.animate_net(config)}
    _fill(path, nets, own)
    return config, *nets.values()  # pyright: ignore[reportReturnType]


def load_vae(path: Path | str) -> AutoencoderTiny:
    """Read a VAE of the TAESD layout, float32, frozen. Raises `WeightsMismatch` unless every tensor fits."""
    config, tensors = read_tensors(path)
    try:
        vae = build_tiny_vae(**config)
    except TypeError as error:
        raise WeightsMismatch(f"{path}: is no VAE of the tiny model ({error}). Name its vae.safetensors.") from error
    _check(path, vae.state_dict(), tensors)
    vae.load_state_dict(tensors)
    return vae.eval().requires_grad_(False)


def read_tensors(path: Path | str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a file's configuration and its tensors as float32.

    A pickle is read if it is nothing but `{"config": JSON text, "state_dict": tensors}`. Raises `WeightsMismatch` for
    a file that is missing, unreadable, or without configuration, and `UnsafeWeights` for any other pickle.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsMismatch(f"{file}: there is no such weights file. Give the folder of a complete model.")
    metadata, tensors = _from_pickle(file) if _is_pickle(file) else _from_safetensors(file)
    try:
        config = json.loads(metadata["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsMismatch(f"{file}: has no configuration in its metadata. Use a file of this project.") from error
    return config, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def _fill(path: Path | str, nets: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Load tensors into networks by the names that they have in the file, and freeze them."""
    expected = {f"{name}.{k}": v for name, net in nets.items() for k, v in net.state_dict().items()}
    _check(path, expected, tensors)
    for name, net in nets.items():
        net.load_state_dict({k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")})
        net.eval().requires_grad_(False)


def _from_safetensors(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), "pt") as opened:
            return opened.metadata() or {}, {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise WeightsMismatch(f"{file}: cannot be read as safetensors ({error}). Fetch it again.") from error


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as opened:
        start = opened.read(4)
    return start == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05")


def _from_pickle(file: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise UnsafeWeights(
            f"{file}: is a pickle that holds more than tensors, and opening it could run code. Convert it to "
            "safetensors where it came from."
        ) from error
    except (RuntimeError, EOFError, OSError) as error:
        why = str(error).splitlines()[0] if str(error) else "it is cut off"
        raise WeightsMismatch(f"{file}: cannot be read ({why}). Fetch it again.") from error
    values = found if isinstance(found, dict) else {}
    tensors = values.get("state_dict", values)
    named = isinstance(tensors, dict) and {k: v for k, v in tensors.items() if isinstance(v, Tensor)}
    return values, named or {}


def _check(path: Path | str, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Name up to ten tensors that are missing, foreign or of another shape."""
    wrong = [f"{key} is missing" for key in expected if key not in found]
    wrong += [f"{key} is foreign" for key in found if key not in expected]
    wrong += [
        f"{key} is {list(found[key].shape)} instead of {list(value.shape)}"
        for key, value in expected.items()
        if key in found and found[key].shape != value.shape
    ]
    if wrong:
        more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
        raise WeightsMismatch(f"{path}: does not fit its own configuration: {'; '.join(wrong[:_LISTED])}{more}.")
