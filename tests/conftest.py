"""What several tests need: where the golden numbers and the sample videos lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of numbers computed with the original implementation."""
    return TESTS / "golden"


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of real videos, which are not kept in the repository."""
    folder = Path(os.environ.get("VIDEOHUB_TEST_MEDIA", TESTS.parent.parent / "shared" / "media"))
    if not folder.is_dir():
        pytest.skip(f"no sample videos in {folder}; set VIDEOHUB_TEST_MEDIA to a folder that holds them")
    return folder
