"""What is damaged beside the pixels of a picture costs what it says, not the picture."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path

import pytest
from PIL import Image

from portraittalk_core.errors import BadMedia
from portraittalk_core.media.image import read_image

from .test_image import RED, level, swapped_profile


def png_with(path: Path, *chunks: tuple[bytes, bytes], whole: bool = True) -> None:
    """Write a red picture with chunks after its header; their checksums are right or not."""
    Image.new("RGB", (64, 64), RED).save(path)
    data = path.read_bytes()
    made = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content) if whole else 1)
        for name, content in chunks
    ]
    path.write_bytes(data[:33] + b"".join(made) + data[33:])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (b"iCCP", b""),
        (b"iCCP", b"x\0\7garbage"),
        (b"zTXt", b"workflow\0\0" + zlib.compress(bytes(1_200_000))),
        (b"pHYs", b"x"),
        (b"gAMA", b"x"),
        (b"cHRM", b"x"),
        (b"sRGB", b""),
        (b"tRNS", b"x"),
        (b"acTL", b"x"),
    ],
    ids=["no profile", "unknown profile", "long text", "size", "gamma", "primaries", "srgb", "transparency", "frames"],
)
def test_what_is_damaged_beside_the_pixels_of_a_png_costs_no_picture(tmp_path, name, content, caplog):
    png_with(tmp_path / "a.png", (name, content))
    assert level(read_image(tmp_path / "a.png"), 20, 20) == pytest.approx(RED, abs=1)
    assert "beside its pixels" in caplog.text


def test_a_wrong_checksum_costs_its_chunk(tmp_path):
    png_with(tmp_path / "a.png", (b"tEXt", b"a\0b"), (b"gAMA", struct.pack(">I", 100_000)), whole=False)
    assert level(read_image(tmp_path / "a.png"), 20, 20) == pytest.approx(RED, abs=1)


@pytest.mark.parametrize(
    "segment",
    [(0xE2, b"ICC_PROFILE\0"), (0xED, b"Photoshop 3.0\x008BIM\4\4"), (0xEE, b"Adobe\0"), (0xE0, b"JFIF\0")],
    ids=["profile", "photoshop", "adobe", "jfif"],
)
def test_what_is_damaged_beside_the_pixels_of_a_jpeg_costs_no_picture(tmp_path, segment):
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (96, 64), RED).save(tmp_path / "a.jpg", quality=95, exif=turned)
    data, (marker, content) = (tmp_path / "a.jpg").read_bytes(), segment
    (tmp_path / "a.jpg").write_bytes(
        data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]
    )
    found = read_image(tmp_path / "a.jpg")
    assert level(found, 20, 20) == pytest.approx(RED, abs=3) and found.shape[-2:] == (96, 64)


def test_a_large_profile_of_a_png_is_honoured(tmp_path):
    large = swapped_profile() + bytes(range(256)) * 6000
    chunk = b"x\0\0" + zlib.compress(struct.pack(">I", len(large)) + large[4:])
    png_with(tmp_path / "a.png", (b"iCCP", chunk))
    assert level(read_image(tmp_path / "a.png"), 20, 20)[2] > 200  # red and blue change places


def test_a_picture_of_a_telephone_names_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.heic").write_bytes(bytes([0, 0, 0, 24]) + b"ftypheic" + bytes(64))
    with pytest.raises(BadMedia, match="pip install pillow-heif"):
        read_image(tmp_path / "a.heic")


def test_heic_is_read_where_its_package_is(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif reads HEIC and is not installed")
    heif.from_pillow(Image.new("RGB", (64, 96), RED)).save(tmp_path / "a.heic", quality=95)
    found = read_image(tmp_path / "a.heic")
    assert found.shape[-2:] == (96, 64) and level(found, 20, 20) == pytest.approx(RED, abs=6)
