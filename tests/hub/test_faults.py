"""A connection may break, stall or lie about its length: in the end there is the right file, or none and a reason."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, failure, kept, refusal
from tests.hub.publisher import cut, first, headed, sent
from videohub.errors import VideohubError
from videohub.hub import download, http_request

pytestmark = pytest.mark.usefixtures("impatient")


# --- broken connections ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("place", [-1, 0, 1, 100_000, 319_999])
def test_a_connection_that_breaks_is_tried_again(publisher, home, place, reset):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, cut([place], reset=reset)))
    assert [line.cut for line in publisher.log] == [True, False]


@pytest.mark.parametrize("place", [-1, 0, 1, 100_000])
def test_a_server_that_falls_silent_is_asked_again(publisher, home, place):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, first(1, sent(stall=place))))
    assert len(publisher.log) == 2


def test_a_slow_server_is_not_a_silent_one(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, sent(block=32_000, pause_s=0.05)))
    assert len(publisher.log) == 1


def test_a_server_that_never_answers_is_left_with_its_name_and_what_happened(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(stall=-1))
    text = refusal(home, url)
    assert url in text
    assert "in time" in text
    assert len(publisher.log) == http_request.ATTEMPTS


def test_a_connection_that_is_refused_is_not_tried_again(home, monkeypatch):
    monkeypatch.setattr(http_request, "PAUSE_S", 60)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        begun = time.monotonic()
        refusal(home, f"http://127.0.0.1:{taken.getsockname()[1]}/MODEL.pkl")
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200\r\n\0\r\n", b"\x15\x03\x01\0\x02\x02\x28"]
)
def test_what_is_no_http_server_is_a_download_error(home, garbage):
    def answer() -> None:
        for _ in range(http_request.ATTEMPTS):
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(garbage)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        refusal(home, f"http://127.0.0.1:{listener.getsockname()[1]}/MODEL.pkl")


def test_https_at_a_port_without_it_is_a_download_error(publisher, home):
    refusal(home, publisher.publish("/MODEL.pkl", CONTENT).replace("http:", "https:"))


# --- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}], ids=["without a digest", "with a digest"])
def test_a_body_shorter_than_announced_is_tried_again(publisher, home, known):
    url = publisher.publish("/MODEL.pkl", CONTENT, first(1, headed({"Content-Length": 320_001})))
    assert_fetched(home, url, **known)


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256}], ids=["without a digest", "with a digest"])
def test_a_body_always_shorter_than_announced_is_refused(publisher, home, known):
    url = publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": 320_001}))
    assert "MODEL.pkl" in failure(home, url, **known)


@pytest.mark.parametrize("known", [{"size": 320_000}, {"sha256": SHA256}], ids=["size", "digest"])
def test_a_body_longer_than_announced_is_not_taken_for_the_file(publisher, home, known):
    refusal(home, publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": 319_999})), **known)


@pytest.mark.parametrize("size", [1, 319_999, 320_001])
@pytest.mark.parametrize("how", [{}, {"chunked": True}], ids=["announced", "not announced"])
def test_another_size_than_the_registrys_is_refused(publisher, home, size, how):
    url = publisher.publish("/MODEL.pkl", CONTENT, sent(**how))
    assert f"{size}" in failure(home, url, size=size)
    assert size > len(CONTENT) or not kept(home)


@pytest.mark.parametrize(
    "length", ["many", "-1", "", "+1000", "1_000", "1000, 1000", "1e3", "0x10", "9" * 40, "1" * 5000]
)
def test_a_length_that_is_no_number_does_no_harm(publisher, home, length):
    url = publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": length}))
    with suppress(VideohubError):
        assert download.fetch(url, name="model").path.read_bytes() == CONTENT
    assert [name for name in kept(home) if not name.startswith("partial/")] in ([], [f"raw/{SHA256}"])


def test_a_body_without_a_length_that_breaks_off_is_completed_where_the_size_is_known(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": None}), cut([100_000]))
    assert_fetched(home, url, size=320_000)


def test_a_body_without_a_length_that_breaks_off_is_refused_where_the_digest_is_known(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Length": None}), cut([100_000]))
    refusal(home, url, sha256=SHA256)


@pytest.mark.parametrize("how", [{}, {"chunked": True}], ids=["announced", "not announced"])
def test_an_empty_body_is_refused(publisher, home, how):
    assert "0 bytes" in refusal(home, publisher.publish("/MODEL.pkl", b"", sent(**how)))
