"""`portraittalk doctor`: what is present, what is missing, and the command that fixes it."""

from __future__ import annotations

import argparse
import importlib
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .info import ASSETS, accelerator, missing_files, total_memory

EPILOG = """examples:
  portraittalk doctor
"""

OLDEST_PYTHON = (3, 10)
FREE_DISK_BYTES = 1e9
MEMORY_BYTES = 3e9

PACKAGES = (
    ("torch", "runs the networks"),
    ("diffusers", "the denoiser outside ComfyUI"),
    ("transformers", "text and speech encoders"),
    ("insightface", "finds faces"),
    ("onnxruntime", "runs the face networks"),
    ("librosa", "prepares sound for the speech encoder"),
    ("soxr", "brings sound to another rate"),
    ("scipy", "reshapes hair"),
    ("soundfile", "writes sound"),
    ("PIL", "reads pictures"),
    ("cv2", "prepares pictures for the face networks"),
    ("jaxtyping", "names the shapes of tensors"),
    ("tqdm", "draws progress bars"),
    ("safetensors", "reads weights"),
)
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python", "pillow_heif": "pillow-heif"}

SD15 = (("mediapipe", "finds the points of a face"), ("huggingface_hub", "fetches public files"))

PICTURES = (("pillow_heif", "reads HEIC, the pictures of iPhones"),)

TRAINING = (("accelerate", "drives the training loop"), ("matplotlib", "draws its curves"))


@dataclass(frozen=True)
class Finding:
    """One requirement: whether it is there, what was found, and what puts it there; `extra` is what should not be."""

    name: str
    present: bool
    found: str
    fix: str = ""
    needed: bool = True
    extra: bool = False

    def __str__(self) -> str:
        state = "ok" if self.present else "MISSING" if self.needed else "found" if self.extra else "absent"
        line = f"{state:<8} {self.name:<14} {self.found}"
        return line if self.present else f"{line}\n{'':<23} fix: {self.fix}"


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "doctor",
        help="what is missing, and the command that fixes it",
        description="List every requirement. Exits with 0 if nothing needed is missing, else with 1.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print every finding as soon as it is made."""
    missing = 0
    for finding in examine():
        print(finding, flush=True)
        missing += finding.needed and not finding.present
    print(f"\n{missing} missing" if missing else "\nEverything that generation needs is here.")
    return 1 if missing else 0


def examine() -> Iterator[Finding]:
    """Look at one requirement after the other."""
    wanted = ".".join(map(str, OLDEST_PYTHON))
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= OLDEST_PYTHON, version, f"install Python {wanted} or newer")
    for module, purpose in PACKAGES:
        yield examine_package(module, purpose)
    yield _video_encoder()
    yield tiny_assets(ASSETS / "tiny")
    yield _disk()
    memory = total_memory()
    roomy = not memory or memory >= MEMORY_BYTES
    yield Finding("memory", roomy, f"{memory / 1e9:.1f} GB in all" if memory else "unknown", "use a larger machine")
    for module, purpose in PICTURES:
        yield examine_package(module, purpose, needed=False)
    for module, purpose in SD15:
        yield examine_package(module, f"for sd15: {purpose}", needed=False)
    for module, purpose in TRAINING:
        yield examine_package(module, f"for training: {purpose}", needed=False)
    yield _espeak()
    yield _accelerator()
    yield from part_files(Path.cwd())


def examine_package(module: str, purpose: str, needed: bool = True) -> Finding:
    """Import a package for real: a broken installation is as good as none."""
    name = DISTRIBUTIONS.get(module, module)
    fix = f"{sys.executable} -m pip install --upgrade {name}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        absent = purpose if error.name == module else f"{purpose}; it lacks {error.name}"
        return Finding(name, False, absent, fix, needed)
    except (ImportError, OSError, AttributeError, RuntimeError) as error:
        return Finding(name, False, f"cannot be imported: {' '.join(str(error).split())[:120]}", fix, needed)
    return Finding(name, True, str(getattr(found, "__version__", "")), needed=needed)


def _video_encoder() -> Finding:
    found = examine_package("av", "writes videos")
    if not found.present:
        return found
    from av.codec import Codec
    from av.codec.codec import UnknownCodecError

    try:
        codecs = [Codec(name, "w").name for name in ("libx264", "aac")]
    except UnknownCodecError as error:
        fix = f"{sys.executable} -m pip install --force-reinstall --only-binary av av"
        return Finding("av", False, f"{found.found} has no encoder {error}", fix)
    return Finding("av", True, f"{found.found} with {' and '.join(codecs)}")


def tiny_assets(folder: Path) -> Finding:
    """Check that the tiny model's files are there."""
    missing = missing_files(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    found = f"lacks {', '.join(missing)}" if missing else f"{size:.1f} MB in {folder}"
    return Finding("tiny model", not missing, found, "git restore portraittalk_core/assets  (or: make train-tiny)")


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free
    return Finding("disk", free >= FREE_DISK_BYTES, f"{free / 1e9:.1f} GB free here", "free some space or go elsewhere")


def part_files(folder: Path) -> Iterator[Finding]:
    """Yield what programs that were killed have left in a folder: files in the making, which nobody finishes."""
    from ..media.target import PART_FILES

    for path in sorted(folder.glob(PART_FILES)):
        try:
            age_s = time.time() - path.stat().st_mtime
        except OSError:  # finished in this moment
            continue
        found = f"{path.name}: in the making, or left by a program that was killed; touched {age_s / 60:.0f} min ago"
        yield Finding(
            "part file", False, found, f"if nothing runs: rm -r {shlex.quote(str(path))}", needed=False, extra=True
        )


def _espeak() -> Finding:
    path = shutil.which("espeak-ng") or ""
    found = path or "for training: makes the speech that training uses"
    return Finding("espeak-ng", bool(path), found, "sudo apt install espeak-ng", needed=False)


def _accelerator() -> Finding:
    try:
        name, size = accelerator()
    except ImportError:  # torch is missing, which was said above
        name, size = "", 0
    found = f"{name}, {size / 1e9:.1f} GB" if name else "not needed for tiny; sd15 wants one"
    return Finding("accelerator", bool(name), found, "use a machine with one for sd15", needed=False)
