"""Sizes, offsets and pixels of resized and cropped frames, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from videohub.data.crops import crop_offsets, resized_size
from videohub.data.pixels import normalise, resize
from videohub.errors import UsageError


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (288, 352, (256, 312)),
        (352, 288, (312, 256)),
        (180, 320, (256, 455)),
        (256, 340, (256, 340)),
        (90, 90, (256, 256)),
    ],
)
def test_the_long_side_rounds_down(height, width, expected):
    assert resized_size(height, width, 256) == expected


def test_a_frame_of_the_right_size_is_left_alone():
    frame = torch.rand(1, 3, 256, 340)
    assert resize(frame, 256) is frame


def test_enlarging_interpolates_between_pixel_centres():
    assert resize(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), 4)[0, 0, 0].tolist() == [0, 1, 3, 4]


def test_shrinking_does_not_average_what_lies_between():
    row = torch.tensor([9.0, 1, 3, 9, 9, 5, 7, 9])  # centres at 1.5 and 5.5 see two pixels each
    assert resize(row.expand(1, 1, 8, 8), 2)[0, 0, 0].tolist() == [2, 6]


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (256, 341, [(0, 0), (0, 43), (0, 85)]),  # 42.5 rounds up
        (341, 256, [(0, 0), (43, 0), (85, 0)]),
        (256, 256, [(0, 0), (0, 0), (0, 0)]),
        (261, 261, [(3, 0), (3, 3), (3, 5)]),  # a square counts as wide
    ],
)
def test_three_crops_lie_along_the_longer_side(height, width, expected):
    assert crop_offsets(height, width, 256, 3) == expected


def test_a_single_crop_is_the_centre_and_rounds_up():
    assert crop_offsets(256, 341, 224, 1) == [(16, 59)]


def test_a_crop_larger_than_the_frame_is_refused():
    with pytest.raises(UsageError, match="256 pixels does not fit into a frame of 340x224"):
        crop_offsets(224, 340, 256, 1)


def test_two_crops_are_refused():
    with pytest.raises(UsageError, match="1 or 3 crops, not 2"):
        crop_offsets(256, 340, 256, 2)


def test_each_channel_has_its_own_mean_and_deviation():
    pixels = torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)
    assert normalise(pixels, (0.5, 0.25, 0.25), (0.25, 0.5, 1.0)).flatten().tolist() == [2, 0.5, 0]
