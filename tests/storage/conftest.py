"""A server on this machine, and no pauses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.conftest import _ends, impatient, publisher  # noqa: F401 — fixtures


@pytest.fixture(autouse=True)
def _home(own_cache: Path) -> None:
    """No setting of whoever runs the tests counts."""
