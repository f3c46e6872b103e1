"""Folders laid out like HDTF, MEAD and GRID: which clips, which sounds, which are the test."""

import pytest

from portraittalk_core.errors import BadInput, BadMedia
from portraittalk_core.evaluation.data.datasets import DATASETS, GRID, HDTF, MEAD, with_results
from portraittalk_core.evaluation.scoring.scorer import Scorer

from .conftest import pictures, write


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def labels(clips):
    return [clip.label for clip in clips]


def test_hdtf(tmp_path):
    root = touch(
        tmp_path,
        *("video/RD_Radio11_0.mp4", "video/RD_Radio11_1.mp4", "video/WDA_BobCasey_000.mp4", "audio/RD_Radio11_1.wav"),
        *("video/WDA_BobCasey_000.wav", "video/raw.mp4", "video/.hidden_0.mp4", "RD_crop_wh.txt"),
    )
    clips = HDTF.clips(root)
    assert labels(clips) == ["RD_Radio11_0", "RD_Radio11_1", "WDA_BobCasey_000"]
    assert [clip.sound and clip.sound.relative_to(root).as_posix() for clip in clips] == [
        None,
        "audio/RD_Radio11_1.wav",
        "video/WDA_BobCasey_000.wav",
    ]
    assert {entry.person for entry in HDTF.entries(root)} == {"RD_Radio11", "WDA_BobCasey"}


def mead(root, people=("M003", "M005"), emotions=("angry", "neutral"), count=12, below="video/front"):
    return touch(
        root,
        *(f"{p}/{below}/{e}/level_1/{n:03d}.mp4" for p in people for e in emotions for n in range(1, count + 1)),
        *(f"{p}/audio/{e}/level_1/{n:03d}.m4a" for p in people for e in emotions for n in range(1, count)),
        *(f"{p}/video/left_30/angry/level_1/001.mp4" for p in people),
    )


@pytest.mark.parametrize("below", ["video/front", "front"])
def test_mead(tmp_path, below):
    clips = MEAD.clips(mead(tmp_path, below=below))
    assert len(clips) == 24 and all(label.startswith("M003_") for label in labels(clips))
    by_label = {clip.label: clip for clip in clips}
    found = by_label["M003_angry_level_1_001"].sound
    assert found is not None and found.relative_to(tmp_path).as_posix() == "M003/audio/angry/level_1/001.m4a"
    assert by_label["M003_angry_level_1_012"].sound is None
    assert len(MEAD.clips(tmp_path, "all")) == 48


def test_the_authors_hold_out_the_last_sentences(tmp_path):
    kept = labels(MEAD.clips(mead(tmp_path, people=("W011",)), "last"))
    assert [k for k in kept if "angry" in k] == [f"W011_angry_level_1_{n:03d}" for n in range(7, 13)]
    assert [k for k in kept if "neutral" in k] == [f"W011_neutral_level_1_{n:03d}" for n in range(3, 13)]


def test_grid(tmp_path):
    root = touch(
        tmp_path,
        *("s1/bbaf2n.mpg", "s2/video/mpg_6000/lwae8a.mpg", "s3/swwp2s.mpg", "s20/pgwy7s.mpg", "s1/notes.mpg"),
        *("audio/s1/bbaf2n.wav", "s2/audio/lwae8a.wav", "s1/bbaw2n.mpg", "bbaf3n.mpg"),
    )
    clips = GRID.clips(root)
    assert labels(clips) == ["s1_bbaf2n", "s20_pgwy7s", "s2_lwae8a"]
    assert [clip.sound and clip.sound.relative_to(root).as_posix() for clip in clips] == [
        "audio/s1/bbaf2n.wav",
        None,
        "s2/audio/lwae8a.wav",
    ]
    assert len(GRID.clips(root, "all")) == 4
    names = tmp_path / "mine.txt"
    names.write_text("# mine\ns3_swwp2s\n\ns1_bbaf2n\n")
    assert labels(GRID.clips(root, str(names))) == ["s1_bbaf2n", "s3_swwp2s"]


@pytest.mark.parametrize("name", DATASETS)
def test_what_is_not_there_is_one_line(name, tmp_path):
    with pytest.raises(BadMedia, match=r"there is no `.*gone`"):
        DATASETS[name].clips(tmp_path / "gone")
    with pytest.raises(BadMedia, match=r"but holds none"):
        DATASETS[name].clips(touch(tmp_path, "a.mp4"))


def test_wrong_splits(tmp_path):
    root = touch(tmp_path, "s3/swwp2s.mpg")
    with pytest.raises(BadInput, match=r"has none of the 1 .*people there: s3.*--split all"):
        GRID.clips(root)
    with pytest.raises(BadInput, match=r"`--split` must be test, all or a file of names, but got `best`"):
        GRID.clips(root, "best")
    (tmp_path / "mine.txt").write_text("s3_swwp2x\n")
    with pytest.raises(BadInput, match=r"s3_swwp2x is not"):
        GRID.clips(root, str(tmp_path / "mine.txt"))


def test_every_protocol_says_crop_rate_test_and_source():
    for found in DATASETS.values():
        assert set(found.protocol) == {"crop", "fps", "test", "source"} and all(found.protocol.values())


def test_a_clip_is_scored_with_the_sound_of_the_set_and_differences_are_noted(tmp_path, talk, finder, video):
    other = tmp_path / "s1" / "bbaf2n.mp4"
    write(other, pictures(len(talk.landmarks)), None, 30.0)
    touch(tmp_path, "audio/s1/keep")
    import soundfile

    soundfile.write(tmp_path / "audio" / "s1" / "bbaf2n.wav", talk.voice.numpy(), 16_000)
    (clip,) = GRID.clips(tmp_path)
    record = Scorer(finder).score(clip).record
    assert record["adfd"] is not None and not [line for line in record["unscored"] if "sound" in line]
    assert any("GRID has 25 frames a second, but this clip 30" in line for line in record["notes"])
    assert any("GRID has pictures of 360 x 288 or 720 x 576, but this clip 96 x 96" in n for n in record["notes"])


def test_results_are_paired_with_the_true_clips(tmp_path):
    root = touch(tmp_path / "grid", "s1/bbaf2n.mpg", "s2/lwae8a.mpg", "audio/s1/bbaf2n.wav")
    made = touch(tmp_path / "made", "s1_bbaf2n.mp4")
    one, other = with_results(GRID.clips(root), made)
    assert one.path == made / "s1_bbaf2n.mp4" and one.reference == root / "s1/bbaf2n.mpg"
    assert one.sound == root / "audio/s1/bbaf2n.wav" and other.sound == root / "s2/lwae8a.mpg"
    assert other.path == made / "s2_lwae8a.mp4"  # is reported as missing when it is scored
