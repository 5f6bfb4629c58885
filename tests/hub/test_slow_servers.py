"""A server that sends next to nothing is left, whatever it is that it sends so slowly; one that is only slow is not."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from tests.hub.outcomes import CONTENT, assert_fetched, failure, kept
from tests.hub.publisher import gzipped, headed, ignoring_ranges, sent
from videohub.errors import UsageError
from videohub.hub import download, http_request

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("impatient")]


COMPRESSED = gzipped()


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Windows of a fraction of a second, and a rate that a server on this machine keeps with ease."""
    monkeypatch.setattr(http_request, "WINDOW_S", 0.3)
    monkeypatch.setattr(http_request, "HEADER_S", 0.3)
    monkeypatch.setattr(http_request, "READ_S", 20)
    monkeypatch.setenv("VIDEOHUB_MIN_RATE", "10000")


def test_what_is_demanded_is_a_thousand_bytes_a_second_over_a_minute(monkeypatch):
    monkeypatch.undo()
    monkeypatch.delenv("VIDEOHUB_MIN_RATE", raising=False)
    assert (http_request.min_rate(), http_request.WINDOW_S, http_request.HEADER_S) == (1000, 60, 60)
    for text, rate in (("", 1000), (" 250 ", 250), ("0", 0), ("0.5", 0.5)):
        monkeypatch.setenv("VIDEOHUB_MIN_RATE", text)
        assert http_request.min_rate() == rate


@pytest.mark.parametrize("text", ["fast", "-1", "1kB", "nan", "inf", "1e3", "1_000", "1,5", "9" * 400])
def test_a_rate_that_is_none_is_misuse(publisher, home, monkeypatch, text):
    monkeypatch.setenv("VIDEOHUB_MIN_RATE", text)
    with pytest.raises(UsageError, match=r"VIDEOHUB_MIN_RATE: found .*expected bytes a second"):
        download.fetch(publisher.publish("/MODEL.pkl", CONTENT), name="model")
    assert publisher.log == []


@pytest.mark.parametrize("manner", [[], [sent(chunked=True)], [headed({"Content-Length": None})], [COMPRESSED]],
                         ids=["announced", "chunked", "without a length", "compressed"])  # fmt: skip
def test_a_body_that_trickles_ends(publisher, home, manner):
    """Bytes come all the time, so no read ever times out; and each call gets further, but that is no progress."""
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(block=400, pause_s=0.05), *manner)
    begun = time.monotonic()
    text = failure(home, url)
    assert "VIDEOHUB_MIN_RATE demands 10000 a second" in text
    assert len(publisher.log) == http_request.ATTEMPTS
    assert time.monotonic() - begun < 30
    assert bool(kept(home)) == (COMPRESSED not in manner)  # of which no range can be asked for


def test_a_body_may_be_slow_where_nothing_is_demanded(publisher, home, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_MIN_RATE", "0")
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, sent(block=40_000, pause_s=0.2)))
    assert len(publisher.log) == 1


def test_a_body_may_be_as_slow_as_is_demanded(publisher, home, monkeypatch):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, sent(block=40_000, pause_s=0.2)))  # 200,000 a second
    assert len(publisher.log) == 1


def test_the_time_that_we_take_ourselves_is_not_the_server_s(publisher, home, monkeypatch):
    """A disk that is slow, or a machine that sleeps, must not be blamed on it."""
    write = download.partial_download.Part.write

    def slowly(part, block):
        time.sleep(0.5)
        write(part, block)

    monkeypatch.setattr(download.partial_download.Part, "write", slowly)
    monkeypatch.setenv("VIDEOHUB_MIN_RATE", "1000000")
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, ignoring_ranges))
    assert len(publisher.log) == 1


@contextmanager
def trickling(begin, then, pause_s):
    """A server that says `begin` at once, then `then` again and again, as slowly; yields its URL and who knocked."""
    knocked: list[float] = []
    over = threading.Event()

    def answer(connection):
        with connection:
            try:
                connection.recv(4096)
                connection.sendall(begin)
                while not over.wait(pause_s):
                    connection.sendall(then)
            except OSError:
                return

    def listen():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            knocked.append(time.monotonic())
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=listen, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/MODEL.pkl", knocked
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("begin", "then"),
    [(b"", b"H"), (OK + b"X: ", b"a"), (OK, b"X: a\r\n"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
     (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"), (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n", b"a")],
    ids=["a status line", "a header line", "header lines", "100 Continue", "the length of a chunk", "a chunk"],
)  # fmt: skip
def test_what_comes_before_a_body_may_not_trickle_either(home, begin, then):
    with trickling(begin, then, 0.02) as (url, knocked):
        begun = time.monotonic()
        text = failure(home, url)
    assert "no whole header" in text or "VIDEOHUB_MIN_RATE demands" in text
    assert len(knocked) == http_request.ATTEMPTS
    assert time.monotonic() - begun < 30
    assert kept(home) == []


def test_a_proxy_may_not_trickle_either(home, monkeypatch):
    with trickling(b"HTTP/1.1 200 OK\r\nX: ", b"a", 0.02) as (url, knocked):
        monkeypatch.setenv("HTTP_PROXY", url.removesuffix("/MODEL.pkl"))
        monkeypatch.setenv("NO_PROXY", "")
        monkeypatch.setenv("no_proxy", "")
        assert "no whole header" in failure(home, "http://publisher.invalid/MODEL.pkl")
    assert len(knocked) == http_request.ATTEMPTS
