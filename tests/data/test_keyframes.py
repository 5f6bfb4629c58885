"""Key frames and boxes of the AVA protocol, against the original's and worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.data.golden_views import cases, golden_case, how, moment_differences, value_differences
from tests.data.sample_videos import numbered, protocol
from tests.data.taken_apart import name, take_apart, write_frames
from videohub.data.decoded import decode
from videohub.data.geometry import boxes_in_pixels
from videohub.data.levels import apply, split_steps
from videohub.data.samples import FrameList, KeyFrame, VideoFile
from videohub.data.views import views_of
from videohub.errors import UsageError, VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

KEY_FRAMES = protocol(clips=1, crops=1, crop=None, sampling="keyframe")
EIGHT_AROUND = Clip(frames=4, sampling_rate=2)
WHOLE = ((0.0, 0.0, 1.0, 1.0),)


def around(short_side: int) -> Protocol:
    """Return a protocol of key frames of another size."""
    return protocol(clips=1, crop=None, sampling="keyframe", short_side=short_side)


@pytest.mark.parametrize("case", cases("ava"))
def test_views_and_boxes_around_key_frames_are_the_originals(case, media, tmp_path):
    facts, expected = golden_case(case)
    frames = take_apart(media / facts["video"], tmp_path, expected["frames"].flatten().tolist())
    rule, clip = how(facts)
    for view, second in enumerate(facts["seconds"]):
        boxes = tuple(tuple(box) for box in expected["ori_boxes"][view].tolist())
        views = views_of(decode(KeyFrame(frames, (second - 900) * 30, boxes), rule, clip), rule)
        assert len(views) == 1
        assert views.pts[0].tolist() == expected["frames"][view].tolist()
        assert np.abs(views.boxes.numpy() - expected["boxes"][view]).max() <= 1e-4
        assert value_differences(views, facts, expected, first=view).max() <= 1e-5  # one grey level would be 0.017
        assert moment_differences(views, facts, expected, first=view).max() <= 1e-5


@pytest.mark.parametrize(
    ("centre", "expected"),
    [(15, [11, 13, 15, 17]), (1, [0, 0, 1, 3]), (29, [25, 27, 29, 29]), (32, [28, 29, 29, 29]), (60, [29] * 4)],
)
def test_the_key_frame_is_the_third_of_four_and_the_ends_repeat(tmp_path, centre, expected):
    decoded = decode(KeyFrame(write_frames(tmp_path, 30), centre, WHOLE), KEY_FRAMES, EIGHT_AROUND)
    assert decoded.pts.tolist() == [expected]
    assert decoded.frames[decoded.positions[0]][:, 0, 0, 0].tolist() == expected


def test_boxes_are_cut_off_at_the_last_pixel_before_and_after_resizing():
    boxes = ((-0.1, 0.25, 0.5, 1.2), (0.25, 0.5, 1.0, 0.75))
    # 400x200 -> 200x100: at most 399 and 199, then halved and at most 199 and 99
    assert boxes_in_pixels(boxes, 200, 400, around(100)).tolist() == [[0, 25, 100, 99], [50, 50, 199, 75]]


def test_both_axes_take_the_ratio_of_the_long_sides():
    # 320x180 -> 455x256: 455 / 320 = 1.421875 across and down, though 256 / 180 is 1.4222
    assert boxes_in_pixels(((0.25, 0.5, 0.5, 0.75),), 180, 320, around(256)).tolist() == [
        [80 * 1.421875, 90 * 1.421875, 160 * 1.421875, 135 * 1.421875]
    ]
    # 180x320 -> 256x455
    assert boxes_in_pixels(((0.5, 0.25, 0.75, 0.5),), 320, 180, around(256)).tolist() == [
        [90 * 1.421875, 80 * 1.421875, 135 * 1.421875, 160 * 1.421875]
    ]


def test_a_frame_of_the_right_size_keeps_its_pixels():
    picture = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    assert apply(picture, split_steps(around(48))[0]) is picture
    assert boxes_in_pixels(((0.0, 0.0, 0.5, 0.5),), 48, 64, around(48)).tolist() == [[0, 0, 32, 24]]


def test_a_moment_without_boxes_has_none():
    assert boxes_in_pixels((), 180, 320, around(256)).shape == (0, 4)


def test_a_view_is_the_whole_frame_and_its_boxes(tmp_path):
    views = views_of(decode(KeyFrame(write_frames(tmp_path, 30), 15, WHOLE), KEY_FRAMES, EIGHT_AROUND), KEY_FRAMES)
    assert views.shape == (1, 3, 4, 48, 64)
    assert views.boxes.tolist() == [[0, 0, 63, 47]]
    assert (views[0][:, :, 0, 0] * 255).round().tolist() == [[11, 13, 15, 17]] * 3


def test_a_clip_with_a_missing_frame_is_refused(tmp_path):
    frames = write_frames(tmp_path, 30)
    (tmp_path / name(13)).unlink()
    with pytest.raises(VideoError, match=r"000014\.png: no such image file; it is frame 14 of the 30 in its list"):
        decode(KeyFrame(frames, 15, WHOLE), KEY_FRAMES, EIGHT_AROUND)


def test_frames_of_two_sizes_are_refused_even_where_both_resize_to_one(tmp_path):
    frames = write_frames(tmp_path, 30, lambda index: numbered(index, *((64, 48) if index < 15 else (128, 96))))
    with pytest.raises(VideoError, match=r"000016\.png: this frame is 128x96 pixels large, but 000012\.png"):
        decode(KeyFrame(frames, 15, WHOLE), KEY_FRAMES, EIGHT_AROUND)


@pytest.mark.parametrize("source", [VideoFile(Path("absent.mp4")), FrameList(Path("absent"), "1.jpg\n2.jpg")])
def test_nothing_but_key_frames_will_do(source):
    with pytest.raises(UsageError, match="test: this protocol needs key frames and the boxes of the people in them; a"):
        decode(source, KEY_FRAMES, EIGHT_AROUND)


def test_boxes_do_not_go_with_crops():
    how_cropped = protocol(clips=1, crops=1, crop=48, sampling="keyframe")
    with pytest.raises(UsageError, match="Boxes need one clip of whole frames"):
        decode(KeyFrame(FrameList(Path("absent"), "1.jpg"), 0, WHOLE), how_cropped, EIGHT_AROUND)
