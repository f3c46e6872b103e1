"""The arithmetic of the benchmark of rendered people: what it asks, how it judges, what it writes."""

import os
import subprocess
import sys

import pytest
import torch

from benchmarks.parts import people
from benchmarks.parts.program import ROOT
from benchmarks.parts.rendered import page, scores
from benchmarks.parts.rendered.clips import QUANTITIES, column
from benchmarks.parts.rendered.figures import BOUNDS, figures, met
from benchmarks.parts.rendered.material import POSES, clip_motion, posed
from benchmarks.parts.rendered.session import complete
from benchmarks.parts.rendered.variants import VARIANTS, SmoothWarp
from benchmarks.parts.rendered.wanted import KINDS, edits_of
from benchmarks.rendered_people import parse
from portraittalk_core.checkpoints.native import model_files
from portraittalk_core.nets.dense_motion import identity_grid
from portraittalk_core.topology import IBUG
from portraittalk_core.types import COEFFICIENTS


def test_correlation_is_pearsons():
    a = torch.tensor([0.0, 1.0, 2.0, 4.0])
    r = scores.correlation
    assert r(a, 3 * a + 2) == pytest.approx(1)
    assert r(a, -a) == pytest.approx(-1)
    assert r(a, torch.ones(4)) == 0
    b = torch.tensor([1.0, 0.0, 3.0, 3.0])
    assert r(a, b) == pytest.approx(float(torch.corrcoef(torch.stack([a, b]))[0, 1]), abs=1e-6)


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_best_lag_says_by_how_much_the_mouth_is_late(late):
    true = torch.randn(60, generator=torch.Generator().manual_seed(1))
    assert scores.best_lag(true.roll(late), true) == late


def test_top1_counts_only_the_right_person():
    gallery = torch.eye(4)
    assert scores.top1(5 * gallery, [0, 1, 2, 3], gallery) == 1
    assert scores.top1(gallery[[1, 0, 2, 3]], [0, 1, 2, 3], gallery) == 0.5
    assert scores.top1(gallery[[2, 2, 0]], [2, 2, 2], gallery) == pytest.approx(2 / 3)


def test_sharpness_falls_when_a_picture_is_blurred():
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(frames, 3, 1, 1)
    assert scores.sharpness(soft) < 0.5 * scores.sharpness(frames)


def _pictures():
    before = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.8
    after = before.clone()
    after[0, 10:30, 10:30] += 1.0
    return before, after


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_an_edit_is_scored_by_how_far_it_went_towards_the_truth(share):
    before, after = _pictures()
    found = scores.edit_scores(torch.lerp(before, after, share), before, after)
    assert found["moved"] == pytest.approx(share, abs=0.02) and found["error"] == pytest.approx(1 - share, abs=0.02)
    assert found["rest"] < 0.2 and found["colour before"] > 30
    assert (found["colour"] < 1) == (share == 1)


def test_what_an_edit_spoils_elsewhere_counts_as_rest():
    before, after = _pictures()
    spoiled = after.clone()
    spoiled[:, 45:] += 0.2
    found = scores.edit_scores(spoiled, before, after)
    assert found["moved"] == pytest.approx(1) and found["error"] == pytest.approx(0)
    assert 5 < found["rest"] < 0.2 * 127.5
    assert scores.edit_scores(before, before, before) is None


def test_a_picture_is_named_by_the_nearest_rendering():
    before, after = _pictures()
    shown = {"none": before, "round": after, "square": before.flip(2)}
    assert scores.named(torch.lerp(before, after, 0.6), shown) == "round"
    assert scores.named(torch.lerp(before, after, 0.4), shown) == "none"
    assert scores.named(after, {"none": before, "same": before}) == "none"


def test_a_picture_is_named_by_what_changes_and_not_by_its_exposure():
    before = torch.zeros(3, 256, 256)
    after = before + 0.06
    after[:, 100:140, 60:200] = 0.4
    made = torch.where(after > 0.2, 0.35, before)
    assert scores.named(made, {"none": before, "round": after}) == "round"


def test_edits_ask_for_what_is_not_there_and_can_be_seen(drawing):
    seen = set()
    for number in range(12):
        person = people.draw_person(number, people.FIRST_SEED)
        found = edits_of(person)
        assert found == edits_of(person)
        for edit in found:
            assert edit.own == person.tags[edit.tag] and edit.own not in edit.meant and edit.word in edit.meant
            assert not set(edit.others) & {edit.own, *edit.meant} and edit.prompt
            assert edit.kind not in ("beard", "shaven") or person.tags["sex"] == "male"
        seen |= {edit.kind for edit in found}
    assert seen == set(KINDS)


def test_a_subject_is_reproducible_and_moves(drawing):
    draw = people.draw_subject
    one, again, other = draw(3, 24), draw(3, 24), draw(4, 24)
    assert torch.equal(one.blendshapes, again.blendshapes) and torch.equal(one.reference, again.reference)
    assert not torch.equal(one.blendshapes[0], other.blendshapes[0]) and one.stranger.hair != one.person.drawn.hair
    motion = clip_motion(one)
    assert motion.frame_count == 25 and not motion.coefficients[0].any() and not motion.pose[0, :5].any()
    for name in QUANTITIES:
        assert column(motion, name)[1:].std() > 0.02, name
    assert one.enrolment.shape == one.reference.shape == (3, 256, 256)


def test_poses_keep_an_expression_that_a_prompt_adds():
    smile = torch.zeros(1, 52)
    smile[0, COEFFICIENTS.index("mouthSmileLeft")] = 0.5
    plain, smiling = posed(), posed(smile)
    assert plain.frame_count == len(POSES) and not plain.coefficients[0].any()
    added = (smiling.coefficients - plain.coefficients)[:, COEFFICIENTS.index("mouthSmileLeft")]
    assert added.tolist() == pytest.approx([0.5, 0.5])


def test_exact_points_are_those_of_pictures(drawing):
    """Far away the points lie as in a rendered picture, up to place, size and perspective."""
    subject = people.draw_subject(1, 12)
    pixels, exact = subject.clip
    assert pixels.shape == (12, 3, 256, 256) and exact.shape == (12, 478, 2)
    far = people.far_points(subject.person.drawn, subject.blendshapes, subject.rotation)
    near = exact[:, list(IBUG)].double()
    for track in (far, near):
        track -= track.mean((0, 1))
        track /= track.std()
    assert (far - near).abs().mean() < 0.08


def test_without_dense_motion_the_portrait_follows_the_points():
    reference = torch.rand(1, 478, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    motion = SmoothWarp(None).motion(torch.zeros(1, 3, 8, 8), reference, reference + torch.tensor([0.1, 0.0]))
    apart = motion.flow - identity_grid(motion.flow)
    assert apart[:, 0].mean() == pytest.approx(-0.1, abs=0.005) and apart[:, 1].abs().max() < 0.01
    assert motion.shares.sum((2, 3)).argmax() == 1 and motion.shares[:, [0, 2]].abs().max() == 0


def test_variants_have_names_of_their_own():
    assert len({v.key for v in VARIANTS}) == len({v.title for v in VARIANTS}) == len(VARIANTS)
    assert VARIANTS[0].key == "full" and all(v.how for v in VARIANTS)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("jaw r", 0.95, True), ("jaw r", float("nan"), False), ("drift: sharpness, %", -6, False), ("nothing", 1.0, None)],
)
def test_bounds(name, value, said):
    assert met(name, value) is said


def _measured(psnr):
    errors = {name: {s: psnr for s in page._SCORES} for name in ("still", "warp", "dense", "decoded", "ours")}
    row = {"errors": errors, "followed": dict.fromkeys(QUANTITIES, 0.95), "ceiling": dict.fromkeys(QUANTITIES, 0.99)}
    row |= {"followed found": 1.0, "ceiling found": 1.0, "stillness": 0.1, "sharpness": 0.8, "sharpness decoded": 0.3}
    row |= {"vae": {"whole": 31.0, "face": 32.0}, "kept": [[1.0, 0.0]], "true": [[1.0, 0.0]]}
    other = row | {"enrolled": [0.0, 1.0], "portrait": [0.0, 1.0]}
    clips = {"0": row | {"enrolled": [1.0, 0.0], "portrait": [1.0, 0.0]}, "1": other}
    return {"weights": "abc", "clips": clips}


def test_the_pages_keep_what_is_written_by_hand(tmp_path):
    for name, markers in (("tiny.md", page.FIGURES), ("ablation.md", page.ABLATION)):
        (tmp_path / name).write_text(f"# Above\n{markers[0]}\nold\n{markers[1]}\nBelow\n")
    page.write_pages(_measured(25.0), tmp_path)
    text = (tmp_path / "tiny.md").read_text()
    assert text.startswith("# Above\n") and text.endswith("\nBelow\n") and "old" not in text
    assert "| jaw r | >= 0.93 | 0.95 | 0.99 | 2 | met |" in text and "Weights abc; 2 people." in text
    assert "| identity top-1, same prompt | >= 0.97 | 0.5 | 0.5 | 2 | **missed** |" in text
    assert "| **ours** | 25.0, 25.0, 25.0 | 25.000, 25.000, 25.000 |  |" in text
    measured = sum(name in figures(_measured(25.0)) for name in BOUNDS)
    assert text.count("not measured") == len(BOUNDS) - measured
    assert "old" in (tmp_path / "ablation.md").read_text(), "variants were not measured"


def test_two_sets_of_weights_stand_side_by_side():
    text = page.beside({"tiny": _measured(25.0), "mine": _measured(26.0)})
    assert "| ours: psnr face | 2 | 25 | 26 | +1.00 [+1.00, +1.00] |" in text


def test_a_folder_of_weights_need_not_be_complete(tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "denoiser.safetensors").write_bytes(b"new")
    folder = complete(str(own), tmp_path)
    assert complete("tiny", tmp_path) == "tiny" and complete(folder, tmp_path) == folder
    files = model_files(folder)
    assert files["denoiser"].read_bytes() == b"new" and files["vae"].samefile(model_files("tiny")["vae"])


def test_a_quick_run_writes_no_page():
    given = parse(["--quick"])
    assert given.no_page and given.people == 2 and given.parts == ["clips", "edits"] and given.model == "tiny"


def test_peak_memory_is_the_childs_own():
    """A child of a large process must not report its parent's size, as `getrusage` does."""
    ballast = bytearray(400_000_000)
    source = "from portraittalk_core.evaluation.benchmark.memory import process_peak_kib as f; print(f())"
    peak = int(subprocess.check_output([sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": str(ROOT)}))
    assert 0 < peak * 1024 < len(ballast) / 2
