"""What was kept in one folder or many, joined: each sample once, and nothing joined that does not belong together."""

from __future__ import annotations

import json
import shutil

import msgspec
import numpy as np
import pytest

from tests.reporting import kept as reporting
from tests.runs.made import CLASSES, IDENTITY, MADE_BY, identity, is_right, kept, protocol_of, scores_of, shard, truth
from videohub.errors import DataError, UsageError
from videohub.metrics import topk_accuracy
from videohub.protocols import ScoreRule
from videohub.runs import Truth, join, join_views, open_run
from videohub.runs.score_file import read_scores


def test_shards_from_several_machines_make_one_run(tmp_path):
    for number in (1, 2, 3):
        run = open_run(tmp_path / str(number), IDENTITY, truth(10))
        with run.writer(shard(number, 3)) as writer:
            for index in range(number - 1, 9, 3):
                writer.append(index, f"{index}.mp4", f"{index:064}", scores_of(index))
    folders = [tmp_path / "3", tmp_path / "1", tmp_path / "2"]
    joined = join(folders)
    assert (joined.identity, joined.truth) == (run.identity, run.truth)
    assert list(joined.entries) == list(range(9))
    assert joined.pending == [9]
    assert all(map(is_right, joined.entries.values()))
    assert joined.entries[4].views == f"{4:064}"
    assert sorted(made_by.shard for made_by in joined.made_by) == ["1/3", "2/3", "3/3"]
    assert (joined.repeated, joined.disagreeing, joined.torn) == (0, [], 0)
    indexes, scores = joined.video_scores()
    assert indexes.tolist() == list(range(9))
    assert (scores == np.stack([scores_of(index)[0] + scores_of(index)[1] for index in range(9)])).all()
    assert join(folders[::-1]).video_scores()[1].tobytes() == scores.tobytes()


def test_a_process_is_credited_with_the_time_to_its_last_entry_and_only_if_it_kept_something(tmp_path, monkeypatch):
    run = open_run(tmp_path, IDENTITY, truth(3))
    run.writer(MADE_BY).close()
    clock = iter([10.0, 10.0, 12.5, 12.5, 14.0, 14.0, 99.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with run.writer(shard(1, 2)) as writer:
        writer.fail(0, "0.mp4", "no pictures")
        writer.append(1, "1.mp4", None, scores_of(1))
    (made_by,) = join([tmp_path]).made_by
    assert made_by.seconds == 4.0
    assert made_by.shard == "1/2"
    assert [entry.seconds for entry in join([tmp_path]).entries.values()] == [2.5, 4.0]


def test_a_sample_that_is_scored_anywhere_is_scored(tmp_path):
    run = open_run(tmp_path, IDENTITY, truth(3))
    for attempt in range(4):  # file names are drawn by chance: scores first, failure first
        with run.writer(MADE_BY) as writer:
            writer.fail(0, "0.mp4", f"attempt {attempt}")
            if attempt == 2:
                writer.append(1, "1.mp4", None, scores_of(1))
            else:
                writer.fail(1, "1.mp4", "the disk was away")
    joined = join([tmp_path])
    assert joined.entries[0].failure.startswith("attempt ")
    assert joined.entries[0].scores is None
    assert joined.entries[1].failure is None
    assert is_right(joined.entries[1])
    assert joined.pending == [2]
    assert joined.video_scores()[0].tolist() == [1]
    assert (joined.repeated, joined.disagreeing) == (0, [])


def test_of_repeated_samples_the_first_file_by_name_counts_and_differences_are_told(tmp_path):
    run = open_run(tmp_path, IDENTITY, truth(4))
    for number, change in ((1, 0.0), (2, 0.0), (3, 0.25)):
        with run.writer(shard(number, 3)) as writer:
            for index in (0, 1):
                scores = scores_of(index)
                scores[1, 3] += change if index == 1 else 0
                writer.append(index, f"{index}.mp4", None, scores)
            if number < 3:  # so that the third is the shortest
                writer.append(2, "2.mp4", None, scores_of(2))
    joined = join([tmp_path])
    assert joined.repeated == 3
    assert all(map(is_right, joined.entries.values()))
    (disagreement,) = joined.disagreeing
    assert (disagreement.name, disagreement.largest) == ("1.mp4", 0.25)


def test_a_file_that_was_copied_is_no_repetition_and_its_longest_copy_counts(tmp_path):
    run = kept(tmp_path / "run", 4, [0, 1, 2])
    shutil.copytree(run.folder, tmp_path / "earlier")
    (copy,) = (tmp_path / "earlier" / "scores").iterdir()
    copy.write_bytes(copy.read_bytes()[:-10])
    for folders in ([run.folder] * 2, [run.folder, tmp_path / "earlier"], [tmp_path / "earlier", run.folder]):
        joined = join(folders)
        assert (list(joined.entries), joined.repeated, joined.torn) == ([0, 1, 2], 0, 0)


def test_files_of_others_beside_the_scores_are_not_read(tmp_path):
    run = kept(tmp_path / "run", 4, [0])
    for name in ("._1-of-1-0123.scores", ".1-of-1-0123.scores.Xy12", "notes.txt"):
        (run.folder / "scores" / name).write_text("mine")
    assert list(join([run.folder]).entries) == [0]


# --- what does not belong together -----------------------------------------------------------------------------------


def test_different_runs_are_refused_with_folder_field_and_both_values(tmp_path):
    kept(tmp_path / "a", 3, [0])
    open_run(
        tmp_path / "b",
        identity(protocol={"views": {**IDENTITY.protocol["views"], "clips": 10}}, weights_sha256="91" * 32),
        truth(3),
    )
    with pytest.raises(UsageError) as refusal:
        join([tmp_path / "a", tmp_path / "b"])
    assert str(refusal.value) == (
        f"{tmp_path / 'b'}: keeps another run than {tmp_path / 'a'}, so their scores cannot be joined:\n"
        f"  weights_sha256: 3f3f3f3f3f3f… in {tmp_path / 'a'}, 919191919191… in {tmp_path / 'b'}\n"
        f"  protocol.views.clips: 2 in {tmp_path / 'a'}, 10 in {tmp_path / 'b'}\n"
        "  Give only folders of one run; two runs are what `videohub compare` is for."
    )


def test_different_data_are_refused(tmp_path):
    kept(tmp_path / "a", 3, [0])
    others = Truth(names=["0.mp4", "1.mp4", "2.mp4"], classes=[[0], [1], [3]])
    open_run(tmp_path / "b", IDENTITY, others)
    with pytest.raises(UsageError, match=r"sample 2: '2.mp4' of classes \[2\] in .*a, '2.mp4' of classes \[3\] in .*b"):
        join([tmp_path / "a", tmp_path / "b"])


def test_nothing_is_not_joined(tmp_path):
    with pytest.raises(UsageError, match="found no folder to join"):
        join([])
    with pytest.raises(UsageError, match=r"found no run.json"):
        join([tmp_path / "nowhere"])


# --- clips and boxes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("join_by", "expected"),
    [
        ("sum", {1: [1.0, 2.0], 2: [5.0, 3.0], 3: [5.5, 11.0]}),
        ("max", {1: [1.0, 2.0], 2: [4.0, 2.0], 3: [4.0, 8.0]}),
    ],
)
def test_the_first_clips_alone_count_with_all_their_crops(tmp_path, join_by, expected):
    views = np.zeros((6, CLASSES), np.float32)
    views[:, 0] = [1, 0, 0, 4, 0.5, 0]  # two crops a clip
    views[:, 1] = [0, 2, 1, 0, 0, 8]
    protocol = protocol_of(3, 2, join=join_by)
    run = open_run(tmp_path, identity(protocol=protocol), truth(2))
    with run.writer(MADE_BY) as writer:
        writer.append(1, "1.mp4", None, views)
    ((index, by_clips),) = join([tmp_path]).by_clips()
    assert index == 1
    assert {k: row.tolist() for k, row in enumerate(by_clips[:, :2], start=1)} == expected


def test_a_run_without_scores_has_an_empty_table(tmp_path):
    indexes, scores = join([open_run(tmp_path, IDENTITY, truth(2)).folder]).video_scores()
    assert indexes.shape == (0,)
    assert (scores.shape, scores.dtype) == ((0, CLASSES), np.float32)


def test_boxes_are_as_many_as_there_are_people(tmp_path):
    somebody, nobody = (0.1, 0.1, 0.5, 0.9), []
    people = msgspec.structs.replace(truth(3), boxes=[[somebody] * 7, nobody, [somebody]])
    run = open_run(tmp_path, identity(protocol={"metric": "ava_map"}), people)
    with run.writer(MADE_BY) as writer:
        for index, boxes in ((2, 1), (0, 7)):
            writer.append(index, f"{index}.mp4", None, scores_of(index, rows=boxes))
        for wrong in ((0, CLASSES), (2, CLASSES - 1), (CLASSES,)):
            with pytest.raises(UsageError, match=r"expected \(boxes, 5\)"):
                writer.append(1, "1.mp4", None, np.ones(wrong, np.float32))
    joined = join([tmp_path])
    assert {index: entry.shape for index, entry in joined.entries.items()} == {0: (7, CLASSES), 2: (1, CLASSES)}
    assert joined.pending == [1]
    for entry, scores in read_scores(joined.entries.values()):
        assert (scores == scores_of(entry.index, rows=entry.shape[0])).all()
    with pytest.raises(UsageError, match="scored box by box"):
        joined.video_scores()


def test_scores_that_are_handed_out_are_the_caller_s_own(tmp_path):
    joined = join([kept(tmp_path / "run", 2, [0]).folder])
    joined.entries[0].scores[:] = 0
    assert is_right(joined.entries[0])


def test_a_folder_that_is_no_run_any_more_is_told(tmp_path):
    run = kept(tmp_path / "run", 2, [0])
    (run.folder / "run.json").write_text("[]")
    with pytest.raises(DataError, match=r"run.json: cannot be understood"):
        join([run.folder])


@pytest.mark.parametrize("metric", ["topk", "multilabel_map"])  # sums, and maxima
def test_scores_by_clips_are_the_same_bit_for_bit(tmp_path, metric):
    random = np.random.default_rng(3)
    of = reporting.record(metric, clips=5, crops=3, classes=7)
    samples = [(f"v{number}", [0], random.random((15, 7), np.float32)) for number in range(4)]
    joined = reporting.kept(tmp_path, of, [samples[0], ("gone", [0], "no such file"), *samples[1:]])
    result = dict(joined.by_clips())
    assert joined.scored == sorted(result) == [0, 2, 3, 4]
    assert joined.missing == [1]
    for index, (_, _, views) in zip(joined.scored, samples, strict=True):
        expected = [join_views(views[: 3 * clips], joined.identity.scoring.scores) for clips in range(1, 6)]
        assert np.array_equal(result[index], expected)


# --- views join as the original joins them, and the same way on every machine ----------------------------------------


SUM = ScoreRule(activation="softmax", join="sum")


@pytest.mark.parametrize("how", ["sum", "max"])
def test_kept_views_join_into_the_original_s_video_scores_and_accuracies(golden, tmp_path, how):
    arrays = np.load(golden / "metrics" / "ensemble_a.npz")
    facts = json.loads((golden / "metrics" / "ensemble_a.json").read_text())
    views = arrays["view_scores"].reshape(facts["videos"], facts["views"], facts["classes"])
    protocol = protocol_of(10, 3, join=how)
    truth = Truth(names=[str(index) for index in range(40)], classes=[[int(label)] for label in arrays["labels"]])
    run = open_run(tmp_path / "run", identity(protocol=protocol, num_classes=facts["classes"]), truth)
    with run.writer(MADE_BY) as writer:
        for index in reversed(range(40)):
            writer.append(index, str(index), None, views[index])
    indexes, scores = join([run.folder]).video_scores()
    assert indexes.tolist() == list(range(40))
    assert np.abs(scores - arrays[f"video_{how}"]).max() <= (1e-5 if how == "sum" else 0)
    result = topk_accuracy(scores, arrays["labels"])
    assert {f"top{k}": f"{value:.2f}" for k, value in result.items()} == facts["results"][how]


def test_a_sum_is_taken_one_view_after_another_in_single_precision():
    ones_after_2_24 = np.array([[2.0**24]] + [[1.0]] * 30, dtype=np.float32)  # 2**24 + 1 rounds to 2**24, each time
    assert join_views(ones_after_2_24, SUM).tolist() == [2.0**24]
    assert join_views(ones_after_2_24[::-1], SUM).tolist() == [2.0**24 + 30]


def test_joining_leaves_the_views_as_they_were():
    views = np.array([[0.25, 0.5], [0.5, 0.125]], dtype=np.float32)
    assert join_views(views, SUM).tolist() == [0.75, 0.625]
    assert join_views(views, ScoreRule(activation="softmax", join="max")).tolist() == [0.5, 0.5]
    assert views.tolist() == [[0.25, 0.5], [0.5, 0.125]]
