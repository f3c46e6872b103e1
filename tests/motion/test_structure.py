"""Structure maps: geometry, fitting and shaping faces."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from portraittalk_core.checkpoints.native import load_structure, named_tensors, save_modules
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.motion.geometry import (
    CONTOUR_GROUPS,
    contours,
    eye_opening,
    face_warp,
    head_cue,
    mouth_opening,
    placement,
    warp_picture,
)
from portraittalk_core.motion.structure import (
    LOWEST,
    FaceFitter,
    FaceShaper,
    fit_motion,
    from_head,
    structure_maps,
    to_head,
)
from portraittalk_core.training.motion.people import held_out_people, sample_coefficients
from portraittalk_core.training.motion.structure import measure, train_structure
from portraittalk_core.types import COEFFICIENTS, POSE, FaceMotion, Identity

WEIGHTS = Path(__file__).parents[2] / "portraittalk_core/assets/tiny/structure.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.exists(), reason=f"{WEIGHTS} is missing: run train_structure")


def a_face(n: int = 1, seed: int = 0) -> torch.Tensor:
    """Return n rough faces, each a little different."""
    turn = torch.linspace(0, math.pi, 17)
    jaw = torch.stack([-0.4 * turn.cos(), 0.45 * turn.sin()], 1)
    brows = torch.stack(
        [torch.tensor([*torch.linspace(-0.3, -0.1, 5), *torch.linspace(0.1, 0.3, 5)]), -0.2 * torch.ones(10)], 1
    )
    nose = torch.cat(
        [
            torch.stack([torch.zeros(4), torch.linspace(-0.05, 0.12, 4)], 1),
            torch.stack([torch.linspace(-0.06, 0.06, 5), torch.full((5,), 0.16)], 1),
        ]
    )

    def ring(x: float, y: float, width: float, height: float, points: int) -> torch.Tensor:
        at = torch.arange(points) * 2 * math.pi / points
        return torch.stack([x - width * at.cos(), y - height * at.sin()], 1)

    eyes = [ring(x, -0.05, 0.07, 0.03, 6) for x in (-0.17, 0.17)]
    lips = [ring(0, 0.28, 0.14, 0.07, 12), ring(0, 0.28, 0.11, 0.04, 8)]
    irises = torch.tensor([[-0.17, -0.05], [0.17, -0.05]])
    face = torch.cat([jaw, brows, nose, *eyes, *lips, irises])
    return face + 0.005 * torch.randn(n, 70, 2, generator=torch.Generator().manual_seed(seed))


def similarity(angle: float, scale: float, x: float, y: float) -> torch.Tensor:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[cos, -sin, x], [sin, cos, y]])


def apply(affine: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return points @ affine[..., :2].mT + affine[..., 2].unsqueeze(-2)


def test_contours_of_a_batch_equal_those_of_each():
    faces = a_face(9)
    whole = contours(faces)
    assert whole.shape == (9, len(CONTOUR_GROUPS), 64, 64)
    assert torch.equal(whole, torch.cat([contours(face[None]) for face in faces]))
    assert float(whole.min()) >= 0 and 0.9 < float(whole.max()) <= 1
    assert bool((whole.amax((2, 3)) > 0.3).all()), "every group of every face is drawn"


def test_contours_match_distances_to_sampled_lines():
    face, size, sigma = a_face(), 32, 0.1
    line = face[0, :17]
    steps = torch.linspace(0, 1, 200)[:, None, None]
    dense = (line[:-1] + steps * (line[1:] - line[:-1])).reshape(-1, 2)
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    pixels = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    expected = torch.exp(-(torch.cdist(pixels, dense).amin(1) ** 2) / sigma**2).view(size, size)
    torch.testing.assert_close(contours(face, size, sigma)[0, 0], expected, atol=2e-3, rtol=0)


def test_contours_show_lips_that_move_by_a_fifth_of_a_pixel():
    face = a_face()
    moved = face.clone()
    moved[:, 60:68, 1] += 0.2 * 2 / 64
    change = (contours(moved) - contours(face)).abs().amax((0, 2, 3))
    assert float(change[5]) > 0.1
    assert float(change[[0, 1, 2, 3, 4, 6]].max()) == 0


def test_contours_of_no_faces_and_of_one_point_are_finite():
    assert contours(torch.zeros(0, 70, 2)).shape == (0, 7, 64, 64)
    assert bool(torch.isfinite(contours(torch.zeros(1, 70, 2))).all())


def test_placement_of_equal_faces_is_the_identity():
    faces = a_face(3)
    torch.testing.assert_close(placement(faces, faces), torch.eye(2, 3).expand(3, 2, 3), atol=1e-5, rtol=0)


def test_placement_recovers_a_similarity_whatever_the_mouth_does():
    reference = a_face(4)
    to_reference = similarity(0.3, 1.2, 0.1, -0.07)
    linear = torch.linalg.inv(to_reference[:, :2])
    target = (reference - to_reference[:, 2]) @ linear.mT
    target[:, 48:] += 0.1
    torch.testing.assert_close(placement(reference, target), to_reference.expand(4, 2, 3), atol=1e-5, rtol=0)


def test_placement_puts_the_head_where_the_motion_wants_it():
    reference = a_face()
    target = apply(similarity(-0.2, 0.85, 0.12, 0.05), reference)
    picture = contours(reference)[:, :4]
    grid = F.affine_grid(placement(reference, target), [1, 4, 64, 64], align_corners=False)
    warped = F.grid_sample(picture, grid, align_corners=False)
    wanted = contours(target)[:, :4]
    assert torch.corrcoef(torch.stack([warped.flatten(), wanted.flatten()]))[0, 1] > 0.95
    assert torch.corrcoef(torch.stack([picture.flatten(), wanted.flatten()]))[0, 1] < 0.5


def test_placement_of_a_squeezed_head_is_squeezed_but_less():
    reference = a_face()
    affine = placement(reference, reference * torch.tensor([0.5, 1.0]))[0]
    assert 1.2 < float(affine[0, 0]) < 2
    assert float(torch.linalg.det(affine[:, :2])) > 0


def test_a_face_that_stays_is_not_warped():
    faces = a_face(2)
    picture = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(warp_picture(picture, faces, faces), picture, atol=1e-3, rtol=0)


def test_the_warp_brings_each_landmark_from_its_own_place_and_fades_beside_the_face():
    reference = a_face()
    target = apply(similarity(0.1, 0.95, 0.05, 0.02), reference)
    target[:, [*range(55, 60), 65, 66, 67]] += torch.tensor([0.0, 0.05])  # the lower lip falls
    target[:, 17:27] += torch.tensor([0.0, -0.04])  # the brows rise
    grid = face_warp(reference, target, 128)
    sampled = F.grid_sample(grid.permute(0, 3, 1, 2), target[:, None], align_corners=False)[0, :, 0].T
    rigid = target[0] @ placement(reference, target)[0, :, :2].T + placement(reference, target)[0, :, 2]
    left, without = ((p - reference[0]).norm(dim=1)[[*range(17, 27), *range(55, 60)]] for p in (sampled, rigid))
    assert left.max() < 0.03 and left.mean() < 0.3 * without.mean()
    whole = F.affine_grid(placement(reference, target), [1, 1, 128, 128], align_corners=False)
    torch.testing.assert_close(grid[:, 0], whole[:, 0], atol=1e-3, rtol=0)


def test_one_reference_is_warped_to_all_targets():
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    faces = a_face(3)
    assert warp_picture(picture, faces[:1], faces).shape == (3, 3, 32, 32)
    with pytest.raises(BadInput, match="1 row or as many"):
        warp_picture(picture, faces[:2], faces)


def test_openings_measure_the_gap_and_not_the_roll():
    face = a_face()
    shut = face.clone()
    shut[:, [67, 66, 65, 41, 40, 47, 46]] = shut[:, [61, 62, 63, 37, 38, 43, 44]]
    rolled = apply(similarity(0.6, 0.8, 0.1, 0.0), face)
    for opening in (mouth_opening, eye_opening):
        assert float(opening(shut).abs().max()) < 1e-6
        assert float(opening(face).min()) > 0.1
        torch.testing.assert_close(opening(rolled), opening(face), atol=1e-5, rtol=0)


def test_head_cue_follows_a_similarity():
    face = a_face()
    before, after = head_cue(face)[0], head_cue(apply(similarity(0.3, 0.9, 0.1, -0.2), face))[0]
    torch.testing.assert_close(after[:2], before[:2], atol=1e-5, rtol=0)
    assert float(after[2] - before[2]) == pytest.approx(0.3, abs=1e-5)
    assert float(after[5] / before[5]) == pytest.approx(0.9, abs=1e-5)


def test_head_coordinates_return():
    face, pose = a_face(2), torch.tensor([[0.1, 0.2, 0.3, 0.1, -0.1, 0.9], [0, 0, -0.2, 0, 0, 1.1]])
    torch.testing.assert_close(from_head(to_head(face, pose), pose), face)


@pytest.mark.parametrize("broken", [torch.zeros(70, 2), torch.zeros(1, 68, 2), torch.full((1, 70, 2), math.nan)])
def test_bad_landmarks_are_refused(broken: torch.Tensor):
    for call in (contours, head_cue, lambda x: placement(x, x), lambda x: fit_motion(x, 25.0, FaceFitter(8, 1))):
        with pytest.raises(BadInput, match="must"):
            call(broken)


def test_other_bad_arguments_are_refused(tmp_path: Path):
    face = a_face(2)
    with pytest.raises(BadInput, match="`size`"):
        contours(face, 0)
    with pytest.raises(BadInput, match="size 0"):
        placement(face, torch.zeros(2, 70, 2))
    with pytest.raises(BadInput, match="`reference` must have 1 row"):
        placement(face, a_face(3))
    nets = FaceFitter(8, 1), FaceShaper(8, 1)
    with pytest.raises(BadInput, match=r"`motion\.pose`"):
        structure_maps(FaceMotion(torch.zeros(3, 10), torch.zeros(2, 6), 25.0), identity_of(face), *nets)
    with pytest.raises(BadInput, match="scale above 0"):
        structure_maps(FaceMotion(torch.zeros(3, 10), torch.zeros(3, 6), 25.0), identity_of(face), *nets)
    with pytest.raises(BadInput, match="keep_expression"):
        structure_maps(still(2), identity_of(face), *nets, keep_expression=2)
    save_modules(tmp_path / "wrong.safetensors", {"a": torch.zeros(1)}, {"audio_to_motion": {}})
    with pytest.raises(WeightsMismatch, match="must be a structure file, but its configuration"):
        load_structure(tmp_path / "wrong.safetensors")
    save_modules(tmp_path / "empty.safetensors", {"z": torch.zeros(1)}, {"fitter": {}, "shaper": {}})
    with pytest.raises(
        WeightsMismatch, match=r"must be a structure file .*, but z is foreign; fitter\.\S+ is missing.* and \d+"
    ):
        load_structure(tmp_path / "empty.safetensors")


def test_weights_return_from_a_file(tmp_path: Path):
    fitter, shaper = FaceFitter(16, 1), FaceShaper(16, 1, yaw_limit=0.3)
    torch.nn.init.normal_(fitter.net.leave.weight)
    config = {"fitter": {"width": 16, "blocks": 1}, "shaper": {"width": 16, "blocks": 1, "yaw_limit": 0.3}}
    save_modules(tmp_path / "s.safetensors", named_tensors({"fitter": fitter, "shaper": shaper}), config)
    read = load_structure(tmp_path / "s.safetensors")
    assert read[1].limits == shaper.limits
    torch.testing.assert_close(read[0](a_face())[0], fitter(a_face())[0], atol=2e-2, rtol=2e-2)


@torch.no_grad()
def test_fitter_follows_position_roll_and_size_exactly_even_untrained():
    fitter, face = FaceFitter(16, 1), a_face()
    torch.nn.init.normal_(fitter.net.leave.weight, std=0.05)
    affine = similarity(0.25, 0.8, 0.1, 0.2)
    before, after = fitter(face)[1][0], fitter(apply(affine, face))[1][0]
    torch.testing.assert_close(after[:2], before[:2], atol=1e-4, rtol=0)
    assert float(after[2] - before[2]) == pytest.approx(0.25, abs=1e-4)
    torch.testing.assert_close(after[3:5], apply(affine, before[None, 3:5])[0], atol=1e-4, rtol=0)
    assert float(after[5] / before[5]) == pytest.approx(0.8, abs=1e-4)


def test_training_goes_on_where_it_stopped(tmp_path: Path):
    weights = train_structure(tmp_path, seed=3, minutes=0.02, batch=8, people=8)
    before = torch.load(tmp_path / "structure_state.pt", weights_only=True)
    read = load_structure(weights)
    torch.testing.assert_close(read[0].mean, before["fitter"]["mean"], atol=1e-3, rtol=1e-3)
    train_structure(tmp_path, seed=3, minutes=0.05, batch=8, people=8)
    after = torch.load(tmp_path / "structure_state.pt", weights_only=True)
    assert after["steps"] > before["steps"] > 0
    assert after["spent"] > before["spent"] >= 1.2
    assert not list(tmp_path.glob("*.partial"))


def test_coefficients_are_drawn_over_their_ranges():
    drawn = sample_coefficients(4000, torch.Generator().manual_seed(0))
    assert bool((drawn >= torch.tensor(LOWEST)).all()) and float(drawn.max()) <= 1
    assert bool((drawn.amax(0) > 0.95).all()) and bool((drawn.amin(0) < torch.tensor(LOWEST) + 0.05).all())


@pytest.fixture(scope="module")
def nets() -> tuple[FaceFitter, FaceShaper]:
    return load_structure(WEIGHTS)


@pytest.fixture(scope="module")
def strangers():
    return held_out_people(0, 256)


@needs_weights
def test_shipped_networks_fit_and_reshape_strangers(nets, strangers):
    figures = measure(*nets, strangers, torch.Generator().manual_seed(1), 1000)
    assert figures["px"] < 1.0, figures
    assert figures["mouth_px"] < 1.2, figures  # 1.05 when it was trained
    assert figures["lips_px"] < 0.6, figures
    assert figures["r_jaw"] > 0.98, figures
    assert min(figures["r_yaw"], figures["r_pitch"], figures["r_roll"], figures["r_blink"]) > 0.97, figures


@needs_weights
def test_silence_shuts_the_mouth_of_an_open_reference(nets, strangers):
    open_mouthed = strangers.landmarks[(strangers.coefficients[:, 0] > 0.5) & (strangers.coefficients[:, 3] == 0)][:20]
    assert float(mouth_opening(open_mouthed).min()) > 0.1
    for face in open_mouthed:
        maps = structure_maps(still(2), identity_of(face[None]), *nets)
        assert float(mouth_opening(maps.landmarks).abs().max()) < 0.02


@needs_weights
def test_motion_commanded_is_motion_read_back(nets, strangers):
    commanded = moving(100)
    faces = strangers.landmarks[::97][:10]
    names = [*COEFFICIENTS, *POSE]
    r = torch.zeros(len(names))
    for face in faces:
        maps = structure_maps(commanded, identity_of(face[None]), *nets, keep_expression=0)
        read = fit_motion(maps.landmarks, commanded.fps, nets[0])
        pairs = zip(
            torch.cat([commanded.coefficients, commanded.pose], 1).T,
            torch.cat([read.coefficients, read.pose], 1).T,
            strict=True,
        )
        r += torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in pairs]) / len(faces)
    figures = dict(zip(names, r.tolist(), strict=True))
    assert min(figures[name] for name in ("jaw", "blink", *POSE)) > 0.97, figures
    # Stretched and rounded lips undo each other's width: one picture of both tells little of either.
    assert min(figures.values()) > 0.5, figures


@needs_weights
def test_structure_maps_turn_no_further_than_the_limits(nets, strangers):
    motion = still(3)
    motion.pose[:, 0] = torch.tensor([-3.0, 0.0, 3.0])
    maps = structure_maps(motion, identity_of(strangers.landmarks[:1]), *nets)
    yaw = nets[0](maps.landmarks)[1][:, 0].tolist()
    assert maps.placement.shape == (3, 2, 3)
    assert maps.placement.shape == (3, 2, 3)
    assert yaw[0] == pytest.approx(-0.36, abs=0.06)
    assert yaw[2] == pytest.approx(0.36, abs=0.06)


@needs_weights
def test_smile_of_the_reference_stays_until_the_motion_sets_its_own(nets, strangers):
    smiling = strangers.landmarks[strangers.coefficients[:, 4] > 0.8][:1]
    rest, asked = still(1), still(1)
    asked.coefficients[:, 4] = -0.5
    smile = {
        name: float(
            nets[0](structure_maps(motion, identity_of(smiling), *nets, keep_expression=keep).landmarks)[0][0, 4]
        )
        for name, motion, keep in (("kept", rest, 1), ("dropped", rest, 0), ("own", asked, 1))
    }
    assert smile["kept"] > 0.5
    assert abs(smile["dropped"]) < 0.3
    assert smile["own"] < smile["kept"] - 0.5


def identity_of(face: torch.Tensor) -> Identity:
    return Identity(torch.zeros(1, 512), torch.zeros(1, 3, 8, 8), face[:1])


def still(frames: int) -> FaceMotion:
    pose = torch.zeros(frames, 6)
    pose[:, 5] = 1
    return FaceMotion(torch.zeros(frames, len(COEFFICIENTS)), pose, 25.0)


def moving(frames: int) -> FaceMotion:
    """Return a motion in which every column follows a wave of its own."""
    at = torch.arange(frames)[:, None] / frames * 2 * math.pi
    wave = torch.sin(at * torch.arange(1, 17) + torch.arange(16))
    coefficients = (0.5 + 0.5 * wave[:, :10]) * (1 - torch.tensor(LOWEST)) + torch.tensor(LOWEST)
    coefficients[:, 3] = 0
    coefficients[: frames // 5, 3], coefficients[: frames // 5, 0] = 0.8, 0.0
    pose = wave[:, 10:] * torch.tensor([0.2, 0.15, 0.1, 0.05, 0.05, 0.05])
    pose[:, 5] += 1
    return FaceMotion(coefficients, pose, 25.0)
