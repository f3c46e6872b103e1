"""The people benchmark with a model that only pretends: what is made once stays made, what changes is made anew."""

import contextlib
import itertools
import json
from dataclasses import dataclass, field, fields
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from portraittalk_core import presets
from portraittalk_core.errors import BadInput
from portraittalk_core.evaluation.benchmark import material, worker
from portraittalk_core.evaluation.benchmark import run as benchmark
from portraittalk_core.evaluation.benchmark import settings as settings_module
from portraittalk_core.evaluation.benchmark.markdown import START, benchmark_text, verdict, write_between
from portraittalk_core.evaluation.benchmark.material import Material
from portraittalk_core.evaluation.benchmark.people import FPS, Person, Take
from portraittalk_core.evaluation.benchmark.run import Benchmark
from portraittalk_core.evaluation.benchmark.settings import Settings
from portraittalk_core.evaluation.benchmark.variants import (
    FULL,
    VARIANTS,
    driven,
    missing,
    named,
    prepared,
    random_mouth,
)
from portraittalk_core.evaluation.benchmark.worker import late
from portraittalk_core.evaluation.engine import Engine, Lost
from portraittalk_core.evaluation.scoring.summary import Mean
from portraittalk_core.evaluation.scoring.tracks import Sighting
from portraittalk_core.motion.arkit import SPOKEN
from portraittalk_core.nets.adapters import Adapters
from portraittalk_core.people.person import Person as Drawn
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import COEFFICIENTS, FaceMotion, Frames, Sound, SpeechFeatures

from ..motion.faces import faces

FRAMES = 50


class Parts(nn.Module):
    """Stands in for AnimateNet."""

    def __init__(self, trained: bool):
        super().__init__()
        self.temporal, self.audio = nn.Module(), nn.Module()
        self.temporal.proj_out, self.audio.to_v_ip = nn.Linear(2, 2), nn.Linear(2, 2)
        self.occlusion = nn.Module()
        self.occlusion.shares = nn.Conv2d(2, 3, 3, padding=1)
        if not trained:
            nn.init.zeros_(self.audio.to_v_ip.weight)
            nn.init.zeros_(self.audio.to_v_ip.bias)


@dataclass(frozen=True)
class Pretender(TinyStack):
    """Hears nothing and opens the mouth half-way."""

    def listen(self, speech, fps=25.0):
        count = speech.frame_count(fps)
        return SpeechFeatures(torch.zeros(count, 4), torch.zeros(count), fps)

    def move(self, features, *, dials=None, seed=0, expression=None):
        count = len(features.hidden)
        return FaceMotion(torch.full((count, 52), 0.5), torch.zeros(count, 6), features.fps)


CALLS: list = []
"""What models were asked for."""


def generate(self, images, speech, prompt, **given):
    """Move a bright square up and down instead of a face."""
    CALLS.append((prompt, given))
    for number in range(speech.frame_count(FPS)):
        picture = torch.full((1, 3, 96, 96), -0.5)
        picture[..., 40 + number % 9 : 60, 40:60] = 1
        yield Frames(picture, FPS)


@dataclass
class Anyone:
    """Finds the landmarks of a real track in every picture, whatever it shows."""

    track: torch.Tensor
    name: str = "anyone"
    hint: str = ""
    embedding: torch.Tensor = field(default_factory=lambda: torch.ones(4) / 2)

    @contextlib.contextmanager
    def video(self, fps):
        rows = zip(self.track, itertools.cycle(faces().landmarks))
        yield lambda pixels: [Sighting(*((0.25 * points.float() + 0.5) * 96 for points in next(rows)), self.embedding)]


def make_material(self):
    """Pretend to speak and render, without espeak-ng."""
    self.folder.mkdir(parents=True, exist_ok=True)
    noise = torch.randn(int(FRAMES / FPS * 16_000), generator=torch.Generator().manual_seed(self.case.seed))
    sound = Sound(0.1 * noise[None] * (torch.arange(len(noise)) % 4000 > 1500), 16_000)
    material.write_wave(self.sound, sound)
    material.write_frames(self.truth, torch.zeros(FRAMES, 3, 96, 96), sound)
    self.said.touch()


@pytest.fixture
def settings(tmp_path, monkeypatch, talk):
    CALLS.clear()
    monkeypatch.setattr(PortraitTalk, "generate", generate)
    monkeypatch.setattr(Material, "make", make_material)
    monkeypatch.setattr(worker, "draw_person", lambda number: Person(number, Drawn(seed=number)))
    monkeypatch.setattr(Person, "portrait", property(lambda self: torch.zeros(3, 96, 96)))
    said = Take(Sound(torch.zeros(1, 32_000), 16_000), torch.zeros(FRAMES, 52), torch.zeros(FRAMES, 3), "nobody")
    monkeypatch.setattr(Material, "take", lambda self: said)
    for module in (benchmark, worker):
        monkeypatch.setattr(module, "open_finder", lambda faces: Anyone(talk.landmarks))
    monkeypatch.setattr(settings_module, "fingerprint", lambda model: model)
    return Settings(tmp_path / "out", model="one", people=2, sentences=1, longest_s=2.0, suite="quick", edits=False)


def load(name, device, trained=True):
    nets = Adapters(identity_net=nn.Module(), animate_net=Parts(trained), reference_net=nn.Module())
    parts = {field.name: None for field in fields(TinyStack)} | {"config": presets.tiny(), "adapters": nets}
    return PortraitTalk(Pretender(**parts), host=None)


def run(settings, load=load, **changed):
    made = Benchmark(Settings(**{**vars(settings), **changed}), load, Engine())
    labels = [job.label for job in made.run()]
    return made, labels


@pytest.mark.slow
def test_what_is_made_is_never_made_again(settings):
    made, labels = run(settings)
    assert labels == ["p000_s0 material", "p001_s0 material", "p000_s0 full", "p001_s0 full"]
    page = made.finish()
    stored = json.loads((settings.folder / "results.json").read_text())
    assert page.is_file() and [r["file"] for r in stored["videos"]] == ["p000_s0", "p001_s0"]
    record = stored["videos"][0]
    assert record["seconds_per_second"] > 0 and record["peak_mib"] > 10 and record["psnr"] > 0
    assert record["face_likeness"] == 1 and record["adfd_with_truth"] == 1 and record["frames"] == FRAMES
    assert stored["protocol"]["variant"].startswith("full model")
    assert (stored["set"]["e_fid"]["clips"], stored["set"]["e_fid"]["rows"]) == (2, 2 * FRAMES)
    again, labels = run(settings)
    assert labels == [] and len(again) == 0 and len(CALLS) == 2


@pytest.mark.slow
def test_other_weights_are_made_anew_and_more_people_added(settings):
    run(settings)
    assert run(settings, people=3)[1] == ["p002_s0 material", "p002_s0 full"]
    made, labels = run(settings, model="two")
    assert labels == ["p000_s0 full", "p001_s0 full"] and len(CALLS) == 5
    assert "model two" in made.reports["full"].protocol["made by"]


@pytest.mark.slow
def test_a_stopped_run_loses_no_finished_clip(settings, monkeypatch):
    def stopping(self, images, speech, prompt, **options):
        for number, frames in enumerate(generate(self, images, speech, prompt, **options)):
            if len(CALLS) == 2 and number == 30:
                raise KeyboardInterrupt
            yield frames

    monkeypatch.setattr(PortraitTalk, "generate", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(settings)
    assert len(json.loads((settings.folder / "results.json").read_text())["videos"]) == 1
    assert sorted(p.name for p in (settings.folder / "videos/full").iterdir()) == ["p000_s0.json", "p000_s0.mp4"]
    monkeypatch.setattr(PortraitTalk, "generate", generate)
    assert run(settings)[1] == ["p001_s0 full"]


def test_every_network_of_a_model_counts_towards_its_name(tmp_path):
    (tmp_path / "faces").mkdir()
    named = set()
    for file in ("denoiser.safetensors", "faces/det.onnx", "faces/recogniser.onnx"):
        for content in (b"first", b"second"):
            (tmp_path / file).write_bytes(content)
            named.add(settings_module.fingerprint.__wrapped__(str(tmp_path)))
    assert len(named) == 6


@pytest.mark.slow
def test_all_variants(settings):
    made, labels = run(settings, variants=("all",), people=1)
    assert labels[:2] == ["p000_s0 probe", "p000_s0 material"] and labels[-1] == "p000_s0 shifted-audio"
    assert not made.skipped and len(made.reports) == len(VARIANTS) == len(labels) - 2
    made.finish()
    asked = [given for _, given in CALLS]
    assert len(asked) == len(VARIANTS) - 3  # neither still, nor shifted, nor truth needs the model
    for scale, count in (("audio_scale", 2), ("identity_scale", 1), ("reference_scale", 1)):
        assert [getattr(given["options"], scale) for given in asked].count(0) == count
        assert [getattr(given["options"], scale) for given in asked].count(None) == len(asked) - count
    at_rest = [given for given in asked if given["motion"] and not given["motion"].coefficients.any()]
    assert sorted(given["options"].audio_scale == 0 for given in at_rest) == [
        False,
        True,
    ]  # one hears
    assert sum(given["motion"] is None for given in asked) == 1
    assert (settings.folder / "variants/still/report.html").is_file()
    assert "Compared with" in (settings.folder / "variants/still/report.html").read_text()
    truth = made.reports["truth"].records[0]
    assert truth["psnr"] == 100 and "seconds_per_second" not in truth
    assert (
        made.reports["shifted-audio"].records[0]["signature"]["clip"]
        == made.reports["full"].records[0]["signature"]["clip"]
    )


@pytest.mark.slow
def test_a_branch_that_was_never_trained_is_said_to_be_missing(settings):
    made, labels = run(settings, lambda n, d: load(n, d, trained=False), variants=("no-audio", "still"), people=1)
    assert "p000_s0 no-audio" not in labels and "no trained audio branch" in made.skipped["no-audio"]
    made.finish()
    assert not (settings.folder / "variants/no-audio").exists()
    records = {key: report.records for key, report in made.reports.items()}
    text = benchmark_text(records, named(("no-audio", "still")), made.reports["full"].protocol, (), made.skipped, 1)
    assert "**no audio branch** was not made: the weights have no trained audio branch" in text
    assert "| still image |" in text and "too few clips" in text and "E-FID" not in text
    sets = {"full": {"e_fid": {"value": 0.25, "low": 0.125, "high": 0.5, "clips": 7}}, "still": {}}
    text = benchmark_text(records, named(("still",)), made.reports["full"].protocol, (), {}, 1, sets)
    assert "| E-FID, of the whole set ↓ | 0.2500 [0.1250, 0.5000] | 7 |" in text
    assert "| E-FID ↓ |\n" in text and "| 0.2500 [0.1250, 0.5000] |\n" in text


@pytest.mark.slow
def test_what_a_cluster_loses_is_kept_for_the_next_run(settings):
    class Losing(Engine):
        def run(self, jobs, build):
            for job, result in super().run(jobs, build):
                yield job, (Lost("its worker died.") if job.label == "p001_s0 full" else result)

    made = Benchmark(settings, load, Losing())
    assert len(list(made.run())) == 4 and made.lost == ["p001_s0 full: its worker died."]
    assert [clip.label for clip in made.reports["full"].pending] == ["p001_s0"]


def test_variants_of_fewer_people(settings):
    made = Benchmark(Settings(**{**vars(settings), "variants": ("still",), "variant_people": 1}), load)
    assert [len(made.reports[key].pending) for key in ("full", "still")] == [2, 1]
    with pytest.raises(BadInput, match="`--variant-people` must be 1 to 2"):
        Settings(**{**vars(settings), "variant_people": 3})


def test_networks_are_taken_away_from_a_copy():
    model = load("one", "cpu")
    net = model.stack.adapters.animate_net
    before = {name: value.clone() for name, value in net.named_parameters()}
    bare = prepared(model, named(("no-temporal",))[1])
    assert missing(bare, named(("no-temporal",))[1]) and not missing(model, named(("no-temporal",))[1])
    assert bare.stack.adapters.animate_net.audio is net.audio
    assert bare.stack.adapters.identity_net is model.stack.adapters.identity_net
    assert all(torch.equal(before[name], value) for name, value in net.named_parameters())
    opaque = prepared(model, named(("no-occlusion",))[1]).stack.adapters.animate_net.occlusion
    with torch.no_grad():
        own = opaque.shares(torch.randn(1, 2, 4, 4)).softmax(1)
    assert own[:, 0].eq(1).all() and opaque is not net.occlusion
    assert all(torch.equal(before[name], value) for name, value in net.named_parameters())
    lone = prepared(model, named(("own-noise",))[1]).stack
    assert (lone.config.sampling.shared_noise, lone.config.sampling.flicker) == (0, 0)
    assert lone.adapters is model.stack.adapters and model.stack.config.sampling.shared_noise > 0
    assert prepared(model, named(("no-reference",))[1]) is model
    assert prepared(model, named(("no-identity",))[1]) is model


def test_a_model_of_public_files_is_refused():
    model = PortraitTalk(SimpleNamespace(config=presets.sd15()), host=None)
    with pytest.raises(BadInput, match="needs a model of the tiny kind"):
        prepared(model, FULL)


def test_the_mouth_alone_is_heard():
    true = FaceMotion(torch.rand(20, 52), torch.rand(20, 6), FPS)
    heard = FaceMotion(torch.rand(21, 52), torch.rand(21, 6), FPS)
    mouth = torch.tensor([name in SPOKEN for name in COEFFICIENTS])
    found = driven(true, heard)
    assert torch.equal(found.coefficients[:, mouth], heard.coefficients[:, mouth]) and len(found.pose) == 21
    assert torch.equal(found.coefficients[:20, ~mouth], true.coefficients[:, ~mouth])
    assert torch.equal(found.pose[20], true.pose[19])
    closed = driven(true, heard, torch.zeros(21, 52)).coefficients
    assert not closed[:, mouth].any() and torch.equal(closed[:20, ~mouth], true.coefficients[:, ~mouth])


def test_a_random_mouth_moves_by_its_seed():
    one, same, other = random_mouth(100, 3), random_mouth(100, 3), random_mouth(100, 4)
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == (100, 52) and one.min() >= 0 and one.max() <= 1
    assert one[:, COEFFICIENTS.index("jawOpen")].std() > 0.1


def test_a_late_sound_is_as_long_and_silent_before():
    moved = late(Sound(torch.ones(1, 16_000), 16_000), 0.32).samples[0]
    assert len(moved) == 16_000 and not moved[:5120].any() and bool((moved[5120:] == 1).all())


@pytest.mark.parametrize("low, high, said", [(-0.2, -0.1, "loses"), (-0.2, 0.1, "**does not lose** in ADFD")])
def test_verdicts(low, high, said):
    still = named(("still",))[1]
    assert verdict(still, {"adfd": Mean((low + high) / 2, low, high, 9)}) == said
    assert verdict(still, {"adfd": Mean(-0.1, None, None, 1)}) == "too few clips"
    assert verdict(named(("own-head",))[1], {}) == ""


def test_the_page_keeps_what_stands_around_the_markers(tmp_path):
    page = tmp_path / "page.md"
    write_between(page, "one")
    page.write_text(page.read_text().replace("# The", "# Mine: the") + "after\n")
    write_between(page, "two")
    text = page.read_text()
    assert text.startswith("# Mine: the") and text.endswith("after\n") and text.count(START) == 1
    assert "two" in text and "one" not in text.replace("one of", "")


@pytest.mark.parametrize(
    "given, text",
    [
        ({"people": 0}, "`--people` must be"),
        ({"longest_s": 0.5}, "`--seconds` must be"),
        ({"variants": ("x",)}, "knows"),
    ],
)
def test_wrong_settings(tmp_path, given, text):
    with pytest.raises(BadInput, match=text):
        Settings(tmp_path, **given)
