"""Leave out of a PNG or a JPEG what is damaged beside its pixels, as viewers do.

Pillow refuses a whole picture for one text with a wrong checksum, a profile above a megabyte or an empty record.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 1 << 28
"""Larger files are not looked into."""

MAX_PROFILE_BYTES = 1 << 24
"""Larger colour profiles are passed over; printers' have some megabytes."""

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_PIXELS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_SIZES = {b"gAMA": (4,), b"cHRM": (32,), b"sRGB": (1,)}
_TRANSPARENT = {0: (2,), 2: (6,), 3: range(1, 257)}  # sizes of tRNS for gray, colour and palettes
_SCAN, _COMMENT = 0xDA, 0xFE
_STANDALONE = (0x01, *range(0xD0, 0xD8))
_APPLICATIONS = range(0xE0, 0xF0)
_KEPT = {0xE0: (b"JFIF\0", 14), 0xE1: (b"Exif\0\0", 14), 0xE2: (b"ICC_PROFILE\0", 15), 0xEE: (b"Adobe", 12)}


@dataclass(frozen=True)
class BarePicture:
    """A picture without what stands beside its pixels."""

    data: bytes
    """A file of the same kind."""

    profile: bytes | None = None
    """The colour profile that is not in it any more."""


def bare_picture(path: Path) -> BarePicture | None:
    """Read a picture without its metadata, but for what makes its colours, its transparency and its orientation.

    Args:
        path: The file.

    Returns:
        The picture; None where it is neither PNG nor JPEG, too large, or nothing can be left out.

    Raises:
        OSError: When it cannot be read.
    """
    if path.stat().st_size > MAX_BYTES:
        return None
    data = path.read_bytes()
    found = _bare_png(data) if data.startswith(_PNG) else _bare_jpeg(data) if data.startswith(_JPEG) else None
    return None if found is None or found.data == data else found


def _bare_png(data: bytes) -> BarePicture:
    kept, profile, at = [_PNG], None, len(_PNG)
    sizes = _SIZES | {b"tRNS": _TRANSPARENT.get(data[25], ())} if len(data) > 25 else _SIZES
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        whole = data[at + 8 + size : at + 12 + size] == struct.pack(">I", zlib.crc32(name + content))
        if name in _PIXELS or (whole and (name == b"eXIf" or size in sizes.get(name, ()))):
            kept.append(data[at : at + 12 + size])
        elif name == b"iCCP" and whole:
            profile = _profile(content)
        at += 12 + size
    return BarePicture(b"".join(kept), profile)


def _profile(content: bytes) -> bytes | None:
    """Return what an iCCP chunk holds: a name, the method 0, and a compressed profile."""
    unpack = zlib.decompressobj()
    try:
        found = unpack.decompress(content.partition(b"\0")[2][1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return None
    return found if unpack.eof else None


def _bare_jpeg(data: bytes) -> BarePicture | None:
    kept, at = [_JPEG], len(_JPEG)
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != 0xFF:
            return None
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            return BarePicture(b"".join(kept) + data[at:])
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + size]
        begin, least = _KEPT.get(marker, (b"", 0))
        beside = marker == _COMMENT or marker in _APPLICATIONS
        if not beside or (least and content.startswith(begin) and len(content) >= least):
            kept.append(data[at : at + 2 + size])
        at += 2 + max(2, size)
    return None
