"""Listed names find their members: the nearest one, however many are called alike."""

from __future__ import annotations

import pytest

from videohub.data.sets.listed_members import members_of
from videohub.errors import DataError


def found(name: str, *members: str) -> list[str]:
    return [members[place] for place in members_of([name], [("val.tar", member) for member in members]).values()]


@pytest.mark.parametrize(
    ("name", "members", "match"),
    [
        ("a.mp4", ["x/a.mp4"], "x/a.mp4"),
        ("a.mp4", ["x/a.mp4", "a.mp4"], "a.mp4"),
        ("x/a.mp4", ["val/x/a.mp4", "x/a.mp4", "y/a.mp4"], "x/a.mp4"),
        ("k/x/a.mp4", ["y/x/a.mp4", "y/a.mp4", "a.mp4"], "y/x/a.mp4"),
        ("k/x/a.mp4", ["y/a.webm", "x/a.webm", "x/b.mp4"], "x/a.webm"),
        ("x/a.mp4", ["x/a.webm", "y/a.mp4"], "y/a.mp4"),  # a suffix counts more than a folder
        ("x.y/a.mp4", ["x/a.mp4", "x.y/a.mp4"], "x.y/a.mp4"),
    ],
)
def test_the_nearest_member_is_taken(name, members, match):
    assert found(name, *members) == [match]


@pytest.mark.parametrize("members", [["x/a.mp4", "y/a.mp4"], ["a.webm", "a.mkv"], ["a.mp4", "a.mp4"]])
def test_two_that_are_as_near_are_refused(members):
    with pytest.raises(DataError, match="1 listed videos have several members of the tars"):
        found("a.mp4", *members)


def test_it_takes_no_longer_where_all_are_called_alike():
    """Looking at each for each would take hours."""
    members = [("val.tar", f"val/{number:05d}/video.mp4") for number in range(20_000)]
    names = [f"{number:05d}/video.mp4" for number in range(20_000)]
    assert members_of(names, members) == dict(zip(names, range(20_000), strict=True))
