"""Colour conversion on the device: the bits of swscale, or none of it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter

from tests.data.sample_videos import FOUR_FRAMES, protocol, write_video
from videohub.data import decoded_images, pixels
from videohub.data.decoded import decode
from videohub.data.decoded_images import Frame, Matrix, Planar, converted, matrix_of, standard_matrix, to_rgb
from videohub.data.frame_formats import FrameStore
from videohub.data.samples import VideoFile
from videohub.data.views import views_of
from videohub.errors import VideoError

BT_601, BT_709, BT_2020, YCGCO = 5, 1, 9, 8
LIMITED, FULL = 1, 2


def picture(planes, *, colorspace=None, color_range=None, name="yuv420p"):
    """Return a frame of three planes."""
    frame = av.VideoFrame(planes[0].shape[1], planes[0].shape[0], name)
    for plane, values in zip(frame.planes, planes, strict=True):
        padded = np.zeros((plane.height, plane.line_size), np.uint8)
        padded[:, : plane.width] = values
        plane.update(padded.tobytes())
    if colorspace is not None:
        frame.colorspace = colorspace
    if color_range is not None:
        frame.color_range = color_range
    return frame


def noise(height, width, seed=0):
    values = np.random.default_rng(seed)
    half = ((height + 1) // 2, (width + 1) // 2)
    return [values.integers(0, 256, shape, np.uint8) for shape in ((height, width), half, half)]


def swscale(frame):
    return converted(frame, VideoReformatter())


def on_the_device(planes, factors):
    """Convert planes as a device does, and back to 8 bits."""
    planar = Planar(*planes[0].shape, factors)
    row = np.concatenate([plane.ravel() for plane in planes])
    levels = pixels._levels_of_planes(torch.from_numpy(row)[None], planar)[0]
    assert torch.equal(levels, levels.round())
    return levels.permute(1, 2, 0).numpy().astype(np.uint8)


def test_the_factors_are_the_standards():
    # BT.601: R = 255/219 (Y - 16) + 255/224 * 1.402 V, and so on, times 8192
    assert standard_matrix("BT.601", "limited") == Matrix(
        16, luma=9539, red_v=13075, green_u=-3209, green_v=-6660, blue_u=16525
    )
    # BT.709 in full range: R = Y + 1.5748 V, G = Y - 0.1873 U - 0.4681 V, B = Y + 1.8556 U
    assert standard_matrix("BT.709", "full") == Matrix(
        0, luma=8192, red_v=12901, green_u=-1535, green_v=-3835, blue_u=15201
    )


@pytest.mark.parametrize("span", ["limited", "full"])
def test_every_level_of_luma_meets_every_pair_of_chromas_as_in_swscale(span):
    u, v = np.meshgrid(np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8))
    for luma in range(0, 256, 17):
        planes = [np.full((512, 512), luma, np.uint8), u, v]
        frame = picture(planes, name="yuvj420p") if span == "full" else picture(planes, color_range=LIMITED)
        expected = swscale(frame)
        assert np.array_equal(on_the_device(planes, standard_matrix("BT.601", span)), expected)


@pytest.mark.parametrize(
    ("colorspace", "standard"),
    [(1, "BT.709"), (2, "BT.601"), (4, "FCC"), (5, "BT.601"), (6, "BT.601"), (7, "SMPTE 240M"), (9, "BT.2020")],
)
@pytest.mark.parametrize(
    ("name", "color_range", "span"),
    [("yuv420p", 0, "limited"), ("yuv420p", LIMITED, "limited"), ("yuv420p", FULL, "full"), ("yuvj420p", 0, "full")],
)
def test_colours_are_those_of_the_standard_that_the_tags_name(colorspace, standard, name, color_range, span):
    """PyAV before 17 heeds no tag by itself. One of swscale's factors for FCC in full range is not the nearest."""
    planes = noise(48, 64)
    frame = picture(planes, colorspace=colorspace, color_range=color_range, name=name)
    difference = np.abs(swscale(frame).astype(int) - to_rgb(planes, standard_matrix(standard, span)))
    assert difference.max() <= int((standard, span) == ("FCC", "full"))


@pytest.mark.parametrize("size", [(48, 64), (48, 65), (256, 341), (2, 2), (10, 3), (240, 426)])
@pytest.mark.parametrize("colorspace", [None, BT_601, BT_709, BT_2020])
@pytest.mark.parametrize("color_range", [None, FULL])
def test_a_picture_is_converted_as_swscale_does_whatever_its_tags(size, colorspace, color_range):
    planes = noise(*size, seed=1)
    frame = picture(planes, colorspace=colorspace, color_range=color_range)
    factors = matrix_of(frame)
    assert factors is not None
    assert np.array_equal(on_the_device(planes, factors), swscale(frame))
    assert np.array_equal(to_rgb(planes, factors), swscale(frame))


def test_pictures_that_swscale_converts_otherwise_are_left_to_it():
    assert matrix_of(picture(noise(47, 64))) is None  # odd height: it interpolates chroma
    assert matrix_of(av.VideoFrame(64, 48, "yuv444p")) is None
    assert matrix_of(av.VideoFrame(64, 48, "yuv420p10le")) is None


def test_a_swscale_that_rounds_otherwise_is_found_out(monkeypatch):
    class Other:
        def reformat(self, *args, **kwargs):
            given = VideoReformatter().reformat(*args, **kwargs).to_ndarray()
            return av.VideoFrame.from_ndarray(given ^ (given == 77), format="rgb24")

    monkeypatch.setattr(decoded_images, "VideoReformatter", Other)
    decoded_images._probed_matrix.cache_clear()
    try:
        assert matrix_of(picture(noise(48, 64))) is None
    finally:
        decoded_images._probed_matrix.cache_clear()


def coloured(index):
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)


def test_a_video_in_planes_makes_the_same_views_with_half_the_bytes(tmp_path):
    path = write_video(tmp_path / "video.mp4", 30, codec="libx264", pix_fmt="yuv420p", picture=coloured)
    rule = protocol(clips=3, crops=3, short_side=40, crop=40, mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3))
    fast, exact = (decode(VideoFile(path), rule, FOUR_FRAMES, decoder=decoder) for decoder in ("fast", "exact"))
    assert exact.planar is None
    assert fast.planar is not None
    assert 2 * fast.frames.nbytes == exact.frames.nbytes == len(exact.frames) * 48 * 64 * 3
    assert torch.equal(views_of(fast, rule).stack(), views_of(exact, rule).stack())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
def test_a_gpu_makes_the_same_bits_of_planes(tmp_path):
    path = write_video(tmp_path / "video.mp4", 30, codec="libx264", pix_fmt="yuv420p", picture=coloured)
    rule = protocol(clips=3, short_side=48, crop=40, mean=(0.4, 0.5, 0.3), std=(0.2, 0.25, 0.3))
    decoded = decode(VideoFile(path), rule, FOUR_FRAMES, decoder="fast")
    assert decoded.planar is not None
    assert torch.equal(views_of(decoded, rule, "cuda").stack().cpu(), views_of(decoded, rule).stack())


@pytest.mark.parametrize("name", ["demo.mp4", "nasa_13013.mp4", "test.avi"])
def test_the_two_decoders_make_the_same_pixels_of_real_videos(media, name):
    rule = protocol(clips=2, short_side=128, crop=128)
    fast, exact = (decode(VideoFile(media / name), rule, FOUR_FRAMES, decoder=each) for each in ("fast", "exact"))
    assert torch.equal(views_of(fast, rule).frames, views_of(exact, rule).frames)


def test_a_video_whose_colours_are_tagged_anew_on_the_way_is_converted_frame_by_frame(tmp_path):
    def part(colorspace):
        path = tmp_path / f"{colorspace}.ts"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg2video", rate=30)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.colorspace = colorspace
            for index in range(15):
                frame = av.VideoFrame.from_ndarray(coloured(index), format="rgb24").reformat(format="yuv420p")
                frame.pts = index
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path.read_bytes()

    path = tmp_path / "both.ts"
    path.write_bytes(part(BT_601) + part(BT_709))
    rule = protocol(clips=2, sampling="spread")
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert len({frame.colorspace for frame in frames}) == 2
    fast, exact = (decode(VideoFile(path), rule, FOUR_FRAMES, decoder=each) for each in ("fast", "exact"))
    if len({matrix_of(frame) for frame in frames}) == 1:  # before its version 17, PyAV did not look at these tags
        assert int(av.__version__.split(".")[0]) < 17
        assert torch.equal(views_of(fast, rule).frames, views_of(exact, rule).frames)
    else:
        assert fast.planar is None
        assert np.array_equal(fast.frames, exact.frames)


def test_an_interlaced_video_is_left_to_swscale_whose_rows_share_chroma_field_by_field(tmp_path):
    path = tmp_path / "interlaced.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(30):
            frame = av.VideoFrame.from_ndarray(coloured(index), format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with av.open(str(path)) as container:
        assert all(frame.interlaced_frame for frame in container.decode(video=0))
    rule = protocol(clips=2)
    fast, exact = (decode(VideoFile(path), rule, FOUR_FRAMES, decoder=each) for each in ("fast", "exact"))
    assert torch.equal(views_of(fast, rule).frames, views_of(exact, rule).frames)


def test_colours_that_swscale_cannot_convert_are_its_to_refuse():
    frame = picture(noise(48, 64), colorspace=YCGCO)
    try:
        expected = swscale(frame)
    except av.FFmpegError:
        assert matrix_of(frame) is None
        with pytest.raises(VideoError, match=r"video.mp4: its pictures \(yuv420p, 64x48\) cannot be converted to RGB"):
            FrameStore(Path("video.mp4"), protocol(), 1, decoder="fast").add(
                Frame(frame, VideoReformatter(), Path("video.mp4"))
            )
    else:  # FFmpeg 7 takes them for something else
        factors = matrix_of(frame)
        assert factors is None or np.array_equal(to_rgb(noise(48, 64), factors), expected)
