"""Read the canonical face out of MediaPipe's face landmarker, a zip with protocol buffers in it."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from ..errors import WeightsMismatch
from ..perception.metric_mesh import POINTS, CanonicalFace

_METADATA = "geometry_pipeline_metadata_landmarks.binarypb"
_FLOATS_A_VERTEX = 5  # position and texture


def read_canonical_face(path: Path | str) -> CanonicalFace:
    """Read the canonical face that MediaPipe's landmarker compares others with.

    Args:
        path: The face landmarker (`.task`).

    Raises:
        WeightsMismatch: When the file is missing or holds no canonical face.
    """
    try:
        with zipfile.ZipFile(path) as task:
            return _parse(task.read(_METADATA))
    except (OSError, KeyError, zipfile.BadZipFile, IndexError, struct.error, ValueError) as error:
        raise WeightsMismatch(
            f"{path}: must be MediaPipe's face landmarker with its geometry, but {error}. Fetch face-landmarker."
        ) from error


def _parse(data: bytes) -> CanonicalFace:
    """Read MediaPipe's `GeometryPipelineMetadata`: a mesh (field 1) and weighted points (field 2)."""
    vertices, weights = np.zeros(0, np.float32), torch.zeros(POINTS)
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            found = [part for field, part in _fields(value) if field == 3]
            packed = b"".join(part if isinstance(part, bytes) else struct.pack("<I", part) for part in found)
            vertices = np.frombuffer(packed, "<f4")
        elif number == 2 and isinstance(value, bytes):
            point = dict(_fields(value))
            (weights[int(point.get(1, 0))],) = struct.unpack("<f", struct.pack("<I", point[2]))
    if len(vertices) != POINTS * _FLOATS_A_VERTEX:
        raise ValueError(f"its mesh has {len(vertices)} numbers instead of {POINTS * _FLOATS_A_VERTEX}")
    positions = torch.from_numpy(vertices.copy()).reshape(POINTS, _FLOATS_A_VERTEX)[:, :3].contiguous()
    return CanonicalFace(positions, weights)


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protocol buffer: number and value; fixed numbers as the integer of their bits."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif kind == 2:
            length, place = _varint(data, place)
            yield key >> 3, data[place : place + length]
            place += length
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield key >> 3, int.from_bytes(data[place : place + size], "little")
            place += size
        else:
            raise ValueError(f"it has a field of kind {kind}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
