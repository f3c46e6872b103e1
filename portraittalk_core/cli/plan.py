"""`portraittalk plan`: how much memory a video or a training step will need, before anything is fetched or run."""

from __future__ import annotations

import argparse
from typing import Any

EPILOG = """examples:
  portraittalk plan --model sd15-portraittalk --frames 100 --size 512
  portraittalk plan --model sd15-magictalk --frames 100 --size 512 --at-once
  portraittalk plan --train --model sd15 --stage 2 --frames 16 --batch 2
  portraittalk plan --train --model sd15 --stage 1 --identity faceid-portrait

The figures are predicted from the real networks, which are built without memory; they have not been measured on an
accelerator. The driver, convolution libraries and gaps come on top: count on 1 GB.
"""


_TOKENS = {"faceid": 4, "faceid-portrait": 16}
"""Identity tokens of the public files."""

_WIDTHS = {"wav2vec2": 768}
"""Features of the public encoder, which need not be here."""

VIDEO_ONLY = ("window", "precision", "at_once")
TRAINING_ONLY = ("stage", "batch", "config", "speech", "identity")
"""Options that say nothing of the other plan."""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    from ..presets import PUBLIC

    parser = commands.add_parser(
        "plan",
        help="predict the memory that a video or a training step needs",
        description="Predict the memory of an accelerator that each stage of a video needs, or a step of training.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--model",
        metavar="MODEL",
        help=f"which stack: {', '.join(PUBLIC)} ({PUBLIC[0]}); with --train: sd15 or a TOML file",
    )
    add("--frames", type=int, metavar="N", help="frames of the video (100); with --train: of a clip (the recipe's)")
    add("--size", type=int, metavar="N", help="side of a frame in pixels, a multiple of 64 (512)")
    add("--window", type=int, metavar="N", help="frames that are denoised together (16)")
    add("--precision", choices=("fp16", "fp32"), help="of the weights (fp16; on a CPU it is fp32)")
    add("--at-once", action="store_true", help="guidance's passes at once, as on accelerators of 12 GB and more")
    group = parser.add_argument_group("a step of training, instead of a video")
    group.add_argument(
        "--train", action="store_true", help="predict a step of training, by parts, and what fits which card"
    )
    group.add_argument("--stage", type=int, choices=(1, 2), help="of the training (2)")
    group.add_argument("--batch", type=int, metavar="N", help="people or clips a step (the recipe's)")
    group.add_argument("--config", metavar="FILE", help="a recipe (sd15.toml)")
    group.add_argument(
        "--speech", metavar="FILE", help="what it listens with: wav2vec2, shipped or a file (as wide as the model says)"
    )
    group.add_argument(
        "--identity", choices=tuple(_TOKENS), help="what IdentityNet begins with (as many tokens as the model says)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the stages and the largest of them, or the parts of a training step."""
    from ..errors import BadInput

    others = VIDEO_ONLY if arguments.train else TRAINING_ONLY
    alien = [name for name in others if getattr(arguments, name) not in (None, False)]
    if alien:
        where = "the plan of a video, without --train" if arguments.train else "--train"
        raise BadInput(f"`{alien[0]}` belongs to {where}. Leave it out.")
    if arguments.train:
        return _plan_training(arguments)
    import torch

    from ..presets import PRESETS, PUBLIC
    from ..stacks.memory import peak_of, plan_memory

    name = arguments.model or PUBLIC[0]
    if name not in PUBLIC:
        raise BadInput(
            f"`--model` must be one of {', '.join(PUBLIC)}, but got {name}. To plan a training, add --train. (The tiny "
            "model takes about 1.4 GB, whatever the length of the video.)"
        )
    stages = plan_memory(
        PRESETS[name](),
        frames=100 if arguments.frames is None else arguments.frames,
        size=512 if arguments.size is None else arguments.size,
        window=16 if arguments.window is None else arguments.window,
        dtype=torch.float32 if arguments.precision == "fp32" else torch.float16,
        passes_at_once=arguments.at_once,
    )
    print(f"{'stage':<10} {'weights':>9} {'kept':>9} {'working':>9} {'together':>9}   GB, predicted, not measured")
    for stage in stages:
        numbers = (stage.weights, stage.kept, stage.work, stage.total)
        print(f"{stage.name:<10}", *(f"{number / 1e9:>9.2f}" for number in numbers))
    most = peak_of(stages)
    print(f"\nlargest: {most.name}, {most.total / 1e9:.2f} GB; networks of other stages are not in memory then")
    return 0


def _plan_training(arguments: argparse.Namespace) -> int:
    """Print what a step takes by parts, and what to switch on for cards of several sizes."""
    from dataclasses import replace

    from ..checkpoints.hearing import open_hearing
    from ..config import TrainingConfig
    from ..config_file import from_mapping, toml_values
    from ..errors import BadInput
    from ..training.memory import CARDS_GB, fits, plan_step, remedies
    from ..training.model import check_picture_size, read_model
    from .train_parts import recipe_path, recipe_runs

    stage = arguments.stage or 2
    path = recipe_path(arguments.config or "sd15.toml")
    runs = [run for run in recipe_runs(toml_values(path), path) if run.get("stage") == stage]
    if not runs:
        raise BadInput(f"`--config {path}` has no run of stage {stage}. Name another stage or file.")
    given = {
        "clip": arguments.frames if stage == 2 else None,
        "refs": arguments.batch,
        "size": arguments.size,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    config = from_mapping(TrainingConfig, {**runs[-1], **changed}, str(path))
    model = read_model(arguments.model or "sd15")
    if arguments.speech:
        model = replace(model, audio_dim=_WIDTHS.get(arguments.speech) or open_hearing(arguments.speech).width)
    if arguments.identity:
        model = replace(model, identity_tokens=_TOKENS[arguments.identity])
    if min(config.refs, config.clip) < 1 or config.clip > model.temporal_frames:
        raise BadInput(
            f"`--batch` and `--frames` must be 1 or more, and frames at most {model.temporal_frames}, but got "
            f"{config.refs} and {config.clip}. Try 2 and 16."
        )
    check_picture_size(model, config.size, streamed=True)
    parts = plan_step(model, config)
    what = f"{config.refs} clips of {config.clip} frames" if config.stage == 2 else f"{config.refs} pictures"
    heard = f", {model.audio_dim} features heard" if config.stage == 2 else ""
    print(f"{model.name}, stage {config.stage}: {what}, {config.size} px{heard}   GB, predicted, not measured")
    for name, value in vars(parts).items():
        print(f"  {name:<12} {value / 1e9:>7.2f}")
    print(f"  {'together':<12} {parts.total / 1e9:>7.2f}\n")
    for card in CARDS_GB:
        switches, fitted = remedies(model, config, card)
        needed = f"{fitted.total / 1e9:.1f} GB"
        if not fits(fitted, card):
            print(f"  {card} GB: not even with {', '.join(switches)}: {needed}. Take a smaller --size.")
        else:
            print(f"  {card} GB: {'fits as it is' if not switches else 'with ' + ', '.join(switches)}: {needed}")
    return 0
