"""The fixed positions of tokens, against arithmetic by hand and the original's own table."""

import pytest

from videohub.sinusoid import sinusoid


def test_a_sinusoid_is_the_sine_and_cosine_of_one_angle_by_pairs_of_channels():
    """Position 1 of four channels: sine and cosine of 1 and of 1 / 100."""
    table = sinusoid(count=2, width=4)
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
    table = sinusoid(count=8 * 14 * 14, width=width)
    assert table.shape == (1, 1568, width)
    assert table.ravel()[list(sampled)] == pytest.approx(list(sampled.values()), rel=0, abs=6e-8)  # the last bit of 1
