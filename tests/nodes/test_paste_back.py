"""Load Identity knows the photograph, and Paste Back puts the head back into it: on a small stack, without weights."""

from __future__ import annotations

import types as python_types
from dataclasses import replace

import pytest
import torch

from ..rendered_people import points

FACE = torch.from_numpy(points()[0])
"""MediaPipe's points of a face that fills a picture of 256 as in training."""
FRAMES, SIDE, FPS = 9, 64, 25.0
PLACES = {
    # width, height of the photograph, where a picture of a head would lie in it: left, top, side
    "wide": ((300, 120), (90, 10, 100)),
    "tall": ((110, 320), (4, 150, 96)),
    "off-centre": ((240, 240), (150, 150, 110)),
    "odd": ((241, 161), (60, 20, 121)),
    "close": ((200, 150), (-40, -30, 256)),
    "whole": ((128, 128), (0, 0, 128)),
}


def photograph(width: int, height: int, seed: int = 0) -> torch.Tensor:
    """Return IMAGE [1, h, w, 3] of noise in the levels of a file."""
    levels = torch.randint(0, 256, (1, height, width, 3), generator=torch.Generator().manual_seed(seed))
    return levels / 255


class Finder:
    """Finds faces where they were put, but not where the picture is hidden."""

    hint = "Look elsewhere."

    def __init__(self, pack, *heads):
        make = pack("portraittalk_core.types").Face
        self.faces = [
            make(torch.tensor([left, top, left + side, top + side]).float(), put, 0.9, torch.eye(512)[number])
            for number, (left, top, side) in enumerate(heads)
            for put in [FACE / 256 * side + torch.tensor([left, top]).float()]
        ]

    def find(self, pixels):
        def seen(face):
            x, y = face.landmarks[4].long().tolist()
            return bool(pixels[:, y, x].abs().max() > 0.01)  # grey hides

        return [face for face in self.faces if seen(face)]


class Stack:
    """Finds a person as the tiny model does. Its frames are the photograph but for a square that the decoder draws."""

    def __init__(self, pack, finder):
        self._identify, self.finder = pack("portraittalk_core.perception.identity").identify, finder
        self.asked, self.pulled = [], []

    def identify(self, images, face=None, skip_missing=False):
        return self._identify(images, self.finder, face=face, size=SIDE, skip=skip_missing)

    def structure(self, motion, identity):
        return motion

    def composite(self, frames, identity, maps, size=None, edits=0.0, fine=False):
        self.asked.append((maps, size))
        own = identity.portrait
        if size:
            own = torch.nn.functional.interpolate(own[None], (size, size), mode="bilinear", antialias=True)[0]
        for part in frames:
            self.pulled.append(len(part.pixels))
            made = own.repeat(len(part.pixels), 1, 1, 1)
            a, b = (round(own.shape[-1] * share) for share in (0.4, 0.6))
            made[:, :, a:b, a:b] = part.pixels.mean((1, 2, 3))[:, None, None, None]
            yield replace(part, pixels=made)


@pytest.fixture
def motion(pack):
    kind = pack("portraittalk_core.types").FaceMotion
    return kind(torch.zeros(FRAMES, 52), torch.zeros(FRAMES, 6), FPS)


@pytest.fixture
def decoded():
    """IMAGE of a brightness of its own in every frame."""
    return torch.linspace(0.1, 0.9, FRAMES)[:, None, None, None].expand(-1, SIDE, SIDE, 3)


@pytest.fixture
def errors(pack):
    return pack("portraittalk_core.errors")


def hosted(stack):
    return python_types.SimpleNamespace(stack=stack, bring_moving=lambda: None)


def identified(pack, image, *heads, **options):
    """Return what Load Identity gives, with a stack that finds heads at these places."""
    node = pack("nodes.identity").LoadIdentity
    return node.execute(hosted(Stack(pack, Finder(pack, *heads))), image, **options).args


def pasted(pack, images, bound, motion, **options):
    return pack("nodes.paste_back").PasteBack.execute(images, bound, motion, **options).args[0]


def outside(place):
    mask = torch.ones(place.height, place.width, dtype=torch.bool)
    mask[max(0, place.top) : place.top + place.side, max(0, place.left) : place.left + place.side] = False
    return mask


@pytest.mark.parametrize(("size", "head"), PLACES.values(), ids=PLACES)
def test_the_head_goes_back_into_the_photograph(pack, motion, decoded, size, head):
    image = photograph(*size)
    bound, _, _ = identified(pack, image, head)
    (place,) = bound.identity.places
    made = pasted(pack, decoded, bound, motion)
    width, height = size
    assert made.shape == (FRAMES, height + height % 2, width + width % 2, 3) and made.dtype == torch.float32
    inner = made[:, :height, :width]
    away = outside(place)
    assert torch.equal(inner[:, away], image[:, away].expand(FRAMES, -1, -1)), "to the bit"
    x, y = (round(at + place.side / 2) for at in (place.left, place.top))
    mouth = inner[:, y - 2 : y + 3, x - 2 : x + 3].mean((1, 2, 3))
    # what the decoder draws, less a tint that is measured at the border and here is none
    torch.testing.assert_close(mouth, decoded[:, 0, 0, 0], atol=0.02, rtol=0)
    still = torch.ones(height, width, dtype=torch.bool)
    reach = round(place.side * 0.2)
    still[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = False
    difference = (inner[:, still] - image[:, still]).abs().max()
    assert difference < 1e-6, "what stands still inside the crop is the photograph as well"
    torch.testing.assert_close(made[:, height:], made[:, height - 1 : height].expand_as(made[:, height:]))
    torch.testing.assert_close(made[:, :, width:], made[:, :, width - 1 : width].expand_as(made[:, :, width:]))


@pytest.mark.parametrize(("size", "side"), [(0, 117), (64, 64), (512, 512)])
def test_the_square_around_the_head_alone(pack, motion, decoded, size, side):
    bound, cropped, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    assert bound.identity.places[0].side == 117 and cropped.shape == (1, SIDE, SIDE, 3)
    made = pasted(pack, decoded, bound, motion, frame="crop", size=size)
    assert made.shape == (FRAMES, side + side % 2, side + side % 2, 3)
    assert bound.hosted.stack.asked == [(motion, size or None)]
    middle = made[:, side // 2, side // 2].mean(-1)
    torch.testing.assert_close(middle, decoded[:, 0, 0, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("face", [1, 2])
def test_of_two_people_one_speaks_and_the_other_stays_still(pack, motion, decoded, face):
    image, heads = photograph(400, 160), [(20, 20, 120), (260, 40, 110)]
    bound, _, _ = identified(pack, image, *heads, face=face)
    assert torch.equal(bound.identity.embeddings[0], torch.eye(512)[face - 1])
    made = pasted(pack, decoded, bound, motion)
    (speaks, still) = heads if face == 1 else heads[::-1]

    def square(pictures, head):
        left, top, side = head
        return pictures[:, top : top + side, left : left + side]

    assert torch.equal(square(made, still), square(image, still).expand(FRAMES, -1, -1, -1))
    assert float((square(made, speaks) - square(image, speaks)).abs().mean()) > 0.01


def test_a_face_that_is_not_there_is_one_line(pack, errors):
    with pytest.raises(errors.NoFaceFound, match="`face` must be at most the number of faces, but got 2 and there is"):
        identified(pack, photograph(200, 200), (50, 50, 100), face=2)


def test_a_mask_says_where_to_look_and_hides_nothing_in_the_video(pack, motion, decoded):
    image, heads = photograph(400, 160), [(20, 20, 120), (260, 40, 110)]
    mask = torch.zeros(1, 160, 400)
    mask[:, 80:120, 290:340] = 1  # a part of the second face
    bound, cropped, _ = identified(pack, image, *heads, mask=mask)
    plain, shown, _ = identified(pack, image, *heads, face=2)
    assert bound.identity.places == plain.identity.places
    assert torch.equal(bound.identity.portrait, plain.identity.portrait)
    assert float((cropped - shown).abs().mean()) < 0.03, "another filter, the same picture"
    assert torch.equal(pasted(pack, decoded, bound, motion), pasted(pack, decoded, plain, motion))


def test_the_photograph_is_the_first_that_has_a_face(pack, motion, decoded):
    hidden = torch.full((1, 200, 240, 3), 0.5)
    batch = torch.cat([hidden, photograph(240, 200, 1), hidden, photograph(240, 200, 2)])
    bound, cropped, _ = identified(pack, batch, (60, 40, 120), no_face="skip the picture")
    assert len(bound.identity.places) == len(cropped) == 2
    assert torch.equal(bound.photograph, batch[1])
    made = pasted(pack, decoded, bound, motion)
    assert torch.equal(made[:, 0], batch[1:2, 0].expand(FRAMES, -1, -1))


def test_another_version_of_the_picture_can_be_pasted_into(pack, motion, decoded):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    clear = torch.cat([photograph(240, 200, 5), torch.ones(1, 200, 240, 1)], -1)
    made = pasted(pack, decoded, bound, motion, photograph=clear)
    assert torch.equal(made[:, 0], clear[:, 0, :, :3].expand(FRAMES, -1, -1))


def test_a_stack_of_public_files_has_its_frames_pasted_as_they_are(pack, motion, decoded):
    image = photograph(240, 200)
    bound, _, _ = identified(pack, image, (60, 40, 120))
    bound.hosted.stack.composite = lambda frames, identity, maps, size=None, edits=0.0, fine=False: iter(frames)
    bound = replace(bound, identity=replace(bound.identity, portrait=None))
    made = pasted(pack, decoded, bound, motion)
    (place,) = bound.identity.places
    assert torch.equal(made[:, outside(place)], image[:, outside(place)].expand(FRAMES, -1, -1))
    middle = made[:, place.top + place.side // 2, place.left + place.side // 2].mean(-1)
    torch.testing.assert_close(middle, decoded[:, 0, 0, 0], atol=0.05, rtol=0)  # COLOUR_LIMIT


@pytest.fixture
def whole(pack):
    """Say of a bound identity's stack in which frames its photograph is torn; return what it was asked."""
    frames_of, maps_of = pack("portraittalk_core.types").Frames, pack("portraittalk_core.types").StructureMaps

    def prepare(bound, torn=()):
        asked = []

        def undrawn(identity, maps, which, size=None, sure=False):
            here = range(len(maps.landmarks))[which]
            asked.append((here.start, len(here), size, sure))
            return None if set(here) & set(torn) and not sure else frames_of(torch.zeros(len(here), 3, 16, 16), FPS)

        stack = bound.hosted.stack
        stack.undrawn = undrawn
        stack.structure = lambda motion, identity: maps_of(
            torch.zeros(motion.frame_count, 478, 2), torch.zeros(motion.frame_count, 2, 3), FPS
        )
        return asked

    return prepare


def lazily(pack, bound, motion, **given):
    return pack("nodes.paste_back").PasteBack.check_lazy_status(identity=bound, motion=motion, frame="crop", **given)


def test_frames_of_which_nothing_would_be_seen_are_not_asked_for(pack, motion, decoded, whole):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    asked = whole(bound)
    assert lazily(pack, bound, motion, images=None, size=64) == [] and asked == [(0, FRAMES, 64, False)]
    made = pasted(pack, None, bound, motion, size=64)
    assert made.shape == (FRAMES, 200, 240, 3) and asked[1:] == [(0, 4, 64, True), (4, 4, 64, True), (8, 1, 64, True)]
    torn = whole(bound, torn={FRAMES - 1})
    assert lazily(pack, bound, motion) == ["images"] and torn[-1][0] == 0
    assert lazily(pack, bound, motion, images=decoded) == [], "they are there"


def test_frames_in_which_words_change_something_are_asked_for(pack, motion, whole):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    asked = whole(bound)
    positive = [(torch.zeros(1, 1, 1), {pack("nodes.encoding").LOOKS: torch.ones(FRAMES, 6)})]
    assert lazily(pack, bound, motion, edits=0.5) == lazily(pack, bound, motion, positive=positive) == ["images"]
    assert not asked
    quiet = [(torch.zeros(1, 1, 1), {pack("nodes.encoding").LOOKS: torch.zeros(FRAMES, 6)})]
    assert lazily(pack, bound, motion, positive=quiet) == []


def test_a_model_that_draws_whole_frames_is_always_asked(pack, motion, errors):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    bound.hosted.stack.undrawn = lambda *_given, **_named: None
    assert lazily(pack, bound, motion) == ["images"]
    with pytest.raises(errors.BadInput, match=r"`images` must be connected for this model\. Connect VAE Decode\."):
        pasted(pack, None, bound, motion)


def test_a_long_video_can_be_interrupted_while_it_is_asked(pack, motion, whole, monkeypatch):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    whole(bound)

    class Interrupted(Exception):
        pass

    def interrupt():
        raise Interrupted

    monkeypatch.setattr(
        pack("nodes.pasting").comfy.model_management, "throw_exception_if_processing_interrupted", interrupt
    )
    with pytest.raises(Interrupted):
        lazily(pack, bound, motion)


def test_the_photograph_moves_with_the_dense_motion(pack, motion, decoded):
    head_warp, dense = pack("portraittalk_core.compositing.head_warp"), pack("portraittalk_core.nets.dense_motion")
    maps_of = pack("portraittalk_core.types").StructureMaps
    bound, _, _ = identified(pack, photograph(300, 200), (90, 30, 150))
    warp, stack = head_warp.HeadWarp(dense.DenseMotionNet(widths=(8, 16)).eval()), bound.hosted.stack
    steps = torch.linspace(0, 0.1, FRAMES)[:, None, None] * torch.tensor([1.0, 0.0])
    stack.structure = lambda motion, identity: maps_of(identity.landmarks[:1] + steps, torch.zeros(FRAMES, 2, 3), FPS)
    stack.composite = warp.composite
    with torch.inference_mode():
        made = pasted(pack, decoded, bound, motion)
    assert made.shape == (FRAMES, 200, 300, 3) and bool(made.isfinite().all())
    assert float((made[-1] - made[0]).abs().mean()) > 0.01


# What it takes, and how it stops.


def test_frames_are_made_a_few_at_a_time_and_the_bar_follows(pack, motion, decoded, monkeypatch):
    """A photograph of 4K would come one by one on one core; this small one is made to."""
    pasting, bound = pack("nodes.pasting"), identified(pack, photograph(240, 200), (60, 40, 120))[0]
    monkeypatch.setattr(pack("portraittalk_core.media.paste_back"), "frames_at_once", lambda pixels: 1)
    seen, stack = [], bound.hosted.stack
    monkeypatch.setattr(
        pasting.comfy.utils.ProgressBar,
        "update_absolute",
        lambda self, done, total: seen.append((done, total, sum(stack.pulled))),
    )
    pasted(pack, decoded, bound, motion)
    assert [(done, total) for done, total, _ in seen] == [(number + 1, FRAMES) for number in range(FRAMES)]
    assert all(ahead - done < pasting.AT_ONCE for done, _, ahead in seen), "no more is made than is put away"


def test_an_interrupt_stops_within_a_few_frames(pack, motion, decoded, monkeypatch):
    class Interrupted(BaseException):
        """As newer hosts have it."""

    pasting, bound = pack("nodes.pasting"), identified(pack, photograph(240, 200), (60, 40, 120))[0]

    def stop():
        raise Interrupted

    monkeypatch.setattr(pasting.comfy.model_management, "throw_exception_if_processing_interrupted", stop)
    with pytest.raises(Interrupted):
        pasted(pack, decoded, bound, motion)
    assert sum(bound.hosted.stack.pulled) <= pasting.AT_ONCE


@pytest.mark.parametrize(
    ("frame", "free"), [("photograph", FRAMES * 240 * 200 * 12 - 1), ("crop", 9 * 118 * 118 * 12 - 1)]
)
def test_what_would_not_fit_into_the_memory_is_said_before_it_is_made(
    pack, motion, decoded, errors, monkeypatch, frame, free
):
    pasting, bound = pack("nodes.pasting"), identified(pack, photograph(240, 200), (60, 40, 120))[0]
    monkeypatch.setattr(pasting.comfy.model_management, "get_free_memory", lambda device: free)
    words = "9 pictures of 240 x 200" if frame == "photograph" else "9 pictures of 117 x 117"
    with pytest.raises(errors.BadInput, match=f"{words} must fit into the memory, .* Scale the picture down before"):
        pasted(pack, decoded, bound, motion, frame=frame)
    assert not bound.hosted.stack.pulled or frame == "crop"


def test_only_what_moves_the_photograph_is_brought_to_the_device(pack, monkeypatch):
    stacks = pack("nodes.hosted_stack")
    brought = []
    monkeypatch.setattr(stacks.comfy.model_management, "load_models_gpu", brought.append)
    nets = [torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)]
    stacks.HostedStack("a", None, stacks.HostMemory(nets)).bring_moving()
    assert not brought, "a stack of public files has nothing of the kind"
    stacks.HostedStack("a", None, stacks.HostMemory(nets), moving=(nets[1],)).bring_moving()
    ((patcher,),) = brought
    assert patcher.model.net is nets[1]


WRONG = {
    "frames of another video": (
        {"images": torch.zeros(FRAMES - 1, SIDE, SIDE, 3)},
        "`images` must be the 9 frames of this motion, but got 8. Connect VAE Decode",
    ),
    "frames that are not square": (
        {"images": torch.zeros(FRAMES, SIDE, 2 * SIDE, 3)},
        "`images` must be square, as VAE Decode gives them, but got 128 x 64",
    ),
    "a photograph of another size": (
        {"photograph": torch.zeros(1, 200, 200, 3)},
        "`photograph` must be as large as the picture given to Load Identity, 240 x 200, but has 200 x 200",
    ),
    "several photographs": (
        {"photograph": torch.zeros(3, 200, 240, 3)},
        "`photograph` must be one picture, but got 3. Disconnect it",
    ),
    "a size that shows nothing": ({"size": 8}, "`size` must be 0 or at least 64 pixels, but got 8"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_belong_together_is_one_line(pack, motion, decoded, errors, case):
    given, message = WRONG[case]
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    with pytest.raises(errors.BadInput, match=message) as caught:
        pasted(pack, **{"images": decoded, "bound": bound, "motion": motion, **given})
    assert "\n" not in str(caught.value) and not bound.hosted.stack.pulled


def test_an_identity_that_does_not_know_its_place_is_one_line(pack, motion, decoded, errors):
    bound, _, _ = identified(pack, photograph(240, 200), (60, 40, 120))
    lost = replace(bound, identity=replace(bound.identity, places=()))
    with pytest.raises(errors.BadInput, match="`identity` must know where the head lies in its picture"):
        pasted(pack, decoded, lost, motion)
    assert pasted(pack, decoded, lost, motion, frame="crop").shape[0] == FRAMES
    with pytest.raises(errors.BadInput, match="`photograph` must be connected, for this identity brings none"):
        pasted(pack, decoded, replace(bound, photograph=None), motion)
