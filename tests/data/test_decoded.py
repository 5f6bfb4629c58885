"""What decoding hands over: each frame once, in the smaller of two forms, without torch and without leftovers."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import weakref
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol, write_video
from tests.data.taken_apart import write_frames
from videohub.data import clips as clips_file
from videohub.data import decoded as decoded_file
from videohub.data import frame_formats, memory
from videohub.data.decoded import decode, decode_shared, decoder_versions
from videohub.data.decoded_images import Frame, standard_matrix
from videohub.data.samples import FrameList, ImageFile, KeyFrame, VideoFile
from videohub.data.spec import TestSpec
from videohub.data.video import Video, open_video
from videohub.data.views import read_views, views_of
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip

LIST = protocol(clips=2, sampling="spread")


def noisy(index: int) -> np.ndarray:
    """Return a wide picture of noise that is the frame's own."""
    return np.random.default_rng(index).integers(0, 256, (96, 130, 3), dtype=np.uint8)


def test_frames_come_once_each_as_rgb(thirty_frames):
    decoded = decode(VideoFile(thirty_frames), protocol(clips=4), FOUR_FRAMES)
    # starts 0, 5.5, 11, 16.5 and positions 0, 2.33, 4.67, 7; a window also holds the frame beyond it
    assert decoded.decode_positions.tolist() == [[0, 2, 4, 7], [6, 8, 10, 13], [11, 13, 15, 18], [17, 19, 21, 24]]
    assert decoded.frames.dtype == np.uint8
    assert decoded.frames.shape == (15, 48, 64, 3)  # 13 is in two clips
    assert np.array_equal(decoded.frames[decoded.positions][..., 0, 0, 0], decoded.decode_positions)
    assert decoded.pts.tolist() == (decoded.decode_positions * 512).tolist()  # ticks of 1 / 15360 s
    assert decoded.boxes is None


@pytest.mark.parametrize(
    ("short_side", "form"),
    [(96, np.uint8), (48, np.uint8), (47, np.float32)],  # 96x130 as RGB is as large as 48x65 in float32
)
def test_frames_come_in_the_form_that_takes_fewer_bytes_and_make_the_same_views(tmp_path, short_side, form):
    path = write_video(tmp_path / "noise.mov", 12, picture=noisy)
    rule = protocol(short_side=short_side, crop=40, crops=3, mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3))
    decoded = decode(VideoFile(path), rule, FOUR_FRAMES)
    assert decoded.frames.dtype == form
    for row, position in zip(decoded.positions.ravel(), decoded.decode_positions.ravel(), strict=True):
        pixels = torch.from_numpy(noisy(position)).permute(2, 0, 1)[None].float().div(255)
        normal = (pixels - torch.tensor(rule.normalise.mean).view(3, 1, 1)) / torch.tensor(rule.normalise.std).view(
            3, 1, 1
        )
        size = (short_side, int(130 / 96 * short_side))
        expected = torch.nn.functional.interpolate(normal, size=size, mode="bilinear", align_corners=False)
        assert torch.equal(views_of(decoded, rule).frames[row], expected[0])


def test_what_is_handed_to_another_process_is_no_larger_than_its_frames(thirty_frames):
    decoded = decode(VideoFile(thirty_frames), protocol(clips=30), FOUR_FRAMES)  # room for 120 frames, 30 used at most
    assert len(pickle.dumps(decoded)) < 31 * 48 * 64 * 3


def test_decoding_needs_no_torch():
    program = "import sys; import videohub.data.decoded; print('torch' in sys.modules, 'torchvision' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "False"]


@pytest.fixture
def alive(monkeypatch):
    """The frames out of the decoder that somebody still holds, where nobody collects garbage."""
    held: weakref.WeakSet = weakref.WeakSet()
    decode_frames = Video.frames

    def watched(video):
        for frame in decode_frames(video):
            held.add(frame)
            yield frame

    monkeypatch.setattr(Video, "frames", watched)
    gc.disable()
    yield held
    gc.enable()


def test_no_picture_outlives_decoding_even_if_nobody_collects_garbage(thirty_frames, alive):
    for rule in (protocol(clips=2), LIST):
        decoded = decode(VideoFile(thirty_frames), rule, FOUR_FRAMES)
        assert (len(decoded.frames), len(alive)) == (8, 0)


@pytest.mark.parametrize("tests", [1, 2])
def test_a_failure_keeps_no_picture_and_no_memory_for_frames(damaged_at_frame_twenty, alive, tests):
    given = []

    def room(size):
        memory = np.empty(size, np.uint8)
        given.append(weakref.ref(memory))
        return memory

    specs = [TestSpec(protocol(clips=4), FOUR_FRAMES)] * tests  # the last clip covers frames 17 to 24
    outcomes = decode_shared(VideoFile(damaged_at_frame_twenty), specs, room=room)
    assert all("damaged after" in str(each) for each in outcomes)
    assert given
    assert (len(alive), [memory for memory in given if memory() is not None]) == (0, [])


def test_a_video_that_is_begun_anew_keeps_nothing_of_its_first_decoding(thirty_frames, monkeypatch, alive):
    # the first frame is asked three times: whether it has one, which, and whether that is still the same
    matrices = (standard_matrix(standard, "limited") for standard in ["BT.601"] * 3 + ["BT.709"] * 30)
    monkeypatch.setattr(Frame, "matrix", property(lambda _: next(matrices)))
    monkeypatch.setattr(Frame, "planes", lambda _: [np.zeros(size, np.uint8) for size in ((48, 64), *[(24, 32)] * 2)])
    held = []

    def watched(path):
        held.append(len(alive))
        return open_video(path)

    monkeypatch.setattr(decoded_file, "open_video", watched)
    decoded = decode(VideoFile(thirty_frames), protocol(clips=2), FOUR_FRAMES)
    assert decoded.planar is None
    assert held == [0, 0]


@pytest.mark.parametrize("rule", [LIST, protocol(clips=4)])
def test_a_video_too_large_to_hold_is_decoded_twice_with_the_same_outcome(tmp_path, monkeypatch, rule):
    path = write_video(tmp_path / "video.mkv", 30, codec="ffv1", pix_fmt="bgr0")
    held = decode(VideoFile(path), rule, FOUR_FRAMES)
    monkeypatch.setattr(clips_file, "HELD_BYTES", 100_000)  # eight of its frames
    most, alive = 0, weakref.WeakSet()
    decode_frames = Video.frames

    def counted(video):
        nonlocal most
        for frame in decode_frames(video):
            alive.add(frame)
            most = max(most, len(alive))
            yield frame

    monkeypatch.setattr(Video, "frames", counted)
    again = decode(VideoFile(path), rule, FOUR_FRAMES)
    assert most <= 12  # of 30: those eight, or two clips of four, and some in hand
    for name in ("frames", "positions", "pts", "decode_positions"):
        assert np.array_equal(getattr(again, name), getattr(held, name))


def test_a_video_that_shrinks_between_its_two_decodings_is_refused(tmp_path, monkeypatch):
    path = write_video(tmp_path / "video.mkv", 30, codec="ffv1", pix_fmt="bgr0")
    shorter = write_video(tmp_path / "shorter.mkv", 20, codec="ffv1", pix_fmt="bgr0")
    monkeypatch.setattr(clips_file, "HELD_BYTES", 0)
    monkeypatch.setattr(clips_file, "open_video", lambda path: open_video(shorter))
    with pytest.raises(VideoError, match=r"video\.mkv: fewer frames came out of it than when it was decoded before"):
        decode(VideoFile(path), LIST, FOUR_FRAMES)


def test_frames_that_no_machine_could_hold_are_refused_with_numbers(thirty_frames, monkeypatch):
    monkeypatch.setattr(frame_formats, "MOST_BYTES", 70_000)  # two clips of four frames of 9216 bytes: 73,728
    with pytest.raises(
        VideoError, match=r"thirty\.mov: 8 frames of 64x48 need 0\.0 GiB of memory, more than the 0 GiB"
    ):
        decode(VideoFile(thirty_frames), protocol(clips=2), FOUR_FRAMES)


def test_a_window_that_no_machine_could_hold_is_refused_with_numbers(thirty_frames, monkeypatch):
    # a window holds 8 frames of 9216 bytes, and one more
    monkeypatch.setattr(memory, "for_one_video", lambda share: 60_000)
    with pytest.raises(VideoError, match=r"thirty\.mov: a clip holds 7 frames and more of 64x48 while it is decoded"):
        decode(VideoFile(thirty_frames), protocol(clips=2), FOUR_FRAMES)


def test_a_picture_that_changes_its_shape_is_refused(tmp_path):
    def part(width: int, height: int) -> bytes:
        picture = numbered(100, width, height)
        path = tmp_path / f"{width}.ts"
        return write_video(path, 15, codec="mpeg2video", pix_fmt="yuv420p", picture=lambda _: picture).read_bytes()

    # one stream after the other, as some recorders leave them
    whole = part(64, 48) + part(80, 64)
    (tmp_path / "changing.ts").write_bytes(whole)
    with pytest.raises(VideoError, match=r"changing\.ts: the picture changes its shape .*, from 64x48 to 80x64"):
        decode(VideoFile(tmp_path / "changing.ts"), LIST, FOUR_FRAMES)


def test_an_image_is_one_frame(tmp_path):
    write_frames(tmp_path, 1, lambda index: numbered(51))
    rule = protocol(clips=1, sampling="image")
    decoded = decode(ImageFile(tmp_path / "000001.png"), rule, Clip(frames=1, sampling_rate=1))
    assert decoded.frames.shape == (1, 48, 64, 3)
    assert decoded.positions.tolist() == decoded.pts.tolist() == decoded.decode_positions.tolist() == [[0]]


@pytest.mark.parametrize(
    ("rule", "source", "says"),
    [
        (protocol(), ImageFile(Path("a.jpg")), "proportional sampling needs a video file; an image is none"),
        (LIST, ImageFile(Path("a.jpg")), "spread sampling needs a list of frames or a video file; an image is none"),
        (LIST, KeyFrame(FrameList(Path(), "a.jpg"), 0, ()), "or a video file; a key frame is none"),
        (
            protocol(clips=1, sampling="image"),
            VideoFile(Path("a.mp4")),
            "image sampling needs an image; a video file is none",
        ),
    ],
)
def test_a_source_that_the_protocol_cannot_use_is_refused_before_it_is_opened(rule, source, says):
    with pytest.raises(UsageError, match=says):
        decode(source, rule, FOUR_FRAMES)


def test_reports_can_name_the_software_that_decoded():
    versions = decoder_versions()
    assert list(versions) == ["av", "libavcodec", "libavformat", "libswscale", "pillow"]
    assert versions["av"] == av.__version__
    assert all(part.isdigit() for name in versions if name.startswith("lib") for part in versions[name].split("."))


def test_views_of_a_file_are_those_of_its_decoded_frames(thirty_frames):
    rule = protocol(clips=2, crops=3)
    views = views_of(decode(VideoFile(thirty_frames), rule, FOUR_FRAMES), rule)
    assert torch.equal(read_views(thirty_frames, rule, FOUR_FRAMES).stack(), views.stack())
    assert views.boxes is None
