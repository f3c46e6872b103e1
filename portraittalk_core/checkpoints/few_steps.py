"""Read LoRA files that distil SD1.5's U-Net to a few steps (LCM, AnimateLCM, Hyper-SD), and add them to its weights.

Added to the weights, and not beside them as identity's LoRA is, they cost nothing at a step.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..nets.unet_keys import to_comfy
from ..sites import UNetShape
from .detect import Kind, expect
from .files import Shape, open_weights
from .layouts import SD15_SHAPE, Rule, account, misfit


@dataclass(frozen=True)
class FewSteps:
    """How a U-Net with such a file is sampled."""

    sampler: str
    """Of `diffusion.sampler.SAMPLERS`."""

    steps: int
    """As many as its authors show."""

    strength: float = 1.0
    """Of what is added to the weights."""


FEW_STEPS = {
    "lcm-lora": FewSteps("lcm", 8),
    "animatelcm-lora": FewSteps("lcm", 6, 0.8),
    "hyper-sd15-lora": FewSteps("ddim", 8),
}
"""How the files of the catalogue are sampled, after their model cards; guidance is folded in, so that `cfg` is 1."""

OTHERS = FEW_STEPS["lcm-lora"]
"""The same for a file that only a path names: nothing in it says what it was distilled for."""

_FORMS = (
    re.compile(r"lora_unet_(?P<module>\w+)\.(?P<kind>lora_down\.weight|lora_up\.weight|alpha)"),
    re.compile(r"(?:unet\.|base_model\.model\.)(?P<module>[\w.]+?)\.(?P<kind>lora_[AB](?:\.default)?\.weight|alpha)"),
    re.compile(r"unet\.(?P<module>[\w.]+?)\.(?P<kind>lora\.(?:down|up)\.weight)"),
)
"""Names in files: of kohya's scripts, of PEFT, and of diffusers before it."""

_KINDS = {"lora_down": "down", "lora_up": "up", "alpha": "alpha", "lora_A": "down", "lora_B": "up"}
_TEXT = ("lora_te_", "text_encoder.")


@dataclass(frozen=True)
class LowRankFile:
    """A LoRA of a U-Net."""

    path: Path
    """The file."""
    names: dict[str, dict[str, str]]
    """Names in the file of `down`, `up` and `alpha`, by the weight of a diffusers U-Net that they change."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""

    def added_to(self, weights: Mapping[str, Tensor], strength: float = 1.0) -> dict[str, Tensor]:
        """Return the weights that change, with the LoRA added: in float32, then in their own precision again.

        Args:
            weights: Of a diffusers U-Net, by its names.
            strength: Multiplies what is added.
        """
        found = open_weights(self.path).tensors()
        return {
            name: _added(weights[name], {kind: found[there] for kind, there in parts.items()}, strength)
            for name, parts in self.names.items()
        }


def read_low_rank(path: Path | str, shapes: Mapping[str, Shape], shape: UNetShape = SD15_SHAPE) -> LowRankFile:
    """Hold a LoRA file against a U-Net, reading names only.

    Args:
        path: Of kohya's, PEFT's or diffusers' layout.
        shapes: Of the U-Net's weights by diffusers' names.
        shape: Of the U-Net.

    Raises:
        WeightsMismatch: Unless every tensor has its place.
    """
    expect(path, Kind.LOW_RANK)
    file = open_weights(path)
    places = _places([name for name in shapes if name.endswith(".weight")], shape)
    names: dict[str, dict[str, str]] = {}
    text = {name: size for name, size in file.shapes.items() if name.startswith(_TEXT)}
    wrong: list[str] = []
    for name in file.shapes:
        if name in text:
            continue
        match = next((m for form in _FORMS if (m := form.fullmatch(name))), None)
        place = places.get(match["module"].replace(".", "_")) if match else None
        if match is None or place is None:
            wrong.append(f"{name} is foreign")
        else:
            kind = match["kind"].removeprefix("lora.")
            names.setdefault(place, {})[_KINDS.get(kind.split(".")[0], kind.split(".")[0])] = name
    for place, parts in names.items():
        wrong += _faults(place, parts, file.shapes, shapes[place])
    if wrong or not names:
        raise misfit(f"{path}: must be a LoRA of SD1.5's U-Net", wrong or ["it has no tensors for one"])
    rules = [Rule("the text encoder stays as it is", start=start) for start in _TEXT]
    return LowRankFile(Path(path), names, account(path, "a LoRA of SD1.5's U-Net", {}, text, rules))


def _places(weights: list[str], shape: UNetShape) -> dict[str, str]:
    """Return weights by what files call their layers: diffusers' or LDM's names, with underscores for dots."""
    renamed = to_comfy(dict.fromkeys(weights, torch.empty(0)), shape)
    both = [*zip(weights, weights, strict=True), *zip(renamed, weights, strict=True)]
    return {there.removesuffix(".weight").replace(".", "_"): own for there, own in both}


def _faults(place: str, parts: Mapping[str, str], found: Mapping[str, Shape], weight: Shape) -> list[str]:
    missing = [kind for kind in ("down", "up") if kind not in parts]
    if missing:
        return [f"{place} lacks {' and '.join(missing)}"]
    down, up = found[parts["down"]], found[parts["up"]]
    outer, inner = (weight[0], up[0]), (weight[1], down[1])
    fits = outer[0] == outer[1] and inner[0] == inner[1] and down[0] == up[1]
    kernel = (down[2:] or (1, 1)) == (weight[2:] or (1, 1)) and all(side == 1 for side in up[2:])
    return [] if fits and kernel else [f"{place} is {list(weight)}, its factors are {list(up)} and {list(down)}"]


def _added(weight: Tensor, parts: Mapping[str, Tensor], strength: float) -> Tensor:
    down, up = parts["down"].to(weight.device, torch.float32), parts["up"].to(weight.device, torch.float32)
    rank = down.shape[0]
    factor = strength * (float(parts["alpha"]) / rank if "alpha" in parts else 1.0)
    change = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
    return (weight.float() + factor * change).to(weight.dtype)
