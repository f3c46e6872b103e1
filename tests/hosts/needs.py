"""Say in the first second what the tests against a real ComfyUI lack: `python tests/hosts/needs.py`.

Exit code 1 where they cannot run at all; what only skips some of them is named, and they go on.
"""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from comfy_server import PACK, host_folder, missing_host

OPTIONAL = {
    "diffusers": "the tests that compare both hosts",
    "playwright": "the browser tests",
    "skimage": "a score in the report",
}


def main() -> int:
    """Print what is missing."""
    if why := missing_host():
        sys.stdout.write(f"{why}\n")
        return 1
    if (host_folder() / PACK.name).exists() or (host_folder() / f"{PACK.name}.py").exists():
        sys.stdout.write(f"{PACK} is called as a module of ComfyUI is, which hides that one: rename the folder\n")
        return 1
    if importlib.util.find_spec("pytest") is None:
        sys.stdout.write(f"{sys.executable} lacks pytest: pip install pytest, or set COMFYUI_PYTHON\n")
        return 1
    for name, what in OPTIONAL.items():
        if importlib.util.find_spec(name) is None:
            sys.stdout.write(f"without {name}, these are skipped: {what}\n")
    if not (os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")):
        sys.stdout.write("without Chromium, these are skipped: the browser tests\n")
    for folder in filter(None, os.environ.get("COMFYUI_FRONTEND", "").split(os.pathsep)):
        if not (Path(folder) / "index.html").is_file():
            sys.stdout.write(f"COMFYUI_FRONTEND names {folder}, which is no `static` folder of a frontend\n")
            return 1
    if not shutil.which("node"):
        sys.stdout.write("without node, these are skipped: the tests of web/js\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
