"""Many videos from a table: what rows may say, what is skipped, and that one failure is only one."""

from __future__ import annotations

import builtins
import os
import pickle
import re
from pathlib import Path

import pytest

from portraittalk_core.cli import batch
from portraittalk_core.cli.main import build_parser, main
from portraittalk_core.errors import NoFaceFound
from portraittalk_core.media.target import PART_FILES, Partial
from portraittalk_core.media.video import probe


@pytest.fixture
def table(folder):
    def write(*rows: str):
        (folder / "jobs.csv").write_text("\n".join(rows).replace("HERE", str(folder)), encoding="utf-8-sig")
        return ["generate", "--batch", str(folder / "jobs.csv")]

    return write


TWO = (
    "image,audio,prompt,output,seed,edit,still-head,guide identity".replace("guide identity", "--guide-identity"),
    "HERE/a.png,HERE/s.wav,a person,HERE/one.mp4,7,0.5: sad | 1.5: happy,yes,no",
    "HERE/a.png|HERE/a.png,HERE/s.wav,,HERE/two.mp4,,,,",
    ",,,,,,,",
)


def test_each_row_is_a_video_and_the_command_line_holds_elsewhere(model, table, folder, capsys):
    assert main([*table(*TWO), "--prompt", "somebody", "--seed", "3", "--fps", "30"]) == 0
    first, second = (call for call in model.calls if "prompt" in call)
    assert first["prompt"] == "a person" and first["seed"] == 7 and first["edits"] == [(0.5, "sad"), (1.5, "happy")]
    assert first["dials"].still_head and first["options"].guide_identity is False
    assert second["prompt"] == "somebody" and second["seed"] == 3 and len(second["images"]) == 2
    assert not second["dials"].still_head and second["options"].guide_identity is None and second["edits"] == []
    assert [call for call in model.calls if "model" in call] == [{"model": "tiny"}], "the model is loaded once"
    assert probe(folder / "two.mp4").frames == 60
    said = capsys.readouterr()
    assert "one.mp4: 60 frames" in said.out and "Videos made: 2; failed: 0." in said.out


def test_folders_are_made_and_one_that_cannot_be_is_that_rows_failure(model, table, folder, capsys):
    rows = (TWO[0], TWO[1].replace("one.mp4", "made/of/it/one.mp4"), TWO[1].replace("one.mp4", "a.png/two.mp4"))
    assert main(table(*rows)) == 1
    assert (folder / "made" / "of" / "it" / "one.mp4").exists()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: row 3 ("))
    assert "a.png" in line and "Errno" not in line


@pytest.mark.slow
def test_what_is_finished_is_not_made_again(model, table, folder, capsys):
    words = [*table(*TWO), "--prompt", "somebody"]
    assert main(words) == 0
    model.calls.clear()
    assert main(words) == 0 and model.calls == []
    assert "2 of 2 videos are there already." in capsys.readouterr().out
    (folder / "two.mp4").unlink()
    assert main(words) == 0 and [c["prompt"] for c in model.calls if "prompt" in c] == ["somebody"]
    model.calls.clear()
    assert main([*words, "--fps", "10"]) == 0  # another video is asked for under the same names
    assert len([c for c in model.calls if "prompt" in c]) == 2


def test_a_row_that_fails_is_one_line_and_the_others_go_on(model, table, folder, capsys):
    (folder / "broken.wav").write_bytes(b"no sound")
    rows = (*TWO[:2], TWO[2].replace("s.wav", "broken.wav"), TWO[2].replace("two.mp4", "three.mp4"))
    assert main([*table(*rows), "--prompt", "somebody"]) == 1
    said = capsys.readouterr()
    (line,) = (line for line in said.out.splitlines() if line.startswith("failed:"))
    assert "row 3 (" in line and "broken.wav" in line and "Videos made: 2; failed: 1." in said.out
    assert (folder / "three.mp4").exists() and not (folder / "two.mp4").exists()
    model.error = NoFaceFound
    assert main([*table(*rows), "--prompt", "somebody"]) == 1  # only the failed row is tried again
    assert "2 of 3 videos are there already." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        (("image,colour", "a.png,red"), "columns that are no options: 'colour'. Known: image, audio"),
        (("image,batch", "a.png,x"), "columns that are no options: 'batch'"),
        ((TWO[0], TWO[1].replace(",7,", ",seven,")), "row 2: `--seed` must be a whole number"),
        ((TWO[0], TWO[1], TWO[1].replace("HERE/s.wav", "")), "row 3: `--audio` must be given, but is empty"),
        ((TWO[0], TWO[1], TWO[1]), "one.mp4 would be written 2 times. Rename one."),
        ((TWO[0],), "must have a header and rows"),
        ((TWO[0].replace("seed", "prompt"), TWO[1]), "the column 'prompt' twice"),
        ((TWO[0].replace("seed", "--Output"), TWO[1]), "two columns of the option 'output'"),
        ((TWO[0], TWO[1].replace(",yes,", ",maybe,")), "row 2: `--still-head` must be yes or no, but got 'maybe'"),
        (("image,audio,prompt,output", "a.png,s.wav,a man, old,o.mp4"), "a cell without a column in row 2. Name its"),
        ((TWO[0].replace("edit", "preview"), *(TWO[1].replace("0.5: sad | 1.5: happy", "HERE/p.png"),) * 2), "p.png"),
        ((TWO[0], TWO[1], TWO[1].replace("s.wav", "one.mp4")), "writes .*one.mp4 and one reads it.* Use two tables"),
    ],
)
def test_a_table_that_cannot_be_is_refused_before_anything_begins(model, table, capsys, rows, text):
    assert main(table(*rows)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(text, said), said
    assert model.calls == []


@pytest.mark.parametrize("rows", [("image,audio,output", "{}"), ("image,audio,output,prompt", "{},")])
def test_a_table_needs_no_prompt(model, table, rows):
    assert main(table(rows[0], rows[1].format("HERE/a.png,HERE/s.wav,HERE/o.mp4"))) == 0
    assert [call["prompt"] for call in model.calls if "prompt" in call] == [""]


@pytest.mark.parametrize(
    "data",
    [
        "\n\nimage;audio;prompt;output;\n{f}/a.png;{f}/s.wav;a man, old;{f}/o.mp4;\n;;;;\n".encode("utf-8-sig"),
        "Image\tAudio\tPrompt\tOutput\r\n{f}/a.png\t{f}/s.wav\ta man, old\t{f}/o.mp4\r\n".encode("utf-16"),
        b' image , audio,prompt ,output,\r{f}/a.png,{f}/s.wav,"a man, old", {f}/o.mp4,\r',
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(model, folder, data):
    wide = data.startswith(b"\xff\xfe")
    here = str(folder).encode("utf-16-le" if wide else "utf-8")
    (folder / "jobs.csv").write_bytes(data.replace("{f}".encode("utf-16-le" if wide else "utf-8"), here))
    assert main(["generate", "--batch", str(folder / "jobs.csv")]) == 0
    assert [call["prompt"] for call in model.calls if "prompt" in call] == ["a man, old"]
    assert (folder / "o.mp4").exists()


def test_a_table_in_another_encoding_names_its_line_and_a_pipe_is_refused(folder, capsys):
    (folder / "jobs.csv").write_bytes("image,audio\na.png,s.wav\nüb.png,s.wav\n".encode("latin-1"))
    os.mkfifo(folder / "pipe.csv")
    for name, rule in (
        ("jobs", "line 3 of .* is not. Save it as CSV UTF-8"),
        ("pipe", "ordinary file"),
        ("a", "exist"),
    ):
        assert main(["generate", "--batch", str(folder / f"{name}.csv")]) == 2
        assert re.search(rule, capsys.readouterr().err)


def test_a_row_whose_picture_or_sound_has_changed_is_made_again(model, table, folder, capsys):
    words = [*table(TWO[0], TWO[1]), "--prompt", "somebody"]
    assert main(words) == 0 == main(words)
    assert "1 of 1 videos are there already." in capsys.readouterr().out
    model.calls.clear()
    os.utime(folder / "s.wav", (1, 1))
    assert main(words) == 0 and len([call for call in model.calls if "prompt" in call]) == 1


def test_what_is_remembered_is_checked_before_the_work(model, table, folder, capsys):
    words = [*table(*TWO), "--prompt", "somebody"]
    journal = Path(f"{words[words.index('--batch') + 1]}.done")
    journal.write_bytes(b"\xff\xfe")
    assert main(words) == 2 and "cannot be read" in capsys.readouterr().err
    journal.unlink()
    journal.mkdir()
    assert main(words) == 2 and "is a folder" in capsys.readouterr().err
    assert not model.calls


def test_a_video_counts_though_it_cannot_be_remembered(model, table, monkeypatch, capsys):
    real = Path.open

    def full(path, mode="r", *rest, **more):
        if mode == "a":
            raise OSError(28, "No space left on device")
        return real(path, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    assert main([*table(*TWO), "--prompt", "somebody"]) == 0
    said = capsys.readouterr()
    assert "Videos made: 2; failed: 0." in said.out and "No space left" in said.err


def test_lines_are_counted_as_an_editor_does(model, table, folder, capsys):
    (folder / "broken.wav").write_bytes(b"no sound")
    assert main([*table(TWO[0], "", TWO[1].replace("s.wav", "broken.wav")), "--prompt", "somebody"]) == 1
    assert "row 3 (" in capsys.readouterr().out


def test_what_killed_workers_leave_is_deleted(model, table, folder, monkeypatch):
    others = folder / PART_FILES.replace("*", "12345678")
    others.touch()

    def killed(self, row):
        Partial(Path(row.output).absolute()).path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch.Worker, "__call__", killed)
    assert main([*table(*TWO), "--prompt", "somebody"]) == 130
    assert [path.name for path in folder.glob(PART_FILES)] == [others.name]


def test_without_a_table_what_is_missing_is_named(capsys):
    assert main(["generate", "--image", "a.png"]) == 2
    assert "required: --audio, --output. See" in capsys.readouterr().err
    assert main(["generate", "--batch", "none.csv"]) == 2
    assert "there is no `none.csv`" in capsys.readouterr().err
    assert main([*["generate", "--image", "a", "--audio", "b", "--prompt", "c", "-o", "d.mp4", "--workers", "2"]]) == 2
    assert "belong to --batch" in capsys.readouterr().err
    for given in ("--workers", "--ray-address"):
        assert main(["generate", "--batch", "none.csv", given, "2"]) == 2
        assert f"`{given}` belongs to --engine ray. Add that" in capsys.readouterr().err


def test_rows_travel_to_workers_and_ray_is_asked_for_only_then(model, table, monkeypatch, capsys):
    seen: list[batch.Row] = []
    monkeypatch.setattr(batch.Worker, "__call__", lambda self, row: seen.append(pickle.loads(pickle.dumps(row))))
    with pytest.raises(AttributeError):  # the stand-in returns nothing
        main([*table(*TWO), "--prompt", "somebody"])
    assert seen[0].number == 2 and seen[0].arguments.seed == 7

    real = builtins.__import__

    def without_ray(name, *rest):
        if name == "ray":
            raise ImportError("No module named 'ray'", name="ray")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    assert main([*table(*TWO), "--prompt", "somebody", "--engine", "ray"]) == 2
    assert "`--engine ray` needs ray" in capsys.readouterr().err


def test_the_options_are_those_of_generate():
    arguments = build_parser().parse_args(["generate", "--batch", "jobs.csv"])
    assert arguments.engine == "local" and arguments.image is None
