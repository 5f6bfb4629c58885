"""One request for a file over HTTP: how slowly its server may answer, and what the response says of the file."""

from __future__ import annotations

import email.utils
import functools
import http.client
import io
import os
import random
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager
from urllib3.exceptions import NewConnectionError

from videohub.errors import DownloadError, UsageError
from videohub.hub.sources import Requested, Source, without_user
from videohub.log import log

CONNECT_S, READ_S = 10.0, 60.0
ATTEMPTS = 5  # in a row, without a byte of progress
PAUSE_S = 1.0  # before the first retry; then 2, 4, 8 times as long, give or take half
LONGEST_PAUSE_S = 120.0  # a server that asks for more patience is left for another day
RETRIED = {408, 429, 500, 502, 503, 504}
HEAD = 1024  # bytes that show whether a body is a page
_LASTING_S = 20.0  # of trouble that is told; before that a connection may just have broken
_BLOCK = 1 << 20
_retried: set[str] = set()  # hosts whose trouble was told
_Result = TypeVar("_Result")


class Again(Exception):
    """Something went wrong that a second request may mend, and what to do if it does not."""

    def __init__(self, reason: str, advice: str = "", *, wait: float | None = None, slow: bool = False) -> None:
        super().__init__(f"{reason}; it asks to wait {wait:.0f} s" if wait else reason)
        self.advice = advice
        self.wait = wait or 0.0
        self.slow = slow  # what came so slowly is no progress
        self.attempt = 1  # in a row, without progress in between


def patiently(
    address: str, attempt: Callable[[], _Result], *, received: Callable[[], int] = lambda: 0, enough: int = 1
) -> _Result:
    """Return what an attempt gives, after as many as there is hope for.

    Args:
        address: Of the server, to be named once where it is in trouble.
        received: Tells how many bytes have come so far.
        enough: How many more of them are progress, after which the count of attempts begins anew.
    Raises: Again, that of the last attempt.
    """
    begun, failed, furthest = time.monotonic(), 0, received()
    while True:
        try:
            return attempt()
        except Again as trouble:
            progress = received() >= furthest + enough and not trouble.slow
            failed, furthest = 1 if progress else failed + 1, max(furthest, received())  # starting over is none
            trouble.attempt = failed
            if failed >= ATTEMPTS or trouble.wait > LONGEST_PAUSE_S:
                raise
            host = urlsplit(address).netloc.rpartition("@")[2]
            if host not in _retried and (failed > 1 or time.monotonic() - begun > _LASTING_S):
                _retried.add(host)
                words = "%s: %s; a request that fails is sent again, up to %d times, from now on without a word"
                log.warning(words, host, trouble, ATTEMPTS - 1)
            pause = max(PAUSE_S * 2 ** (failed - 1) * random.uniform(0.5, 1.5), trouble.wait)
            time.sleep(min(pause, LONGEST_PAUSE_S))


def response_to(
    session: requests.Session,
    address: str,
    headers: Mapping[str, str],
    check_step: Callable[..., None],
    *,
    method: str = "GET",
) -> requests.Response:
    """Return a server's response, its body still to come as it is; `check_step` sees each redirect before it is taken.

    Raises: what requests raises.
    """
    return session.request(
        method,
        address,
        stream=True,
        timeout=(CONNECT_S, READ_S),
        headers={"Accept-Encoding": "identity", **headers},
        hooks={"response": [_unread, check_step]},
        auth=(lambda request: request) if "Authorization" in headers else None,  # a netrc would replace it
    )


@dataclass
class Request:
    """A file that a server is asked for."""

    requested: Requested
    source: Source

    @property
    def digest_known(self) -> bool:
        """Whether the digest will be compared: then a part may be resumed that the server cannot vouch for."""
        return self.requested.digest is not None

    def send(self, session: requests.Session, headers: Mapping[str, str], *, method: str = "GET") -> requests.Response:
        """Return the response, its body still to come. Raises: Again, DownloadError."""
        by_hand, headers = self.requested.purpose.by_hand, {**self.source.headers, **headers}
        try:
            return response_to(session, self.source.address, headers, self._check_step, method=method)
        except (requests.exceptions.SSLError, requests.exceptions.ProxyError) as error:
            raise self.error(
                f"could not be downloaded: {error}", "Look at HTTPS_PROXY, NO_PROXY and REQUESTS_CA_BUNDLE."
            ) from error
        except requests.Timeout as error:
            slow = slowness(error)
            raise Again(f"no answer in time ({slow or error})", slow=slow is not None) from error
        except requests.ConnectionError as error:
            if why := unreachable(error):
                raise self.error(
                    f"could not be downloaded: {why}", f"Check the connection, or bring the file here and {by_hand}."
                ) from error
            raise Again(str(error)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
            # a redirect to an address that makes no sense leaves requests as a plain ValueError, a bundle of
            # authorities that is not there as a plain OSError
            raise self.error(f"could not be downloaded: {error}") from error

    def error(self, what: str, advice: str = "") -> DownloadError:
        """Return the error for what went wrong, with what to do."""
        advice = advice or f"Bring the file here by hand and {self.requested.purpose.by_hand}."
        return DownloadError(f"{self.requested.name}: {self.source.shown} {without_user(what)}\n  {advice}")

    def check_way(self, response: requests.Response) -> None:
        """Refuse a response on whose way the file could have been changed. Raises: DownloadError."""
        if step := left_https(response):
            self._check_https(step)

    def announced(self, response: requests.Response) -> int | None:
        """Return the length that the server announces, None if it does not."""
        text = response.headers.get("content-length")
        if text is None:
            return None
        if re.fullmatch("[0-9]{1,18}", text.strip()) is None:  # the library beneath may have read it as another number
            raise self.error(
                f"announces a body of {text[:40]!r} bytes", "Nothing was kept; its server is out of order."
            )
        return int(text)

    def _check_step(self, response: requests.Response, **_: Any) -> None:
        """Refuse a redirect before it is followed. Raises: DownloadError."""
        if where := leaves_https(response):
            self._check_https(where)

    def _check_https(self, where: str) -> None:
        """Refuse a step from https to elsewhere, unless a digest tells whether the file was changed there."""
        if not self.digest_known:
            what = f"leads from https to {where}, where anybody could have changed the file"
            raise self.error(what, self.requested.purpose.trusted)


def blocks(response: requests.Response, *, first: bool) -> Iterator[bytes]:
    """Yield the body as it arrives; larger reads would lose what came before a cut."""
    wire = iter(lambda: response.raw.read1(_BLOCK, decode_content=False), b"")
    try:
        plain = unzipped(wire, _BLOCK) if is_encoded(response) else wire
        yield from gathered(plain) if first else plain
    except (urllib3.exceptions.HTTPError, zlib.error, EOFError) as error:
        slow = slowness(error)
        raise Again(str(slow or error), slow=slow is not None) from error


def _unread(response: requests.Response, **_: Any) -> None:
    """Close a redirect before requests reads its body, which may have any size."""
    if response.is_redirect:
        response.close()


def is_encoded(response: requests.Response) -> bool:
    return response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity")


def unzipped(blocks: Iterable[bytes], most: int) -> Iterator[bytes]:
    """Yield what gzip has packed, at most `most` bytes at a time.

    Raises: EOFError if the end is missing, zlib.error if it is damaged.
    """
    decoder = zlib.decompressobj(wbits=31)
    for block in blocks:
        while block:
            if decoder.eof:  # gzip files may follow each other
                decoder = zlib.decompressobj(wbits=31)
            if plain := decoder.decompress(block, most):
                yield plain
            block = decoder.unconsumed_tail or decoder.unused_data
    if not decoder.eof:
        raise EOFError("the compressed body ends too early")


def retry_after(response: requests.Response) -> float | None:
    """Return the seconds that a busy server asks for, as a number or as a date."""
    text = response.headers.get("retry-after", "").strip()
    if re.fullmatch("[0-9]{1,18}", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def unreachable(error: requests.ConnectionError) -> str | None:
    """Return why a host is not there, or does not listen; None of a connection that broke."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    if not isinstance(reason, NewConnectionError):
        return None
    return re.split("[)>]: ", str(reason), maxsplit=1)[-1]  # without the names of our own classes


def leaves_https(response: requests.Response) -> str | None:
    """Return where a redirect leads if anybody on the way there can change the file, and nobody on the way here."""
    if not response.is_redirect or urlsplit(response.url).scheme != "https":
        return None
    target = urljoin(response.url, response.headers["location"])
    return None if urlsplit(target).scheme == "https" else target


def left_https(response: requests.Response) -> str | None:
    """Return the first step after https, of those that led to a response, that was none; whatever came after it."""
    steps = [step.url for step in (*response.history, response)]
    secure = [urlsplit(step).scheme == "https" for step in steps]
    first = secure.index(True) if True in secure else len(steps)
    return next((step for step, is_secure in zip(steps[first:], secure[first:], strict=True) if not is_secure), None)


def gathered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the blocks, the first of them large enough to show what it is of."""
    head, blocks = b"", iter(blocks)
    while len(head) < HEAD and (block := next(blocks, b"")):
        head += block
    if head:
        yield head
    yield from blocks


def is_page(block: bytes) -> bool:
    """Tell whether a body begins as HTML or XML; no container of checkpoints does.

    The length at the head of a safetensors file may begin with the byte of "<", but then zeros follow.
    """
    head = block[:HEAD].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith((b"\xff\xfe<\0", b"\xfe\xff\0<")):
        return True
    return re.match(rb"<[A-Za-z!?]", head) is not None and b"\0" not in head[:16]


VARIABLE = "VIDEOHUB_MIN_RATE"
USUAL_RATE = 1000.0  # bytes a second
WINDOW_S = 60.0  # of waiting for the server, over which a body's rate is measured
HEADER_S = 60.0  # of waiting for the end of a header
LARGEST_HEADER = 8 << 20  # Python's own limits come to less; only "100 Continue" may be repeated for ever


class TooSlow(TimeoutError):
    """A server sends less than it has to."""


def min_rate() -> float:
    """Return the bytes a second below which a server is left, 0 where it never is: `VIDEOHUB_MIN_RATE`, else 1000.

    Raises: UsageError if the variable holds something else than a number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return USUAL_RATE
    if not re.fullmatch(r"[0-9]{1,15}(\.[0-9]+)?", text):
        raise UsageError(f"{VARIABLE}: found {text[:40]!r}, expected bytes a second, such as 1000, or 0 for no limit")
    return float(text)


def session() -> requests.Session:
    """Return a session that leaves slow servers, and honours proxies, NO_PROXY, REQUESTS_CA_BUNDLE and netrc."""
    made = requests.Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, _Adapter())
    return made


def slowness(error: BaseException | None) -> TooSlow | None:
    """Return what stands behind an error if a server was too slow; the libraries call it a timeout like any other."""
    while error is not None and not isinstance(error, TooSlow):
        error = error.__cause__ or error.__context__
    return error


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        _pace(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> PoolManager:
        manager: PoolManager = super().proxy_manager_for(*arguments, **named)
        _pace(manager)
        return manager


def _pace(manager: PoolManager) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _paced(pool) for scheme, pool in pools.items()}


@functools.cache
def _paced(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    """Return a pool like this one, whose connections watch their answers."""
    if getattr(pool.ConnectionCls, "response_class", None) is _Response:
        return pool
    connection = type("PacedConnection", (pool.ConnectionCls,), {"response_class": _Response})
    return type("PacedPool", (pool,), {"ConnectionCls": connection})


class _Response(http.client.HTTPResponse):
    """A response whose every byte comes through a watched stream."""

    def __init__(self, sock: socket.socket, *arguments: Any, **named: Any) -> None:
        super().__init__(sock, *arguments, **named)
        self._watched = _Watched(self.fp.detach())
        self.fp = io.BufferedReader(self._watched)

    def begin(self) -> None:
        super().begin()
        self._watched.header_is_over()


class _Watched(io.RawIOBase):
    """A socket's stream. Only the time that is spent waiting for it counts, not what its reader does in between."""

    def __init__(self, stream: io.RawIOBase) -> None:
        self._stream = stream
        self._rate = min_rate()
        self._in_header = True
        self._waited = 0.0
        self._came = 0

    def header_is_over(self) -> None:
        self._in_header, self._waited, self._came = False, 0.0, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begun = time.monotonic()
        size: int | None = self._stream.readinto(buffer)
        self._waited += time.monotonic() - begun
        self._came += size or 0
        if self._in_header:
            if self._waited >= HEADER_S or self._came > LARGEST_HEADER:
                raise TooSlow(f"gave no whole header in {self._waited:.0f} s and {self._came} bytes")
        elif self._waited >= WINDOW_S:
            if self._came < self._rate * self._waited:
                raise TooSlow(
                    f"gave {self._came} bytes in {self._waited:.0f} s, and {VARIABLE} demands {self._rate:.0f} a second"
                )
            self._waited, self._came = 0.0, 0
        return size

    def fileno(self) -> int:
        return self._stream.fileno()

    def close(self) -> None:
        self._stream.close()
        super().close()
