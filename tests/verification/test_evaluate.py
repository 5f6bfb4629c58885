"""Numbers without a verdict: where none was published, on a part, in the terminal, and kept for a verdict later."""

import json

import msgspec
import pytest

import videohub
from tests.verification import datasets
from videohub.errors import DataError, UsageError


@pytest.fixture
def kinetics(zoo, tmp_path):
    """Six videos, their list, and where they lie."""
    data, options = datasets.kinetics(tmp_path / "data")
    return data, options


def test_what_has_no_published_number_can_be_measured_and_not_verified(kinetics):
    data, options = kinetics
    ours = msgspec.structs.replace(videohub.record("tiny_kinetics"), published=())
    with pytest.raises(UsageError, match=r"(?s)states no number, so there is nothing to verify.*`videohub benchmark "):
        videohub.verify(ours, data, workers=0, **options)
    with pytest.raises(UsageError, match=r"(?s)nothing to verify.*no classifier; `videohub features --model slow_r50_"):
        videohub.verify("slow_r50_8x8_moco_rho2", data)
    result = videohub.evaluate(ours, data, workers=0, **options)
    assert result.record == "tiny_kinetics"
    assert msgspec.structs.asdict(result.counts) == {"listed": 6, "chosen": 6, "scored": 6, "failed": 0, "pending": 0}
    assert result.protocol.views == ours.protocol.views
    assert (result.precision, result.decoder) == ("fp32", "fast")
    assert result.failures == []
    assert result.videos_per_second == pytest.approx(6 / result.seconds, rel=0.01)


def test_a_run_can_be_judged_later_without_the_model(kinetics, tmp_path, run):
    data, options = kinetics
    result = videohub.evaluate("tiny_kinetics", data, out=tmp_path / "run", workers=0, **options)
    assert not (tmp_path / "run" / "report.json").exists()
    code, out, _ = run("report", tmp_path / "run", "--json")
    assert code in (0, 1, 3)
    assert json.loads(out)["comparisons"][0]["recomputed"] == result.numbers[0].value


def test_a_short_run_shows_no_progress_where_nobody_watches(kinetics, capfd):
    data, options = kinetics
    videohub.evaluate("tiny_kinetics", data, workers=0, sample=3, clips=1, crops=1, **options)
    assert "video" not in capfd.readouterr().err


def test_other_views_and_a_part_of_the_videos_are_told(kinetics):
    data, options = kinetics
    result = videohub.evaluate("tiny_kinetics", data, workers=0, clips=2, crops=1, sample=3, **options)
    assert result.protocol.views_in_words == "2 x 1 views"
    assert (result.counts.listed, result.counts.chosen, result.counts.scored) == (6, 3, 3)


def test_what_cannot_be_decoded_is_named(kinetics):
    data, options = kinetics
    broken = sorted((data.parent).rglob("*.mp4"))[0]
    broken.write_bytes(b"not a video")
    result = videohub.evaluate("tiny_kinetics", data, workers=0, **options)
    assert (result.counts.scored, result.counts.failed, len(result.failures)) == (5, 1, 1)
    assert str(broken) in result.failures[0].reason
    for path in data.parent.rglob("*.mp4"):
        path.write_bytes(b"not a video")
    with pytest.raises(DataError, match="tiny_kinetics: none of 6 videos could be scored; the first"):
        videohub.evaluate("tiny_kinetics", data, workers=0, **options)


def test_what_follows_a_published_number_is_refused(kinetics):
    data, options = kinetics
    with pytest.raises(UsageError, match="until_decided: follows a published number"):
        videohub.evaluate("tiny_kinetics", data, until_decided=0.95, **options)


def test_the_command_prints_numbers_and_no_verdict(kinetics, tmp_path, run):
    data, options = kinetics
    arguments = ["benchmark", "tiny_kinetics", "--data", data, "--workers", 0, "--clips", 2]
    arguments += [word for name, value in options.items() for word in (f"--{name}", value)]
    code, out, _ = run(*arguments)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("tiny_kinetics: kinetics400")
    assert lines[1] == "6 listed, 6 scored, 0 failed"
    assert [line.split()[0] for line in lines[4:6]] == ["top-1", "top-5"]
    assert "2 x 3 views, fp32, fast decoding" in out
    assert "verdict" not in out
    code, out, _ = run(*arguments, "--json")
    assert [number["metric"] for number in json.loads(out)["numbers"]] == ["top-1", "top-5"]


def test_only_the_first_process_of_a_torchrun_prints(kinetics, tmp_path, run, monkeypatch):
    data, _ = kinetics
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "ours")
    for rank in (1, 0):
        for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", 2), ("LOCAL_WORLD_SIZE", 2)):
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr("videohub.evaluation.distributed.barrier", lambda: None)
        code, out, _ = run("benchmark", "tiny_kinetics", "--data", data, "--workers", 0, "--out", tmp_path / "run")
        assert (code, "top-1" in out) == (0, rank == 0)
    assert "6 listed, 6 scored" in out


def test_options_of_the_other_way_are_refused(kinetics, run):
    data, _ = kinetics
    code, _, text = run("benchmark", "tiny_kinetics", "--sample", 3)
    assert (code, "--sample: found no --data" in text) == (2, True)
    code, _, text = run("benchmark", "tiny_kinetics", "--data", data, "--seconds", 3)
    assert (code, "--seconds: is about frames of noise" in text) == (2, True)
