"""Captions say what is measured, or what a command says."""

import shlex
import sys

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.preparation.captions import ask, caption_of, check_command, tags
from portraittalk_core.types import COEFFICIENTS

GREY = np.full((8, 8, 3), 120, np.uint8)
COLOURED = np.broadcast_to(np.array([200, 120, 90], np.uint8), (8, 8, 3))


def measured(pose=(0, 0, 0), **shapes):
    coefficients = torch.zeros(5, 52)
    for name, value in shapes.items():
        coefficients[:, COEFFICIENTS.index(name)] = value
    return coefficients, torch.tensor([[*pose, 0, 0, 1]]).float().repeat(5, 1)


def test_tags_name_what_is_measured_and_nothing_usual():
    assert tags(*measured(), COLOURED) == {"head": "seen from the front"}
    smiling = measured((0.5, -0.3, 0), mouthSmileLeft=0.8, mouthSmileRight=0.6)
    assert tags(*smiling, GREY) == {
        "head": "head turned right and looking up",
        "expression": "smiling",
        "light": "black and white picture",
    }
    assert tags(*measured(), COLOURED // 4)["light"] == "dark picture"
    assert caption_of({"head": "seen from the front"}, True, "angry, level 2 of 3") == (
        "a person talking, seen from the front, angry, level 2 of 3"
    )
    assert caption_of({}, False) == "a person"


def command(code):
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{picture}}"


def test_a_command_is_asked():
    said = ask(
        command("import sys; print(' a  woman of', len(open(sys.argv[1], 'rb').read())); print('more')"), b"12345"
    )
    assert said == "a woman of 5"


def test_a_command_that_cannot_answer_says_why():
    with pytest.raises(BadInput, match="must name the picture as"):
        check_command("describe it")
    with pytest.raises(BadInput, match="is none"):
        check_command("describe '{picture}")
    with pytest.raises(BadInput, match="says nothing"):
        ask(command("pass"), b"")
    with pytest.raises(BadInput, match="no model"):
        ask(command("raise SystemExit('no model')"), b"")
    with pytest.raises(MissingExtra, match="cannot be run"):
        ask("/nowhere/describe {picture}", b"")
