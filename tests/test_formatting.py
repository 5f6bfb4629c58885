"""Numbers and lists read as a person would write them."""

from __future__ import annotations

import pytest

from videohub.formatting import counted, duration, interval, listed, versions, with_letter, with_unit


@pytest.mark.parametrize(
    ("number", "noun", "expected"),
    [
        (1, "video", "1 video"),
        (0, "video", "0 videos"),
        (19_761, "video", "19,761 videos"),
        (2, "class", "2 classes"),
        (2, "process", "2 processes"),
        (3, "box", "3 boxes"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
        (2, "day", "2 days"),
    ],
)
def test_a_number_has_its_noun(number, noun, expected):
    assert counted(number, noun) == expected


def test_a_list_ends_with_an_and():
    assert [listed("abc"[:count]) for count in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0.0 s"),
        (59.94, "59.9 s"),
        (59.97, "1 min 0 s"),
        (61, "1 min 1 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (3_600_060, "1,000 h 1 min"),
    ],
)
def test_a_duration_has_two_units(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_499, "999 kB"), (999_500, "1 MB"), (138_000_000, "138 MB")],
)
def test_a_size_has_three_digits_and_a_unit(size, expected):
    assert with_unit(size) == expected


def test_an_interval_has_both_ends_and_a_sign_where_it_is_a_difference():
    assert interval((75.5, 76.504)) == "75.50 – 76.50"
    assert interval((-1.0, 2.0), signed=True) == "-1.00 – +2.00"


def test_libraries_stand_in_the_order_of_their_names():
    assert versions({"torch": "2.6.0", "av": "14.0.0"}) == "av 14.0.0, torch 2.6.0"


@pytest.mark.parametrize(
    ("count", "expected"),
    [(999, "999"), (386_022, "386k"), (28_043_472, "28.0M"), (999_600_000, "1.00G"), (2_823_404_100_000, "2.82T")],
)
def test_a_count_has_three_digits_and_a_letter(count, expected):
    assert with_letter(count) == expected
