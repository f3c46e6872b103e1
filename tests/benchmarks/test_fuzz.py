"""Damaged files are read or refused in one line; what the long runs found stays found."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import soundfile
import torch

from benchmarks.fuzz import Tally, fuzz, table
from benchmarks.interrupts import Log, judge
from benchmarks.parts.fuzz.mutations import mutate
from benchmarks.parts.fuzz.seeds import KINDS, SHARES
from benchmarks.parts.fuzz.worker import Outcome, Reader
from portraittalk_core.checkpoints.files import open_weights
from portraittalk_core.cli.info import describe_media
from portraittalk_core.errors import BadMedia, UnsafeWeights, WeightsMismatch
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.provenance import read_provenance
from portraittalk_core.media.video import VideoWriter, probe, read_video


def test_damaged_files_are_read_or_refused():
    tallies = fuzz(42, seed=11)
    assert set(tallies) == set(KINDS)
    assert not [(kind, *finding) for kind, tally in tallies.items() for finding in tally.findings]
    outcomes = sum((tally.outcomes for tally in tallies.values()), start=Tally().outcomes)
    assert outcomes["read"] > 4 and outcomes["refused"] > 12 and outcomes.total() == pytest.approx(42, abs=3)


def test_the_same_number_is_the_same_damage():
    data = bytes(range(256)) * 8
    for kind in KINDS:
        found = [mutate(data, kind, [data], 3, number) for number in range(30)]
        assert found == [mutate(data, kind, [data], 3, number) for number in range(30)]
        assert len(set(found)) > 20 and found != [mutate(data, kind, [data], 4, number) for number in range(30)]
    assert sum(SHARES.values()) == pytest.approx(1)


@pytest.mark.slow
def test_a_reader_that_dies_is_a_finding_and_the_next_file_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("time,jawOpen\n0,0.1\n")
    with Reader() as reader:
        reader._begin().kill()
        assert reader.read(tmp_path / "a.csv", "csv").how == "crash"
        assert reader.read(tmp_path / "a.csv", "csv").how == "read"
        (tmp_path / "a.csv").write_text("nothing of a face\n")
        assert reader.read(tmp_path / "a.csv", "csv").how == "refused"
        assert reader.read(tmp_path / "a.csv", "nosuch").how == "traceback"


def test_the_table_counts_everything():
    tally = Tally(seeds=2)
    for outcome in (Outcome("read", "", 0.5, 1 << 30), Outcome("refused", "no", 0.1), Outcome("hang", "slow", 11.0)):
        tally.count(0, outcome)
    assert "| csv | 2 | 3 | 1 | 1 | 0 | 0 | 1 | 0 | 11.00 | 1.00 |" in table({"csv": tally}, 0, 1)
    assert [outcome.how for _, outcome in tally.findings] == ["hang"]


def test_an_interrupted_run_is_judged_by_what_it_leaves():
    right = {"a.mp4": "1", "a.png": "2"}
    assert (
        judge(130, {}, {}, right)
        == judge(130, right, right, right)
        == judge(130, {}, {"a.mp4": "1"}, right)
        == "stopped"
    )
    assert judge(0, {}, right, right) == "done"
    assert "tore" in judge(130, {}, {"a.mp4": "half"}, right) and "lost" in judge(130, right, {"a.mp4": "1"}, right)
    assert "left ['.portraittalk-1.part']" in judge(130, {}, {".portraittalk-1.part": "3"}, right)
    assert judge(1, {}, {}, right) == "exit code 1"


def test_interrupts_go_on_where_they_were_stopped(tmp_path):
    file = tmp_path / "deeper" / "interrupts.jsonl"
    for number, ended in ((0, "stopped"), (7, "done")):
        Log(file, seed=1).add(number, ended)
    Log(file, seed=2).add(3, "stopped")
    Log(file, seed=1, cold=True).add(4, "stopped")
    assert Log(file, seed=1).ended == {0: "stopped", 7: "done"} and Log(seed=1).ended == {}


@pytest.fixture
def film(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, (48, 64)) as writer:
        writer.append(torch.zeros(3, 3, 48, 64))
    return tmp_path / "a.mp4"


def test_texts_that_are_not_utf_8(film):
    film.write_bytes(film.read_bytes().replace(b"Lavf", b"\xff\xfevf"))
    assert probe(film).frames == 3


def test_a_codec_that_nobody_knows(film):
    film.write_bytes(film.read_bytes().replace(b"avc1", b"zzzz"))
    with pytest.raises(BadMedia, match="must have pictures, but has none"):
        read_video(film)
    assert probe(film).video_codec == ""


@pytest.mark.parametrize("size", [1 << 62, (1 << 64) - 1, 1 << 40])
def test_a_box_that_ends_beyond_its_file(film, size):
    whole = film.read_bytes()
    film.write_bytes(whole[:32] + struct.pack(">I4sQ", 1, b"free", size) + whole[32:])
    assert read_provenance(film) is None


def test_a_picture_that_claims_terapixels(tmp_path):
    header = struct.pack(">I4sIIBBBBB", 13, b"IHDR", 4_000_000, 4_000_000, 8, 2, 0, 0, 0)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + header)
    assert read_provenance(tmp_path / "a.png") is None
    with pytest.raises(BadMedia):
        describe_media(tmp_path / "a.png")


@pytest.mark.parametrize("text", [b"\x80\x02h\x0a.", b"\x80\x02u.", b"\x80\x02}", b"\x80\x02\x8a\xff."])
def test_pickles_cut_in_their_opcodes(tmp_path, text):
    (tmp_path / "a.pt").write_bytes(text)
    with pytest.raises((WeightsMismatch, UnsafeWeights)):
        open_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("channels", [9, 32])
def test_more_channels_than_a_frame_has_planes(tmp_path, channels):
    samples = np.random.default_rng(0).uniform(-0.3, 0.3, (4800, channels)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 48000, subtype="FLOAT")
    assert torch.equal(read_sound(tmp_path / "a.wav").samples, torch.from_numpy(samples.T))
