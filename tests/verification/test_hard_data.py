"""Data sets as they are found: broken videos, samples of large ones, and numbers that settle early."""

from __future__ import annotations

import msgspec
import pytest

import videohub
from tests.data.broken_videos import KINDS, make
from tests.verification import datasets
from videohub import registry, runs
from videohub.data import sets
from videohub.data.samples import DataSet, Sample, VideoFile
from videohub.errors import DataError, DeviceError, UsageError
from videohub.verification import report, runner, verify

NAME = "tiny_kinetics"


def test_thirty_kinds_of_video_cost_no_more_than_themselves(zoo, tmp_path):
    """The last video holds the bytes of one in the middle: what failed between them must not change its scores."""
    places = make(tmp_path / "videos")
    (tmp_path / "videos" / "the_same.mp4").write_bytes(places["wrong_extension"].read_bytes())
    lines = [f"{path} 3" for path in places.values()] + [f"{tmp_path / 'videos' / 'the_same.mp4'} 3"]
    (tmp_path / "list.csv").write_text("\n".join(lines))
    messages = verify(NAME, tmp_path / "list.csv", out=tmp_path / "run", workers=2)
    reasons = {failure.name: failure.reason for failure in messages.failures}
    assert len(KINDS) >= 20
    for name, kind in KINDS.items():
        reason = reasons.get(str(places[name]))
        if kind.expected == "fails" and not kind.deep:
            assert reason is not None, f"{name} was scored"
            assert kind.says in reason
        elif kind.expected != "fails":
            assert reason is None, f"{name}: {reason}"
    joined = runs.join([tmp_path / "run"])
    scores = {entry.name: entry.scores for entry in joined.entries.values()}
    assert (scores[str(tmp_path / "videos" / "the_same.mp4")] == scores[str(places["wrong_extension"])]).all()
    assert messages.counts.failed == len(reasons) > 10
    assert messages.comparisons[0].bounds[1] > 100 * len(reasons) / (len(KINDS) + 1)  # they might all have been right


def test_lists_that_the_metric_cannot_judge_are_refused_before_a_video_or_the_file_is_looked_at(
    zoo, tmp_path, monkeypatch
):
    videos = DataSet([Sample(f"{number}.mp4", VideoFile(tmp_path), (number, 1)) for number in range(2)])
    monkeypatch.setattr(sets, "read", lambda *_, **__: videos)
    monkeypatch.setattr(runner, "fetch", lambda *_, **__: pytest.fail("the file was asked for"))
    with pytest.raises(DataError, match=r"such as 0\.mp4: found 2 right classes, expected one\.\n  Correct the lists"):
        verify(NAME, tmp_path, out=tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def listing(tmp_path):
    return datasets.kinetics(tmp_path / "kinetics", videos=9)[0]


def test_a_sample_is_a_part_of_the_list_and_is_named_so(zoo, listing, tmp_path):
    messages = verify(NAME, listing, out=tmp_path / "run", sample=4, seed=3, workers=0)
    assert (messages.counts.listed, messages.counts.chosen, messages.counts.scored) == (9, 4, 4)
    assert messages.sampling is not None
    assert messages.sampling.seed == 3
    again = verify(NAME, listing, out=tmp_path / "again", sample=4, seed=3, workers=0)
    assert messages.ranks == again.ranks


def far_from_published(zoo):
    """The record with a published accuracy that its made-up weights cannot have."""
    record = videohub.record(NAME)
    return msgspec.structs.replace(record, published=(msgspec.structs.replace(record.number, top1=90.0),))


def test_a_run_stops_when_its_verdict_is_settled_and_says_what_it_took(zoo, tmp_path):
    listing = datasets.kinetics(tmp_path / "kinetics", videos=57)[0]
    record = far_from_published(zoo)
    messages = verify(record, listing, out=tmp_path / "run", until_decided=0.95, workers=1)
    assert messages.verdict == "inconsistent"
    assert messages.stopping is not None
    assert 3 <= messages.stopping.looked_at < 57
    assert messages.counts.pending == 57 - messages.stopping.looked_at
    before = runs.read_run(tmp_path / "run").done()
    assert verify(record, listing, out=tmp_path / "run", until_decided=0.95).verdict == "inconsistent"
    assert runs.read_run(tmp_path / "run").done() == before  # there was nothing left to do


def test_a_run_that_stops_early_gives_the_verdict_of_the_whole_list(zoo, listing, tmp_path):
    messages = verify(NAME, listing, out=tmp_path / "run", until_decided=0.95, workers=0)
    assert messages.counts.pending <= 1  # nine videos say little, so nearly all are needed
    assert messages.verdict == verify(NAME, listing, workers=0).verdict


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (NAME, {"until_decided": 95.0}, "expected a level such as 0.95"),
        (NAME, {"until_decided": 0.95, "sample": 3}, "leave out the sample"),
        (NAME, {"until_decided": 0.95, "shard": "1/2"}, "cannot be split"),
        ("tiny_charades", {"until_decided": 0.95}, "mean over classes"),
        (NAME, {"sample": 10}, "expected 1 to 9"),
        (NAME, {"shard": "3/2"}, "i/n with i from 1 to n"),
        (NAME, {"precision": "fp8"}, "found 'fp8'"),
        (NAME, {"workers": -1}, "workers: found -1"),
    ],
)
def test_settings_that_cannot_hold_are_refused(zoo, listing, name, options, said):
    with pytest.raises(UsageError, match=said):
        verify(name, listing, **options)


def test_a_precision_that_this_machine_lacks_is_refused(zoo, listing):
    with pytest.raises(DeviceError, match="tf32"):
        verify(NAME, listing, precision="tf32")


def test_a_reduced_precision_is_tried_first_and_kept_in_the_report(zoo, listing, tmp_path):
    messages = verify(NAME, listing, out=tmp_path / "run", precision="bf16", workers=0)
    assert messages.precision == "bf16"
    assert "bf16 against fp32" in messages.made_by[0].precision["why"]


def test_a_record_that_is_gone_from_the_registry_leaves_its_run_unjudged(zoo, listing, tmp_path, monkeypatch):
    verify(NAME, listing, out=tmp_path / "run", workers=0)
    monkeypatch.setenv(registry.VARIABLE, "")
    with pytest.raises(registry.UnknownNameError if hasattr(registry, "UnknownNameError") else LookupError):
        report([tmp_path / "run"])
