"""Find the networks that some scores need and that are not ours to ship. Nothing is ever downloaded here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingExtra


@dataclass(frozen=True)
class Needed:
    """A network that a score needs."""

    file: str
    """Its usual name."""

    source: str
    """Where its makers publish it."""


NEEDED = {
    "LSE": Needed("syncnet_v2.model", "http://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"),
    "CSIM": Needed("w600k_r50.onnx", "the buffalo_l pack of https://github.com/deepinsight/insightface"),
    "FID": Needed(
        "inception-2015-12-05.pt",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    ),
    "FVD": Needed("i3d_torchscript.pt", "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt (StyleGAN-V's)"),
}
"""Networks that a user must bring, by score."""


def find_weights(score: str, path: str | Path | None) -> Path:
    """Return the file or folder that a score needs.

    A score without its network has no figure at all; a made-up one would be worse than none.

    Args:
        score: A key of `NEEDED`.
        path: Where the user has the network; None: nowhere.

    Raises:
        MissingExtra: Where nothing is there; it says what to get and where.
    """
    if path is not None and Path(path).exists():
        return Path(path)
    needed = NEEDED[score]
    where = "no path was given" if path is None else f"there is nothing at `{path}`"
    raise MissingExtra(f"{score}: unscored, it needs `{needed.file}`, but {where}. Get it from {needed.source}.")
