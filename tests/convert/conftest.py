"""Fixtures for the tests of reading."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.convert.files import CONTAINERS
from tests.fuzz.reading import READ, Watched
from videohub.convert import read
from videohub.errors import UnsafeFileError


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "model.pkl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def refused():
    """Check that a file is refused as unsafe with these words, and return the message."""

    def refused(path: Path, words: str) -> str:
        with pytest.raises(UnsafeFileError, match=words) as caught:
            read(path)
        return str(caught.value)

    return refused


@pytest.fixture
def canary(tmp_path):
    """A file that hostile code would make."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture(scope="session")
def reader(tmp_path_factory) -> Iterator[Watched]:
    """A process that reads one file after the other, warm, held within memory and time, and watched."""
    whole = [make() for make, _, _ in CONTAINERS.values()]
    watched = Watched(tmp_path_factory.mktemp("watched") / "reader", whole, READ)
    yield watched
    watched.stop()
