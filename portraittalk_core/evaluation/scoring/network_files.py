"""The networks that a user brings for LSE, FID and FVD: where they are, whether they are right, what they are called.

Only paths travel, so that workers of a cluster open the files themselves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import torch

from ...checkpoints.syncnet import load_syncnet
from ...metrics.features import CLIP_FRAMES, FeatureNetwork, load_features
from ...metrics.networks import NEEDED, find_weights
from ...metrics.sync import SyncNetwork

OPTIONS = {"LSE": "--syncnet", "FID": "--inception", "FVD": "--i3d"}
"""The option that names the file of a score's network."""

_PROBES = {"FID": (1, 3, 32, 32), "FVD": (1, 3, CLIP_FRAMES, 32, 32)}


@dataclass(frozen=True)
class NetworkFiles:
    """Files of networks that are not ours to ship, as the user names them. None: the score has no figure."""

    syncnet: Path | None = None
    """syncnet_v2.model, for LSE."""

    inception: Path | None = None
    """StyleGAN2-ADA's inception-2015-12-05.pt (TorchScript), for FID."""

    i3d: Path | None = None
    """StyleGAN-V's i3d_torchscript.pt, for FVD."""

    @property
    def given(self) -> dict[str, Path]:
        """The files that were named, by score."""
        named = {"LSE": self.syncnet, "FID": self.inception, "FVD": self.i3d}
        return {score: path for score, path in named.items() if path is not None}

    def check(self) -> None:
        """Open every file and try it, before anything slow begins.

        Raises:
            MissingExtra: When a file is not there.
            WeightsMismatch: When a file holds another network.
        """
        for score in self.given:
            if score == "LSE":
                self.sync_network()
            else:
                self.features(score)(torch.zeros(_PROBES[score], dtype=torch.uint8))

    def sync_network(self) -> SyncNetwork:
        """Load SyncNet onto the CPU."""
        return load_syncnet(find_weights("LSE", self.syncnet)).net

    def features(self, score: str) -> FeatureNetwork:
        """Load the feature network of a score onto the CPU.

        Args:
            score: `FID` or `FVD`.

        Returns:
            A network from uint8 pictures or clips to rows of features.

        Raises:
            MissingExtra: When its file is not there.
            WeightsMismatch: When it is another network.
        """
        return load_features(score, self.given.get(score))

    def described(self) -> dict[str, str]:
        """Describe each file that was named in a line: other contents, another line."""
        return {f"network of {score}": f"{path.name}, sha256 {_digest(path)}" for score, path in self.given.items()}


def unavailable(given: Collection[str] = ()) -> dict[str, str]:
    """Name the scores that have no network.

    Args:
        given: Scores whose file was named.

    Returns:
        By score, a line with the fix.
    """
    return {
        score: f"{score}: unscored, it needs `{NEEDED[score].file}`, which was not given. Get it from "
        f"{NEEDED[score].source}, and name it with {option}"
        + (" --suite full." if score == "LSE" else " --suite full and the true videos with --reference.")
        for score, option in OPTIONS.items()
        if score not in given
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:12]
