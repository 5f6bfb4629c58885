"""What several tests need: where the golden numbers and the sample videos lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from videohub import cli

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


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process and return its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["videohub", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
