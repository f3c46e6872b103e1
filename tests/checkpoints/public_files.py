"""Files in the layouts of the public weights: their full tables of names and shapes, with values of our own.

The tables in `layouts/` were derived by building the public classes; each says in its first line which file it is of.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from math import prod
from pathlib import Path

import torch

from portraittalk_core.sites import UNetShape

FOLDER = Path(__file__).parent / "layouts"
SD15 = UNetShape((320, 640, 1280, 1280), 2, (True, True, True, False), 768, 8)
BYTES = {"F16": 2, "F32": 4, "I64": 8}

Shape = tuple[int, ...]


def layout(name: str) -> dict[str, Shape]:
    """Return the table of a public file, name to shape."""
    rows = (line.split("\t") for line in (FOLDER / f"{name}.txt").read_text().splitlines()[1:])
    return {key: tuple(int(n) for n in size.split("x")) if size != "-" else () for key, size in rows}


def v3_layout() -> dict[str, Shape]:
    """AnimateDiff v3: v1 with 32 positions."""
    return {k: (1, 32, s[2]) if k.endswith(".pe") else s for k, s in layout("mm_sd_v15").items()}


def lcm_layout() -> dict[str, Shape]:
    """AnimateLCM: v2 without positions."""
    return {k: s for k, s in layout("mm_sd_v15_v2").items() if not k.endswith(".pe")}


def reference_layout() -> dict[str, Shape]:
    """AniPortrait's reference_unet: the U-Net without its last norm and convolution."""
    last = ("conv_norm_out.", "conv_out.")
    return {k: s for k, s in layout("aniportrait_denoising_unet").items() if not k.startswith(last)}


def write_hollow(path: Path, shapes: Mapping[str, Shape], kind: str = "F16") -> Path:
    """Write a safetensors file of zeros that takes no room on the disk: a header and a hole."""
    header, offset = {}, 0
    for name, shape in shapes.items():
        size = prod(shape) * BYTES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return path


def numbered(shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
    """Return tensors that take no memory, each filled with its own number: enough to follow a renaming."""
    return {name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items())}


def write_pickle(path: Path, tensors: Mapping[str, torch.Tensor], levels: int = 0, wrapper: str = "") -> Path:
    """Write a pickle as the public ones are: flat, or with the first `levels` name parts as dictionaries."""
    state: dict = {}
    for name, tensor in tensors.items():
        parts = name.split(".", levels)
        holder = state
        for part in parts[:-1]:
            holder = holder.setdefault(part, {})
        holder[parts[-1]] = tensor
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    return path


def random_tensors(
    shapes: Mapping[str, Shape], seed: int = 0, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Return values that keep activations near 1: weights of norms near 1, matrices by their number of inputs."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.empty(shape, dtype=torch.float32).uniform_(-1, 1, generator=generator)
        if len(shape) > 1:
            values *= (3 / prod(shape[1:])) ** 0.5
        else:
            values = 1 + 0.2 * values if name.endswith("weight") else 0.1 * values
        tensors[name] = values.to(dtype)
    return tensors
