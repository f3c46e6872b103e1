"""Say in a file's metadata that its pictures are synthetic and what made them; read it back.

What is said is the term *trainedAlgorithmicMedia* of the IPTC's vocabulary of digital source types
(https://cv.iptc.org/newscodes/digitalsourcetype/), in the properties of the IPTC Photo Metadata Standard, as an XMP
packet (ISO 16684-1). An MP4 holds it in a `uuid` box at its end and, in words, as a comment; WebP in an `XMP ` chunk;
PNG in a text chunk. The pictures themselves stay as they are, to the bit.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from .image import PIL_ERRORS

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

VERSION: str = import_module(__name__.rpartition(".media.")[0]).__version__
"""Of the package, which names every room and so cannot be imported from in one of them."""

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""The IPTC's vocabulary: what its terms begin with."""

TRAINED = f"{SOURCE_TYPES}trainedAlgorithmicMedia"
"""The term for what a trained model made."""

PNG_XMP = "XML:com.adobe.xmp"
"""The name of the text chunk in which a PNG holds an XMP packet."""

_XMP = "http://ns.adobe.com/xap/1.0/"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # the id of XMP in an ISO base media file
_MOST_XMP = 1_000_000
_ALPHA, _HAS_XMP = 0x10, 0x04  # flags of VP8X


@dataclass(frozen=True)
class Provenance:
    """Where pictures come from."""

    model: str = ""
    """The model that made them; empty where nobody said."""
    made_by: str = f"PortraitTalk {VERSION}"
    """The program and its version."""
    source_type: str = TRAINED
    """A term of the IPTC's digital source types, written out as its address."""

    @property
    def comment(self) -> str:
        """The same in words."""
        model = f", model {self.model}" if self.model else ""
        return f"Synthetic, made by {self.made_by}{model} (digital source type {self.source_type})"

    def to_xmp(self) -> str:
        """Return the XMP packet."""
        fields = {
            "xmp:CreatorTool": self.made_by,
            "Iptc4xmpExt:DigitalSourceType": self.source_type,
            "Iptc4xmpExt:AISystemUsed": self.model,
        }
        said = " ".join(f"{name}={quoteattr(value)}" for name, value in fields.items() if value)
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
            f'<rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about="" xmlns:xmp="{_XMP}" '
            f'xmlns:Iptc4xmpExt="{_IPTC}" {said}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        )

    def to_png(self) -> PngInfo:
        """Return the text chunks of a PNG."""
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("Software", self.made_by)
        info.add_text("Comment", self.comment)
        info.add_itxt(PNG_XMP, self.to_xmp())
        return info


SYNTHETIC = Provenance()
"""Made here, by a model that is not named."""


def add_xmp(path: Path, provenance: Provenance) -> None:
    """Add the XMP packet to a finished .mp4 or .webp; its pictures and its sound are not touched.

    Args:
        path: The file, a whole one.
        provenance: What it says.
    """
    packet = provenance.to_xmp().encode()
    with path.open("r+b") as file:
        if file.read(4) == b"RIFF":
            _add_chunk(file, packet)
        else:
            file.seek(0, 2)
            file.write(struct.pack(">I4s", 24 + len(packet), b"uuid") + _XMP_BOX + packet)


def read_provenance(path: str | Path) -> Provenance | None:
    """Return what a file says of where its pictures come from.

    Args:
        path: A video, a picture, or a folder of pictures, of which the first one in the order of names counts.

    Returns:
        What it says; None where it names no digital source type.
    """
    found = Path(path)
    if found.is_dir():
        found = next((file for file in sorted(found.iterdir()) if file.suffix in (".png", ".webp")), found)
    if not found.is_file():
        return None
    with found.open("rb") as file:
        start = file.read(12)
        packet = _box(file) if start[4:8] == b"ftyp" else _picture(file)
    return _parse(packet) if packet else None


def _parse(packet: bytes | str) -> Provenance | None:
    """Return what an XMP packet says, its properties being attributes or elements."""
    try:
        root = ElementTree.fromstring(packet)
    except (ElementTree.ParseError, ValueError):  # a file may hold anything
        return None
    said: dict[str, str] = {}
    for part in root.iter(f"{{{_RDF}}}Description"):
        said |= part.attrib | {child.tag: (child.text or "").strip() for child in part}
    source_type = said.get(f"{{{_IPTC}}}DigitalSourceType")
    if not source_type:
        return None
    return Provenance(said.get(f"{{{_IPTC}}}AISystemUsed", ""), said.get(f"{{{_XMP}}}CreatorTool", ""), source_type)


def _picture(file: BinaryIO) -> bytes | str | None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file) as picture:
                info: dict[Any, Any] = picture.info
                return info.get("xmp") or info.get(PNG_XMP)
    except (*PIL_ERRORS, Image.DecompressionBombError):  # a file may hold anything
        return None


def _box(file: BinaryIO) -> bytes | None:
    """Return the XMP packet of an MP4; its boxes are stepped over, so that its size costs nothing."""
    end = file.seek(0, 2)
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        body = size - 8
        if size == 1:
            body = int.from_bytes(file.read(8), "big") - 16
        if body > end:  # beyond the file: the last box is cut off, or its size is damaged
            return None
        if kind == b"uuid" and 16 <= body <= _MOST_XMP:
            content = file.read(body)
            if content[:16] == _XMP_BOX:
                return content[16:]
        elif body < 0:  # the last box, which goes on to the end, or a damaged one
            return None
        else:
            file.seek(body, 1)
    return None


def _add_chunk(file: BinaryIO, packet: bytes) -> None:
    """Append an `XMP ` chunk to a WebP and announce it in its header, which is made where there is none."""
    from PIL import Image

    file.seek(0)
    chunks = list(_chunks(file))
    names = [name for name, _ in chunks]
    if b"VP8X" in names:
        place = names.index(b"VP8X")
        body = chunks[place][1]
        chunks[place] = (b"VP8X", bytes([body[0] | _HAS_XMP]) + body[1:])
    else:  # a single picture in the simple form
        file.seek(0)
        with Image.open(file) as picture:
            (width, height), alpha = picture.size, picture.mode == "RGBA"
        flags = _HAS_XMP | (_ALPHA if alpha else 0)
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        chunks.insert(0, (b"VP8X", bytes([flags, 0, 0, 0]) + sizes))
    chunks.append((b"XMP ", packet))
    body = b"".join(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for name, data in chunks)
    file.seek(0)
    file.write(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        yield name, file.read(size)
        file.seek(size % 2, 1)
