"""Folders and the layouts of public sets: which clips, who speaks, which are held out."""

import os
import sys

import pytest

from portraittalk_core.errors import BadInput, BadMedia
from portraittalk_core.evaluation.data.clips import find_clips
from portraittalk_core.preparation.records import FOLDER, Made, Records
from portraittalk_core.preparation.sources import find_sources
from portraittalk_core.preparation.splits import ASIDE, HELD_OUT, TEST, TRAIN, VALIDATION, splits_of


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def people(root, dataset=None):
    return {source.label: source.person for source in find_sources(root, dataset)}


@pytest.mark.skipif(os.name == "nt" or sys.platform == "darwin", reason="the disk takes names of any bytes on Linux")
def test_names_that_are_no_text_are_written_as_escapes(tmp_path):
    touch(tmp_path, os.fsdecode(b"caf\xe9/one.mp4"), os.fsdecode(b"\xff.mp4"))
    assert people(tmp_path) == {"caf\\udce9/one": "caf\\udce9", "\\udcff": "\\udcff"}
    sources = find_sources(tmp_path)
    assert len(splits_of(sources, 0.5)) == 2 and all(source.path.is_file() for source in sources)
    assert sorted(clip.label for clip in find_clips([str(tmp_path)])) == ["\\udcff.mp4", "caf\\udce9/one.mp4"]
    (tmp_path / FOLDER).mkdir()
    records, told = Records(tmp_path), {"signature": sources[0].signature, "drop": f"`{sources[0].path}` is damaged"}
    records.add(sources[0], Made(told))
    assert records.done(sources[0]) == told


def test_a_folder_of_videos(tmp_path):
    touch(tmp_path, "ann/one.mp4", "ann/two.mov", "bob/x/one.mp4", "alone.mp4", "alone.wav", "notes.txt")
    assert people(tmp_path) == {"alone": "alone", "ann/one": "ann", "ann/two": "ann", "bob/x/one": "bob"}
    assert [s.sound and s.sound.name for s in find_sources(tmp_path)] == ["alone.wav", None, None, None]
    with pytest.raises(BadMedia, match="must be a folder"):
        find_sources(tmp_path / "alone.mp4")
    touch(tmp_path, "alone.mkv")
    with pytest.raises(BadInput, match="alone is there twice"):
        find_sources(tmp_path)


@pytest.mark.parametrize(
    "dataset, names, found",
    [
        (
            "hdtf",
            ("v/RD_Radio10_0.mp4", "v/WDA_VeronicaEscobar0_000.mp4", "v/WDA_VeronicaEscobar1_000.mp4", "v/raw.mp4"),
            {"RD_Radio10_0": "RD_Radio10"} | {f"WDA_VeronicaEscobar{k}_000": "WDA_VeronicaEscobar" for k in (0, 1)},
        ),
        (
            "mead",
            ("M003/video/front/angry/level_2/001.mp4", "M003/video/left_30/angry/level_2/001.mp4"),
            {"M003_angry_level_2_001": "M003"},
        ),
        ("grid", ("s1/bbaf2n.mpg", "s1/other.mpg"), {"s1_bbaf2n": "s1"}),
        (
            "vfhq",
            ("Clip+mp_Q5kx9a2s+P0+C1+F12-345.mp4", "a/Clip+mp_Q5kx9a2s+P1+C0+F1-9.mp4", "mp_Q5kx9a2s.mp4"),
            {
                "Clip+mp_Q5kx9a2s+P0+C1+F12-345": "mp_Q5kx9a2s+P0",
                "Clip+mp_Q5kx9a2s+P1+C0+F1-9": "mp_Q5kx9a2s+P1",
            },
        ),
        (
            "celebv-hq",
            ("M2Ohb0FAaJU_1.mp4", "M2Ohb0FAaJU_2.mp4", "raw/M2Ohb0FAaJU.mp4"),
            {"M2Ohb0FAaJU_1": "M2Ohb0FAaJU", "M2Ohb0FAaJU_2": "M2Ohb0FAaJU"},
        ),
        (
            "talkinghead-1kh",
            ("train/--Y9imYnfBw_0000_S0_E271_L1015_T93_R1430_B508.mp4", "train/--Y9imYnfBw_0000.mp4"),
            {"--Y9imYnfBw_0000_S0_E271_L1015_T93_R1430_B508": "--Y9imYnfBw"},
        ),
    ],
)
def test_layouts(tmp_path, dataset, names, found):
    assert people(touch(tmp_path, *names), dataset) == found


def test_a_set_that_is_not_there_says_how_its_files_lie(tmp_path):
    touch(tmp_path, "clip.mp4")
    with pytest.raises(BadMedia, match=r"must hold clips as VFHQ does \(Clip\+VIDEO"):
        find_sources(tmp_path, "vfhq")
    with pytest.raises(BadInput, match="must be one of hdtf"):
        find_sources(tmp_path, "vox")


def test_what_mead_says_goes_into_the_caption(tmp_path):
    touch(tmp_path, "M003/video/front/angry/level_2/001.mp4", "M003/video/front/neutral/level_1/001.mp4")
    assert [source.note for source in find_sources(tmp_path, "mead")] == ["angry, level 2 of 3", "neutral"]


def test_the_named_clips_are_the_test_and_their_people_are_in_nothing_else(tmp_path):
    names = [f"{label}.mp4" for label in HELD_OUT]
    names += ["RD_Radio7_001.mp4", "WDA_VeronicaEscobar2_000.mp4", "RD_Radio70_000.mp4", "WDA_BobCasey_000.mp4"]
    sources = find_sources(touch(tmp_path, *names), "hdtf")
    found = splits_of(sources, 0.0)
    assert len(HELD_OUT) == 20 and {label for label, split in found.items() if split == TEST} == set(HELD_OUT)
    assert {label for label, split in found.items() if split == ASIDE} == {"RD_Radio7_001", "WDA_VeronicaEscobar2_000"}
    assert found["RD_Radio70_000"] == found["WDA_BobCasey_000"] == TRAIN
    # the authors number clips without zeros
    other = find_sources(touch(tmp_path / "b", "RD_Radio7_0.mp4", "RD_Radio7_1.mp4"), "hdtf")
    assert splits_of(other, 0.0) == {"RD_Radio7_0": TEST, "RD_Radio7_1": ASIDE}


def test_people_are_split_not_clips_and_always_alike(tmp_path):
    sources = find_sources(touch(tmp_path, *(f"p{k:03d}/{n}.mp4" for k in range(200) for n in "ab")))
    found = splits_of(sources, 0.2)
    by_person = {source.person: set() for source in sources}
    for source in sources:
        by_person[source.person].add(found[source.label])
    assert all(len(splits) == 1 for splits in by_person.values())
    assert 0.12 < sum(splits == {VALIDATION} for splits in by_person.values()) / 200 < 0.28
    assert splits_of(sources[:50][::-1], 0.2) == {source.label: found[source.label] for source in sources[:50]}
