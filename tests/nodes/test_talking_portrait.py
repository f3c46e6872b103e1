"""Talking Portrait becomes the nodes of the full graph; notes and wording, which need no host either."""

import asyncio
import json
import logging
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from portraittalk_core.media.video import probe
from portraittalk_core.motion.motion_file import read_motion

SCHEMAS = json.loads(Path(__file__).with_name("schemas.json").read_text())


@pytest.fixture(scope="module")
def node(pack):
    return pack("nodes.talking_portrait").TalkingPortrait


def become(node, **given):
    made = node.execute(["2", 0], ["3", 0], "a smiling person", **given)
    return made.args, made.expand


def kinds(graph):
    return {each["class_type"]: each["inputs"] for each in graph.values()}


def test_the_graph_is_whole(node):
    (video, images), graph = become(node, seed=7, lip=0.5, frame="crop")
    gathered = graph[video[0]]
    assert (gathered["class_type"], video[1], images) == ("PortraitTalk_GatherVideos", 0, [video[0], 1])
    ends = [graph[gathered["inputs"][name][0]]["class_type"] for name in ("video", "images")]
    assert ends == ["CreateVideo", "PortraitTalk_PasteBack"]
    for each in graph.values():
        sources = [value for value in each["inputs"].values() if isinstance(value, list)]
        assert all(source[0] in graph or source in (["2", 0], ["3", 0]) for source in sources)
    found = kinds(graph)
    assert found["PortraitTalk_LoadIdentity"]["image"] == ["2", 0]
    assert found["PortraitTalk_EncodeAudio"]["audio"] == ["3", 0]
    assert found["PortraitTalk_SpeechToMotion"]["seed"] == found["PortraitTalk_AnimateNetSampler"]["seed"] == 7
    assert found["PortraitTalk_SpeechToMotion"]["lip"] == 0.5 and found["PortraitTalk_PasteBack"]["frame"] == "crop"


def test_no_node_is_given_what_it_does_not_have_and_the_sampler_has_all(node):
    for kind, inputs in kinds(become(node)[1]).items():
        known = [each["id"] for each in SCHEMAS[kind]["inputs"]] if kind in SCHEMAS else [*inputs]
        assert set(inputs) <= set(known), kind
    given = kinds(become(node)[1])["PortraitTalk_AnimateNetSampler"]
    # Nodes inside an expansion get no defaults for what `execute` takes as keywords.
    assert {"seed", "steps", "cfg", "sampler_name", "scheduler", "denoise"} <= set(given)


def test_each_model_has_its_own_sampling_and_networks(node):
    tiny, portrait, magic = (kinds(become(node, model=n)[1]) for n in ("tiny", "sd15-portraittalk", "sd15-magictalk"))
    steps = [each["PortraitTalk_AnimateNetSampler"]["steps"] for each in (tiny, portrait, magic)]
    assert steps == [2, 30, 25]
    has = ["PortraitTalk_ReferenceNetApply" in each for each in (tiny, portrait, magic)]
    assert has == [True, False, True]


def test_a_folder_says_itself_what_it_is(pack, node, tmp_path):
    (tmp_path / "stack.toml").write_text('stack = "sd15-magictalk"')
    assert pack("nodes.expanding").model_config(str(tmp_path)).name == "sd15-magictalk"


def test_notes_name_unknown_words_and_late_edits(pack):
    notes = pack("nodes.notes")
    words = SimpleNamespace(unknown_words=lambda prompts: [("smlng", "smiling"), ("xyz", None)])
    clip = SimpleNamespace(tokenizer=SimpleNamespace(clip_l=words))
    late, unknown, faded = notes.on_prompts(clip, ["smlng xyz"], [(1.0, "a"), (2.0, "b"), (1.9, "c")], 2.0)
    assert late.startswith("The edit at 2 s begins after the video has ended, at 2.00 s: b")
    assert unknown == 'This model does not know "smlng" (did you mean "smiling"?), "xyz" and ignores it.'
    assert faded.startswith("The edit at 1.9 s has no time to fade in")
    assert notes.on_prompts(SimpleNamespace(tokenizer=None), ["anything"], [], 2.0) == []
    assert notes.shown([]) is None and notes.shown(["a"]) == {"portraittalk_notes": ["a"]}


def test_what_the_core_warns_of_is_a_note_of_the_node_that_runs(pack):
    notes, core = pack("nodes.notes"), pack("portraittalk_core.compositing.scene")._log
    with notes.gathered() as said:
        core.warning("The photograph shows %s.", "a hat")
        core.warning("The photograph shows a hat.")
        core.info("nothing of note")
        logging.getLogger("somebody.else").warning("no business of ours")
        other = threading.Thread(target=core.warning, args=("another node's",))
        other.start()
        other.join()
    core.warning("afterwards")
    assert notes.shown(["a"], said) == {"portraittalk_notes": ["a", "The photograph shows a hat."]}


@pytest.mark.parametrize(
    "core, here",
    [
        (
            "Run `portraittalk models download a b`.",
            'Press "Public files" on a Load PortraitTalk that is set to this model: it shows licences and sizes first.',
        ),
        ("`portraittalk models list` names them.", "`python -m portraittalk_core models list` (in the folder"),
        ("Run: pip install moderngl.", "Run `python -m pip install moderngl` with the Python that runs ComfyUI."),
        (
            "`name` must be tiny or a folder of weights, but x is no folder. Try tiny.",
            "but x is not there. Choose tiny.",
        ),
    ],
)
def test_errors_speak_the_words_of_the_place(pack, core, here):
    assert here in pack("nodes.wording").worded(core)


def test_a_node_raises_the_same_error_in_other_words(pack):
    errors, wording = pack("portraittalk_core.errors"), pack("nodes.wording")

    class Node:
        @classmethod
        def execute(cls, number, *, name):
            raise errors.MissingExtra(f"{number} {name}. Run: pip install x.")

    with pytest.raises(errors.MissingExtra, match="1 a. Run `python -m pip install x` with"):
        wording.speaking(Node).execute(1, name="a")


@pytest.mark.slow
def test_example_files_are_put_among_the_inputs_and_never_over_others(pack, tmp_path):
    routes = pack("nodes.routes")
    assert all(source.is_file() for source in routes.EXAMPLES.values()) and routes.BLUEPRINT.is_file()
    (tmp_path / "portraittalk").mkdir()
    (tmp_path / "portraittalk" / "speech.wav").write_text("mine")
    assert routes.provide_examples(tmp_path) == [
        f"portraittalk/{name}" for name in ("astronaut.jpg", "speech.wav", "video/clip.mp4", "motion/nodding.csv")
    ]
    motion = read_motion(tmp_path / "portraittalk" / "motion" / "nodding.csv", 25.0)
    assert motion.frame_count == 100 and motion.pose[:, 0].abs().max() > 0.1 and motion.coefficients.max() > 0.9
    assert probe(tmp_path / "portraittalk" / "video" / "clip.mp4").frames == 50
    assert (tmp_path / "portraittalk" / "speech.wav").read_text() == "mine"
    assert (tmp_path / "portraittalk" / "astronaut.jpg").stat().st_size > 10_000


FAST = {
    # model: steps, guidance, sampler
    "tiny": (1, 1.0, "euler"),
    "sd15-portraittalk": (6, 1.0, "lcm"),
    "sd15-magictalk": (10, 3.5, "dpmpp_2m"),
}


@pytest.mark.parametrize("model", FAST)
def test_fast_takes_other_parts_and_their_own_sampling(node, model):
    found = kinds(become(node, model=model, fast=True)[1])
    sampler = found["PortraitTalk_AnimateNetSampler"]
    assert found["PortraitTalk_Load"]["fast"] is True
    assert (sampler["steps"], sampler["cfg"], sampler["sampler_name"]) == FAST[model]
    assert kinds(become(node, model=model)[1])["PortraitTalk_Load"]["fast"] is False


def test_every_sampler_of_the_core_has_the_hosts_name(pack):
    ours = set(pack("portraittalk_core.diffusion.sampler").SAMPLERS)
    assert set(pack("nodes.expanding").SAMPLERS) == ours - {"tcd"}, "ComfyUI has no sampler of that name"


@pytest.mark.parametrize("name, remedy", [("soxr", "requirements.txt"), ("comfy.somewhere", None)])
def test_a_package_that_was_not_installed_is_named_with_its_remedy(pack, name, remedy):
    errors, wording = pack("portraittalk_core.errors"), pack("nodes.wording")

    class Node:
        @classmethod
        def execute(cls):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    wanted = errors.MissingExtra if remedy else ModuleNotFoundError
    with pytest.raises(wanted, match=remedy or "No module") as caught:
        wording.speaking(Node).execute()
    assert not remedy or sys.executable in str(caught.value)


@pytest.mark.parametrize("name, remedy", [("jaxtyping", "requirements.txt"), ("comfy_api.latest", "Update ComfyUI")])
def test_a_host_that_cannot_load_the_pack_is_told_why(pack, monkeypatch, name, remedy):
    package = sys.modules[pack("nodes.wording").__name__.rpartition(".nodes.")[0]]
    monkeypatch.delitem(sys.modules, f"{package.__name__}.nodes.registry", raising=False)
    absent = ModuleNotFoundError(f"No module named {name!r}", name=name)

    class Absent:
        def find_spec(self, wanted, path=None, target=None):
            if wanted.endswith(".nodes.registry"):
                raise absent

    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
    with pytest.raises(ImportError, match=remedy):
        asyncio.run(package.comfy_entrypoint())
