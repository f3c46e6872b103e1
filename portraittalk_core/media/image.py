"""Read and write pictures; the only place where pixel ranges change.

Inside the package pixels are float32 in [-1, 1], channels first. Files and encoders want bytes.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from ..errors import BadMedia
from ..types import CropPlace
from .bare_picture import bare_picture
from .png_colour import as_srgb
from .target import PICTURE_SUFFIXES, Partial, check_disk, check_target, existing_file
from .write_errors import write_failure

if TYPE_CHECKING:
    from PIL.Image import Image

logger = logging.getLogger(__name__)

MAX_PIXELS = 100_000_000
"""Pictures with more pixels than this are refused by their header, before anything is decoded."""

LONGEST_SIDE = 1536
"""Larger pictures are reduced to this; a face is looked at with far fewer pixels."""

PIL_ERRORS = (
    *(OSError, SyntaxError, ValueError, EOFError, KeyError, TypeError, IndexError, AttributeError),
    *(ArithmeticError, MemoryError, struct.error, zlib.error),
)
"""What PIL's readers let through where a file lies."""

PROGRAMS = ("EPS", "WMF")
"""Formats that are programs, which PIL lets another program run; they are not opened."""

SEQUENCES = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")
"""Formats whose further pictures are an animation or pages. Of other files (a telephone's JPEG, say) they are the same
picture once more, smaller or as depth."""

HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""How pictures of telephones begin, after `ftyp`."""

SMALLEST_SIDE = 32
"""Pictures with a shorter side than this, pixels, are refused."""


def to_bytes(pixels: Float[Tensor, "*b h w"]) -> UInt8[Tensor, "*b h w"]:
    """Convert pixels from [-1, 1] to 0...255, rounding to nearest; values outside are clipped."""
    return pixels.detach().float().add(1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def from_bytes(levels: UInt8[Tensor, "*b h w"]) -> Float[Tensor, "*b h w"]:
    """Convert pixels from 0...255 to float32 in [-1, 1]; `to_bytes` undoes it exactly."""
    return levels.float().div(127.5).sub(1)


def from_pil(picture: Image) -> Float[Tensor, "3 h w"]:
    """Convert an RGB picture of PIL to a tensor in [-1, 1]."""
    import numpy as np

    return from_bytes(torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous())


def to_pil(pixels: Float[Tensor, "3 h w"]) -> Image:
    """Convert a tensor in [-1, 1] to a picture of PIL."""
    from PIL import Image as pil

    return pil.fromarray(to_bytes(pixels).permute(1, 2, 0).contiguous().cpu().numpy(), "RGB")


def resize(pixels: Float[Tensor, "*b 3 h w"], height: int, width: int) -> Float[Tensor, "*b 3 height width"]:
    """Resize pictures with an antialiased bicubic filter.

    Args:
        pixels: In [-1, 1].
        height: Of the result, pixels.
        width: Of the result, pixels.

    Returns:
        The pictures in [-1, 1].
    """
    flat = pixels.reshape(-1, *pixels.shape[-3:])
    scaled = interpolate(flat, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return scaled.clamp(-1, 1).reshape(*pixels.shape[:-2], height, width)


def to_side(pixels: Float[Tensor, "*b 3 s s"], side: int) -> Float[Tensor, "*b 3 side side"]:
    """Resize square pictures; those of that side are returned themselves.

    Args:
        pixels: In [-1, 1].
        side: Of the result, pixels.
    """
    return pixels if pixels.shape[-1] == side else resize(pixels, side, side)


def cut_square(picture: Float[Tensor, "3 h w"], place: CropPlace) -> Float[Tensor, "3 side side"]:
    """Cut a square out of a picture; beyond the picture its edge pixels are repeated.

    Args:
        picture: Of any range.
        place: Where the square lies.
    """
    height, width = picture.shape[-2:]
    rows = torch.arange(place.top, place.top + place.side).clamp(0, height - 1)
    columns = torch.arange(place.left, place.left + place.side).clamp(0, width - 1)
    return picture[:, rows][:, :, columns]


def read_image(
    path: str | Path, max_pixels: int = MAX_PIXELS, longest_side: int | None = LONGEST_SIDE
) -> Float[Tensor, "3 h w"]:
    """Read a picture of any common kind as upright RGB.

    Rotation by EXIF is applied, transparency is flattened on mid-grey (white would shine through soft hair),
    embedded colour profiles, or what a PNG without one says of its colours, are converted to sRGB, whatever the kind;
    gray, 16-bit, palette, Lab and CMYK pictures are accepted; of an animation or of several pages the first
    picture is taken, which the log says. A damaged EXIF record or profile costs what it says, not the picture.

    Args:
        path: The file.
        max_pixels: A picture with more is refused before it is decoded.
        longest_side: A picture with a longer side is reduced to it; None keeps every size.

    Returns:
        The picture in [-1, 1].

    Raises:
        BadMedia: When the file is not a whole picture of at least 32 x 32 and at most `max_pixels` pixels.
    """
    with open_picture(path, max_pixels) as picture:
        _check_size(path, picture.size, max_pixels)
        try:
            if picture.mode == "F" or (picture.format == "TIFF" and picture.mode == "I"):
                kind = "in floating point" if picture.mode == "F" else "with a sign, or of 32 bits"
                raise BadMedia(
                    f"The picture `{path}` has levels {kind}, of which nobody knows what is white. "
                    "Export it with 8 or 16 bits."
                )
            several = _holds_several(picture)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                upright = _decode(picture, longest_side)
        except PIL_ERRORS as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadMedia(f"The picture `{path}` is damaged ({reason}). Copy or export it again.") from error
    if several:
        logger.warning("`%s` holds several pictures, an animation or pages; only the first is used.", path)
    if min(upright.size) < SMALLEST_SIDE:
        raise BadMedia(f"The picture `{path}` is too narrow: {upright.width} x {upright.height} pixels. Crop it.")
    return from_pil(upright)


def open_picture(path: str | Path, max_pixels: int = MAX_PIXELS) -> Image:
    """Open a picture by PIL, of which only the header is read.

    Args:
        path: The file.
        max_pixels: What the message says of pictures that PIL refuses for their size.

    Raises:
        BadMedia: When it is no picture.
    """
    from PIL import Image as pil

    found = existing_file(path, "picture")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit follows; PIL's remarks on EXIF help nobody
            picture = _opened(found)
        if picture.format in PROGRAMS:
            picture.close()
            raise SyntaxError(picture.format)
        return picture
    except pil.DecompressionBombError as error:
        raise BadMedia(
            f"The picture `{path}` must have at most {max_pixels / 1e6:.0f} Mpx. Reduce it first."
        ) from error
    except PIL_ERRORS as error:
        check_disk(path, error)
        raise BadMedia(f"The picture `{path}` is of no known kind. Save it as PNG or JPEG.") from error


def _opened(path: Path) -> Image:
    """Open a picture, if need be without what is damaged beside its pixels, or by another package."""
    from PIL import Image as pil

    try:
        return pil.open(path)
    except PIL_ERRORS:
        with path.open("rb") as file:
            head = file.read(12)
        if head[4:8] == b"ftyp" and head[8:] in HEIF_BRANDS:
            return _open_heif(path)
        bare = bare_picture(path)
        if bare is None:
            raise
        picture = pil.open(io.BytesIO(bare.data))
    if bare.profile is not None:
        picture.info["icc_profile"] = bare.profile
    logger.warning(
        "What `%s` says beside its pixels is damaged or too large; only colours and orientation are read of it.", path
    )
    return picture


def _open_heif(path: Path) -> Image:
    """Open a picture of a telephone, which Pillow cannot."""
    try:
        from pillow_heif import HeifImageFile  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise BadMedia(
            f"The picture `{path}` is HEIC, which needs another package. Run: pip install pillow-heif; or save it as "
            "PNG or JPEG."
        ) from error
    return HeifImageFile(path)


def _holds_several(picture: Image) -> bool:
    """Return whether a picture moves or has pages; what is damaged behind the first one is not this one's fault."""
    try:
        return picture.format in SEQUENCES and bool(getattr(picture, "is_animated", False))
    except PIL_ERRORS:
        return False


def _check_size(path: str | Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise BadMedia(
            f"The picture `{path}` must have at most {max_pixels / 1e6:.0f} Mpx, but has {width} x {height}. "
            "Reduce it first."
        )
    if min(size) < SMALLEST_SIDE:
        raise BadMedia(
            f"The picture `{path}` must have at least {SMALLEST_SIDE} x {SMALLEST_SIDE} pixels, but has "
            f"{width} x {height}. Use a larger one."
        )


def _decode(picture: Image, longest_side: int | None) -> Image:
    """Return the picture as upright RGB, reduced while it is decoded where its kind allows that."""
    from PIL import Image as pil
    from PIL import ImageOps

    if longest_side is not None and max(picture.size) > longest_side:
        scale = longest_side / max(picture.size)
        reduced = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture.draft(None, reduced)  # a JPEG is then decoded at 1/2, 1/4 or 1/8; others ignore it
        profile = picture.info.get("icc_profile")
        flat = _flatten(picture, profile).resize(reduced, pil.Resampling.LANCZOS, reducing_gap=3.0)
    else:
        flat = _flatten(picture, picture.info.get("icc_profile"))
    flat.info.pop("exif", None)
    flat.getexif()[0x0112] = _orientation(picture)  # the conversions above drop the EXIF record
    return ImageOps.exif_transpose(flat)


def _orientation(picture: Image) -> int:
    """Return how the picture is turned, 1 to 8 as EXIF counts; 1 where the record is missing or damaged."""
    try:
        said: object = picture.getexif().get(0x0112, 1)
    except PIL_ERRORS as error:
        logger.warning("The picture's EXIF record is damaged (%s); it is taken as upright.", error)
        return 1
    return said if isinstance(said, int) and 1 <= said <= 8 else 1


def _flatten(picture: Image, profile: bytes | None) -> Image:
    """Return the picture as opaque 8-bit RGB."""
    from PIL import Image as pil

    picture.load()
    said = picture.info
    if picture.mode.startswith("I"):
        picture = _from_sixteen_bits(picture)
    alpha: Image | None = None
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        alpha = picture.convert("RGBA").getchannel("A")
    gray = picture.mode in ("1", "L", "LA", "La")
    if picture.mode not in ("RGB", "CMYK", "LAB"):
        picture = picture.convert("L" if gray else "RGBA" if alpha else "RGB")
        picture = picture.convert("RGB") if picture.mode == "RGBA" else picture
    flat = _to_srgb(picture, profile) if profile or picture.mode == "LAB" else picture
    flat = flat.convert("RGB")
    if profile is None:
        flat = as_srgb(flat, said)
    if alpha is None:
        return flat
    return pil.composite(flat, pil.new("RGB", flat.size, (128, 128, 128)), alpha)


def _from_sixteen_bits(picture: Image) -> Image:
    """Return a gray picture of 16 bits with 8; PIL's own conversion clips instead of scaling."""
    import numpy as np
    from PIL import Image as pil

    levels = np.asarray(picture).astype(np.float64)
    return pil.fromarray((levels.clip(0, 65535) / 257).round().astype(np.uint8), "L")


def _to_srgb(picture: Image, profile: bytes | None) -> Image:
    """Return the picture in sRGB; a profile that cannot be used is reported and passed over."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        space = str(getattr(getattr(source, "profile", source), "xcolor_space", "")).strip()
        if picture.mode == "L" and space == "RGB":  # gray levels with the profile of a colour picture
            picture = picture.convert("RGB")
        converted = ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, AttributeError) as error:
        logger.warning("The picture's colour profile cannot be used (%s); its colours are taken as sRGB.", error)
        return picture
    return picture if converted is None else converted


def write_image(path: str | Path, pixels: Float[Tensor, "3 h w"]) -> Path:
    """Write a picture, whole or not at all.

    Args:
        path: Ends in .png, .jpg, .jpeg or .webp; an existing file is replaced.
        pixels: RGB in [-1, 1].

    Returns:
        The absolute path.

    Raises:
        BadMedia: When the file cannot be written.
    """
    target = check_target(path, PICTURE_SUFFIXES, folder=False)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG"}.get(target.suffix.lower(), target.suffix[1:].upper())
    try:
        with Partial(target) as partial:
            to_pil(pixels).save(partial, format=kind, quality=95)
    except OSError as error:
        raise write_failure(path, error, "The picture") from error
    return target


def contact_sheet(
    frames: Float[Tensor, "n 3 h w"], columns: int | None = None, gap: int = 4
) -> Float[Tensor, "3 sheet_h sheet_w"]:
    """Lay pictures out in rows on white.

    Args:
        frames: In [-1, 1].
        columns: How many to a row; None makes the sheet about square.
        gap: Between pictures, pixels.

    Returns:
        The sheet in [-1, 1].
    """
    count, _, height, width = frames.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = frames.new_ones(3, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, frame in enumerate(frames):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[:, top : top + height, left : left + width] = frame
    return sheet
