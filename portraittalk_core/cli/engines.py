"""Where many jobs run: `--engine`, `--workers` and `--ray-address` of `generate --batch`, `evaluate` and `prepare`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from ..errors import BadInput

if TYPE_CHECKING:
    from ..evaluation.engine import Engine


def add_engine(parser: Any) -> None:
    """Add the options.

    Args:
        parser: Of the command, or a group of it.
    """
    add = parser.add_argument
    add("--engine", choices=("local", "ray"), default="local", help="ray: on all CPUs or a cluster (local)")
    add("--workers", type=int, metavar="N", help="how many at once with --engine ray (all CPUs)")
    add("--ray-address", metavar="HOST:PORT", help="a running cluster (that of RAY_ADDRESS, else this machine)")


def read_engine(arguments: argparse.Namespace) -> Engine:
    """Return what the options ask for.

    Args:
        arguments: Of the command line.

    Raises:
        BadInput: When a value cannot be.
    """
    from ..evaluation.engine import Engine

    engine = Engine(arguments.engine, arguments.workers, arguments.ray_address)
    given = [name for name in ("workers", "ray_address") if getattr(arguments, name) is not None]
    if given and engine.name != "ray":
        raise BadInput(f"`{given[0]}` belongs to --engine ray. Add that, or leave it out.")
    return engine
