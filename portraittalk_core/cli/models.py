"""`portraittalk models`: the public files of the SD1.5 stack: which there are, where they are, and how to get them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import WeightsMismatch

if TYPE_CHECKING:
    from ..checkpoints.catalogue import Entry

EPILOG = """examples:
  portraittalk models list
  portraittalk models download sd15
  portraittalk models download sd15-portraittalk --accept-non-commercial
  portraittalk models where sd15-base
  portraittalk models verify animatediff-v2
  portraittalk models verify some.safetensors
  portraittalk models convert mm_sd_v15_v2.ckpt mm_sd_v15_v2.safetensors

Files that ComfyUI has are found (--comfyui or COMFYUI_PATH; its extra_model_paths.yaml too) and not fetched twice.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand and its own subcommands."""
    parser = commands.add_parser(
        "models",
        help="list, fetch, check and find the public weights of the SD1.5 stack",
        description="Work with the public files that the SD1.5 stack is made of.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="every file, with its licence and where it is")
    fetching = actions.add_parser("download", help="fetch files or recipes; shows licences first")
    checking = actions.add_parser(
        "verify", help="compare files with the catalogue; read a path whole and say what it is"
    )
    finding = actions.add_parser("where", help="print the path of files, or where they belong")
    converting = actions.add_parser("convert", help="write a pickle (.ckpt, .bin, .pth) as safetensors, without loss")
    for action in (fetching, checking, finding):
        action.add_argument(
            "names", nargs="+", metavar="NAME", help="files or recipes of the catalogue (verify: paths)"
        )
    for action in (listing, fetching, checking, finding):
        action.add_argument("--comfyui", type=Path, metavar="FOLDER", help="ComfyUI's folder (default: COMFYUI_PATH)")
    fetching.add_argument("--to", type=Path, metavar="FOLDER", help="where files go, laid out as ComfyUI's models")
    fetching.add_argument(
        "--accept-non-commercial", action="store_true", help="fetch files whose licence forbids commercial use, too"
    )
    converting.add_argument("source", metavar="PICKLE", help="the file to convert")
    converting.add_argument("target", metavar="SAFETENSORS", help="the file to write")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Dispatch to the action."""
    return ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from ..checkpoints.catalogue import entries, find, recipes, search_folders

    folders = search_folders(arguments.comfyui)
    for name, names in recipes().items():
        print(f"{name}: {', '.join(names)}")
    for entry in entries():
        print(f"\n{describe(entry)}")
        print(f"  {find(entry, folders) or 'not here'}")
    return 0


def describe(entry: Entry) -> str:
    """Return two lines on a file: what it is and how large, and its licence."""
    size = f"{entry.size / 1e9:.2f} GB" if entry.size >= 1e9 else f"{entry.size / 1e6:.0f} MB"
    instead = f"; instead: {entry.instead}" if entry.instead else ""
    note = f"; {entry.note}" if entry.note else ""
    return (
        f"{entry.name} ({entry.part}), {size}, {entry.source}\n"
        f"  licence: {entry.licence}; commercial use: {entry.commercial}{instead}{note}"
    )


def _download(arguments: argparse.Namespace) -> int:
    from ..checkpoints.catalogue import find, models_folder, search_folders, select
    from ..checkpoints.fetch import check_disk, check_licences, fetch

    wanted = select(arguments.names)
    folder = arguments.to or models_folder(arguments.comfyui)
    folders = [folder, *search_folders(arguments.comfyui)]
    absent: list[Entry] = []
    for entry in wanted:
        found = find(entry, folders)
        print(describe(entry), f"  is here: {found}" if found else "  is not here", sep="\n", flush=True)
        absent += [] if found else [entry]
    check_licences(absent, arguments.accept_non_commercial)
    check_disk(absent, folder)
    for entry in absent:
        print(f"{entry.name} -> {fetch(entry, folder)}", flush=True)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from ..checkpoints.catalogue import find, search_folders, select
    from ..checkpoints.fetch import verify
    from ..checkpoints.reading import read_whole

    paths = [name for name in arguments.names if os.path.exists(name)]
    missing = [name for name in arguments.names if name not in paths and (Path(name).suffix or os.sep in name)]
    if missing:
        raise WeightsMismatch(f"The file must exist, but there is no `{missing[0]}`. Check the name and the folder.")
    for path in paths:
        print(f"{path}: {read_whole(path)}", flush=True)
    folders = search_folders(arguments.comfyui)
    for entry in _selected(select, [name for name in arguments.names if name not in paths]):
        found = find(entry, folders)
        if found is None:
            raise WeightsMismatch(f"{entry.name}: is not here. Run `portraittalk models download {entry.name}`.")
        print(f"{entry.name}: {found}: {verify(entry, found)}", flush=True)
    return 0


def _where(arguments: argparse.Namespace) -> int:
    from ..checkpoints.catalogue import find, models_folder, search_folders, select

    folders = search_folders(arguments.comfyui)
    for entry in select(arguments.names):
        found = find(entry, folders)
        print(found or f"{entry.name}: not here; belongs at {models_folder(arguments.comfyui) / entry.save_as}")
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    from ..checkpoints.fetch import convert

    print(f"{arguments.target}: {convert(arguments.source, arguments.target)} tensors")
    return 0


def _selected(select: Any, names: Sequence[str]) -> list[Entry]:
    return select(names) if names else []


ACTIONS = {"list": _list, "download": _download, "verify": _verify, "where": _where, "convert": _convert}
