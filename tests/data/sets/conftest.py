"""How these tests make a data set: a folder of small files, written as its publishers write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.samples import DataSet


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write files below a folder: their names and what is in them, or only names of empty ones."""

    def put(files: dict[str, str | bytes] | list[str]) -> Path:
        for name in files:
            content = files[name] if isinstance(files, dict) else b""
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return put


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., DataSet]:
    """Read a data set as a record is tested on it."""

    def read(record: str, data: Path | None = None, root: Path | None = None) -> DataSet:
        return sets.read(data or tmp_path, root=root, record=registry.record(record))

    return read
