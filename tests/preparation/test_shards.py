"""Shards: the same bytes for the same samples, read by WebDataset, and what is broken is known and left out."""

import json
import tarfile

import numpy as np
import pytest

from portraittalk_core.errors import BadMedia
from portraittalk_core.preparation.shards import (
    INDEX,
    ShardWriter,
    array_bytes,
    pack,
    read_index,
    read_samples,
    unpack,
)


def files(number):
    shown = {"json": json.dumps({"number": number}).encode(), "txt": b"a person"}
    return shown | {"points.npy": array_bytes(np.full((2, 3), number)), "0000.jpg": b"x" * 600, "0001.jpg": b"y"}


def write(folder, counts=(3, 2)):
    shards, number = [], 0
    for place, count in enumerate(counts):
        writer = ShardWriter(folder / f"train-{place:06d}.tar")
        for _ in range(count):
            writer.add({"key": f"clip_{number:03d}", "clip": "clip"}, pack(f"clip_{number:03d}", files(number)))
            number += 1
        shards.append(writer.finish("train"))
    (folder / INDEX).write_text(json.dumps({"shards": shards}))
    return shards


def read(folder, split="train"):
    broken = []
    found = [s.facts["number"] for s in read_samples(folder, split, lambda *told: broken.append(told))]
    return found, broken


def test_a_sample_comes_back_and_its_bytes_are_always_the_same():
    piece = pack("a_000", files(7))
    assert piece == pack("a_000", files(7)) and len(piece) % tarfile.BLOCKSIZE == 0
    assert unpack("a_000", piece) == files(7)
    with pytest.raises(BadMedia, match="another"):
        unpack("b_000", piece)
    with pytest.raises(BadMedia, match="no piece of a tar"):
        unpack("a_000", b"\1" * 1024)


def test_all_samples_are_read_in_order(tmp_path):
    write(tmp_path)
    assert read(tmp_path) == ([0, 1, 2, 3, 4], [])
    assert read(tmp_path, "test") == ([], [])
    sample = next(iter(read_samples(tmp_path)))
    assert sample.caption == "a person" and sample.frames == [b"x" * 600, b"y"]
    assert np.array_equal(sample.array("points"), np.zeros((2, 3)))


@pytest.mark.parametrize("at", [10, 700])  # in a header, in a file
def test_a_broken_sample_is_reported_and_left_out(tmp_path, at):
    shards = write(tmp_path)
    path, entry = tmp_path / shards[0]["file"], shards[0]["samples"][1]
    content = bytearray(path.read_bytes())
    content[entry["offset"] + at] ^= 0xFF
    path.write_bytes(content)
    found, broken = read(tmp_path)
    assert found == [0, 2, 3, 4]
    assert broken == [("train-000000.tar", "sample clip_001: its bytes are not those that were written")]


def test_a_shard_that_ends_early_or_is_missing_is_reported(tmp_path):
    shards = write(tmp_path)
    path = tmp_path / shards[0]["file"]
    path.write_bytes(path.read_bytes()[: shards[0]["samples"][2]["offset"] + 100])
    (tmp_path / shards[1]["file"]).unlink()
    found, broken = read(tmp_path)
    assert found == [0, 1] and [where for where, _ in broken] == ["train-000000.tar", *["train-000001.tar"] * 2]


def test_an_index_that_is_none_says_so(tmp_path):
    with pytest.raises(BadMedia, match="must hold shards"):
        read_index(tmp_path)
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(BadMedia, match="damaged"):
        read_index(tmp_path)


def test_tar_reads_a_shard(tmp_path):
    shards = write(tmp_path, (2,))
    with tarfile.open(tmp_path / shards[0]["file"]) as tar:
        names = tar.getnames()
    assert names == [f"clip_{n:03d}.{ending}" for n in range(2) for ending in files(0)]


def test_webdataset_reads_a_shard(tmp_path):
    wds = pytest.importorskip("webdataset", reason="webdataset is not installed: pip install webdataset")
    shards = write(tmp_path, (2,))
    found = list(wds.WebDataset(str(tmp_path / shards[0]["file"]), shardshuffle=False).decode())
    assert [sample["__key__"] for sample in found] == ["clip_000", "clip_001"]
    assert found[1]["json"] == {"number": 1} and np.array_equal(found[1]["points.npy"], np.ones((2, 3)))
