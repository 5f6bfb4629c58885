"""When a recomputed accuracy agrees with the published one; every expectation is worked out by hand."""

import pytest

from videohub.verdict import compare


def answer(published, hits, scored, missing=0):
    return compare("top1", published, hits=hits, scored=scored, missing=missing)


@pytest.mark.parametrize(
    ("published", "hits", "scored", "missing", "expected"),
    [
        (77.0, 7700, 10_000, 0, "consistent"),  # interval 76.2 – 77.8
        (77.9, 7700, 10_000, 0, "consistent"),  # outside the interval, inside the source's ± 0.3
        (78.5, 7700, 10_000, 0, "inconsistent"),
        (75.0, 7700, 10_000, 0, "inconsistent"),  # too good is not what was published either
        (77.0, 8, 10, 0, "insufficient data"),  # 49 – 94 agrees with anything
        (20.0, 8, 10, 0, "inconsistent"),  # but not with this
        (77.0, 7392, 9600, 400, "consistent"),  # 4 % missing: 73.0 – 78.7
        (78.4, 7392, 9600, 400, "insufficient data"),  # the missing 400 could lift 77.0 to 78.7
        (82.0, 7392, 9600, 400, "inconsistent"),  # not even then
        (77.0, 3850, 5000, 5000, "insufficient data"),  # half is missing: anything from 37 to 89
    ],
)
def test_a_verdict_follows_from_counts(published, hits, scored, missing, expected):
    assert answer(published, hits, scored, missing).answer == expected


def test_a_comparison_gives_its_numbers_and_reasons():
    found = answer(77.0, 7392, 9600, 400)
    assert found.recomputed == pytest.approx(77.0)
    assert found.interval == pytest.approx((76.15, 77.83), abs=0.01)  # 77.0 ± 0.84
    assert found.bounds == pytest.approx((73.04, 78.71), abs=0.02)  # 73.92 - 0.88 and 77.92 + 0.80
    assert "0.00 points" in found.reason


def test_reasons_name_the_direction_and_what_could_explain_it():
    assert "1.00 points below the published 78.00" in answer(78.0, 7700, 10_000).reason
    assert "2.00 points above the published 75.00" in answer(75.0, 7700, 10_000).reason
    assert "the 400 missing videos could explain that" in answer(78.4, 7392, 9600, 400).reason


def test_nothing_scored_is_no_comparison():
    with pytest.raises(ValueError, match="count above 0"):
        answer(77.0, 0, 0, 5)
