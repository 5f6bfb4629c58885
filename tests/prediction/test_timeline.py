"""What is seen along a video: its windows' clips by hand, the ends of the video, and the copy with the classes."""

from __future__ import annotations

import json
from typing import get_args

import av
import msgspec
import numpy as np
import pytest
import torch

import videohub
from tests.data.sample_videos import protocol
from tests.data.small_videos import small_video
from videohub import protocols as rules
from videohub.errors import OfflineError, UsageError, VideoError
from videohub.prediction.timeline import clip_times, timelines
from videohub.registry.schema import Clip

NAME = "slowfast_motions"  # 16 frames at 30 a second, every second one


@pytest.fixture(scope="module", autouse=True)
def cache_of_its_own(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOHUB_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model():
    return videohub.load(NAME)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return small_video(tmp_path_factory.mktemp("videos") / "clip.mp4", count=150)  # 5 s of 96 x 64


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, 40, 60, 3), np.uint8)


def scores(predictions):
    return [each.probability for each in sorted(predictions, key=lambda each: each.index)]


# --- which frames ----------------------------------------------------------------------------------------------------

FOUR = Clip(frames=4, sampling_rate=2)


CASES = [  # rule, rate, frames of a window from 1 s to 3 s, counted from 1 s on and rounded down
    # 8 frames at 30 a second are covered, from (60 - 8) / 2 on, both ends included
    (rules.Proportional(fps=30.0, past_end="repeat"), 30, [26, 28, 30, 33]),
    (rules.Timed(fps=30.0, past_end="stretch"), 30, [26, 28, 30, 33]),
    (rules.TimedBeginning(fps=30.0, past_end="stretch", kept=20), 30, [26, 28, 30, 33]),
    (rules.Offset(fps=15.0, past_end="repeat"), 30, [22, 27, 32, 37]),  # 16 frames
    (rules.Proportional(fps=30.0, past_end="repeat"), 60, [52, 57, 62, 67]),  # 16 of 120 frames
    (rules.OffsetFrames(past_end="repeat"), 30, [26, 28, 30, 33]),
    (rules.OffsetFrames(past_end="repeat"), 60, [56, 58, 60, 63]),  # 8 frames of 120, whatever their rate
    (rules.SpreadAtRate(fps=30.0, past_end="loop"), 30, [26, 28, 30, 33]),
    # 7 frames from the first to the last, from (60 - 7) / 2 on
    (rules.Spread(past_end="repeat"), 30, [26, 28, 30, 32]),
    (rules.SpreadDown(past_end="repeat"), 30, [26, 28, 30, 32]),
    (rules.Strided(past_end="loop"), 30, [26, 28, 30, 32]),
    (rules.TimedList(past_end="stretch"), 30, [26, 28, 30, 32]),
    (rules.TimedList(past_end="stretch"), 60, [56, 58, 60, 62]),  # its test counts the frames of a video, too
    (rules.Resampled(fps=15.0, past_end="refuse"), 30, [23, 27, 31, 35]),  # every fourth frame
    (rules.Dense(positions=2, window=40, past_end="loop"), 30, [26, 28, 30, 32]),
    (rules.Windows(past_end="repeat"), 30, [26, 28, 30, 32]),
    (rules.SpreadResampled(fps=30.0, past_end="loop"), 30, [26, 28, 30, 32]),
    (rules.Interleaved(past_end="repeat"), 30, [7, 22, 37, 52]),
    (rules.PartWindows(parts=2, past_end="repeat"), 30, [7, 22, 37, 52]),
    (rules.Segments(past_end="repeat"), 30, [7, 22, 37, 52]),  # the middles of quarters
    (rules.Uniform(past_end="repeat"), 30, [7, 22, 37, 52]),
    (rules.Centres(past_end="loop"), 30, [26, 28, 30, 32]),
]


@pytest.mark.parametrize(("rule", "rate", "frames"), CASES)
def test_the_clip_of_a_window_is_spread_as_the_record_s_is(rule, rate, frames):
    times = clip_times(msgspec.structs.replace(protocol(), frames=rule), FOUR, 1.0, 2.0, rate)
    assert [(time - 1) * rate for time in times] == pytest.approx(frames)


def test_every_rule_of_videos_has_its_case():
    assert {type(rule) for rule, *_ in CASES} | {rules.Image, rules.KeyFrames} == set(get_args(rules.Frames))


def test_each_window_is_seen_as_that_part_of_the_video_alone(model):
    frames = noise(120)
    result = videohub.predict_windows(frames, model, window=2, topk=10)
    assert [(each.start, each.end) for each in result] == [(0, 2), (2, 4)]
    for each, part in zip(result, (frames[:60], frames[60:]), strict=True):
        assert scores(each.predictions) == pytest.approx(scores(videohub.predict(part, model, topk=10)), abs=1e-5)


def test_all_crops_of_a_window_are_asked_for_by_name(model):
    result = videohub.predict_windows(noise(60), model, views="protocol", topk=10)
    one = videohub.predict_windows(noise(60), model, topk=10)
    assert scores(result[0].predictions) != pytest.approx(scores(one[0].predictions), abs=1e-3)
    assert sum(scores(result[0].predictions)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("count", "ends"),
    [
        (20, [(0, 20 / 30)]),  # shorter than a window
        (60, [(0, 2)]),
        (61, [(0, 2), (2, 61 / 30)]),
        (100, [(0, 2), (2, 100 / 30)]),
    ],
)
def test_the_last_window_ends_with_the_video(model, count, ends):
    result = videohub.predict_windows(noise(count), model, window=2, topk=1)
    assert [(each.start, each.end) for each in result] == [pytest.approx(each) for each in ends]


def test_a_clip_that_lasts_longer_than_its_window_repeats_the_ends_of_the_video(model):
    frames = noise(30)
    result = videohub.predict_windows(frames, model, window=0.6, topk=10)  # 18 frames, and clips of 32: 7 to each side
    # the second window is the rest, 12 frames, and its middle is frame 24
    for window, begin in zip(result, (-7, 8), strict=True):
        chosen = [begin + number for number in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 31)]
        clip = torch.from_numpy(frames[np.clip(chosen, 0, 29), 4:36, 14:46]).permute(3, 0, 1, 2)
        with torch.no_grad():
            expected = model((clip[None] / 255 - 0.45) / 0.225).softmax(dim=1)[0].tolist()
        assert scores(window.predictions) == pytest.approx(expected, abs=1e-5)


# --- the copy with the classes ---------------------------------------------------------------------------------------


def pictures(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_the_copy_shows_the_classes_of_each_window_at_its_bottom(model, video, tmp_path):
    out = tmp_path / "seen.mp4"
    result = videohub.predict_windows(video, model, window=1, annotate=out)
    assert len(result) == 5
    before, after = pictures(video), pictures(out)
    assert after.shape == before.shape
    changed = np.abs(after - before).mean(axis=(2, 3))  # of each row of each picture
    assert changed[:, -8:].mean() > 4 * changed[:, :8].mean()  # all is encoded anew, and there the bar lies
    with av.open(str(out)) as copy:
        assert copy.streams.video[0].average_rate == 30


def test_names_of_strangers_are_written_and_not_obeyed(model, video, tmp_path):
    labels = ["\x1b[31mred\n\u202e", "<b>", "%s{}", "名前", "\0", *"abcde"]
    videohub.predict_windows(video, model, annotate=tmp_path / "seen.mp4", labels=labels)
    assert pictures(tmp_path / "seen.mp4").shape[0] == 150


def test_nothing_is_left_of_a_copy_of_a_broken_video(model, video, tmp_path):
    (tmp_path / "half.mp4").write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
    with pytest.raises(VideoError):
        videohub.predict_windows(tmp_path / "half.mp4", model, annotate=tmp_path / "seen.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half.mp4"]


# --- refusals, and the command line ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"window": 0}, "window: found 0, expected seconds, at least 0.01"),
        ({"window": float("nan")}, "window: found nan"),
        ({"window": "2"}, "window: found '2', expected seconds"),
        ({"window": 1e-7}, "window: found 1e-07"),
        ({"annotate": "seen.gif"}, r"seen\.gif: found the ending '\.gif'"),
        ({"annotate": "nowhere/seen.mp4"}, "found no folder nowhere"),
        ({"topk": 0}, "topk: found 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(settings, said):
    with pytest.raises(UsageError, match=said):
        videohub.predict_windows("nowhere.mp4", NAME, **settings)


def test_images_have_no_parts_in_time():
    with pytest.raises(UsageError, match="resnet_r50_in1k: this network looks at images"):
        videohub.predict_windows("nowhere.mp4", "resnet_r50_in1k")


def test_a_broken_video_costs_no_other(model, video):
    result = list(timelines(["nowhere.mp4", video], model, window=2.5))
    assert [(each.error is None, len(each.windows)) for each in result] == [(False, 0), (True, 2)]


def test_weights_that_cannot_be_had_are_no_fault_of_each_video(video, monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    result = timelines(["absent.mp4", video, video], "X3D_XS", window=1.0)
    assert "no such video file" in str(next(result).error)
    with pytest.raises(OfflineError, match="x3d_xs"):
        next(result)


def test_the_command_line_prints_a_table_of_times_and_a_line_of_json(run, video, tmp_path):
    code, out, _ = run("predict", video, "--model", NAME, "--window", "2", "--topk", "1")
    assert code == 0
    assert [line.split()[:4] for line in out.splitlines()] == [
        ["0.0", "s", "2.0", "s"], ["2.0", "s", "4.0", "s"], ["4.0", "s", "5.0", "s"]
    ]  # fmt: skip
    code, out, _ = run("predict", video, "--model", NAME, "--window", "1.25", "--topk", "1")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["0.00", "1.25", "2.50", "3.75"]  # and not 1.2
    code, out, _ = run("predict", video, "--model", NAME, "--annotate", tmp_path / "seen.mp4", "--json")
    result = json.loads(out)
    assert [set(each) for each in result["windows"]] == [{"start", "end", "predictions"}] * 3
    assert (tmp_path / "seen.mp4").is_file()
    code, _, err = run("predict", video, video, "--model", NAME, "--annotate", tmp_path / "seen.mp4")
    assert code == 2
    assert "found several videos to annotate, expected one" in err
