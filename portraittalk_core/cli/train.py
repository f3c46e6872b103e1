"""`portraittalk train`: train a part of the tiny model, or one of the two stages of the denoiser."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    from ..config import ModelConfig, TrainingConfig

EPILOG = """examples:
  portraittalk train --part text --out runs/text
  portraittalk train --part vae --minutes 5 --people 20 --out runs/first
  portraittalk train --stage 1 --config tiny.toml --minutes 60 --out runs/stage1
  portraittalk train --stage 1 --model my_model.toml --vae runs/my_vae/vae/vae.safetensors --out runs/my_model
  portraittalk train --stage 2 --config stage2.toml --speech runs/clips/speech_clips.npz --out runs/stage2

Every part but text goes on where a run in the same folder stopped. Speech needs espeak-ng (see `doctor`).
"""

ORDER = "parts in order: vae, text, structure, faces, speech; then --stage 1, then --stage 2"
RECIPES = Path(__file__).resolve().parent.parent / "training"


def add_parser(commands: Any) -> None:
    """Add the subcommand.

    Args:
        commands: Of argparse.
    """
    parser = commands.add_parser(
        "train",
        help="train a part of the tiny model, or a stage of the denoiser",
        description=f"Train a part or a stage; {ORDER}.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--part", choices=tuple(PARTS), help="one of the networks around the denoiser")
    what.add_argument("--stage", type=int, choices=(1, 2), help="1: identity and appearance; 2: structure and motion")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="where weights, state and curves go")
    parser.add_argument(
        "--config", metavar="FILE", help="a TOML file of a stage; tiny.toml and stage2.toml are shipped"
    )
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="what a stage trains: a preset's name or a TOML file (what --config says, or tiny)",
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="stop after so long (not text, speech); run again to go on"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="seed of data and training")
    parser.add_argument("--data", metavar="FOLDER", help="rendered pictures, made if absent (FOLDER of --out/bank)")
    parser.add_argument("--people", type=int, default=400, metavar="N", help="avatars to render if absent (400)")
    parser.add_argument("--vae", metavar="FILE", help="the VAE that a stage encodes with (the shipped one)")
    parser.add_argument("--start", metavar="FILE", help="weights that a stage begins with (stage 2: those of stage 1)")
    parser.add_argument(
        "--speech", metavar="FILE", help="speech features for stage 2; training.denoiser.clips makes them"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check the arguments, then run the part's or the stage's training.

    Args:
        arguments: Of the command line.

    Returns:
        The exit code.
    """
    _check(arguments)
    out = Path(arguments.out)
    if arguments.part:
        PARTS[arguments.part](arguments, out)
    else:
        _train_runs(arguments, out)
    print(f"{out}: done")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise BadInput(f"`--minutes` must be above 0, but got {arguments.minutes:g}. Try 60.")
    if arguments.minutes is not None and arguments.part in ("text", "speech"):
        raise BadInput(f"`--minutes` cannot bound {arguments.part}, whose steps are fixed. Leave it out.")
    if arguments.people < 1:
        raise BadInput(f"`--people` must be 1 or more, but got {arguments.people}. Try 400.")
    if arguments.seed is not None and not 0 <= arguments.seed < 2**63:
        raise BadInput(f"`--seed` must not be negative nor above 2^63 - 1, but got {arguments.seed}. Try 0.")
    for name in ("config", "model"):
        if arguments.part and getattr(arguments, name):
            raise BadInput(f"`--{name}` belongs to a stage, but a part was named. Leave it out or name a --stage.")
    out = Path(arguments.out)
    if out.exists() and not out.is_dir():
        raise BadInput(f"`--out` must be a folder, but `{out}` is a file. Name a folder.")


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
    """Return `--config` and what it holds; a bare name that is no file here is looked for among the shipped ones."""
    from ..config import toml_values

    path = Path(arguments.config)
    if not path.is_file() and (RECIPES / path.name).is_file():
        path = RECIPES / path.name
    return path, toml_values(path)


def _train_runs(arguments: argparse.Namespace, out: Path) -> None:
    """Train the runs of a stage one after the other, each from what the one before it learned."""
    configs, model = read_configs(arguments), read_model(arguments)
    from ..training.denoiser.stages import train_stage

    optional = {"vae": arguments.vae, "start": arguments.start, "speech": arguments.speech}
    options: dict[str, Any] = {name: Path(value) for name, value in optional.items() if value}
    if model is not None:
        options["model"] = model
    for number, config in enumerate(configs):
        place = out if len(configs) == 1 else out / f"run{number}"
        train_stage(config, place, data=_data_folder(arguments), people=arguments.people, **options)
        options["start"] = place / "model.safetensors"


def _data_folder(arguments: argparse.Namespace) -> Path:
    return Path(arguments.data) if arguments.data else Path(arguments.out) / "bank"


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that were given, so that each part keeps its own defaults."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _train_vae(arguments: argparse.Namespace, out: Path) -> None:
    from ..training.pictures import PictureConfig, train_pictures

    chosen = {"minutes": arguments.minutes} if arguments.minutes else {}
    train_pictures(PictureConfig(people=arguments.people, **chosen), out, processes=1)


def _train_text(arguments: argparse.Namespace, out: Path) -> None:
    from ..training.text import train_text

    train_text(out, **_given(arguments, "seed"))


def _train_speech(arguments: argparse.Namespace, out: Path) -> None:
    from ..training.speech.train import train_speech

    train_speech(out, work_dir=out / "work", **_given(arguments, "seed"))


def _train_faces(arguments: argparse.Namespace, out: Path) -> None:
    from ..training.faces.train import train_faces

    train_faces(out, work_dir=out / "work", **_given(arguments, "minutes", "seed"))


def _train_structure(arguments: argparse.Namespace, out: Path) -> None:
    from ..training.motion.structure import train_structure

    train_structure(out, **_given(arguments, "minutes", "seed"))


PARTS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "vae": _train_vae,
    "text": _train_text,
    "speech": _train_speech,
    "faces": _train_faces,
    "structure": _train_structure,
}
