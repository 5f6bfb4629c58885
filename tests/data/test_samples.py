"""Members of tars are asked for ahead of who decodes them; one that cannot be had is one video that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from videohub.data.samples import STREAMED, FrameList, ImageFile, ShardMember, VideoFile, fetched, fetched_ahead
from videohub.errors import DownloadError, FileChangedError, VideoError
from videohub.storage import ranges


def far(number: int, size: int = 10) -> VideoFile:
    return VideoFile(
        Path(f"{number}.mp4"), ShardMember("https://far.example/a.tar", f"{number}.mp4", 100 * number, size, "v")
    )


@pytest.fixture
def asked(monkeypatch):
    """The ranges that were asked for, whose bytes say which they are; number 3 cannot be had, number 4 has changed."""
    asked = []

    def read_range(location, start, stop, *, version):
        asked.append((start, stop))
        if start == 300:
            raise DownloadError("cut off five times")
        if start == 400:
            raise FileChangedError("has changed")
        return b"%d" % start

    monkeypatch.setattr(ranges, "read_range", read_range)
    return asked


def test_bytes_come_along_in_the_order_of_the_sources(asked):
    others = [VideoFile(Path("here.mp4")), ImageFile(Path("here.jpg")), FrameList(Path("here"), "1.jpg")]
    near = VideoFile(Path("b.mp4"), ShardMember("/disk/a.tar", "b.mp4", 0, 10, "v"))
    sources = [far(1), *others, far(2), near, far(5, STREAMED)]
    got = list(fetched_ahead(enumerate(sources)))
    assert [key for key, _ in got] == list(range(7))
    assert [source.member.content for _, source in (got[0], got[4])] == [b"100", b"200"]
    assert [source for key, source in got if key not in (0, 4)] == [*others, near, far(5, STREAMED)]
    assert sorted(asked) == [(100, 110), (200, 210)]


def test_one_that_cannot_be_had_is_its_own_failure_and_costs_no_other(asked):
    got = dict(fetched_ahead([(number, far(number)) for number in (3, 1)]))
    assert got[1].member.content == b"100"
    with pytest.raises(VideoError, match=r"^https://far.example/a.tar/3.mp4: cut off five times$"):
        got[3].member.open()


def test_a_tar_that_has_changed_ends_it(asked):
    sources = fetched_ahead([(number, far(number)) for number in (1, 4, 2)])
    assert next(sources)[0] == 1
    with pytest.raises(FileChangedError):
        next(sources)


def test_a_source_is_decoded_with_the_bytes_that_came_along(media):
    content = (media / "demo.mp4").read_bytes()
    member = ShardMember("https://nobody.invalid/a.tar", "demo.mp4", 0, len(content), "v", content=content)
    assert fetched(VideoFile(Path("demo.mp4"), member)).member.content is content
    assert member.open().read() == content


def test_many_in_a_row_that_cannot_be_had_end_the_run_and_are_not_its_videos_fault(monkeypatch):
    def read_range(location, start, stop, *, version):
        if start // 100 in (5, 70):  # these answer
            return b"x"
        raise DownloadError(f"no answer for {start}")

    monkeypatch.setattr(ranges, "read_range", read_range)
    given = []
    with pytest.raises(DownloadError, match="32 videos in a row cannot be had, the last for this reason:\n  no answer"):
        given.extend(key for key, _ in fetched_ahead((number, far(number)) for number in range(200)))
    assert given == list(range(6 + 31))  # after number 5, the 32nd is the one that ends it
    assert [key for key, _ in fetched_ahead((number, far(number)) for number in range(50, 80))] == list(range(50, 80))
