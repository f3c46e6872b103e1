"""The catalogue of public files, and where each of them is on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..config_file import from_mapping, toml_values
from ..errors import BadConfig, BadInput, MissingExtra

CATALOGUE = Path(__file__).with_name("catalogue.toml")
"""The file that lists them."""

MODELS_VARIABLE = "PORTRAITTALK_MODELS"
"""The environment variable that names the folder of downloaded files."""

_COMMON = ("diffusion_pytorch_model", "pytorch_model", "model", "tokenizer")
"""File names that many repositories use, which therefore say nothing."""


@dataclass(frozen=True)
class Entry:
    """One public file."""

    name: str = ""
    """What it is called here, such as `sd15-base`."""
    part: str = ""
    """What it is for, in a word."""
    file: str = ""
    """Its path in the repository, or its file name at the address."""
    save_as: str = ""
    """Its path below the models folder, as ComfyUI sorts files."""
    licence: str = ""
    """The licence that its source names, in words."""
    commercial: str = "unclear"
    """Whether it may be used commercially: `yes`, `no` or `unclear`."""
    size: int = 0
    """Its size in bytes, exact if `exact`."""
    exact: bool = False
    """Whether `size` is exact."""
    sha256: str = ""
    """The sum in hexadecimal digits or the beginning of it; "" where it is unknown."""
    repo: str = ""
    """The repository on huggingface.co; "" where it is elsewhere."""
    url: str = ""
    """Its address, where there is no `repo`."""
    unpack: bool = False
    """Whether it is a zip whose networks go into the folder `save_as`."""
    instead: str = ""
    """An entry that may stand in where the licence does not allow this one."""
    note: str = ""
    """What else there is to know."""

    @property
    def source(self) -> str:
        """Where the file is fetched from, for people to read."""
        return f"huggingface.co/{self.repo}/{self.file}" if self.repo else self.url


@dataclass(frozen=True)
class _Catalogue:
    files: tuple[Entry, ...] = ()


@cache
def _values() -> dict[str, Any]:
    return toml_values(CATALOGUE)


def entries() -> tuple[Entry, ...]:
    """Return every file of the catalogue."""
    return from_mapping(_Catalogue, {"files": _values()["files"]}, str(CATALOGUE)).files


def recipes() -> dict[str, list[str]]:
    """Return the named sets of files; those of the stacks are among them, each also with what `fast` takes."""
    fast = {f"{name}-fast": {**parts, **fast_parts(name)} for name, parts in stacks().items()}
    return {**_values()["recipes"], **{name: list(parts.values()) for name, parts in (stacks() | fast).items()}}


def stacks() -> dict[str, dict[str, str]]:
    """Return the ready stacks: for each part that a stack has, the file it is taken from."""
    return _values().get("stacks", {})


def fast_parts(name: str) -> dict[str, str]:
    """Return the files that take the place of a stack's where speed counts, by part.

    Args:
        name: Of the stack.
    """
    return _values().get("fast", {}).get(name, {})


def select(names: Sequence[str]) -> list[Entry]:
    """Return the entries of files and recipes by name, each once.

    Args:
        names: Of files or recipes; a recipe stands for its files.

    Raises:
        BadInput: When a name is neither.
    """
    known = {entry.name: entry for entry in entries()}
    wanted = [file for name in names for file in recipes().get(name, [name])]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(
            f"`{unknown[0]}` must be a recipe ({', '.join(recipes())}) or a file of the catalogue. See "
            "`portraittalk models list`."
        )
    return [known[name] for name in dict.fromkeys(wanted)]


def models_folder(comfyui: Path | None = None) -> Path:
    """Return where files are put: $PORTRAITTALK_MODELS, else ComfyUI's `models`, else a folder in the user's cache.

    Args:
        comfyui: ComfyUI's folder; None looks for it as `comfyui_folder` does.

    Raises:
        BadInput: When `comfyui` is none.
    """
    named = os.environ.get(MODELS_VARIABLE)
    if named:
        return Path(named).expanduser()
    host = comfyui_folder(comfyui)
    return host / "models" if host else Path.home() / ".cache" / "portraittalk" / "models"


def comfyui_folder(given: Path | None = None) -> Path | None:
    """Return ComfyUI's folder: the given one, $COMFYUI_PATH, or the one this pack is installed in; else None.

    Args:
        given: A folder that must be one.

    Raises:
        BadInput: When `given` is none.
    """
    if given is not None and not (given / "models").is_dir():
        raise BadInput(f"`comfyui` must be ComfyUI's folder, with `models` in it, but got {given}.")
    named = os.environ.get("COMFYUI_PATH")
    above = [parent.parent for parent in Path(__file__).resolve().parents if parent.name == "custom_nodes"]
    choices = [given, Path(named).expanduser() if named else None, *above]
    return next((folder for folder in choices if folder is not None and (folder / "models").is_dir()), None)


def comfyui_of(models: Path) -> Path | None:
    """Return ComfyUI's folder, given its folder of models; None where that lies somewhere else.

    Args:
        models: As a running ComfyUI names it.
    """
    return models.parent if models.name == "models" and models.is_dir() else None


def search_folders(comfyui: Path | None = None) -> list[Path]:
    """Return the folders that are searched for files, each once.

    Args:
        comfyui: ComfyUI's folder; None looks for it as `comfyui_folder` does.

    Returns:
        Our own, ComfyUI's, and those of ComfyUI's `extra_model_paths.yaml`.

    Raises:
        BadConfig: When a file of that name cannot be read.
        BadInput: When `comfyui` is none.
        MissingExtra: When there is such a file and PyYAML is not installed.
    """
    folders = [models_folder(comfyui)]
    host = comfyui_folder(comfyui)
    if host:
        folders.append(host / "models")
        extra = host / "extra_model_paths.yaml"
        folders += _extra_folders(extra) if extra.is_file() else []
    return list(dict.fromkeys(folders))


def find(entry: Entry, folders: Iterable[Path]) -> Path | None:
    """Find a file that is already on this machine.

    Args:
        entry: The file. One on the disk that is much smaller than it should be (a pointer, a broken download) does not
            count.
        folders: Where to look, in their order.

    Returns:
        The path in its own place, else under its name anywhere below the folders, else in the cache of
        huggingface_hub; None where it is nowhere.
    """
    for folder in folders:
        place = folder / entry.save_as
        if _plausible(place, entry):
            return place
        for path in _below(folder, _names(entry)):
            if _plausible(path, entry):
                return path
    return _in_hub_cache(entry)


def _names(entry: Entry) -> set[str]:
    own = Path(entry.file).name
    common = own.split(".")[0] in _COMMON or entry.unpack
    return {Path(entry.save_as).name} | (set() if common else {own})


def _below(folder: Path, names: set[str]) -> Iterator[Path]:
    for parent, children, files in os.walk(folder, followlinks=True):
        children[:] = sorted(child for child in children if not child.startswith("."))
        yield from (Path(parent, name) for name in (*files, *children) if name in names)


def _plausible(path: Path, entry: Entry) -> bool:
    if entry.unpack:
        return path.is_dir() and any(path.glob("*.onnx"))
    if not path.is_file():
        return False
    size = path.stat().st_size
    return size == entry.size if entry.exact else size > entry.size // 4


def _in_hub_cache(entry: Entry) -> Path | None:
    if not entry.repo:
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # then there is no cache either
        return None
    found = try_to_load_from_cache(entry.repo, entry.file)
    return Path(found) if isinstance(found, str) else None


def _extra_folders(path: Path) -> list[Path]:
    """Return the folders that a ComfyUI path file names: a section each, with `base_path` and lines of folders."""
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra(f"PyYAML is needed to read {path}. Run: pip install pyyaml.") from error
    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        found: list[Path] = []
        for section in filter(None, sections.values()):
            base = Path(os.path.expandvars(str(section.get("base_path", "")))).expanduser()
            for name, lines in section.items():
                if name not in ("base_path", "is_default"):
                    found += [path.parent / base / line.strip() for line in lines.split("\n") if line.strip()]
        return [folder for folder in found if folder.is_dir()]
    except (yaml.YAMLError, AttributeError, OSError, ValueError, RecursionError) as error:
        why = str(error).splitlines()[0]
        raise BadConfig(f"{path}: is no list of model folders ({why}). Fix it as ComfyUI's example shows.") from error
