"""Which pictures of a video are read, and when each is seen: by the file's time stamps."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from av.stream import Disposition

from portraittalk_core.errors import BadMedia
from portraittalk_core.media import video
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import to_bytes
from portraittalk_core.media.video import VideoWriter, probe, read_video, timed_pictures


def levels_of(path) -> tuple[list[int], float]:
    """The grey level in the middle of each frame, and the rate."""
    chunks, fps, _ = read_video(path)
    pixels = torch.cat([to_bytes(chunk.pixels) for chunk in chunks])
    return pixels[:, 1, pixels.shape[2] // 2, pixels.shape[3] // 2].tolist(), fps


def write_at(path, times_ms, rate=25, size=(64, 48), first=None):
    """Write grey pictures, each ten levels lighter, seen at these times; `first`: a still picture as stream 0."""
    with av.open(str(path), "w") as container:
        if first is not None:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = size[0], size[1], "yuvj420p"
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = size[0], size[1], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if first is not None:
            picture = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), first, np.uint8), format="rgb24")
            container.mux([*cover.encode(picture.reformat(format="yuvj420p")), *cover.encode(None)])
        for number, time in enumerate(times_ms):
            grey = np.full((size[1], size[0], 3), 50 + 10 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_an_even_rate_gives_each_picture_once(tmp_path):
    write_at(tmp_path / "a.mkv", [40 * k for k in range(10)])
    found, fps = levels_of(tmp_path / "a.mkv")
    assert fps == 25 and found == pytest.approx([50 + 10 * k for k in range(10)], abs=2)


def test_pictures_are_seen_when_the_file_says(tmp_path):
    write_at(tmp_path / "a.mkv", [0, 40, 80, 280, 320])  # the third is shown for five frames
    found, fps = levels_of(tmp_path / "a.mkv")
    at = [found[round(time * fps)] for time in (0, 0.04, 0.08, 0.2, 0.28, 0.32)]
    assert at == pytest.approx([50, 60, 70, 70, 80, 90], abs=2)


def test_a_stream_that_begins_late_begins_with_its_first_picture(tmp_path):
    write_at(tmp_path / "a.mkv", [1000 + 40 * k for k in range(5)])
    assert levels_of(tmp_path / "a.mkv")[0] == pytest.approx([50, 60, 70, 80, 90], abs=2)


def test_a_broken_clock_neither_hangs_nor_loses_pictures(tmp_path, caplog):
    write_at(tmp_path / "a.mkv", [0, 40, 80, 90_000_000, 90_000_040])
    with av.open(str(tmp_path / "a.mkv")) as container:
        from portraittalk_core.media.decoding import decode_pictures

        pictures = list(decode_pictures(container, container.streams.video[0], 25, "a.mkv"))
    assert [int(p[1, 9, 9]) for p in pictures] == pytest.approx([50, 60, 70, 80, 90], abs=2)
    assert [r.getMessage() for r in caplog.records] == [
        "The time stamps of `a.mkv` jump; pictures are taken one after the other there."
    ]


def test_a_broken_clock_makes_no_driving_video_longer(tmp_path):
    write_at(tmp_path / "a.mkv", [0, 40, 80, 90_000_000, 90_000_040])
    times = [time for time, _ in timed_pictures(tmp_path / "a.mkv")]
    assert len(times) == 5 and times == sorted(times) and times[-1] < 2


def test_sound_belongs_to_the_pictures_that_are_shown(tmp_path):
    """A still that plays before the video, in a stream of its own that is not marked as a cover, moves no sound."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        small, large = (container.add_stream("ffv1", rate=25) for _ in range(2))
        large.disposition = Disposition.default
        sound = container.add_stream("flac", rate=16000, layout="mono")
        for stream, (width, height) in ((small, (32, 32)), (large, (128, 96))):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for stream, begin in ((small, 0), (large, 10)):
            for number in range(1 if stream is small else 10):
                frame = av.VideoFrame(stream.width, stream.height, "yuv420p")
                frame.pts, frame.time_base = begin + number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        block = av.AudioFrame.from_ndarray(np.full((1, 6400), 9000, np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16000, 6400, Fraction(1, 16000)
        container.mux([*sound.encode(block), *sound.encode(None)])
    assert probe(tmp_path / "a.mkv").width == 128
    assert read_sound(tmp_path / "a.mkv").samples.shape[1] == pytest.approx(6400, abs=32)


def test_a_cover_that_is_the_first_stream_is_not_the_video(tmp_path):
    write_at(tmp_path / "a.mkv", [40 * k for k in range(8)], first=255)
    assert len(levels_of(tmp_path / "a.mkv")[0]) == 8 and levels_of(tmp_path / "a.mkv")[0][0] == pytest.approx(
        50, abs=2
    )
    assert probe(tmp_path / "a.mkv").video_codec == "ffv1"


def test_pixels_come_back_square(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "sar=4/3"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame(64, 48, "yuv420p")), *stream.encode(None)])
    chunks, _, _ = read_video(tmp_path / "a.mp4")
    assert next(iter(chunks)).pixels.shape[-2:] == (48, 85)


def test_an_animated_webp_says_what_it_is(tmp_path):
    with VideoWriter(tmp_path / "a.webp", 25, (32, 32)) as writer:
        writer.append(torch.rand(3, 3, 32, 32))
    with pytest.raises(BadMedia, match="is an animated WebP, which cannot be read as a video. Export it as MP4"):
        read_video(tmp_path / "a.webp")


def test_a_rate_that_no_video_has_is_said(tmp_path):
    write_at(tmp_path / "a.mkv", [0, 1, 2, 3], rate=1000)
    with pytest.raises(BadMedia, match="must have a frame rate of at most 240 a second"):
        read_video(tmp_path / "a.mkv")


def test_pictures_too_large_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    write_at(tmp_path / "a.mkv", [0])
    monkeypatch.setattr(video, "MAX_PIXELS", 1000)
    with pytest.raises(BadMedia, match="at most 0 Mpx, but has 64 x 48"):
        read_video(tmp_path / "a.mkv")
