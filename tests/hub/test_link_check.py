"""A server is asked what it has without sending it: with HEAD, and for the first bytes where that does not tell."""

from __future__ import annotations

import hashlib

import pytest

from tests.hub.outcomes import CONTENT
from tests.hub.publisher import first, gzipped, headed, redirecting, refusing, sent
from videohub.errors import DownloadError
from videohub.hub import link_check

pytestmark = pytest.mark.usefixtures("impatient")


def for_head(behaviour):
    """Behave so where HEAD asks, and well where GET does."""
    return lambda asked, serve: behaviour(asked, serve) if asked.method == "HEAD" else serve(asked)


def methods(publisher):
    return [exchange.method for exchange in publisher.log]


def test_a_link_is_asked_with_head_and_nothing_is_sent(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT)
    answer = link_check.ask(url, name="model")
    assert (answer.method, answer.status, answer.size) == ("HEAD", 200, len(CONTENT))
    assert answer.etag == f'"{hashlib.md5(CONTENT).hexdigest()}"'
    assert [exchange.sent for exchange in publisher.log] == [0]


@pytest.mark.parametrize(
    "behaviour",
    [refusing(404), refusing(405), headed({"Content-Length": None}), headed({"Content-Type": "text/html"})],
    ids=["not found", "not allowed", "no size", "a page to HEAD alone"],
)
def test_where_head_does_not_tell_the_first_bytes_do(publisher, behaviour):
    url = publisher.publish("/MODEL.pkl", CONTENT, for_head(behaviour))
    answer = link_check.ask(url, name="model")
    assert (answer.method, answer.status, answer.size, answer.is_there) == ("GET", 206, len(CONTENT), True)
    assert methods(publisher) == ["HEAD", "GET"]
    assert publisher.asked("range")[1] == "bytes=0-1023"
    assert publisher.log[1].sent == 1024


def test_a_server_that_ignores_ranges_is_left_after_the_first_block(publisher):
    def whole(asked, serve):
        return serve(type(asked)(asked.method, asked.path, {}, asked.content))

    slowly = sent(block=1 << 14, pause_s=0.05)
    url = publisher.publish("/MODEL.pkl", CONTENT, for_head(refusing(404)), slowly, whole)
    answer = link_check.ask(url, name="model")
    assert (answer.status, answer.size) == (200, len(CONTENT))
    assert publisher.log[1].sent < len(CONTENT) / 4


def test_what_is_compressed_on_its_way_has_no_size(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT, gzipped())
    assert link_check.ask(url, name="model").size is None


def test_redirects_are_followed_and_the_last_address_is_told(publisher):
    there = publisher.publish("/there.pkl", CONTENT)
    url = publisher.publish("/here.pkl", b"", redirecting(there))
    assert link_check.ask(url, name="model").address == there


def test_a_busy_server_is_asked_again_and_a_silent_one_is_an_error(publisher):
    url = publisher.publish("/MODEL.pkl", CONTENT, first(3, refusing(503)))
    assert link_check.ask(url, name="model").size == len(CONTENT)
    assert methods(publisher) == ["HEAD", "GET", "GET", "GET"]
    silent = publisher.publish("/silent.pkl", CONTENT, sent(stall=-1))
    with pytest.raises(DownloadError, match=r"model: .*silent\.pkl gave no answer: no answer in time"):
        link_check.ask(silent, name="model")
