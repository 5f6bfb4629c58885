"""What came of a full run is counted and kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run_record import area

ROOT = Path(__file__).resolve().parent.parent

OUTCOMES = """
import pytest

@pytest.fixture
def broken():
    raise OSError

@pytest.fixture
def leaves_a_mess():
    yield
    raise OSError

def test_that_passes(): pass
@pytest.mark.parametrize("value", [1, 2])
def test_of_two(value): assert value == 1
def test_that_skips(): pytest.skip("no")
@pytest.mark.skip
def test_that_is_skipped(): pass
def test_that_cannot_begin(broken): pass
def test_that_ends_badly(leaves_a_mess): pass
@pytest.mark.slow
def test_left_out(): pass
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]], ids=["alone", "with workers"])
def test_a_run_counts_each_test_once_and_replaces_only_its_own_part(tmp_path, workers):
    for folder in ("tests/data", "results"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("__init__.py", "run_record.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    (tmp_path / "tests" / "conftest.py").write_text(
        "from tests import run_record\n\ndef pytest_configure(config):\n    run_record.register(config)\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: later\n")
    (tmp_path / "tests" / "data" / "test_outcomes.py").write_text(OUTCOMES)
    (tmp_path / "tests" / "test_marks.py").write_text("def test_one(): pass\n")
    path = tmp_path / "results" / "tests.json"
    path.write_text('{"not slow": {"old": 1}, "slow": {"kept": 2}}')
    command = [sys.executable, "-m", "pytest", "-m", "not slow", *workers]
    environment = {**os.environ, "VIDEOHUB_TEST_RECORD": "results/tests.json", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    record = json.loads(path.read_text())
    assert record["slow"] == {"kept": 2}
    assert record["not slow"]["counts"] == {"passed": 3, "failed": 3, "skipped": 2}
    assert record["not slow"]["areas"] == {"data": {"passed": 2, "failed": 3, "skipped": 2}, "marks": {"passed": 1}}


def test_an_area_is_a_folder_or_a_file_beside_the_folders():
    assert area("tests/hub/test_names.py::test_a[b/c]") == "hub"
    assert area("tests/exports/deep/test_a.py::test_b") == "exports"
    assert area("tests/test_cli.py::test_a") == "cli"
