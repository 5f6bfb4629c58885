"""Several records in one pass over the videos: each run is the one it would be alone, and no video is read twice."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest

import videohub
from tests.data.broken_videos import flipped
from tests.data.small_videos import small_video
from tests.verification import datasets
from tests.verification.conftest import use
from videohub import runs
from videohub.cli import verify as verify_verb
from videohub.data import decoded
from videohub.errors import UsageError
from videohub.evaluation import distributed
from videohub.verification import runner, verify, verify_together
from videohub.verification.runner import Part

NAMES = ["tiny_kinetics", "tiny_slowfast", "tiny_i3d"]
VIDEOS = 7


@pytest.fixture(scope="module")
def listing(tmp_path_factory):
    return datasets.kinetics(tmp_path_factory.mktemp("kinetics"), videos=VIDEOS)[0]


@pytest.fixture(scope="module")
def alone(zoo_file, listing, tmp_path_factory):
    """The runs of the records, each verified by itself, in folders with their names."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patched:
        use(zoo_file, tmp_path_factory, patched)
        for name in NAMES:
            verify(name, listing, out=folder / name, workers=0)
    return folder


def kept(folder):
    """Every score that a run has, byte for byte, and the digest of the frames that it comes from."""
    return {entry.name: (entry.scores.tobytes(), entry.views) for entry in runs.join([folder]).entries.values()}


def all_kept(folder, names=NAMES):
    return {name: kept(folder / name) for name in names}


@pytest.fixture
def opened(monkeypatch):
    """How often each video was opened."""
    times, open_video = Counter(), decoded.open_video

    def counted(path):
        times[path.name] += 1
        return open_video(path)

    monkeypatch.setattr(decoded, "open_video", counted)
    return times


def test_one_pass_gives_each_record_the_scores_it_has_alone_and_opens_each_video_once(
    zoo, listing, alone, tmp_path, opened
):
    messages = verify_together(NAMES, listing, out=tmp_path, workers=0)
    assert opened == {f"v{number}.mp4": 1 for number in range(VIDEOS)}
    assert [report.record for report in messages] == NAMES
    assert all_kept(tmp_path) == all_kept(alone)
    for report in messages:
        by_itself, together = (json.loads((folder / report.record / "report.json").read_bytes())
                               for folder in (alone, tmp_path))  # fmt: skip
        for field in ("comparisons", "ranks", "verdict", "command"):
            assert together[field] == by_itself[field]


def test_an_interrupted_pass_goes_on_where_each_record_was(zoo, listing, alone, tmp_path, monkeypatch):
    after = 8
    keep, count = Part.keep, iter(range(3 * VIDEOS))

    def one_less(*arguments):
        if next(count) == after:
            raise KeyboardInterrupt
        keep(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Part, "keep", one_less)
        with pytest.raises(KeyboardInterrupt):
            verify_together(NAMES, listing, out=tmp_path, workers=0)
    assert sum(len(runs.read_run(tmp_path / name).done()) for name in NAMES) == after
    verify_together(NAMES, listing, out=tmp_path, workers=1)
    assert all_kept(tmp_path) == all_kept(alone)


def test_only_what_a_record_lacks_is_read(zoo, listing, alone, tmp_path, opened):
    """One is complete, one lacks the odd videos; a run that was begun alone is gone on with together."""
    verify("tiny_slowfast", listing, out=tmp_path / "tiny_slowfast", workers=0)
    verify("tiny_kinetics", listing, out=tmp_path / "tiny_kinetics", shard="1/2", workers=0)
    opened.clear()
    verify_together(NAMES[:2], listing, out=tmp_path, workers=0)
    assert opened == {"v1.mp4": 1, "v3.mp4": 1, "v5.mp4": 1}
    verify_together(NAMES[:2], listing, out=tmp_path, workers=0)
    assert opened.total() == 3
    assert all_kept(tmp_path, NAMES[:2]) == all_kept(alone, NAMES[:2])
    made_by = [runs.join([tmp_path / name]).made_by for name in NAMES[:2]]
    assert [len(processes) for processes in made_by] == [2, 1]


def test_shards_of_several_records_join_into_the_plain_runs(zoo, listing, alone, tmp_path):
    for shard in ("2/2", "1/2"):
        messages = verify_together(NAMES, listing, out=tmp_path, shard=shard, workers=0)
        assert {report.counts.pending for report in messages} == {4 if shard == "2/2" else 0}
    assert all_kept(tmp_path) == all_kept(alone)


def test_each_record_stops_when_its_own_verdict_is_settled(zoo, tmp_path, opened):
    """Few wrong answers rule out 95 % of 20 videos, and many more are needed to rule out 70 %."""
    listing = datasets.kinetics(tmp_path / "videos", videos=20)[0]
    records = [published(name, top1) for name, top1 in (("tiny_slowfast", 95.0), ("tiny_i3d", 70.0))]
    names = [record.name for record in records]
    for record in records:
        verify(record, listing, out=tmp_path / "alone" / record.name, until_decided=0.95, workers=0)
    opened.clear()
    messages = verify_together(records, listing, out=tmp_path / "together", until_decided=0.95, workers=0)
    assert all_kept(tmp_path / "together", names) == all_kept(tmp_path / "alone", names)
    looked_at = [report.stopping.looked_at for report in messages]
    assert looked_at[0] < looked_at[1] < 20
    assert looked_at[1] <= len(opened) < 20
    assert [report.verdict for report in messages] == ["inconsistent", "inconsistent"]
    opened.clear()
    verify_together(records, listing, out=tmp_path / "together", until_decided=0.95, workers=0)
    assert not opened


def published(name, top1):
    """A record of the zoo with another published accuracy."""
    record = videohub.record(name)
    return msgspec.structs.replace(record, published=(msgspec.structs.replace(record.number, top1=top1),))


def test_a_video_that_cannot_be_decoded_fails_for_every_record(zoo, tmp_path):
    listing = datasets.kinetics(tmp_path / "videos", videos=3)[0]
    (tmp_path / "videos" / "v1.mp4").write_bytes(b"no video")
    messages = verify_together(NAMES[1:], listing, out=tmp_path / "runs", workers=0)
    assert [[failure.name for failure in report.failures] for report in messages] == [["v1.mp4"]] * 2
    datasets.video(tmp_path / "videos" / "v1.mp4", 1)
    messages = verify_together(NAMES[1:], listing, out=tmp_path / "runs", workers=0, retry_failed=True)
    assert [report.counts.scored for report in messages] == [3, 3]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "found no record"),
        (["tiny_kinetics", "TINY_KINETICS"], "tiny_kinetics: named twice"),
        (["tiny_kinetics", "tiny_i3d", "tiny_ava"], "tiny_kinetics, tiny_ava: .* dataset kinetics400"),
        (["tiny_slowfast", "slowfast_r50_8x8"], "tiny_slowfast, slowfast_r50_8x8: .* resize short side pixels 40"),
        (["tiny_kinetics", "slowfast_r101_8x8"], "never released"),
    ],
)
def test_records_that_cannot_share_a_pass_are_refused_before_any_download(zoo, listing, names, said, monkeypatch):
    monkeypatch.setattr(runner, "fetch", lambda *_, **__: pytest.fail("nothing may be fetched"))
    with pytest.raises(UsageError, match=said):
        verify_together(names, listing)


def test_records_that_read_the_lists_otherwise_are_refused(zoo, listing):
    first = videohub.record("tiny_kinetics")
    for change, text in (
        ({"labels": "others"}, r"labels: kinetics400 \(400 names\) of tiny_kinetics, others of theirs"),
        ({"model": msgspec.structs.replace(first.model, num_classes=7)}, "classes: 400 of tiny_kinetics, 7 of theirs"),
    ):
        with pytest.raises(UsageError, match=text):
            verify_together([first, msgspec.structs.replace(first, name="theirs", **change)], listing)


def test_a_setting_that_does_not_exist_is_refused(zoo, listing):
    with pytest.raises(TypeError, match="samples"):
        verify_together(NAMES, listing, samples=3)


def test_both_decoders_give_the_same_scores_and_are_kept_apart(zoo, listing, alone, tmp_path):
    name = "tiny_slowfast"
    verify(name, listing, out=tmp_path / "exact", workers=0, decoder="exact")
    assert kept(tmp_path / "exact") == kept(alone / name)
    assert [runs.read_run(folder).identity.decoder for folder in (alone / name, tmp_path / "exact")] == [
        "fast",
        "exact",
    ]
    with pytest.raises(UsageError, match=r'decoder: "fast" asked for, "exact" in it\n.*another --out'):
        verify(name, listing, out=tmp_path / "exact", workers=0)
    with pytest.raises(UsageError, match="decoder: found 'slow', expected fast or exact"):
        verify(name, listing, decoder="slow")


def test_one_process_of_a_torchrun_writes_all_reports(zoo, listing, tmp_path, monkeypatch):
    monkeypatch.setattr(distributed, "barrier", lambda: None)
    environment = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for rank, reports in (("1", 0), ("0", 6)):
        for name, value in {**environment, "RANK": rank, "LOCAL_RANK": rank}.items():
            monkeypatch.setenv(name, value)
        verify_together(NAMES[:2], listing, out=tmp_path, workers=0)
        assert len(list(tmp_path.glob("*/report.*"))) == reports


def test_the_command_line_reports_each_and_compares_all(zoo, listing, tmp_path, run, monkeypatch):
    """None of seven is right; by Wilson's interval at most z^2 / (7 + z^2) = 35.43 % are, and 50 % were published."""
    monkeypatch.setenv("COLUMNS", "100")
    options = ["--data", listing, "--workers", "0", "--out", tmp_path]
    code, out, err = run("verify", *NAMES, *options)
    assert code == 1
    assert "keeping the scores in" in err
    assert out.count("verdict: inconsistent") == 3
    table = [line.split() for line in out[out.rindex("published") :].splitlines() if "top-1" in line]
    assert table == [[name, "top-1", "50.00", "0.00", "0.00", "–", "35.43", "inconsistent"] for name in NAMES]
    assert all((tmp_path / name / "report.html").is_file() for name in NAMES)
    code, out, _ = run("verify", *NAMES, *options, "--json")
    assert (code, [report["record"] for report in json.loads(out)]) == (1, NAMES)
    code, out, _ = run("verify", NAMES[0], "--data", listing, "--out", tmp_path / NAMES[0], "--json")
    assert (code, json.loads(out)["record"]) == (1, NAMES[0])


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["consistent", "consistent"], 0),
        (["consistent", "insufficient data"], 3),
        (["insufficient data", "inconsistent"], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_verdict(zoo, listing, tmp_path, run, monkeypatch, verdicts, code):
    reports = iter([SimpleNamespace(verdict=verdict) for verdict in verdicts])
    monkeypatch.setattr("videohub.verification.report", lambda _: next(reports))
    monkeypatch.setattr(verify_verb, "print_and_write", lambda *_: None)
    monkeypatch.setattr("videohub.verification.measure", lambda *_, on_start: on_start())
    monkeypatch.chdir(tmp_path)
    result, _, err = run("verify", *NAMES[:2], "--data", listing)
    assert result == code
    assert "runs/tiny_kinetics, runs/tiny_slowfast" in err


def test_one_checkpoint_is_not_for_several_records(zoo, listing, run):
    code, _, err = run("verify", *NAMES, "--data", listing, "--checkpoint", "one.pyth")
    assert code == 2
    assert "checkpoint is one file, and 3 records were named" in err
    with pytest.raises(UsageError, match="checkpoint is one file, and 3 records were named"):
        verify_together(NAMES, listing, checkpoint="one.pyth")


def test_damage_that_only_one_record_reaches_costs_only_that_one(zoo, tmp_path):
    """The clips of one end before frame 28; the bytes of frame 30 are noise."""
    flipped(small_video(tmp_path / "late.mp4"), frame=30, size=None)
    small_video(tmp_path / "fine.mp4")
    (tmp_path / "val.csv").write_text("late.mp4 1\nfine.mp4 1\n")
    messages = verify_together(["tiny_kinetics", "tiny_i3d"], tmp_path / "val.csv", workers=1)
    assert [[failure.name for failure in report.failures] for report in messages] == [["late.mp4"], []]
