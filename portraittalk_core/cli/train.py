"""`portraittalk train`: train a model on shards, a stage of it, or a part of the tiny model."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadConfig, BadInput
from ..media.target import check_folder
from .train_parts import PARTS, Part, beside, recipe_path, recipe_runs

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
  portraittalk train --model sd15 --data shards/ --base v1-5-pruned-emaonly.safetensors --out runs/sd15
  torchrun --standalone --nproc-per-node 8 -m portraittalk_core train --model sd15 --data shards/ --base sd15-base \\
      --identity faceid-portrait --temporal animatediff-v2 --out runs/sd15

Without --part and --stage both stages are trained on shards of `prepare`, and a model is put together in --out/model.
Every part but text goes on where it stopped in the same folder. Speech and clips need espeak-ng, people and clips
moderngl and anny (see `doctor`).
"""

OF_STAGES = frozenset(
    ("config", "model", "minutes", "seed", "data", "people", "clips", "speech", "vae", "text", "warp", "faces", "start")
)
"""The options that a stage knows."""

OF_MODELS = frozenset(
    ("config", "model", "minutes", "steps", "seed", "data", "speech", "vae", "text", "warp", "start", "workers")
    + ("export_lora", "base", "identity", "temporal", "tokenizer")
)
"""The options that the training of a whole model knows."""


def add_parser(commands: Any) -> None:
    """Add the subcommand.

    Args:
        commands: Of argparse.
    """
    listed = "\n".join(f"  {name:<13} {part.help}" for name, part in PARTS.items())
    parser = commands.add_parser(
        "train",
        help="train a model on shards, a stage of it, or a part of the tiny model",
        description="Train a model on shards of `prepare`, a stage of it, or a part of the tiny model.",
        epilog=EPILOG.format(parts=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--part", choices=tuple(PARTS), metavar="PART", help=f"one of {', '.join(PARTS)}")
    what.add_argument("--stage", type=int, choices=(1, 2), help="1: identity and appearance; 2: motion and speech")
    add = parser.add_argument
    add("--out", required=True, metavar="FOLDER", help="where weights, state and curves go")
    add("--config", metavar="FILE", help="a recipe, a TOML file; tiny.toml, tiny_gpu.toml and sd15.toml are shipped")
    add("--model", metavar="MODEL", help="what is trained: sd15, another preset or a TOML file (what --config says)")
    add("--minutes", type=float, metavar="N", help="stop after so long; run again to go on")
    add("--steps", type=int, metavar="N", help="steps of each stage, in place of the recipe's")
    add("--seed", type=int, metavar="N", help="seed of data and training")
    add("--shards", type=int, metavar="N", help="how many shards of people (100 of 16) or clips (60 of 8) to draw")
    add("--textures", metavar="FOLDER", help="MakeHuman's CC0 textures for skin (painted skin alone)")
    add("--photographs", metavar="FOLDER", help="pictures that the VAE may learn from as well, of any subject (none)")
    add("--people", metavar="FOLDER", help="rendered people")
    add("--clips", metavar="FOLDER", help="people who speak, for stage 2")
    add(
        "--speech",
        metavar="FILE",
        help="what they say (speech_clips.npz in --clips); with shards the speech encoder: a file, wav2vec2 or shipped "
        "(what made their features; for a public base wav2vec2 where it is; else shipped)",
    )
    add("--recordings", metavar="FILE", help="table of people's recordings and texts, for speech to go on with (none)")
    add("--data", metavar="FOLDER", help="shards of `prepare`, or pictures as a stage encodes them (bank in --out)")
    for name, whose in (("vae", "VAE"), ("text", "text encoder"), ("warp", "dense motion")):
        add(f"--{name}", metavar="FILE", help=f"weights of the {whose}")
    add("--faces", metavar="FOLDER", help="face pack")
    add(
        "--start",
        metavar="FILE",
        help="weights to begin with (VAE: none; stage 2: those of stage 1; speech: none, or the folder of a model)",
    )
    group = parser.add_argument_group(
        "a model of SD1.5's shape begins with public files, paths or names of `models list`"
    )
    group.add_argument("--base", metavar="FILE", help="SD1.5 checkpoint or diffusers folder: U-Net, VAE, text encoder")
    group.add_argument("--identity", metavar="FILE", help="ip-adapter-faceid or -portrait, for IdentityNet (untrained)")
    group.add_argument("--temporal", metavar="FILE", help="AnimateDiff's or AniPortrait's motion module (untrained)")
    group.add_argument("--tokenizer", metavar="FILE", help="CLIP's tokenizer (the base's, or the catalogue's)")
    group.add_argument("--workers", type=int, metavar="N", help="processes that read shards ahead (the recipe's)")
    group.add_argument("--export-lora", metavar="FILE", help="write what --out learned in low rank, train nothing")
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
    if arguments.export_lora:
        return _export(out, Path(arguments.export_lora))
    if part is not None:
        finished = part.train(arguments, out)
    elif arguments.stage is None:
        finished = _train_model(arguments, out)
    else:
        _train_runs(arguments, out)
        finished = True
    print(f"{out}: done" if finished else f"{out}: not finished; the same command goes on")
    return 0


def _check(arguments: argparse.Namespace, part: Part | None) -> None:
    name, known = (arguments.part, part.options) if part else ("a stage", OF_STAGES)
    if part is None and arguments.stage is None:
        name, known = "a whole model", OF_MODELS
        if not arguments.data and not arguments.export_lora:
            raise BadInput(
                "`--part`, `--stage` or `--data` must be given. To train a model on clips of your own: "
                "portraittalk prepare CLIPS -o shards/, then portraittalk train --model sd15 --data shards/ --out DIR."
            )
    for option, value in vars(arguments).items():
        if option in ("part", "stage", "out") or value is None or not _is_option(option):
            continue
        if option not in known:
            raise BadInput(f"`--{option.replace('_', '-')}` means nothing to {name}. Leave it out.")
    if arguments.minutes is not None and not 0 < arguments.minutes < math.inf:
        raise BadInput(f"`--minutes` must be above 0, but got {arguments.minutes:g}. Try 60.")
    if arguments.steps is not None and arguments.steps < 1:
        raise BadInput(f"`--steps` must be 1 or more, but got {arguments.steps}. Try 30000.")
    if arguments.workers is not None and arguments.workers < 0:
        raise BadInput(f"`--workers` must not be negative, but got {arguments.workers}. Try 8.")
    if arguments.shards is not None and arguments.shards < 1:
        raise BadInput(f"`--shards` must be 1 or more, but got {arguments.shards}. Try 100.")
    if arguments.seed is not None and not 0 <= arguments.seed < 2**63:
        raise BadInput(f"`--seed` must not be negative nor above 2^63 - 1, but got {arguments.seed}. Try 0.")
    check_folder(arguments.out, "--out")


def _is_option(name: str) -> bool:
    return name in OF_STAGES or name in OF_MODELS or any(name in part.options for part in PARTS.values())


def read_configs(arguments: argparse.Namespace) -> list[TrainingConfig]:
    """Return a stage's runs, in which options of the command line win.

    A file holds them as [[runs]], as tables [stage1] and [stage2], or is one run itself.

    Args:
        arguments: Of the command line.

    Raises:
        BadConfig: When the file cannot be read, or has unknown keys or values of the wrong type.
        BadInput: When the file has no run of the stage.
    """
    from ..config import TrainingConfig
    from ..config_file import from_mapping

    chosen = {"stage": arguments.stage, "minutes": arguments.minutes, "seed": arguments.seed}
    overrides = {name: value for name, value in chosen.items() if value is not None}
    if not arguments.config:
        return [TrainingConfig(**overrides)]
    path, values = _recipe(arguments)
    if "runs" in values:
        runs = [run for run in recipe_runs(values, path) if run.get("stage") == arguments.stage]
        if not runs:
            raise BadInput(f"`--config {path}` has no run of stage {arguments.stage}. Name another stage or file.")
    else:
        plain = {k: v for k, v in values.items() if k not in ("stage1", "stage2", "model")}
        runs = [values.get(f"stage{arguments.stage}", plain)]
        if not isinstance(runs[0], dict):
            raise BadConfig(f"{path}: `stage{arguments.stage}` must be a table, but is {str(runs[0])[:40]!r}. Fix it.")
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
    from ..config_file import toml_values

    path = recipe_path(arguments.config)
    return path, toml_values(path)


def _train_model(arguments: argparse.Namespace, out: Path) -> bool:
    """Train both stages on shards and put the model together."""
    from ..config import TrainingConfig
    from ..config_file import from_mapping
    from ..preparation.shards import is_shards
    from ..training.ground import SOURCES
    from ..training.model import read_model as model_of
    from ..training.program import Program, limited, train_program

    shards = Path(arguments.data)
    if not is_shards(shards):
        raise BadInput(
            f"`--data` must hold shards, but {shards} holds none. Make them: portraittalk prepare CLIPS -o DIR."
        )
    arguments.config = arguments.config or "sd15.toml"
    path, values = _recipe(arguments)
    if "runs" not in values:
        raise BadInput(f"`--config {path}` must have [[runs]], of both stages. Try sd15.toml.")
    model = read_model(arguments) or model_of()
    runs = [from_mapping(TrainingConfig, run, str(path)) for run in recipe_runs(values, path)]
    chosen = {"minutes": arguments.minutes, "max_steps": arguments.steps, "seed": arguments.seed}
    parts = {name: Path(given) for name in ("vae", "text", "warp") if (given := getattr(arguments, name))}
    sources = {name: given for name in SOURCES if name != "vae" and (given := getattr(arguments, name))}
    if "base" in sources and "vae" in parts:
        sources["vae"] = str(parts.pop("vae"))
    start = (Path(arguments.start),) if arguments.start else ()
    options = limited(runs, workers=arguments.workers, **chosen)
    return train_program(Program(model, options, shards, out, sources, parts, start, arguments.speech))


def _export(out: Path, file: Path) -> int:
    """Write a LoRA file of what a model learned."""
    from ..training.program import export_lora

    print(f"{file}: changes {export_lora(out, file)} layers of SD1.5's U-Net")
    return 0


def _train_runs(arguments: argparse.Namespace, out: Path) -> None:
    """Train the runs of a stage one after the other, each from what those before it learned."""
    configs, model = read_configs(arguments), read_model(arguments)
    from ..preparation.shards import is_shards
    from ..presets import tiny
    from ..training.denoiser.shard_bank import bank_name
    from ..training.denoiser.stages import train_stage
    from ..training.listening import choose_hearing

    options: dict[str, Any] = {
        name: found for name in ("vae", "text", "warp", "faces") if (found := beside(arguments, out, name)) is not None
    }
    if model is not None:
        options["model"] = model
    data = Path(arguments.data) if arguments.data else out / "bank"
    bring = is_shards(data)  # of `portraittalk prepare`: they bring their people and their speech
    if bring:
        people = data
        hearing = choose_hearing(out, data, arguments.speech, public=arguments.model == "sd15")
        options |= {"hearing": hearing, "model": replace(model or tiny(), audio_dim=hearing.width)}
    else:
        people = beside(arguments, out, "people" if arguments.stage == 1 else "clips", needed=True)
        if arguments.stage == 2:
            options["speech"] = beside(arguments, out, "speech", needed=True)
    start = [Path(arguments.start)] if arguments.start else []
    for number, config in enumerate(configs):
        place = out if len(configs) == 1 else out / f"run{number}"
        bank = out / bank_name(config) if bring else data
        train_stage(config, place, data=bank, people=people, start=tuple(start), **options)
        start.append(place / "model.safetensors")
