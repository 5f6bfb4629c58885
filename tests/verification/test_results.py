"""From kept scores to a report; every number is worked out by hand."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from tests.data.sample_videos import with_pixels
from tests.reporting.kept import PUBLISHED, kept, process, record, ten, views
from videohub import registry, resources, runs
from videohub.errors import DataError, UsageError
from videohub.metrics.metric import Confusion, PerClass
from videohub.registry import strict_yaml
from videohub.registry.published import Published, Views
from videohub.reporting import pages
from videohub.verification.results import build

# sums of v3: class 1 has 0.3 + 0.4, class 2 has 0.4 + 0.2, class 0 has 0.2 + 0.3; by its first clip it is class 2
SIX = [
    ("v0", [0], views((0, 1, 2, 3), (0, 1, 2, 3))),
    ("v1", [0], views((1, 0, 2, 3), (1, 0, 2, 3))),
    ("v2", [0], views((1, 0, 2, 3), (1, 0, 2, 3))),
    ("v3", [1], views((2, 1, 0, 3), (1, 0, 2, 3))),
    ("v4", [2], views((2, 1, 0, 3), (2, 1, 0, 3))),
    ("v5", [2], views((3, 1, 0, 2), (3, 1, 0, 2))),
]


@pytest.fixture
def six(tmp_path):
    return build(kept(tmp_path, record(), SIX), record())


def test_a_report_gives_top_1_and_top_5_and_where_each_right_class_stands(six):
    top1, top5 = six.comparisons
    assert (top1.metric, top1.published, top1.recomputed) == ("top-1", 50.0, 50.0)  # v0, v3 and v4
    assert (top5.metric, top5.published, top5.recomputed) == ("top-5", 100.0, 100.0)  # of four classes
    assert six.ranks == [("v0", 0), ("v1", 1), ("v2", 1), ("v3", 0), ("v4", 0), ("v5", 3)]
    assert six.verdict == top1.answer == "insufficient data"  # six videos
    assert six.reasons == [top1.reason, top5.reason]


def test_a_report_gives_each_class_and_what_is_taken_for_what(six):
    assert six.classes == [
        PerClass("class 0", 3, 1, pytest.approx(33.33, abs=0.01)),
        PerClass("class 1", 1, 1, 100.0),
        PerClass("class 2", 2, 1, 50.0),
        PerClass("class 3", 0, 0, None),
    ]
    assert six.confusions == [Confusion("class 0", "class 1", 2, 3)]  # v5 alone is no pattern


def test_a_report_gives_the_accuracy_of_fewer_clips(six):
    assert [(point.clips, point.values["top-1"]) for point in six.by_clips] == [(1, pytest.approx(100 / 3)), (2, 50.0)]


def test_a_report_names_the_classes_of_a_known_label_set(tmp_path):
    of = record(labels="motions", classes=10)
    joined = kept(tmp_path, of, [("v0", [9], views(range(10), range(10)))])
    assert [one.name for one in build(joined, of).classes][:2] == ["moving left", "moving right"]


def test_enough_videos_agree_or_do_not(tmp_path):
    joined = kept(tmp_path, record(), ten(200, of=400))  # 50 ± 4.9
    assert build(joined, record()).verdict == "consistent"
    assert build(joined, record(published={"top1": 54.0})).verdict == "consistent"
    assert build(joined, record(published={"top1": 56.0})).verdict == "inconsistent"


def test_failures_are_told_and_widen_the_bounds(tmp_path):
    report = build(kept(tmp_path, record(), ten(500, failed=10, of=1010)), record())
    assert (report.counts.listed, report.counts.scored, report.counts.failed, report.counts.pending) == (
        1010,
        1000,
        10,
        0,
    )
    assert len(report.failures) == 10
    assert (report.failures[0].name, report.failures[0].reason) == ("v1000", "no such file")
    (top1,) = [one for one in report.comparisons if one.metric == "top-1"]
    assert top1.interval == pytest.approx((46.91, 53.09), abs=0.01)  # 50 ± 3.1
    assert top1.bounds == pytest.approx((46.43, 53.57), abs=0.02)  # 500 / 1010 - 3.07, 510 / 1010 + 3.07
    assert report.verdict == "consistent"


def test_an_unfinished_run_agrees_with_nothing_but_may_disagree(tmp_path):
    joined = kept(tmp_path, record(), ten(500, pending=10, of=1010))
    report = build(joined, record())
    assert report.comparisons[0].answer == "consistent"
    assert report.verdict == "insufficient data"
    assert "10 of the missing are only still to be scored" in report.reasons[0]
    assert build(joined, record(published={"top1": 90.0})).verdict == "inconsistent"


def test_half_a_run_that_leaves_it_open_says_that_it_is_half_a_run(tmp_path):
    report = build(kept(tmp_path, record(), ten(2, pending=6)), record())
    assert report.comparisons[0].answer == report.verdict == "insufficient data"
    assert "6 of the missing are only still to be scored" in report.reasons[-1]


def test_other_views_give_no_verdict(tmp_path):
    used = record(clips=2)
    report = build(kept(tmp_path, used, ten(200, of=400)), record(clips=10, crops=3))
    assert report.verdict == "insufficient data"
    assert report.reasons[0] == "the published number was measured with 10 x 3 views, this run used 2 x 1"
    assert report.command == "videohub verify small --data LIST --clips 2 --crops 1 --precision fp32"


def test_views_that_a_number_was_published_for_are_judged_by_that_number(tmp_path):
    """As X3D's rows print one of 10 clips x 3 crops, and one of 10 clips x 1."""
    numbers = (
        Published(source="a table", top1=90.0),
        Published(source="a table", top1=50.0, views=Views(clips=2, crops=1)),
    )
    of = msgspec.structs.replace(record(clips=10, crops=3), published=numbers)
    report = build(kept(tmp_path, record(clips=2), ten(200, of=400)), of)
    assert (report.verdict, report.comparisons[0].published, report.published.top1) == ("consistent", 50.0, 50.0)
    assert report.command == "videohub verify small --data LIST --clips 2 --crops 1 --precision fp32"
    assert of.tested_with(of.protocol.views) is of


def test_another_protocol_gives_no_verdict(tmp_path):
    used = record()
    other = msgspec.structs.replace(used, protocol=with_pixels(used.protocol, short_side=224))
    report = build(kept(tmp_path, used, ten(200, of=400)), other)
    assert report.verdict == "insufficient data"
    assert report.reasons[0] == (
        "the record's protocol says step 3: resize short side pixels 224, long side floor, arithmetic torch float, "
        "this run used resize short side pixels 256, long side floor, arithmetic torch float"
    )


def test_another_file_s_weights_are_judged_like_any_copy_and_named(tmp_path):
    of = record()
    of = msgspec.structs.replace(of, checkpoint=msgspec.structs.replace(of.checkpoint, sha256="99" * 32))
    report = build(kept(tmp_path, of, ten(200, of=400), weights_identity=None), of)
    assert report.verdict == "consistent"
    assert (
        "not the published file's weights: that has sha256 999999999999…, this run used one with" in report.reasons[-1]
    )


def test_what_vouches_for_a_file_decides_what_is_said_of_it(tmp_path):
    """By hand and without a digest: a doubt. First seen in a bundle: a doubt. Of the stated digest: none."""
    by_hand = msgspec.structs.replace(PUBLISHED, name="mine.safetensors", vouched_by=None, first_seen="",
                                      claimed_source="SMALL.pkl", claimed_sha256="98" * 32)  # fmt: skip
    bundled = msgspec.structs.replace(PUBLISHED, first_seen="2026-01-01, in bundle small.tar")
    of = record()
    stated = msgspec.structs.replace(of, checkpoint=msgspec.structs.replace(of.checkpoint, sha256="99" * 32))
    for case, (file, about, doubt) in enumerate((
        (by_hand, of, "nothing vouches for mine.safetensors as the published file: it was given by hand; "
         f"mine.safetensors says that it was made from SMALL.pkl with sha256 {'98' * 32}, which was not checked"),
        (bundled, of, "it was first seen here 2026-01-01, in bundle small.tar"),
        (PUBLISHED, of, None),
        (msgspec.structs.replace(by_hand, vouched_by="registry", claimed_source=None, claimed_sha256=None), stated,
         None),
    )):  # fmt: skip
        report = build(kept(tmp_path / f"{case}", about, ten(200, of=400), made_by=process(weights=file)), about)
        numbers = len(report.comparisons)
        assert [doubt in reason for reason in report.reasons[numbers:]] == ([True] if doubt else []), file


def test_a_sample_may_agree_and_says_that_it_is_one(tmp_path):
    report = build(kept(tmp_path, record(), ten(200, of=400), sample=400, seed=7), record())
    assert report.verdict == "consistent"
    assert report.reasons[-1] == "this is a sample of 400 of 400 videos"
    assert report.command.endswith("--sample 400 --seed 7 --precision fp32")


def test_a_run_that_stopped_early_is_judged_by_its_first_videos_without_gaps(tmp_path):
    early = ten(100, of=200)  # 100 right, then 100 wrong
    late = [(f"late{number}", [0], views((0, 1, 2, 3), (0, 1, 2, 3))) for number in range(100)]
    rest = [(f"rest{number}", [0], None) for number in range(700)]
    joined = kept(tmp_path, record(), [*early, *rest, *late], until_decided=0.95)
    top1 = record(published={"top1": 90.0})
    report = build(joined, top1)
    assert report.comparisons[0].recomputed == 50.0  # the late ones do not count
    assert report.verdict == "inconsistent"  # nobody gets from half of 200 to 90 % of 1000
    assert "on the first 200 of 1000 videos in random order" in report.reasons[0]
    low, high = report.comparisons[0].interval
    assert 35 < low < 45 < 55 < high < 65  # wider than the 43 to 57 of a run of 200 that ends there by plan
    assert report.stopping is not None
    assert report.stopping.looked_at == 300


def test_a_run_that_is_not_yet_decided_says_so(tmp_path):
    joined = kept(
        tmp_path, record(), [*ten(10, of=20), *((f"r{n}", [0], None) for n in range(980))], until_decided=0.95
    )
    report = build(joined, record())
    assert report.verdict == "insufficient data"
    assert "can still change the answer" in report.reasons[0]


def test_several_classes_of_a_video_give_a_mean_average_precision(tmp_path):
    # class 0: 0.9 right, 0.8 wrong, 0.7 right: (1 + 2/3) / 2; class 1: 0.5 wrong, 0.4 right: 1/2; class 2: nothing
    of = record("multilabel_map", classes=3)
    samples = [
        ("a", [0], [[0.6, 0.5, 0.1], [0.9, 0.2, 0.1]]),  # by its first clip it is the last of class 0
        ("b", [1], [[0.8, 0.4, 0.1], [0.1, 0.1, 0.1]]),
        ("c", [0], [[0.7, 0.1, 0.1], [0.1, 0.1, 0.1]]),
    ]
    report = build(kept(tmp_path, of, samples), of)
    assert report.comparisons[0].recomputed == pytest.approx(100 * (5 / 6 + 1 / 2) / 2)
    assert [(one.count, one.right) for one in report.classes] == [(2, None), (1, None), (0, None)]
    assert [one.value for one in report.classes] == [pytest.approx(250 / 3), 50.0, None]
    fewer = 100 * ((1 / 2 + 2 / 3) / 2 + 1 / 2) / 2
    assert [point.values["mAP"] for point in report.by_clips] == pytest.approx([fewer, 200 / 3])
    assert (report.ranks, report.confusions) == ([], [])


def test_a_sample_cannot_stand_for_a_mean_average_precision(tmp_path):
    of = record("multilabel_map", classes=2)
    report = build(kept(tmp_path, of, [("a", [0, 1], np.full((2, 2), 0.5))], sample=1), of)
    assert report.verdict == "insufficient data"
    assert "is another quantity, a higher one" in report.reasons[0]


BOX, AWAY = (0.1, 0.1, 0.4, 0.9), (0.6, 0.1, 0.9, 0.9)


def ava_run(folder, *more, **identity):
    """Two moments of one film, three boxes, two actions; and a moment at which nobody was detected.

    stand: 0.9 right, 0.8 away, 0.7 right: (1 + 2/3) / 2. sit: 0.6 away, 0.5 right, and one of two is never found: 1/4.
    """
    of = record("ava_map", clips=1, classes=80)
    scores = np.zeros((3, 80), dtype=np.float32)
    scores[:, :2] = [[0.9, 0.2], [0.8, 0.6], [0.7, 0.5]]
    samples = [("a,0902", [], scores[:2]), ("a,0903", [], scores[2:]), *((name, [], why) for name, why in more)]
    truth = {
        "names": {"1": "stand", "2": "sit"},
        "keys": ["a,0902", "a,0903", "a,0903", "a,0904", *(name for name, _ in more)],
        "boxes": [BOX] * (4 + len(more)),
        "labels": [1, 1, 2, 2, *(1 for _ in more)],
    }
    boxes = [[BOX, AWAY], [BOX], *([BOX] for _ in more)]
    return kept(folder, of, samples, boxes=boxes, ava=truth, **identity), of


def test_boxes_give_avas_mean_average_precision(tmp_path):
    report = build(*ava_run(tmp_path))
    assert report.comparisons[0].recomputed == pytest.approx(100 * (5 / 6 + 1 / 4) / 2)
    assert report.classes == [PerClass("stand", 2, None, pytest.approx(250 / 3)), PerClass("sit", 2, None, 25.0)]
    assert report.by_clips == []


def test_a_missing_moment_moves_avas_bounds_and_not_its_number(tmp_path):
    report = build(*ava_run(tmp_path, ("b,0902", "no such frame")))
    (result,) = report.comparisons
    assert result.recomputed == pytest.approx(100 * (5 / 6 + 1 / 4) / 2)
    assert result.bounds[0] < result.recomputed < result.bounds[1]
    assert report.failures[0].name == "b,0902"


def test_of_a_sample_only_its_own_moments_are_looked_for(tmp_path):
    report = build(*ava_run(tmp_path, sample=2))
    assert [one.value for one in report.classes] == [pytest.approx(250 / 3), 50.0]  # a,0904 is nobody's
    assert report.verdict == "insufficient data"


def test_a_run_that_does_not_tell_its_boxes_cannot_be_judged(tmp_path):
    joined, of = ava_run(tmp_path)
    for boxes in (None, [[BOX]]):
        blind = msgspec.structs.replace(joined.truth, boxes=boxes)
        with pytest.raises(DataError, match="does not tell which boxes were scored"):
            build(runs.Joined(**{**vars(joined), "truth": blind}), of)


def test_what_was_run_is_told(tmp_path):
    of = record()
    report = build(kept(tmp_path, of, SIX), of)
    assert (report.weights.sha256, report.weights.url) == ("ab" * 32, of.checkpoint.url)
    assert report.data_sha256 == "cd" * 32
    assert report.protocol.short_side == 256
    assert report.clip == {"frames": 32, "sampling_rate": 2}
    assert (report.precision, report.decoder, report.disagreements) == ("fp32", "fast", [])
    assert report.made_by[0].software["torch"] == "2.6.0"
    assert report.command == "videohub verify small --data LIST --precision fp32"


def test_processes_that_differ_are_told(tmp_path):
    of = record()
    half = [(name, right, scores if index < 3 else None) for index, (name, right, scores) in enumerate(SIX)]
    kept(tmp_path, of, half)
    run = runs.read_run(tmp_path)
    with run.writer(process(device="cuda:1 (A GPU)", decoder={"av": "18.0.0"}, batch=4)) as writer:
        for index, (name, _, scores) in enumerate(SIX):
            writer.append(index, name, "ef" * 32, scores + np.float32(0.5 if index == 1 else 0.0))
    decoders, batch, scores = build(runs.join([tmp_path]), of).disagreements  # another GPU of a kind is none
    assert decoders == "the processes differ in decoders: 1 with av 14.0.0; 1 with av 18.0.0"
    assert batch == "the processes differ in batch: 1 with 4 views at once; 1 with as many views as fit"
    assert scores.startswith("1 of 3 videos that were scored more than once got other scores, by up to 0.5 (v1)")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("slow_r50_4x16_k400_ava_pretrain", "its source states no number"),
        ("slowfast_r101_8x8", "was never released"),
        ("c2d_nopool_r50_8x8", "is not the one that this number was measured with"),
    ],
)
def test_a_number_that_does_not_belong_to_its_file_is_refused(tmp_path, name, reason):
    of = registry.record(name)
    with pytest.raises(UsageError, match=f"{name}: .*{reason}") as refused:
        build(kept(tmp_path, record(), SIX), of)
    assert all(note in str(refused.value) for note in of.notes)


def test_the_run_of_another_record_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"slowfast_r50_8x8 \(SLOWFAST_8x8_R50\): the scores are those of small"):
        build(kept(tmp_path, record(), SIX), registry.record("slowfast_r50_8x8"))


def test_nothing_scored_is_no_report(tmp_path):
    with pytest.raises(DataError, match="none of 2 videos could be scored; the first, v0: no such file"):
        build(kept(tmp_path / "failed", record(), ten(0, failed=2, of=2)), record())
    with pytest.raises(DataError, match="none of 2 videos was looked at yet"):
        build(kept(tmp_path / "pending", record(), ten(0, pending=2, of=2)), record())


def test_a_video_of_two_classes_or_of_an_unknown_one_has_no_accuracy(tmp_path):
    with pytest.raises(DataError, match="v0: found 2 right classes, expected one"):
        build(kept(tmp_path / "two", record(), [("v0", [0, 1], SIX[0][2])]), record())
    with pytest.raises(DataError, match="v0: found class 4, expected 0 to 3"):
        build(kept(tmp_path / "unknown", record(), [("v0", [4], SIX[0][2])]), record())


def test_a_copy_whose_tensors_are_those_of_the_published_file_needs_no_voucher_of_its_own(tmp_path):
    """All processes of a run used the same tensors, so whoever read the published file vouches for all."""
    copy = msgspec.structs.replace(PUBLISHED, name="copy.safetensors", sha256="98" * 32, vouched_by=None, first_seen="")
    joined = kept(tmp_path, record(), ten(200, of=400), made_by=process(weights=copy))
    assert "given by hand" in build(joined, record()).reasons[-1]
    both = dataclasses.replace(joined, made_by=[*joined.made_by, process()])
    report = build(both, record())
    assert not any("given by hand" in reason for reason in report.reasons)
    assert "given by hand" in pages.html(report)  # where it is told which files were read


def test_a_tolerance_is_the_one_that_the_source_states_and_none_where_it_states_none(tmp_path):
    """200 of 400 right: Wilson's interval ends at 54.88 per cent; 55.1 agrees with it only if 0.3 are allowed."""
    joined = kept(tmp_path, record(), ten(200, of=400))
    ours = build(joined, record(published={"top1": 55.1}))
    assert (ours.verdict, ours.comparisons[0].tolerance) == ("inconsistent", 0.0)
    zoo = build(joined, record(published={"top1": 55.1, "tolerance": 0.3}))
    assert (zoo.verdict, zoo.comparisons[0].tolerance) == ("consistent", 0.3)
    assert "tolerance" in pages.html(zoo)
    assert "tolerance" not in pages.html(ours).partition("</style>")[2]
    assert "tolerance" not in pages.markdown(ours)


def test_the_records_of_the_first_zoo_alone_have_the_maintainers_tolerance():
    """Their issue 28 is about those files; of all others no source allows anything."""
    first = strict_yaml.read(resources.registry_file()).value["records"]
    allowed = {name: {number.tolerance for number in record.published}
               for name, record in registry.default().records.items() if record.published}  # fmt: skip
    assert [name for name in first if name in allowed and allowed[name] != {0.3}] == []
    assert [name for name in allowed if name not in first and allowed[name] != {0.0}] == []
