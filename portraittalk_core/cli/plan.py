"""`portraittalk plan`: how much memory a video will need, stage by stage, before anything is fetched or run."""

from __future__ import annotations

import argparse
from typing import Any

EPILOG = """examples:
  portraittalk plan --model sd15-portraittalk --frames 100 --size 512
  portraittalk plan --model sd15-magictalk --frames 100 --size 512 --at-once

The figures are predicted from the real networks, which are built without memory; they have not been measured on an
accelerator. The driver, convolution libraries and gaps come on top: count on 1 GB.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    from ..presets import PUBLIC

    parser = commands.add_parser(
        "plan",
        help="predict the memory that a video needs",
        description="Predict the memory of an accelerator that each stage needs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", default=PUBLIC[0], choices=PUBLIC, help=f"which stack ({PUBLIC[0]})")
    add("--frames", type=int, default=100, metavar="N", help="frames of the video (100)")
    add("--size", type=int, default=512, metavar="N", help="side of a frame in pixels, a multiple of 64 (512)")
    add("--window", type=int, default=16, metavar="N", help="frames that are denoised together (16)")
    add("--precision", choices=("fp16", "fp32"), default="fp16", help="of the weights (fp16; on a CPU it is fp32)")
    add("--at-once", action="store_true", help="guidance's passes at once, as on accelerators of 12 GB and more")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the stages and the largest of them."""
    import torch

    from ..presets import PRESETS
    from ..stacks.memory import peak_of, plan_memory

    stages = plan_memory(
        PRESETS[arguments.model](),
        frames=arguments.frames,
        size=arguments.size,
        window=arguments.window,
        dtype=torch.float16 if arguments.precision == "fp16" else torch.float32,
        passes_at_once=arguments.at_once,
    )
    print(f"{'stage':<10} {'weights':>9} {'kept':>9} {'working':>9} {'together':>9}   GB, predicted, not measured")
    for stage in stages:
        numbers = (stage.weights, stage.kept, stage.work, stage.total)
        print(f"{stage.name:<10}", *(f"{number / 1e9:>9.2f}" for number in numbers))
    most = peak_of(stages)
    print(f"\nlargest: {most.name}, {most.total / 1e9:.2f} GB; networks of other stages are not in memory then")
    return 0
