"""A publisher on this machine: a small HTTP server whose files can be changed, and a cache of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from videohub.hub import cache


@dataclass
class Publisher:
    """Files by path; `announced` overrides the Content-Length, None leaves it out; `requests` is what was asked for."""

    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    announced: dict[str, int | None] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def publish(self, path: str, content: bytes) -> str:
        self.files[path] = content
        return self.url(path)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            publisher.requests.append(self.path)
            if self.path in publisher.moved:
                self.send_response(302)
                self.send_header("Location", publisher.moved[self.path])
                self.end_headers()
            elif self.path in publisher.files:
                content = publisher.files[self.path]
                announced = publisher.announced.get(self.path, len(content))
                self.send_response(200)
                if announced is not None:
                    self.send_header("Content-Length", str(announced))
                self.end_headers()
                self.wfile.write(content)
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        publisher = Publisher(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield publisher
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of one test, which nothing has made yet."""
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return cache.home()
