"""Ranges of files over HTTP: checked against what was asked for, and asked for again where that may help.

A server may ignore ranges, send another one, cut off, stall, be busy, or have another file by now. All but the last is
met as in downloads: up to five attempts in a row without progress, with growing pauses or those that it asks for.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import requests
import urllib3

from videohub.errors import DownloadError, FileMissingError
from videohub.hub import http_request
from videohub.hub.http_request import Again
from videohub.storage.buckets import Address, address_of, forget, refused_advice, remember
from videohub.storage.locations import changed, scheme_of, scrubbed, shown

WHOLE = 8 << 20  # bytes of a file that is taken whole from a server that knows no ranges
PROGRESS = 1 << 20  # bytes of an attempt that failed, after which the count of attempts begins anew

_Found = TypeVar("_Found")
_of_this_thread = threading.local()


class _Changed(Again):
    """A response is of another file; asked again, because servers that are being updated may answer in turns."""

    def __init__(self, version: str) -> None:
        super().__init__(f"has version {version}")
        self.version = version


@dataclass
class _Received:
    """The bytes of a file from `start` to `stop` so far, and the version that they are of."""

    start: int
    stop: int
    version: str | None = None
    data: bytearray = field(default_factory=bytearray)

    @property
    def at(self) -> int:
        """Where the next byte lies in the file."""
        return self.start + len(self.data)


def fetch(location: str, start: int, stop: int, *, version: str | None) -> bytes:
    """Return the bytes from `start` to `stop`, at least one. Raises: as `ranges.read_range`."""
    received = _Received(start, stop, version)
    _patiently(location, f"bytes {start} to {stop} cannot be read", received, lambda: _receive(location, received))
    return bytes(received.data)


def ask(location: str) -> tuple[int, str]:
    """Return size and version of a file. Raises: as `ranges.stat`."""
    return _patiently(location, "cannot be read", _Received(0, 1), lambda: _ask(location))


def _patiently(location: str, what: str, received: _Received, attempt: Callable[[], _Found]) -> _Found:
    """Return what an attempt gives, after as many as there is hope for. Raises: DownloadError, FileChangedError."""
    http_request.min_rate()  # refuses what makes no sense before anything is asked
    try:
        return http_request.patiently(location, attempt, received=lambda: len(received.data), enough=PROGRESS)
    except _Changed as trouble:
        raise changed(location, version=trouble.version, expected=received.version or "") from None
    except Again as trouble:
        tried = f"attempt {trouble.attempt} of {http_request.ATTEMPTS}"
        advice = trouble.advice or "Check the connection, and try again later."
        raise DownloadError(f"{shown(location)}: {what}: {trouble} ({tried})\n  {advice}") from None


def _receive(location: str, received: _Received) -> None:
    """Send one request for what is still missing, and take what comes."""
    begin, begun = received.at, len(received.data)
    address = address_of(location)
    with _sent(location, address, f"bytes={begin}-{received.stop - 1}") as response:
        total = _check(location, response, begin, received.stop)
        version = address.version or _version(location, response, total)
        if received.version not in (None, version):
            raise _Changed(version)
        received.version = version
        if response.status_code == 200:
            received.data[begun:] = _slice_of_whole(response, begin, received.stop)
            return
        for block in http_request.blocks(response, first=False):
            received.data += block
            if received.at > received.stop:
                del received.data[begun:]  # the rest of it is not to be trusted, either
                raise Again(f"the server sent more than the {received.stop - begin} bytes that it was asked for")
        if received.at < received.stop:
            raise Again(f"the server ended after {received.at - begin} of {received.stop - begin} bytes")


def _ask(location: str) -> tuple[int, str]:
    """Ask for the first byte, which tells the size and whether the server knows ranges."""
    forget(location)
    with _sent(location, address_of(location), "bytes=0-0") as response:
        if response.status_code == 416 and response.headers.get("content-range", "").strip() == "bytes */0":
            return 0, _version(location, response, 0)
        total = _check(location, response, 0, 1)
        if response.status_code == 200 and total > WHOLE:
            raise _ignores_ranges(total)
        if response.status_code == 206 and b"".join(http_request.blocks(response, first=False))[1:]:
            raise Again("the server sent more than the byte that it was asked for")
        return total, _version(location, response, total)


def _check(location: str, response: requests.Response, begin: int, stop: int) -> int:
    """Return the size of the whole file, if a response is what was asked for. Raises: Again, DownloadError."""
    code, headers = response.status_code, response.headers
    if code not in (200, 206) and forget(location):
        raise Again(f"{code} {response.reason}, where the hub had led before", wait=http_request.retry_after(response))
    if code in http_request.RETRIED:
        raise Again(f"{code} {response.reason}", wait=http_request.retry_after(response))
    if code in (404, 410):
        raise FileMissingError(f"{shown(location)}: no such file ({code} {response.reason})")
    if code == 416:
        size = headers.get("content-range", "").strip().removeprefix("bytes */")
        if size.isdecimal() and int(size) < stop:
            raise Again(f"the file has {size} bytes", "It was cut short, or replaced by another one.")
        raise Again("the server says that there is no such range (416)")
    if code not in (200, 206):
        reason = f"{code} {response.reason}{_error_code(response)}"
        raise DownloadError(f"{shown(location)}: cannot be had: {reason}\n  {refused_advice(location)}")
    if headers.get("content-type", "").strip().lower().startswith("text/html"):
        raise Again("the server gave a web page", "Open the address in a browser; it may ask for a log-in.")
    if http_request.is_encoded(response):
        encoding = headers["content-encoding"][:40]
        raise Again(f"the server packs what it sends ({encoding}), although plain bytes were asked for")
    if code == 206:
        return _total(response, begin, stop)
    length = _length(response)
    if length is None:
        raise Again("the server neither knows ranges nor tells the size of the file", _DOWNLOAD)
    return length


def _ignores_ranges(length: int) -> Again:
    return Again(f"the server ignores ranges and sends the whole file of {length} bytes", _DOWNLOAD)


_DOWNLOAD = "It does not serve parts of files. Download the files, and pass their folder."


def _total(response: requests.Response, begin: int, stop: int) -> int:
    """Return the size of the whole file, if a response of 206 states the range that was asked for."""
    text = response.headers.get("content-range", "").strip()
    match = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", text)
    if match is None or (int(match[1]), int(match[2])) != (begin, stop - 1) or int(match[3]) < stop:
        raise Again(f"the server answers with range {text[:60]!r}, asked for bytes {begin}-{stop - 1}")
    if _length(response) not in (None, stop - begin):
        raise Again(f"the server announces {_length(response)} bytes, asked for {stop - begin}")
    return int(match[3])


def _slice_of_whole(response: requests.Response, begin: int, stop: int) -> bytes:
    """Return a part of a small file that the server sends whole."""
    length = _length(response) or 0
    if length > WHOLE:
        raise _ignores_ranges(length)
    whole = b"".join(http_request.blocks(response, first=False))
    if len(whole) != length or length < stop:
        raise Again(f"the server sent a whole file of {len(whole)} bytes, announced were {length}, needed {stop}")
    return whole[begin:stop]


def _version(location: str, response: requests.Response, total: int) -> str:
    """Return what tells this file from another one under the same address: `ranges.Stat` says which mark is taken.

    The hub marks a file by the digest of its content before it sends on to another server, whose marks may change.
    """
    for hop in response.history:
        if linked := hop.headers.get("x-linked-etag", "").strip():
            if scheme_of(location) == "hf":
                remember(location, response.url, linked)
            return linked
    if generation := response.headers.get("x-goog-generation", "").strip():
        return f"generation {generation}"
    if etag := response.headers.get("etag", "").strip():
        return etag.removeprefix("W/")
    modified = response.headers.get("last-modified", "").strip()
    return f"{total} bytes, {modified}" if modified else f"{total} bytes"


def _length(response: requests.Response) -> int | None:
    """Return the length that the server announces, None if it does not."""
    text = response.headers.get("content-length", "").strip()
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def _error_code(response: requests.Response) -> str:
    """Return a bucket's own word for a refusal; the rest of such a body may repeat what was signed."""
    body = next(http_request.blocks(response, first=True), b"")
    match = re.search(rb"<Code>([A-Za-z]{1,60})</Code>", body)
    return f", {match[1].decode()}" if match else ""


def _sent(location: str, address: Address, range_: str) -> requests.Response:
    """Return the response to a request, its body still to come."""

    def check_step(response: requests.Response, **_: Any) -> None:
        if where := http_request.leaves_https(response):
            raise DownloadError(
                f"{shown(location)}: leads from https to {shown(where)}, where anybody could change the file.\n"
                f"  If that is as it should be, pass {shown(where)} itself."
            )

    try:
        return http_request.response_to(_session(), address.url, {**address.headers, "Range": range_}, check_step)
    except requests.Timeout as error:
        slow = http_request.slowness(error)
        raise Again(f"no answer in time{f' ({slow})' if slow else ''}", slow=slow is not None) from None
    except requests.exceptions.ProxyError as error:
        raise DownloadError(
            f"{shown(location)}: cannot be read: {_innermost(error)}\n  Look at HTTPS_PROXY and NO_PROXY."
        ) from None
    except requests.ConnectionError as error:
        if isinstance(root := _root(error), ssl.SSLCertVerificationError):
            raise DownloadError(
                f"{shown(location)}: cannot be read: {root.verify_message}\n  Look at REQUESTS_CA_BUNDLE."
            ) from None
        raise Again(http_request.unreachable(error) or _innermost(error)) from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        # a redirect to an address that makes no sense leaves requests as a plain ValueError
        raise DownloadError(f"{shown(location)}: cannot be read: {_innermost(error)}") from None


def _session() -> requests.Session:
    """Return this thread's session, whose connections are kept; those of a process that forked are not its child's."""
    if getattr(_of_this_thread, "process", None) != os.getpid():
        _of_this_thread.session, _of_this_thread.process = http_request.session(), os.getpid()
    return _of_this_thread.session


def _root(error: BaseException) -> BaseException:
    """Return the error that the others are about."""
    while (below := error.__cause__ or error.__context__) is not None:
        error = below
    return error


def _innermost(error: BaseException) -> str:
    """Return what happened; the libraries' own words repeat the URL, which may be signed."""
    root = _root(error)
    return scrubbed(f"{type(root).__name__}: {root}")[:300]
