"""The folder of a report: whole, seeded, continued, and readable without a network."""

import csv
import io
import json
import re

import pytest

from portraittalk_core.errors import BadInput
from portraittalk_core.evaluation.data.clips import Clip
from portraittalk_core.evaluation.report.folder import Report, read_results, table
from portraittalk_core.evaluation.scoring.figures import FIGURES, protocol
from portraittalk_core.evaluation.scoring.scorer import Scored, Scorer
from portraittalk_core.evaluation.scoring.summary import bootstrap_mean, paired_differences

PROTOCOL = protocol("quick", "table", None, None)


@pytest.fixture(scope="module")
def scored(video, finder):
    return Scorer(finder).score(Clip(video, "a <b>.mp4"))


def test_results_table_and_page(tmp_path, video, scored):
    clip = Clip(video, "a <b>.mp4")
    report = Report(tmp_path / "r", [clip], PROTOCOL)
    assert report.pending == [clip]
    report.add(scored)
    page = report.finish().read_text(encoding="utf-8")
    results = json.loads((tmp_path / "r" / "results.json").read_text())
    assert list(results) == ["videos", "protocol"] and results["videos"] == [scored.record]
    assert {"file", "adfd", "spatial", "temporal", "audio", "offset_frames"} <= set(results["videos"][0])
    rows = list(csv.DictReader((tmp_path / "r" / "results.csv").open()))
    assert float(rows[0]["adfd"]) == scored.record["adfd"] and rows[0]["lpips" if "lpips" in rows[0] else "psnr"] == ""
    assert "a &lt;b&gt;.mp4" in page and "<b>.mp4" not in page
    assert page.count("<svg") == 1 and "data:image/jpeg;base64," in page
    assert not re.search(r"<script|<link|src=\"http|url\(", page), "the page opens offline"
    for figure in FIGURES:
        assert figure.title in page.replace("&amp;", "&")


def test_a_stopped_run_goes_on_and_changed_files_count_anew(tmp_path, video, scored):
    clips = [Clip(video, "a <b>.mp4"), Clip(video, "second.mp4")]
    Report(tmp_path, clips, PROTOCOL).add(scored)
    assert [c.label for c in Report(tmp_path, clips, PROTOCOL).pending] == ["second.mp4"]
    assert len(Report(tmp_path, clips, protocol("full", "table", None, None)).pending) == 2
    changed = Clip(video, "a <b>.mp4", sound=video)
    assert Report(tmp_path, [changed], PROTOCOL).pending == [changed]
    for file in (tmp_path / "curves").iterdir():
        file.unlink()
    assert len(Report(tmp_path, clips, PROTOCOL).pending) == 2


def test_a_foreign_results_file_is_left_alone(tmp_path, video):
    for text in ("[1]", "no json", '{"videos": 3}', "[" * 100_000):
        (tmp_path / "results.json").write_text(text)
        with pytest.raises(BadInput, match=r"must be a results\.json of `evaluate`"):
            Report(tmp_path, [Clip(video, "x")], PROTOCOL)
    with pytest.raises(BadInput, match="cannot be read"):
        read_results(tmp_path / "none.json")


def test_bootstrap_is_seeded_and_honest():
    found = bootstrap_mean([0.1, 0.5, 0.9, 0.4])
    assert found == bootstrap_mean([0.1, 0.5, 0.9, 0.4]) and found.value == pytest.approx(0.475)
    assert 0.1 <= found.low < found.value < found.high <= 0.9
    assert bootstrap_mean([]) is None and bootstrap_mean([0.3]).low is None
    same = bootstrap_mean([0.5] * 5)
    assert same.low == same.high == same.value == 0.5


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    import torch

    generator = torch.Generator().manual_seed(0)
    hits = 0
    for _ in range(100):
        found = bootstrap_mean(torch.randn(30, generator=generator).tolist(), draws=500)
        hits += found.low < 0 < found.high
    assert 85 <= hits <= 99


def test_differences_are_paired(tmp_path, video, scored):
    ours = [{"file": name, "adfd": value} for name, value in (("a", 0.5), ("b", 0.9), ("c", None))]
    theirs = [{"file": name, "adfd": value} for name, value in (("b", 0.8), ("a", 0.4), ("d", 0.1))]
    (mine, other, difference) = paired_differences(ours, theirs)["adfd"]
    assert (mine.value, other.value) == (pytest.approx(0.7), pytest.approx(0.6)) and difference.clips == 2
    assert difference.low == difference.high == pytest.approx(0.1)
    worse = Scored({**scored.record, "adfd": scored.record["adfd"] - 0.25}, scored.shown)
    clips = [Clip(video, "a <b>.mp4")]
    for folder, what in (("old", worse), ("new", scored)):
        report = Report(tmp_path / folder, clips, PROTOCOL)
        report.add(what)
        page = report.finish(tmp_path / "old" / "results.json" if folder == "new" else None).read_text()
    assert "Compared with" in page and "+0.250" in page and "differ in their protocol" not in page


def test_csv_keeps_lines_and_empty_fields():
    record = {"file": "x,y.mp4", "adfd": None, "unscored": ["a", "b"], "notes": []}
    (row,) = csv.DictReader(io.StringIO(table([record])))
    assert row["file"] == "x,y.mp4" and row["adfd"] == "" and row["unscored"] == "a | b"


def test_lines_that_all_clips_share_are_said_once():
    from portraittalk_core.evaluation.report.page import _troubles

    def record(name, *lines):
        return {"file": name, "unscored": list(lines), "notes": []}

    text = _troubles([record("a", "no network", "no sound"), record("b", "no network"), record("c", "no network")])
    assert text.count("no network") == 1 and "every clip" in text and ">b<" not in text and ">a<" in text
    many = _troubles([record("a"), *(record(f"b{k}", "no face") for k in range(9))])
    assert many.count("no face") == 1 and ">b0, b1, b2, b3 and 5 more<" in many
    assert "every clip" not in _troubles([record("a", "no network")]) and not _troubles([record("a"), record("b")])
