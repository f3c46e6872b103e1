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
    """Files of networks that are not ours to ship, as the user names them; None: the score has no figure."""

    syncnet: Path | None = None
    inception: Path | None = None
    i3d: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """Return the files that were named, by score."""
        named = {"LSE": self.syncnet, "FID": self.inception, "FVD": self.i3d}
        return {score: path for score, path in named.items() if path is not None}

    def check(self) -> None:
        """Open every file and try it, before anything slow begins.

        Raises `MissingExtra` for a file that is not there, `WeightsMismatch` for one that is another network.
        """
        for score in self.given:
            if score == "LSE":
                self.sync_network()
            else:
                self.features(score)(torch.zeros(_PROBES[score], dtype=torch.uint8))

    def sync_network(self) -> SyncNetwork:
        """Return SyncNet, on the CPU."""
        return load_syncnet(find_weights("LSE", self.syncnet)).net

    def features(self, score: str) -> FeatureNetwork:
        """Return the network of "FID" or "FVD", on the CPU."""
        return load_features(score, self.given.get(score))

    def described(self) -> dict[str, str]:
        """Return a line for each file that was named: other contents, another line."""
        return {f"network of {score}": f"{path.name}, sha256 {_digest(path)}" for score, path in self.given.items()}


def unavailable(given: Collection[str] = ()) -> dict[str, str]:
    """Return the scores that have no network as only the files in `given` were named, each with the remedy."""
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
