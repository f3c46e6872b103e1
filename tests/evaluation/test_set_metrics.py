"""FID, FVD and E-FID of a set, and LSE of a clip: the wiring, with stand-ins for the networks that users bring."""

import json
from dataclasses import dataclass
from html import escape

import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.checkpoints.native import load_structure, model_folder
from portraittalk_core.errors import BadMedia, MissingExtra, WeightsMismatch
from portraittalk_core.evaluation.data.clips import Clip
from portraittalk_core.evaluation.report.folder import Report
from portraittalk_core.evaluation.scoring import features, network_files, set_metrics
from portraittalk_core.evaluation.scoring.figures import FID_EVERY, protocol
from portraittalk_core.evaluation.scoring.network_files import NetworkFiles, unavailable
from portraittalk_core.evaluation.scoring.scorer import CHUNK, Scorer
from portraittalk_core.evaluation.scoring.summary import jackknife
from portraittalk_core.evaluation.scoring.tracks import track_video
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.media.video import read_video
from portraittalk_core.metrics import functional as metrics
from portraittalk_core.metrics.features import clip_features, load_features, picture_features
from portraittalk_core.metrics.sync import score_sync
from portraittalk_core.motion.structure import fit_motion

from .conftest import FPS, TableFinder, pictures, write
from .networks import I3D, Ears, Inception, saved


@dataclass
class Loaded:
    net: Ears


@pytest.fixture(scope="module")
def brought(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    (folder / "syncnet_v2.model").write_bytes(b"stands in")
    return NetworkFiles(
        folder / "syncnet_v2.model", saved(Inception(), folder / "inception.pt"), saved(I3D(), folder / "i3d.pt")
    )


@pytest.fixture(scope="module")
def videos(tmp_path_factory, talk, video):
    """Two results and their references: one the same, one of other pictures."""
    folder = tmp_path_factory.mktemp("set")
    other = write(folder / "other.mp4", pictures(60, noise=0.1, seed=4, level=0.3), talk.voice)
    return [Clip(video, "a", reference=video), Clip(other, "b", reference=video)]


@pytest.fixture(scope="module")
def scored(videos, brought, finder):
    scorer = Scorer(finder, "full", brought)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_files, "load_syncnet", lambda path: Loaded(Ears()))
        return [scorer.score(clip) for clip in videos]


def made_report(folder, clips, results, files=None):
    report = Report(folder, clips, protocol("full", "table", None, "true/", files))
    for result in results:
        report.add(result)
    return report


def pixels(path):
    return (chunk.pixels for chunk in read_video(path, CHUNK)[0])


@pytest.mark.slow
def test_lse_is_that_of_the_function(scored, video, finder):
    track = track_video(read_video(video)[0], FPS, finder)
    boxes = metrics.face_boxes(track.landmarks)
    true = score_sync(pixels(video), boxes, FPS, speech_waveform(read_sound(video)), Ears())
    record = scored[0].record
    assert record["lse_d"] == pytest.approx(true.lse_d, abs=1e-6) and true.lse_d > 0
    assert record["lse_c"] == pytest.approx(true.lse_c, abs=1e-6)
    assert record["lse_offset_frames"] == true.offset_frames and isinstance(record["lse_offset_frames"], int)


@pytest.mark.slow
def test_clips_under_a_hundred_frames_have_no_lse_and_say_so(scored):
    record = scored[1].record
    assert record["lse_d"] is None and record["lse_c"] is None and record["lse_offset_frames"] is None
    assert [x for x in record["unscored"] if x.startswith("LSE: unscored") and "last 60" in x]


@pytest.mark.slow
def test_networks_count_in_the_full_suite_only(video, finder, brought, monkeypatch):
    monkeypatch.setattr(network_files, "load_syncnet", lambda path: pytest.fail("not asked for"))
    found = Scorer(finder, "quick", brought).score(Clip(video, "a", reference=video))
    assert "lse_d" not in found.record and set(found.features) == {"made.e_fid", "true.e_fid"}


def test_figures_of_the_set_are_those_of_the_functions_on_all_rows(tmp_path, videos, scored, brought, finder):
    report = made_report(tmp_path, videos, scored, brought)
    page = report.finish().read_text(encoding="utf-8")
    found = json.loads((tmp_path / "results.json").read_text())["set"]
    assert list(found) == ["fid", "fvd", "e_fid"]
    inception, i3d = (load_features(score, brought.given[score]) for score in ("FID", "FVD"))
    paths = [clip.path for clip in videos]
    fitter, _ = load_structure(model_folder("tiny") / "structure.safetensors")
    tracks = [track_video(read_video(path)[0], FPS, finder).mesh for path in paths]
    rows = {
        "fid": [picture_features(pixels(path), inception, FID_EVERY) for path in paths],
        "fvd": [clip_features(pixels(path), i3d) for path in paths],
        "e_fid": [fit_motion(track, FPS, fitter).coefficients for track in tracks],
    }
    for key, heaps in rows.items():
        distance = metrics.e_fid if key == "e_fid" else metrics.frechet_distance
        entry, made = found[key], torch.cat(heaps)
        assert entry["value"] == pytest.approx(distance(made, heaps[0]), abs=1e-6, rel=1e-4) and entry["value"] > 0
        assert (entry["clips"], entry["of"]) == (2, 2)
        assert (entry["rows"], entry["reference_rows"]) == (len(made), len(heaps[0])), "a shared reference counts once"
        assert escape(entry["how"]) in page
    assert found["fid"]["rows"] == 20 + 12 and found["fvd"]["rows"] == 6 + 3 and found["e_fid"]["rows"] == 160
    assert "for 2048 features" in found["fid"]["notes"][0] and "for 2048 features" in page
    assert not found["e_fid"]["notes"] and "<td>2 of 2</td>" in page


def test_a_set_against_itself_is_at_no_distance(tmp_path, videos, scored):
    report = made_report(tmp_path, videos[:1], scored[:1])
    report.finish()
    assert {key: entry["value"] for key, entry in report.set_figures.items()} == {"fid": 0, "fvd": 0, "e_fid": 0}


def test_a_stopped_run_takes_no_features_twice(tmp_path, videos, scored, brought):
    made_report(tmp_path, videos, scored[:1], brought)
    assert "set" not in json.loads((tmp_path / "results.json").read_text())
    again = Report(tmp_path, videos, protocol("full", "table", None, "true/", brought))
    assert [clip.label for clip in again.pending] == ["b"]
    again.add(scored[1])
    again.finish()
    whole = made_report(tmp_path / "whole", videos, scored, brought)
    whole.finish()
    assert (tmp_path / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()
    without = Report(tmp_path, videos, protocol("full", "table", None, "true/"))
    assert len(without.pending) == 2, "other networks are another protocol"
    for file in (tmp_path / "features").iterdir():
        file.unlink()
    assert len(Report(tmp_path, videos, protocol("full", "table", None, "true/", brought)).pending) == 2


def test_unfinished_and_faceless_clips_do_not_count_and_the_count_says_so(tmp_path, videos, scored, brought, talk):
    black = write(tmp_path / "black.mp4", pictures(40) * 0 - 1, talk.voice)
    clip = Clip(black, "c", reference=videos[0].path)
    faceless = Scorer(TableFinder(talk.landmarks), "full", NetworkFiles(inception=brought.inception)).score(clip)
    assert set(faceless.features) == {"made.fid", "true.fid"}, "FID sees pictures, not faces"
    lost = Clip(tmp_path / "gone.mp4", "d", reference=videos[0].path)
    report = made_report(tmp_path / "r", [*videos, clip, lost], [*scored, faceless])
    report.finish()
    assert {key: (entry["clips"], entry["of"]) for key, entry in report.set_figures.items()} == {
        "fid": (3, 4),
        "fvd": (2, 4),
        "e_fid": (2, 4),
    }


@pytest.mark.slow
def test_references_that_give_no_features_are_lines(tmp_path, video, brought, talk, finder):
    scorer = Scorer(finder, "full", NetworkFiles(inception=brought.inception, i3d=brought.i3d))
    gone = scorer.score(Clip(video, "x", reference=tmp_path / "gone.mp4"))
    assert not gone.features and len([x for x in gone.record["unscored"] if x.startswith("reference: ")]) == 1
    faster = write(tmp_path / "30.mp4", pictures(40), talk.voice, 30.0)
    found = scorer.score(Clip(video, "x", reference=faster))
    assert set(found.features) == {"made.fid", "true.fid"}
    assert any(
        "FVD: unscored, it must have the clip's 25 frames a second, not 30" in x for x in found.record["unscored"]
    )
    short = write(tmp_path / "short.mp4", pictures(10), talk.voice)
    found = scorer.score(Clip(short, "x", reference=video))
    assert set(found.features) == {"made.fid", "true.fid", "made.e_fid", "true.e_fid"}
    assert "FVD: unscored, a video must have at least 16 frames. Give a longer one." in found.record["unscored"]


def test_a_distance_that_cannot_be_taken_has_no_value(tmp_path, video, scored):
    rows = {name: values[:1] for name, values in scored[0].features.items()}
    features.write_features(tmp_path / "rows", rows)
    found = set_metrics.set_figures([Clip(video, "a", reference=video)], 1, lambda clip: tmp_path / "rows")
    assert found["fid"]["value"] is None and found["fid"]["notes"][0].startswith("FID: unscored, `features` must have")
    (tmp_path / "rows").write_bytes(b"torn")
    with pytest.raises(BadMedia, match="Delete it, and its clip is scored again"):
        set_metrics.set_figures([Clip(video, "a", reference=video)], 1, lambda clip: tmp_path / "rows")
    features.write_features(tmp_path / "rows", {})
    assert load_file(tmp_path / "rows") == {}
    (tmp_path / "any").touch()
    assert (tmp_path / "rows").stat().st_mode == (tmp_path / "any").stat().st_mode  # others may read what is kept
    assert set_metrics.set_figures([Clip(video, "a", reference=video)], 1, lambda clip: tmp_path / "rows") == {}


def test_the_interval_of_a_set_comes_from_leaving_clips_out(tmp_path):
    generator = torch.Generator().manual_seed(0)
    clips = [Clip(tmp_path / f"{n}.mp4", str(n), reference=tmp_path / f"true{n}.mp4") for n in range(12)]
    for clip in clips:
        rows = torch.randn(2, 600, 52, generator=generator)
        features.write_features(tmp_path / clip.label, {"made.e_fid": rows[0] + 0.5, "true.e_fid": rows[1]})

    def of(some):
        return set_metrics.set_figures(some, 12, lambda clip: tmp_path / clip.label)["e_fid"]

    found = of(clips)
    assert found["low"] < 13 < found["high"]  # 52 columns, each 0.5 away: 52 * 0.25
    assert found["low"] < found["value"] < found["high"] and found == of(clips)
    assert of(clips[:6])["high"] - of(clips[:6])["low"] > found["high"] - found["low"]
    assert of(clips[:4])["low"] is None and of(clips[:4])["value"] is not None


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = torch.randn(10, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 9
    found = jackknife(float(values.mean()), lambda kept: float(values[list(kept)].mean()), 10)
    reach = 2.262157 * float(values.std()) / 10**0.5  # Student's t with nine degrees of freedom
    assert found.low == pytest.approx(found.value - reach) and found.high == pytest.approx(found.value + reach)


def test_another_run_stands_beside_ours(tmp_path, videos, scored):
    made_report(tmp_path / "old", videos[:1], scored[:1]).finish()
    page = made_report(tmp_path / "new", videos, scored).finish(tmp_path / "old" / "results.json").read_text()
    assert (
        "<th>this run <small>[95 %]</small></th><th>the other run</th>" in page
        and "<td>0.000</td><td>2 of 2</td>" in page
    )


def test_files_are_tried_before_anything_slow(tmp_path, brought, monkeypatch):
    monkeypatch.setattr(network_files, "load_syncnet", lambda path: Loaded(Ears()))
    brought.check()
    with pytest.raises(MissingExtra, match="FVD: unscored, it needs `i3d_torchscript.pt`, but there is nothing at"):
        NetworkFiles(i3d=tmp_path / "none.pt").check()
    with pytest.raises(WeightsMismatch, match=r"FID: unscored, .*must give 2048 features a row, but gives \[1, 64\]"):
        NetworkFiles(inception=saved(Inception(64), tmp_path / "narrow.pt")).check()
    with pytest.raises(WeightsMismatch, match="FVD: unscored, .*is another network"):
        NetworkFiles(i3d=brought.inception).check()


def test_a_file_that_is_no_syncnet_is_told(tmp_path):
    (tmp_path / "syncnet_v2.model").write_bytes(b"stands in")
    with pytest.raises(WeightsMismatch, match="syncnet_v2"):
        NetworkFiles(syncnet=tmp_path / "syncnet_v2.model").check()


def test_what_is_missing_is_named_with_its_option(brought):
    lines = unavailable()
    assert list(lines) == ["LSE", "FID", "FVD"] and not any("program" in line for line in lines.values())
    assert "`syncnet_v2.model`" in lines["LSE"] and "--syncnet --suite full" in lines["LSE"]
    assert "--inception" in lines["FID"] and "--reference" in lines["FID"] and "--i3d" in lines["FVD"]
    assert list(protocol("full", "x", None, None, NetworkFiles(i3d=brought.i3d))["unavailable"]) == ["LSE", "FID"]
    described = brought.described()
    assert described["network of FVD"].startswith("i3d.pt, sha256 ") and len(set(described.values())) == 3
    assert protocol("full", "x", None, None, brought)["unavailable"] == {}


@pytest.mark.slow
def test_lse_with_a_syncnet_of_full_width(tmp_path, video, finder):
    from portraittalk_core.nets.sync_net import SyncNet

    generator = torch.Generator().manual_seed(0)
    state = {k: 0.02 * torch.randn(v.shape, generator=generator) if v.is_floating_point() else v
             for k, v in SyncNet().state_dict().items()}  # fmt: skip
    state = {k: v.abs() + 1 if k.endswith("running_var") else v for k, v in state.items()}
    torch.save(state, tmp_path / "syncnet_v2.model")
    files = NetworkFiles(syncnet=tmp_path / "syncnet_v2.model")
    files.check()
    record = Scorer(finder, "full", files).score(Clip(video, "a")).record
    assert record["lse_d"] > 0 and record["lse_c"] >= 0 and abs(record["lse_offset_frames"]) <= 15
