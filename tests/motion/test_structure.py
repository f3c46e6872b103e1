"""Structure maps: fitting and shaping faces."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from portraittalk_core.checkpoints.native import load_structure, named_tensors, save_modules, save_structure
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.motion.geometry import eye_opening, head_cue, head_size, mouth_opening
from portraittalk_core.motion.head_model import HeadModel, rotation, turn
from portraittalk_core.motion.structure import (
    KEPT,
    FaceFitter,
    FaceShaper,
    fit_motion,
    follow,
    from_head,
    kept_expression,
    structure_maps,
    to_head,
)
from portraittalk_core.perception.framing import SIZE
from portraittalk_core.topology import MEETING_LIPS, OUTER_LIPS
from portraittalk_core.types import COEFFICIENTS, LANDMARKS, POSE, FaceMotion, Identity

from .faces import ASLEEP, AT_REST, SPEAKING, TOOTHY, faces

WEIGHTS = Path(__file__).parents[2] / "portraittalk_core/assets/tiny/structure.safetensors"


def column(name: str) -> int:
    return COEFFICIENTS.index(name)


def small_nets() -> tuple[FaceFitter, FaceShaper]:
    """Return networks that are untrained, but see and say something."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        nets = FaceFitter(8, 16, 1), FaceShaper(8, 4, 16, 1)
    with torch.no_grad():
        for net in nets:
            for name, value in net.state_dict().items():
                if not value.any():
                    value.copy_(0.02 * torch.randn(value.shape, generator=generator))
                if name.endswith("head.mean"):
                    face = faces().landmarks[:1] - torch.tensor([0.0, -0.12])
                    value.copy_(torch.cat([face, torch.zeros(1, LANDMARKS, 1)], 2)[0])
    return nets


def apply(angle: float, scale: float, x: float, y: float, points: torch.Tensor) -> torch.Tensor:
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return points @ torch.tensor([[cos, -sin], [sin, cos]]).T + torch.tensor([x, y])


def test_head_coordinates_return():
    face, pose = faces().landmarks[:2], torch.tensor([[0.1, 0.2, 0.3, 0.1, -0.1, 0.9], [0, 0, -0.2, 0, 0, 1.1]])
    torch.testing.assert_close(from_head(to_head(face, pose), pose), face)


@pytest.mark.parametrize(("angle", "axis", "sign"), [(0, 0, 1), (1, 1, 1)])
def test_angles_turn_the_nose_as_they_say(angle: int, axis: int, sign: int):
    angles = torch.zeros(1, 3)
    angles[0, angle] = 0.3
    nose = rotation(angles)[0] @ torch.tensor([0.0, 0.0, 1.0])
    assert float(nose[axis]) == pytest.approx(sign * math.sin(0.3), abs=1e-6)


def test_roll_is_clockwise_in_space_and_in_the_plane():
    angles = torch.tensor([[0.0, 0.0, 0.3]])
    right = rotation(angles)[0] @ torch.tensor([1.0, 0.0, 0.0])
    assert float(right[1]) == pytest.approx(math.sin(0.3), abs=1e-6)
    torch.testing.assert_close(turn(torch.tensor([[[1.0, 0.0]]]), angles[:, 2])[0, 0], right[:2])


def test_a_head_before_the_camera_is_seen_as_it_is_and_lips_close_no_further_than_the_jaw():
    head = HeadModel(4)
    head.mean.copy_(torch.cat([faces().landmarks[0], torch.zeros(LANDMARKS, 1)], 1))
    head.actions[column("mouthClose")] = 1.0
    code, straight = torch.zeros(2, head.code_size), torch.zeros(2, 3)
    row = torch.stack([blendshapes(mouthClose=0.5), blendshapes(mouthClose=0.5, jawOpen=0.2)])
    seen = head(code, row, straight)
    torch.testing.assert_close(seen[0], faces().landmarks[0], atol=2e-3, rtol=0)
    assert head.drive(row)[:, column("mouthClose")].tolist() == pytest.approx([0.0, 0.2], abs=1e-5)


@torch.no_grad()
def test_fitter_follows_position_roll_and_size_exactly_even_untrained():
    fitter, face = small_nets()[0], faces().landmarks[:1]
    before = fitter(face)[1][0]
    moved, leaning = (fitter(apply(angle, 0.8, 0.1, 0.2, face))[1][0] for angle in (0.0, 0.25))
    torch.testing.assert_close(moved[:3], before[:3], atol=1e-4, rtol=0)
    torch.testing.assert_close(moved[3:5], apply(0.0, 0.8, 0.1, 0.2, before[None, 3:5])[0], atol=1e-4, rtol=0)
    assert float(moved[5] / before[5]) == pytest.approx(0.8, abs=1e-4)
    torch.testing.assert_close(leaning[:2], before[:2], atol=1e-4, rtol=0)
    assert float(leaning[2] - before[2]) == pytest.approx(0.25, abs=1e-4)


@torch.no_grad()
def test_a_face_that_does_not_move_is_itself_and_place_size_and_roll_are_exact_even_untrained():
    fitter, shaper = small_nets()
    face = faces().view(AT_REST)[:1]
    has, pose = fitter(face)
    has = has.clamp(0, 1)
    torch.testing.assert_close(shaper(face, has, pose, has, pose), face, atol=2e-3, rtol=0)
    moved = pose + torch.tensor([0.0, 0.0, 0.0, 0.1, -0.05, 0.0])
    moved[:, 5] *= 1.1
    drawn = shaper(face, has, pose, has, moved)
    expected = (face - pose[:, None, 3:5]) * 1.1 + moved[:, None, 3:5]
    torch.testing.assert_close(drawn, expected, atol=2e-3, rtol=0)


def test_what_closes_a_pair_leaves_the_rest_of_the_face():
    weights = follow(torch.cat([faces().landmarks[0], torch.zeros(LANDMARKS, 1)], 1))
    for pair, (upper, lower) in enumerate(MEETING_LIPS):
        assert float(weights[upper, pair] - weights[lower, pair]) == pytest.approx(1), "the gap closes by as much"
        others = torch.ones(weights.shape[1], dtype=torch.bool)
        others[pair] = False
        assert not weights[[upper, lower]][:, others].any()
    assert float(weights[17, : len(MEETING_LIPS)].sum()) < -0.15, "the lower lip comes along as a whole"
    assert float(weights[[10, 1, 152, 234, 454]].abs().max()) < 0.05, "forehead, nose, chin and ears do not"


@pytest.mark.parametrize("broken", [torch.zeros(478, 2), torch.zeros(1, 70, 2), torch.full((1, 478, 2), math.nan)])
def test_bad_landmarks_are_refused(broken: torch.Tensor):
    with pytest.raises(BadInput, match="must"):
        fit_motion(broken, 25.0, FaceFitter(8, 8, 1))


def test_bad_motions_are_refused():
    face, nets = identity_of(faces().landmarks[:1]), small_nets()
    with pytest.raises(BadInput, match=r"`motion\.coefficients` must be \[frames, 52\]"):
        structure_maps(FaceMotion(torch.zeros(3, 10), torch.zeros(3, 6), 25.0), face, *nets)
    with pytest.raises(BadInput, match=r"`motion\.pose`"):
        structure_maps(FaceMotion(torch.zeros(3, 52), torch.zeros(2, 6), 25.0), face, *nets)
    with pytest.raises(BadInput, match="scale above 0"):
        structure_maps(FaceMotion(torch.zeros(3, 52), torch.zeros(3, 6), 25.0), face, *nets)
    with pytest.raises(BadInput, match="keep_expression"):
        structure_maps(still(2), face, *nets, keep_expression=2)


def test_wrong_files_are_refused(tmp_path: Path):
    save_modules(tmp_path / "wrong.safetensors", {"a": torch.zeros(1)}, {"audio_to_motion": {}})
    with pytest.raises(WeightsMismatch, match="must be a structure file, but its configuration"):
        load_structure(tmp_path / "wrong.safetensors")
    save_modules(tmp_path / "old.safetensors", {"a": torch.zeros(1)}, {"fitter": {"width": 8}, "shaper": {}})
    with pytest.raises(WeightsMismatch, match="of 478 points and 52 blendshapes, but is of an older version") as raised:
        load_structure(tmp_path / "old.safetensors")
    assert "\n" not in str(raised.value)
    save_structure(tmp_path / "empty.safetensors", {"z": torch.zeros(1)}, {"fitter": {}, "shaper": {}})
    with pytest.raises(
        WeightsMismatch, match=r"must be a structure file .*, but z is foreign; fitter\.\S+ is missing.* and \d+"
    ):
        load_structure(tmp_path / "empty.safetensors")


def test_weights_return_from_a_file(tmp_path: Path):
    fitter, shaper = small_nets()
    config = {
        "fitter": {"components": 8, "width": 16, "blocks": 1},
        "shaper": {"components": 8, "shapes": 4, "width": 16, "blocks": 1, "yaw_limit": 0.4},
    }
    save_structure(tmp_path / "s.safetensors", named_tensors({"fitter": fitter, "shaper": shaper}), config)
    read = load_structure(tmp_path / "s.safetensors")
    assert read[1].limits == (0.4, *shaper.limits[1:])
    face = faces().landmarks[:2]
    torch.testing.assert_close(read[0](face)[0], fitter(face)[0], atol=2e-2, rtol=2e-2)


@pytest.fixture(scope="module")
def nets() -> tuple[FaceFitter, FaceShaper]:
    return load_structure(WEIGHTS)


@torch.no_grad()
def test_shipped_networks_read_strangers(nets):
    truth = faces()
    read, pose = nets[0](truth.landmarks)
    names = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft")
    r = {name: correlation(read[:, column(name)], truth.coefficients[:, column(name)]) for name in names}
    assert min(r.values()) > 0.9, r
    off = torch.rad2deg(pose[:, :3] - truth.pose[:, :3]).abs().mean(0)
    assert float(off.max()) < 3, off


@torch.no_grad()
@pytest.mark.parametrize("start", [AT_REST, TOOTHY, SPEAKING])
def test_shipped_networks_reshape_strangers(nets, start: int):
    fitter, shaper = nets
    truth = faces()
    rows = torch.arange(len(truth.landmarks)) // 4 * 4 + start
    reference, has, rest = (value[rows] for value in (truth.landmarks, *fitter(truth.landmarks)))
    true_rest = truth.pose[rows]
    wanted = torch.cat(
        [rest[:, :5] + truth.pose[:, :5] - true_rest[:, :5], rest[:, 5:] * truth.pose[:, 5:] / true_rest[:, 5:]], 1
    )
    drawn = shaper(reference, has.clamp(0, 1), rest, truth.coefficients, wanted)
    unit = 100 / (truth.landmarks[:, 263] - truth.landmarks[:, 33]).norm(dim=1)[:, None]
    apart, unmoved = (unit * (points - truth.landmarks).norm(dim=2) for points in (drawn, reference))
    assert float(apart.mean()) < min(2.5, 0.35 * float(unmoved.mean())), (apart.mean(), unmoved.mean())
    assert float(apart[:, list(OUTER_LIPS)].mean()) < 4


@pytest.mark.parametrize("view", [AT_REST, TOOTHY, SPEAKING, ASLEEP])
def test_silence_shuts_the_mouth_whatever_the_reference_shows(nets, view: int):
    for face in faces().view(view):
        maps = structure_maps(still(2), identity_of(face[None]), *nets)
        assert float(mouth_opening(maps.landmarks).abs().max()) < 0.02


@pytest.mark.parametrize("view", [AT_REST, TOOTHY, SPEAKING])
def test_lids_close_fully_and_open_again(nets, view: int):
    motion = still(2)
    motion.coefficients[1] = blendshapes(eyeBlink=1.0)
    for face in faces().view(view):
        maps = structure_maps(motion, identity_of(face[None]), *nets)
        opened, shut = eye_opening(maps.landmarks).tolist()
        assert shut < 0.05 and opened > 0.85 * float(eye_opening(face[None]))


def test_at_rest_a_reference_that_is_at_rest_stays_where_it_is(nets):
    for face in faces().view(AT_REST):
        maps = structure_maps(still(1), identity_of(face[None]), *nets)
        moved = (maps.landmarks[0] - face).norm(dim=1).mean() / (face[263] - face[33]).norm()
        assert float(moved) < 0.012, moved


def test_motion_commanded_is_motion_read_back(nets):
    commanded = moving(80)
    r = torch.zeros(4 + len(POSE))
    for face in faces().view(AT_REST):
        maps = structure_maps(commanded, identity_of(face[None]), *nets, keep_expression=0)
        read = fit_motion(maps.landmarks, commanded.fps, nets[0])
        columns = [column(name) for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft", "mouthPucker")]
        pairs = zip(
            torch.cat([commanded.coefficients[:, columns], commanded.pose], 1).T,
            torch.cat([read.coefficients[:, columns], read.pose], 1).T,
            strict=True,
        )
        r += torch.stack([torch.tensor(correlation(*pair)) for pair in pairs]) / 6
    assert float(r.min()) > 0.9, r


def test_structure_maps_turn_no_further_than_the_limits(nets):
    motion = still(3)
    motion.pose[:, 0] = torch.tensor([-3.0, 0.0, 3.0])
    maps = structure_maps(motion, identity_of(faces().landmarks[:1]), *nets)
    yaw = nets[0](maps.landmarks)[1][:, 0].tolist()
    limit = nets[1].limits[0]
    assert maps.placement.shape == (3, 2, 3)
    assert yaw[0] == pytest.approx(-limit, abs=0.08) and yaw[2] == pytest.approx(limit, abs=0.08)


@pytest.mark.parametrize(("aside", "to_front"), [(0.0, 0.3), (0.15, 0.3), (0.42, 0.08)])
def test_a_face_that_is_seen_from_aside_turns_little_to_the_front(nets, caplog, aside, to_front):
    """Nothing shows its hidden cheek. To the side it turns as it is told."""
    seen = still(1)
    seen.pose[0, 0] = aside
    reference = structure_maps(seen, identity_of(faces().view(AT_REST)[:1]), *nets).landmarks
    motion = still(3)
    motion.pose[:, 0] = torch.tensor([0.0, -0.3, 0.05])
    yaw = nets[0](structure_maps(motion, identity_of(reference), *nets).landmarks)[1][:, 0]
    assert float(yaw[0] - yaw[1]) == pytest.approx(to_front, abs=0.05)
    assert float(yaw[2] - yaw[0]) == pytest.approx(0.05, abs=0.02)
    assert ("at most 5 degrees, not by 17" in caplog.text) == (to_front < 0.3), caplog.text


def test_a_head_that_turns_goes_along_with_its_neck(nets):
    motion = still(2)
    motion.pose[1, 0] = 0.3
    for face in faces().view(AT_REST):
        maps = structure_maps(motion, identity_of(face[None]), *nets)
        middle, size = head_size(maps.landmarks)
        assert 0.2 < float(middle[1, 0] - middle[0, 0]) / SIZE < 0.6, "what turns about its neck moves sideways"
        assert 0.85 < float(size[1] / size[0]) < 1.02
        assert float(head_cue(maps.landmarks)[1, 0] - head_cue(maps.landmarks)[0, 0]) > 0.05


def test_the_smile_of_the_reference_stays_until_the_motion_sets_its_own(nets):
    smiling = identity_of(faces().view(TOOTHY)[:1])
    asked = still(1)
    asked.coefficients[0] = blendshapes(mouthFrown=0.8)

    def read(motion: FaceMotion, keep: float) -> float:
        maps = structure_maps(motion, smiling, *nets, keep_expression=keep)
        return float(nets[0](maps.landmarks)[0][0, column("mouthSmileLeft")])

    assert read(still(1), 1.0) > 0.45 and read(still(1), 0.0) < 0.25
    assert read(asked, 1.0) < read(still(1), 1.0) - 0.25


def test_nobody_is_sad_with_a_smile_but_a_face_that_drifts_keeps_its_own():
    smiles = blendshapes(mouthSmile=0.9, cheekSquint=0.5, browInnerUp=0.4)[None]
    smile, brow = column("mouthSmileLeft"), column("browInnerUp")

    def kept(**asked: float) -> torch.Tensor:
        return kept_expression(blendshapes(**asked)[None], smiles)[0]

    assert kept(mouthFrown=0.08)[smile] > 0.8
    assert kept(mouthFrown=0.4)[smile] == 0 and kept(mouthFrown=0.4)[brow] > 0.35
    assert kept(browDown=0.5)[brow] == 0 and kept(browDown=0.5)[smile] > 0.85


@pytest.mark.parametrize("rounded", ["mouthPucker", "mouthFunnel"])
def test_a_smile_gives_way_to_round_lips_but_its_cheeks_stay(rounded):
    smiles = blendshapes(mouthSmile=0.9, cheekSquint=0.5)[None]
    kept = kept_expression(torch.stack([blendshapes(**{rounded: value}) for value in (0.0, 0.15, 0.6)]), smiles)
    smile, cheek = kept[:, column("mouthSmileLeft")], kept[:, column("cheekSquintLeft")]
    assert float(smile[0]) == pytest.approx(0.9) and 0.6 < float(smile[1]) < 0.8 and float(smile[2]) < 0.25
    assert torch.allclose(cheek, cheek[:1].expand(3))


def test_what_is_kept_names_blendshapes_once():
    named = [name for _, names in KEPT for name in names]
    assert len(named) == len(set(named)) and all(0 < most <= 1 for most, _ in KEPT)
    assert not {"jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel"} & set(named), "nothing that opens the mouth"


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def identity_of(landmarks: torch.Tensor) -> Identity:
    return Identity(torch.zeros(1, 512), torch.zeros(1, 3, 8, 8), landmarks)


def still(frames: int) -> FaceMotion:
    pose = torch.zeros(frames, len(POSE))
    pose[:, 5] = 1
    return FaceMotion(torch.zeros(frames, len(COEFFICIENTS)), pose, 25.0)


def moving(frames: int) -> FaceMotion:
    """Return slow waves of four blendshapes and the pose."""
    at = torch.arange(frames)[:, None] / frames * 2 * math.pi
    wave = torch.sin(at * torch.arange(1, 11) + torch.arange(10))
    motion = still(frames)
    for k, name in enumerate(("jawOpen", "eyeBlink", "mouthSmile", "mouthPucker")):
        strength = (0.5 + 0.5 * wave[:, k]) * (0.6 if name == "jawOpen" else 0.8)
        motion.coefficients[:] += strength[:, None] * blendshapes(**{name: 1.0})
    motion.pose[:] += wave[:, 4:] * torch.tensor([0.25, 0.15, 0.1, 0.05, 0.05, 0.05])
    return motion
