"""The command line takes the cores that are free, and its threads sleep while they wait."""

import os
import subprocess
import sys

import cv2
import pytest
import torch

from portraittalk_core.cli import cores
from portraittalk_core.cli.cores import CoreClock


def test_threads_sleep_unless_torch_is_there_or_the_user_says_otherwise(monkeypatch):
    environment: dict[str, str] = {}
    cores.sleep_while_waiting(environment)
    assert not environment, "torch has started its threads already"
    monkeypatch.delitem(sys.modules, "torch")
    cores.sleep_while_waiting(environment)
    assert environment == cores.WAITING
    chosen = {"OMP_WAIT_POLICY": "ACTIVE"}
    cores.sleep_while_waiting(chosen)
    assert chosen == {"OMP_WAIT_POLICY": "ACTIVE"}


@pytest.mark.parametrize(
    ("busy_s", "own_s", "free"),
    [(0.0, 0.0, 4), (8.0, 8.0, 4), (10.0, 0.0, 3), (24.0, 4.0, 2), (40.0, 0.0, 1), (None, 0.0, 4)],
)
def test_cores_that_others_keep_busy_are_left_to_them(monkeypatch, busy_s, own_s, free):
    monkeypatch.setattr(cores, "_cores", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(cores, "_quota", lambda file: sys.maxsize)
    later = CoreClock(110.0, None if busy_s is None else 500 + busy_s, 3 + own_s)
    monkeypatch.setattr(CoreClock, "now", classmethod(lambda cls: later))
    assert CoreClock(100.0, 500.0, 3.0).free() == free


def test_the_kernels_counts_are_read(tmp_path):
    file = tmp_path / "stat"
    file.write_text("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 0 50 7 7 0 25 25 0 0\ncpu1 1 1 1 1 1 1 1 1 0 0\nintr 5\n")
    monotonic = cores._busy_s({0}, file)
    assert monotonic == pytest.approx(200 / cores.os.sysconf("SC_CLK_TCK"))
    assert cores._busy_s({0}, tmp_path / "none") is None


def test_a_containers_quota_counts(tmp_path):
    file = tmp_path / "cpu.max"
    for text, most in (("150000 100000\n", 2), ("20000 100000\n", 1), ("max 100000\n", sys.maxsize)):
        file.write_text(text)
        assert cores._quota(file) == most
    assert cores._quota(tmp_path / "none") == sys.maxsize


def test_who_names_a_number_of_threads_gets_it(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(CoreClock, "free", lambda self: 3)
    for name in cores._CHOSEN:
        monkeypatch.delenv(name, raising=False)
    cores.use_free_cores()
    assert not asked, "a process of another program keeps its threads"
    monkeypatch.setattr(cores, "_started", [CoreClock.now()])
    cores.use_free_cores()
    assert asked == [3]
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    cores.use_free_cores()
    assert asked == [3]


def test_opencv_has_no_more_threads_than_torch(monkeypatch):
    asked: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", asked.append)
    monkeypatch.setattr(cv2, "getNumThreads", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    cores.use_free_cores()
    assert not asked, "a process of another program keeps its threads"
    monkeypatch.setattr(cores, "_started", [CoreClock.now()])
    cores.use_free_cores()
    assert asked == [2]


@pytest.mark.slow
def test_the_command_line_shares_before_torch_is_loaded():
    program = (
        "import os, sys; from portraittalk_core.cli import cores, main; main.main(['avatar', '--no-such']); "
        "assert 'torch' not in sys.modules; cores.share(); "
        "print(os.environ['OMP_WAIT_POLICY'], len(cores._started)); cores.use_free_cores(); import torch; "
        "print(1 <= torch.get_num_threads())"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP", "MKL", "GOMP", "KMP"))}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=clean, check=True)
    assert ran.stdout.split() == ["PASSIVE", "1", "True"]
