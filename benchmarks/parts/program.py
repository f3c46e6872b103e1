"""What every program has: its command line, and the folders that it reads and writes."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

DOCS = ROOT / "docs"
"""Pages that programs write into, between markers."""

RUNS = ROOT / "runs"
"""What programs keep between runs; no part of the repository."""


def command_line(name: str, doc: str | None) -> argparse.ArgumentParser:
    """Begin a program's command line.

    Args:
        name: Of the program's module.
        doc: Its docstring, which `--help` shows.

    Returns:
        A parser without arguments.
    """
    how = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=doc, formatter_class=how)


def read_results(path: Path) -> dict[str, Any]:
    """Read what was measured.

    Args:
        path: The file.

    Returns:
        By name; {} where nothing was measured yet.
    """
    return json.loads(path.read_text()) if path.exists() else {}


def update_results(found: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put results into the file, which is read anew: another process may have measured others meanwhile.

    Args:
        found: By name.
        path: The file.

    Returns:
        All of them.
    """
    results = {**read_results(path), **found}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1))
    return results


def say(*words: object) -> None:
    """Write a line to the standard output, at once.

    Args:
        *words: What it says, joined by spaces.
    """
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()
