"""A server may refuse, redirect, compress or show a web page: there is the right file in the end, or a reason."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from email.utils import formatdate
from types import SimpleNamespace

import pytest

from tests.hub.outcomes import CONTENT, SHA256, assert_fetched, failure, refusal
from tests.hub.publisher import (
    LOG_IN,
    Answer,
    Asked,
    Serve,
    cut,
    first,
    gzipped,
    headed,
    later,
    redirecting,
    refusing,
    sent,
    serving,
)
from videohub.hub import download, http_request

XML = b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code></Error>'
HTML = b"\n\n <html><body>Quota exceeded</body></html>"
NOWHERE = ["", "//", "http://", "http://[", "http://a b/", "http://x\\y@[::1]:z/", "http://.x/", f"http://{'x' * 70}/"]
NOWHERE += [
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:1/",
    "ftp://127.0.0.1/x",
    "file:///etc/hostname",
    "javascript:0",
]

pytestmark = pytest.mark.usefixtures("impatient")


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(publisher, home, status):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, first(2, refusing(status))))
    assert [line.status for line in publisher.log] == [status, status, 200]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 451, 501])
def test_a_refusal_is_final(publisher, home, status):
    url = publisher.publish("/MODEL.pkl", CONTENT, refusing(status))
    text = refusal(home, url)
    assert url in text
    assert str(status) in text
    assert len(publisher.log) == 1


@pytest.mark.parametrize("status", [204, 205, 206, 300, 304])
def test_an_answer_that_has_no_file_is_refused(publisher, home, status):
    refusal(home, publisher.publish("/MODEL.pkl", CONTENT, refusing(status, body=b"")))


def test_a_server_always_in_trouble_is_left_with_its_name_and_its_trouble(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, refusing(503))
    text = refusal(home, url)
    assert url in text
    assert "503" in text
    assert len(publisher.log) == http_request.ATTEMPTS


def test_pauses_between_tries_grow(publisher, home, monkeypatch):
    def timed(asked: Asked, serve: Serve) -> Answer:
        times.append(time.monotonic())
        return serve(asked)

    times: list[float] = []
    monkeypatch.setattr(http_request, "PAUSE_S", 0.05)
    monkeypatch.setattr(http_request, "ATTEMPTS", 5)
    refusal(home, publisher.publish("/MODEL.pkl", CONTENT, timed, refusing(503)))
    first_pause, *_, last_pause = (after - before for before, after in itertools.pairwise(times))
    assert 0.02 < first_pause < last_pause


@pytest.mark.parametrize("said", ["1", "date"])
def test_a_server_that_asks_for_patience_is_given_it(publisher, home, said):
    now = time.time()
    wait = formatdate(now + 2, usegmt=True) if said == "date" else said  # a date has no fractions of a second
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, first(1, refusing(429, {"Retry-After": wait}))))
    assert 0.9 < time.time() - now < 4


@pytest.mark.parametrize("said", ["3600", "date"])
def test_a_server_that_asks_for_too_much_patience_is_left(publisher, home, said):
    wait = formatdate(time.time() + 3600, usegmt=True) if said == "date" else said
    url = publisher.publish("/MODEL.pkl", CONTENT, first(1, refusing(429, {"Retry-After": wait})))
    assert "429" in refusal(home, url)
    assert len(publisher.log) == 1


@pytest.mark.parametrize("wait", ["", "soon", "-5", "1e3", "Mon, 01 Jan 2001 00:00:00 GMT", "Mon, 99 Jan 2001"])
def test_a_wish_for_patience_that_makes_no_sense_is_passed_over(publisher, home, wait):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, first(1, refusing(503, {"Retry-After": wait}))))


# --- web pages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/html", "application/octet-stream"])
@pytest.mark.parametrize("page", [LOG_IN, HTML, XML], ids=["log-in", "html", "xml"])
def test_a_web_page_is_no_checkpoint(publisher, home, page, kind):
    url = publisher.publish("/MODEL.pkl", page, headed({"Content-Type": kind}))
    assert "web page" in refusal(home, url)
    assert len(publisher.log) == 1
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT))


def test_a_web_page_is_known_through_its_compression(publisher, home):
    assert "web page" in refusal(home, publisher.publish("/MODEL.pkl", LOG_IN, gzipped()))


def test_a_web_page_is_known_though_it_comes_in_small_pieces(publisher, home):
    assert "web page" in refusal(home, publisher.publish("/MODEL.pkl", LOG_IN, sent(block=7, pause_s=0.01)))


def test_a_redirect_to_a_log_in_page_is_named(publisher, home):
    login = publisher.publish("/login?next=/MODEL.pkl", LOG_IN, headed({"Content-Type": "text/html"}))
    text = refusal(home, publisher.publish("/MODEL.pkl", CONTENT, redirecting(login)))
    for part in ("web page", login, "log-in", publisher.url("/MODEL.pkl")):
        assert part in text


def test_a_log_in_page_in_the_middle_of_a_download_does_not_get_into_the_file(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, later(1, serving(LOG_IN)), cut([100_000]))
    assert "web page" in failure(home, url)
    assert len(publisher.log) == 2
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT))


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed_also_to_a_place_beside(publisher, home, status):
    publisher.publish("/a/MODEL.pkl", CONTENT)
    publisher.publish("/b", b"", redirecting("/a/MODEL.pkl", status))
    assert_fetched(home, publisher.publish("/MODEL.pkl", b"", redirecting(publisher.url("/b"), status)))
    assert publisher.requests == ["/MODEL.pkl", "/b", "/a/MODEL.pkl"]


def test_what_breaks_behind_a_redirect_is_gone_on_with(publisher, home):
    there = publisher.publish("/there", CONTENT, cut([100_000]))
    assert_fetched(home, publisher.publish("/MODEL.pkl", b"", redirecting(there)))
    assert [line.headers["range"] for line in publisher.log if line.status == 206] == ["bytes=100000-"]


def test_a_loop_of_redirects_ends(publisher, home):
    publisher.publish("/b", b"", redirecting("/MODEL.pkl"))
    assert publisher.url("/MODEL.pkl") in refusal(home, publisher.publish("/MODEL.pkl", b"", redirecting("/b")))


@pytest.mark.parametrize("place", NOWHERE)
def test_a_redirect_to_nowhere_is_a_download_error(publisher, home, place):
    refusal(home, publisher.publish("/MODEL.pkl", b"", redirecting(place)))


# --- compression and chunks ------------------------------------------------------------------------------------------


def test_only_the_plain_file_is_asked_for_and_once(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT))
    assert [(line.method, line.headers["accept-encoding"]) for line in publisher.log] == [("GET", "identity")]


@pytest.mark.parametrize("known", [{}, {"sha256": SHA256, "size": 320_000}], ids=["unknown", "known"])
def test_a_file_that_comes_compressed_is_unpacked(publisher, home, known):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, gzipped()), **known)


@pytest.mark.parametrize("how", [{}, {"chunked": True}], ids=["announced", "in chunks"])
def test_a_compressed_file_that_is_cut_short_is_asked_for_again(publisher, home, how):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, first(1, gzipped(upto=500)), sent(**how)))
    assert len(publisher.log) == 2


@pytest.mark.parametrize("how", [{}, {"chunked": True}], ids=["announced", "in chunks"])
def test_a_compressed_file_that_is_always_cut_short_is_refused(publisher, home, how):
    failure(home, publisher.publish("/MODEL.pkl", CONTENT, gzipped(upto=500), sent(**how)))


def test_a_compressed_file_whose_connection_breaks_is_asked_for_from_the_start(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, cut([500]), gzipped()))
    assert publisher.asked("range") == [None, None]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-secret"])
def test_a_compression_that_cannot_be_undone_is_refused(publisher, home, encoding):
    failure(home, publisher.publish("/MODEL.pkl", CONTENT, headed({"Content-Encoding": encoding})))


def test_a_file_in_chunks_is_taken_whole_and_gone_on_with(publisher, home):
    assert_fetched(home, publisher.publish("/MODEL.pkl", CONTENT, sent(chunked=True), cut([100_000])))
    assert publisher.asked("range") == [None, "bytes=100000-"]


# --- passwords and proxies -------------------------------------------------------------------------------------------


def test_a_password_in_netrc_goes_to_its_host_and_to_no_other(publisher, home, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    publisher.publish("/there", CONTENT)
    assert_fetched(home, publisher.publish("/MODEL.pkl", b"", redirecting(publisher.url("/there", host="localhost"))))
    assert publisher.asked("authorization") == ["Basic bWU6c2VjcmV0", None]


def test_a_proxy_is_asked_where_the_environment_names_one(publisher, home, monkeypatch):
    monkeypatch.setenv("http_proxy", publisher.url(""))
    publisher.publish("http://publisher.invalid/MODEL.pkl", CONTENT)
    assert_fetched(home, "http://publisher.invalid/MODEL.pkl")
    assert publisher.requests == ["http://publisher.invalid/MODEL.pkl"]


@pytest.mark.parametrize(
    "page",
    [
        b"<script>1</script>",
        b"<title>No</title>",
        b"<Error><Code>AccessDenied</Code></Error>",
        "\ufeff<html>".encode("utf-16-le"),
    ],
)
def test_every_kind_of_page_is_known(publisher, home, page):
    assert "web page" in refusal(home, publisher.publish("/MODEL.pkl", page))


def test_a_header_that_begins_like_a_page_is_none(publisher, home):
    content = (0x613C).to_bytes(8, "little") + b'{"weight": ...'  # the length of a safetensors header: b"<a" and zeros
    url = publisher.publish("/model.safetensors", content)
    assert download.fetch(url, name="model").path.read_bytes() == content


def test_the_body_of_a_redirect_is_not_read(publisher, home):
    target = publisher.publish("/true.pkl", CONTENT)

    def moved(asked: Asked, serve: Serve) -> Answer:
        return replace(serve(asked), status=302)

    url = publisher.publish("/MODEL.pkl", bytes(50_000_000), headed({"Location": target}), moved)
    assert_fetched(home, url)
    assert publisher.log[0].sent < 25_000_000


def test_pauses_differ_from_one_process_to_the_next(publisher, home, monkeypatch):
    """Or all those whom a busy server has sent away come back at once."""
    pauses = []
    monkeypatch.setattr(http_request, "PAUSE_S", 1.0)
    monkeypatch.setattr(http_request, "time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic))
    for number in range(8):
        url = publisher.publish(f"/{number}.pkl", CONTENT, first(1, refusing(503)))
        download.fetch(url, name="model")
    assert len(set(pauses)) > 4
    assert all(0.5 <= pause <= 1.5 for pause in pauses)


def test_lasting_trouble_is_told_once_a_host(publisher, home, caplog, monkeypatch):
    monkeypatch.setattr(http_request, "_retried", set())
    for number, refusals in enumerate((1, 2, 2)):
        url = publisher.publish(f"/{number}.pkl", CONTENT, first(refusals, refusing(503)))
        download.fetch(url, name="model")
        assert sum("a request that fails is sent again" in line for line in caplog.messages) == min(number, 1)


def test_a_server_s_wish_is_told(publisher, home):
    url = publisher.publish("/MODEL.pkl", CONTENT, refusing(429, {"Retry-After": "300"}))
    assert "it asks to wait 300 s" in failure(home, url)
