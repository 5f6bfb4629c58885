"""A server is asked what it has without sending it: with HEAD, and for the first bytes where that does not tell."""

from __future__ import annotations

import gzip
import hashlib
import time

import pytest

from tests.hub.outcomes import CONTENT
from tests.hub.publisher import (
    LOG_IN,
    cut,
    first,
    gzipped,
    headed,
    ignoring_ranges,
    redirecting,
    refusing,
    sent,
    serving,
)
from videohub.errors import DownloadError
from videohub.hub import download, http_download, http_request
from videohub.hub.sources import Purpose

pytestmark = pytest.mark.usefixtures("impatient")


def for_head(behaviour):
    """Behave so where HEAD asks, and well where GET does."""
    return lambda asked, serve: behaviour(asked, serve) if asked.method == "HEAD" else serve(asked)


def methods(publisher):
    return [exchange.method for exchange in publisher.log]


def test_a_link_is_asked_with_head_and_nothing_is_sent(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    answer = http_download.ask(url, name="model")
    assert (answer.method, answer.status, answer.size) == ("HEAD", 200, len(CONTENT))
    assert answer.etag == f'"{hashlib.md5(CONTENT).hexdigest()}"'
    assert [exchange.sent for exchange in publisher.log] == [0]


@pytest.mark.parametrize(
    "behaviour",
    [
        refusing(403),
        refusing(404),
        refusing(405),
        refusing(503),
        headed({"Content-Length": None}),
        headed({"Content-Length": 0}),
        headed({"Content-Type": "text/html"}),
        sent(stall=-1),
        cut([-1], reset=True),
    ],
    ids=["forbidden", "not found", "not allowed", "busy", "no size", "no bytes", "a page", "silent", "broken off"],
)
def test_where_head_does_not_tell_the_first_bytes_do(publisher, behaviour):
    url = publisher.publish("/MODEL.pkl", CONTENT, for_head(behaviour))
    answer = http_download.ask(url, name="model")
    assert (answer.method, answer.status, answer.size, answer.is_there) == ("GET", 206, len(CONTENT), True)
    assert methods(publisher) == ["HEAD", "GET"]
    assert publisher.asked("range")[1] == "bytes=0-1023"
    assert publisher.log[1].sent == 1024


def test_a_server_that_ignores_ranges_is_left_after_the_first_block(publisher):
    def whole(asked, serve):
        return serve(type(asked)(asked.method, asked.path, {}, asked.content))

    slowly = sent(block=1 << 14, pause_s=0.05)
    url = publisher.publish("/MODEL.pkl", CONTENT, for_head(refusing(404)), slowly, whole)
    answer = http_download.ask(url, name="model")
    assert (answer.status, answer.size) == (200, len(CONTENT))
    assert publisher.log[1].sent < len(CONTENT) / 4


def test_what_is_compressed_on_its_way_has_no_size(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT, gzipped())
    assert http_download.ask(url, name="model").size is None


@pytest.mark.parametrize(("content", "is_page"), [(CONTENT, False), (LOG_IN * 1000, True)], ids=["a file", "a page"])
def test_the_first_bytes_of_what_is_compressed_on_its_way_show_what_it_is(publisher, content, is_page):
    """They cannot be unpacked to their end, and how long the whole is concerns what is packed."""
    packed = serving(gzip.compress(content, compresslevel=0)), headed({"Content-Encoding": "gzip"})
    answer = http_download.ask(publisher.publish("/MODEL.pkl", content, *reversed(packed)), name="model")
    assert (answer.method, answer.status, answer.size, answer.is_page) == ("GET", 206, None, is_page)
    assert methods(publisher) == ["HEAD", "GET"]


@pytest.mark.parametrize("etag", [None, 'W/"5"', "unquoted", ""])
def test_what_a_server_calls_its_file_is_told_as_it_stands(publisher, etag):
    url = publisher.publish("/MODEL.pkl", CONTENT, headed({"ETag": etag}))
    answer = http_download.ask(url, name="model")
    assert (answer.size, answer.etag) == (len(CONTENT), etag)


@pytest.mark.parametrize("behaviours", [[], [ignoring_ranges]], ids=["with ranges", "without"])
def test_an_empty_file_has_no_bytes(publisher, behaviours):
    assert http_download.ask(publisher.publish("/MODEL.pkl", b"", *behaviours), name="model").size == 0


def test_a_page_with_200_is_no_file(publisher):
    url = publisher.publish("/MODEL.pkl", LOG_IN, headed({"Content-Type": "text/html; charset=utf-8"}))
    answer = http_download.ask(url, name="model")
    assert (answer.status, answer.is_page, answer.is_there) == (206, True, False)


def test_a_redirect_to_a_page_of_google_drive_is_no_file_and_its_address_is_told(publisher, monkeypatch):
    """It is answered here, as a proxy would."""
    page = "http://drive.google.com/file/d/194gJinVejq6A1FmySNKQ8vAN5/view"
    monkeypatch.setenv("http_proxy", publisher.url(""))
    publisher.publish(page, LOG_IN, headed({"Content-Type": "text/html"}))
    answer = http_download.ask(publisher.publish("/MODEL.pkl", b"", redirecting(page)), name="model")
    assert (answer.is_there, answer.is_page, answer.address) == (False, True, page)


def test_a_server_whose_first_bytes_trickle_is_left(publisher, monkeypatch):
    monkeypatch.setattr(http_request, "WINDOW_S", 0.2)
    monkeypatch.setenv("VIDEOHUB_MIN_RATE", "10000")
    trickle = sent(block=4, pause_s=0.02)
    url = publisher.publish("/MODEL.pkl", CONTENT, for_head(refusing(404)), trickle)
    begun = time.monotonic()
    with pytest.raises(DownloadError, match=r"gave no answer: .*VIDEOHUB_MIN_RATE demands 10000 a second"):
        http_download.ask(url, name="model")
    assert time.monotonic() - begun < 10


def test_redirects_are_followed_and_the_last_address_is_told(publisher):
    there = publisher.publish("/there.pkl", CONTENT)
    url = publisher.publish("/here.pkl", b"", redirecting(there))
    assert http_download.ask(url, name="model").address == there


def test_a_busy_server_is_asked_again_and_a_silent_one_is_an_error(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT, first(3, refusing(503)))
    assert http_download.ask(url, name="model").size == len(CONTENT)
    assert methods(publisher) == ["HEAD", "GET", "GET", "GET"]
    silent = publisher.publish("/silent.pkl", CONTENT, sent(stall=-1))
    with pytest.raises(DownloadError, match=r"model: .*silent\.pkl gave no answer: no answer in time"):
        http_download.ask(silent, name="model")


def test_where_nobody_answers_it_is_told_what_to_do_with_such_a_file():
    with pytest.raises(DownloadError, match="bring the file here and give its folder"):
        download.has("http://127.0.0.1:9/config.json", name="model", purpose=Purpose(by_hand="give its folder"))
