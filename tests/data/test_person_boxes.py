"""Boxes that somebody gives: which moments they make, how their units are told, and what is refused."""

from __future__ import annotations

import json
import logging

import pytest

from videohub.data.person_boxes import as_pixels, key_frames
from videohub.errors import DataError, UsageError

CSV = "time,x1,y1,x2,y2,score\n2.0,10,20,110,220,0.9\n1,0,0,50,60,0.8\n1.0,5,5,60,60,\n1,5,5,60,60,0.79\n"


@pytest.fixture
def file(tmp_path):
    def write(text: str, name: str = "boxes.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def moments(rows, *, units="pixels", threshold=0.8):
    result = key_frames(rows, units=units, threshold=threshold)
    return {time: [(each.box, each.score) for each in boxes] for time, boxes in result.items()}


def test_moments_come_in_order_of_time_and_boxes_that_are_not_sure_are_left_out(file):
    result = moments(file(CSV))
    assert list(result) == [1.0, 2.0]
    assert result == {
        1.0: [((0, 0, 50, 60), 0.8), ((5, 5, 60, 60), None)],  # without a score it stays
        2.0: [((10, 20, 110, 220), 0.9)],
    }


def test_columns_may_stand_in_any_order_and_others_are_left_aside_and_told(file, caplog):
    with caplog.at_level(logging.WARNING, "videohub"):
        result = moments(file("track,x1,x2,y1,y2,time\r\n7,1,3,2,4,0.5\r\n\r\n"))
    assert result == {0.5: [((1, 2, 3, 4), None)]}
    assert "boxes.csv, line 1: left aside: track" in caplog.text


def test_json_has_the_same_names(file):
    rows = [
        {"time": 1, "x1": 0.1, "y1": 0.2, "x2": 0.3, "y2": 0.4, "score": 0.95},
        {"time": 0, "x1": 0, "y1": 0, "x2": 1, "y2": 1},
    ]
    result = moments(file(json.dumps(rows), "boxes.json"), units="fractions")
    assert result == {0.0: [((0, 0, 1, 1), None)], 1.0: [((0.1, 0.2, 0.3, 0.4), 0.95)]}


def test_rows_of_numbers_are_taken_too():
    assert moments([(1, 10, 20, 30, 40), [0.5, 1, 2, 3, 4, 0.9]]) == {
        0.5: [((1, 2, 3, 4), 0.9)],
        1.0: [((10, 20, 30, 40), None)],
    }


@pytest.mark.parametrize(("row", "found"), [((1, 2, 3, 4), "4 values"), (5.0, "a float")])
def test_a_row_of_another_length_is_refused(row, found):
    with pytest.raises(DataError, match=f"boxes, row 0: found {found}, expected time, x1, y1, x2, y2 and perhaps"):
        moments([row])


def test_nobody_is_no_error():
    assert moments([]) == {}


def test_fractions_become_pixels_of_the_frame_and_pixels_stay_as_they_are():
    (given,) = key_frames([(0, 0.25, 0.5, 1.03, 1)], units="fractions", threshold=0)[0]
    assert as_pixels([given], units="fractions", height=200, width=400) == [(100, 100, 412, 200)]
    (given,) = key_frames([(0, 10.5, 20, 399, 210)], units="pixels", threshold=0)[0]
    assert as_pixels([given], units="pixels", height=200, width=400) == [(10.5, 20, 399, 210)]


@pytest.mark.parametrize("box", [(500, 20, 700, 100), (10, 20, 900, 100), (10, -250, 50, -10), (-30, 20, -1, 100)])
def test_pixels_outside_of_the_frame_are_refused_with_its_size(box):
    (given,) = key_frames([(0, *box)], units="pixels", threshold=0)[0]
    with pytest.raises(
        DataError, match=r"boxes, row 0: the box .* does not lie in the frame, which has 400x200 pixels"
    ):
        as_pixels([given], units="pixels", height=200, width=400)


def test_fractions_that_are_said_to_be_pixels_are_refused():
    with pytest.raises(DataError, match=r"row 0: the box 0\.1, 0\.2, 0\.5, 1\.1 and all others look like fractions"):
        key_frames([(0, 0.1, 0.2, 0.5, 1.1), (1, 0, 0, 1, 1)], units="pixels", threshold=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time,x1,y1,x2\n1,2,3,4\n", r"line 1: found time, x1, y1, x2, expected the names .*; y2 is missing"),
        ("1,2,3,4,5\n", r"line 1: found 1, 2, 3, 4, 5, expected the names time, x1"),
        ("", r"line 1: found nothing, expected the names"),
        ("time,x1,y1,x2,y2\n1,2,3,4\n", r"line 2: found 4 values, expected 5 as the first line has"),
        ("time,x1,y1,x2,y2\n1,2,3,four,5\n", r"line 2: found x2 'four', expected a number"),
        ("time,x1,y1,x2,y2\n1,2,3,nan,5\n", r"line 2: found x2 'nan', expected a number"),
        ("time,x1,y1,x2,y2\n1,2,3,4_0,5\n", r"line 2: found x2 '4_0', expected a number"),
        ("time,x1,y1,x2,y2\n\n-1,2,3,4,5\n", r"line 3: found the time -1, expected seconds from the first frame"),
        ("time,x1,y1,x2,y2\n1,4,3,4,5\n", r"line 2: the box 4, 3, 4, 5 has no area; expected x1 < x2"),
        ("time,x1,y1,x2,y2,x1\n1,2,3,4,5,6\n", r"line 1: x1 stands there twice"),
        ("time,x1,y1,x2,y2,score\n1,2,3,4,5,90\n", r"line 2: found the score 90, expected 0 to 1"),
        ("time,x1,y1,x2,y2,score\n1,2,3,4,5,0.3\n", r"line 2: none of 1 boxes has a score of 0\.8 or more"),
        ('{"time": 1}', r"expected a list of objects with time, x1, y1, x2, y2 and perhaps score"),
        ("[1, 2]", r"expected a list of objects"),
        ("[{]", r"found JSON that cannot be read"),
        ('[{"time": true, "x1": 1, "y1": 2, "x2": 3, "y2": 4}]', r"row 0: found time 'True', expected a number"),
        ('[{"time": 0, "x1": 1, "y1": 2, "x2": null, "y2": 4}]', r"row 0: found x2 'None', expected a number"),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_stands(file, text, message):
    with pytest.raises(DataError, match=message):
        key_frames(file(text), units="pixels", threshold=0.8)


def test_fractions_far_outside_of_the_frame_are_refused():
    with pytest.raises(DataError, match=r"row 0: the box 0, 0, 2, 1; expected fractions of the frame, 0 to 1"):
        key_frames([(0, 0, 0, 2, 1)], units="fractions", threshold=0)


def test_bytes_that_are_no_text_and_files_that_are_none_are_refused(tmp_path):
    (tmp_path / "boxes.csv").write_bytes(b"time,x1,y1,x2,y2\n\xff\n")
    with pytest.raises(DataError, match="no UTF-8"):
        key_frames(tmp_path / "boxes.csv", units="pixels", threshold=0)
    (tmp_path / "boxes.csv").write_text("time,x1,y1,x2,y2\n0,1,2,3," + "9" * 200_000)  # more than csv takes
    with pytest.raises(DataError, match=r"boxes\.csv, line 2: found what is no csv"):
        key_frames(tmp_path / "boxes.csv", units="pixels", threshold=0)
    with pytest.raises(UsageError, match=r"absent\.csv: no such boxes file"):
        key_frames(tmp_path / "absent.csv", units="pixels", threshold=0)
    with pytest.raises(UsageError, match="units: found 'percent', expected one of pixels, fractions"):
        key_frames([], units="percent", threshold=0)
