"""How slow a server may be: one that sends next to nothing, be it a header, a chunk's length or a body, is left."""

from __future__ import annotations

import functools
import http.client
import io
import os
import re
import socket
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, PoolManager

from videohub.errors import UsageError

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
    """An answer whose every byte comes through a watched stream."""

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
