"""Runs the tests of the browser's modules (`*.test.mjs` beside this file) with node, where there is one."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def test_the_modules_of_the_browser():
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed: install Node.js 20 or newer to test web/js")
    command = [node, "--test", *map(str, sorted(HERE.glob("*.test.mjs")))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
