"""Fetch files of the catalogue, check what was fetched, and convert pickles to safetensors."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput, MissingExtra, WeightsMismatch
from ..media.target import Partial, check_target
from ..media.write_errors import write_failure
from .catalogue import Entry
from .files import open_weights
from .writing import save_tensors

_SPARE = 1.05
"""Disk space asked for, over the sizes of the files: sizes are rounded, and a zip is unpacked beside itself."""

_BLOCK = 1 << 20


def check_disk(wanted: Sequence[Entry], folder: Path) -> None:
    """Check that a disk has room for files.

    Args:
        wanted: The files.
        folder: Where they will be put; it need not exist yet.

    Raises:
        BadInput: When there is less free than they need, a zip twice.
    """
    needed = int(sum(entry.size * (2 if entry.unpack else 1) for entry in wanted) * _SPARE)
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise BadInput(
            f"{folder} must have {needed / 1e9:.1f} GB free, but has {free / 1e9:.1f} GB. Free some space, or name "
            "another folder with --to."
        )


def check_licences(wanted: Sequence[Entry], accepted: bool) -> None:
    """Check that licences which forbid commercial use were accepted.

    Args:
        wanted: The files.
        accepted: Whether the user accepts such licences.

    Raises:
        BadInput: When there are such files and they were not accepted; it names them and what may stand in.
    """
    closed = [entry for entry in wanted if entry.commercial == "no"]
    if accepted or not closed:
        return
    named = "; ".join(
        f"{e.name} ({e.licence}{f', instead: {e.instead}' if e.instead else ', nothing stands in'})" for e in closed
    )
    raise BadInput(f"These may not be used commercially: {named}. Add --accept-non-commercial to fetch them.")


def fetch(entry: Entry, folder: Path) -> Path:
    """Fetch one file; it gets its name only when it is whole and has been checked.

    huggingface_hub does the fetching, with its resuming, mirrors (HF_ENDPOINT), offline mode and tokens; addresses
    elsewhere are read plainly and resume too.

    Args:
        entry: The file.
        folder: The models folder, below which it gets its own place.

    Returns:
        Where it lies now.

    Raises:
        BadInput: When it cannot be fetched.
        WeightsMismatch: When what came is not the file of the catalogue.
        MissingExtra: When huggingface_hub is needed and not installed.
    """
    target = folder / entry.save_as
    staging = folder / ".incoming" / entry.name
    staging.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    came = _from_hub(entry, staging) if entry.repo else _from_address(entry, staging)
    try:
        verify(entry, came)
    except WeightsMismatch:
        shutil.rmtree(staging)
        raise
    if entry.unpack:
        came = _unpacked(came, staging / "unpacked")
    os.replace(came, target)
    shutil.rmtree(staging)
    return target


def verify(entry: Entry, path: Path) -> str:
    """Compare a file with what the catalogue knows of it.

    Args:
        entry: The file of the catalogue.
        path: The file on this machine.

    Returns:
        What was compared, in words.

    Raises:
        WeightsMismatch: When size or sum are others.
    """
    if path.is_dir():
        return "not compared: the catalogue knows the zip, not what is in it"
    size = path.stat().st_size
    if entry.exact and size != entry.size:
        raise WeightsMismatch(
            f"{path}: must have {entry.size} bytes to be {entry.name}, but has {size}. Fetch it again."
        )
    if not entry.sha256:
        return f"{size} bytes; no sum is known"
    found = checksum(path)
    if not found.startswith(entry.sha256):
        raise WeightsMismatch(
            f"{path}: must have the sha256 {entry.sha256[:16]}… to be {entry.name}, but has {found[:16]}…. "
            "Fetch it again."
        )
    known = "sha256" if len(entry.sha256) == 64 else f"the first {len(entry.sha256)} digits of the sha256"
    return f"{size} bytes; {known} as in the catalogue"


def checksum(path: Path) -> str:
    """Return the sha256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def convert(source: Path | str, target: Path | str) -> int:
    """Write the tensors of a pickle as safetensors, without loss; what a file of training holds besides is left out.

    Args:
        source: The pickle; nested dictionaries become names with dots.
        target: A new file that ends with `.safetensors`; it gets its name only when it is whole.

    Returns:
        How many tensors there are.

    Raises:
        UnsafeWeights: When the pickle holds code.
        WeightsMismatch: When the source is no weights file, or holds no tensors or some that safetensors lacks.
        BadInput: When the target exists or has another ending.
        BadMedia: When the target cannot be written.
    """
    target = Path(target)
    if target.suffix != ".safetensors" or target.exists():
        raise BadInput(f"`target` must be a new file that ends with .safetensors, but got {target}. Name another.")
    from safetensors import SafetensorError

    target = check_target(target, (".safetensors",), folder=False)
    tensors = open_weights(source).tensors()
    if not tensors:
        raise WeightsMismatch(f"{source}: must hold tensors, but holds none.")
    try:
        # A copy each: safetensors refuses tensors that share memory, as views of one storage in a pickle do.
        copies = {name: t.to_dense().clone().contiguous() for name, t in tensors.items()}
        with Partial(target) as part:
            save_tensors(copies, part, metadata={"format": "pt"})
    except OSError as error:
        raise write_failure(target, error) from error
    except (SafetensorError, KeyError, RuntimeError, ValueError) as error:  # a kind of number that it does not know
        why = " ".join(str(error).split())
        raise WeightsMismatch(f"{source}: cannot be written as safetensors ({why}). Use it as it is.") from error
    return len(tensors)


def _from_hub(entry: Entry, staging: Path) -> Path:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra("huggingface_hub is needed to fetch files. Run: pip install huggingface_hub.") from error
    try:
        endpoint = os.environ.get("HF_ENDPOINT") or None
        return Path(hf_hub_download(entry.repo, entry.file, local_dir=staging, endpoint=endpoint))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise _unreachable(entry, error) from error


def _from_address(entry: Entry, staging: Path) -> Path:
    """Read an address into a partial file, going on where an earlier attempt stopped."""
    part, whole = staging / "download.part", staging / Path(entry.file).name
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(entry.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            goes_on = answer.status == 206
            length = int(answer.headers.get("Content-Length") or 0)
            with part.open("ab" if goes_on else "wb") as file:
                shutil.copyfileobj(answer, file, _BLOCK)
            got = part.stat().st_size - (have if goes_on else 0)
        if length and got != length:
            raise OSError(f"{got} of {length} bytes came")
    except (urllib.error.URLError, OSError) as error:
        raise _unreachable(entry, error) from error
    os.replace(part, whole)
    return whole


def _unreachable(entry: Entry, error: Exception) -> BadInput:
    why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return BadInput(
        f"{entry.name}: cannot be fetched from {entry.source} ({why}). Run it again to go on, or put the file where "
        f"`portraittalk models where {entry.name}` says."
    )


def _unpacked(archive: Path, folder: Path) -> Path:
    """Unpack the networks of a zip side by side, whatever folders they are in there."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [name for name in opened.namelist() if name.endswith(".onnx")]
            folder.mkdir()
            for name in members:
                with opened.open(name) as source, (folder / Path(name).name).open("wb") as out:
                    shutil.copyfileobj(source, out, _BLOCK)
    except zipfile.BadZipFile as error:
        raise WeightsMismatch(f"{archive}: is no zip ({error}). Fetch it again.") from error
    if not members:
        raise WeightsMismatch(f"{archive}: must hold networks (*.onnx), but holds none. Fetch it again.")
    return folder
