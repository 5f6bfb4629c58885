"""Pictures resized in whole numbers: by hand, and against what OpenCV made of the same pictures."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from videohub.data.levels import resize_linear


def pattern(height: int, width: int) -> np.ndarray:
    """Return a picture without symmetry, whose neighbouring pixels differ much."""
    y, x, channel = np.ogrid[:height, :width, :3]
    return ((y * 89 + x * 57 + channel * 101 + y * x * 7) % 256).astype(np.uint8)


def row(*levels: int) -> np.ndarray:
    """Return a picture one pixel high."""
    return np.array(levels, np.uint8).reshape(1, -1, 1).repeat(3, axis=2)


def test_enlarging_mixes_a_quarter_and_three_quarters_and_repeats_the_edges():
    # centres at -0.25, 0.25, 0.75, 1.25: 0, a quarter of 201, three quarters, 201
    assert resize_linear(row(0, 201), 1, 4)[0, :, 0].tolist() == [0, 50, 151, 201]


def test_shrinking_by_half_averages_two_by_two_and_rounds_half_up():
    picture = np.array([[10, 11, 0, 1], [10, 11, 0, 0]], np.uint8)[..., None].repeat(3, axis=2)
    assert resize_linear(picture, 1, 2)[0, :, 0].tolist() == [11, 0]  # 10.5 and 0.25


def test_shrinking_does_not_average_what_lies_between():
    # centres at 1.5 and 5.5 see two pixels each
    assert resize_linear(row(9, 1, 3, 9, 9, 5, 7, 9), 1, 2)[0, :, 0].tolist() == [2, 6]


def test_channels_do_not_mix():
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[..., 1] = 200
    assert resize_linear(picture, 3, 5).reshape(-1, 3).tolist() == [[0, 200, 0]] * 15


@pytest.mark.parametrize(
    ("size", "resized", "digest"),
    [
        ((180, 320), (256, 455), "5b5d201612a21676"),
        ((240, 320), (256, 341), "43f228f8e4b96c6e"),
        ((360, 640), (256, 455), "6fe63106b04f2dec"),
        ((1080, 1920), (256, 455), "8ddef244b5258e87"),
        ((640, 360), (455, 256), "ca24aaf155d2e6a7"),
        ((512, 640), (256, 320), "059dbb691b2b9a63"),
        ((480, 270), (455, 256), "ce30a25c8c1c4f20"),
        ((256, 300), (256, 77), "de0ca6d066d476f5"),
        ((1, 5), (3, 2), "18db4cc49945d935"),
        ((7, 1), (20, 9), "c756b9e1316de494"),
        ((97, 101), (193, 53), "28155acbdb0b41eb"),
    ],
)
def test_pictures_are_opencvs_to_the_last_bit(size, resized, digest):
    """The digests are of OpenCV 4.14.0 and 5.0.0, which agree: cv2.resize(picture, (width, height))."""
    resized_picture = resize_linear(pattern(*size), *resized)
    assert resized_picture.shape == (*resized, 3)
    assert hashlib.sha256(resized_picture.tobytes()).hexdigest()[:16] == digest
