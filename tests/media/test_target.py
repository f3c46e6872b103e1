"""Targets: what is checked before the work is what is used after it; what fails later is one line."""

from __future__ import annotations

import errno
import io
import os

import pytest

from portraittalk_core.errors import BadMedia
from portraittalk_core.evaluation.data.clips import find_clips
from portraittalk_core.media import target
from portraittalk_core.media.target import PART_FILES, Partial, check_folder, check_target, existing_file
from portraittalk_core.preparation.sources import find_sources

LONGEST = 255


def named(length: int, suffix: str = ".mp4") -> str:
    return "n" * (length - len(suffix)) + suffix


def refusing(monkeypatch, name: str, number: int) -> None:
    """Let a function of `os` or `Path` fail as a disk does."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(name, refuse)


def test_the_longest_name_that_the_disk_takes_works_to_the_end(tmp_path):
    found = check_target(tmp_path / named(LONGEST))
    with Partial(found) as partial:
        partial.write_bytes(b"whole")
    assert found.read_bytes() == b"whole" and len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize(
    "name", [named(LONGEST + 1), f"{named(LONGEST + 1, '')}/", named(140, ".mp4").replace("n", "é")]
)
def test_a_name_too_long_is_one_line(tmp_path, name):
    with pytest.raises(BadMedia, match="cannot be written \\(File name too long\\). Choose a shorter name"):
        check_target(f"{tmp_path}/{name}")
    with pytest.raises(BadMedia, match="File name too long"):
        existing_file(tmp_path / name)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, "can be written"),
        (errno.EROFS, "can be written"),
        (errno.ENOSPC, "Free some space"),
        (errno.EIO, "network"),
        (errno.EAGAIN, "try again in a minute"),
    ],
)
def test_a_folder_that_takes_nothing_is_reported(tmp_path, monkeypatch, number, remedy):
    refusing(monkeypatch, "pathlib.Path.mkdir", number)
    with pytest.raises(BadMedia, match=f"cannot be written .*{os.strerror(number)}.*{remedy}"):
        check_target(tmp_path / "a.mp4")
    with pytest.raises(BadMedia, match=f"cannot be written .*{os.strerror(number)}.*{remedy}"):
        check_folder(tmp_path / "a", "--out")


def test_a_full_disk_is_reported_though_it_takes_names(tmp_path, monkeypatch):
    refusing(monkeypatch, "os.fsync", errno.ENOSPC)
    with pytest.raises(BadMedia, match="No space left on device\\). Free some space"):
        check_target(tmp_path / "a.mp4")
    assert not os.listdir(tmp_path)


def test_a_disk_that_cannot_sync_will_do(tmp_path, monkeypatch):
    refusing(monkeypatch, "os.fsync", errno.EINVAL)
    check_target(tmp_path / "a.mp4")


def test_a_share_that_lets_no_file_be_renamed_is_known_before_the_work(tmp_path, monkeypatch):
    refusing(monkeypatch, "os.replace", errno.EPERM)
    with pytest.raises(BadMedia, match="cannot be written .*can be written to"):
        check_target(tmp_path / "a.mp4")
    assert not os.listdir(tmp_path)


def test_a_share_that_takes_files_in_order_only_is_known_before_the_work(tmp_path, monkeypatch):
    class InOrder(io.FileIO):
        def seek(self, *_):
            raise OSError(errno.ESPIPE, os.strerror(errno.ESPIPE))

    monkeypatch.setattr("pathlib.Path.open", lambda path, mode, buffering: InOrder(path, mode.replace("b", "")))
    with pytest.raises(BadMedia, match="cannot be written .*The disk takes files from beginning to end only"):
        check_target(tmp_path / "a.mp4")
    check_target(f"{tmp_path}/pictures/")
    check_target(tmp_path / "a.png", (".png",))
    assert not os.listdir(tmp_path)


def test_what_is_in_use_for_a_moment_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "_BUSY_S", (0.0, 0.0))
    replace, times = os.replace, []

    def busy(part, whole):
        times.append(whole)
        if len(times) < 3:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        replace(part, whole)

    monkeypatch.setattr("os.replace", busy)
    with Partial(tmp_path / "a.mp4") as part:
        part.write_bytes(b"whole")
    assert os.listdir(tmp_path) == ["a.mp4"] and len(times) == 3
    refusing(monkeypatch, "os.replace", errno.EBUSY)
    with pytest.raises(BadMedia, match="in use: try again in a minute"), Partial(tmp_path / "a.mp4") as part:
        part.write_bytes(b"other")
    assert (tmp_path / "a.mp4").read_bytes() == b"whole"


def test_clips_of_the_longest_name_are_found_though_no_file_can_be_called_as_their_sound_would_be(tmp_path):
    (tmp_path / named(LONGEST)).write_bytes(b"1")
    (tmp_path / "b.mp4").write_bytes(b"1")
    (tmp_path / "b.flac").write_bytes(b"1")
    found = find_sources(tmp_path)
    assert [source.sound for source in found] == [tmp_path / "b.flac", None]
    clips = find_clips([str(tmp_path)], audio=str(tmp_path))
    assert [clip.sound and clip.sound.name for clip in clips] == ["b.mp4", named(LONGEST)]


def test_inputs_that_are_no_files_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name, rule in (
        ("pipe", "ordinary file"),
        ("loop", "cannot be read"),
        ("a\0b", "cannot be read"),
        ("no/x", "must exist"),
    ):
        with pytest.raises(BadMedia, match=rule):
            existing_file(tmp_path / name)


def test_a_link_stays_and_what_it_stands_for_is_replaced(tmp_path):
    (tmp_path / "disk").mkdir()
    for name in ("there.mp4", "not yet.mp4"):
        link = tmp_path / f"link to {name}"
        link.symlink_to(f"disk/{name}")
        (tmp_path / "disk" / "there.mp4").write_bytes(b"old")
        with Partial(check_target(link)) as part:
            part.write_bytes(b"new")
        assert link.is_symlink() and (tmp_path / "disk" / name).read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path / "disk")) == ["not yet.mp4", "there.mp4"]


def test_targets_that_are_no_files_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    for name, rule in (("pipe", "ordinary file"), ("loop", "cannot be written .*The link leads to itself")):
        with pytest.raises(BadMedia, match=rule):
            check_target(tmp_path / f"{name}.mp4")
    assert sorted(os.listdir(tmp_path)) == ["loop.mp4", "pipe.mp4"]


def test_putting_in_place_fails_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    refusing(monkeypatch, "os.replace", errno.EACCES)
    with (
        pytest.raises(BadMedia, match="a.mp4` cannot be written \\(Permission denied\\)"),
        Partial(tmp_path / "a.mp4") as part,
    ):
        part.write_bytes(b"1")
    assert not os.listdir(tmp_path)


def test_cleaning_up_never_raises(tmp_path, monkeypatch):
    part = Partial(tmp_path / "a.mp4")
    part.path.write_bytes(b"1")
    refusing(monkeypatch, "pathlib.Path.unlink", errno.EACCES)
    part.discard()
    with pytest.raises(ZeroDivisionError), Partial(tmp_path / "a.mp4"):
        raise ZeroDivisionError


def test_a_folder_that_is_a_mount_is_filled_in_place(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(target.os.path, "ismount", lambda path: path == folder)
    found = check_target(f"{folder}/", suffixes=())
    before = folder.stat().st_ino
    with Partial(found, folder=True) as part:
        assert part.parent == folder
        (part / "00000.png").write_bytes(b"1")
    assert os.listdir(folder) == ["00000.png"] and folder.stat().st_ino == before


def test_the_working_folder_can_be_the_target(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Partial(check_target("./", suffixes=()), folder=True) as part:
        (part / "00000.png").write_bytes(b"1")
    assert os.listdir(".") == ["00000.png"]


def test_folders_of_results_are_checked_with_what_is_above_them(tmp_path):
    assert check_folder(tmp_path / "a/b/c", "--out") == tmp_path / "a/b/c"
    (tmp_path / "file").write_text("1")
    for name in ("file", "file/deeper"):
        with pytest.raises(BadMedia, match="`--out` must be a folder, but .*file` is a file"):
            check_folder(tmp_path / name, "--out")
    with pytest.raises(BadMedia, match="cannot be written"):
        check_folder("/proc/nosuch", "--out")
    assert sorted(os.listdir(tmp_path)) == ["file"]


def test_part_files_have_names_that_can_be_found(tmp_path):
    Partial(tmp_path / "a.mp4").path.touch()
    assert len(list(tmp_path.glob(PART_FILES))) == 1
