"""Views of files, against the original's views of the same files and against pictures worked out by hand."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.golden_views import cases, golden_case, how, moment_differences, value_differences
from tests.data.sample_videos import FOUR_FRAMES, protocol, write_video
from videohub.data import decoded as decoded_file
from videohub.data import views as views_file
from videohub.data.frame_formats import FrameStore
from videohub.data.samples import VideoFile
from videohub.data.video import Video, open_video
from videohub.data.views import Views, read_views
from videohub.errors import UsageError, VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip


@pytest.mark.parametrize("name", cases("kinetics", "ssv2", "charades"))
def test_views_are_the_originals(name, media):
    facts, expected = golden_case(name)
    views = read_views(media / facts["video"], *how(facts))
    per_view = facts["num_crops"]
    assert len(views) == len(expected["frames"])
    assert np.array_equal(np.repeat(ranks(media / facts["video"], views), per_view, axis=0), expected["frames"])
    if facts["dataset"] == "kinetics":  # a list of images has no time stamps
        assert np.array_equal(np.repeat(views.pts.numpy(), per_view, axis=0), expected["pts"])
        assert np.array_equal(np.repeat(views.decode_positions.numpy(), per_view, axis=0), expected["decode_position"])
    assert value_differences(views, facts, expected).max() <= 1e-5
    assert moment_differences(views, facts, expected).max() <= 1e-5
    for number in (0, len(views) - 1):
        chosen = views[number].flatten()[expected[f"p{len(facts['pathway_shapes']) - 1}_idx"][number]].numpy()
        assert np.abs(chosen - expected[f"p{len(facts['pathway_shapes']) - 1}_val"][number]).max() <= 1e-5


def ranks(path: Path, views: Views) -> np.ndarray:
    """Return the rank of each used frame among all frames of the video, in order of time."""
    with open_video(path) as video:
        order = sorted(frame.pts for frame in video.frames())
    return np.searchsorted(order, views.pts.numpy())


def test_a_video_is_opened_decoded_and_prepared_once_for_all_views(media, monkeypatch):
    calls = {"open": 0, "decode": 0, "frames": 0, "keep": 0, "prepare": 0}
    opener, decode, keep, prepare = av.open, Video.frames, FrameStore.add, views_file.prepare

    def counted_open(*args, **kwargs):
        calls["open"] += 1
        return opener(*args, **kwargs)

    def counted_decode(video):
        calls["decode"] += 1
        for frame in decode(video):
            calls["frames"] += 1
            yield frame

    def counted_keep(*args):
        calls["keep"] += 1
        return keep(*args)

    def counted_prepare(frames, *how):
        calls["prepare"] += len(frames)
        return prepare(frames, *how)

    monkeypatch.setattr(av, "open", counted_open)
    monkeypatch.setattr(Video, "frames", counted_decode)
    monkeypatch.setattr(FrameStore, "add", counted_keep)
    monkeypatch.setattr(views_file, "prepare", counted_prepare)
    rule = protocol(clips=10, crops=3, short_side=128, crop=128)
    views = read_views(media / "demo.mp4", rule, Clip(frames=32, sampling_rate=2))
    assert len(views) == 30
    assert (calls["open"], calls["decode"]) == (1, 1)
    assert calls["frames"] <= 280
    assert len(views.frames) == len(torch.unique(views.decode_positions)) < 320
    assert calls["keep"] == calls["prepare"] == len(views.frames)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
@pytest.mark.parametrize("short_side", [48, 40, 20])  # looked up; resized on the device; resized while decoding
def test_views_on_a_gpu_are_those_on_the_cpu(thirty_frames, short_side):
    rule = protocol(clips=2, short_side=short_side, crop=20, mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3))
    decoded = decoded_file.decode(VideoFile(thirty_frames), rule, FOUR_FRAMES)
    on_cpu, on_gpu = (views_file.views_of(decoded, rule, device) for device in ("cpu", "cuda"))
    assert on_gpu[1].is_cuda
    assert torch.allclose(on_gpu.stack().cpu(), on_cpu.stack(), rtol=0, atol=0 if short_side == 48 else 1e-5)


def test_view_four_of_three_crops_is_the_centre_of_the_second_clip(tmp_path):
    path = write_video(tmp_path / "wide.mov", 30, picture=columns)
    views = read_views(path, protocol(clips=2, crops=3), FOUR_FRAMES)
    assert views.offsets == [(0, 0, False), (0, 8, False), (0, 16, False)]
    corner = views[4][:, :, 0, 0] * 255
    assert corner[0].round().tolist() == [8, 8, 8, 8]  # red is the column
    assert corner[1].round().tolist() == [11, 13, 15, 18]  # green is the frame
    assert corner[2].round().tolist() == [0, 0, 0, 0]
    assert views[4].shape == (3, 4, 48, 48)
    assert torch.equal(views.stack()[4], views[4])


def test_crops_of_a_portrait_video_are_top_centre_and_bottom(tmp_path):
    path = write_video(tmp_path / "high.mov", 8, picture=lambda index: columns(index).transpose(1, 0, 2))
    views = read_views(path, protocol(clips=1, crops=3), FOUR_FRAMES)
    assert [round(float(view[0, 0, 0, 0] * 255)) for view in views] == [0, 8, 16]


def test_a_small_video_is_enlarged(tmp_path):
    path = write_video(tmp_path / "small.mov", 8, picture=lambda index: halves(32, 16))
    views = read_views(path, protocol(clips=1, crops=1, short_side=32, crop=32), FOUR_FRAMES)
    # twice as large: 64 wide, crop columns 16 to 47; the edge between 0 and 200 lies at column 32
    assert (views.frames[0, 0, 0, 30:34] * 255).round().tolist() == [0, 50, 150, 200]
    assert (views[0][0, 0, 0, 14:18] * 255).round().tolist() == [0, 50, 150, 200]


def test_without_a_crop_size_a_view_is_the_whole_frame(tmp_path):
    path = write_video(tmp_path / "wide.mov", 8)
    assert read_views(path, protocol(clips=1, crops=1, crop=None), FOUR_FRAMES)[0].shape == (3, 4, 48, 64)


def test_a_view_that_does_not_exist_is_an_index_error(thirty_frames):
    views = read_views(thirty_frames, protocol(clips=2), FOUR_FRAMES)
    with pytest.raises(IndexError, match="view 2 of 2"):
        views[2]


def test_a_cut_video_is_refused_even_if_every_clip_has_some_frames(tmp_path):
    path = write_video(tmp_path / "cut.mov", 30, options={"movflags": "faststart"})
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        ends = packets[25].pos
    path.write_bytes(path.read_bytes()[:ends])  # 25 whole frames; the last clip would start at frame 22
    with pytest.raises(VideoError, match=r"cut\.mov: (cut short|damaged)"):
        read_views(path, protocol(clips=2, sampling="offset"), FOUR_FRAMES)


def test_one_crop_of_segments_is_the_left_one(tmp_path):
    path = write_video(tmp_path / "wide.mov", 8, picture=columns)
    rule = protocol(clips=1, crops=1, sampling="segments")
    assert read_views(path, rule, FOUR_FRAMES).offsets == [(0, 0, False)]
    rule = protocol(clips=2, crops=1, sampling="spread")
    assert read_views(path, rule, FOUR_FRAMES).offsets == [(0, 8, False)]


def test_key_frames_are_refused_before_the_file_is_looked_at():
    with pytest.raises(UsageError, match="test: this protocol needs key frames and the boxes"):
        read_views(Path("absent.mp4"), protocol(clips=1, crop=None, sampling="keyframe"), FOUR_FRAMES)


def test_pictures_that_cannot_be_converted_are_refused(thirty_frames, monkeypatch):
    class Unable:
        def reformat(self, picture, **kwargs):
            raise av.error.NotImplementedError(38, "Function not implemented")  # what swscale says

    monkeypatch.setattr(decoded_file, "VideoReformatter", Unable)
    with pytest.raises(
        VideoError, match=r"thirty\.mov: its pictures \(rgb24, 64x48\) cannot be converted to RGB: Func"
    ):
        read_views(thirty_frames, protocol(), FOUR_FRAMES)


def test_an_image_is_resized_and_its_centre_taken(tmp_path):
    path = tmp_path / "ramp.png"
    ramp = np.arange(250, dtype=np.uint8)[None, :, None].repeat(200, axis=0).repeat(3, axis=2)
    Image.fromarray(ramp).save(path)
    views = read_views(path, image_protocol(), Clip(frames=1, sampling_rate=1))
    # 256 x 320, so a crop of 224 begins at (16, 48); its first column lies at (48.5 * 250 / 320 - 0.5) = 37.390625
    assert views.offsets == [(16, 48, False)]
    assert views.stack().shape == (1, 3, 1, 224, 224)
    expected = [
        (37.390625 / 255 - mean) / std for mean, std in zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), strict=True)
    ]
    assert views[0][:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_grey_image_has_three_equal_channels(tmp_path):
    path = tmp_path / "grey.png"
    Image.new("L", (256, 256), color=51).save(path)
    rule = protocol(clips=1, short_side=256, crop=224, sampling="image")
    view = read_views(path, rule, Clip(frames=1, sampling_rate=1))[0]
    assert torch.allclose(view, torch.full((3, 1, 224, 224), 0.2))


def test_a_file_that_is_no_image_is_refused(tmp_path):
    path = tmp_path / "words.jpg"
    path.write_text("these are only words\n" * 10)
    with pytest.raises(VideoError, match=r"words\.jpg: not an image"):
        read_views(path, image_protocol(), Clip(frames=1, sampling_rate=1))


def test_an_image_that_lost_its_end_is_refused(tmp_path):
    path = tmp_path / "cut.jpg"
    Image.effect_noise((256, 256), 50).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(VideoError, match=r"cut\.jpg: not an image that can be read, or a damaged one"):
        read_views(path, image_protocol(), Clip(frames=1, sampling_rate=1))


def test_an_image_makes_only_one_frame(tmp_path):
    with pytest.raises(UsageError, match="1 clip of 1 frame, not of 4 frames"):
        read_views(tmp_path, image_protocol(), FOUR_FRAMES)


def image_protocol() -> Protocol:
    return protocol(
        clips=1,
        short_side=256,
        crop=224,
        sampling="image",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )


def columns(index: int) -> np.ndarray:
    """Return a picture (48, 64, 3): red is the column, green the frame's number."""
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[..., 0] = np.arange(64)
    picture[..., 1] = index
    return picture


def halves(width: int, height: int) -> np.ndarray:
    """Return a picture whose left half is black and whose right half is 200."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, width // 2 :] = 200
    return picture
