"""What a pattern stands for."""

from __future__ import annotations

import pytest

from videohub import storage
from videohub.errors import UsageError


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("val.tar", ["val.tar"]),
        ("val-{008..011}.tar", ["val-008.tar", "val-009.tar", "val-010.tar", "val-011.tar"]),
        ("val-{8..10}.tar", ["val-10.tar", "val-8.tar", "val-9.tar"]),
        ("{b,a}-{0..1}.tar", ["a-0.tar", "a-1.tar", "b-0.tar", "b-1.tar"]),
        ("{a,a}.tar", ["a.tar"]),
        ("https://host/val-{00..01}.tar?sig=a*b", ["https://host/val-00.tar?sig=a*b", "https://host/val-01.tar?sig=a*b"]),
        ("s3://bucket/val-{0..1}.tar", ["s3://bucket/val-0.tar", "s3://bucket/val-1.tar"]),
    ],
)  # fmt: skip
def test_braces_are_written_out_whether_there_are_files_or_not(pattern, expected):
    assert storage.expand(pattern) == expected


def test_stars_stand_for_the_files_that_are_there(tmp_path):
    for name in ("b-1.tar", "b-0.tar", "a-0.tar", "c.txt"):
        (tmp_path / name).touch()
    assert storage.expand(f"{tmp_path}/*.tar") == [f"{tmp_path}/{name}" for name in ("a-0.tar", "b-0.tar", "b-1.tar")]
    assert storage.expand(f"{tmp_path}/{{a,b}}-?.tar") == storage.expand(f"{tmp_path}/*.tar")
    with pytest.raises(UsageError, match="matches no file"):
        storage.expand(f"{tmp_path}/*.zip")


def test_a_file_that_has_the_very_name_is_meant(tmp_path):
    for name in ("what?.tar", "{a,b}.tar", "[1].tar"):
        (tmp_path / name).touch()
        assert storage.expand(f"{tmp_path}/{name}") == [f"{tmp_path}/{name}"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("val-{3..1}.tar", "ascending"),
        ("val-{0..9999999}.tar", "ascending"),
        ("{000..999}{0000..9999}.tar", "more than 100000"),
        ("val-{a}.tar", "expected such as"),
        ("val-{0..1.tar", "without its other half"),
        ("https://host/*.tar?token=x", "https://host/\\*.tar: found \\*, but a web server cannot list"),
        ("az://container/*.tar", "found az://, expected http"),
        ("file:///val.tar", "without file://"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(pattern, message):
    with pytest.raises(UsageError, match=message) as caught:
        storage.expand(pattern)
    assert "token" not in str(caught.value)
