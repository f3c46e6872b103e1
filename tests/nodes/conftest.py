"""The pack, imported as a host would, with stand-ins where there is no host."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from . import fake_host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def pack():
    """Return a function that imports a module of the pack, for example `nodes.convert`."""
    before = set(sys.modules)
    sys.modules.update({k: v for k, v in fake_host.modules().items() if k not in sys.modules})
    spec = importlib.util.spec_from_file_location("portraittalk_pack", ROOT / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["portraittalk_pack"] = package
    spec.loader.exec_module(package)
    try:
        yield lambda name: importlib.import_module(f"portraittalk_pack.{name}")
    finally:
        fake_host.forget(before)
