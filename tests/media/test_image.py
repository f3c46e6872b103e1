"""Pictures in and out: every kind of file becomes upright RGB in [-1, 1], or one clear line."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from portraittalk_core.errors import BadMedia
from portraittalk_core.media.image import contact_sheet, from_bytes, read_image, resize, to_bytes, write_image

RED, GREEN = (220, 30, 40), (30, 200, 60)


def halves(width: int = 64, height: int = 40) -> Image.Image:
    """A red left half and a green right half."""
    picture = Image.new("RGB", (width, height), RED)
    picture.paste(GREEN, (width // 2, 0, width, height))
    return picture


def level(pixels: torch.Tensor, y: int, x: int) -> list[int]:
    return to_bytes(pixels)[:, y, x].tolist()


def test_bytes_round_trip_exactly():
    levels = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    assert torch.equal(to_bytes(from_bytes(levels)), levels)
    assert from_bytes(levels).min() == -1 and from_bytes(levels).max() == 1


def test_png_round_trip(tmp_path):
    pixels = from_bytes(torch.randint(0, 256, (3, 40, 50), dtype=torch.uint8))
    assert torch.equal(read_image(write_image(tmp_path / "a.png", pixels)), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("turn", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    halves().save(tmp_path / "a.jpg", exif=exif, quality=95)
    pixels = read_image(tmp_path / "a.jpg")
    height, width = pixels.shape[1:]
    assert (height, width) == ((40, 64) if turn < 5 else (64, 40))
    corner = {1: (20, 5), 4: (20, 5), 2: (20, 58), 3: (20, 58), 5: (5, 20), 6: (5, 20), 7: (58, 20), 8: (58, 20)}[turn]
    assert np.abs(np.array(level(pixels, *corner)) - RED).max() < 12


def test_exif_is_applied_after_reduction(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    halves(400, 200).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg", longest_side=100).shape == (3, 100, 50)


def test_alpha_is_flattened_on_mid_grey(tmp_path):
    picture = halves().convert("RGBA")
    picture.putalpha(Image.fromarray(np.repeat([[0] * 32 + [255] * 32], 40, 0).astype(np.uint8)))
    picture.save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png")
    assert level(pixels, 20, 5) == [128, 128, 128]
    assert level(pixels, 20, 60) == list(GREEN)


def test_palette_with_transparency(tmp_path):
    picture = halves().quantize(4)
    picture.save(tmp_path / "a.png", transparency=picture.getpixel((0, 0)))
    pixels = read_image(tmp_path / "a.png")
    assert level(pixels, 20, 5) == [128, 128, 128]
    assert level(pixels, 20, 60) == list(GREEN)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "LA", "YCbCr"])
def test_colour_modes(tmp_path, mode):
    name = tmp_path / ("a.tif" if mode in ("CMYK", "YCbCr") else "a.png")
    halves().convert(mode).save(name)
    try:
        Image.open(name).load()
    except OSError:
        pytest.skip(f"Pillow {PIL.__version__} cannot read the {mode} TIFF that it wrote")
    pixels = read_image(name)
    assert pixels.shape == (3, 40, 64) and pixels.dtype == torch.float32
    if mode in ("L", "LA"):
        assert len(set(level(pixels, 20, 5))) == 1


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(40, 0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    pixels = read_image(tmp_path / "a.png")
    assert pixels[0, 0].tolist() == pytest.approx(np.linspace(-1, 1, 64).tolist(), abs=0.01)


def test_float_levels_are_refused(tmp_path):
    Image.fromarray(np.ones((40, 40), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(BadMedia, match="levels in floating point, of which nobody knows what is white"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["I", "I;32S", "I;16S"])
def test_levels_without_a_known_white_are_refused(tmp_path, mode):
    kind = {"I": np.int32, "I;32S": np.uint32, "I;16S": np.int16}[mode]
    data, head = np.full((40, 40), 100, kind).tobytes(), 8
    tags = {256: 40, 257: 40, 258: 8 * np.dtype(kind).itemsize, 259: 1, 262: 1, 273: 8, 277: 1, 278: 40}
    tags |= {279: len(data), 339: 1 if kind is np.uint32 else 2}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    end = struct.pack("<H", len(tags)) + entries + bytes(4)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHI", b"II", 42, head + len(data)) + data + end)
    with pytest.raises(BadMedia, match="with a sign, or of 32 bits, of which nobody knows what is white|no known kind"):
        read_image(tmp_path / "a.tif")


def test_a_picture_that_is_a_program_is_not_run(tmp_path):
    halves().save(tmp_path / "a.eps")
    with pytest.raises(BadMedia, match="of no known kind. Save it as PNG or JPEG"):
        read_image(tmp_path / "a.eps")


def test_of_an_animation_the_first_picture_is_taken_and_the_log_says_so(tmp_path, caplog):
    for name in ("a.png", "a.gif", "a.webp", "a.tif", "a.mpo"):
        options = {"lossless": True} if name == "a.webp" else {}
        several = "holds several pictures" if name != "a.mpo" else ""  # a telephone's, whose second is smaller or depth
        for more, said in (([Image.new("RGB", (64, 40))], several), ([], "")):
            caplog.clear()
            halves().save(tmp_path / name, save_all=True, append_images=more, **options)
            assert level(read_image(tmp_path / name), 20, 5) == pytest.approx(RED, abs=6), name
            assert said in caplog.text and len(caplog.records) == bool(said), name


def test_large_jpeg_is_reduced_while_decoding(tmp_path):
    halves(2400, 1600).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (3, 1024, 1536)
    assert read_image(tmp_path / "a.jpg", longest_side=None).shape == (3, 1600, 2400)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises any size in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [11_000, 60_000])
def test_huge_picture_is_refused_by_its_header(tmp_path, side, recwarn):
    (tmp_path / "a.png").write_bytes(png_header(side, side))
    with pytest.raises(BadMedia, match="at most 100 Mpx"):
        read_image(tmp_path / "a.png")
    assert not recwarn.list


def encoded(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


BROKEN = {
    "zero.png": (b"", "zero bytes"),
    "text.png": (b"this is not a picture\n" * 9, "no known kind"),
    "cut.png": (encoded("PNG")[:6000], "damaged"),
    "cut.jpg": (encoded("JPEG")[:2500], "damaged"),
    "cut.webp": (encoded("WEBP")[:2000], "damaged|no known kind"),
    "empty.png": (png_header(64, 64), "damaged"),
    "nothing.png": (png_header(0, 0), "no known kind|at least 32 x 32"),
    "dot.png": (png_header(1, 1), "at least 32 x 32"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_pictures_end_in_one_line(tmp_path, name):
    data, rule = BROKEN[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadMedia, match=rule) as caught:
        read_image(tmp_path / name)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(BadMedia, match="there is no"):
        read_image(tmp_path / "none.png")
    with pytest.raises(BadMedia, match="is a folder"):
        read_image(tmp_path)


def test_unusable_colour_profile_is_passed_over_with_a_warning(tmp_path, caplog):
    halves().save(tmp_path / "a.png", icc_profile=b"no profile")
    assert level(read_image(tmp_path / "a.png"), 20, 5) == list(RED)
    assert "colour profile" in caplog.text


def test_contact_sheet_places_frames():
    frames = torch.stack([torch.full((3, 4, 5), value) for value in (-1.0, -0.5, 0.0)])
    sheet = contact_sheet(frames, columns=2, gap=1)
    assert sheet.shape == (3, 9, 11)
    assert sheet[0, 0, 0] == -1 and sheet[0, 0, 6] == -0.5 and sheet[0, 5, 0] == 0
    assert sheet[0, 4, 0] == 1 and sheet[0, 8, 10] == 1


def test_resize_keeps_range_and_flat_colour():
    pixels = torch.full((2, 3, 30, 30), -1.0)
    pixels[..., 15:] = 1.0
    small = resize(pixels, 10, 12)
    assert small.shape == (2, 3, 10, 12) and small.min() >= -1 and small.max() <= 1
    assert torch.allclose(resize(torch.full((3, 9, 9), 0.3), 4, 4), torch.tensor(0.3), atol=1e-5)


def test_writing_fails_clearly(tmp_path):
    with pytest.raises(BadMedia, match="must end in"):
        write_image(tmp_path / "a.xyz", torch.zeros(3, 40, 40))
    with pytest.raises(BadMedia, match="folder must exist"):
        write_image(tmp_path / "no" / "a.png", torch.zeros(3, 40, 40))


def swapped_profile() -> bytes:
    """sRGB whose red and blue primaries have changed places: a picture with it must come back with them changed."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tXYZ", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"tXYZ", b"bXYZ", 1)


@pytest.mark.parametrize(
    ("mode", "name"), [("RGB", "a.png"), ("RGBA", "a.png"), ("P", "a.png"), ("RGBA", "a.webp"), ("RGB", "a.jpg")]
)
def test_a_profile_is_honoured_in_every_mode(tmp_path, mode, name):
    Image.new("RGB", (64, 64), (255, 0, 51)).convert(mode).save(tmp_path / name, icc_profile=swapped_profile())
    red, _, blue = level(read_image(tmp_path / name), 20, 20)
    assert red < 80 and blue > 235


def with_chunks(path, level, gamma=None, places=None, srgb=False) -> None:
    """A PNG of one colour, with what it says of its colours."""
    from PIL.PngImagePlugin import PngInfo

    said = PngInfo()
    if srgb:
        said.add(b"sRGB", b"\0")
    if gamma is not None:
        said.add(b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    if places is not None:
        said.add(b"cHRM", struct.pack(">8I", *(round(100_000 * place) for place in places)))
    Image.new("RGB", (64, 64), level).save(path, pnginfo=said)


SRGB_PLACES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
P3_PLACES = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
SWAPPED = (0.3127, 0.329, 0.15, 0.06, 0.3, 0.6, 0.64, 0.33)
WARM = (0.4476, 0.4074, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


@pytest.mark.parametrize(
    ("said", "level_there", "level_shown"),
    [
        ({}, (200, 100, 50), (200, 100, 50)),
        ({"gamma": 1 / 2.2}, (200, 100, 50), (200, 100, 50)),
        ({"gamma": 1 / 2.2, "places": SRGB_PLACES}, (200, 100, 50), (200, 100, 50)),
        ({"gamma": 1.0, "srgb": True}, (200, 100, 50), (200, 100, 50)),
        ({"gamma": 1.0}, (128, 55, 0), (188, 128, 0)),  # linear light: 1.055 * (128 / 255) ** (1 / 2.4) - .055
        ({"gamma": 1 / 2.2, "places": SWAPPED}, (200, 100, 50), (50, 100, 200)),
        ({"gamma": 1 / 2.2, "places": P3_PLACES}, (200, 100, 50), (216, 92, 24)),  # by the published matrix
        ({"gamma": 1 / 2.2, "places": WARM}, (180, 180, 180), (180, 180, 180)),  # white is white
        ({"gamma": 1 / 2.2, "places": (0,) * 8}, (200, 100, 50), (200, 100, 50)),
        ({"gamma": 0.0}, (200, 100, 50), (200, 100, 50)),
    ],
)
def test_a_png_says_its_colours_without_a_profile(tmp_path, said, level_there, level_shown):
    with_chunks(tmp_path / "a.png", level_there, **said)
    assert level(read_image(tmp_path / "a.png"), 9, 9) == pytest.approx(level_shown, abs=4)


def test_gray_and_cmyk_take_a_profile_of_another_kind(tmp_path, caplog):
    Image.new("L", (64, 64), 124).save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert level(read_image(tmp_path / "a.png"), 9, 9) == [124, 124, 124] and not caplog.records
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "a.tif", icc_profile=swapped_profile())
    assert level(read_image(tmp_path / "a.tif"), 9, 9) == [255, 0, 0] and "cannot be used" in caplog.text


def test_lab_is_read_as_a_viewer_shows_it(tmp_path):
    from PIL import ImageCms

    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    ImageCms.profileToProfile(halves(), srgb, lab, outputMode="LAB").save(tmp_path / "a.tif")
    assert level(read_image(tmp_path / "a.tif"), 20, 5) == pytest.approx(RED, abs=4)


@pytest.mark.parametrize(
    "record",
    [
        bytes(30),
        b"II*\0\xff\xff\xff\xff" + bytes(30),
        b"MM\0*garbage",
        b"II*\0\x08\0\0\0\x10\0\x12\1\x09\0\xff\xff\xff\xff",
    ],
    ids=["empty", "far", "short", "lies"],
)
@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_a_damaged_exif_record_costs_no_picture(tmp_path, record, kind, recwarn):
    Image.new("RGB", (64, 64), RED).save(tmp_path / f"a.{kind}", exif=b"Exif\0\0" + record)
    assert level(read_image(tmp_path / f"a.{kind}"), 20, 20) == pytest.approx(RED, abs=3)
    assert not recwarn.list
