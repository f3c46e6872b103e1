"""Open what a preparation looks and listens with."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..checkpoints.native import load_structure, model_folder
from ..evaluation.scoring.network_files import NetworkFiles
from ..evaluation.scoring.tracks import MeshFinder, PackFinder, open_finder
from ..perception.face import FaceAnalyser
from ..perception.voice_separation import SEPARATOR, check_separator, separate_voice
from ..types import SPEECH_RATE, Sound
from .cache import open_cache
from .clip import Embed, Tools
from .cuts import detector
from .decoding import Picture, pixels_of
from .settings import Settings


def open_tools(settings: Settings) -> Tools:
    """Open the networks that settings name.

    Args:
        settings: Of the preparation.

    Raises:
        BadInput: When `faces` is no detector of MediaPipe's points.
        BadMedia: When voices cannot be taken out of music, as without the network that does it.
        MissingExtra: When a package or a file is not there.
        WeightsMismatch: When a file holds another network.
    """
    tiny = model_folder("tiny")
    fitter = load_structure(tiny / "structure.safetensors")[0].eval()
    network = NetworkFiles(syncnet=Path(settings.syncnet)).sync_network() if settings.syncnet else None
    cache = open_cache(settings.latents, settings.speech) if settings.latents else None
    separate = _separator() if settings.separate_voice else None
    return Tools(open_finder(settings.faces), _embedder(settings.identity), fitter, network, cache, separate)


def _embedder(pack: str | None) -> Embed:
    analyser = FaceAnalyser(pack or model_folder("tiny") / "faces")

    def by_points(picture: Picture, points: Float[Tensor, "478 2"]) -> Float[Tensor, "512"]:
        return analyser.embed(pixels_of(picture), points)

    def by_search(picture: Picture, points: Float[Tensor, "478 2"]) -> Float[Tensor, "512"] | None:
        found = analyser.find(pixels_of(picture))
        return found[0].embedding if found else None

    return by_points if pack is None else by_search


def described(settings: Settings, tools: Tools) -> dict[str, str]:
    """Say what looks and listens, for the index and the report.

    Args:
        settings: Of the preparation.
        tools: As they were opened.
    """
    known = isinstance(tools.finder, (PackFinder, MeshFinder))
    return {
        "cuts": detector(),
        "points": tools.finder.name if known else type(tools.finder).__name__,
        "embeddings": Path(settings.identity).name if settings.identity else "tiny face pack",
        "coefficients and pose": "the tiny model's fitter",
        "sync": "SyncNet, ADFD below 4 s" if tools.network is not None else "ADFD (no SyncNet was named)",
        "captions": "a command" if settings.caption else "tags of what is measured",
        "latents": tools.cache.name if tools.cache is not None else "none: training makes them",
        "music": _music(tools),
    }


def _separator() -> Callable[[Sound], Sound]:
    """Return what takes voices out, tried once: without its network every clip would be left out."""
    check_separator()
    separate_voice(Sound(0.1 * torch.sin(torch.arange(SPEECH_RATE) / 10.0)[None], SPEECH_RATE))
    return separate_voice


def _music(tools: Tools) -> str:
    if tools.separate is not None:
        return f"taken out, by audio-separator's {SEPARATOR}"
    here = find_spec("audio_separator") is not None
    return "not taken out: " + ("--separate-voice does it" if here else "audio-separator is not installed")
