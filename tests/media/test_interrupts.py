"""An interrupt at any line of what writes files: the target is the old one or the whole new one, and nothing is left.

The interrupt is raised where a signal would raise it, between two lines; every run of the test takes other lines.
"""

from __future__ import annotations

import functools
import hashlib
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from portraittalk_core.media import sequence, target, video
from portraittalk_core.media.image import write_image
from portraittalk_core.media.sequence import SequenceWriter
from portraittalk_core.media.target import check_target, remove_unfinished
from portraittalk_core.media.video import VideoWriter
from portraittalk_core.types import Sound

FILES = {target.__file__, video.__file__, sequence.__file__}
INTERRUPTS = 20


def write_film(folder: Path) -> None:
    check_target(folder / "a.mp4")
    with VideoWriter(folder / "a.mp4", 25, (32, 32), Sound(torch.zeros(1, 1280), 16000)) as writer:
        writer.append(torch.zeros(2, 3, 32, 32))


def write_pictures(folder: Path) -> None:
    with SequenceWriter(folder / "pictures") as writer:
        writer.append(torch.zeros(2, 3, 32, 32))


def write_picture(folder: Path) -> None:
    write_image(folder / "a.png", torch.zeros(3, 32, 32))


def state(folder: Path) -> dict[str, str]:
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*")}
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "" for name, p in found.items()}


def traced(work: Callable[[], None], at: int) -> int:
    """Do the work and interrupt it at a line, counted over `FILES`; return how many lines there were until the end."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            lines += 1
            if lines == at:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
        remove_unfinished()  # as the interpreter does when the command ends
    return lines


@pytest.mark.parametrize("write", [write_film, write_pictures, write_picture], ids=lambda w: w.__name__)
def test_nothing_half_written_is_left(tmp_path, write):
    (tmp_path / "right").mkdir()
    count = traced(lambda: write(tmp_path / "right"), 0)
    right = state(tmp_path / "right")
    assert right and count > 20
    for number in random.Random(0).sample(range(1, count + 1), min(INTERRUPTS, count)):
        folder = tmp_path / str(number)
        folder.mkdir()
        traced(functools.partial(write, folder), number)
        assert state(folder) in ({}, right), f"interrupted at line {number} of {count}"
        if write is not write_pictures or not state(folder):
            write(folder)
        assert state(folder) == right
