"""What the registry carries to a ComfyUI: small enough, whole, and nothing that is not used."""

import fnmatch
import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 52_000_000
BEHIND = {"onnxruntime": "insightface runs its networks with it, and does not install it"}
"""Requirements that others import."""


def _ignored(path: str, patterns: list[str]) -> bool:
    folders = [p for p in patterns if p.endswith("/")]
    names = [p for p in patterns if not p.endswith("/")]
    inside = any(path.startswith(p) or f"/{p}" in f"/{path}" for p in folders)
    return inside or any(fnmatch.fnmatch(path, p) or fnmatch.fnmatch(Path(path).name, p) for p in names)


@pytest.fixture(scope="module")
def carried():
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("no git checkout: which files are carried is not known")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    return [path for path in listed if path and (ROOT / path).exists() and not _ignored(path, patterns)]


def test_it_is_small_and_whole(carried):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:  # as the registry keeps it
        for path in carried:
            archive.write(ROOT / path)
    size = packed.tell()
    assert size <= MOST_BYTES, f"{size / 1e6:.1f} MB"
    assert not [path for path in carried if path.startswith(("tests/", "docs/", "benchmarks/", ".ci"))]
    needed = ("__init__.py", "requirements.txt", "subgraphs/PortraitTalk.json", "workflows/Talking portrait.json")
    needed += ("workflows/Talking portrait.jpg", "workflows/inputs/astronaut.jpg", "web/js/portraittalk.js")
    assert not set(needed) - set(carried)


def test_what_is_installed_is_imported():
    sources = [*(ROOT / "portraittalk_core").rglob("*.py"), *(ROOT / "nodes").glob("*.py")]
    texts = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [re.split(r"[<>=;\[ ]", line)[0] for line in lines if line and not line.startswith("#")]
    unused = [name for name in wanted if not re.search(rf"^\s*(import|from) {name}\b", texts, re.M)]
    assert wanted and unused == [*BEHIND]
