"""Videos: exact frame counts, untouched sound, and nothing half-written."""

from __future__ import annotations

import errno
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch

from portraittalk_core.errors import BadInput, BadMedia
from portraittalk_core.media import soundtrack
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import from_bytes
from portraittalk_core.media.sequence import SequenceWriter, open_writer, write_video
from portraittalk_core.media.soundtrack import SoundTrack, check_sound
from portraittalk_core.media.target import check_target
from portraittalk_core.media.video import VideoWriter, frame_rate, probe, read_video, timed_pictures
from portraittalk_core.types import Frames, Sound


def frame(index: int = 0, height: int = 32, width: int = 48) -> torch.Tensor:
    levels = torch.full((3, height, width), 60, dtype=torch.uint8)
    levels[0, :, : width // 2], levels[1], levels[2] = 200, 40 + 2 * (index % 90), 90
    return levels


def noise(rate: int, channels: int = 1, duration_s: float = 1.0) -> Sound:
    generator = torch.Generator().manual_seed(0)
    slow = torch.randn(channels, 1, round(rate * duration_s) // 8 + 1, generator=generator)
    samples = torch.nn.functional.interpolate(slow, size=round(rate * duration_s), mode="linear")[:, 0]
    return Sound((0.2 * samples).clamp(-1, 1), rate)


def write(path, fps, sound, height=32, width=48):
    with VideoWriter(path, fps, (height, width), sound) as writer:
        for index in range(sound.frame_count(fps)):
            writer.append(frame(index, height, width))


def lag(a: torch.Tensor, b: torch.Tensor) -> int:
    """By how many samples b is later than a."""
    n = 2 * max(len(a), len(b))
    correlation = np.fft.irfft(np.conj(np.fft.rfft(a.numpy(), n)) * np.fft.rfft(b.numpy(), n), n)
    best = int(correlation.argmax())
    return best - n if best > n // 2 else best


def packets(path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(p) for p in container.demux(audio=0) if p.size]


@pytest.mark.parametrize("fps", [25, 29.97, 30, 23.976])
@pytest.mark.parametrize("duration_s", [0.1, 0.4999, 1.013])
def test_frame_count_is_exact_and_sound_is_not_cut(tmp_path, fps, duration_s):
    sound = noise(16000, duration_s=duration_s)
    write(tmp_path / "a.mp4", fps, sound)
    parts, rate, heard = read_video(tmp_path / "a.mp4")
    count = sum(len(part.pixels) for part in parts)
    assert count == max(1, round(sound.samples.shape[1] / 16000 * fps)) == probe(tmp_path / "a.mp4").frames
    assert rate == pytest.approx(float(frame_rate(fps)))
    assert heard is not None and heard.samples.shape[1] == pytest.approx(sound.samples.shape[1], abs=16)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 1), (22050, 1), (44100, 2), (48000, 6), (96000, 2)])
def test_rate_and_channels_are_kept(tmp_path, rate, channels):
    sound = noise(rate, channels)
    write(tmp_path / "a.mp4", 25, sound)
    info = probe(tmp_path / "a.mp4")
    assert (info.audio_codec, info.sample_rate, info.channels) == ("aac", rate, channels)
    heard = read_sound(tmp_path / "a.mp4").samples
    assert lag(sound.samples[0], heard[0]) == 0
    n = min(heard.shape[1], sound.samples.shape[1])
    assert torch.corrcoef(torch.stack([heard[0, :n], sound.samples[0, :n]]))[0, 1] > 0.95


def test_rates_unknown_to_aac_are_raised(tmp_path):
    sound = noise(11000)
    write(tmp_path / "a.mp4", 25, sound)
    assert probe(tmp_path / "a.mp4").sample_rate == 11025
    assert read_sound(tmp_path / "a.mp4").duration_s == pytest.approx(1, abs=0.01)


def test_channels_without_a_layout_are_mixed_with_a_warning(tmp_path, caplog):
    sound = noise(16000, 7)
    check_sound(sound)
    write(tmp_path / "a.mp4", 25, sound)
    assert probe(tmp_path / "a.mp4").channels == 1 and caplog.text.count("7 channels") == 1


def test_mp3_packets_are_copied_and_stay_in_step(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(24000, 1, 2.0).samples.T.numpy(), 24000)
    sound = read_sound(tmp_path / "a.mp3")
    write(tmp_path / "a.mp4", 25, sound)
    assert probe(tmp_path / "a.mp4").audio_codec.startswith("mp3")
    assert packets(tmp_path / "a.mp4") == packets(tmp_path / "a.mp3")
    assert abs(lag(sound.samples[0], read_sound(tmp_path / "a.mp4").samples[0])) <= 24


@pytest.mark.parametrize("kind", ["mp4", "adts"])
def test_aac_packets_are_copied(tmp_path, kind):
    write(tmp_path / "first.mp4", 25, noise(44100, 2))
    source = tmp_path / "first.mp4"
    if kind == "adts":
        source = tmp_path / "a.aac"
        with av.open(str(tmp_path / "first.mp4")) as given, av.open(str(source), "w") as taken:
            stream = taken.add_stream_from_template(given.streams.audio[0])
            for packet in given.demux(audio=0):
                if packet.dts is not None:
                    packet.stream = stream
                    taken.mux(packet)
    sound = read_sound(source)
    write(tmp_path / "second.mp4", 25, sound)
    assert packets(tmp_path / "second.mp4") == packets(tmp_path / "first.mp4")
    assert lag(sound.samples[0], read_sound(tmp_path / "second.mp4").samples[0]) == 0


def test_cut_samples_are_not_replaced_by_the_whole_file(tmp_path):
    soundfile.write(tmp_path / "a.mp3", noise(24000, 1, 2.0).samples.T.numpy(), 24000)
    sound = read_sound(tmp_path / "a.mp3")
    write(tmp_path / "a.mp4", 25, Sound(sound.samples[:, :24000], 24000, sound.path))
    assert read_sound(tmp_path / "a.mp4").duration_s == pytest.approx(1, abs=0.01)


def test_sound_that_starts_late_in_a_video_is_padded(tmp_path):
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 48, 32, "yuv420p"
        track = container.add_stream("flac", rate=16000, layout="mono")
        for index in range(50):
            picture = av.VideoFrame.from_ndarray(frame(index).permute(1, 2, 0).contiguous().numpy(), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(pictures.encode(picture))
        block = av.AudioFrame.from_ndarray(np.full((1, 16000), 8000, np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16000, 8000, Fraction(1, 16000)
        container.mux(track.encode(block))
        container.mux(pictures.encode(None))
        container.mux(track.encode(None))
    samples = read_sound(path).samples[0]
    assert int((samples > 0.1).nonzero()[0]) == pytest.approx(8000, abs=20)


def test_pictures_come_back_in_their_colours(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer:
        writer.append(from_bytes(torch.stack([frame(0)] * 5)))
    parts, _, sound = read_video(tmp_path / "a.mp4", chunk=2)
    got = list(parts)
    assert sound is None and [len(part.pixels) for part in got] == [2, 2, 1]
    difference = (got[0].pixels[0] - from_bytes(frame(0))).abs()
    assert difference[..., 4:18].max() < 0.06 and difference[..., 30:44].max() < 0.06


def test_odd_sizes_are_padded_by_the_edge(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25, (31, 47)) as writer:
        writer.append(frame(0, 31, 47))
    pixels = next(read_video(tmp_path / "a.mp4")[0]).pixels[0]
    assert pixels.shape == (3, 32, 48)
    assert (pixels[:, 31, 47] - pixels[:, 29, 45]).abs().max() < 0.06


@pytest.mark.parametrize("suffix", ["mp4", "webp", "folder"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_nothing(tmp_path, suffix, error):
    target = f"{tmp_path}/out/" if suffix == "folder" else tmp_path / f"out.{suffix}"
    with pytest.raises(error), open_writer(target, 25, (32, 48), noise(16000)) as writer:
        writer.append(frame())
        raise error
    assert not list(tmp_path.iterdir())


def test_failure_keeps_the_existing_file(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"precious")
    with pytest.raises(RuntimeError), VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer:
        writer.append(frame())
        raise RuntimeError
    assert (tmp_path / "a.mp4").read_bytes() == b"precious"
    assert len(list(tmp_path.iterdir())) == 1
    with VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer:
        writer.append(frame())
    assert probe(tmp_path / "a.mp4").frames == 1


def test_failure_while_opening_or_finishing_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(BadMedia, match="no frames"), VideoWriter(tmp_path / "a.mp4", 25, (32, 48)):
        pass
    monkeypatch.setattr(SoundTrack, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 25, (32, 48), noise(16000)) as writer:
        writer.append(frame())
    monkeypatch.setattr(SoundTrack, "__init__", lambda self, *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt), VideoWriter(tmp_path / "a.mp4", 25, (32, 48), noise(16000)):
        pass
    assert not list(tmp_path.iterdir())


def test_missing_frames_are_reported(tmp_path, caplog):
    with VideoWriter(tmp_path / "a.mp4", 25, (32, 48), noise(16000)) as writer:
        writer.append(frame())
    assert "lasts 25 frames, but 1 were written" in caplog.text


def test_wrong_size_and_rate_are_refused(tmp_path):
    with pytest.raises(BadInput, match="must have the writer's size"), VideoWriter(tmp_path / "a.mp4", 25, (9, 9)) as w:
        w.append(frame())
    with pytest.raises(BadInput, match="between 1 and 120, but got 500"):
        VideoWriter(tmp_path / "a.mp4", 500, (32, 48))


def test_frame_rates_are_exact():
    assert frame_rate(29.97) == Fraction(30000, 1001) and frame_rate(23.976) == Fraction(24000, 1001)
    assert frame_rate(25) == 25 and frame_rate(12.5) == Fraction(25, 2) and frame_rate(30.0) == 30


def test_animated_webp(tmp_path, caplog):
    from PIL import Image

    with open_writer(tmp_path / "a.webp", 29.97, (32, 48), noise(16000)) as writer:
        for index in range(30):
            writer.append(frame(3 * index))
    assert "no sound" in caplog.text
    with Image.open(tmp_path / "a.webp") as picture:
        assert picture.n_frames == 30 and picture.size == (48, 32)


@pytest.mark.parametrize("format", ["png", "webp"])
def test_sequences_are_lossless(tmp_path, format):
    from PIL import Image

    frames = torch.stack([frame(0), frame(9)])
    with SequenceWriter(tmp_path / "out", format) as writer:
        writer.append(from_bytes(frames))
        writer.append(frame(20))
    names = sorted((tmp_path / "out").iterdir())
    assert [p.name for p in names] == [f"{i:05d}.{format}" for i in range(3)]
    assert np.array_equal(np.array(Image.open(names[1]).convert("RGB")), frames[1].permute(1, 2, 0).numpy())


def test_sequence_goes_into_an_empty_folder_only(tmp_path):
    (tmp_path / "out").mkdir()
    with SequenceWriter(tmp_path / "out") as writer:
        writer.append(frame())
    with pytest.raises(BadMedia, match="new or empty"):
        SequenceWriter(tmp_path / "out")
    with pytest.raises(BadInput, match="png, webp"):
        SequenceWriter(tmp_path / "other", "gif")


def test_targets_are_checked_before_any_work(tmp_path):
    (tmp_path / "dir.mp4").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "locked.mp4").write_text("x")
    cases = {
        "a.avi": "must end in .mp4 or .webp",
        "a": "must end in",
        "no/a.mp4": "must exist",
        "dir.mp4": "is a folder",
        "file/a.mp4": "must exist",
        "file/": "new or empty",
    }
    for name, rule in cases.items():
        with pytest.raises(BadMedia, match=rule) as caught:
            check_target(f"{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
    assert check_target(f"{tmp_path}/new/") == tmp_path / "new"
    assert check_target(tmp_path / "A.MP4") == tmp_path / "A.MP4"


def test_files_that_are_no_video(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    (tmp_path / "b.mp4").write_bytes(b"nonsense" * 100)
    assert probe(tmp_path / "a.wav").duration_s == 1
    with pytest.raises(BadMedia, match="must have pictures"):
        read_video(tmp_path / "a.wav")
    with pytest.raises(BadMedia, match="no sound or video file"):
        probe(tmp_path / "b.mp4")
    with VideoWriter(tmp_path / "mute.mp4", 25, (32, 48)) as writer:
        writer.append(frame())
    with pytest.raises(BadMedia, match="must have a sound track"):
        read_sound(tmp_path / "mute.mp4")


def test_full_disk_ends_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(BadMedia, match="No space left"), VideoWriter(tmp_path / "a.mp4", 25, (32, 48)) as writer:
        error = av.error.OSError(28, "No space left on device")
        monkeypatch.setattr(writer, "_write", lambda *_: (_ for _ in ()).throw(error))
        writer.append(frame())
    assert not list(tmp_path.iterdir())


def test_pictures_come_with_their_own_times(tmp_path):
    """A rate that varies, and a first picture that is not at 0, as screen recorders and telephones write them."""
    stamps = (300, 340, 380, 700, 740, 1300)  # ms
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 48, 32, "yuv420p", Fraction(1, 1000)
        for index, stamp in enumerate(stamps):
            picture = av.VideoFrame.from_ndarray(frame(index).permute(1, 2, 0).numpy(), format="rgb24")
            picture.pts, picture.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    found = list(timed_pictures(tmp_path / "a.mkv"))
    assert [time_s for time_s, _ in found] == pytest.approx([(stamp - 300) / 1000 for stamp in stamps], abs=0.002)
    assert found[0][1].shape == (3, 32, 48) and -1 <= float(found[0][1].min()) < float(found[0][1].max()) <= 1


def test_a_sound_has_no_pictures(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(1600), 16000)
    with pytest.raises(BadMedia, match="must have pictures"):
        next(timed_pictures(tmp_path / "a.wav"))


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free some space"),
        (errno.EFBIG, "takes no file of that size"),
        (errno.EACCES, "Choose a folder that can be written to"),
        (errno.EROFS, "Choose a folder that can be written to"),
        (errno.ENOENT, "What was written is gone"),
        (errno.ENAMETOOLONG, "shorter name"),
        (errno.EIO, "The disk or the network failed"),
        (errno.EINVAL, "no fault of the disk"),
    ],
)
def test_what_cannot_be_written_names_its_reason_and_its_remedy(tmp_path, monkeypatch, number, remedy):
    error = av.error.OSError(number, os.strerror(number))
    monkeypatch.setattr(VideoWriter, "_open", lambda self: (_ for _ in ()).throw(error))
    with pytest.raises(BadMedia, match=remedy) as caught, VideoWriter(tmp_path / "a.mp4", 25, (32, 48)):
        pass
    said = str(caught.value)
    assert os.strerror(number) in said and ("space" in said) == (number == errno.ENOSPC) and "\n" not in said
    assert not list(tmp_path.iterdir())


def test_a_sound_that_cannot_be_written_is_known_before_the_first_frame(tmp_path, monkeypatch):
    def refuse(*_):
        raise av.error.InvalidDataError(22, "Invalid argument")

    monkeypatch.setattr(soundtrack, "_encoded", refuse)
    asked = iter([Frames(torch.zeros(25, 3, 32, 32), 25.0)])
    with pytest.raises(BadMedia, match=r"The sound \(1 channels at 16000 Hz\) cannot go into an MP4 .*48 kHz WAV"):
        write_video(tmp_path / "a.mp4", asked, noise(16000))
    soundfile.write(tmp_path / "a.wav", noise(16000).samples.T.numpy(), 16000)
    with pytest.raises(BadMedia, match="cannot go into an MP4"):
        soundtrack.read_sound_for(tmp_path / "a.wav", tmp_path / "a.mp4")
    assert soundtrack.read_sound_for(tmp_path / "a.wav", tmp_path / "a.webp").sample_rate == 16000
    assert next(asked) is not None and [p.name for p in tmp_path.iterdir()] == ["a.wav"]
