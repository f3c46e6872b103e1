"""Load the speech networks: wav2vec2-base-960h, and AniPortrait's audio2mesh and audio2pose around their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..nets.audio_to_mesh import AudioToMesh
from ..nets.audio_to_pose import AudioToPose
from ..perception.speech import SpeechEncoder, build_wav2vec2
from .detect import Kind, expect
from .files import WeightsFile, open_weights
from .layouts import Rule, account, shapes_of

_SPELLINGS = (
    {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"},
    {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"},
)

_LETTERS = Rule("recognises letters, which nothing here needs", start="lm_head.")

_QUANTISER = tuple(
    Rule("only the pre-training of wav2vec 2.0 uses it", start=start)
    for start in ("quantizer.", "project_hid.", "project_q.")
)


@dataclass(frozen=True)
class LoadedSpeech:
    """A speech encoder."""

    encoder: SpeechEncoder
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


@dataclass(frozen=True)
class LoadedAudioToMesh:
    """AniPortrait's audio2mesh."""

    net: AudioToMesh
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


@dataclass(frozen=True)
class LoadedAudioToPose:
    """AniPortrait's audio2pose."""

    net: AudioToPose
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_wav2vec2(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedSpeech:
    """Load wav2vec2-base-960h.

    Args:
        path: The file, with or without its letters, in the old or the new spelling of its weight norm.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor has its place or a reason to be left out.
    """
    expect(path, Kind.WAV2VEC2)
    file = open_weights(path)
    with torch.device("meta"):
        model = build_wav2vec2()
    prefix = "wav2vec2." if "wav2vec2.masked_spec_embed" in file.shapes else ""
    ignored = _fill(model, file, prefix, "wav2vec2-base-960h", dtype, (_LETTERS, *_QUANTISER))
    return LoadedSpeech(SpeechEncoder(model).eval().requires_grad_(False), ignored)


def load_audio_to_mesh(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedAudioToMesh:
    """Load AniPortrait's audio2mesh; else as `load_wav2vec2`."""
    expect(path, Kind.AUDIO2MESH)
    with torch.device("meta"):
        net = AudioToMesh(build_wav2vec2())
    ignored = _fill(net, open_weights(path), "", "AniPortrait's audio2mesh", dtype, ())
    return LoadedAudioToMesh(net.eval().requires_grad_(False), ignored)


def load_audio_to_pose(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedAudioToPose:
    """Load AniPortrait's audio2pose, its positions taken from the file; else as `load_wav2vec2`."""
    expect(path, Kind.AUDIO2POSE)
    with torch.device("meta"):
        net = AudioToPose(build_wav2vec2())
    ignored = _fill(net, open_weights(path), "", "AniPortrait's audio2pose", dtype, ())
    return LoadedAudioToPose(net.eval().requires_grad_(False), ignored)


def _fill(
    net: nn.Module, file: WeightsFile, prefix: str, layout: str, dtype: torch.dtype, rules: tuple[Rule, ...]
) -> dict[str, str]:
    sizes = shapes_of(net.state_dict())
    names = {own: prefix + there for own, there in _spelled(sizes, file).items()}
    expected = {names[own]: size for own, size in sizes.items()}
    ignored = account(file.path, layout, expected, file.shapes, rules)
    tensors = file.tensors(dtype)
    net.load_state_dict({own: tensors[name] for own, name in names.items()}, assign=True)
    return ignored


def _spelled(names: Iterable[str], file: WeightsFile) -> dict[str, str]:
    """Return each name as the file spells it: the weight norm of the position convolution has two spellings.

    Official loaders read these files loosely, so that a name that does not fit is a silent loss; here it is renamed.
    """
    old = any(name.endswith(".weight_g") for name in file.shapes)
    spelling = _SPELLINGS[0 if old else 1]
    spelled: dict[str, str] = {}
    for name in names:
        ending = next((ending for ending in spelling if name.endswith(f".{ending}")), None)
        spelled[name] = name if ending is None else name[: -len(ending)] + spelling[ending]
    return spelled
