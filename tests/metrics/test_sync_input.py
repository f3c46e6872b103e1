"""Crops and cepstra of the SyncNet protocol against the protocol's own tools, and LSE from a stream of pictures."""

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.metrics import sync
from portraittalk_core.metrics.functional import sync_input, sync_score

RATE = 16_000


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(4)


@pytest.fixture
def voice(noise):
    """Speech-like sound with loud and silent parts."""
    time = torch.arange(3 * RATE) / RATE
    tone = sum(torch.sin(6.283 * 140 * k * time + k) / k for k in range(1, 30))
    return 0.1 * tone * (torch.sin(6.283 * 2 * time).clamp(min=0)) + 1e-3 * torch.randn(len(time), generator=noise)


def slow_mfcc(samples):
    """Cepstra of 16-bit samples by the book: a matrix of sines, triangles one bin at a time, scipy's cosines."""
    fft = pytest.importorskip("scipy.fft", reason="scipy is not installed: pip install scipy")
    signal = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
    count = 1 if len(signal) <= 400 else 1 + int(np.ceil((len(signal) - 400) / 160))
    signal = np.append(signal, np.zeros((count - 1) * 160 + 400 - len(signal)))
    turns = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    mels = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    corners = np.floor(513 * 700 * (10 ** (mels / 2595) - 1) / 16000).astype(int)
    triangles = np.zeros((26, 257))
    for j in range(26):
        for i in range(corners[j], corners[j + 1]):
            triangles[j, i] = (i - corners[j]) / (corners[j + 1] - corners[j])
        for i in range(corners[j + 1], corners[j + 2]):
            triangles[j, i] = (corners[j + 2] - i) / (corners[j + 2] - corners[j + 1])
    rows = []
    for k in range(count):
        power = np.abs(turns @ signal[k * 160 : k * 160 + 400]) ** 2 / 512
        bands = triangles @ power
        bands[bands == 0] = np.finfo(float).eps
        row = fft.dct(np.log(bands), type=2, norm="ortho")[:13] * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
        row[0] = np.log(power.sum() or np.finfo(float).eps)
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("samples", [200, 400, 401, 16000, 47989])
def test_cepstra_are_those_of_a_slow_formula(voice, samples):
    cut = voice[:samples]
    expected = slow_mfcc((cut.double() * 32768).round().numpy())
    found = sync_input.mfcc(cut)
    assert found.shape == expected.shape and found.dtype == torch.float32
    assert np.abs(found.numpy() - expected).max() < 1e-4


@pytest.mark.parity
def test_cepstra_are_those_of_the_package_of_the_protocol(voice, capsys):
    package = pytest.importorskip("python_speech_features", reason="pip install python_speech_features")
    integers = (voice.double() * 32768).round().numpy().astype(np.int16)
    expected = package.mfcc(integers, RATE)
    difference = np.abs(sync_input.mfcc(voice).numpy() - expected).max()
    with capsys.disabled():
        print(f"\nmfcc: max difference {difference:.1e} at std {expected.std():.1f}")
    assert difference < 1e-4


def test_digital_silence_has_finite_cepstra():
    assert torch.isfinite(sync_input.mfcc(torch.zeros(RATE))).all()


def test_a_frame_hears_the_twenty_columns_beside_it(voice):
    columns = sync_input.mfcc(voice)
    windows = sync_input.sound_windows(voice, 70)
    for v in (0, 1, 69):
        assert torch.equal(windows[v], columns[4 * v : 4 * v + 20].T)
    with pytest.raises(BadInput, match="must last 3.20 s for 76 frames, but lasts 3.00 s"):
        sync_input.sound_windows(voice, 76)


def test_frames_are_taken_at_25_a_second():
    assert sync_input.frames_at_25(50, 25.0).tolist() == list(range(50))
    assert sync_input.frames_at_25(60, 30.0).tolist()[:6] == [0, 1, 3, 4, 5, 6]
    for fps in (12.5, 29.97, 60.0):
        at = sync_input.frames_at_25(round(4 * fps), fps)
        middles = (at.double() + 0.5) / fps
        wanted = (torch.arange(len(at)).double() + 0.5) / 25
        assert abs(len(at) - 100) <= 1 and float((middles - wanted).abs().max()) <= 0.5 / fps + 1e-6
    with pytest.raises(BadInput, match="`fps` must be positive"):
        sync_input.frames_at_25(10, 0.0)


def moving_boxes(frames):
    step = torch.arange(frames, dtype=torch.float64)[:, None]
    return torch.tensor([[60.0, 40.0, 130.0, 140.0]]) + torch.cat([step, step / 2, step, step / 2], 1) * 0.3


def test_the_longest_run_of_one_face_is_followed_through_gaps():
    boxes = moving_boxes(200)
    holes = boxes.clone()
    holes[:7] = holes[50:74] = holes[150:180] = torch.nan
    first, track = sync_input.longest_track(holes)
    assert first == 7 and len(track) == 143
    torch.testing.assert_close(track, boxes[7:150])  # they move evenly, so filling in finds what was taken out
    jumps = boxes.clone()
    jumps[120:] += 80
    assert sync_input.longest_track(jumps)[0] == 0 and len(sync_input.longest_track(jumps)[1]) == 120
    with pytest.raises(BadInput, match="no frame has a face"):
        sync_input.longest_track(torch.full((5, 4), torch.nan))
    lonely = torch.full((5, 4), torch.nan, dtype=torch.float64)
    lonely[3] = boxes[3]
    first, track = sync_input.longest_track(lonely)
    assert first == 3 and torch.equal(track, boxes[3:4])


@pytest.mark.parametrize(
    "place", [(60.3, 40.2, 130.9, 140.7), (-20.0, -30.5, 60.0, 80.25), (150.0, 90.0, 250.0, 190.0)]
)
def test_a_crop_is_that_of_the_protocol(noise, place):
    """The steps of the pipeline with numpy, scipy and OpenCV; colours are blue, green, red there."""
    cv2 = pytest.importorskip("cv2")
    signal = pytest.importorskip("scipy.signal", reason="scipy is not installed: pip install scipy")
    boxes = torch.tensor([place], dtype=torch.float64).repeat(20, 1) + torch.randn(20, 1, generator=noise).double()
    pixels = torch.rand(3, 180, 220, generator=noise) * 2 - 1
    b = boxes.numpy()
    s = signal.medfilt(np.maximum(b[:, 3] - b[:, 1], b[:, 2] - b[:, 0]) / 2, 13)
    y, x = (signal.medfilt((b[:, i] + b[:, i + 2]) / 2, 13) for i in (1, 0))
    squares = sync_input.steady_squares(boxes)
    assert np.allclose(squares.numpy(), np.stack([x, y, s], 1))
    image = ((pixels * 127.5 + 127.5).round().byte().permute(1, 2, 0).numpy())[:, :, ::-1]
    for i in (0, 10, 19):
        pad = int(s[i] * 1.8)
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), constant_values=110)
        my, mx = y[i] + pad, x[i] + pad
        face = padded[int(my - s[i]) : int(my + s[i] * 1.8), int(mx - s[i] * 1.4) : int(mx + s[i] * 1.4)]
        expected = cv2.resize(np.ascontiguousarray(face), (224, 224)).transpose(2, 0, 1).astype(int)
        found = sync_input.crop_face(pixels, squares[i]).numpy()
        assert np.abs(found - expected).max() <= 1, "OpenCV rounds its weights to 11 bits"
    with pytest.raises(BadInput, match="must lie in the picture"):
        sync_input.crop_face(pixels, torch.tensor([50.0, 50.0, 0.0]))


def test_boxes_of_landmarks_reach_from_the_forehead_to_the_chin():
    face = torch.tensor([[10.0, 20.0], [30.0, 60.0], [50.0, 40.0]]).expand(2, 3, 2).clone()
    face[1] = torch.nan
    boxes = sync_input.face_boxes(face)
    assert boxes[0].tolist() == [10, 8, 50, 60] and boxes[1].isnan().all()


class Ear:
    """A network that sees one number in a picture and hears one in a window: their time."""

    def lips(self, frames):
        assert frames.shape[1:] == (3, 224, 224) and len(frames) >= 5
        level = frames[:-4, 0, 0, 0] * 10
        return torch.stack([level.sin(), level.cos(), (3.1 * level).sin()], 1)

    def sound(self, mfcc):
        assert mfcc.shape[1:] == (13, 20)
        level = self.levels[self.at : self.at + len(mfcc)] * 10
        self.at += len(mfcc)
        return torch.stack([level.sin(), level.cos(), (3.1 * level).sin()], 1)


def stream(levels, size=7):
    """Yield pictures of one gray level each, a few at a time; they are outside every crop's frame, so it is seen."""
    for part in levels.split(size):
        yield (part[:, None, None, None] / 127.5 - 1).expand(-1, 3, 60, 60)


def still_boxes(frames):
    return torch.tensor([[20.0, 20.0, 40.0, 40.0]]).repeat(frames, 1)


@pytest.mark.parametrize("late", [0, 5, -7])
def test_lse_of_a_stream_is_the_formula_on_its_embeddings(noise, late):
    levels = torch.randint(0, 250, (160,), generator=noise).float()
    ear = Ear()
    ear.levels, ear.at = levels.roll(late), 0
    audio = 0.1 * torch.randn(160 * 640, generator=noise)
    found = sync.score_sync(stream(levels), still_boxes(160), 25.0, audio, ear)
    inner = Ear()
    inner.levels, inner.at = levels.roll(late), 0
    lips = inner.lips(levels[:, None, None, None].expand(-1, 3, 224, 224)[:159])
    expected = sync_score(lips, inner.sound(torch.zeros(155, 13, 20)))
    assert found.offset_frames == expected.offset_frames == late
    torch.testing.assert_close(found.curve, expected.curve)
    assert (found.lse_d, found.lse_c) == (pytest.approx(expected.lse_d), pytest.approx(expected.lse_c))


def test_lse_takes_the_frames_of_other_rates_and_of_the_seen_part(noise):
    levels = torch.randint(0, 250, (300,), generator=noise).float()
    boxes = still_boxes(300)
    boxes[:60] = torch.nan
    ear, audio = Ear(), 0.1 * torch.randn(10 * RATE, generator=noise)
    at = sync_input.frames_at_25(300, 30.0)
    first = int((at >= 60).nonzero()[0])
    ear.levels, ear.at = levels[at[first:]], 0
    found = sync.score_sync(stream(levels, 11), boxes, 30.0, audio, ear)
    assert found.offset_frames == 0 and found.lse_d < 1e-4 and ear.at == 250 - first - 5


def test_what_lse_cannot_score_is_one_line(noise):
    levels, audio = torch.zeros(120), 0.1 * torch.randn(RATE * 5, generator=noise)
    ear = Ear()
    ear.levels, ear.at = levels, 0
    with pytest.raises(BadInput, match="unscored.*100 frames at 25 fps together, but last 99"):
        sync.score_sync(stream(levels), still_boxes(99), 25.0, audio, ear)
    with pytest.raises(BadInput, match="but last 75"):
        sync.score_sync(stream(levels), still_boxes(120), 25.0, audio[: 3 * RATE], ear)
    with pytest.raises(BadInput, match="must have the 120 pictures that `boxes` has, but ended before"):
        sync.score_sync(stream(levels[:80]), still_boxes(120), 25.0, audio, ear)
