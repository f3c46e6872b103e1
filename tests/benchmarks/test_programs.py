"""The package of benchmarks: run one way, and it says what it holds."""

import ast
import subprocess
import sys

import pytest

from benchmarks.__main__ import FOLDER, programs
from benchmarks.parts.program import ROOT

FILES = sorted(FOLDER.rglob("*.py"))


def test_the_list_has_a_line_for_each_program():
    out = subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    listed = {line.split()[0]: line.strip().split(maxsplit=1)[1] for line in out[2:]}
    assert listed == programs() and len(listed) > 10
    assert all(line.endswith((".", "?")) and len(line) < 120 for line in listed.values())


@pytest.mark.parametrize("name", programs())
def test_every_program_is_run_the_same_way(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    assert f"python -m benchmarks.{name}" in text and "def main() -> None:" in text
    assert f'command_line("{name}", __doc__)' in text and text.endswith('if __name__ == "__main__":\n    main()\n')


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_imports_inside_are_relative_and_the_path_is_left_alone(file):
    text = file.read_text(encoding="utf-8")
    assert "sys.path" not in text and "python benchmarks/" not in text
    for node in ast.walk(ast.parse(text)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        assert not [name for name in names if name.split(".")[0] == "benchmarks"]
