"""A publisher on this machine, and a cache of the test's own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.publisher import Publisher, running
from videohub.hub import cache, http_download


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    with running() as publisher:
        yield publisher


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of one test, which nothing has made yet."""
    for name in ("VIDEOHUB_CACHE_RO", "VIDEOHUB_MIRRORS", "VIDEOHUB_OFFLINE", "VIDEOHUB_MIN_RATE", "HF_HUB_OFFLINE",
                 "TRANSFORMERS_OFFLINE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return cache.home()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause before a retry, and little patience with a silent server."""
    monkeypatch.setattr(http_download, "PAUSE_S", 0)
    monkeypatch.setattr(http_download, "READ_S", 1.0)
    monkeypatch.setattr(http_download, "ATTEMPTS", 3)


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    """A fetch that asks for ever fails its test."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("no end after 60 s"))
    signal.alarm(60)
    yield
    signal.alarm(0)
