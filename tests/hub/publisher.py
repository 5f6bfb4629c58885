"""A publisher for the tests: an HTTP server whose files can be changed, and which misbehaves where it is told to.

A behaviour is given what was asked and the rest of the server, and returns an answer. They compose, outermost first:

    publisher.publish("/MODEL.pkl", content, first(2, refusing(503)), cut([1000, 5000]), sent(block=4096, pause_s=0.01))

refuses two requests, then cuts the third after 1000 bytes of its body and the fourth after 5000, all of it slowly.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOG_IN = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please log in</body></html>\n"


@dataclass(frozen=True)
class Asked:
    """A request; header names are in small letters. `content` is the file at this path, None if there is none."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes | None


@dataclass(frozen=True)
class Answer:
    """What goes over the wire, and how. Positions count bytes of the body; -1 is before the headers."""

    status: int
    headers: Mapping[str, object]  # None: leave it out
    body: bytes = b""
    cut: int | None = None  # where the connection ends
    reset: bool = False  # it ends with RST instead of FIN
    stall: int | None = None  # where it hangs
    stall_s: float | None = None  # for how long; None: until the publisher is released
    block: int = 1 << 16  # bytes written at once
    pause_s: float = 0  # before each block
    chunked: bool = False


Serve = Callable[[Asked], Answer]
Behaviour = Callable[[Asked, Serve], Answer]


@dataclass
class Exchange:
    """One line of the log: a request, and what truly left for it. `cut`: the connection ended before the body did."""

    method: str
    path: str
    headers: Mapping[str, str]
    status: int = 0
    sent: int = 0
    cut: bool = False


@dataclass
class Publisher:
    """Files by path; `announced` overrides the Content-Length, None leaves it out; `requests` is what was asked for."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, tuple[Behaviour, ...]] = field(default_factory=dict)
    announced: dict[str, int | None] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    log: list[Exchange] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def requests(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [exchange.path for exchange in self.log]

    def asked(self, header: str) -> list[str | None]:
        """The value of one header in each request, in order."""
        return [exchange.headers.get(header) for exchange in self.log]

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def publish(self, path: str, content: bytes, *behaviours: Behaviour) -> str:
        """Put a file at a path, in place of what was there and of how that was served, and return its URL."""
        self.files[path], self.behaviours[path] = content, behaviours
        return self.url(path)

    def answer(self, asked: Asked) -> Answer:
        behaviours = list(self.behaviours.get(asked.path, ()))
        if asked.path in self.announced:
            behaviours.append(headed({"Content-Length": self.announced[asked.path]}))
        if asked.path in self.moved:
            behaviours.append(redirecting(self.moved[asked.path]))
        serve: Serve = _well_served
        for behaviour in reversed(behaviours):
            serve = functools.partial(behaviour, serve=serve)
        return serve(asked)


@contextmanager
def running() -> Iterator[Publisher]:
    """Yield a publisher that answers until the block ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.publisher = Publisher(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.publisher
        finally:
            server.publisher.released.set()
            server.shutdown()
            thread.join()


# --- behaviours ------------------------------------------------------------------------------------------------------


def first(times: int, behaviour: Behaviour) -> Behaviour:
    """Behave so for the first requests that come this far, and well afterwards."""
    count = itertools.count()
    return lambda asked, serve: behaviour(asked, serve) if next(count) < times else serve(asked)


def later(times: int, behaviour: Behaviour) -> Behaviour:
    """Behave well for the first requests that come this far, and so afterwards."""
    count = itertools.count()
    return lambda asked, serve: behaviour(asked, serve) if next(count) >= times else serve(asked)


def cut(after: Iterable[int], *, reset: bool = False) -> Behaviour:
    """End the connection after so many bytes of one body and the next; where the list ends, bodies are whole."""
    places = iter(after)
    return lambda asked, serve: replace(serve(asked), cut=next(places, None), reset=reset)


def sent(**how: object) -> Behaviour:
    """Send an answer in another way, by the names in `Answer`: `sent(stall=1000)`, `sent(chunked=True)`."""
    return lambda asked, serve: replace(serve(asked), **how)  # type: ignore[arg-type]


def headed(headers: Mapping[str, object]) -> Behaviour:
    """Say something else in the headers; None leaves one out."""

    def behave(asked: Asked, serve: Serve) -> Answer:
        answer = serve(asked)
        return replace(answer, headers={**answer.headers, **headers})

    return behave


def refusing(status: int, headers: Mapping[str, object] | None = None, body: bytes = b"no\n") -> Behaviour:
    """Answer with an error instead of the file."""
    return lambda asked, serve: _answer(status, {"Content-Type": "text/plain", **(headers or {})}, body)


def redirecting(location: str, status: int = 302) -> Behaviour:
    """Send the asker elsewhere."""
    return lambda asked, serve: _answer(status, {"Location": location}, b"")


def serving(content: bytes) -> Behaviour:
    """Serve another file, properly."""
    return lambda asked, serve: serve(replace(asked, content=content))


def gzipped(upto: int | None = None) -> Behaviour:
    """Send the whole file compressed although nobody asked for that, or as many bytes of it, which is announced so."""

    def behave(asked: Asked, serve: Serve) -> Answer:
        answer = ignoring_ranges(asked, serve)
        return _answer(answer.status, {**answer.headers, "Content-Encoding": "gzip"}, gzip.compress(answer.body)[:upto])

    return behave


def ignoring_ranges(asked: Asked, serve: Serve) -> Answer:
    """Send all of the file whatever part was asked for."""
    return serve(replace(asked, headers={k: v for k, v in asked.headers.items() if k != "range"}))


def misranging(how: Callable[[int, bytes], tuple[str | None, bytes]]) -> Behaviour:
    """Where a part would be served, serve the Content-Range (None: none) and the body of `how(start, content)`."""

    def behave(asked: Asked, serve: Serve) -> Answer:
        answer = serve(asked)
        if answer.status != 206 or asked.content is None:
            return answer
        content_range, body = how(len(asked.content) - len(answer.body), asked.content)
        return _answer(206, {**answer.headers, "Content-Range": content_range}, body)

    return behave


# --- a well-behaved server -------------------------------------------------------------------------------------------


@functools.lru_cache(256)  # a tar is asked for thousands of its members
def validators(content: bytes) -> dict[str, str]:
    """A strong ETag and a date in the past; others for another content."""
    digest = hashlib.md5(content).hexdigest()
    return {"ETag": f'"{digest}"', "Last-Modified": formatdate(1_400_000_000 + int(digest[:7], 16), usegmt=True)}


def _well_served(asked: Asked) -> Answer:
    """The file, or the part that was asked for, or 404."""
    if asked.content is None:
        return _answer(404, {"Content-Type": "text/plain"}, b"not here\n")
    total, valid = len(asked.content), validators(asked.content)
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", **valid}
    part = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
    if not part or asked.headers.get("if-range", valid["ETag"]) not in valid.values():
        return _answer(200, headers, asked.content)
    start, end = int(part[1]), min(int(part[2] or total) + 1, total)
    if start >= end:
        return _answer(416, {"Content-Range": f"bytes */{total}"}, b"")
    return _answer(206, {**headers, "Content-Range": f"bytes {start}-{end - 1}/{total}"}, asked.content[start:end])


def _answer(status: int, headers: Mapping[str, object], body: bytes) -> Answer:
    return Answer(status, {**headers, "Content-Length": len(body)}, body)


# --- the wire --------------------------------------------------------------------------------------------------------


class _Server(ThreadingHTTPServer):
    publisher: Publisher
    request_queue_size = 128  # many processes may knock at once


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(OSError):  # an asker that was killed is no news
            super().handle()

    def do_GET(self) -> None:
        publisher, headers = self.server.publisher, {name.lower(): value for name, value in self.headers.items()}
        exchange = Exchange(self.command, self.path, headers)
        publisher.log.append(exchange)
        answer = publisher.answer(Asked(self.command, self.path, headers, publisher.files.get(self.path)))
        end = len(answer.body) if answer.cut is None else min(answer.cut, len(answer.body))
        exchange.status, exchange.cut = answer.status, end < len(answer.body)
        if answer.stall == -1:
            publisher.released.wait(answer.stall_s)
        if end > -1:
            self._send_head(answer)
        if self.command != "HEAD":
            self._send_body(answer, end, exchange)
        self.close_connection |= exchange.cut
        if exchange.cut and answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()  # at once: the server's own end would say FIN first

    do_HEAD = do_GET

    def _send_head(self, answer: Answer) -> None:
        headers = dict(answer.headers)
        if answer.chunked:
            headers.update({"Content-Length": None, "Transfer-Encoding": "chunked"})
        elif headers["Content-Length"] != len(answer.body):
            headers["Connection"] = "close"  # else the next answer would be taken for a part of this one
        self.send_response(answer.status)
        for name in headers:
            if headers[name] is not None:
                self.send_header(name, str(headers[name]))
        self.end_headers()

    def _send_body(self, answer: Answer, end: int, exchange: Exchange) -> None:
        while exchange.sent < end:
            start = exchange.sent
            if start == answer.stall:
                self.server.publisher.released.wait(answer.stall_s)
            stop = answer.stall if answer.stall is not None and answer.stall > start else end
            block = answer.body[start : min(start + answer.block, stop, end)]
            time.sleep(answer.pause_s)
            exchange.sent += len(block)  # first, so that who has the bytes finds them counted
            self.wfile.write(b"%x\r\n%b\r\n" % (len(block), block) if answer.chunked else block)
        if answer.chunked and not exchange.cut:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
