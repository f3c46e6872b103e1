"""Shards of few samples, and what encodes them in a moment."""

from typing import cast

import pytest

from portraittalk_core.checkpoints.native import load_speech_encoder, load_structure
from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.training.denoiser.bank import FrameEncoders
from portraittalk_core.training.denoiser.shard_bank import Readers
from portraittalk_core.training.denoiser.stages import ASSETS

from .shards import Still, mean_colours, write_shards


@pytest.fixture(scope="package")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="package")
def readers():
    fitter, shaper = load_structure(ASSETS / "structure.safetensors")
    return Readers(fitter, shaper, load_speech_encoder(ASSETS / "speech.safetensors"))


@pytest.fixture(scope="package")
def encoders():
    return FrameEncoders(mean_colours, cast(HeadWarp, Still()), None, "cpu")
