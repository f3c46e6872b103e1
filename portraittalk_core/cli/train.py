"""`portraittalk train`: train a part of the tiny model, or one of the two stages of the denoiser."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from ..media.target import check_folder
from .train_parts import PARTS, Part, beside, recipe_path

if TYPE_CHECKING:
    from ..config import ModelConfig, TrainingConfig

EPILOG = """parts, in order; each finds those before it beside --out (runs/people for runs/vae), else what is shipped:
{parts}

examples:
  portraittalk train --part people --shards 2 --out runs/people
  portraittalk train --part vae --minutes 5 --out runs/vae
  portraittalk train --part denoiser --minutes 60 --out runs/denoiser
  portraittalk train --stage 1 --config tiny.toml --people runs/people --out runs/stage1
  portraittalk train --stage 1 --model my_model.toml --vae runs/my_vae/vae.safetensors --out runs/my_model
  portraittalk train --stage 2 --config tiny.toml --clips runs/clips --out runs/stage2
  portraittalk train --stage 1 --data shards/ --out runs/stage1

Every part but text goes on where it stopped in the same folder. Speech and clips need espeak-ng, people and clips
moderngl and anny (see `doctor`).
"""

OF_STAGES = frozenset(
    ("config", "model", "minutes", "seed", "data", "people", "clips", "speech", "vae", "text", "warp", "faces", "start")
)
"""The options that a stage knows."""


def add_parser(commands: Any) -> None:
    """Add the subcommand.

    Args:
        commands: Of argparse.
    """
    listed = "\n".join(f"  {name:<13} {part.help}" for name, part in PARTS.items())
    parser = commands.add_parser(
        "train",
        help="train a part of the tiny model, or a stage of the denoiser",
        description="Train a part of the tiny model, or a stage of the denoiser.",
        epilog=EPILOG.format(parts=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--part", choices=tuple(PARTS), metavar="PART", help=f"one of {', '.join(PARTS)}")
    what.add_argument("--stage", type=int, choices=(1, 2), help="1: identity and appearance; 2: motion and speech")
    add = parser.add_argument
    add("--out", required=True, metavar="FOLDER", help="where weights, state and curves go")
    add("--config", metavar="FILE", help="a recipe, a TOML file; tiny.toml and tiny_gpu.toml are shipped (tiny.toml)")
    add("--model", metavar="MODEL", help="what a stage trains: a preset or a TOML file (what --config says, or tiny)")
    add("--minutes", type=float, metavar="N", help="stop after so long; run again to go on")
    add("--seed", type=int, metavar="N", help="seed of data and training")
    add("--shards", type=int, metavar="N", help="how many shards of people (100 of 16) or clips (60 of 8) to draw")
    add("--textures", metavar="FOLDER", help="MakeHuman's CC0 textures for skin (painted skin alone)")
    add("--photographs", metavar="FOLDER", help="pictures that the VAE may learn from as well, of any subject (none)")
    add("--people", metavar="FOLDER", help="rendered people")
    add("--clips", metavar="FOLDER", help="people who speak, for stage 2")
    add("--speech", metavar="FILE", help="what they say (speech_clips.npz in --clips)")
    add("--data", metavar="FOLDER", help="shards of `prepare`, or pictures as a stage encodes them (bank in --out)")
    for name, whose in (("vae", "VAE"), ("text", "text encoder"), ("warp", "dense motion")):
        add(f"--{name}", metavar="FILE", help=f"weights of the {whose}")
    add("--faces", metavar="FOLDER", help="face pack")
    add(
        "--start",
        metavar="FILE",
        help="weights to begin with (VAE: none; stage 2: those of stage 1; speech: a motion.safetensors beside its "
        "speech.safetensors, whose audio-to-motion then learns to hear in noise)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, then run the part's or the stage's training.

    Args:
        arguments: Of the command line.

    Returns:
        The exit code.
    """
    part = PARTS[arguments.part] if arguments.part else None
    _check(arguments, part)
    out = Path(arguments.out)
    if part is None:
        _train_runs(arguments, out)
        finished = True
    else:
        finished = part.train(arguments, out)
    print(f"{out}: done" if finished else f"{out}: not finished; the same command goes on")
    return 0


def _check(arguments: argparse.Namespace, part: Part | None) -> None:
    name, known = (arguments.part, part.options) if part else ("a stage", OF_STAGES)
    for option, value in vars(arguments).items():
        if option in ("part", "stage", "out") or value is None or not _is_option(option):
            continue
        if option not in known:
            raise BadInput(f"`--{option}` means nothing to {name}. Leave it out.")
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise BadInput(f"`--minutes` must be above 0, but got {arguments.minutes:g}. Try 60.")
    if arguments.shards is not None and arguments.shards < 1:
        raise BadInput(f"`--shards` must be 1 or more, but got {arguments.shards}. Try 100.")
    if arguments.seed is not None and not 0 <= arguments.seed < 2**63:
        raise BadInput(f"`--seed` must not be negative nor above 2^63 - 1, but got {arguments.seed}. Try 0.")
    check_folder(arguments.out, "--out")


def _is_option(name: str) -> bool:
    return name in OF_STAGES or any(name in part.options for part in PARTS.values())


def read_configs(arguments: argparse.Namespace) -> list[TrainingConfig]:
    """Return a stage's runs, in which options of the command line win.

    A file holds them as [[runs]], as tables [stage1] and [stage2], or is one run itself.

    Args:
        arguments: Of the command line.

    Raises:
        BadConfig: When the file cannot be read, or has unknown keys or values of the wrong type.
        BadInput: When the file has no run of the stage.
    """
    from ..config import TrainingConfig, from_mapping

    chosen = {"stage": arguments.stage, "minutes": arguments.minutes, "seed": arguments.seed}
    overrides = {name: value for name, value in chosen.items() if value is not None}
    if not arguments.config:
        return [TrainingConfig(**overrides)]
    path, values = _recipe(arguments)
    if "runs" in values:
        runs = [run for run in values["runs"] if run.get("stage") == arguments.stage]
        if not runs:
            raise BadInput(f"`--config {path}` has no run of stage {arguments.stage}. Name another stage or file.")
    else:
        plain = {k: v for k, v in values.items() if k not in ("stage1", "stage2", "model")}
        runs = [values.get(f"stage{arguments.stage}", plain)]
    return [from_mapping(TrainingConfig, {**run, **overrides}, str(path)) for run in runs]


def read_model(arguments: argparse.Namespace) -> ModelConfig | None:
    """Return the model that the command line or the file names, None where neither does.

    Args:
        arguments: Of the command line.

    Raises:
        BadConfig: When there is no such model, or its parts cannot go together.
    """
    from ..training import model

    if arguments.model:
        return model.read_model(arguments.model)
    path, values = _recipe(arguments) if arguments.config else (Path(), {})
    return model.read_model(values["model"], path.parent) if "model" in values else None


def _recipe(arguments: argparse.Namespace) -> tuple[Path, dict[str, Any]]:
    """Return `--config` and what it holds."""
    from ..config import toml_values

    path = recipe_path(arguments.config)
    return path, toml_values(path)


def _train_runs(arguments: argparse.Namespace, out: Path) -> None:
    """Train the runs of a stage one after the other, each from what those before it learned."""
    configs, model = read_configs(arguments), read_model(arguments)
    from ..preparation.shards import is_shards
    from ..training.denoiser.stages import train_stage

    options: dict[str, Any] = {
        name: found for name in ("vae", "text", "warp", "faces") if (found := beside(arguments, out, name)) is not None
    }
    if model is not None:
        options["model"] = model
    data = Path(arguments.data) if arguments.data else out / "bank"
    if is_shards(data):  # of `portraittalk prepare`: they bring their people and their speech
        people, data = data, out / "bank"
    else:
        people = beside(arguments, out, "people" if arguments.stage == 1 else "clips", needed=True)
        if arguments.stage == 2:
            options["speech"] = beside(arguments, out, "speech", needed=True)
    start = [Path(arguments.start)] if arguments.start else []
    for number, config in enumerate(configs):
        place = out if len(configs) == 1 else out / f"run{number}"
        train_stage(config, place, data=data, people=people, start=tuple(start), **options)
        start.append(place / "model.safetensors")
