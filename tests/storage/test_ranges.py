"""Ranges of local files and over HTTP: exactly the bytes that were asked for, or an error that says what was found."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading

import pytest

from tests.hub import publisher as publishers
from tests.storage import faulty_server
from videohub import storage
from videohub.errors import (
    DataError,
    DownloadError,
    FileChangedError,
    FileMissingError,
    OfflineError,
    UsageError,
)
from videohub.hub import http_request
from videohub.storage import http_ranges, ranges

CONTENT = bytes(i * 7 % 251 for i in range(100_000))  # no two places within 251 bytes look alike
OTHER = CONTENT[::-1]
WRONG = bytes(100_000)

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.fixture
def local(tmp_path):
    path = tmp_path / "val-000.tar"
    path.write_bytes(CONTENT)
    return path


# --- local files -----------------------------------------------------------------------------------------------------


def test_a_local_range_is_the_bytes_of_the_file(local):
    assert storage.stat(str(local)).size == 100_000
    assert storage.read_range(str(local), 3, 6) == bytes([21, 28, 35])
    assert storage.read_range(str(local), 40_000, 40_000) == b""
    assert storage.read_range(str(local), 0, 100_000) == CONTENT


def test_a_local_file_that_changed_or_is_cut_short_is_told(local):
    version = storage.stat(str(local)).version
    assert storage.read_range(str(local), 0, 3, version=version) == bytes([0, 7, 14])
    os.utime(local, ns=(0, 1))
    with pytest.raises(FileChangedError, match="has changed"):
        storage.read_range(str(local), 0, 3, version=version)
    with pytest.raises(DataError, match="has 100000 bytes, expected at least 100001"):
        storage.read_range(str(local), 99_999, 100_001)


def test_what_is_no_local_file_is_refused(tmp_path):
    with pytest.raises(FileMissingError, match="no such file"):
        storage.stat(str(tmp_path / "none.tar"))
    with pytest.raises(UsageError, match="found a folder"):
        storage.stat(str(tmp_path))
    with pytest.raises(UsageError, match="ftp://, expected http, https, s3, gs, hf or a path"):
        storage.stat("ftp://host/val.tar")


def test_a_range_as_a_file_is_read_from_anywhere_and_holds_few_blocks(monkeypatch):
    monkeypatch.setattr(ranges, "BLOCK", 1000)
    file = ranges.RangeReader(lambda start, stop: CONTENT[start + 10_000 : stop + 10_000], 80_000)
    assert file.read(5) == CONTENT[10_000:10_005]
    assert file.seek(-3, os.SEEK_END) == 79_997
    assert file.read() == CONTENT[89_997:90_000]
    assert file.read(1) == b""
    assert file.seek(990) == 990
    assert file.read(2020) == CONTENT[10_990:13_010]
    file.seek(0)
    assert file.read() == CONTENT[10_000:90_000]
    assert file._block.cache_info().currsize <= ranges.KEPT
    with pytest.raises(ValueError, match="before the start"):
        file.seek(-1)


# --- http ------------------------------------------------------------------------------------------------------------


def test_a_range_over_http_is_one_request(publisher):
    url = publisher.publish("/val-000.tar", CONTENT)
    stat = storage.stat(url)
    assert stat == storage.Stat(100_000, publishers.validators(CONTENT)["ETag"])
    publisher.log.clear()
    assert storage.read_range(url, 3, 6, version=stat.version) == bytes([21, 28, 35])
    assert publisher.asked("range") == ["bytes=3-5"]
    assert storage.read_all(url) == CONTENT


def test_requests_share_their_thread_s_connection(publisher, monkeypatch):
    connections = []
    accept = socket.socket.accept
    monkeypatch.setattr(socket.socket, "accept", lambda self: connections.append(1) or accept(self))
    url = publisher.publish("/val-000.tar", CONTENT)
    for start in range(0, 1000, 100):
        assert storage.read_range(url, start, start + 100) == CONTENT[start : start + 100]
    assert len(connections) == 1


@pytest.mark.parametrize("fault", sorted(faulty_server.FAULTS))
def test_after_a_fault_the_bytes_are_right(publisher, fault, monkeypatch):
    monkeypatch.setattr(http_ranges, "WHOLE", 50_000)
    url = publisher.publish("/val-000.tar", CONTENT)
    version = storage.stat(url).version
    publisher.publish("/val-000.tar", CONTENT, publishers.first(2, faulty_server.FAULTS[fault]))
    publisher.log.clear()
    assert storage.read_range(url, 20_000, 60_000, version=version) == CONTENT[20_000:60_000]
    assert len(publisher.log) == 3
    publisher.publish("/val-000.tar", CONTENT, publishers.first(2, faulty_server.FAULTS[fault]))
    if fault not in ("no ETag", "another ETag", "range of one byte"):
        assert storage.stat(url) == storage.Stat(100_000, version)  # those look right to who knows nothing yet


SAYS = {
    "busy (503)": "503 Service Unavailable",
    "rate limit (429)": "429 Too Many Requests",
    "whole file": "ignores ranges and sends the whole file of 100000 bytes",
    "packed": "packs what it sends (gzip)",
    "log-in page": "gave a web page",
    "cut": "IncompleteRead",
    "range shifted": "answers with range 'bytes 20001-29999/30000', asked for bytes 20000-59999",
    "range not told": "answers with range '', asked for bytes 20000-59999",
    "too long, in chunks": "sent more than the 40000 bytes",
    "too short, in chunks": "ended after 0 of 1 bytes",
    "too short, as announced": "announces 39999 bytes, asked for 40000",
    "no such range (416)": "no such range (416)",
}


@pytest.mark.parametrize("fault", sorted(faulty_server.FAULTS))
def test_a_fault_that_stays_is_one_error_that_names_it(publisher, fault, monkeypatch):
    monkeypatch.setattr(http_ranges, "WHOLE", 50_000)
    url = publisher.publish("/val-000.tar", CONTENT)
    version = storage.stat(url).version
    publisher.publish("/val-000.tar", CONTENT, faulty_server.FAULTS[fault])
    expected = FileChangedError if "ETag" in fault else DownloadError
    with pytest.raises(expected) as caught:
        storage.read_range(url, 20_000, 60_000, version=version)
    assert str(caught.value).startswith(f"{url}: ")
    if fault == "range shifted":  # the server of the tests has it from what is left of the file
        assert "answers with range 'bytes " in str(caught.value)
    else:
        assert SAYS.get(fault, "") in str(caught.value)


def test_a_cut_body_is_gone_on_with(publisher):
    url = publisher.publish("/val-000.tar", CONTENT, publishers.cut([1000, 2000]))
    assert storage.read_range(url, 0, 100_000) == CONTENT
    assert publisher.asked("range") == ["bytes=0-99999", "bytes=1000-99999", "bytes=3000-99999"]


def test_the_rest_of_another_file_is_never_joined_to_a_beginning(publisher):
    url = publisher.publish("/val-000.tar", CONTENT, publishers.cut([1000]), faulty_server.changing_after(1, OTHER))
    with pytest.raises(FileChangedError):
        storage.read_range(url, 0, 100_000)


def test_a_file_that_changes_midway_is_told_with_both_versions(publisher):
    url = publisher.publish("/val-000.tar", CONTENT, faulty_server.changing_after(2, WRONG))
    version = storage.stat(url).version
    assert storage.read_range(url, 0, 10, version=version) == CONTENT[:10]
    with pytest.raises(FileChangedError) as caught:
        storage.read_range(url, 10, 20, version=version)
    for content in (CONTENT, WRONG):
        assert publishers.validators(content)["ETag"] in str(caught.value)


def test_without_an_etag_the_date_tells_and_without_a_date_the_size(publisher):
    url = publisher.publish("/a.tar", CONTENT, publishers.headed({"ETag": None, "Last-Modified": "Mon"}))
    assert storage.stat(url).version == "100000 bytes, Mon"
    url = publisher.publish("/b.tar", CONTENT, publishers.headed({"ETag": None, "Last-Modified": None}))
    assert storage.stat(url).version == "100000 bytes"


def test_small_files_are_taken_from_a_server_without_ranges(publisher):
    url = publisher.publish("/val.csv", b"a 0\nb 1\n", publishers.ignoring_ranges)
    assert storage.read_all(url) == b"a 0\nb 1\n"
    assert storage.read_range(url, 2, 5) == b"0\nb"


def test_an_empty_file_is_one(publisher):
    url = publisher.publish("/empty.csv", b"", publishers.refusing(416, {"Content-Range": "bytes */0"}))
    assert storage.stat(url).size == 0


def test_what_a_server_does_not_have_or_hand_out_is_told_at_once(publisher):
    with pytest.raises(FileMissingError, match="no such file"):
        storage.stat(publisher.url("/none.tar"))
    url = publisher.publish("/secret.tar", CONTENT, publishers.refusing(403))
    with pytest.raises(DownloadError, match="403 Forbidden"):
        storage.read_range(url, 0, 10)
    assert len(publisher.log) == 2


def test_a_range_past_the_end_is_told_with_the_size(publisher):
    url = publisher.publish("/val-000.tar", CONTENT)
    with pytest.raises(DownloadError, match="100000"):
        storage.read_range(url, 99_990, 100_010)
    with pytest.raises(DownloadError, match="100000"):
        storage.read_range(url, 100_000, 100_010)


def test_redirects_are_followed_but_not_away_from_https(publisher):
    there = publisher.publish("/there.tar", CONTENT)
    publisher.moved["/here.tar"] = there
    assert storage.read_range(publisher.url("/here.tar"), 5, 9) == CONTENT[5:9]


def test_a_server_that_asks_for_too_much_patience_is_left(publisher):
    url = publisher.publish("/val-000.tar", CONTENT, publishers.refusing(503, {"Retry-After": "3600"}))
    with pytest.raises(DownloadError, match="it asks to wait 3600 s"):
        storage.read_range(url, 0, 10)
    assert len(publisher.log) == 1


def test_a_silent_server_is_left(publisher, monkeypatch):
    monkeypatch.setattr(http_request, "READ_S", 0.1)
    url = publisher.publish("/val-000.tar", CONTENT, publishers.sent(stall=-1))
    with pytest.raises(DownloadError, match="no answer in time"):
        storage.read_range(url, 0, 10)


def test_a_host_that_does_not_listen_is_told():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(DownloadError, match="refused"):
            storage.stat(f"http://127.0.0.1:{port}/val.tar")


@pytest.mark.parametrize("variable", ["VIDEOHUB_OFFLINE", "HF_HUB_OFFLINE"])
def test_nothing_is_asked_where_connections_are_forbidden(publisher, monkeypatch, variable):
    url = publisher.publish("/val-000.tar", CONTENT)
    monkeypatch.setenv(variable, "1")
    for ask in (storage.stat, lambda url: storage.read_range(url, 0, 1), storage.read_all):
        with pytest.raises(OfflineError, match=f"{variable} forbids"):
            ask(url)
    with pytest.raises(OfflineError):
        storage.expand("s3://bucket/*.tar")
    assert publisher.log == []


# --- credentials -----------------------------------------------------------------------------------------------------

SECRETS = ("hunter2", "alice", "SIGNATURE")


@pytest.mark.parametrize("fault", [*sorted(faulty_server.FAULTS), "404", "403", "nobody"])
def test_no_error_holds_a_credential(publisher, fault, monkeypatch):
    monkeypatch.setattr(http_ranges, "WHOLE", 50_000)
    path = "/val-000.tar?X-Amz-Signature=SIGNATURE&token=hunter2"
    behaviours = [faulty_server.FAULTS[fault]] if fault in faulty_server.FAULTS else []
    publisher.publish(path, CONTENT, *behaviours)
    if fault == "404":
        del publisher.files[path]
    if fault == "403":
        publisher.behaviours[path] = (publishers.refusing(403),)
    port = 1 if fault == "nobody" else publisher.port
    with pytest.raises((DownloadError, FileChangedError, FileMissingError)) as caught:
        storage.read_range(f"http://alice:hunter2@127.0.0.1:{port}{path}", 20_000, 60_000, version='"it"')
    error = caught.value
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    assert f"http://127.0.0.1:{port}/val-000.tar: " in str(error)
    assert not [secret for secret in SECRETS if secret in str(error)]


def test_user_and_password_are_sent(publisher):
    publisher.publish("/val-000.tar", CONTENT)
    storage.read_range(f"http://alice:hunter2@127.0.0.1:{publisher.port}/val-000.tar", 0, 1)
    assert publisher.asked("authorization") == ["Basic YWxpY2U6aHVudGVyMg=="]  # base64 of alice:hunter2


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://alice:hunter2@host:8080/a/b.tar?sig=x#y", "https://host:8080/a/b.tar"),
        ("https://host?token=x", "https://host"),
        ("s3://bucket/a.tar?versionId=3", "s3://bucket/a.tar"),
        ("hf://datasets/org/name@main/a.tar", "hf://datasets/org/name@main/a.tar"),
        ("data/val@2/what?.tar", "data/val@2/what?.tar"),
        ("HTTPS://u@host/a", "HTTPS://host/a"),
        ("https://alice:hun/ter2@host:8080/a.tar", "https://…/host:8080/a.tar"),
        ("https://alice:hun#ter2@host/a.tar", "https://…"),
        ("https://alice:hun?ter2@host/a.tar", "https://…"),
        ("https://[::1]:8080/a@b.tar", "https://[::1]:8080/a@b.tar"),
        ("s3://arn:aws:s3:eu:1:accesspoint/a@b.tar", "s3://arn:aws:s3:eu:1:accesspoint/a@b.tar"),
    ],
)
def test_a_location_is_shown_without_what_may_be_a_credential(location, expected):
    assert storage.shown(location) == expected


def test_a_password_that_ends_the_host_is_refused_with_how_to_write_it():
    with pytest.raises(UsageError, match="In a password, / is written as %2F") as messages:
        storage.stat("https://alice:hun/ter2@host/a.tar")
    assert "hun" not in str(messages.value)


def test_remote_is_what_is_read_behind_a_url():
    assert all(map(storage.is_remote, ("http://a/b", "https://a/b", "s3://a/b", "gs://a/b", "hf://a/b", "HTTP://a")))
    assert not any(map(storage.is_remote, ("val.tar", "/a/b", "C:\\a", "http:/a", "a/s3://b", "")))


# --- processes and threads -------------------------------------------------------------------------------------------


def _read(url, start, results):
    results.put((start, storage.read_range(url, start, start + 1000)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_beside_their_parent(publisher, method):
    url = publisher.publish("/val-000.tar", CONTENT)
    assert storage.read_range(url, 0, 1000) == CONTENT[:1000]  # the parent's connection is not the children's
    context = multiprocessing.get_context(method)
    results = context.Queue()
    children = [context.Process(target=_read, args=(url, start, results)) for start in (1000, 50_000)]
    for child in children:
        child.start()
    assert dict(results.get(timeout=50) for _ in children) == {
        start: CONTENT[start : start + 1000] for start in (1000, 50_000)
    }
    for child in children:
        child.join()
    assert storage.read_range(url, 7, 9) == CONTENT[7:9]


def test_threads_read_at_once(publisher):
    url = publisher.publish("/val-000.tar", CONTENT)
    result = {}

    def read(start):
        result[start] = storage.read_range(url, start, start + 5000)

    threads = [threading.Thread(target=read, args=(start,)) for start in range(0, 80_000, 10_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert result == {start: CONTENT[start : start + 5000] for start in range(0, 80_000, 10_000)}
