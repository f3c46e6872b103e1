"""The house rules that a machine can hold, for the nodes."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "nodes").glob("*.py"))
MOST_ANY = 5
"""A thousand lines: what the host hands around without types; the rest has some, see nodes/typings."""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_sizes_and_habits(file):
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400 and ast.get_docstring(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 80, f"{node.name} is too long"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"print in line {node.lineno}"
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not any(str(name).startswith("portraittalk_core") for name in names), (
                "the core is imported relatively"
            )


def test_any_is_rare():
    texts = [file.read_text(encoding="utf-8") for file in FILES]
    lines, found = (sum(map(len, (re.findall(pattern, text) for text in texts))) for pattern in (r"\n", r"\bAny\b"))
    assert found * 1000 <= MOST_ANY * lines, f"{found} in {lines} lines"
