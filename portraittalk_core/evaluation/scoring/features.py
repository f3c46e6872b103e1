"""Features of a clip and of its reference, from which figures of the whole set are taken: FID, FVD, E-FID.

No clip has such a figure of its own. The features of a clip are taken while it is scored and lie beside its results, so
that a run that was stopped need not take them again.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...checkpoints.native import load_structure, model_folder
from ...checkpoints.writing import save_tensors
from ...errors import BadInput, BadMedia, WeightsMismatch
from ...media.target import Partial
from ...media.video import probe
from ...media.write_errors import write_failure
from ...metrics.features import FeatureNetwork, clip_features, picture_features
from ...motion.structure import FaceFitter, fit_motion
from .figures import FID_EVERY
from .network_files import NetworkFiles
from .pictures import pixels_of
from .tracks import Track

MADE, TRUE = "made", "true"
"""The two sides: what is judged, and its reference."""

Features = dict[str, Float[Tensor, "n d"]]
"""Features of one clip by side and figure, such as `made.fid`; a row a picture, clip or frame."""

_CHUNK = 8


class FeatureExtractor:
    """Takes the features of clips.

    Networks are opened when first needed; a reference's features are kept while clips share it. Without Inception there
    is no FID and without I3D no FVD; E-FID needs nothing but landmarks.

    Args:
        files: The networks that the user brought.
    """

    def __init__(self, files: NetworkFiles) -> None:
        self._files = files
        self._networks: dict[str, FeatureNetwork] = {}
        self._fitter: FaceFitter | None = None
        self._known: tuple[Path, Features] | None = None

    def pictures(self, path: Path, reference: Path, fps: float) -> tuple[Features, list[str]]:
        """Take the features for FID and FVD. Faces do not matter: a clip whose face is lost counts like any other.

        Args:
            path: The clip.
            reference: Its true video.
            fps: Frames a second of the clip. FVD judges motion, hence a reference of another rate has no features.

        Returns:
            The features of both, and lines about what could not be taken.
        """
        if self._known is None or self._known[0] != reference:
            self._known = (reference, {})
        features: Features = {}
        lines: list[str] = []
        for score in ("FID", "FVD"):
            key = score.lower()
            if score not in self._files.given:
                continue
            try:
                other_fps = probe(reference).fps
                if score == "FVD" and abs(other_fps - fps) > 0.01:
                    raise BadInput(f"FVD: unscored, it must have the clip's {fps:g} frames a second, not {other_fps:g}")
                if key not in self._known[1]:
                    self._known[1][key] = self._features(score, reference)
            except (BadInput, BadMedia) as error:
                lines.append(f"reference: {' '.join(str(error).split())}")
                continue
            try:
                features |= {f"{MADE}.{key}": self._features(score, path), f"{TRUE}.{key}": self._known[1][key]}
            except BadInput as error:
                lines.append(str(error))
        return features, lines

    def expressions(self, track: Track, reference: Track) -> tuple[Features, list[str]]:
        """Take the features for E-FID: the expression coefficients in every frame that shows a face.

        Args:
            track: Of the clip.
            reference: Of its true video.

        Returns:
            The features of both, and lines about what could not be taken.
        """
        features: Features = {}
        if track.mesh is None or reference.mesh is None:
            return {}, [
                "E-FID: unscored, it needs a detector of MediaPipe's points. Leave --faces out, or name a .task."
            ]
        try:
            self._fitter = self._fitter or load_structure(model_folder("tiny") / "structure.safetensors")[0]
            for side, mesh in ((MADE, track.mesh), (TRUE, reference.mesh)):
                known = mesh[torch.isfinite(mesh).flatten(1).all(1)]
                features[f"{side}.e_fid"] = fit_motion(known.float(), track.fps, self._fitter).coefficients.cpu()
        except (BadInput, WeightsMismatch) as error:
            return {}, [f"E-FID: unscored, {' '.join(str(error).split())}"]
        return features, []

    def _features(self, score: str, path: Path) -> Float[Tensor, "n d"]:
        if score not in self._networks:
            self._networks[score] = self._files.features(score)
        pictures, network = pixels_of(path, _CHUNK), self._networks[score]
        return picture_features(pictures, network, FID_EVERY) if score == "FID" else clip_features(pictures, network)


def write_features(path: Path, features: Features) -> None:
    """Write the features of a clip, whole or not at all.

    Args:
        path: A safetensors file; its folder is made.
        features: Of both sides.

    Raises:
        BadMedia: When the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Partial(path) as partial:
            save_tensors({name: values.contiguous().clone() for name, values in features.items()}, partial)
    except (OSError, SafetensorError) as error:
        raise write_failure(path, error, "The report") from error


def read_features(path: Path, key: str) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]] | None:
    """Read what `write_features` wrote.

    Args:
        path: The file.
        key: Of the figure.

    Returns:
        The features of the clip and of its reference; None where there is no such file or it lacks one of them.

    Raises:
        BadMedia: When the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(str(path), "pt") as file:
            names = (f"{MADE}.{key}", f"{TRUE}.{key}")
            if not set(names) <= set(file.keys()):
                return None
            return file.get_tensor(names[0]), file.get_tensor(names[1])
    except (OSError, SafetensorError) as error:
        raise BadMedia(f"`{path}` cannot be read ({error}). Delete it, and its clip is scored again.") from error
