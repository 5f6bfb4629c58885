"""What has arrived is not asked for again, in this call or the next, here or in another process; unless it is stale."""

from __future__ import annotations

import hashlib
import itertools
import logging
import random
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, failure, kept
from tests.hub.publisher import (
    Answer,
    Asked,
    Behaviour,
    Serve,
    cut,
    first,
    gzipped,
    headed,
    ignoring_ranges,
    later,
    misranging,
    refusing,
    sent,
    serving,
    validators,
)
from videohub.errors import ChecksumError, DownloadError
from videohub.hub import download, http_request, pins

ETAG, MODIFIED = validators(CONTENT)["ETag"], validators(CONTENT)["Last-Modified"]
OTHER = CONTENT[::-1]
NO_MARKS = headed({"ETag": None, "Last-Modified": None})
SIZE = len(CONTENT)

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def warnings(caplog):
    """What was said so far, a list, but for what is told once of any server that is asked again and again."""
    caplog.set_level(logging.WARNING, logger="videohub")
    return lambda: [line for line in caplog.messages if "a request that fails is sent again" not in line]


# --- within a call ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256, "size": SIZE}], ids=["unknown", "known"])
def test_a_download_goes_on_at_the_byte_where_it_broke(publisher, home, warnings, known):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, cut([100_001, 70_000, 1])), **known)
    assert publisher.asked("range") == [None, "bytes=100001-", "bytes=170001-", "bytes=170002-"]
    assert publisher.asked("if-range") == [None, ETAG, ETAG, ETAG]
    assert sum(line.sent for line in publisher.log) == SIZE
    assert warnings() == []


def test_a_silence_costs_nothing_that_arrived_before(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, sent(stall=100_000)))
    assert publisher.asked("range") == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_progress_gives_new_patience(publisher, home):
    """A line that breaks every 10,000 bytes still brings the file."""
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, cut(itertools.repeat(10_000))))
    assert len(publisher.log) == 32 > http_request.ATTEMPTS


WEAK = {"none": None, "a weak ETag": f"W/{ETAG}", "a small w": f"w/{ETAG}", "an empty one": '""', "no quotes": "abc",
        "more than one": f"{ETAG}, {ETAG}"}  # fmt: skip


@pytest.mark.parametrize("modified", [None, MODIFIED], ids=["no date", "a date"])
@pytest.mark.parametrize("etag", WEAK.values(), ids=WEAK)
def test_without_a_strong_etag_only_a_known_digest_allows_to_go_on(publisher, home, etag, modified):
    marks = headed({"ETag": etag, "Last-Modified": modified})
    publisher.publish("/MODEL.pkl", CONTENT, marks, cut([100_000]))
    assert_fetched(home, publisher.url("/MODEL.pkl"), sha256=SHA256)
    assert publisher.asked("range") == [None, "bytes=100000-"]
    assert publisher.asked("if-range") == [None, None]


@pytest.mark.parametrize("modified", [None, MODIFIED], ids=["no date", "a date"])
@pytest.mark.parametrize("etag", WEAK.values(), ids=WEAK)
def test_without_a_strong_etag_and_a_digest_it_starts_over(publisher, home, etag, modified):
    """A date has a second's grain, and a weak ETag stays where bytes differ: both may be of another file by now."""
    marks = headed({"ETag": etag, "Last-Modified": modified})
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, marks, cut([100_000])))
    assert publisher.asked("range") == [None, None]


@pytest.mark.parametrize(
    "marks", [{"ETag": None}, {"ETag": None, "Last-Modified": None}, {"ETag": f"W/{ETAG}"}, {"ETag": '"another"'},
              {"ETag": ETAG.upper()}, {"ETag": ETAG.strip('"')}],
    ids=["a date alone", "nothing", "a weak ETag", "another one", "other case", "no quotes"],
)  # fmt: skip
def test_a_part_that_does_not_vouch_for_its_file_does_not_get_into_one(publisher, home, marks):
    """A server that passes over If-Range, after its file changed: half of the old one and half of the new."""

    def careless(asked: Asked, serve: Serve) -> Answer:
        answer = serve(replace(asked, headers={k: v for k, v in asked.headers.items() if k != "if-range"}))
        return replace(answer, headers={**answer.headers, **marks}) if answer.status == 206 else answer

    url = publisher.publish("/MODEL.pkl", OTHER, careless, later(1, serving(CONTENT)), cut([100_000]))
    assert_fetched(home, url)
    assert publisher.asked("range") == [None, "bytes=100000-", None]
    assert pins.pin_of(url).sha256 == SHA256


def test_a_part_that_vouches_for_nothing_is_compared_where_the_digest_is_known(publisher, home):
    silent = misranging(lambda start, content: (f"bytes {start}-{SIZE - 1}/{SIZE}", content[start:]))

    def unmarked(asked: Asked, serve: Serve) -> Answer:
        answer = serve(asked)
        gone = {"ETag": None, "Last-Modified": None} if answer.status == 206 else {}
        return replace(answer, headers={**answer.headers, **gone})

    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, unmarked, silent, cut([100_000])), sha256=SHA256)
    assert publisher.asked("range") == [None, "bytes=100000-"]


@pytest.mark.parametrize("marks", [{"ETag": None}, {"ETag": f"W/{ETAG}"}], ids=["a date", "a weak ETag"])
def test_what_cannot_be_gone_on_with_is_not_kept(publisher, home, monkeypatch, marks):
    monkeypatch.setattr(http_request, "ATTEMPTS", 1)
    url = publisher.publish("/MODEL.pkl", CONTENT, headed(marks), cut([100_000]))
    assert "Nothing was kept" in failure(home, url)
    assert kept(home) == []


# --- servers that do not play along ----------------------------------------------------------------------------------


def test_a_server_that_ignores_ranges_is_said_to_once(publisher, home, warnings):
    path = "/MODEL.pkl?signature=secret"
    assert_fetched(home, publisher.publish(path, CONTENT, cut([100_000, 110_000, 120_000]), ignoring_ranges))
    assert publisher.asked("range")[1] == "bytes=100000-"
    assert len(publisher.log) == 4
    assert len(warnings()) == 1
    assert f"{publisher.url('/MODEL.pkl')} cannot resume" in warnings()[0]
    assert "secret" not in warnings()[0]


WRONG_PARTS = {
    "a later start": lambda start, content: (f"bytes {start + 1}-{SIZE - 1}/{SIZE}", content[start + 1 :]),
    "an earlier start": lambda start, content: (f"bytes {start - 1}-{SIZE - 1}/{SIZE}", content[start - 1 :]),
    "a longer file": lambda start, content: (f"bytes {start}-{SIZE}/{SIZE + 1}", content[start:] + b"!"),
    "a shorter file": lambda start, content: (f"bytes {start}-{SIZE - 2}/{SIZE - 1}", content[start:-1]),
    "all of it": lambda start, content: (f"bytes 0-{SIZE - 1}/{SIZE}", content),
    "all of it as a part": lambda start, content: (f"bytes {start}-{SIZE - 1}/{SIZE}", content),
    "no word on the range": lambda start, content: (None, content[start:]),
    "some of the rest, and no total": lambda start, content: (f"bytes {start}-199999/*", content[start:200_000]),
    "a total past all counting": lambda start, content: (f"bytes {start}-{SIZE - 1}/{'9' * 5000}", content[start:]),
    "nonsense": lambda start, content: (f"bytes={start}-/many", content[start:]),
}


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}], ids=["unknown", "known"])
@pytest.mark.parametrize("wrong", WRONG_PARTS)
def test_a_wrong_part_does_not_get_into_the_file(publisher, home, warnings, wrong, known):
    url = publisher.publish("/MODEL.pkl", CONTENT, cut([100_000]), misranging(WRONG_PARTS[wrong]))
    assert_fetched(home, url, **known)
    assert publisher.asked("range") == [None, "bytes=100000-", None]
    assert len(warnings()) == 1


def test_some_of_the_rest_is_not_taken_for_all_of_it_where_no_total_was_told(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, cut([100_000]), first(1, sent(chunked=True)),
                            misranging(WRONG_PARTS["some of the rest, and no total"]))  # fmt: skip
    assert_fetched(home, url)


def test_a_part_of_another_file_is_known_by_its_etag(publisher, home):
    """A server that passes over If-Range serves a part of what it has by now."""

    def careless(asked: Asked, serve: Serve) -> Answer:
        return serve(replace(asked, headers={k: v for k, v in asked.headers.items() if k != "if-range"}))

    url = publisher.publish("/MODEL.pkl", OTHER, careless, later(1, serving(CONTENT)), cut([100_000]))
    assert_fetched(home, url)
    assert publisher.asked("range") == [None, "bytes=100000-", None]


@pytest.mark.parametrize("other", [OTHER, OTHER[:150_000], OTHER + OTHER], ids=["as long", "shorter", "longer"])
def test_a_file_that_changes_meanwhile_comes_from_its_beginning(publisher, home, other, warnings):
    url = publisher.publish("/MODEL.pkl", other, later(1, serving(CONTENT)), cut([100_000]))
    assert_fetched(home, url)
    assert [line.status for line in publisher.log] == [200, 200]
    assert pins.pin_of(url).sha256 == SHA256
    assert len(warnings()) == 1


def test_a_range_that_is_not_there_starts_it_over(publisher, home):
    def gone(asked: Asked, serve: Serve) -> Answer:
        return refusing(416)(asked, serve) if "range" in asked.headers else serve(asked)

    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, gone, cut([100_000])))
    assert publisher.asked("range") == [None, "bytes=100000-", None]


def test_a_download_pieced_together_wrongly_has_one_second_chance(publisher, home):
    """Nothing but the digest tells that the second part is another file's."""
    mixed = misranging(lambda start, content: (f"bytes {start}-{SIZE - 1}/{SIZE}", OTHER[start:]))
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, NO_MARKS, cut([100_000]), mixed), sha256=SHA256)
    assert publisher.asked("range") == [None, "bytes=100000-", None]


@pytest.mark.parametrize("cuts", [[], [100_000]], ids=["in one piece", "in two"])
def test_another_file_is_refused_after_it_came_in_one_piece(publisher, home, cuts):
    url = publisher.publish("/MODEL.pkl", OTHER, cut(cuts))
    with pytest.raises(ChecksumError):
        download.fetch(url, name="model", sha256=SHA256)
    assert kept(home) == []
    assert publisher.asked("range") == [None, "bytes=100000-", None][: 2 * len(cuts) + 1]


def test_a_compressed_beginning_is_not_gone_on_with(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, cut([100_000]), gzipped()), sha256=SHA256)
    assert publisher.asked("range") == [None, None]


# --- in the next call ------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(publisher, home, monkeypatch):
    """A URL of which an earlier call brought 100,000 bytes and gave up."""
    url = publisher.publish("/MODEL.pkl", CONTENT, cut([100_000]))
    with monkeypatch.context() as hasty:
        hasty.setattr(http_request, "ATTEMPTS", 1)
        assert "100000 bytes are kept" in failure(home, url)
    part, note = sorted((home / "partial").iterdir(), reverse=True)
    assert (part.suffix, note.suffix, part.read_bytes()) == (".part", ".json", CONTENT[:100_000])
    return url


def test_the_next_call_goes_on(publisher, home, begun):
    assert_fetched(home, begun)
    assert publisher.asked("range") == [None, "bytes=100000-"]
    assert publisher.asked("if-range") == [None, ETAG]


def test_the_next_call_may_be_another_processs(publisher, home, begun):
    program = "import sys; from videohub.hub import download; print(download.fetch(sys.argv[1], name='model').sha256)"
    ended = subprocess.run([sys.executable, "-c", program, begun], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == SHA256
    assert publisher.asked("range") == [None, "bytes=100000-"]
    assert kept(home) == [f"raw/{SHA256}"]


def test_a_call_that_fails_again_keeps_what_came_and_only_that(publisher, home, begun, monkeypatch):
    monkeypatch.setattr(http_request, "ATTEMPTS", 1)
    publisher.publish("/MODEL.pkl", CONTENT, cut([-1, 0, 50_000]))
    for so_far in (100_000, 100_000, 150_000):
        assert f"{so_far} bytes are kept" in failure(home, begun)
        assert [name.rpartition(".")[2] for name in kept(home)] == ["json", "part"]
    assert_fetched(home, begun)
    assert publisher.asked("range")[1:] == ["bytes=100000-"] * 3 + ["bytes=150000-"]


def test_a_file_that_changed_since_the_last_call_comes_from_its_beginning(publisher, home, begun):
    publisher.publish("/MODEL.pkl", OTHER)
    assert download.fetch(begun, name="model").path.read_bytes() == OTHER
    assert kept(home) == [f"raw/{hashlib.sha256(OTHER).hexdigest()}"]


def test_another_url_is_another_file(publisher, home, begun):
    publisher.publish("/OTHER.pkl", OTHER)
    assert download.fetch(publisher.url("/OTHER.pkl"), name="other").path.read_bytes() == OTHER
    assert publisher.asked("range") == [None, None]
    download.fetch(begun, name="model")
    assert publisher.asked("range")[2:] == ["bytes=100000-"]


@pytest.mark.parametrize("note", [None, "", "{", "[]", '{"url": 1}', '{"url": "http://127.0.0.1/OTHER.pkl"}', "\0\xff"])
def test_a_beginning_whose_note_is_damaged_is_thrown_away(publisher, home, begun, note):
    (path,) = (home / "partial").glob("*.json")
    path.unlink() if note is None else path.write_text(note)
    assert_fetched(home, begun)
    assert publisher.asked("range") == [None, None]


@pytest.mark.parametrize("content", [b"", OTHER[:100_000], CONTENT, CONTENT + b"!", OTHER])
def test_a_beginning_that_was_damaged_does_not_get_into_the_file(publisher, home, begun, content):
    (path,) = (home / "partial").glob("*.part")
    path.write_bytes(content)
    assert_fetched(home, begun, sha256=SHA256)


def test_a_refusal_of_the_next_call_does_not_cost_what_is_here(publisher, home, begun):
    publisher.publish("/MODEL.pkl", CONTENT, refusing(404))
    assert "404" in failure(home, begun)
    publisher.publish("/MODEL.pkl", CONTENT)
    assert_fetched(home, begun)
    assert publisher.asked("range")[2:] == ["bytes=100000-"]


# --- at random -------------------------------------------------------------------------------------------------------

MANNERS: list[list[Behaviour]] = [[], [], [sent(chunked=True)], [NO_MARKS], [ignoring_ranges], [gzipped()]]


def test_two_hundred_cuts_at_random_places_leave_right_files_and_nothing_else(publisher, home, monkeypatch):
    def unsteady(asked: Asked, serve: Serve) -> Answer:
        answer = serve(asked)
        return (
            replace(answer, cut=draw.randrange(-1, len(answer.body)), reset=draw.random() < 0.5) if left() else answer
        )

    def left() -> bool:
        return sum(line.cut for line in publisher.log) < planned

    draw, planned, calls = random.Random(0), 0, 0
    monkeypatch.setattr(http_request, "ATTEMPTS", 2)
    for number in itertools.count():
        if planned >= 200:
            break
        planned += draw.randint(1, 9)
        content = draw.randbytes(draw.choice([1, 1000, 100_000, 1_500_000]))
        digest = hashlib.sha256(content).hexdigest()
        url = publisher.publish(f"/{number}.pkl", content, unsteady, *draw.choice(MANNERS))
        known = draw.choice([{}, {"sha256": digest}, {"size": len(content)}])
        fetched = None
        while fetched is None:
            calls += 1
            try:
                fetched = download.fetch(url, name="model", **known)
            except DownloadError:
                assert [name for name in kept(home) if not name.startswith("partial/")] == []
        assert fetched == download.Fetched(home / "raw" / digest, digest)
        assert fetched.path.read_bytes() == content
        assert kept(home) == [f"raw/{digest}"]
        fetched.path.unlink()
    assert sum(line.cut for line in publisher.log) == planned >= 200
    assert calls > number  # some took several calls
    assert sum(line.status == 206 for line in publisher.log) > 50  # many went on
