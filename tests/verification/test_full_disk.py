"""A disk that takes no report takes no score away: the numbers are printed, and the same command goes on."""

from __future__ import annotations

import errno
import inspect
import json
import os
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from tests.verification import datasets
from videohub import runs
from videohub.cli import cli
from videohub.errors import CacheError
from videohub.reporting import pages
from videohub.verification import report, verify
from videohub.verification.runner import Part

# click 8.1 mixes what is printed and what is told, if it is not asked to keep them apart
APART = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}

NAME = "tiny_kinetics"


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return datasets.kinetics(tmp_path_factory.mktemp("kinetics"), videos=3)[0]


@pytest.fixture
def full(monkeypatch):
    """No report can be written any more."""

    @contextmanager
    def refuse(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        yield

    with monkeypatch.context() as patched:
        patched.setattr(pages, "atomic_write", refuse)
        yield


def test_a_report_that_cannot_be_written_is_an_error_that_says_what_is_safe(zoo, listing, full, tmp_path):
    with pytest.raises(CacheError) as refusal:
        verify(NAME, listing, out=tmp_path / "run", workers=0)
    assert str(refusal.value).startswith(f"{tmp_path / 'run'}: report.json cannot be written (No space left on device)")
    assert "What was scored is kept" in str(refusal.value)
    assert refusal.value.exit_code == 5
    assert len(runs.read_run(tmp_path / "run").done()) == 3


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_verdict_is_printed_before_the_error(zoo, listing, full, tmp_path, options):
    said = CliRunner(**APART).invoke(cli, ["verify", NAME, "--data", str(listing), "--out", str(tmp_path),
                                           "--workers", "0", *options])  # fmt: skip
    assert isinstance(said.exception, CacheError)
    if options:
        assert json.loads(said.stdout)["counts"]["scored"] == 3
    else:
        assert "verdict: " in said.stdout
        assert "verification.json are in" not in said.stdout


def test_the_same_command_writes_the_report_and_scores_nothing_again(zoo, listing, tmp_path, monkeypatch, request):
    with monkeypatch.context() as patched:
        patched.setattr(pages, "atomic_write", lambda _: pytest.fail("not reached"))
        patched.setattr(pages, "write", lambda *_: (_ for _ in ()).throw(CacheError("full")))
        with pytest.raises(CacheError):
            verify(NAME, listing, out=tmp_path / "run", workers=0)
    monkeypatch.setattr(Part, "keep", lambda *_: pytest.fail("this was scored before"))
    verify(NAME, listing, out=tmp_path / "run", workers=0)
    assert (tmp_path / "run" / "report.html").is_file()
    report([tmp_path / "run"], out=tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "report.json").is_file()


def test_that_scores_are_kept_is_said_once_the_run_begins(zoo, listing, tmp_path):
    def said(*options):
        return CliRunner(**APART).invoke(cli, ["verify", NAME, "--data", str(listing), "--out", str(tmp_path / "run"),
                                        "--workers", "0", *options]).stderr  # fmt: skip

    assert "keeping the scores" not in said("--root", str(tmp_path / "no such folder"))
    (tmp_path / "other").mkdir()
    assert [line[:18] for line in said().splitlines()].count("keeping the scores") == 1  # a line of its own, no bar's
    assert "keeping the scores" not in said("--clips", "1")  # another run is there
    assert "keeping the scores" not in said()  # all is scored
