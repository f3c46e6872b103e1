"""A whole model whose denoiser is random: what a test of the machinery needs, without the shipped denoiser."""

import gc
import shutil
from collections import Counter

import pytest
import torch

from portraittalk_core import builders, presets
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.errors import MissingExtra
from portraittalk_core.people.anatomy import load_anatomy
from portraittalk_core.people.context import open_context
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Identity

from .rendered_people import portraits


@pytest.hookimpl(wrapper=True)
def pytest_collection(session):
    """Collect no garbage while tests are collected, then seldom, and pass over what they import: all of it stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)  # by default 700, and what is alive is walked through all the time
        gc.enable()


@pytest.fixture(scope="session")
def random_model(tmp_path_factory) -> PortraitTalk:
    folder = tmp_path_factory.mktemp("model")
    shutil.copytree(weights.ASSETS / "tiny", folder, dirs_exist_ok=True)
    config = presets.tiny()
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        nets = {
            "unet": builders.unet(config),
            "identity_net": builders.identity_net(config),
            "animate_net": builders.animate_net(config),
        }
    tensors = {f"{name}.{key}": value for name, net in nets.items() for key, value in net.state_dict().items()}
    for key, value in tensors.items():  # what starts at zero would hide what it should add
        if not value.any() and value.is_floating_point():
            tensors[key] = 0.02 * torch.randn(value.shape, generator=generator)
    weights.save_denoiser(folder / "denoiser.safetensors", tensors, config)
    return PortraitTalk.load(str(folder), precision="float32")  # what tests compare exactly


@pytest.fixture(scope="session")
def drawing() -> None:
    """Skip, loudly, where people cannot be drawn."""
    try:
        load_anatomy()
        open_context()
    except MissingExtra as error:
        pytest.skip(f"people cannot be drawn here: {error}")


@pytest.fixture(scope="session")
def portrait() -> tuple[torch.Tensor, torch.Tensor]:
    """Return a picture of a person who does not exist [3, 256, 256] and their exact landmarks [478, 2]."""
    pictures, points = portraits()
    return pictures[7], points[7]


@pytest.fixture(scope="session")
def avatar_identity(portrait) -> Identity:
    picture, points = portrait
    embedding = torch.nn.functional.normalize(torch.randn(1, 512, generator=torch.Generator().manual_seed(3)), dim=1)
    return Identity(embedding, picture[None], points[None])


def pytest_terminal_summary(terminalreporter):
    """Say once for each reason what was not tested: pytest would say it once a place, or not at all."""
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.getreports("skipped"))
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {' '.join(reason.split())}")
