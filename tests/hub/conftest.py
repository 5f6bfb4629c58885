"""A publisher on this machine, and a cache of the test's own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.publisher import Publisher, running
from videohub.hub import http_request


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with running() as publisher:
        yield publisher


@pytest.fixture(autouse=True)
def home(own_cache: Path) -> Path:
    """The cache folder of one test, which nothing has made yet."""
    return own_cache


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a retry, and little patience with a silent server."""
    monkeypatch.setattr(http_request, "PAUSE_S", 0)
    monkeypatch.setattr(http_request, "READ_S", 1.0)
    monkeypatch.setattr(http_request, "ATTEMPTS", 3)


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """A fetch that asks for ever fails its test."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("no end after 60 s"))
    signal.alarm(60)
    yield
    signal.alarm(0)
