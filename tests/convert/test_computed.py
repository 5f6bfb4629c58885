"""Computed buffers, against those of the originals."""

import numpy as np
import pytest
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d

from videohub.convert import computed


def test_a_sinusoid_is_the_sine_and_cosine_of_one_angle_by_pairs_of_channels():
    """Position 1 of four channels: sine and cosine of 1 and of 1 / 100."""
    table = computed.sinusoid(grid=(1, 1, 2), width=4)
    assert table.shape == (1, 2, 4)
    assert table[0, 1] == pytest.approx([0.8414710, 0.5403023, 0.0099998, 0.9999500], abs=1e-6)


@pytest.mark.parametrize(
    ("width", "sampled"),
    [
        (
            384,
            {
                144291: 0.9367970824241638,
                385321: 0.528967022895813,
                461345: 0.7371053695678711,
                291965: 0.42751118540763855,
                549667: -0.44321954250335693,
                213731: -0.7764739990234375,
                417969: -0.9659534096717834,
                407183: -0.819765567779541,
            },
        ),
        (
            768,
            {
                916935: 0.9715327024459839,
                898157: -0.660545825958252,
                944602: 0.19263941049575806,
                20494: 0.04733993485569954,
                870844: 0.25330227613449097,
                825979: 0.5281834602355957,
                7439: 0.9998656511306763,
                1031014: -0.4962485730648041,
            },
        ),
    ],
)
def test_the_sinusoid_of_videomae_is_the_original_s_own(width, sampled):
    """Places and values of the table that the authors' network of this width makes for 8 x 14 x 14 positions."""
    table = computed.sinusoid(grid=(8, 14, 14), width=width)
    assert table.shape == (1, 1568, width)
    assert table.ravel()[list(sampled)] == pytest.approx(list(sampled.values()), rel=0, abs=6e-8)  # the last bit of 1


def test_relative_positions_are_counted_with_time_outermost():
    """A window of 2 x 1 x 2: the offset (t, w) is row (t + 1) * 3 + (w + 1)."""
    index = computed.relative_position_index(window=(2, 1, 2))
    assert index.tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


@pytest.mark.parametrize("window", [(8, 7, 7), (2, 3, 5)])
def test_relative_positions_are_those_of_torchvision_s_video_swin(window):
    theirs = ShiftedWindowAttention3d(8, list(window), [0, 0, 0], 1).relative_position_index
    index = computed.relative_position_index(window=window)
    assert np.array_equal(index, theirs.numpy())
