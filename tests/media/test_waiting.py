"""A network share that is slow, hangs or goes away: waited for, said in one line, and never a hang of our own."""

from __future__ import annotations

import errno
import os
import pathlib
import threading
import time

import pytest
import torch
from av.error import FFmpegError

from portraittalk_core.errors import BadMedia
from portraittalk_core.media import audio, streams, target, waiting
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.sequence import SequenceWriter
from portraittalk_core.media.target import check_disk, check_folder, check_target, existing_file, remove_unfinished
from portraittalk_core.media.video import VideoWriter, probe
from portraittalk_core.media.waiting import Unanswered, answered, is_silent


@pytest.fixture
def impatient(monkeypatch):
    """Little patience, so that tests are short."""
    for name, value in {"SLOW_S": 0.01, "PATIENCE_S": 0.05, "_GRACE_S": 0.01, "_SLICE_S": 0.005}.items():
        monkeypatch.setattr(waiting, name, value)


@pytest.fixture
def share(monkeypatch):
    """A disk on which making folders hangs until the event is set."""
    answers, make = threading.Event(), pathlib.Path.mkdir

    def hang(self, *given, **named):
        if threading.current_thread() is not threading.main_thread():
            answers.wait(5)
        make(self, *given, **named)

    monkeypatch.setattr(pathlib.Path, "mkdir", hang)
    yield answers
    answers.set()


def settle(path) -> None:
    """Wait until everything that was asked of a folder is answered."""
    end = time.monotonic() + 5
    while is_silent(path / "x") and time.monotonic() < end:
        time.sleep(0.005)


def test_what_a_disk_says_is_returned_and_raised(caplog):
    assert answered(lambda: 3, "a") == 3
    with pytest.raises(ZeroDivisionError):
        answered(lambda: 1 // 0, "a")
    assert not caplog.text and not waiting._asked


def test_a_slow_share_is_waited_for_and_said_once(tmp_path, monkeypatch, impatient, caplog):
    monkeypatch.setattr(waiting, "PATIENCE_S", 5.0)
    fsync = os.fsync
    monkeypatch.setattr(target.os, "fsync", lambda number: (time.sleep(0.05), fsync(number)))
    assert check_target(tmp_path / "a.mp4") == tmp_path / "a.mp4"
    assert caplog.text.count("does not answer; waiting for up to 5 s") == 1 and not os.listdir(tmp_path)


def test_a_share_that_hangs_is_one_line_and_holds_nothing_up(tmp_path, impatient, share):
    for check in (lambda: check_target(tmp_path / "a.mp4"), lambda: check_folder(tmp_path / "out", "--out")):
        with pytest.raises(BadMedia, match=r"The disk of `.*` has not answered for 0 s. Check the network share"):
            check()
    assert is_silent(tmp_path / "x") and target._unfinished
    begun = time.monotonic()
    remove_unfinished()  # as the interpreter's end does
    assert time.monotonic() - begun < 1
    share.set()
    settle(tmp_path)
    assert not os.listdir(tmp_path), "what was asked cleans up behind itself when the share answers after all"


def test_a_file_on_a_share_that_hangs_is_one_line(tmp_path, monkeypatch, impatient):
    (tmp_path / "a.wav").write_bytes(b"1")
    gone, look = threading.Event(), pathlib.Path.stat
    monkeypatch.setattr(pathlib.Path, "stat", lambda self, **given: (gone.wait(5), look(self, **given))[1])
    with pytest.raises(Unanswered, match=r"The disk of `.*a.wav` has not answered"):
        read_sound(tmp_path / "a.wav")
    gone.set()
    settle(tmp_path)


def test_an_interrupt_ends_the_wait_and_lets_a_check_come_to_its_end(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(waiting, "_wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        check_target(tmp_path / "a.mp4")
    assert not os.listdir(tmp_path) and not waiting._asked


def test_cleaning_up_does_not_wait_for_ever(tmp_path, monkeypatch, impatient):
    monkeypatch.setattr(target, "_CLEANING_S", 0.02)
    part, gone = target.Partial(tmp_path / "a.mp4"), threading.Event()
    monkeypatch.setattr(pathlib.Path, "unlink", lambda *_, **__: gone.wait(5))
    part.discard()
    gone.set()
    settle(tmp_path)


def test_at_the_end_of_the_interpreter_there_are_no_threads(monkeypatch):
    def refuse(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert answered(lambda: 3, "a") == 3


@pytest.mark.parametrize("sequence", [False, True])
def test_a_share_that_goes_away_while_a_video_is_written_is_one_line(tmp_path, sequence):
    (tmp_path / "share").mkdir()
    name = tmp_path / "share" / ("pictures" if sequence else "a.mp4")
    with (
        pytest.raises(BadMedia, match=r"cannot be written \(No such file or directory\). The folder is gone") as caught,
        SequenceWriter(name) if sequence else VideoWriter(name, 25, (32, 32)) as writer,
    ):
        writer.append(torch.zeros(2, 3, 32, 32))
        (tmp_path / "share").rename(tmp_path / "elsewhere")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_sound, probe])
def test_a_share_that_goes_away_before_a_file_is_opened_is_no_damaged_file(tmp_path, monkeypatch, read):
    def refuse(_):
        raise FFmpegError(errno.ESTALE, os.strerror(errno.ESTALE))

    (tmp_path / "a.wav").write_bytes(b"12")
    for room in (audio, streams):
        monkeypatch.setattr(room, "open_media", refuse)
    with pytest.raises(BadMedia, match=r"cannot be read any more \(.*\). The disk or the network failed: copy"):
        read(tmp_path / "a.wav")


@pytest.mark.parametrize("number", [errno.ESTALE, errno.ENOTCONN, errno.ECONNRESET, errno.ETIMEDOUT, errno.EIO])
def test_a_share_that_is_gone_is_no_damaged_file(tmp_path, monkeypatch, number):
    (tmp_path / "a.wav").write_bytes(b"12")
    check_disk(tmp_path / "a.wav", ValueError("damaged"))
    check_disk(tmp_path / "a.wav", FFmpegError(errno.EIO, "a file that ends early"))

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(pathlib.Path, "open", refuse)
    for ask in (lambda: check_disk(tmp_path / "a.wav", FFmpegError(number, "")), lambda: existing_file("a.wav")):
        monkeypatch.setattr(pathlib.Path, "stat", refuse)
        with pytest.raises(
            BadMedia, match=r"cannot be read.* The disk or the network failed: copy the file to another"
        ):
            ask()
