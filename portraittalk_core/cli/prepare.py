"""`portraittalk prepare`: make shards to train on of a folder of talking clips, with a report of what was left out."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..preparation.settings import FPS, Limits, Settings
from .engines import add_engine, read_engine

if TYPE_CHECKING:
    from ..preparation.run import Preparation

EPILOG = """examples:
  portraittalk prepare clips/ -o shards/
  portraittalk prepare HDTF/ --dataset hdtf --faces face_landmarker.task --syncnet syncnet_v2.model -o shards/
  portraittalk prepare clips/ --identity antelopev2/ --caption "python describe.py {picture}" -o shards/
  portraittalk prepare HDTF/ --dataset hdtf --latents runs/sd15/ground/vae.safetensors -o shards/
  portraittalk prepare VFHQ/ --dataset vfhq --keep-silent --engine ray -o shards/

In a plain folder, clips of one subfolder show one person. Each clip is split at cuts and where its face is lost; what
is too small, blurred, turned away or out of time with its sound is left out, and report.html says what and why. A run
that was stopped, however hard, goes on in the same folder; one run at a time works in a folder.
"""

LIMITS = {
    "least_s": ("--least-s", "seconds that a stretch lasts at least"),
    "longest_s": ("--longest-s", "seconds of a sample at most"),
    "width_px": ("--min-width", "width of the face in the video at least, pixels"),
    "sharpness": ("--min-sharpness", "sharpness of the face at least"),
    "yaw_degrees": ("--max-yaw", "how far the head may be turned, degrees"),
    "pitch_degrees": ("--max-pitch", "how far it may be turned up or down, degrees"),
    "roll_degrees": ("--max-roll", "how far it may be tilted, degrees"),
    "likeness": ("--min-likeness", "similarity of the embeddings to their mean at least"),
    "sync_confidence": ("--min-confidence", "SyncNet's confidence at least"),
    "sync_audio": ("--min-audio", "ADFD's audio score at least, where it judges"),
}
"""Options that set limits, by the limit's name."""


def add_parser(commands: Any) -> None:
    """Add the subcommand.

    Args:
        commands: The subparsers of `portraittalk`.
    """
    parser = commands.add_parser(
        "prepare",
        help="make shards to train on of talking clips",
        description="Make WebDataset shards to train on of a folder of talking clips, and a report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("clips", metavar="CLIPS", help="a folder of videos, or of a data set with --dataset")
    add("-o", "--output", required=True, metavar="FOLDER", help="the folder of the shards; a stopped run goes on")
    add("--dataset", metavar="SET", help="hdtf, mead, grid, vfhq, celebv-hq or talkinghead-1kh (a plain folder)")
    add("--size", type=int, default=512, help="side of the pictures, pixels (512)")
    add("--margin", type=float, default=1.0, help="side of the square over the usual framing of a head (1)")
    add("--picture", choices=("jpg", "webp"), default="jpg", help="how frames are stored (jpg)")
    add("--quality", type=int, default=95, help="of the frames, 1 to 100 (95)")
    add("--faces", metavar="TASK", help="MediaPipe's face_landmarker.task, in place of the tiny face pack")
    add("--identity", metavar="FOLDER", help="an insightface pack whose embeddings are kept (the tiny face pack)")
    add("--embeddings", type=int, default=5, help="frames of a sample that are embedded (5)")
    add("--syncnet", metavar="FILE", help="syncnet_v2.model; without it ADFD judges the sync")
    add("--sync-shift", type=int, default=1, help="frames of ADFD's offset that are taken out at most (1: none is)")
    add(
        "--latents",
        metavar="VAE",
        help="keep latents and speech features, too: tiny, ground/vae.safetensors, or SD1.5's",
    )
    add("--speech", metavar="FILE", help="speech encoder of these features: a file, or wav2vec2 (the shipped one)")
    add("--caption", metavar="COMMAND", help="prints a caption for {picture} (tags of what is measured)")
    add("--separate-voice", action="store_true", help="take voices out of music (needs the package audio-separator)")
    add("--keep-silent", action="store_true", help="also keep clips without sound or speech, for stage 1")
    add("--validation", type=float, default=0.05, help="share of the people held out for validation (0.05)")
    add("--shard-mb", type=int, default=512, help="size of a full shard, megabytes (512)")
    add_engine(parser)
    add("--quiet", action="store_true", help="no progress bar")
    group = parser.add_argument_group(
        "limits; their defaults and what they were measured on: docs/reference/preparation"
    )
    for name, (option, text) in LIMITS.items():
        group.add_argument(option, type=float, dest=name, metavar="N", help=f"{text} ({getattr(Limits, name):g})")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prepare the clips, join them to shards and write the report.

    Args:
        arguments: Of the command line.

    Returns:
        The exit code: 1 where a cluster lost a clip.
    """
    from ..media.target import check_folder

    settings = read_settings(arguments)
    folder = check_folder(arguments.output, "-o")
    if arguments.shard_mb < 1:
        raise BadInput(f"`--shard-mb` must be 1 or more, but got {arguments.shard_mb}. Try 512.")
    from ..preparation.captions import check_command
    from ..preparation.report import write_report
    from ..preparation.run import Preparation
    from ..preparation.sources import find_sources

    if settings.caption:
        check_command(settings.caption)
    engine = read_engine(arguments)
    engine.check()
    preparation = Preparation(folder, find_sources(Path(arguments.clips), arguments.dataset), settings)
    lost = 0
    for record in _shown(preparation, engine, arguments.quiet):
        lost += any(drop["reason"] == "lost" for drop in record["dropped"])
    shards = preparation.pack(arguments.shard_mb << 20)
    page = write_report(preparation)
    samples = [entry for shard in shards for entry in shard["samples"]]
    people = len({entry["person"] for entry in samples})
    seconds = sum(entry["frames"] for entry in samples) / FPS
    print(f"{page}: {len(samples)} samples of {people} people, {seconds / 60:.1f} minutes in {len(shards)} shards")
    if lost:
        print(f"{lost} clips were lost with their workers; the same command tries them again")
    return 1 if lost else 0


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return what the command line asks for.

    Args:
        arguments: Of the command line.

    Raises:
        BadInput: When a value is outside its range.
    """
    given = {name: getattr(arguments, name) for name in LIMITS if getattr(arguments, name) is not None}
    limits = Limits(**given, silent=arguments.keep_silent, sync_shift=arguments.sync_shift)
    names = [field.name for field in dataclasses.fields(Settings) if field.name != "limits"]
    return Settings(**{name: getattr(arguments, name) for name in names}, limits=limits)


def _shown(preparation: Preparation, engine: Any, quiet: bool) -> Iterator[dict[str, Any]]:
    from tqdm import tqdm

    with tqdm(total=len(preparation.pending), disable=quiet, unit="clip", dynamic_ncols=True, leave=False) as bar:
        for record in preparation.run(engine):
            bar.set_description(record["label"][-40:])
            bar.update()
            yield record
