"""Fixtures for the tests of reading."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def write(tmp_path):
    def write(data: bytes, name: str = "model.pkl") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write
