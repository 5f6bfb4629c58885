"""Two runs on the same videos: every count and difference is worked out by hand."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.reporting.kept import kept, record, views
from tests.verification.test_results import ava_run
from videohub.errors import DataError, UsageError
from videohub.reporting.comparison import compare
from videohub.reporting.pages import write
from videohub.verification.results import build

FIRST, SECOND = views((0, 1, 2, 3), (0, 1, 2, 3)), views((1, 2, 0, 3), (1, 2, 0, 3))


def samples(right):
    """Ten videos of class 0; a 1 is right, a 0 ranks the right class third, a dot could not be scored."""
    of = {"1": FIRST, "0": SECOND, ".": "no such file"}
    return [(f"v{number}", [0], of[letter]) for number, letter in enumerate(right)]


def runs_of(folder, one, other, **identity):
    return (kept(folder / "a", record(), samples(one)),
            kept(folder / "b", record(), samples(other), precision="bf16", **identity))  # fmt: skip


def test_two_runs_are_compared_video_by_video(tmp_path):
    result = compare(*runs_of(tmp_path, "1111111000", "1111000100"))  # 4 both, 3 the first, 1 the second, 2 neither
    assert (result.metric, result.common) == ("top-1", 10)
    assert (result.first.value, result.second.value, result.difference) == (70.0, 50.0, 20.0)
    messages = result.discordance
    assert (messages.both, messages.first_only, messages.second_only, messages.neither) == (4, 3, 1, 2)
    assert messages.p_value == 0.625  # 2 · (1 + 4) / 16: at most one of four coins
    assert result.interval[0] < 0 < 20 < result.interval[1]
    assert result.answer.startswith("on 10 common videos top-1 differs by +20.00 points")
    assert result.answer.endswith("that can be chance")
    assert [(change.name, change.first, change.second) for change in messages.changes] == [
        ("v4", 0, 2), ("v5", 0, 2), ("v6", 0, 2), ("v7", 2, 0)
    ]  # fmt: skip
    assert (result.first.precision, result.second.precision) == ("fp32", "bf16")


def test_a_clear_difference_is_called_one(tmp_path):
    result = compare(*runs_of(tmp_path, "0" * 30, "1" * 30))
    assert result.difference == -100.0
    assert result.interval[1] < 0
    assert "the second is better by 100.00 points of top-1" in result.answer
    assert result.discordance.p_value == pytest.approx(2 / 2**30)


def test_videos_that_one_has_alone_are_counted_and_left_out(tmp_path):
    result = compare(*runs_of(tmp_path, "11.1", ".100"))  # of v1 and v3: right and right, right and wrong
    assert (result.common, result.first.alone, result.second.alone) == (2, 1, 1)
    assert (result.first.value, result.second.value) == (100.0, 50.0)


def test_reports_runs_and_their_paths_give_the_same(tmp_path):
    joined = runs_of(tmp_path, "1111111000", "1111000100")
    reports = [build(one, record()) for one in joined]
    for report, name in zip(reports, "ab", strict=True):
        write(report, tmp_path / f"report of {name}")
    expected = compare(*joined)
    assert compare(*reports) == expected
    assert compare(tmp_path / "a", tmp_path / "report of b") == expected
    assert compare(tmp_path / "report of a" / "report.json", joined[1]) == expected


def test_different_data_are_refused_with_both_numbers(tmp_path):
    one, other = runs_of(tmp_path, "11", "1111", data_sha256="12" * 32)
    with pytest.raises(
        UsageError, match=r"(?s)small on kinetics400, val with 2 listed, sha256 cdcd.* 4 listed, sha256 1212"
    ):
        compare(one, other)


def test_different_classes_are_refused(tmp_path):
    with pytest.raises(UsageError, match="different labels: small of nobody, small of somebody"):
        compare(*runs_of(tmp_path, "11", "11", labels="of somebody"))


def test_no_video_in_common_is_no_comparison(tmp_path):
    with pytest.raises(DataError, match="no video was scored by both"):
        compare(*runs_of(tmp_path, "1.", ".1"))


def test_at_most_a_hundred_changes_are_listed(tmp_path):
    messages = compare(*runs_of(tmp_path, "1" * 120, "0" * 120)).discordance
    assert (messages.first_only, len(messages.changes)) == (120, 100)


def multilabel(folder, scores, **identity):
    of = record("multilabel_map", classes=2)
    named = [(f"v{number}", [number % 2], np.tile(row, (2, 1))) for number, row in enumerate(scores)]
    return kept(folder, of, named, **identity), of


def test_mean_average_precisions_are_compared_over_the_same_videos(tmp_path):
    perfect = [[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.1, 0.9]]
    # class 0: right ones at 0.9 and 0.1, wrong ones at 0.5 and 0.4: (1 + 2/4) / 2; class 1 is perfect
    worse = [[0.9, 0.1], [0.5, 0.8], [0.1, 0.2], [0.4, 0.9]]
    one, of = multilabel(tmp_path / "a", perfect)
    other, _ = multilabel(tmp_path / "b", worse)
    result = compare(one, other)
    assert (result.metric, result.common, result.discordance) == ("mAP", 4, None)
    assert (result.first.value, result.second.value) == (100.0, pytest.approx(87.5))
    assert result.difference == pytest.approx(12.5)
    assert result.interval[0] <= 12.5 <= result.interval[1]
    with pytest.raises(UsageError, match="give the folders of both runs"):
        compare(build(one, of), other)


def test_boxes_are_compared_moment_by_moment(tmp_path):
    one, _ = ava_run(tmp_path / "a")
    other, of = ava_run(tmp_path / "b", precision="bf16")
    result = compare(one, other)
    assert (result.common, result.difference) == (2, 0.0)
    assert result.first.value == result.second.value == build(other, of).comparisons[0].recomputed
    failed = {index: entry for index, entry in other.entries.items() if entry.name == "a,0902"}
    half = type(other)(**{**vars(other), "entries": failed, "pending": [1]})
    result = compare(one, half)
    # of a,0902 alone: stand 0.9 right, 0.8 away: 1; sit is at a,0904 alone, and never found: 0
    assert (result.common, result.first.alone, result.first.value, result.second.value) == (1, 1, 50.0, 50.0)


def test_a_comparison_can_be_written(tmp_path):
    result = compare(*runs_of(tmp_path, "1111111000", "1111000100"))
    assert msgspec.json.decode(msgspec.json.encode(result))["discordance"]["first_only"] == 3
