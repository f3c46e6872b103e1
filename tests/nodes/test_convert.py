"""Between the host's values and the core's records."""

import pytest
import torch


@pytest.fixture(scope="module")
def convert(pack):
    return pack("nodes.convert")


@pytest.fixture(scope="module")
def errors(pack):
    return pack("portraittalk_core.errors")


def test_pictures_and_images_are_inverse(convert):
    image = torch.rand(2, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    there = convert.pictures(image)
    assert there[0].shape == (3, 5, 7) and min(p.min() for p in there) >= -1
    torch.testing.assert_close(convert.images(torch.stack(there)), image)


def test_transparent_parts_become_what_read_image_makes_of_them(convert, tmp_path):
    from PIL import Image

    from portraittalk_core.media.image import read_image

    Image.new("RGBA", (32, 32), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    clear = convert.pictures(torch.zeros(1, 32, 32, 4))[0]
    torch.testing.assert_close(clear, read_image(tmp_path / "clear.png"), atol=1e-6, rtol=0)


def test_gray_pictures_have_three_channels(convert):
    assert convert.pictures(torch.full((1, 2, 2, 1), 0.5))[0].shape == (3, 2, 2)


def test_a_mask_hides_what_is_outside_and_an_empty_one_is_named(convert, errors):
    image, mask = torch.ones(2, 4, 4, 3), torch.zeros(1, 2, 2)
    mask[0, 0, 0] = 1
    seen = convert.masked(image, mask)
    assert seen[1, 0, 0, 0] == 1 and seen[1, 3, 3, 0] == 0.5 and convert.masked(image, None) is image
    with pytest.raises(errors.BadInput, match="`mask` must mark the face, but it is empty"):
        convert.masked(image, torch.zeros(1, 4, 4))


def test_sound_is_cut_in_seconds_and_the_host_s_tensor_is_left_alone(convert, errors):
    wave = torch.arange(2 * 100.0).view(1, 2, 100)
    audio = {"waveform": wave, "sample_rate": 50}
    cut = convert.sound(audio, 0.5, 1.0)
    assert cut.samples.shape == (2, 50) and cut.samples[0, 0] == 25
    cut.samples.zero_()
    assert wave.sum() > 0
    assert convert.sound(audio).samples.shape == (2, 100)
    assert convert.audio(cut)["waveform"].shape == (1, 2, 50)
    with pytest.raises(errors.BadInput, match=r"`start_s` must lie before the end of the sound \(2\.00 s\)"):
        convert.sound(audio, 2.0)
    with pytest.raises(errors.BadInput, match="`audio` must hold sound"):
        convert.sound(None)


def test_a_face_mask_covers_the_middle_of_the_face(convert, avatar_identity):
    mask = convert.face_masks(avatar_identity.outlines, 256)
    nose = ((avatar_identity.landmarks[0, 1] + 1) / 2 * 256).long()
    assert mask.shape == (1, 256, 256) and mask[0, nose[1], nose[0]] == 1 and mask[0, 0, 0] == 0
    assert 0.05 < mask.mean() < 0.5


class Clip:
    """Encodes a prompt as its length, and long prompts as two sections."""

    def tokenize(self, text):
        return text

    def encode_from_tokens_scheduled(self, text):
        sections = 2 if len(text) > 20 else 1
        return [[torch.full((1, 77 * sections, 4), float(len(text))), {"pooled_output": torch.ones(1, 4)}]]


def test_timed_edits_become_one_row_a_frame(pack):
    encoding = pack("nodes.encoding")
    plain = encoding.over_time(Clip(), "abc", [], 50, 25.0)
    assert plain[0][0].shape == (1, 77, 4)
    timed = encoding.over_time(Clip(), "abc", [(1.0, "a" * 30)], 50, 25.0)
    tokens, extra = timed[0]
    assert tokens.shape == (50, 154, 4) and extra["pooled_output"].shape == (50, 4)
    assert tokens[0].unique() == 3 and tokens[-1].unique() == 30


@pytest.mark.parametrize(
    "wave, shape",
    [
        (torch.ones(50), (1, 50)),
        (torch.ones(2, 50), (2, 50)),
        (torch.full((1, 1, 9), 2**14, dtype=torch.int16), (1, 9)),
    ],
)
def test_sounds_of_other_shapes_are_understood(convert, wave, shape):
    samples = convert.sound({"waveform": wave, "sample_rate": 10}).samples
    assert samples.shape == shape and samples.dtype == torch.float32 and 0.5 <= samples.max() <= 1


@pytest.mark.parametrize(
    "wave, words",
    [
        (torch.ones(1, 50, 2), r"must be \[sounds, channels, samples\], but got \[1, 50, 2\]. Swap its axes"),
        (torch.ones(1, 1, 1, 50), r"must be \[sounds, channels, samples\]"),
        (torch.ones(1, 2, 0), r"must hold sound, but is empty \(\[1, 2, 0\]\)"),
        (torch.ones(3, 1, 50), "must be one sound, but is a batch of 3"),
    ],
)
def test_what_is_no_sound_is_one_line(convert, errors, wave, words):
    with pytest.raises(errors.BadInput, match="`audio` " + words) as raised:
        convert.sound({"waveform": wave, "sample_rate": 10})
    assert "\n" not in str(raised.value)


def test_masks_with_a_channel_are_understood_and_other_shapes_named(convert, errors):
    image = torch.ones(1, 4, 4, 3)
    assert torch.equal(convert.masked(image, torch.ones(1, 1, 4, 4)), image)
    with pytest.raises(errors.BadInput, match=r"`mask` must be \[masks, height, width\], but got \[1, 4, 4, 3\]"):
        convert.masked(image, torch.ones(1, 4, 4, 3))


@pytest.mark.parametrize("image", [torch.ones(4, 4, 3), torch.ones(1, 3, 8, 8), torch.ones(0, 4, 4, 3)])
def test_what_is_no_image_is_one_line(convert, errors, image):
    with pytest.raises(errors.BadInput, match=r"`image` must be \[pictures, height, width, 1, 3 or 4\]"):
        convert.pictures(image)
    with pytest.raises(errors.BadInput, match="`image` must hold numbers from 0 to 1, but holds torch.uint8"):
        convert.pictures(torch.ones(1, 2, 2, 3, dtype=torch.uint8))
