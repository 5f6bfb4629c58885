"""A run that was interrupted, split or repeated gives what a plain run gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verification import datasets
from videohub import runs
from videohub.errors import UsageError
from videohub.verification import report, verify
from videohub.verification.runner import Part

NAME = "tiny_kinetics"


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return datasets.kinetics(tmp_path_factory.mktemp("kinetics"), videos=7)[0]


@pytest.fixture
def plain(zoo, listing, tmp_path):
    verify(NAME, listing, out=tmp_path / "plain", workers=0)
    return tmp_path / "plain"


def kept(*folders):
    """Every score of a run, and the report that follows from it but for what tells who made it and when."""
    joined = runs.join(folders)
    messages = report(folders)
    same = {
        field: getattr(messages, field)
        for field in ("comparisons", "verdict", "reasons", "counts", "ranks", "by_clips")
    }
    return [entry.scores.tobytes() for entry in joined.entries.values()], same


def interrupted(after, monkeypatch):
    """Let a run stop with KeyboardInterrupt once so many videos are kept."""
    keep, count = Part.keep, iter(range(10**6))

    def one_less(*arguments):
        if next(count) == after:
            raise KeyboardInterrupt
        keep(*arguments)

    monkeypatch.setattr(Part, "keep", one_less)


@pytest.mark.parametrize("after", [0, 1, 3, 6])
def test_a_resumed_run_is_the_plain_one_bit_for_bit(zoo, listing, plain, tmp_path, monkeypatch, after):
    with monkeypatch.context() as patched:
        interrupted(after, patched)
        with pytest.raises(KeyboardInterrupt):
            verify(NAME, listing, out=tmp_path / "run", workers=1)
    assert len(runs.read_run(tmp_path / "run").done()) == after
    verify(NAME, listing, out=tmp_path / "run", workers=1)
    assert kept(tmp_path / "run") == kept(plain)


def test_nothing_is_scored_twice(zoo, listing, plain, monkeypatch):
    monkeypatch.setattr(Part, "keep", lambda *_: pytest.fail("this was scored before"))
    verify(NAME, listing, out=plain)


def test_shards_of_several_machines_join_into_the_plain_run(zoo, listing, plain, tmp_path):
    for shard in ("1/3", "2/3", "3/3"):
        verify(NAME, listing, out=tmp_path / shard.replace("/", "of"), shard=shard, workers=0)
    folders = sorted(tmp_path.glob("*of*"))
    assert [len(runs.read_run(folder).done()) for folder in folders] == [3, 2, 2]
    assert kept(*folders) == kept(plain)


def test_shards_can_share_a_folder(zoo, listing, plain, tmp_path):
    for shard in ("2/2", "1/2"):
        verify(NAME, listing, out=tmp_path / "run", shard=shard, workers=0)
    assert kept(tmp_path / "run") == kept(plain)


def test_a_shard_alone_gives_no_verdict_and_says_what_is_pending(zoo, listing, tmp_path):
    messages = verify(NAME, listing, out=tmp_path / "run", shard="1/2", workers=0)
    assert (messages.counts.scored, messages.counts.pending) == (4, 3)
    assert messages.verdict == "insufficient data"


def test_batches_of_other_sizes_are_told_apart_by_nobody(zoo, listing, plain, tmp_path):
    """The batch decides which views share a pass; a CPU's scores must not depend on it beyond rounding."""
    verify(NAME, listing, out=tmp_path / "run", workers=0, batch=5)
    ours, theirs = (runs.join([folder]).video_scores()[1] for folder in (tmp_path / "run", plain))
    assert np.abs(ours - theirs).max() < 1e-4


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"clips": 2}, "protocol.views.clips: 2 asked for, 3 in it"), ({"sample": 3}, "sample: 3 asked for, null in it")],
)
def test_another_run_is_not_mixed_in(zoo, listing, plain, changed, said):
    with pytest.raises(UsageError, match=said):
        verify(NAME, listing, out=plain, workers=0, **changed)


def test_shards_of_other_data_are_refused(zoo, listing, plain, tmp_path):
    shorter = listing.parent / "shorter.csv"
    shorter.write_text("".join(listing.read_text().splitlines(keepends=True)[:5]))
    verify(NAME, shorter, out=tmp_path / "other", workers=0)
    with pytest.raises(UsageError, match="data_sha256"):
        report([plain, tmp_path / "other"])


def test_what_failed_is_tried_again_only_on_request(zoo, listing, tmp_path):
    moved = listing.parent / "v3.mp4"
    moved.rename(tmp_path / "v3.mp4")
    messages = verify(NAME, listing, out=tmp_path / "run", workers=0)
    (tmp_path / "v3.mp4").rename(moved)
    assert [failure.name for failure in messages.failures] == ["v3.mp4"]
    assert verify(NAME, listing, out=tmp_path / "run", workers=0).counts.failed == 1
    assert verify(NAME, listing, out=tmp_path / "run", workers=0, retry_failed=True).counts.failed == 0
