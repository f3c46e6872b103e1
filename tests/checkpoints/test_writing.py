"""Files of tensors and of a training's state: whole or not at all, and a full disk says that it is full."""

import errno
import os

import pytest
import torch
from safetensors import SafetensorError

from portraittalk_core.checkpoints import writing
from portraittalk_core.checkpoints.writing import save_state, save_tensors

WRITE = {
    "tensors": lambda path: save_tensors({"a": torch.ones(1 << 16)}, path),
    "state": lambda path: save_state({"a": torch.ones(1 << 16), "step": 3}, path),
}


@pytest.fixture(params=WRITE)
def write(request):
    return WRITE[request.param]


def test_an_older_file_is_replaced_and_nothing_else_is_left(tmp_path, write):
    (tmp_path / "a").write_bytes(b"old")
    write(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").stat().st_size > 1 << 18
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~writing_mask()


def writing_mask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, which Linux has")
def test_a_full_disk_is_called_full_and_the_older_file_stays(tmp_path, write, monkeypatch):
    def full(*_):
        raise SafetensorError('Error while serializing: I/O error: No space left on device (os error 28) at path "a"')

    monkeypatch.setattr("safetensors.torch.save_file", full)  # which replaces the link
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a.part").symlink_to("/dev/full")  # as if the disk had filled up
    with pytest.raises(OSError, match="No space left") as caught:
        write(tmp_path / "a")
    assert caught.value.errno == errno.ENOSPC
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_missing_is_called_missing(tmp_path, write):
    with pytest.raises(FileNotFoundError):
        write(tmp_path / "none" / "a")


def test_an_interrupt_leaves_the_older_file(tmp_path, write, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(writing.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]
