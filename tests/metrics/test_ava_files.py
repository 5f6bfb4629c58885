"""AVA's files as people have them, and the lines that are refused."""

from pathlib import Path

import pytest

from videohub.errors import DataError, UsageError
from videohub.metrics.ava_files import read_boxes, read_exclusions, read_label_map


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes) -> Path:
        path = tmp_path / "file"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_boxes_are_read_in_the_order_of_the_file(write):
    boxes = read_boxes(write("v,0902,0.1,0.2,0.3,0.4,12\nw,903,0,0,1,1,80,17\n"))
    assert boxes.keys == ["v,0902", "w,0903"]  # seconds are padded or not
    assert boxes.boxes.tolist() == [[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]]
    assert boxes.labels.tolist() == [12, 80]
    assert boxes.scores is None


def test_detections_bring_a_score(write):
    boxes = read_boxes(write("v,0902,0.1,0.2,0.3,0.4,12,0.5\nv,0902,0.1,0.2,0.3,0.4,13,1e-3\n"), scored=True)
    assert boxes.scores.tolist() == [0.5, 0.001]
    assert boxes.boxes.tolist() == [[0.1, 0.2, 0.3, 0.4]] * 2


def test_a_byte_order_mark_windows_line_ends_blank_lines_and_quotes_are_fine(write):
    boxes = read_boxes(write(b'\xef\xbb\xbfv,0902,0,0,1,1,1\r\n\r\n   \r\n"v",0903,0,0,1,1,2'))
    assert boxes.keys == ["v,0902", "v,0903"]


def test_excluded_moments_and_other_labels_are_left_out(write):
    path = write("v,0902,0,0,1,1,1\nv,0903,0,0,1,1,1\nv,0904,0,0,1,1,9\n")
    boxes = read_boxes(path, labels={1: "stand"}, excluded={"v,0903"})
    assert boxes.keys == ["v,0902"]


def test_an_empty_file_holds_no_boxes(write):
    boxes = read_boxes(write(""), scored=True)
    assert (len(boxes.keys), boxes.boxes.shape, boxes.labels.shape, boxes.scores.shape) == (0, (0, 4), (0,), (0,))


@pytest.mark.parametrize(
    ("text", "scored", "message"),
    [
        (
            "v,0902,0,0,1,1,1\nv,0902,0,0,1\n",
            False,
            "file, line 2: found 5 columns, expected 7 or 8 columns: 'v,",
        ),
        ("v,0902,0,0,1,1,1,2,3\n", False, "line 1: found 9 columns"),
        ("v,0902,0,0,1,1,1\n", True, "line 1: found 7 columns, expected 8 columns, the last a score"),
        ("video,second,x1,y1,x2,y2,label\n", False, "line 1: .*'second'.*no header"),
        ("v,0902,0,0,1,one,1\n", False, "line 1: .*'one'"),
        ("v,0902,0,0,1,nan,1\n", False, "line 1: 'nan' is not a finite number"),
        ("v,0902,0,0,1,1,1\nv,0903,.6,0,.2,1,1\n", False, "line 2: a box ends before it begins, .*'v,0903,"),
        ("v,0902,0,0.5,1,0.4,1\n", False, "line 1: a box ends before it begins"),
        ("v,0902,0,0,1,1,1.5\n", False, "line 1: .*'1.5'"),
        (
            f"v,0902,0,0,1,1,{10**30}\n",
            False,
            "line 1: the label id 1000000000000000000000000000000 is no small number",
        ),
        ("v,902.5,0,0,1,1,1\n", False, "line 1: .*'902.5'"),
        (",902,0,0,1,1,1\n", False, "line 1: the video has no name"),
        ("v,0902,0,0,1,1,\n", False, "line 1: .*''"),
        ("\n\nv,0902,0,0,1,1,1,inf\n", True, "line 3: 'inf' is not a finite number"),
        ('v,0902,0,0,1,1,"1\n', False, "not a csv file"),
        (b"v,0902,0,0,1,1,1\n\xff\n", False, r"line 2: found 1 columns, .*'\\udcff'"),  # names of videos may be such
    ],
)
def test_rows_that_cannot_be_read_stop_with_their_line(write, text, scored, message):
    with pytest.raises(DataError, match=message):
        read_boxes(write(text), scored=scored)


def test_rows_that_are_not_wanted_must_be_readable_too(write):
    with pytest.raises(DataError, match=r"line 1: .*'x'"):
        read_boxes(write("v,0903,0,0,1,x,1\n"), excluded={"v,0903"})


def test_detections_and_rows_that_are_not_wanted_may_end_before_they_begin(write):
    """The official code drops such detections, and looks at no box of another class or of an excluded moment."""
    assert len(read_boxes(write("v,0902,0.6,0,0.2,1,1,0.5\n"), scored=True).labels) == 1
    rows = "v,0902,0.6,0,0.2,1,2\nv,0903,0,1,1,0,1\nv,0904,0.5,0,0.5,1,1\n"  # the last is a line, which is no flaw
    assert read_boxes(write(rows), labels={1}, excluded={"v,0903"}).keys == ["v,0904"]


def test_exclusions_are_keys(write):
    assert read_exclusions(write("v,0902\r\nw,903\r\n\r\n")) == {"v,0902", "w,0903"}
    for text in ("v,0902,1\n", "v\n", "v,x\n", ",0902\n"):
        with pytest.raises(DataError, match=r"line 1: found .*, expected video, second"):
            read_exclusions(write(text))


@pytest.mark.parametrize(
    "text",
    [
        'item {\n  name: "bend"\n  id: 1\n}\nitem {\n  name: "lie/sleep"\n  id: 8\n}\n',
        'label {\n  name: "bend"\n  label_id: 1\n  label_type: PERSON_MOVEMENT\n}\n'
        'label {\n  name: "lie/sleep"\n  label_id: 8\n}\n',
        "item { id: 1, name: 'bend' }\r\n# a comment\r\nitem: { id: 8; name: 'lie/sleep' }",
        b'\xef\xbb\xbfitem{id:1 name:"bend"}item{id:8 name:"lie/sleep"}',
    ],
)
def test_label_maps_are_read_as_both_projects_write_them(write, text):
    assert read_label_map(write(text)) == {1: "bend", 8: "lie/sleep"}


def test_names_may_hold_quotes_and_signs(write):
    text = 'item { name: "say \\"hi\\" {a} # to, a person (e.g., self)" id: 2 }'
    assert read_label_map(write(text)) == {2: 'say "hi" {a} # to, a person (e.g., self)'}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file: expected blocks like"),
        ('item {\n  name: "bend"\n}\n', "line 3: a block ends without a name and a numeric id"),
        ("item {\n  id: 1\n}\n", "line 3: a block ends without a name"),
        ('item {\n  name: "bend"\n  id: one\n}\n', "line 4: .*numeric id"),
        pytest.param(f'item {{ name: "bend" id: {"9" * 5000} }}', "line 1: .*numeric id", id="5000 digits"),
        ('item { name: "bend" id: 1 }\nitem { name: "sit" id: 1 }\n', "line 2: id 1 or name 'sit' was there before"),
        ('item { name: "bend" id: 1 }\nitem { name: "bend" id: 2 }\n', "line 2: id 2 or name 'bend' was there before"),
        ('item { name: "bend" id: 1\n', "the last block has no end"),
        ('item { name: "bend" item { id: 1 } }\n', "line 1: found 'item {'"),
        ('name: "bend"\n', "line 1: found 'name: \"bend\"'"),
        ("}\n", "line 1: found '}'"),
        ("1 bend\n", "line 1: found '1 bend'"),
        ('item { name: "bend }\n', "line 1: found 'name: \"bend }'"),
    ],
)
def test_label_maps_that_cannot_be_read_stop_with_their_line(write, text, message):
    with pytest.raises(DataError, match=message):
        read_label_map(write(text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    for read in (read_boxes, read_exclusions, read_label_map):
        with pytest.raises(UsageError, match="nowhere: the file cannot be read: No such file"):
            read(tmp_path / "nowhere")
