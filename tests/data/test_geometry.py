"""Sizes, offsets and pixels of resized and cropped frames, worked out by hand."""

from __future__ import annotations

import pytest
import torch

from tests.data.sample_videos import protocol
from videohub import protocols as steps
from videohub.data.geometry import crop_squares, resized_size, squares
from videohub.data.pixels import normalise, resize
from videohub.errors import UsageError


def short_side(pixels: int, long_side: str = "floor", arithmetic: str = "torch_float") -> steps.ResizeShortSide:
    return steps.ResizeShortSide(pixels=pixels, long_side=long_side, arithmetic=arithmetic)


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
    assert resized_size(height, width, [short_side(256)]) == expected


def test_a_frame_of_the_right_size_is_left_alone():
    frame = torch.rand(1, 3, 256, 340)
    assert resize(frame, short_side(256)) is frame


def test_enlarging_interpolates_between_pixel_centres():
    assert resize(torch.tensor([[[[0.0, 4.0], [0.0, 4.0]]]]), short_side(4))[0, 0, 0].tolist() == [0, 1, 3, 4]


def test_shrinking_does_not_average_what_lies_between():
    row = torch.tensor([9.0, 1, 3, 9, 9, 5, 7, 9])  # centres at 1.5 and 5.5 see two pixels each
    assert resize(row.expand(1, 1, 8, 8), short_side(2))[0, 0, 0].tolist() == [2, 6]


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
    crop = steps.Crop(size=256, arithmetic="pyslowfast")
    squares_cut = crop_squares(height, width, crop, ("start", "centre", "end"))
    assert [(square.top, square.left) for square in squares_cut] == expected


def test_a_single_crop_is_the_centre_and_rounds_up():
    crop = steps.Crop(size=224, arithmetic="pyslowfast")
    assert crop_squares(256, 341, crop, ("centre",)) == [(16, 59, False)]


def test_a_crop_larger_than_the_frame_is_refused():
    with pytest.raises(UsageError, match="256 pixels does not fit into a frame of 340x224"):
        squares(224, 340, protocol(crop=256))


def test_each_channel_has_its_own_mean_and_deviation():
    pixels = torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)
    step = steps.Normalise(mean=(0.5, 0.25, 0.25), std=(0.25, 0.5, 1.0))
    assert normalise(pixels, step).flatten().tolist() == [2, 0.5, 0]
