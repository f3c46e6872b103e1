"""List the programs of this package, one line each: `python -m benchmarks`."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def programs() -> dict[str, str]:
    """Find the programs without importing them, for some need packages of their own.

    Returns:
        By name, the first line of the program's docstring.
    """
    files = (file for file in sorted(FOLDER.glob("*.py")) if not file.stem.startswith("__"))
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "" for file in files}
    return {name: text.partition("\n")[0] for name, text in texts.items()}


def main() -> None:
    """Write the list."""
    found = programs()
    width = max(map(len, found))
    sys.stdout.write("Run one from the root of the repository: python -m benchmarks.NAME --help\n\n")
    sys.stdout.writelines(f"  {name:<{width}}  {line}\n" for name, line in found.items())


if __name__ == "__main__":
    main()
