"""Views made from lists of images, against the original's and against frames that carry their own number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.golden_views import cases, golden_case, how, value_differences
from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol
from tests.data.taken_apart import name, take_apart, write_frames
from videohub.data.decoded import decode
from videohub.data.samples import FrameList
from videohub.data.views import views_of
from videohub.errors import UsageError, VideoError
from videohub.registry.schema import Clip

SEGMENTS = protocol(clips=1, sampling="segments")
SPREAD = protocol(clips=3, sampling="spread")


@pytest.fixture
def thirty_images(tmp_path: Path) -> FrameList:
    """A list of thirty frames, each grey at the level of its number."""
    return write_frames(tmp_path, 30)


@pytest.mark.parametrize("case", [case for case in cases("ssv2", "charades") if not case.endswith("_1x1")])
def test_views_of_a_frame_list_are_the_originals_and_no_other_file_is_needed(case, media, tmp_path):
    facts, expected = golden_case(case)
    frames = take_apart(media / facts["video"], tmp_path, expected["frames"].flatten().tolist())
    rule, clip = how(facts)
    views = views_of(decode(frames, rule, clip), rule)
    assert np.array_equal(np.repeat(views.pts.numpy(), facts["num_crops"], axis=0), expected["frames"])
    assert value_differences(views, facts, expected).max() <= 1e-5


def test_segments_take_their_middle_frames(thirty_images):
    # four segments of 29 / 4 frames: borders 0, 7.25, 14.5, 21.75, 29, rounded 0, 7, 14, 22, 29
    decoded = decode(thirty_images, SEGMENTS, FOUR_FRAMES)
    assert decoded.frames[:, 0, 0, 0].tolist() == [3, 10, 18, 25]
    assert decoded.positions.tolist() == [[0, 1, 2, 3]]
    assert decoded.pts.tolist() == decoded.decode_positions.tolist() == [[3, 10, 18, 25]]


def test_a_frame_that_several_clips_use_is_read_once(thirty_images):
    # clips cover 29 frames and start at 0, 0.5 (even: 0) and 1
    decoded = decode(thirty_images, SPREAD, Clip(frames=8, sampling_rate=4))
    first, last = [0, 4, 8, 12, 16, 20, 24, 28], [1, 5, 9, 13, 17, 21, 25, 29]
    assert decoded.pts.tolist() == [first, first, last]
    assert decoded.frames[:, 0, 0, 0].tolist() == first + last


def test_a_short_list_repeats_its_last_frame(tmp_path):
    decoded = decode(write_frames(tmp_path, 3), SPREAD, FOUR_FRAMES)
    assert decoded.pts.tolist() == [[0, 2, 2, 2]] * 3
    assert len(decoded.frames) == 2


def test_a_missing_image_is_named_with_its_place_in_the_list(thirty_images):
    (thirty_images.folder / name(10)).unlink()
    with pytest.raises(VideoError, match=r"000011\.png: no such image file; it is frame 11 of the 30 in its list"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_a_damaged_image_is_named(thirty_images):
    file = thirty_images.folder / name(10)
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(VideoError, match=r"000011\.png: not an image that can be read, or a damaged one"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_an_empty_image_is_named(thirty_images):
    (thirty_images.folder / name(10)).write_bytes(b"")
    with pytest.raises(VideoError, match=r"000011\.png: the file is empty"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_an_image_of_another_size_is_named(thirty_images):
    Image.fromarray(numbered(10, width=48, height=64)).save(thirty_images.folder / name(10))
    with pytest.raises(VideoError, match=r"000011\.png: this frame is 48x64 pixels large, but 000004\.png .* 64x48"):
        decode(thirty_images, SEGMENTS, FOUR_FRAMES)


def test_damage_to_an_image_that_no_clip_uses_goes_unseen(thirty_images):
    (thirty_images.folder / name(11)).unlink()
    assert decode(thirty_images, SEGMENTS, FOUR_FRAMES).pts.tolist() == [[3, 10, 18, 25]]


def test_windows_of_time_cannot_be_taken_from_a_list(thirty_images):
    with pytest.raises(UsageError, match="proportional sampling needs a video file; a list of frames is none"):
        decode(thirty_images, protocol(), FOUR_FRAMES)


def test_spread_clips_are_at_least_two(thirty_images):
    with pytest.raises(
        UsageError, match=r"test: views\.clips is 1, and clips spread from the first frame to the last are at least 2"
    ):
        decode(thirty_images, protocol(clips=1, sampling="spread"), FOUR_FRAMES)
