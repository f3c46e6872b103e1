"""A folder of clips becomes shards, one clip after the other, whatever stops it on the way."""

import dataclasses
import hashlib
import json
import pickle

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.evaluation.engine import Lost
from portraittalk_core.motion.structure import clamp_coefficients
from portraittalk_core.perception import voice_separation
from portraittalk_core.preparation import tools as opening
from portraittalk_core.preparation.clip import ClipPreparer
from portraittalk_core.preparation.records import Records
from portraittalk_core.preparation.report import write_report
from portraittalk_core.preparation.run import Preparation
from portraittalk_core.preparation.samples import decoded, wave_samples
from portraittalk_core.preparation.settings import Limits, Settings
from portraittalk_core.preparation.shards import INDEX, read_index, read_samples
from portraittalk_core.preparation.sources import find_sources

from .conftest import KnownFinder, frames, write


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    voice = 0.1 * torch.sin(torch.arange(0, 16_000) / 10)
    voice[:6400] = voice[9600:] = 0  # too short to be speech
    write(folder / "ann" / "one.mp4", frames(25), voice)
    dark = frames(30)
    dark[8:19] = -1
    write(folder / "ann" / "two.mp4", dark)
    write(folder / "bob" / "blurred.mp4", torch.nn.functional.avg_pool2d(frames(12), 17, 1, 8))
    (folder / "bob" / "broken.mp4").write_bytes(b"nothing of the kind")
    write(folder / "bob" / "dark.mp4", torch.full((15, 3, 64, 64), -1.0))
    return folder


def prepared(folder, clips, settings, tools):
    preparation = Preparation(folder, find_sources(clips), settings, tools)
    list(preparation.run())
    preparation.pack()
    return preparation


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory, clips, settings, fitter):
    from portraittalk_core.preparation.clip import Tools

    tools = Tools(KnownFinder(), lambda picture, mesh: torch.eye(512)[0], fitter)
    return prepared(tmp_path_factory.mktemp("shards") / "new", clips, settings, tools)


def test_what_is_kept_and_what_is_left_out_for_which_reason(whole):
    found = {
        record["label"]: ([s["frames"] for s in record["samples"]], [d["reason"] for d in record["dropped"]])
        for record in whole.records()
    }
    assert found == {
        "ann/one": ([12, 13], []),  # 25 frames, at most 20 a sample
        "ann/two": ([11], ["too short", "no face"]),
        "bob/blurred": ([], ["blurred"]),
        "bob/broken": ([], ["cannot be read"]),
        "bob/dark": ([], ["no face"]),
    }
    blurred = whole.records()[2]["dropped"][0]
    assert 0 < blurred["value"] < blurred["limit"] == 15 and (blurred["start_s"], blurred["end_s"]) == (0, 0.48)
    assert whole.strip("bob/blurred", "blurred").is_file()


def test_a_sample_holds_what_it_should(whole, fitter):
    samples = list(read_samples(whole.folder))
    assert [sample.facts["clip"] for sample in samples] == ["ann/one", "ann/one", "ann/two"]
    first = samples[0]
    points, motion = torch.from_numpy(first.array("points")), torch.from_numpy(first.array("motion"))
    assert points.shape == (12, 478, 2) and motion.shape == (12, 58) and first.array("faces").shape == (5, 512)
    with torch.no_grad():
        coefficients, pose = fitter(points)
    assert torch.allclose(motion, torch.cat([clamp_coefficients(coefficients), pose], 1), atol=1e-5)
    assert len(first.frames) == 12 and decoded(first.frames[0]).shape == (128, 128, 3)
    sound = wave_samples(first.files["wav"])
    assert len(sound) == 12 * 640 and 0.05 < float(sound.abs().max()) < 0.2
    assert "wav" not in samples[2].files
    facts = first.facts
    assert facts["person"] == "ann" and facts["split"] == "train" and facts["embedded"] == [1, 3, 6, 8, 10]
    assert facts["measures"]["likeness"] == 1 and first.caption == facts["caption"]
    # the points lie where the face is: the pupils are darker than what is around them
    picture = decoded(first.frames[0]).mean(-1)
    for iris in (468, 473):
        x, y = ((points[0, iris] + 1) * 64).round().int().tolist()
        assert picture[y, x] < np.median(picture[y - 8 : y + 8, x - 8 : x + 8])


def test_the_second_part_goes_on_where_the_first_ends(whole):
    one, two = list(read_samples(whole.folder))[:2]
    assert two.facts["start_s"] == 12 / 25
    joined = torch.cat([wave_samples(sample.files["wav"]) for sample in (one, two)])
    assert float((joined[12 * 640] - joined[12 * 640 - 1]).abs()) < 0.03


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(tmp_path, clips, settings, tools, whole, monkeypatch):
    add, added = Records.add, []

    def dies(self, source, made):
        if len(added) == 2:
            (self.folder / ".half.json.1234.part").write_text("half")
            raise KeyboardInterrupt
        added.append(source.label)
        add(self, source, made)

    monkeypatch.setattr(Records, "add", dies)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, clips, settings, tools)
    monkeypatch.setattr(Records, "add", add)
    going_on = Preparation(tmp_path, find_sources(clips), settings, tools)
    assert [source.label for source in going_on.pending] == ["bob/blurred", "bob/broken", "bob/dark"]
    assert len(list(going_on.run())) == 3
    going_on.pack()
    reference = {name: value for name, value in contents(whole.folder).items() if not name.startswith("samples/")}
    reference.pop("report.html", None)
    assert contents(tmp_path) == reference


@pytest.mark.slow
def test_a_run_that_is_stopped_while_it_packs_goes_on_to_the_same_bytes(tmp_path, clips, settings, tools, monkeypatch):
    names = ("stopped", "not_stopped")
    for name in names:
        list(Preparation(tmp_path / name, find_sources(clips), settings, tools).run())
    stopped = Preparation(tmp_path / "stopped", find_sources(clips), settings, tools)
    write_index, told = Preparation._write_index, []

    def dies(self):
        told.append(1)
        if len(told) == 2:
            raise KeyboardInterrupt
        write_index(self)

    monkeypatch.setattr(Preparation, "_write_index", dies)
    with pytest.raises(KeyboardInterrupt):
        stopped.pack(shard_bytes=1)  # a shard a clip
    monkeypatch.setattr(Preparation, "_write_index", write_index)
    for name in names:
        again = Preparation(tmp_path / name, find_sources(clips), settings, tools)
        assert len(again.pack(shard_bytes=1)) == 2
    assert contents(tmp_path / "stopped") == contents(tmp_path / "not_stopped")


def test_new_clips_go_into_new_shards(tmp_path, clips, settings, tools):
    sources = find_sources(clips)
    first = Preparation(tmp_path, sources[:1], settings, tools)
    list(first.run())
    (before,) = first.pack()
    second = Preparation(tmp_path, sources, settings, tools)
    list(second.run())
    shards = second.pack()
    assert shards[0] == before and [len(shard["samples"]) for shard in shards] == [2, 1]


def test_other_settings_and_changed_clips_need_another_folder(tmp_path, settings, tools):
    clip = write(tmp_path / "clips" / "one.mp4", frames(12))
    folder = tmp_path / "shards"
    prepared(folder, tmp_path / "clips", settings, tools)
    for other, words in (
        (dataclasses.replace(settings, size=64), "made with size 128, but 64"),
        (dataclasses.replace(settings, limits=Limits(silent=True)), "made with least_s 0.4, but 1.0"),
    ):
        with pytest.raises(BadInput, match=words):
            Preparation(folder, find_sources(tmp_path / "clips"), other, tools)
    index = json.loads((folder / INDEX).read_text())
    del index["settings"]["separate_voice"], index["settings"]["limits"]["rival"]  # written before there were these
    (folder / INDEX).write_text(json.dumps(index))
    assert not Preparation(folder, find_sources(tmp_path / "clips"), settings, tools).pending
    with pytest.raises(BadInput, match="made with separate_voice False, but True"):
        Preparation(folder, find_sources(tmp_path / "clips"), dataclasses.replace(settings, separate_voice=True), tools)
    write(clip, frames(14))
    with pytest.raises(BadInput, match="one in a shard, but the clip has changed"):
        Preparation(folder, find_sources(tmp_path / "clips"), settings, tools)


def test_two_people_in_one_stretch_are_left_out(clips, settings, fitter, tools):
    shown = iter([torch.eye(512)[0], torch.eye(512)[1]] * 10)
    strangers = dataclasses.replace(tools, embed=lambda picture, mesh: next(shown))
    limits = dataclasses.replace(settings.limits, likeness=0.8)
    prepare = ClipPreparer(dataclasses.replace(settings, embeddings=4, limits=limits), strangers)
    record = prepare(find_sources(clips)[0], "train").record
    assert [d["reason"] for d in record["dropped"]] == ["not one person"] * 2 and record["samples"] == []


def test_hdtf_is_split_as_musetalk_splits_it(tmp_path, settings, tools):
    for name in ("RD_Radio7_000", "RD_Radio7_001", "RD_Radio10_000"):
        write(tmp_path / "HDTF" / f"{name}.mp4", frames(12))
    preparation = Preparation(tmp_path / "shards", find_sources(tmp_path / "HDTF", "hdtf"), settings, tools)
    list(preparation.run())
    shards = {shard["file"]: [entry["clip"] for entry in shard["samples"]] for shard in preparation.pack()}
    assert shards == {"train-000000.tar": ["RD_Radio10_000"], "test-000000.tar": ["RD_Radio7_000"]}
    aside = preparation.records()[2]
    assert aside["split"] == "aside" and aside["dropped"][0]["reason"] == "a person of the test clips"
    (held,) = read_samples(tmp_path / "shards", "test")
    assert held.facts["split"] == "test" and held.facts["dataset"] == "hdtf"


class Losing:
    """An engine whose workers die at the clip of one name."""

    def run(self, jobs, build):
        worker = pickle.loads(pickle.dumps(build))  # what travels to another machine
        worker._tools = self.tools
        work = worker()
        for job in pickle.loads(pickle.dumps(jobs)):
            yield job, Lost("its worker died") if job[0].label == "ann/one" else work(job)


def test_a_clip_that_a_cluster_loses_is_tried_again(tmp_path, clips, settings, tools):
    engine = Losing()
    engine.tools = tools
    preparation = Preparation(tmp_path, find_sources(clips), settings, tools)
    preparation._tools = None  # they stay here; a worker opens its own
    records = list(preparation.run(engine))
    assert [d["reason"] for d in records[0]["dropped"]] == ["lost"] and len(records) == 5
    again = Preparation(tmp_path, find_sources(clips), settings, tools)
    assert [source.label for source in again.pending] == ["ann/one"]


def test_a_caption_command_that_fails_stops_the_run(tmp_path, clips, settings, tools):
    failing = dataclasses.replace(settings, caption="false {picture}")
    with pytest.raises(BadInput, match="`--caption` must answer"):
        list(Preparation(tmp_path, find_sources(clips), failing, tools).run())


def test_the_report_says_hours_people_reasons_and_plays_samples(whole):
    page = write_report(whole).read_text()
    assert "1.4 s of 3.3 s in 3 samples of 1 people, from 2 of 5 clips" in page
    assert "<td>embeddings</td><td class='text'>tiny face pack</td>" in page and "<td>--embeddings</td>" in page
    for words in ("blurred", "no face", "cannot be read", "too short", "data:image/jpeg;base64,", "limit 15"):
        assert words in page
    played = sorted((whole.folder / "samples").glob("*.mp4"))
    assert len(played) == 3 and all(f"samples/{path.name}" in page for path in played)
    assert read_index(whole.folder)["tools"]["sync"] == "ADFD (no SyncNet was named)"


def test_voices_are_taken_out_of_music_where_that_is_asked_for_and_can_be(monkeypatch, settings, tools):
    apart = dataclasses.replace(tools, separate=lambda sound: sound)
    assert opening.described(settings, apart)["music"].startswith("taken out")
    known = ((object(), "not taken out: --separate-voice does it"), (None, "audio-separator is not installed"))
    for here, words in known:
        monkeypatch.setattr(opening, "find_spec", lambda name, here=here: here)
        assert opening.described(settings, tools)["music"].endswith(words)
    asked = dataclasses.replace(settings, separate_voice=True)
    heard = []
    monkeypatch.setattr(opening, "check_separator", lambda: None)
    monkeypatch.setattr(opening, "separate_voice", lambda sound: heard.append(sound) or sound)
    assert opening.open_tools(asked).separate is opening.separate_voice and len(heard) == 1  # tried before any clip
    monkeypatch.undo()
    monkeypatch.setattr(voice_separation, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install 'audio-separator"):
        opening.open_tools(asked)


@pytest.mark.parametrize(
    "values, words",
    [
        ({"size": 100}, "--size` must be a multiple of 8"),
        ({"validation": 1.0}, "--validation"),
        ({"quality": 0}, "1...100"),
    ],
)
def test_settings_out_of_range(values, words):
    with pytest.raises(BadInput, match=words):
        Settings(**values)


def test_records_are_json_and_readable(whole):
    for path in (whole.folder / "clips").glob("*.json"):
        assert json.loads(path.read_text())["label"]
