"""One clip: figures equal those of the functions, and whatever is missing says why."""

import pytest
import torch

from portraittalk_core.evaluation.data.clips import Clip
from portraittalk_core.evaluation.scoring.figures import FIGURES
from portraittalk_core.evaluation.scoring.pictures import measure_pictures
from portraittalk_core.evaluation.scoring.scorer import Scorer
from portraittalk_core.evaluation.scoring.tracks import track_video
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.media.video import read_video
from portraittalk_core.metrics import functional as metrics

from ..metrics.conftest import RATE, late
from .conftest import FPS, TableFinder, pictures, write


@pytest.fixture(scope="module")
def scored(video, finder):
    return Scorer(finder).score(Clip(video, "good.mp4"))


def test_adfd_is_that_of_the_function(scored, video, finder):
    chunks, fps, _ = read_video(video)
    track = track_video(chunks, fps, finder)
    true = metrics.adfd(track.landmarks, speech_waveform(read_sound(video)), RATE, fps)
    record = scored.record
    for name in ("spatial", "temporal", "audio", "stillness", "offset_s"):
        assert record[name] == pytest.approx(getattr(true, name), abs=1e-6)
    assert record["adfd"] == pytest.approx(true.score, abs=1e-6) and record["adfd"] > 0.7
    assert record["offset_frames"] == true.offset_frames and isinstance(record["offset_frames"], int)
    assert record["blinks_per_minute"] > 0 and record["head_motion"] > 0 and record["silent_lips"] >= 0
    assert record["frames"] == record["frames_with_face"] == 100 and record["fps"] == FPS


def test_late_sound_has_a_positive_offset(tmp_path, talk, finder):
    path = write(tmp_path / "late.mp4", pictures(len(talk.landmarks)), late(talk.voice, 6 / FPS))
    assert abs(Scorer(finder).score(Clip(path, "late")).record["offset_frames"] - 6) <= 1


def test_flicker_in_pieces_is_that_of_the_whole(scored, video, finder):
    chunks, fps, _ = read_video(video, 1000)
    frames = next(chunks).pixels
    track = track_video(read_video(video)[0], fps, finder)
    region = metrics.static_region(track.landmarks, track.height, track.width)
    assert 0.05 < float(region.float().mean()) < 0.9
    assert scored.record["flicker"] == pytest.approx(metrics.flicker(frames, region), rel=1e-5)
    assert scored.record["sharpness"] == pytest.approx(float(metrics.sharpness(frames).mean()), rel=1e-5)


def test_what_the_page_shows(scored):
    shown = scored.shown
    assert len(shown["mouth"]) == len(shown["voice"]) == len(shown["silent"]) == 101
    assert all(0 <= v <= 1 for v in shown["mouth"]) and len(shown["strip"]) > 1000


def test_the_reference_itself_is_the_best_there_is(video, finder):
    record = Scorer(finder, "full").score(Clip(video, "x", reference=video)).record
    assert record["adfd_with_truth"] == 1 and record["f_lmd"] == record["m_lmd"] == 0 and record["psnr"] == 100
    assert record["ssim"] == 1 or any(line.startswith("SSIM") for line in record["unscored"])
    assert any(line.startswith("CSIM: unscored, it needs") for line in record["unscored"])


def test_psnr_of_another_video(tmp_path, video, talk, finder):
    other = write(tmp_path / "o.mp4", pictures(60, noise=0.02, seed=1), talk.voice)
    record = Scorer(finder).score(Clip(video, "x", reference=other)).record
    a, b = (next(read_video(path, 60)[0]).pixels for path in (video, other))
    assert record["psnr"] == pytest.approx(metrics.psnr(a, b), rel=1e-5)
    assert any("the reference has 60 frames" in line for line in record["notes"]) or record["adfd_with_truth"]


@pytest.mark.parametrize("fps, side, text", [(30.0, 96, "must have the clip's 25 frames a second, but has 30")])
def test_references_that_do_not_fit(tmp_path, video, talk, finder, fps, side, text):
    other = write(tmp_path / "o.mp4", pictures(60), talk.voice, fps)
    record = Scorer(finder).score(Clip(video, "x", reference=other)).record
    assert any(text in line for line in record["unscored"]) and record["psnr"] is None and record["adfd"] > 0


@pytest.mark.slow
def test_a_missing_reference_and_another_size(tmp_path, video, talk, finder):
    record = Scorer(finder).score(Clip(video, "x", reference=tmp_path / "no.mp4")).record
    assert any(line.startswith("reference: ") for line in record["unscored"]) and record["adfd"] > 0
    other = write(tmp_path / "o.mp4", pictures(100)[..., :80, :], talk.voice)
    record = Scorer(finder).score(Clip(video, "x", reference=other)).record
    assert record["psnr"] is None and record["m_lmd"] == 0
    assert any("PSNR: unscored, the reference must have the clip's size 96 x 96" in line for line in record["unscored"])


@pytest.mark.slow
def test_bad_clips_are_lines(tmp_path, video, talk, finder):
    scorer = Scorer(finder)
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(video.read_bytes()[:500])
    black = write(tmp_path / "black.mp4", pictures(20) * 0 - 1, talk.voice)
    mute = write(tmp_path / "mute.mp4", pictures(20), None)
    quiet = write(tmp_path / "quiet.mp4", pictures(100), torch.zeros_like(talk.voice))
    rare = write(tmp_path / "rare.mp4", torch.cat([pictures(40), pictures(60) * 0 - 1]), talk.voice)
    single = write(tmp_path / "single.mp4", pictures(1), talk.voice)
    lines = {
        torn: "is no sound or video file",
        tmp_path / "gone.mp4": "there is no",
        black: "no face found in 20 frames. Look elsewhere.",
        rare: "a face was found in only 40 of 100 frames, too few to score it. Look elsewhere.",
        mute: "no sound: ADFD and silent lips are unscored",
        quiet: "nobody speaks while the face is seen",
        single: "2 frames with a face are needed",
    }
    for path, text in lines.items():
        record = scorer.score(Clip(path, path.name)).record
        assert any(text in line for line in record["unscored"]), (path.name, record["unscored"])
        assert all("\n" not in line for line in record["unscored"])
        assert record["audio"] is None and record["offset_frames"] is None
        assert (record["adfd"] is None) == (path != quiet)
    assert len(scorer.score(Clip(black, "b")).record["unscored"]) == 1


def test_another_sound(tmp_path, video, talk, finder):
    mute = write(tmp_path / "mute.mp4", pictures(len(talk.landmarks)), None)
    record = Scorer(finder).score(Clip(mute, "m", sound=video)).record
    assert record["adfd"] > 0.7 and not [line for line in record["unscored"] if "sound" in line]


def test_signatures_name_every_file(video, tmp_path):
    signature = Clip(video, "x", sound=video, reference=tmp_path / "no").signature
    assert set(signature) == {"clip", "sound", "reference"} and signature["reference"] == "missing"
    assert str(video.stat().st_size) in signature["clip"]


def test_every_figure_is_in_a_record(scored):
    keys = {figure.key for figure in FIGURES}
    full = {"ssim", "lpips", "csim", "lse_c", "lse_d", "lse_offset_frames"}
    assert keys - set(scored.record) == full | {"seconds_per_second", "peak_mib"}


def test_what_is_known_of_a_clip_is_in_its_record(tmp_path, finder):
    clip = Clip(tmp_path / "gone.mp4", "x", facts={"seconds_per_second": 3.5})
    assert Scorer(finder).score(clip).record["seconds_per_second"] == 3.5


def test_a_face_at_the_border_still_has_a_strip(video, talk):
    moved = TableFinder(talk.landmarks - 3)
    track = track_video(read_video(video)[0], FPS, moved)
    assert measure_pictures(video, track, 8).strip
    assert torch.isfinite(track.landmarks).all()
