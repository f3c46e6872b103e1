"""The pack, imported as a host would, with stand-ins where there is no host."""

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

from . import fake_host

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pack():
    """Return a function that imports a module of the pack, for example `nodes.convert`."""
    before = dict(sys.modules)  # a real host may be there, from the tests of the hosts
    sys.modules.update(fake_host.modules())
    spec = importlib.util.spec_from_file_location("portraittalk_pack", ROOT / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["portraittalk_pack"] = package
    spec.loader.exec_module(package)
    try:
        yield lambda name: importlib.import_module(f"portraittalk_pack.{name}")
    finally:
        fake_host.forget(set(before))
        sys.modules.update({k: v for k, v in before.items() if k in fake_host.modules()})
