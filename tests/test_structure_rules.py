"""The house rules that a machine can hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "portraittalk_core"
FILES = sorted([*CORE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_sizes_and_habits(file):
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400 and file.name != "utils.py"
    assert ast.get_docstring(tree), "a file says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < 80, f"{node.name} is too long"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith("cuda"), f"a device is named in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert "cli" in file.parts, f"print in line {node.lineno}"


def test_every_folder_of_the_core_is_a_package():
    folders = {file.parent for file in CORE.rglob("*.py")}
    assert not [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()]


def test_the_readme_points_at_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {*re.findall(r"`([\w/]+/[\w/]*\.\w+|tests/[\w/]*)`", text), *re.findall(r"\]\(([\w./]+)\)", text)}
    assert len(named) > 10
    assert not sorted(name for name in named if not ((ROOT / name).exists() or (CORE / name).exists()))


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("torch", "diffusers", "transformers", "insightface", "cv2", "av")
    code = f"import sys, portraittalk_core; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_imports_go_one_way():
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install import-linter")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:]


def test_documents_speak_of_the_project_alone():
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *FILES]:
        text = file.read_text(encoding="utf-8")
        for word in ("/" + "work/", "/" + "root/", "/" + "tmp/"):
            assert word not in text, f"{file.relative_to(ROOT)} names a path of somebody's machine: {word}"
