"""A process that is killed loses the clip it was at, and nothing else: SIGKILL at moments drawn at random."""

import os
import random
import signal
import time

import pytest
import torch

from portraittalk_core.preparation.clip import Tools
from portraittalk_core.preparation.run import Preparation
from portraittalk_core.preparation.sources import find_sources

from .conftest import KnownFinder, frames, write
from .test_run import contents

KILLS = 10


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_ten_kills_lose_nothing(tmp_path, settings, fitter):
    for number in range(8):
        write(tmp_path / "clips" / f"p{number}" / "clip.mp4", frames(25, person=number % 2))
    tools = Tools(KnownFinder(), lambda picture, mesh: torch.eye(512)[0], fitter)

    def prepare(folder):
        preparation = Preparation(folder, find_sources(tmp_path / "clips"), settings, tools)
        list(preparation.run())
        preparation.pack(shard_bytes=1 << 19)

    torch.set_num_threads(1)
    begin = time.monotonic()
    prepare(tmp_path / "whole")
    whole_s = time.monotonic() - begin
    draw = random.Random(0)
    killed = 0
    while killed < KILLS:
        child = os.fork()
        if child == 0:
            prepare(tmp_path / "killed")
            os._exit(0)
        time.sleep(draw.uniform(0.02, whole_s / 3))
        done = len(list((tmp_path / "killed" / "clips").glob("[!.]*.json")))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        killed += os.WIFSIGNALED(status)
        assert len(list((tmp_path / "killed" / "clips").glob("[!.]*.json"))) >= done
        if not os.WIFSIGNALED(status):  # it was done before the signal: begin anew
            assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
            os.rename(tmp_path / "killed", tmp_path / f"done{killed}")
    prepare(tmp_path / "killed")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
