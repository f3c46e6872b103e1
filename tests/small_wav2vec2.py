"""wav2vec2-base's file at a size for tests: its names, its letters and its spelling, no configuration."""

import contextlib

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints import speech
from portraittalk_core.perception.speech import TINY_SPEECH, build_wav2vec2

WIDTH = 24
"""Of its features; the real one has 768."""

NUMBERS = {
    **TINY_SPEECH, "hidden_size": WIDTH, "num_hidden_layers": 1, "intermediate_size": 32, "conv_dim": [8, 8, 16],
    "do_stable_layer_norm": False, "mask_time_prob": 0.05,
}  # fmt: skip


def write_public(path, seed=0):
    """Write the file with random weights; return its path."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tensors = {f"wav2vec2.{name}": value for name, value in build_wav2vec2(**NUMBERS).state_dict().items()}
    letters = {"lm_head.weight": torch.zeros(32, WIDTH), "lm_head.bias": torch.zeros(32)}
    save_file({**tensors, **letters}, path, metadata={"format": "pt"})
    return path


@contextlib.contextmanager
def small_public():
    """Read files of the public layout as if wav2vec2-base were of this size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "build_wav2vec2", lambda: build_wav2vec2(**NUMBERS))
        yield
