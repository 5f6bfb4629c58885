"""Bytes come in order, however long each takes; memory and requests stay bounded."""

from __future__ import annotations

import threading
import time

import pytest

from tests.hub import publisher as publishers
from tests.storage import faulty_server
from videohub.errors import FileChangedError, FileMissingError
from videohub.storage import ranges as module
from videohub.storage import stat
from videohub.storage.ranges import Range, read_ahead

CONTENT = bytes(i * 7 % 251 for i in range(100_000))

pytestmark = pytest.mark.usefixtures("impatient")


def ranges(url, count, size=1000):
    version = stat(url).version
    return [(i, Range(url, i * size, (i + 1) * size, version)) for i in range(count)]


def test_bytes_come_in_the_order_of_the_items(publisher):
    url = publisher.publish("/val.tar", CONTENT)
    items = ranges(url, 50)
    slow = iter([0.05, 0, 0.03, 0, 0.02] * 10)
    publisher.publish("/val.tar", CONTENT, lambda asked, serve: time.sleep(next(slow)) or serve(asked))
    assert list(read_ahead(items, requests=8)) == [(i, CONTENT[i * 1000 : (i + 1) * 1000]) for i in range(50)]


def test_what_is_not_read_here_passes_through_in_its_place(publisher):
    url = publisher.publish("/val.tar", CONTENT)
    items = [("local", None), ("remote", Range(url, 0, 3)), ("other", None)]
    assert list(read_ahead(items)) == [("local", None), ("remote", bytes([0, 7, 14])), ("other", None)]
    assert list(read_ahead([])) == []


def test_an_error_is_one_item_s(publisher):
    url = publisher.publish("/val.tar", CONTENT)
    items = [(0, Range(url, 0, 3)), (1, Range(publisher.url("/none.tar"), 0, 3)), (2, Range(url, 0, 3, '"old"'))]
    outcomes = dict(read_ahead([*items, (3, Range(url, 3, 6))]))
    assert outcomes[0] == CONTENT[:3]
    assert outcomes[3] == CONTENT[3:6]
    assert isinstance(outcomes[1], FileMissingError)
    assert isinstance(outcomes[2], FileChangedError)


def test_memory_and_requests_are_bounded(publisher):
    under_way, most = 0, 0
    lock = threading.Lock()

    def counted(asked, serve):
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.01)
        answer = serve(asked)
        with lock:
            under_way -= 1
        return answer

    url = publisher.publish("/val.tar", CONTENT, counted)
    taken, ahead = [], 0
    for number, data in read_ahead(iter_counting(ranges(url, 40), taken), requests=4, memory=6000):
        ahead = max(ahead, len(taken) - number)
        assert len(data) == 1000
    assert 1 < most <= 4
    assert ahead <= 7  # six that fit, and the one that does not yet
    taken.clear()
    for _ in read_ahead(iter_counting(ranges(url, 40), taken), requests=1, memory=1 << 30):
        assert len(taken) <= 40
    assert most <= 4


def iter_counting(items, taken):
    for item in items:
        taken.append(item)
        yield item


def test_a_range_that_is_larger_than_the_memory_comes_alone(publisher):
    url = publisher.publish("/val.tar", CONTENT)
    items = [(i, Range(url, 0, 50_000)) for i in range(3)]
    assert [len(data) for _, data in read_ahead(items, memory=10)] == [50_000] * 3


def test_closing_it_ends_its_threads(publisher):
    url = publisher.publish("/val.tar", CONTENT, faulty_server.latency(0.02))
    for _ in read_ahead(ranges(url, 90), requests=8):
        break
    del _
    deadline = time.monotonic() + 10
    while any(each.name == "videohub-storage" for each in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [thread for thread in threading.enumerate() if thread.name == "videohub-storage"] == []


def test_latency_is_hidden(publisher):
    url = publisher.publish("/val.tar", CONTENT, faulty_server.latency(0.05))
    items = ranges(url, 64)
    begun = time.monotonic()
    assert len(list(read_ahead(items, requests=16))) == 64
    assert time.monotonic() - begun < 64 * 0.05 / 2  # one after the other they would take 3.2 s


def test_under_fifty_faults_every_byte_is_right(publisher, monkeypatch):
    monkeypatch.setattr("videohub.hub.http_request.ATTEMPTS", 5)  # as it is; `impatient` has fewer
    monkeypatch.setattr("videohub.storage.http_ranges.WHOLE", 10_000)
    url = publisher.publish("/val.tar", CONTENT)
    items = ranges(url, 200, size=500)
    faults = faulty_server.at_random(seed=1, count=50)
    publisher.publish("/val.tar", CONTENT, faults)
    assert b"".join(data for _, data in read_ahead(items, requests=8)) == CONTENT
    assert len(faults.served) == 50


def test_an_error_that_is_none_of_ours_is_raised(monkeypatch):
    monkeypatch.setattr(module, "read_range", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(read_ahead([(0, Range("a", 0, 1))]))


def test_publishers_compose(publisher):
    url = publisher.publish(
        "/val.tar", CONTENT, faulty_server.latency(0), publishers.first(1, publishers.refusing(503))
    )
    assert list(read_ahead([(0, Range(url, 0, 3))])) == [(0, CONTENT[:3])]
