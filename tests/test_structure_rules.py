"""The house rules that a machine can hold."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "portraittalk_core"
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
FILES = sorted([*CORE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines below its first one, without its docstring."""
    lines = (function.end_lineno or 0) - function.lineno
    if ast.get_docstring(function) is not None:
        said = function.body[0]
        lines -= (said.end_lineno or 0) - said.lineno + 1
    return lines


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_sizes_and_habits(file):
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400 and file.name != "utils.py"
    assert ast.get_docstring(tree), "a file says what it is for"
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert _length(node) < 80, f"{node.name} is too long"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"bare except in line {node.lineno}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.startswith("cuda"), f"a device is named in line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            assert "cli" in file.parts, f"print in line {node.lineno}"


def _nodes(file: Path, names: str) -> Iterator[ast.AST]:
    """Return what a file consists of, nothing where it has none of the names that are looked for."""
    text = file.read_text(encoding="utf-8")
    return ast.walk(ast.parse(text)) if re.search(names, text) else iter(())


def _opens_text(call: ast.Call) -> bool:
    """Return whether a call opens a text file; what the `open` of other things is given is no mode."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name != "open" or ast.unparse(function) == "tarfile.open":
        return name in ("read_text", "write_text")
    place = 1 if isinstance(function, ast.Name) else 0
    given = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    if place:
        return not any("b" in mode for mode in modes)
    return any(mode and set(mode) <= set("rwaxt+") for mode in modes)


def test_text_files_name_their_encoding():
    """Where they do not, Windows takes that of the country."""
    found = []
    for file in sorted(file for folder in (CORE, ROOT / "nodes", ROOT / "docs") for file in folder.rglob("*.py")):
        for node in _nodes(file, "open|read_text|write_text"):
            if isinstance(node, ast.Call) and _opens_text(node) and "encoding" not in {w.arg for w in node.keywords}:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_what_runs_on_a_device_asks_nothing_that_apples_gpus_lack():
    found = []
    for file in (file for name in ("nets", "motion", "diffusion", "hosts") for file in (CORE / name).rglob("*.py")):
        for node in _nodes(file, "linalg|cholesky|lstsq|svd|grid_sample"):
            said = ast.unparse(node) if isinstance(node, ast.Call) else ""
            solves = re.match(r"torch\.(linalg\.\w+|cholesky\w*|lstsq|svd)\(", said) and "off_apple(" not in said
            if solves or re.match(r"[\w.]*grid_sample\(.*border", said):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}: {said}")
    assert not found, "see media.resampling: bordered, off_apple"


def test_every_folder_of_the_core_is_a_package():
    folders = {file.parent for file in CORE.rglob("*.py")}
    assert not [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").is_file()]


def test_the_readme_points_at_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {*re.findall(r"`([\w/]+/[\w/]*\.\w+|tests/[\w/]*)`", text), *re.findall(r"\]\(([\w./]+)\)", text)}
    assert len(named) > 10
    assert not sorted(name for name in named if not ((ROOT / name).exists() or (CORE / name).exists()))


def test_importing_the_package_loads_nothing_heavy():
    heavy = ("torch", "diffusers", "transformers", "insightface", "cv2", "av", "librosa", "scipy", "numba")
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


def test_contributing_has_the_layers_of_pyproject():
    layers = re.findall(r'^    "(.+)",$', PYPROJECT.split("[[tool.importlinter.contracts]]")[1], re.MULTILINE)
    wanted = " > ".join(layers).replace("(", "").replace(")", "")
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    written = text.split("<!-- layers: as in pyproject.toml -->")[1].split("<!-- end of layers -->")[0]
    assert " ".join(written.split()) == wanted


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def test_documents_link_to_files_that_exist():
    address = re.escape("https://github.com/portraittalk/portraittalk/blob/main/")
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for name in re.findall(rf"{address}([^)#\s]+)", file.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{file.relative_to(ROOT)} links to {name}"


def test_the_papers_map_names_files_that_exist():
    named = re.findall(r"`([\w/]+/(?:\w+\.\w+)?)`", (ROOT / "docs" / "papers.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    assert not [name for name in named if not ((ROOT / name).exists() or (CORE / name).exists())]


def test_every_room_has_a_page_of_reference():
    pages = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "docs" / "reference").glob("*.md"))
    rooms = {file.stem if file.is_file() else file.name for file in CORE.iterdir()} - {"assets", "py", "__pycache__"}
    rooms = {room for room in rooms if not room.startswith("_") and room != "py.typed"}
    assert not sorted(room for room in rooms if f"::: portraittalk_core.{room}" not in pages)


def test_every_example_is_listed():
    text = (ROOT / "docs" / "examples" / "README.md").read_text(encoding="utf-8")
    files = [*(ROOT / "docs" / "examples").glob("*.py"), *(ROOT / "docs" / "examples").glob("*.ipynb")]
    assert files and not [file.name for file in files if f"({file.name})" not in text]


def test_nobody_is_told_to_install_from_an_index_that_has_it_not():
    for file in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "web").rglob("*.md"), *FILES]:
        for line in file.read_text(encoding="utf-8").splitlines():
            told = re.search(r"""pip install ["']?portraittalk\b(?!/)""", line)
            assert not told or "@ git+https" in line, f"{file.name}: {line}"


def test_the_wheel_takes_what_the_model_needs_and_no_more():
    data = PYPROJECT.split("[tool.setuptools.package-data]")[1].split("\n]")[0]
    packed = {file for pattern in re.findall(r'^    "(.+)",$', data, re.MULTILINE) for file in CORE.glob(pattern)}
    assets = {file for file in (CORE / "assets").rglob("*") if file.is_file()}
    left_out = {file.name for file in assets - packed}
    assert left_out and all(name.endswith("_curve.csv") or name == "judge.safetensors" for name in left_out)
    assert {file for file in CORE.rglob("*.toml")} <= packed
