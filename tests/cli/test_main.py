"""The command line as a whole: exit codes, one-line errors, help."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from portraittalk_core.cli import avatar, generate, info, options
from portraittalk_core.cli.main import COMMANDS, build_parser, main
from portraittalk_core.errors import BadMedia

ROOT = Path(__file__).resolve().parents[2]
NAMES = [command.__name__.rpartition(".")[2] for command in COMMANDS]


def error_line(capsys) -> str:
    output = capsys.readouterr().err
    assert output.startswith("portraittalk: error: ") and output.count("\n") == 1
    return output


@pytest.mark.parametrize("name", [None, *NAMES])
def test_help(name, capsys):
    assert main([*([name] if name else []), "--help"]) == 0
    assert "examples" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [[], ["dance"], ["generate"], ["avatar", "--what", "-o", "a.png"], ["train"]])
def test_wrong_command_lines_are_one_line(argv, capsys):
    assert main(argv) == 2
    assert "--help" in error_line(capsys)


def commands_in(text: str) -> list[list[str]]:
    joined = text.replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in joined.splitlines() if line.startswith("  portraittalk ")]


@pytest.mark.parametrize("name", [None, *NAMES])
def test_examples_parse_and_name_files_that_exist(name, capsys):
    main([*([name] if name else []), "--help"])
    examples = commands_in(capsys.readouterr().out)
    assert examples
    for argv in examples:
        build_parser().parse_args(argv)
        assert all(Path(word).exists() for word in argv if word.startswith((str(info.ASSETS), "portraittalk_core/")))


def test_errors_of_ours_keep_their_traceback(monkeypatch):
    def fail(_):
        raise ZeroDivisionError

    monkeypatch.setattr(info, "describe_machine", lambda: fail(None))
    with pytest.raises(ZeroDivisionError):
        main(["info"])


def test_names_that_the_terminal_cannot_show_are_printed_as_escapes(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    monkeypatch.setattr(info, "describe_machine", lambda: ["é \udcff"])
    assert main(["info"]) == 0
    sys.stdout.flush()
    assert shown.getvalue() == b"\\xe9 \\udcff\n"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_a_full_memory_is_one_line_and_shown_in_full_if_asked(monkeypatch, capsys, error):
    def fail():
        raise error

    monkeypatch.setattr(info, "describe_machine", fail)
    assert main(["info"]) == 2
    assert error_line(capsys).startswith("portraittalk: error: The memory is full. Close other programs")
    with pytest.raises(type(error)):
        main(["-v", "info"])


def test_errors_of_the_user_become_one_line(monkeypatch, capsys):
    def fail():
        raise BadMedia("first\n  second")

    monkeypatch.setattr(info, "describe_machine", fail)
    assert main(["info"]) == 2
    assert error_line(capsys) == "portraittalk: error: first second\n"


def test_interrupt_is_130(monkeypatch, capsys):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(info, "describe_machine", stop)
    assert main(["info"]) == 130
    assert "stopped" in capsys.readouterr().err


def test_a_second_ctrl_c_does_not_disturb_what_cleans_up(monkeypatch, capsys):
    cleaned = []

    def stop():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)

    monkeypatch.setattr(info, "describe_machine", stop)
    before = signal.getsignal(signal.SIGINT)
    assert main(["info"]) == 130 and cleaned and signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err.strip() == "portraittalk: stopped; nothing half-written was left."


def test_an_interrupt_that_was_swallowed_can_be_repeated(monkeypatch):
    times = iter([10.0, 12.0])
    monkeypatch.setattr("portraittalk_core.cli.main.time.monotonic", lambda: next(times))

    def stop():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(info, "describe_machine", stop)
    assert main(["info"]) == 130


def test_an_interrupt_of_which_a_library_made_an_error_is_one(monkeypatch, capsys):
    def stop():
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ValueError("could not determine the shape of object type") from None

    monkeypatch.setattr(info, "describe_machine", stop)
    assert main(["info"]) == 130
    assert capsys.readouterr().err.strip() == "portraittalk: stopped; nothing half-written was left."


def test_warnings_are_shown_only_while_a_command_runs(monkeypatch, capsys):
    logger = logging.getLogger("portraittalk_core.somewhere")
    monkeypatch.setattr(info, "describe_machine", lambda: logger.warning("mind the gap") or [])
    assert main(["info"]) == 0
    assert capsys.readouterr().err == "portraittalk: WARNING: mind the gap\n"
    assert not logging.getLogger("portraittalk_core").handlers


def test_the_command_line_starts_without_heavy_imports():
    code = (
        "import sys, portraittalk_core.cli.main; print([m for m in ('torch', 'av', 'PIL', 'tqdm') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_options_of_generate_are_complete(capsys):
    main(["generate", "--help"])
    text = capsys.readouterr().out
    usage = "usage: portraittalk generate --image FILE --audio FILE [--prompt TEXT] -o FILE [options]\n"
    assert text.startswith(usage), "what is needed is seen at once"
    named = "image audio prompt edit negative fps steps cfg identity-scale audio-scale seed fusion still-head preview"
    for option in [
        *named.split(),
        "separate-voice",
        "landmarks",
        "window",
        "overlap",
        "face",
        "model",
        *options.DIALS,
    ]:
        assert re.search(rf"--{option}\b", text), option


def test_avatar_tags_are_those_of_the_renderer():
    from portraittalk_core.people.person import ATTRIBUTES

    assert tuple(ATTRIBUTES) == avatar.TAGS


def test_errors_speak_of_options_as_they_are_typed(monkeypatch, tmp_path, capsys):
    def fail(_):
        raise BadMedia("`low_memory` must not go with `parts` and `size`, whatever `models list` or `x` say. Try 1.")

    monkeypatch.setattr(generate, "run", fail)
    assert main(["generate", "--image", "a", "--audio", "b", "--prompt", "c", "-o", "d.mp4"]) == 2
    line = error_line(capsys)
    assert "`--low-memory` must not go with `--part` and `--size`, whatever `models list` or `x` say." in line


@pytest.mark.parametrize("name", ["cuda:7", "mps", "meta", "nonsense", ""])
def test_a_device_that_is_not_here_is_one_line_before_any_work(name, tmp_path, capsys):
    if name == "mps" and sys.platform == "darwin":
        pytest.skip("NOT TESTED: this machine has it")
    argv = ["generate", "--image", "a.png", "--audio", "b.wav", "--prompt", "c", "-o", str(tmp_path / "d.mp4")]
    assert main([*argv, "--device", name]) == 2
    assert "`--device` must be a device of this machine, cpu" in (line := error_line(capsys)) and repr(name) in line


def test_a_disk_that_fails_is_one_line(monkeypatch, capsys):
    def fail(number):
        raise OSError(number, os.strerror(number), "out.bin")

    monkeypatch.setattr(info, "describe_machine", lambda: fail(errno.ENOSPC))
    assert main(["info"]) == 2 and "`out.bin`: No space left on device." in error_line(capsys)
    monkeypatch.setattr(info, "describe_machine", lambda: fail(errno.ENOENT))
    with pytest.raises(FileNotFoundError):
        main(["info"])


def test_other_libraries_keep_their_remarks(monkeypatch, capsys):
    def remark():
        logging.getLogger("matplotlib.font_manager").warning("building the font cache")
        logging.getLogger("huggingface_hub.utils").warning("unauthenticated requests")
        return []

    monkeypatch.setattr(info, "describe_machine", remark)
    assert main(["info"]) == 0
    assert not capsys.readouterr().err
    assert logging.getLogger("matplotlib").level == logging.NOTSET


def test_verify_says_that_a_file_is_missing(capsys):
    assert main(["models", "verify", "nosuch.safetensors"]) == 2
    assert "there is no `nosuch.safetensors`" in error_line(capsys)


@pytest.mark.parametrize("argv", [["train", "--part", "text", "--out"], ["evaluate", "{here}/a.mp4", "-o"]])
def test_folders_of_results_are_checked_before_the_work(argv, tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"nothing that is a video")
    assert main([*(word.format(here=tmp_path) for word in argv), "/proc/nosuch"]) == 2
    assert "/proc/nosuch` cannot be written (" in error_line(capsys)


def test_evaluating_what_holds_no_video_is_an_error(tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"nothing that is a video")
    assert main(["evaluate", "--quiet", str(tmp_path / "a.mp4"), "-o", str(tmp_path / "report")]) == 2
    assert "None of 1 clips could be scored; " in error_line(capsys)
    assert (tmp_path / "report/report.html").is_file()


def test_a_reader_that_has_gone_is_no_error():
    command = f"{sys.executable} -m portraittalk_core generate --help | head -n 1"
    found = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0 and not found.stderr


def test_a_pipe_that_breaks_is_no_fault_of_the_disk(monkeypatch):
    def fail(_):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(info, "describe_machine", lambda: fail(None))
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert main(["info"]) == 0


def test_a_prompt_that_is_no_text_is_one_line(capsys):
    for option in ("--prompt", "--negative", "--edit"):
        assert main(["generate", option, "red \udcff hair"]) == 2
        assert "A prompt must be text" in error_line(capsys)


def test_a_working_folder_that_is_gone_is_one_line(monkeypatch, capsys):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("os.getcwd", gone)
    assert main(["info"]) == 2 and "working folder must exist" in error_line(capsys)
