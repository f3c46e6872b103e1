"""Where many jobs run: `--engine`, `--workers` and `--ray-address` of `generate --batch`, `evaluate` and `prepare`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

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

    return Engine(arguments.engine, arguments.workers, arguments.ray_address)
