"""As many rows at once as fit; fewer where memory says no, and never another result."""

import logging
from types import SimpleNamespace

import pytest
import torch

from portraittalk_core.hosts import at_once
from portraittalk_core.hosts.at_once import rows_that_fit, run_at_once


def test_rows_are_halved_until_they_fit(caplog):
    rows, sizes = torch.arange(11.0), []

    def run(part):
        sizes.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError("full")
        return part * 2

    with caplog.at_level(logging.WARNING):
        made = torch.cat(list(run_at_once(rows, run, 8)))
    assert torch.equal(made, rows * 2)
    assert sizes == [8, 4, 2, 2, 2, 2, 2, 1] and caplog.text.count("does not hold") == 2
    with pytest.raises(torch.OutOfMemoryError):
        list(run_at_once(torch.zeros(3, 3), lambda part: run(torch.zeros(3)), 1))


def test_free_memory_decides(monkeypatch):
    free = SimpleNamespace(mem_get_info=lambda device: (1000, 4000))
    monkeypatch.setattr(at_once.torch, "get_device_module", lambda device: free)
    device = torch.device("cuda")
    assert [rows_that_fit(device, size) for size in (10, 100, 500, 5000)] == [16, 8, 1, 1]
    monkeypatch.setattr(at_once.torch, "get_device_module", lambda device: SimpleNamespace())
    assert rows_that_fit(device, 10) == 1 and rows_that_fit(torch.device("cpu"), 10) == 1
