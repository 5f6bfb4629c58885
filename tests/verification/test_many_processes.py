"""Runs under torchrun, and runs that are killed: in the end, each video once and the same scores."""

from __future__ import annotations

import sys

import pytest

from tests.verification import datasets
from tests.verification.killing import final_scores, killed_until_done, one_of_three_killed
from videohub import runs
from videohub.errors import UsageError
from videohub.evaluation import distributed
from videohub.verification import verify

pytestmark = pytest.mark.slow

NAME = "tiny_kinetics"


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return datasets.kinetics(tmp_path_factory.mktemp("kinetics"), videos=56)[0]  # or four kills find the run over


@pytest.fixture
def plain(zoo, listing, tmp_path):
    verify(NAME, listing, out=tmp_path / "plain", workers=1)
    return final_scores(tmp_path / "plain")


@pytest.mark.skipif(sys.platform != "linux", reason="looks processes up in /proc")
def test_one_of_three_processes_is_killed_and_restarted(zoo, listing, plain, tmp_path):
    out = tmp_path / "run"
    stdout = one_of_three_killed(NAME, listing, out, before=25)
    assert "verdict:" in stdout
    assert stdout.count("verdict:") == 1  # one process speaks for all
    assert final_scores(out) == plain
    shards = {made.shard for made in runs.join([out]).made_by}
    assert shards == {"1/3", "2/3", "3/3"}
    assert runs.join([out]).repeated == 0


def test_only_the_first_process_of_a_torchrun_writes_the_report(zoo, listing, tmp_path, monkeypatch):
    """The others come to their end at any moment; what they would write could replace the report of the whole."""
    monkeypatch.setattr(distributed, "barrier", lambda: None)
    environment = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for rank, reports in (("1", 0), ("0", 3)):
        for name, value in {**environment, "RANK": rank, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, value)
        verify(NAME, listing, out=tmp_path / "run", workers=0)
        assert len(list((tmp_path / "run").glob("report.*"))) == reports
    with pytest.raises(UsageError, match="out: found none under torchrun"):
        verify(NAME, listing)


def test_a_run_that_is_killed_again_and_again_ends_as_the_plain_one(zoo, listing, plain, tmp_path):
    kills = killed_until_done(NAME, listing, tmp_path / "run", kills=4, seed=1)
    assert kills == 4
    assert final_scores(tmp_path / "run") == plain
