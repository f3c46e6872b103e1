"""Whole files of every kind that the project reads, small, and made anew in every run: what mutations begin with."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.video import VideoWriter
from portraittalk_core.motion.motion_file import write_motion
from portraittalk_core.types import COEFFICIENTS, FaceMotion, Sound

from ..program import ROOT

KINDS = ("pictures", "sounds", "videos", "weights", "toml", "json", "csv")
"""Kinds of files."""

SHARES = {"pictures": 0.2, "sounds": 0.2, "videos": 0.2, "weights": 0.15, "toml": 0.08, "json": 0.07, "csv": 0.1}
"""Share of the mutations that each kind gets."""


def make_seeds(folder: Path) -> dict[str, list[Path]]:
    """Write the whole files.

    Args:
        folder: Where to; a folder for each kind is made in it.

    Returns:
        The files by kind, in a fixed order.
    """
    makers: dict[str, Callable[[Path], Iterator[Path]]] = {
        "pictures": _pictures,
        "sounds": _sounds,
        "videos": _videos,
        "weights": _weights,
        "toml": _toml,
        "json": _json,
        "csv": _csv,
    }
    made: dict[str, list[Path]] = {}
    for kind, maker in makers.items():
        place = folder / kind
        place.mkdir(parents=True, exist_ok=True)
        made[kind] = list(maker(place))
    return made


def _pictures(folder: Path) -> Iterator[Path]:
    from PIL import Image, ImageCms

    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    colour = Image.fromarray(np.repeat(np.repeat(noise[:10, :14], 4, 0), 4, 1))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # the date of its making
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a picture"
    for name, picture, options in (
        ("rgb.png", colour, {"icc_profile": profile}),
        ("rgba.png", colour.convert("RGBA"), {"exif": exif}),
        ("palette.png", colour.convert("P"), {"transparency": 3}),
        ("deep.png", Image.fromarray(noise[..., 0].astype(np.uint16) * 257), {}),
        ("plain.jpg", colour, {"exif": exif, "icc_profile": profile}),
        ("progressive.jpg", colour, {"progressive": True}),
        ("cmyk.jpg", colour.convert("CMYK"), {}),
        ("lossy.webp", colour, {"exif": exif, "icc_profile": profile}),
        ("lossless.webp", colour.convert("RGBA"), {"lossless": True}),
        ("moving.gif", colour, {"save_all": True, "append_images": [colour.rotate(90)]}),
        ("moving.png", colour, {"save_all": True, "append_images": [colour.rotate(180)]}),
        ("lzw.tif", colour, {"compression": "tiff_lzw"}),
        ("float.tif", Image.fromarray(noise[..., 0].astype(np.float32) / 255), {}),
        ("plain.bmp", colour, {}),
        ("run.tga", colour, {"compression": "tga_rle"}),
        ("wave.jp2", colour, {}),
        ("plain.ppm", colour, {}),
        ("icon.ico", colour.resize((48, 48)), {}),
    ):
        picture.save(folder / name, **options)
        yield folder / name


def _voice(rate: int, channels: int = 1, duration_s: float = 0.4) -> np.ndarray:
    time_s = np.arange(round(rate * duration_s)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 180 * time_s) * (1 + np.sin(2 * np.pi * 4 * time_s))
    return np.stack([wave] * channels, 1).astype(np.float32)


def _sounds(folder: Path) -> Iterator[Path]:
    import soundfile

    for name, rate, channels, options in (
        ("short.wav", 16000, 1, {"subtype": "PCM_16"}),
        ("float.wav", 48000, 2, {"subtype": "FLOAT"}),
        ("law.wav", 8000, 1, {"subtype": "ULAW"}),
        ("block.wav", 16000, 1, {"subtype": "MS_ADPCM"}),
        ("plain.flac", 44100, 2, {}),
        ("plain.ogg", 22050, 1, {"format": "OGG", "subtype": "VORBIS"}),
        ("voice.opus", 48000, 1, {"format": "OGG", "subtype": "OPUS"}),
        ("plain.mp3", 44100, 1, {"format": "MP3"}),
        ("plain.aiff", 16000, 1, {}),
        ("plain.au", 8000, 1, {}),
        ("plain.caf", 16000, 1, {}),
        ("big.rf64", 16000, 1, {"format": "RF64"}),
    ):
        soundfile.write(folder / name, _voice(rate, channels), rate, **options)
        data = (folder / name).read_bytes()
        at = data.find(b"PEAK") + 12  # the time of its making
        data = data[:at] + bytes(4) + data[at + 4 :] if at >= 12 else data
        (folder / name).write_bytes(_numbered(data) if data[:4] == b"OggS" else data)
        yield folder / name
    for name, codec, rate in (("plain.m4a", "aac", 44100), ("plain.aac", "aac", 48000), ("two.mka", "flac", 16000)):
        _encode(folder / name, codec, rate)
        yield folder / name


def _numbered(ogg: bytes) -> bytes:
    """Return an Ogg file whose stream has the number 1, which its writer draws anew each time."""
    pages = bytearray(ogg)
    at = 0
    while at >= 0:
        after = pages.find(b"OggS", at + 4)
        page = pages[at : after if after >= 0 else None]
        page[14:18], page[22:26] = (1).to_bytes(4, "little"), bytes(4)
        total = 0
        for byte in page:  # its checksum: CRC-32 by 04c11db7, not mirrored
            total ^= byte << 24
            for _ in range(8):
                total = (total << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if total & 1 << 31 else total << 1
        page[22:26] = total.to_bytes(4, "little")
        pages[at : at + len(page)] = page
        at = after
    return bytes(pages)


def _encode(path: Path, codec: str, rate: int) -> None:
    import av

    form = {"aac": "fltp", "flac": "s16"}[codec]
    kind = {".m4a": "mp4", ".aac": "adts", ".mka": "matroska"}[path.suffix]
    with av.open(str(path), "w", format=kind, options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        samples = _voice(rate).T if form == "fltp" else (_voice(rate).T * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def _videos(folder: Path) -> Iterator[Path]:
    frames = torch.rand(6, 3, 48, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    sound = Sound(torch.from_numpy(_voice(16000, duration_s=0.24).T), 16000)
    for name in ("ours.mp4", "ours.webp"):
        with VideoWriter(folder / name, 25, (48, 64), sound) as writer:
            writer.append(frames)
        yield folder / name
    for name, codec, options in (
        ("lossless.mkv", "ffv1", {}),
        ("plain.avi", "mpeg4", {}),
        ("motion.mov", "mjpeg", {}),
        ("stream.ts", "libx264", {"preset": "ultrafast"}),
        ("plain.mpg", "mpeg2video", {}),
        ("fragments.mp4", "libx264", {"preset": "ultrafast"}),
    ):
        _film(folder / name, codec, options, frames)
        yield folder / name


def _film(path: Path, codec: str, options: dict[str, str], frames: torch.Tensor) -> None:
    import av

    muxing = {"movflags": "frag_keyframe+empty_moov"} if path.stem == "fragments" else {}
    muxing["fflags"] = "+bitexact"  # no identifiers that are drawn
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number, pixels in enumerate(frames):
            levels = pixels.add(1).mul(127.5).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
            frame = av.VideoFrame.from_ndarray(levels, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _weights(folder: Path) -> Iterator[Path]:
    from safetensors.torch import save_file

    tensors = {
        "a.weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(0)),
        "a.bias": torch.zeros(4).half(),
        "b": torch.arange(6),
    }
    save_file(tensors, folder / "plain.safetensors", metadata={"format": "pt", "config": json.dumps({"dim": 4})})
    yield folder / "plain.safetensors"
    for name in ("motion", "vae", "text"):  # as shipped: the header is what mutations mostly meet
        (folder / f"{name}.safetensors").write_bytes((ASSETS / "tiny" / f"{name}.safetensors").read_bytes())
        yield folder / f"{name}.safetensors"
    for name, old in (("zip.pt", False), ("old.pt", True)):
        buffer, held = io.BytesIO(), {"config": json.dumps({"dim": 4}), "state_dict": tensors}
        torch.save(held, buffer, _use_new_zipfile_serialization=not old)
        (folder / name).write_bytes(buffer.getvalue())
        yield folder / name


def _toml(folder: Path) -> Iterator[Path]:
    for name in ("tiny.toml", "tiny_gpu.toml"):
        (folder / name).write_bytes((ROOT / "portraittalk_core/training" / name).read_bytes())
        yield folder / name
    lines = ('name = "mine"', "size = 128", 'reference_layers = ["down.0.0"]', "[unet]", "channels = [32, 64]")
    lines += ("attention = [true, false]", "layers = 1", "[schedule]", "beta_start = 0.001", "")
    (folder / "model.toml").write_text("\n".join(lines))
    yield folder / "model.toml"


def _json(folder: Path) -> Iterator[Path]:
    record = {"file": "a.mp4", "adfd": 0.7, "unscored": [], "notes": ["a line"], "signature": {"clip": "1 bytes, 2"}}
    (folder / "results.json").write_text(json.dumps({"videos": [record], "protocol": {"suite": "quick"}}, indent=1))
    yield folder / "results.json"
    for source in (ROOT / "workflows/Prompts that change in time.json", ASSETS / "tiny" / "tokenizer.json"):
        (folder / source.name).write_bytes(source.read_bytes())
        yield folder / source.name


def _csv(folder: Path) -> Iterator[Path]:
    generator = torch.Generator().manual_seed(0)
    pose = torch.randn(12, 6, generator=generator) * 0.1
    motion = FaceMotion(torch.rand(12, len(COEFFICIENTS), generator=generator), pose, 25.0)
    for kind in ("live-link", "mediapipe"):
        yield write_motion(folder / f"{kind}.csv", motion, kind)
    (folder / "few.csv").write_text("time,jawOpen,MouthSmile_L\n0,0.1,0\n0.5,0.7,1\n1.0,0,0\n")
    yield folder / "few.csv"
