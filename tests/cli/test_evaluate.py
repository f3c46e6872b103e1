"""`portraittalk evaluate`: a folder in, a report out, whatever lies in the folder."""

import json
import shutil
import sys
from types import SimpleNamespace

import pytest
import torch

from portraittalk_core.cli.main import main
from portraittalk_core.evaluation.benchmark.people import draw_person
from portraittalk_core.evaluation.data.clips import find_clips
from portraittalk_core.evaluation.scoring import network_files, scorer, tracks
from portraittalk_core.motion.arkit import TO_ARKIT, to_arkit

from ..evaluation.conftest import TableFinder, pictures, write
from ..evaluation.networks import I3D, Ears, Inception, saved
from ..metrics.conftest import make_talk


@pytest.fixture(scope="module")
def talk():
    return make_talk(5, seconds=3.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, talk):
    root = tmp_path_factory.mktemp("videos")
    write(root / "good.mp4", pictures(len(talk.landmarks), noise=0.02), talk.voice)
    write(root / "sub" / "silent.mp4", pictures(40), None)
    (root / "broken.mp4").write_bytes((root / "good.mp4").read_bytes()[:700])
    (root / "notes.txt").write_text("no video")
    return root


@pytest.fixture(autouse=True)
def finder(monkeypatch, talk):
    monkeypatch.setattr(tracks, "open_finder", lambda faces: TableFinder(talk.landmarks))


def run(*argv) -> int:
    return main(["evaluate", "--quiet", *map(str, argv)])


def results(report) -> dict:
    return json.loads((report / "results.json").read_text())


@pytest.mark.slow
def test_bad_clips_do_not_stop_the_others(folder, tmp_path, capsys):
    assert run(folder, "-o", tmp_path / "r") == 0
    videos = {v["file"]: v for v in results(tmp_path / "r")["videos"]}
    assert list(videos) == ["broken.mp4", "good.mp4", "sub/silent.mp4"]
    assert videos["good.mp4"]["adfd"] > 0.5 and videos["good.mp4"]["offset_frames"] in (-1, 0, 1)
    for name in ("broken.mp4", "sub/silent.mp4"):
        assert videos[name]["adfd"] is None and len(videos[name]["unscored"]) == 1
    output = capsys.readouterr()
    assert "sub/silent.mp4: no sound" in output.out and "over 1 of 3 clips" in output.out and not output.err
    assert {p.name for p in (tmp_path / "r").iterdir()} == {"results.json", "results.csv", "report.html", "curves"}


@pytest.mark.slow
def test_two_runs_give_the_same(folder, tmp_path):
    for name in ("one", "two"):
        assert run(folder, "-o", tmp_path / name) == 0
    for name in ("results.json", "results.csv", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
def test_an_interrupted_run_goes_on(folder, tmp_path, monkeypatch, capsys):
    kept, seen = scorer.Scorer.score, []

    def stopping(self, clip, on_frame=None):
        seen.append(clip.label)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return kept(self, clip, on_frame)

    monkeypatch.setattr(scorer.Scorer, "score", stopping)
    assert run(folder, "-o", tmp_path / "r") == 130
    assert len(results(tmp_path / "r")["videos"]) == 2
    assert not [p for p in (tmp_path / "r").rglob("*") if ".part" in p.name]
    assert run(folder, "-o", tmp_path / "r") == 0
    assert seen == ["broken.mp4", "good.mp4", "sub/silent.mp4", "sub/silent.mp4"]
    assert len(results(tmp_path / "r")["videos"]) == 3 and (tmp_path / "r" / "report.html").is_file()
    monkeypatch.setattr(scorer.Scorer, "score", lambda *_: pytest.fail("everything was scored"))
    assert run(folder, "-o", tmp_path / "r") == 0


@pytest.mark.slow
def test_reference_audio_and_comparison(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "true")
    assert run(folder / "good.mp4", "--reference", tmp_path / "true", "-o", tmp_path / "old") == 0
    (record,) = results(tmp_path / "old")["videos"]
    assert record["adfd_with_truth"] == 1 and record["psnr"] == 100
    argv = (folder / "sub", "--audio", folder / "good.mp4", "--compare", tmp_path / "old" / "results.json")
    assert run(*argv, "-o", tmp_path / "new") == 0
    assert results(tmp_path / "new")["videos"][0]["adfd"] > 0
    assert "Compared with" in (tmp_path / "new" / "report.html").read_text()
    capsys.readouterr()


@pytest.mark.slow
def test_figures_of_the_whole_set_and_lse(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "syncnet_v2.model").write_bytes(b"stands in")
    monkeypatch.setattr(network_files, "load_syncnet", lambda path: SimpleNamespace(net=Ears()))
    true = write(tmp_path / "true" / "long.mp4", pictures(110, noise=0.1, seed=2), make_talk(5, seconds=4.4).voice)
    made = write(tmp_path / "made" / "long.mp4", pictures(110, noise=0.02), make_talk(5, seconds=4.4).voice)
    still = make_talk(5, seconds=5.0).landmarks
    monkeypatch.setattr(tracks, "open_finder", lambda faces: TableFinder(still))
    argv = ("--inception", saved(Inception(), tmp_path / "i.pt"), "--i3d", saved(I3D(), tmp_path / "v.pt"))
    argv = (made, "--reference", true.parent, "--suite", "full", "--syncnet", tmp_path / "syncnet_v2.model", *argv)
    assert run(*argv, "-o", tmp_path / "r") == 0
    found = results(tmp_path / "r")
    (record,) = found["videos"]
    assert record["lse_d"] > 0 and record["lse_c"] >= 0 and found["protocol"]["unavailable"] == {}
    assert found["set"]["fid"]["value"] > 0 and found["set"]["fvd"]["value"] > 0 and found["set"]["e_fid"]["value"] == 0
    output = capsys.readouterr().out
    assert "E-FID 0.0000 over 1 of 1 clips" in output and "FVD " in output
    monkeypatch.setattr(scorer.Scorer, "score", lambda *_: pytest.fail("everything was scored"))
    kept = (tmp_path / "r" / "results.json").read_bytes()
    assert run(*argv, "-o", tmp_path / "r") == 0 and (tmp_path / "r" / "results.json").read_bytes() == kept


def test_names(folder, tmp_path):
    clips = find_clips([str(folder), str(folder / "good.mp4")])
    assert [c.label for c in clips] == ["broken.mp4", "good.mp4", "sub/silent.mp4"]
    other = shutil.copytree(folder, tmp_path / "other")
    labels = [c.label for c in find_clips([str(folder), str(other)])]
    assert len(set(labels)) == 6 and str(other / "good.mp4") in labels
    truths = find_clips([str(folder)], None, str(other))
    assert [c.reference for c in truths] == [other / c.label for c in truths]
    inside = find_clips([str(folder)], output=str(folder / "sub"))
    assert [c.label for c in inside] == ["broken.mp4", "good.mp4"]


@pytest.mark.parametrize(
    "argv, text",
    [
        (["gone/", "-o", "r"], "there is no `gone/`"),
        ([".", "-o", "r"], "There must be a video, but . holds none"),
        (["{v}", "-o", "{v}"], "`-o` must be a folder"),
        (["{v}", "-o", "a/b/c"], "`-o` must exist"),
        (["{v}", "-o", "r", "--reference", "gone"], "`--reference` must be a file or a folder"),
        (["{v}", "-o", "r", "--compare", "gone"], "must be a results.json"),
        (["{v}", "-o", "r", "--syncnet", "x"], "`--syncnet` belongs to the full suite, but this is quick"),
        (["{v}", "-o", "r", "--suite", "full", "--i3d", "x"], "`--i3d` compares with true videos, but got none"),
        (["{v}", "-o", "r", "--suite", "full", "--syncnet", "gone"], "LSE: unscored, it needs `syncnet_v2.model`"),
        (
            ["{v}", "-o", "r", "--suite", "full", "--reference", ".", "--inception", "{v}"],
            "FID: unscored, {v} must be a TorchScript file",
        ),
    ],
)
def test_wrong_command_lines_are_one_line(argv, text, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*(word.format(v=folder / "good.mp4") for word in argv)) == 2
    line = capsys.readouterr().err
    assert text.format(v=folder / "good.mp4") in line and line.count("\n") == 1 and not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    "argv, text",
    [
        (["-o", "r"], "needs a video, a folder of videos, or --benchmark people"),
        (["{v}", "-o", "r", "--benchmark", "people"], "`--benchmark` makes its own clips, but got VIDEO"),
        (["-o", "r", "--benchmark", "people", "--compare", "x"], "makes its own clips, but got --compare"),
        (["-o", "r", "--benchmark", "people", "--people", "0"], "`--people` must be 1 or more"),
        (["-o", "r", "--benchmark", "people", "--variants", "best"], "`--variants` knows full, own-head, still"),
        (["-o", "r", "--benchmark", "people", "--model", "gone"], "gone"),
        (["{v}", "-o", "r", "--model", "tiny"], "belong to `--benchmark people`"),
        (["{v}", "-o", "r", "--page", "p.md"], "belong to `--benchmark people`"),
        (["{v}", "-o", "r", "--workers", "0"], "`--workers` must be 1 or more"),
        (["{v}", "-o", "r", "--split", "test"], "there is no --dataset"),
        (["{v}", "{v}", "-o", "r", "--dataset", "grid"], "`--dataset` needs one folder"),
        ([".", "-o", "r", "--dataset", "grid"], "must hold clips as GRID does"),
    ],
)
def test_wrong_benchmarks_and_sets_are_one_line(argv, text, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*(word.format(v=folder / "good.mp4") for word in argv)) == 2
    line = capsys.readouterr().err
    assert text in line and line.count("\n") == 1 and not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_set_is_scored_by_its_layout_and_its_protocol_is_in_the_report(folder, tmp_path):
    for name in ("s1/bbaf2n.mp4", "s3/swwp2s.mp4"):
        (tmp_path / "grid" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "good.mp4", tmp_path / "grid" / name)
    assert run(tmp_path / "grid", "--dataset", "grid", "-o", tmp_path / "true") == 0
    found = results(tmp_path / "true")
    assert [v["file"] for v in found["videos"]] == ["s1_bbaf2n"] and found["videos"][0]["adfd"] > 0.5
    assert found["protocol"]["set"] == "GRID" and "LipNet" in found["protocol"]["set: test"]
    (tmp_path / "made").mkdir()
    shutil.copy(folder / "good.mp4", tmp_path / "made" / "s1_bbaf2n.mp4")
    argv = (tmp_path / "made", "--reference", tmp_path / "grid", "--dataset", "grid", "--split", "all")
    assert run(*argv, "-o", tmp_path / "r") == 0
    one, other = results(tmp_path / "r")["videos"]
    assert one["psnr"] == 100 and one["adfd_with_truth"] == 1
    assert other["adfd"] is None and "there is no" in other["unscored"][0]


def test_without_ray_nothing_is_begun(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert run(folder, "--engine", "ray", "-o", tmp_path / "r") == 2
    assert "pip install ray" in capsys.readouterr().err and not (tmp_path / "r").exists()


@pytest.mark.slow
def test_a_cluster_scores_the_same_as_this_process(folder, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="NOT TESTED: --engine ray, for ray is not installed. Run: pip install ray")
    monkeypatch.undo()  # a worker elsewhere knows nothing of our finder
    assert run(folder, "-o", tmp_path / "here") == 0
    assert run(folder, "--engine", "ray", "--workers", 2, "--ray-address", "local", "-o", tmp_path / "there") == 0
    for name in ("results.json", "results.csv", "report.html"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()


@pytest.mark.slow
def test_a_bar_with_the_time_left(folder, tmp_path, capsys):
    assert main(["evaluate", str(folder / "good.mp4"), "-o", str(tmp_path / "r")]) == 0
    assert "clips [" in capsys.readouterr().err


@pytest.mark.slow
def test_a_rendered_person_from_file_to_score(tmp_path, monkeypatch, talk, drawing):
    monkeypatch.undo()
    said = {"jaw": "jawOpen", "wide": "mouthStretch"}
    words = {said.get(name, name): values for name, values in talk.columns.items() if name in (*said, *TO_ARKIT)}
    angles = [torch.rad2deg(talk.columns[name]) for name in ("yaw", "pitch", "roll")]
    rotation = torch.stack(angles, 1) * torch.tensor([1.0, 1.0, -1.0])
    frames = draw_person(0).show(to_arkit(words), rotation)
    write(tmp_path / "person.mp4", frames, talk.voice)
    assert run(tmp_path / "person.mp4", "-o", tmp_path / "r") == 0
    (record,) = results(tmp_path / "r")["videos"]
    assert record["adfd"] > 0.6 and abs(record["offset_frames"]) <= 1 and record["frames_with_face"] == record["frames"]
