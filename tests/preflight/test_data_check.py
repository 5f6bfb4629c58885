"""What a check counts and remarks on, worked out by hand for small data sets."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from tests.data.small_videos import small_video
from tests.preflight.conftest import RECORD, check, findings
from videohub import preflight, registry
from videohub.data.samples import DataSet, Sample, VideoFile
from videohub.errors import DataError
from videohub.formatting import Spread
from videohub.preflight import Check
from videohub.preflight.findings import expected_of


def test_videos_as_the_protocol_wants_them_leave_nothing_to_remark_but_their_number(copy):
    answer = check({copy("one.mp4"): 0, copy("two.mp4"): 1})
    assert (answer.listed, answer.found, answer.missing, answer.unreadable, answer.usable) == (2, 2, 0, 0, 2)
    assert answer.reasons == ["2 samples listed, 19,761 in the reference (the list of video-nonlocal-net)"]
    assert answer.verdict == "usable, with remarks"
    assert answer.short_sides == Spread(256, 256, 256)
    assert answer.seconds == Spread(2.4, 2.4, 2.4)  # 72 frames at 30 a second
    assert (answer.frame_rates, answer.portrait) == ({"30": 2}, 0.0)


def test_a_list_is_counted_beside_that_of_the_record_s_publisher():
    """protocols.md 1.1 and TSM's README; other publishers' numbers are compared with video-nonlocal-net's list."""
    result = {name: expected_of(registry.record(name)) for name in ("slow_r50_8x8", "mma_slow_r50_8x8", "tsm_r50_8x8")}
    assert {name: expected.samples for name, expected in result.items()} == {
        "slow_r50_8x8": 19_761, "mma_slow_r50_8x8": 19_796, "tsm_r50_8x8": 19_654
    }  # fmt: skip
    assert result["mma_slow_r50_8x8"].source == "the list of mmaction2"
    assert expected_of(registry.record("mma_slow_r50_8x8_k700")).samples is None
    zoo = registry.default()
    splits = [split for dataset in zoo.datasets.values() for split in dataset.splits.values()]
    assert {name for split in splits for name in split.lists_of} <= zoo.publishers.keys()


def test_a_data_set_that_no_source_counts_can_be_ready(copy):
    answer = check({copy("one.mp4"): 0, copy("two.mp4"): 1}, "slowfast_r101_8x8_k600_nl_ava21_pretrain")
    assert (answer.verdict, answer.findings) == ("ready", [])
    assert answer.reasons == ["all 2 listed samples are here and what the protocol expects"]


def test_a_data_set_with_several_classes_a_video_is_not_ready_for_an_accuracy(copy):
    samples = [
        Sample("one.mp4", VideoFile(copy("one.mp4")), (0, 1)),
        Sample("two.mp4", VideoFile(copy("two.mp4")), (1,)),
    ]
    answer = preflight.check_samples(registry.record(RECORD), DataSet(samples), data="list", workers=1)
    assert answer.verdict == "not usable"
    assert answer.reasons[0].startswith("of 2 samples 1 cannot be judged by the metric topk")
    assert answer.findings[0].samples == {"one.mp4": "2 right classes, expected one"}


def test_pictures_are_compared_with_what_the_reference_was_resized_to(copy, tmp_path):
    paths = [
        copy("right.mp4"),
        small_video(tmp_path / "nearly.mp4", count=72, width=288, height=258),  # an encoder that rounds up
        small_video(tmp_path / "larger.mp4", count=72, width=480, height=360),
        small_video(tmp_path / "upright.mp4", count=72, width=240, height=320),
    ]
    answer = check(dict.fromkeys(paths, 0))
    assert findings(answer) == {
        "not resized": (
            1,
            "1 of 4 videos have not been resized to a short side of 256 pixels beforehand, as the reference's were, "
            "which moves the number (half of all have 258 or less)",
        ),
        "small": (1, "1 of 4 videos are smaller than 256 pixels, and will be enlarged"),
    }
    assert answer.short_sides == Spread(240, 257, 360)
    assert answer.portrait == 0.25


def test_a_video_is_too_short_if_a_clip_covers_more_at_its_own_frame_rate(tmp_path):
    slow = small_video(tmp_path / "slow.mp4", count=33, width=288, height=256, rate=15)  # 32 needed
    short = small_video(tmp_path / "short.mp4", count=63, width=288, height=256)  # 64 needed
    uncounted = small_video(tmp_path / "uncounted.mkv", count=63, width=288, height=256)  # its seconds tell
    answer = check({slow: 0, short: 0, uncounted: 0})
    assert findings(answer) == {
        "too short": (2, "2 of 3 videos are shorter than one clip: all their clips are the same")
    }
    assert answer.findings[1].samples == {
        "short.mp4": "63 frames, a clip covers 64",
        "uncounted.mkv": "63 frames, a clip covers 64",
    }


def test_a_video_that_torchvision_s_test_skips_is_said_to_be_skipped(tmp_path):
    """16 frames at 15 a second are every second one of 30: the 16th is frame 30, so that 31 frames do."""
    enough = small_video(tmp_path / "enough.mp4", count=31, width=288, height=256)
    short = small_video(tmp_path / "short.mp4", count=30, width=288, height=256)
    answer = check({enough: 0, short: 0}, "tv_r3d_18")
    assert findings(answer)["too short"] == (
        1,
        "1 of 2 videos are shorter than one clip: resampled sampling skips such a video, as the original does; verify "
        "counts it as wrong, likewise",
    )
    assert answer.findings[-1].samples == {"short.mp4": "30 frames, a clip covers 32"}


def test_a_small_video_is_not_said_to_be_enlarged_where_the_network_sees_smaller_ones(tmp_path):
    """The test of tv_r3d_18 resizes to 128x171."""
    path = small_video(tmp_path / "small.mp4", count=72, width=240, height=180)
    text = "1 of 1 video are smaller than the 256 pixels that the reference's were resized to beforehand"
    assert findings(check({path: 0}, "tv_r3d_18"))["small"] == (1, text)


def test_videos_that_were_not_cut_are_remarked_on(tmp_path):
    path = small_video(tmp_path / "long.mp4", count=80, rate=5)  # 16 s
    assert findings(check({path: 0}))["too long"] == (
        1,
        "1 of 1 video last longer than 15 s: they were not cut to what their label is about",
    )


def test_a_frame_rate_matters_where_the_protocol_takes_frames_as_they_come(tmp_path):
    paths = {small_video(tmp_path / f"{rate}.mp4", count=130, rate=rate): 0 for rate in (30, 15)}
    kinetics, charades = check(paths), check(paths, "slowfast_r50_16x8_charades")
    assert charades.frame_rates == {"30": 1, "15": 1}
    assert "frame rate" not in findings(kinetics)
    assert findings(charades)["frame rate"] == (
        2,
        "2 of 2 videos do not run at the 24 frames a second of the reference's frames; frames are taken as they come",
    )


def test_copies_are_found_whatever_they_are_called_and_a_contradiction_is_told(copy, tmp_path):
    one, other = copy("one.mp4"), copy("other.mp4")
    (tmp_path / "again.mp4").write_bytes(one.read_bytes())
    (tmp_path / "linked.mp4").symlink_to(other)
    same_size = tmp_path / "same.mp4"
    same_size.write_bytes(one.read_bytes()[:-1] + b"5")
    answer = check({one: 0, other: 1, tmp_path / "again.mp4": 0, tmp_path / "linked.mp4": 2, same_size: 0})
    assert findings(answer) == {
        "duplicates": (2, "2 of 5 videos hold the same bytes as another one; in 1 case their classes differ")
    }
    assert answer.findings[-1].samples == {"again.mp4": "as one.mp4", "linked.mp4": "as other.mp4"}


def test_copies_that_differ_in_their_middle_are_none(tmp_path, good):
    padding = bytearray(good + (300_008).to_bytes(4, "big") + b"free" + bytes(300_000))
    (tmp_path / "a.mp4").write_bytes(padding)
    padding[len(good) + 150_000] = 1
    (tmp_path / "b.mp4").write_bytes(padding)
    assert findings(check({tmp_path / "a.mp4": 0, tmp_path / "b.mp4": 0})) == {}


def test_less_than_half_of_the_videos_is_not_usable(copy, tmp_path):
    answer = check({copy("one.mp4"): 0, tmp_path / "two.mp4": 0, tmp_path / "three.mp4": 0})
    assert answer.verdict == "not usable"
    assert answer.reasons[0] == "only 1 of 3 listed samples can be scored"
    assert findings(answer)["missing"] == (2, "2 of 3 videos are not here: no such file")


def test_a_list_is_read_as_its_data_set_says_and_the_answer_is_json(copy, tmp_path):
    copy("videos/one.mp4")
    (tmp_path / "val.csv").write_text("one.mp4 3\ntwo.mp4 399\n")
    answer = preflight.check(RECORD, tmp_path / "val.csv", root=tmp_path / "videos", workers=1)
    assert (answer.record, answer.data, answer.root) == (RECORD, str(tmp_path / "val.csv"), str(tmp_path / "videos"))
    assert (answer.listed, answer.found, answer.classes.counts[3], answer.classes.counts[399]) == (2, 1, 1, 1)
    assert msgspec.json.decode(msgspec.json.encode(answer), type=Check) == answer
    written = msgspec.json.decode(msgspec.json.encode(answer))  # what scripts read
    assert written["moments"] is None
    assert {finding["kind"]: finding["grave"] for finding in written["findings"]}["missing"] is False


def test_a_list_that_cannot_be_read_is_an_error_and_not_a_finding(tmp_path):
    (tmp_path / "val.csv").write_text("one.mp4 400\n")
    with pytest.raises(DataError, match=r"val\.csv, line 1: label 400 is out of range"):
        preflight.check(RECORD, tmp_path / "val.csv")


def test_what_a_check_gives_can_be_shown_without_torch_or_a_decoder():
    code = "import sys, videohub.preflight; print([name for name in ('torch', 'av', 'PIL') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_progress_is_told_for_each_file(copy):
    messages: list[tuple[str, int, int]] = []
    check({copy("one.mp4"): 0, copy("two.mp4"): 0}, progress=lambda *step: messages.append(step))
    assert messages[:3] == [("looking at files", 0, 2), ("looking at files", 1, 2), ("looking at files", 2, 2)]
