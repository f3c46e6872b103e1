"""`portraittalk info`: what is in a weights file or a video, and what this machine can run."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import BadInput, UnsafeWeights, WeightsMismatch

ASSETS = Path(__file__).resolve().parent.parent / "assets"
"""What comes with the package: the tiny model, a portrait, a recording."""

EPILOG = f"""examples:
  portraittalk info
  portraittalk info tiny
  portraittalk info "{ASSETS / "tiny" / "text.safetensors"}"
  portraittalk info out.mp4
"""

SD15_BYTES = 6e9
"""Accelerator memory that the SD1.5 stack wants at 512 x 512 with half precision."""

BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}

PICTURE_SUFFIXES = (".webp", ".png", ".jpg", ".jpeg", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".heic")
"""Files that are opened as pictures."""

WEIGHTS_SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".pkl")
"""Files that are weights, whatever is in them; what is neither these nor a picture may be a sound or a video."""

TINY_FILES = (
    "denoiser.safetensors",
    "motion.safetensors",
    "speech.safetensors",
    "structure.safetensors",
    "dense_motion.safetensors",
    "face_parsing.safetensors",
    "text.safetensors",
    "tokenizer.json",
    "vae.safetensors",
)


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "info",
        help="what is in a weights file or a video; what this machine can run",
        description="Show what is in a weights file or a model, or where a video comes from; without a name, what this "
        "machine can run.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "what",
        nargs="?",
        metavar="FILE|MODEL",
        help="a .safetensors file, a video, a sound, a picture, or a model's name",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was asked about."""
    what = arguments.what
    if what is None:
        lines = describe_machine()
    elif Path(what).is_file():
        lines = (describe_weights if _is_weights(Path(what)) else describe_media)(Path(what))
    else:
        lines = describe_model(what)
    print("\n".join(lines))
    return 0


def _is_weights(path: Path) -> bool:
    """Return whether a file is weights, by its name or by how it begins."""
    if path.suffix.lower() in (*WEIGHTS_SUFFIXES, *PICTURE_SUFFIXES):
        return path.suffix.lower() in WEIGHTS_SUFFIXES
    from ..checkpoints.files import is_pickle

    with path.open("rb") as file:
        head = file.read(9)
    return is_pickle(head) or head[8:] == b"{"


def describe_weights(path: Path) -> list[str]:
    """Return the configuration, metadata and tensors of a safetensors file; its tensors are not loaded.

    Raises `UnsafeWeights` for a pickle and `WeightsMismatch` for what is no safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    refuse_pickle(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            tensors = [(name, part.get_dtype(), tuple(part.get_shape())) for name, part in slices.items()]
    except SafetensorError as error:
        raise WeightsMismatch(
            f"`{path}` must be a safetensors file, but is not ({error}). Download it again."
        ) from error
    numbers = sum(math.prod(shape) for _, _, shape in tensors)
    size = f"{path.stat().st_size / 1e6:.2f} MB"
    return [
        f"{path}: {size}, {len(tensors)} tensors, {numbers:,} numbers, {_types(tensors)}",
        *_describe_metadata(metadata),
        *(f"  {name:<60} {kind:>5} {list(shape)}" for name, kind, shape in tensors),
    ]


def describe_media(path: Path) -> list[str]:
    """Return what a video or a picture is and what it says of its origin; raise `BadMedia` for a damaged one."""
    from ..media.content_credentials import read_credentials
    from ..media.provenance import TRAINED, read_provenance

    lines = [f"{path}: {_measures(path)}"]
    said = read_provenance(path)
    if said is None:
        lines.append("  says nothing of where it comes from")
    else:
        kind = "synthetic" if said.source_type == TRAINED else "origin"
        lines.append(f"  {kind}: {said.source_type}")
        lines += [f"  {name}: {value}" for name, value in (("made by", said.made_by), ("model", said.model)) if value]
    if credentials := read_credentials(path):
        lines.append(f"  content credentials (C2PA): {credentials}")
    return lines


def _measures(path: Path) -> str:
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        from ..media.video import probe

        info = probe(path)
        pictures = f"{info.frames} frames of {info.width} x {info.height} at {info.fps:g} fps, {info.video_codec}"
        sound = f"{info.audio_codec} {info.sample_rate} Hz, {info.channels} channel{'s' * (info.channels > 1)}"
        said = [pictures] * bool(info.video_codec) + [sound] * bool(info.audio_codec)
        return ", ".join([f"{info.duration_s:.2f} s", *said])
    from ..media.image import PIL_ERRORS, open_picture

    with open_picture(path) as picture:
        try:
            count = getattr(picture, "n_frames", 1)
        except PIL_ERRORS:
            count = 1  # what follows the first picture is damaged
        return f"{count} frame{'s' * (count > 1)} of {picture.width} x {picture.height}, {picture.format}"


def refuse_pickle(path: Path) -> None:
    """Raise `UnsafeWeights` if a file looks like a pickle, which can run code when it is loaded."""
    from ..checkpoints.files import is_pickle

    with path.open("rb") as stream:
        head = stream.read(9)
    if is_pickle(head) or path.suffix.lower() in WEIGHTS_SUFFIXES[1:]:
        convert = (
            f"import torch, safetensors.torch as s; d = torch.load({str(path)!r}, weights_only=True); "
            f"s.save_file(d.get('state_dict', d), {str(path.with_suffix('.safetensors'))!r})"
        )
        raise UnsafeWeights(
            f"`{path}` is a pickle, which can run code when it is loaded; only .safetensors files are read. "
            f'Convert it, which fails if it holds code: python -c "{convert}"'
        )


def _types(tensors: list[tuple[str, str, tuple[int, ...]]]) -> str:
    counts: Counter[str] = Counter()
    for _, kind, shape in tensors:
        counts[kind] += math.prod(shape) * BYTES.get(kind, 1)
    return ", ".join(f"{kind} {size / 1e6:.2f} MB" for kind, size in counts.most_common())


def _describe_metadata(metadata: dict[str, str]) -> list[str]:
    lines = []
    for name, text in sorted(metadata.items()):
        try:
            shown = json.dumps(json.loads(text))
        except (ValueError, RecursionError):
            shown = text
        lines.append(f"  {name}: {shown if len(shown) <= 400 else shown[:400] + ' ...'}")
    return lines


def describe_model(name: str) -> list[str]:
    """Return the configuration of a model and its files; raise `BadInput` for an unknown one."""
    from ..config_file import to_mapping
    from ..presets import PRESETS

    folder = ASSETS / name if name in PRESETS else Path(name)
    if name not in PRESETS and not folder.is_dir():
        if Path(name).suffix or Path(name).name != name:  # no model is called so
            from ..media.target import existing_file

            existing_file(name)
        raise BadInput(f"`{name}` must be a weights file, a folder or one of {', '.join(PRESETS)}. Check the name.")
    lines = [f"{name}: {json.dumps(to_mapping(PRESETS[name]()))}"] if name in PRESETS else []
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    lines.append(f"{len(files)} files, {sum(f.stat().st_size for f in files) / 1e6:.2f} MB in {folder}")
    return lines + [f"  {path.stat().st_size / 1e6:9.2f} MB  {path.relative_to(folder)}" for path in files]


def describe_machine() -> list[str]:
    """Return what this machine has and which models that is enough for."""
    import torch

    memory = total_memory()
    lines = [
        f"python {platform.python_version()}, torch {torch.__version__}, {platform.system()} {platform.machine()}",
        f"processor: {os.cpu_count()} cores, {memory / 1e9:.1f} GB of memory" if memory else f"{os.cpu_count()} cores",
    ]
    name, size = accelerator()
    lines.append(f"accelerator: {name}, {size / 1e9:.1f} GB" if name else "accelerator: none")
    tiny = "no: files are missing, see `portraittalk doctor`" if missing_files(ASSETS / "tiny") else "yes"
    sd15 = "yes" if name and size >= SD15_BYTES else f"no: wants an accelerator with {SD15_BYTES / 1e9:.0f} GB"
    return [*lines, f"tiny: {tiny}", f"sd15: {sd15}"]


def missing_files(folder: Path) -> list[str]:
    """Return which files of the tiny model a folder lacks; an empty file counts as none."""
    missing = [name for name in TINY_FILES if not (folder / name).is_file()]
    missing += [] if list(folder.rglob("*.onnx")) else ["the face pack (*.onnx)"]
    return missing + [f"{p.name} (is empty)" for p in folder.rglob("*.*") if p.is_file() and not p.stat().st_size]


def accelerator() -> tuple[str, int]:
    """Return the name of the accelerator and its memory in bytes; an empty name where there is none."""
    import torch

    if not torch.accelerator.is_available():
        return "", 0
    device = torch.accelerator.current_accelerator()
    module = torch.get_device_module(device)
    size = module.mem_get_info()[1] if hasattr(module, "mem_get_info") else total_memory()
    name = module.get_device_name() if hasattr(module, "get_device_name") else str(device)
    return name, size


def total_memory() -> int:
    """Return the machine's memory in bytes, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
