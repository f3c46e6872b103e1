"""What a model of SD1.5's shape begins with: public files, read once and written as this project's own.

A base gives the U-Net, the VAE and the text encoder; FaceID gives IdentityNet; a motion module gives temporal
attention. What follows knows none of these files: it finds `start.safetensors`, `vae.safetensors`, `text.safetensors`
and a tokenizer.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoints.base import load_base_part
from ..checkpoints.catalogue import entries, find, search_folders
from ..checkpoints.detect import Kind, detect
from ..checkpoints.identity import load_identity
from ..checkpoints.native import SD15_LAYOUT, save_modules
from ..checkpoints.temporal import load_temporal
from ..checkpoints.tokenizer import load_clip_tokenizer
from ..checkpoints.writing import save_tensors
from ..config import ModelConfig
from ..errors import BadInput
from ..hosts.kl_vae import KlVae
from ..nets.identity_net import IdentityNet

logger = logging.getLogger(__name__)

SOURCES = ("base", "vae", "tokenizer", "identity", "temporal")
"""What can be named, as `portraittalk train` calls it."""

_RECORD = "ground.json"


@dataclass(frozen=True)
class Ground:
    """Files that a run begins with."""

    model: ModelConfig
    """What is trained, with the sizes that the files ask for."""

    vae: Path
    """Makes latents."""

    text: Path
    """Reads captions; its tokenizer lies beside it."""

    start: Path
    """Weights by the names of `denoiser.objective`."""


def make_ground(folder: Path, model: ModelConfig, sources: Mapping[str, str]) -> Ground:
    """Read public files and write what a run begins with, unless that was done already.

    Args:
        folder: Where it lies.
        model: Of SD1.5's shape.
        sources: Paths or names of the catalogue, by `SOURCES`; `base` is needed.

    Raises:
        BadInput: For files that cannot serve, or another choice of files than the folder was made with.
        WeightsMismatch: For files that are something else.
    """
    if "base" not in sources:
        raise BadInput(f"{model.name} begins with an SD1.5 checkpoint. Name one: `--base FILE`, or a diffusers folder.")
    found = {name: _found(name, given) for name, given in sources.items()}
    identity = load_identity(found["identity"]) if "identity" in found and _usable(found["identity"]) else None
    temporal = load_temporal(found["temporal"]) if "temporal" in found else None
    if identity is not None:
        assert isinstance(identity.net, IdentityNet)
        model = replace(model, identity_tokens=identity.net.image_proj.tokens)
    if temporal is not None:
        model = replace(model, temporal_frames=temporal.net.max_frames)
    made = Ground(model, folder / "vae.safetensors", folder / "text.safetensors", folder / "start.safetensors")
    said = {name: str(path.resolve()) for name, path in found.items()}
    if _is_made(folder, said):
        return made
    folder.mkdir(parents=True, exist_ok=True)
    _write_encoders(folder, found)
    tensors: dict[str, Tensor] = {}
    unet = load_base_part(found["base"], "unet").state_dict()
    for patch in () if identity is None else identity.lora:
        unet[f"{patch.module}.weight"] += patch.up @ patch.down
    nets: dict[str, Mapping[str, Tensor]] = {"unet": unet}
    nets |= {} if identity is None else {"identity_net": identity.net.state_dict()}
    nets |= {} if temporal is None else {"animate_net.temporal": temporal.net.state_dict()}
    for prefix, state in nets.items():
        tensors |= {f"{prefix}.{name}": value.half().contiguous() for name, value in state.items()}
    save_tensors(tensors, made.start)
    (folder / _RECORD).write_text(json.dumps(said, indent=1), encoding="utf-8")
    logger.info("begin with %s", ", ".join(f"{name}: {path}" for name, path in found.items()))
    return made


def _usable(path: Path) -> bool:
    found = detect(path)
    if found.kind not in (Kind.FACEID, Kind.FACEID_PORTRAIT):
        raise BadInput(
            f"`identity` must be ip-adapter-faceid or -portrait, but {path} is {found}: FaceID-Plus looks at the face "
            "with CLIP as well, which this IdentityNet does not. Name one of the two, or leave it out."
        )
    return True


def _is_made(folder: Path, said: Mapping[str, str]) -> bool:
    record = folder / _RECORD
    if not record.exists():
        return False
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{record} is damaged. Delete {folder}, or name another --out.") from error
    if before != said:
        raise BadInput(
            f"{folder} was made of {before}, but now {dict(said)} is named. Name the same, or another --out."
        )
    return True


def _write_encoders(folder: Path, found: Mapping[str, Path]) -> None:
    base = found["base"]
    vae = KlVae(load_base_part(found.get("vae", base), "vae"))
    save_modules(folder / "vae.safetensors", vae.state_dict(), SD15_LAYOUT)
    text: Any = load_base_part(base, "text_encoder")
    inner = getattr(text, "text_model", text)
    tensors = {f"text_model.{name}": value for name, value in inner.state_dict().items()}
    save_modules(folder / "text.safetensors", tensors, SD15_LAYOUT)
    _copy_tokenizer(found.get("tokenizer", base / "tokenizer"), folder / "tokenizer")


def _copy_tokenizer(source: Path, target: Path) -> None:
    if not source.exists():
        entry = next(entry for entry in entries() if entry.name == "clip-tokenizer")
        other = find(entry, search_folders(None))
        if other is None:
            raise BadInput(
                "the base has no tokenizer with it. Name CLIP's: `--tokenizer tokenizer.json`, or its folder."
            )
        source = other
    load_clip_tokenizer(source)  # refuses another one
    target.mkdir(parents=True, exist_ok=True)
    files = [source] if source.is_file() else [f for f in source.iterdir() if f.suffix in (".json", ".txt")]
    for file in files:
        shutil.copyfile(file, target / ("tokenizer.json" if source.is_file() else file.name))


def _found(name: str, given: str) -> Path:
    """Return where a file is that is named by path or by its name in the catalogue."""
    if name not in SOURCES:
        raise BadInput(f"`{name}` must be one of {', '.join(SOURCES)}. Check the name.")
    if Path(given).exists():
        return Path(given)
    known = {entry.name: entry for entry in entries()}
    place = find(known[given], search_folders(None)) if given in known else None
    if place is None:
        raise BadInput(
            f"`--{name}` must be a file, a folder or a name of `portraittalk models list` that is here, but is {given}."
        )
    return place
