"""Figures of a whole set of clips against the set of their references: FID, FVD and E-FID.

Such a figure compares two heaps of rows, and no clip has one of its own. The rows of a clip are taken while it is
scored and lie beside its results, so that a run that was stopped need not take them again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...checkpoints.native import load_structure, model_folder
from ...errors import BadInput, BadMedia, PortraitTalkError, WeightsMismatch
from ...media.target import Partial
from ...media.video import probe
from ...metrics.features import FeatureNetwork, clip_features, picture_features
from ...metrics.functional import e_fid, frechet_distance, frechet_note
from ...motion.structure import FaceFitter, fit_motion
from .figures import FID_EVERY, SET_FIGURES
from .network_files import NetworkFiles
from .pictures import pixels_of
from .summary import jackknife

if TYPE_CHECKING:
    from .score import Clip
    from .tracks import Track

MADE, TRUE = "made", "true"
"""The two sides: what is judged, and its reference."""

Rows = dict[str, Float[Tensor, "n d"]]
"""Rows of one clip by side and figure, such as `made.fid`."""

_CHUNK = 8
_DIGITS = 6
_DISTANCES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "fid": frechet_distance,
    "fvd": frechet_distance,
    "e_fid": e_fid,
}


class RowTaker:
    """Takes the rows of clips. Networks are opened when first needed; a reference's rows are kept while clips share it.

    files: the user's; without Inception there is no FID and without I3D no FVD. E-FID needs nothing but landmarks.
    """

    def __init__(self, files: NetworkFiles) -> None:
        self._files = files
        self._networks: dict[str, FeatureNetwork] = {}
        self._fitter: FaceFitter | None = None
        self._known: tuple[Path, Rows] | None = None

    def pictures(self, path: Path, reference: Path, fps: float) -> tuple[Rows, list[str]]:
        """Return the rows for FID and FVD of a clip and of its reference, and lines about what could not be taken.

        Faces do not matter here: a clip whose face is lost counts like any other. fps: the clip's; FVD judges motion,
        hence a reference of another rate has no rows for it.
        """
        if self._known is None or self._known[0] != reference:
            self._known = (reference, {})
        rows: Rows = {}
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
                rows |= {f"{MADE}.{key}": self._features(score, path), f"{TRUE}.{key}": self._known[1][key]}
            except BadInput as error:
                lines.append(str(error))
        return rows, lines

    def expressions(self, track: Track, reference: Track) -> tuple[Rows, list[str]]:
        """Return the rows for E-FID: the expression in every frame that shows a face."""
        rows: Rows = {}
        try:
            self._fitter = self._fitter or load_structure(model_folder("tiny") / "structure.safetensors")[0]
            for side, seen in ((MADE, track), (TRUE, reference)):
                known = seen.landmarks[torch.isfinite(seen.landmarks).flatten(1).all(1)]
                rows[f"{side}.e_fid"] = fit_motion(known.float(), seen.fps, self._fitter).coefficients.cpu()
        except (BadInput, WeightsMismatch) as error:
            return {}, [f"E-FID: unscored, {' '.join(str(error).split())}"]
        return rows, []

    def _features(self, score: str, path: Path) -> Float[Tensor, "n d"]:
        if score not in self._networks:
            self._networks[score] = self._files.features(score)
        pictures, network = pixels_of(path, _CHUNK), self._networks[score]
        return picture_features(pictures, network, FID_EVERY) if score == "FID" else clip_features(pictures, network)


def write_rows(path: Path, rows: Rows) -> None:
    """Write the rows of a clip, whole or not at all; raises `BadMedia` where that cannot be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Partial(path) as partial:
            save_file({name: values.contiguous().clone() for name, values in rows.items()}, partial)
    except (OSError, SafetensorError) as error:
        raise BadMedia(f"The report `{path}` cannot be written ({error}). Choose another folder.") from error


def set_figures(clips: Sequence[Clip], total: int, rows_file: Callable[[Clip], Path]) -> dict[str, dict[str, Any]]:
    """Return every figure of the set that clips have rows for: value, interval, what it was taken from, what to know.

    clips: those that are done, of `total`; rows_file: where the rows of a clip lie. A clip counts where both it and its
    reference have rows; a reference that several clips share counts once. value is None, with a line that says why,
    where the distance cannot be taken. Raises `BadMedia` for rows that cannot be read.
    """
    compared = [clip for clip in clips if clip.reference is not None]
    found: dict[str, dict[str, Any]] = {}
    for figure in SET_FIGURES:
        pairs = _pairs(figure.key, compared, rows_file)
        if not pairs:
            continue
        distance = _DISTANCES[figure.key]
        first, second = _joined(pairs)
        lines: list[str] = []
        bounds: dict[str, float | None] = dict.fromkeys(("value", "low", "high"))
        try:
            mean = jackknife(distance(first, second), _of_some(pairs, distance), len(pairs))
            bounds = {
                name: None if number is None else round(number, _DIGITS)
                for name, number in (("value", mean.value), ("low", mean.low), ("high", mean.high))
            }
            note = frechet_note(first, second)
            lines += [] if note is None else [note]
        except PortraitTalkError as error:
            lines.append(f"{figure.title}: unscored, {' '.join(str(error).split())}")
        counts = {"clips": len(pairs), "of": total, "rows": len(first), "reference_rows": len(second)}
        found[figure.key] = {**bounds, **counts, "how": figure.how, "notes": lines}
    return found


@dataclass(frozen=True)
class _Pair:
    """Rows of a clip and of its reference, which other clips may share."""

    made: Float[Tensor, "n d"]
    true: Float[Tensor, "m d"]
    reference: Path


def _pairs(key: str, clips: Sequence[Clip], rows_file: Callable[[Clip], Path]) -> list[_Pair]:
    found: list[_Pair] = []
    for clip in clips:
        rows = _read(rows_file(clip), key)
        if rows is not None and clip.reference is not None:
            found.append(_Pair(*rows, clip.reference.resolve()))
    return found


def _joined(pairs: Sequence[_Pair]) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    true: dict[Path, Tensor] = {}
    for pair in pairs:
        true.setdefault(pair.reference, pair.true)
    return torch.cat([pair.made for pair in pairs]), torch.cat(list(true.values()))


def _of_some(pairs: Sequence[_Pair], distance: Callable[[Tensor, Tensor], float]) -> Callable[[Sequence[int]], float]:
    return lambda kept: distance(*_joined([pairs[number] for number in kept]))


def _read(path: Path, key: str) -> tuple[Tensor, Tensor] | None:
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
