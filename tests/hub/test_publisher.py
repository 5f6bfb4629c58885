"""The tests' publisher does what it is told to: a fault that is never served would make a test of it empty."""

from __future__ import annotations

import gzip
import http.client
import time

import pytest

from tests.hub.publisher import (
    LOG_IN,
    Publisher,
    cut,
    first,
    gzipped,
    headed,
    ignoring_ranges,
    later,
    misranging,
    redirecting,
    refusing,
    sent,
    serving,
    validators,
)

CONTENT = bytes(range(256)) * 400
OTHER = CONTENT[::-1]


def get(
    publisher: Publisher, path: str = "/MODEL.pkl", method: str = "GET", timeout: float = 5, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """The answer to one request and the body, as a reader gets them who asks no questions."""
    connection = http.client.HTTPConnection("127.0.0.1", publisher.port, timeout=timeout)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def broken(publisher: Publisher, **headers: str) -> bytes:
    """What arrives of a body that is cut short."""
    with pytest.raises(http.client.IncompleteRead) as error:
        get(publisher, **headers)
    return error.value.partial


# --- good manners ----------------------------------------------------------------------------------------------------


def test_a_file_comes_whole_with_its_length_and_validators(publisher):
    publisher.publish("/MODEL.pkl", CONTENT)
    answer, body = get(publisher, Accept_Encoding="identity")
    assert (answer.status, body) == (200, CONTENT)
    assert answer.headers["Content-Length"] == "102400"
    assert {name: answer.headers[name] for name in ("ETag", "Last-Modified")} == validators(CONTENT)
    assert publisher.asked("accept-encoding") == ["identity"]
    assert [(line.status, line.sent, line.cut) for line in publisher.log] == [(200, 102400, False)]


def test_the_head_comes_without_a_body(publisher):
    publisher.publish("/MODEL.pkl", CONTENT)
    answer, body = get(publisher, method="HEAD")
    assert (answer.status, answer.headers["Content-Length"], body) == (200, "102400", b"")
    assert [(line.method, line.sent) for line in publisher.log] == [("HEAD", 0)]


def test_one_connection_serves_several_requests(publisher):
    publisher.publish("/MODEL.pkl", CONTENT)
    connection = http.client.HTTPConnection("127.0.0.1", publisher.port)
    for _ in range(2):
        connection.request("GET", "/MODEL.pkl")
        assert connection.getresponse().read() == CONTENT
        kept = connection.sock
    assert kept is not None
    connection.close()


def test_what_was_not_published_is_404(publisher):
    assert get(publisher)[0].status == 404
    assert publisher.requests == ["/MODEL.pkl"]


@pytest.mark.parametrize(
    ("asked", "said", "body"),
    [
        ("bytes=102300-", "bytes 102300-102399/102400", CONTENT[102300:]),
        ("bytes=0-9", "bytes 0-9/102400", CONTENT[:10]),
        ("bytes=9-999999", "bytes 9-102399/102400", CONTENT[9:]),
    ],
)
def test_a_part_is_served(publisher, asked, said, body):
    publisher.publish("/MODEL.pkl", CONTENT)
    answer, result = get(publisher, Range=asked)
    assert (answer.status, answer.headers["Content-Range"], result) == (206, said, body)


@pytest.mark.parametrize("start", [102400, 102401])
def test_there_is_no_part_past_the_end(publisher, start):
    publisher.publish("/MODEL.pkl", CONTENT)
    answer, body = get(publisher, Range=f"bytes={start}-")
    assert (answer.status, answer.headers["Content-Range"], body) == (416, "bytes */102400", b"")


@pytest.mark.parametrize("name", ["ETag", "Last-Modified"])
def test_a_part_is_served_only_of_the_file_that_was_meant(publisher, name):
    publisher.publish("/MODEL.pkl", CONTENT)
    condition = validators(CONTENT)[name]
    assert get(publisher, Range="bytes=1-", If_Range=condition)[0].status == 206
    publisher.publish("/MODEL.pkl", OTHER)
    answer, body = get(publisher, Range="bytes=1-", If_Range=condition)
    assert (answer.status, body) == (200, OTHER)
    assert get(publisher, Range="bytes=1-", If_Range="W/" + validators(OTHER)["ETag"])[0].status == 200


# --- broken connections ----------------------------------------------------------------------------------------------


def test_the_connection_is_cut_where_it_was_told_to(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, cut([1000, 0]))
    assert broken(publisher) == CONTENT[:1000]
    assert broken(publisher, Range="bytes=50-") == b""
    assert get(publisher)[1] == CONTENT
    assert [(line.sent, line.cut) for line in publisher.log] == [(1000, True), (0, True), (102400, False)]


def test_a_cut_past_the_end_is_none(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, cut([102400]))
    assert get(publisher)[1] == CONTENT
    assert not publisher.log[0].cut


def test_the_connection_is_cut_before_the_headers(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, cut([-1]))
    with pytest.raises(http.client.RemoteDisconnected):
        get(publisher)
    assert publisher.log[0].cut


@pytest.mark.parametrize("place", [-1, 0, 1000])
def test_a_reset_is_no_orderly_end(publisher, place):
    publisher.publish("/MODEL.pkl", CONTENT, cut([place], reset=True))
    with pytest.raises(ConnectionResetError):
        get(publisher)


@pytest.mark.parametrize("place", [-1, 0, 1000])
def test_a_stall_lasts_longer_than_the_readers_patience(publisher, place):
    publisher.publish("/MODEL.pkl", CONTENT, sent(stall=place))
    with pytest.raises(TimeoutError):
        get(publisher, timeout=1)
    assert publisher.log[0].sent == max(place, 0)


def test_a_stall_ends_after_its_time(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, sent(stall=1000, stall_s=0.1))
    begun = time.monotonic()
    assert get(publisher)[1] == CONTENT
    assert time.monotonic() - begun > 0.1


def test_a_trickle_takes_its_time(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, sent(block=10240, pause_s=0.01))
    begun = time.monotonic()
    assert get(publisher)[1] == CONTENT
    assert time.monotonic() - begun > 0.1


# --- wrong words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [102401, -1, "many", "", "5"])
def test_a_false_length_is_announced_and_the_connection_ends(publisher, length):
    publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": length}))
    answer, _ = get(publisher, method="HEAD")
    assert answer.headers["Content-Length"] == str(length)
    assert answer.headers["Connection"] == "close"


def test_no_length_is_announced(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": None}))
    answer, body = get(publisher)
    assert ("Content-Length" in answer.headers, body) == (False, CONTENT)


def test_validators_can_be_weak_or_left_out(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, headed({"ETag": 'W/"1"', "Last-Modified": None}))
    answer, _ = get(publisher)
    assert (answer.headers["ETag"], answer.headers["Last-Modified"]) == ('W/"1"', None)


def test_chunks_have_no_length_and_may_break_off(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, sent(chunked=True), cut([1000]))
    assert broken(publisher) == CONTENT[:1000]
    answer, body = get(publisher)
    assert (answer.headers["Transfer-Encoding"], answer.headers["Content-Length"]) == ("chunked", None)
    assert body == CONTENT


def test_nobody_asked_for_gzip(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, first(1, gzipped()), gzipped(upto=100))
    answer, body = get(publisher, Range="bytes=5-")
    assert (answer.status, answer.headers["Content-Encoding"]) == (200, "gzip")
    assert answer.headers["Content-Length"] == str(len(body))
    with pytest.raises(EOFError):
        gzip.decompress(gzip.decompress(body))  # the inner one is cut short
    answer, body = get(publisher)
    assert (answer.headers["Content-Length"], len(body)) == ("100", 100)


# --- wrong answers ---------------------------------------------------------------------------------------------------


def test_refusals_end_after_as_many_as_were_wished(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, first(2, refusing(429, {"Retry-After": 7})))
    assert [get(publisher)[0].headers["Retry-After"] for _ in range(3)] == ["7", "7", None]
    assert [line.status for line in publisher.log] == [429, 429, 200]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_names_the_other_place(publisher, status):
    elsewhere = publisher.publish("/login", LOG_IN, headed({"Content-Type": "text/html"}))
    publisher.publish("/MODEL.pkl", CONTENT, redirecting(elsewhere, status))
    answer, body = get(publisher)
    assert (answer.status, answer.headers["Location"], body) == (status, elsewhere, b"")
    answer, body = get(publisher, "/login")
    assert (answer.headers["Content-Type"], body) == ("text/html", LOG_IN)


def test_the_file_changes_between_two_requests(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, later(1, serving(OTHER)), cut([1000]))
    assert broken(publisher) == CONTENT[:1000]
    answer, body = get(publisher, Range="bytes=1000-", If_Range=validators(CONTENT)["ETag"])
    assert (answer.status, answer.headers["ETag"], body) == (200, validators(OTHER)["ETag"], OTHER)


def test_ranges_are_ignored(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, ignoring_ranges)
    answer, body = get(publisher, Range="bytes=1000-")
    assert (answer.status, body) == (200, CONTENT)
    assert publisher.asked("range") == ["bytes=1000-"]


def test_ranges_are_served_wrongly_and_whole_files_are_not(publisher):
    publisher.publish("/MODEL.pkl", CONTENT, misranging(lambda start, content: (f"bytes {start}-9/10", OTHER[start:])))
    assert get(publisher)[1] == CONTENT
    answer, body = get(publisher, Range="bytes=1000-")
    assert (answer.status, answer.headers["Content-Range"], body) == (206, "bytes 1000-9/10", OTHER[1000:])
    publisher.publish("/MODEL.pkl", CONTENT, misranging(lambda start, content: (None, content)))
    answer, body = get(publisher, Range="bytes=1000-")
    assert (answer.status, answer.headers["Content-Range"], body) == (206, None, CONTENT)


def test_the_older_ways_to_misbehave_still_work(publisher):
    publisher.moved["/old.pkl"] = publisher.publish("/MODEL.pkl", CONTENT)
    assert get(publisher, "/old.pkl")[0].headers["Location"] == publisher.url("/MODEL.pkl")
    publisher.announced["/MODEL.pkl"] = 102401
    assert broken(publisher) == CONTENT
