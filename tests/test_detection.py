"""What people in a video do: key frames, clips and boxes as the original has them, and whatever may be missing."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import av
import msgspec
import numpy as np
import pytest
import torch
from av.video.reformatter import VideoReformatter
from torch import nn

import videohub
from tests.data.golden_views import cases, golden_case
from tests.data.sample_videos import write_video
from tests.data.small_videos import small_video
from tests.own_registry import like, write_registry
from videohub import building, registry
from videohub.architectures.parts import RoiMax
from videohub.data.decoded_images import converted
from videohub.data.labels import names_of
from videohub.detection import Detection, detect
from videohub.errors import DataError, UsageError
from videohub.registry.schema import Clip

AVA = "slowfast_r101_8x8_ava22"
PTV = "ptv_slow_r50_4x16_ava22"
NAMES = names_of(registry.record(AVA))


class Recorder(nn.Module):
    """Stands in for a network: keeps what it is given, and finds action 11 in the first box, 79 and 0 in all others."""

    def __init__(self, name: str = AVA) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.record = registry.record(name)
        self.seen: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.eval()

    def __deepcopy__(self, memo):
        return self

    def forward(self, clip, boxes):
        self.seen.append((clip.clone(), boxes.clone()))
        logits = torch.full((len(boxes), self.record.num_classes), -20.0)
        logits[0, 11] = math.log(3)  # 0.75
        logits[1:, 79], logits[1:, 0] = math.log(4), 0.0  # 0.8 and 0.5
        return logits


def grey_levels(clip: torch.Tensor) -> list[int]:
    """Return the level of each frame of a grey clip (1, 3, T, H, W), normalised by 0.45 and 0.225."""
    return ((clip[0, 0, :, 5, 5] * 0.225 + 0.45) * 255).round().int().tolist()


@pytest.fixture(scope="module")
def grey(tmp_path_factory) -> Path:
    """Six seconds at 30 frames a second, frame k of level k."""
    return write_video(tmp_path_factory.mktemp("videos") / "grey.mov", 180)


def everybody(pictures):
    """Find one person, in the left upper quarter of a picture of 64x48."""
    return [{"boxes": torch.tensor([[0.0, 0, 32, 24]]), "labels": torch.tensor([1]), "scores": torch.tensor([0.9])}]


def nobody(pictures):
    return [{"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64), "scores": torch.zeros(0)}]


# --- as the original -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("ava"))
def test_views_and_boxes_are_the_originals(case, media):
    facts, expected = golden_case(case)
    assert (facts["num_frames"], facts["sampling_rate"], facts["test_crop_size"]) == (32, 2, 256)
    with av.open(str(media / facts["video"])) as container:
        pictures = sorted(container.decode(video=0), key=lambda frame: frame.pts)
        frames = np.stack([converted(picture, VideoReformatter()) for picture in pictures])
    rows = [(second - 902 + 2, *row) for second, *row in facts["detector_rows"]]  # frame (second - 900) * 30 at 30
    model = Recorder()
    detect(frames, model, boxes=rows, units="fractions", fps=30)
    assert len(model.seen) == len(facts["seconds"])
    for view, (clip, boxes) in enumerate(model.seen):
        assert np.abs(boxes[:, 1:].numpy() - expected["boxes"][view]).max() <= 1e-4
        assert list(clip.shape[1:]) == facts["pathway_shapes"][1]
        slow = facts["slow_pathway_positions"]
        for pathway, seen in enumerate((clip[0][:, slow], clip[0])):
            values = seen.numpy().reshape(-1)[expected[f"p{pathway}_idx"][view]]
            assert np.abs(values - expected[f"p{pathway}_val"][view]).max() <= 1e-5  # one grey level would be 0.017


def test_the_key_frame_is_the_middle_and_the_ends_of_the_video_repeat(grey):
    model = Recorder()
    detect(grey, model, boxes=[(time, 1, 1, 60, 40) for time in (0, 2, 5.9)])
    clips = [grey_levels(clip) for clip, _ in model.seen]
    assert clips[0] == [0] * 16 + list(range(0, 32, 2))
    assert clips[1] == list(range(28, 92, 2))  # frame 60 - 32 first, and 60 at place 16
    assert clips[1][16] == 60
    assert clips[2] == [*range(145, 180, 2), *[179] * 14]  # 177 - 32 first


def test_at_another_rate_frames_are_those_that_are_shown_30_times_a_second(tmp_path):
    video = write_video(tmp_path / "slow.mov", 40, rate=10)  # four seconds
    model = Recorder()
    detect(video, model, boxes=[(2, 1, 1, 60, 40)])
    assert grey_levels(model.seen[0][0]) == [index // 3 for index in range(28, 92, 2)]


@pytest.mark.parametrize(("name", "frames"), [(PTV, [28, 44, 60, 76]), ("slow_r50_4x16_ava22", [28, 44, 60, 76])])
def test_pytorchvideos_records_take_their_own_clips(grey, name, frames):
    model = Recorder(name)
    result = detect(grey, model, boxes=[(2, 1, 1, 60, 40)])
    assert grey_levels(model.seen[0][0]) == frames
    assert [each.action for each in result] == [NAMES[11]]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_a_row_is_a_moment_a_box_in_pixels_an_action_and_its_score(grey):
    rows = [(1, 2, 3, 20, 30), (1, 8, 8, 60, 47)]
    assert detect(grey, Recorder(), boxes=rows) == [
        Detection(1.0, (2, 3, 20, 30), NAMES[11], pytest.approx(0.75), 11),
        Detection(1.0, (8, 8, 60, 47), NAMES[79], pytest.approx(0.8), 79),
        Detection(1.0, (8, 8, 60, 47), NAMES[0], pytest.approx(0.5), 0),
    ]


def test_boxes_go_to_the_network_in_pixels_of_the_resized_frame(grey):
    model = Recorder()
    detect(grey, model, boxes=[(1, 16, 12, 32, 24)])
    # 64x48 -> 341x256, and both axes by 341 / 64
    assert model.seen[0][1].tolist() == [pytest.approx([0, 16 * 341 / 64, 12 * 341 / 64, 32 * 341 / 64, 24 * 341 / 64])]


def test_the_threshold_leaves_out_what_is_less_probable_and_tells_of_boxes_without_an_action(grey, caplog):
    with caplog.at_level(logging.WARNING, "videohub"):
        result = detect(grey, Recorder(), boxes=[(1, 2, 3, 20, 30), (1, 8, 8, 60, 47)], threshold=0.78)
    assert [each.index for each in result] == [79]
    assert "1 of 2 boxes are without an action of 0.78 or more" in caplog.text


def test_the_scores_are_those_of_the_network_itself(grey):
    model = small_network()
    (result,) = {
        each.index: each for each in detect(grey, model, boxes=[(2, 1, 1, 60, 40)], threshold=0) if each.index == 3
    }.values()
    recorder = Recorder()
    recorder.record = model.record
    detect(grey, recorder, boxes=[(2, 1, 1, 60, 40)])
    clip, boxes = recorder.seen[0]
    with torch.inference_mode():
        expected = model(clip, boxes).sigmoid()[0, 3]
    assert result.score == pytest.approx(float(expected), abs=1e-5)


def small_network() -> nn.Module:
    """Return a network for boxes that is small, with random weights."""
    torch.manual_seed(0)
    return building.build(small_record())


def small_record() -> registry.Record:
    record = like(PTV, name="small_ava", upstream_name="SMALL_AVA", clip=Clip(frames=4, sampling_rate=4))
    model = msgspec.structs.replace(record.model, depth=(1, 1, 1, 1), width=8, head=RoiMax())
    return msgspec.structs.replace(record, model=model)


def test_nobody_is_seen_to_do_what_the_output_for_no_action_says(grey):
    """However probable: output 0 of mmaction2's networks for AVA is background, and nobody trained it."""
    model, rows = Recorder("mma_slow_r50_4x16_ava21"), [(1, 2, 3, 20, 30), (1, 8, 8, 60, 47)]
    result = detect(grey, model, boxes=rows, threshold=0.4)
    assert [(each.action, each.index) for each in result] == [(NAMES[10], 11), (NAMES[78], 79)]  # of action ids 11, 79
    assert len(detect(grey, model, boxes=rows, threshold=0)) == 2 * 80


# --- moments ---------------------------------------------------------------------------------------------------------


def test_a_detector_is_asked_once_a_second_from_the_first_frame_on(grey):
    asked = []

    def detector(pictures):
        asked.append(round(float(pictures[0][0, 5, 5]) * 255))
        return everybody(pictures)

    result = detect(grey, Recorder(), detector=detector)
    assert asked == [0, 30, 60, 90, 120, 150]
    assert [each.time for each in result] == [0, 1, 2, 3, 4, 5]
    assert {each.box for each in result} == {(0, 0, 32, 24)}


def test_key_frames_may_lie_at_other_distances(grey):
    result = detect(grey, Recorder(), detector=everybody, every=2.5)
    assert [each.time for each in result] == [0, 2.5, 5]


def test_a_detector_that_is_a_network_is_run_where_it_is(grey):
    class Everybody(nn.Module):
        def forward(self, pictures):
            return everybody(pictures)

    network = Everybody()
    network.weight = nn.Parameter(torch.zeros(1))
    assert len(detect(grey, Recorder(), detector=network.eval())) == 6


def test_where_nobody_is_the_network_is_not_asked_and_one_line_says_so(grey, caplog):
    model = Recorder()
    with caplog.at_level(logging.WARNING, "videohub"):
        assert detect(grey, model, detector=nobody) == []
    assert model.seen == []
    assert "nobody at any of its 6 key frames" in caplog.text


def test_moments_behind_the_end_are_left_out_and_told(grey, caplog):
    with caplog.at_level(logging.WARNING, "videohub"):
        result = detect(grey, Recorder(), boxes=[(5.9, 1, 1, 60, 40), (6.1, 1, 1, 60, 40), (30, 1, 1, 60, 40)])
    assert [each.time for each in result] == [5.9]
    assert "2 of 3 moments with boxes lie behind its end and are left out, the first at 6.1 s" in caplog.text


def test_a_video_of_one_frame_has_one_key_frame(tmp_path):
    video = write_video(tmp_path / "one.mov", 1)
    assert [each.time for each in detect(video, Recorder(), detector=everybody)] == [0]


def test_pixels_are_those_of_the_upright_frame(tmp_path):
    kept = Path(__file__).parent / "data" / "contradicted" / "turned.mp4"
    with av.open(str(kept)) as container:
        stored = container.streams.video[0].width, container.streams.video[0].height
    sizes = set()

    def detector(pictures):
        sizes.add(tuple(pictures[0].shape[1:]))
        return everybody(pictures)

    detect(kept, Recorder(), detector=detector)
    assert sizes == {stored}  # (height, width) upright


def test_boxes_that_are_not_sure_are_left_out_as_in_the_records_test(grey):
    rows = [(1, 2, 3, 20, 30, 0.79), (1, 8, 8, 60, 47, 0.81), (1, 1, 1, 9, 9, 0.91)]
    assert len({each.box for each in detect(grey, Recorder(), boxes=rows)}) == 2
    assert len({each.box for each in detect(grey, Recorder(PTV), boxes=rows)}) == 1  # 0.9 there
    assert len({each.box for each in detect(grey, Recorder(), boxes=rows, person_threshold=0.5)}) == 3


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_network_for_whole_clips_is_refused(grey):
    with pytest.raises(
        UsageError, match=r"slowfast_r50_8x8: this network says what whole clips show; detect needs one"
    ):
        detect(grey, "SLOWFAST_8x8_R50", detector=everybody)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "found neither boxes nor a detector, expected one of them"),
        ({"boxes": [(1, 2, 3, 4, 5)], "detector": everybody}, "found boxes and a detector, expected one of them"),
        ({"boxes": [(1, 2, 3, 4, 5)], "every": 2}, "every: found 2 beside boxes, expected none"),
        ({"detector": everybody, "every": 0}, "every: found 0, expected seconds, at least 0.01"),
        ({"detector": everybody, "every": math.nan}, "every: found nan"),
        ({"detector": 5}, 'detector: found a int, expected "torchvision" or a network'),
        ({"detector": everybody, "threshold": 50}, "threshold: found 50, expected 0 to 1"),
        ({"detector": everybody, "person_threshold": -1}, "person_threshold: found -1, expected 0 to 1"),
        ({"detector": everybody, "annotate": "out.avi"}, r"found the ending '\.avi'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_a_frame_is_decoded(options, message):
    with pytest.raises(UsageError, match=message):
        detect("absent.mp4", Recorder(), **options)


def test_a_detector_is_fetched_only_once_there_is_a_video(monkeypatch):
    monkeypatch.setenv("VIDEOHUB_OFFLINE", "1")
    with pytest.raises(UsageError, match=r"absent\.mp4: no such video file"):
        detect("absent.mp4", Recorder(), detector="torchvision")


def test_the_video_is_not_written_over_and_nothing_is_computed(grey):
    model = Recorder()
    with pytest.raises(UsageError, match="this is the video to read; give the copy another name"):
        detect(grey, model, detector=everybody, annotate=grey)
    assert model.seen == []


def test_boxes_in_the_pixels_of_a_larger_frame_are_refused(grey):
    with pytest.raises(
        DataError, match=r"boxes, row 0: the box 100, 100, 500, 400 does not lie in the frame, which has 64x48"
    ):
        detect(grey, Recorder(), boxes=[(1, 100, 100, 500, 400)])


# --- a picture of it -------------------------------------------------------------------------------------------------


def test_boxes_are_drawn_while_their_key_frame_is_the_nearest(tmp_path):
    video = write_video(tmp_path / "v.mov", 90, picture=lambda number: np.zeros((120, 160, 3), np.uint8))  # 3 s, black
    out = tmp_path / "seen.mp4"
    assert len(detect(video, Recorder(), boxes=[(0, 20, 60, 60, 110), (1, 100, 60, 140, 110)], annotate=out)) == 2
    with av.open(str(out)) as copied:
        pictures = [frame.to_ndarray(format="rgb24") for frame in copied.decode(video=0)]
    left, right = ([bool(each[70:105, column].max(axis=1).min() > 100) for each in pictures] for column in (20, 100))
    assert len(pictures) == 90
    # frame 15 is as near to one as to the other, and 45 is half a second after the last
    assert all(left[:15])
    assert not any(left[16:])
    assert not any(right[:15])
    assert all(right[16:45])
    assert not any(right[46:])


def test_a_box_without_an_action_is_drawn_without_a_name(tmp_path):
    video = small_video(tmp_path / "v.mp4", count=10, width=160, height=120)
    out = tmp_path / "seen.mp4"
    assert detect(video, Recorder(), boxes=[(0, 20, 60, 60, 110)], threshold=0.9, annotate=out) == []
    assert out.is_file()


# --- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def small_model(tmp_path, monkeypatch):
    """Let a small network for boxes be a record, and return its weights as a file."""
    write_registry(tmp_path / "ours.yaml", small_record())
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "ours.yaml"))
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    torch.save(videohub.build("small_ava").state_dict(), tmp_path / "small.pth")
    return tmp_path / "small.pth"


def test_the_verb_prints_rows_and_json(tmp_path, grey, small_model, run):
    (tmp_path / "boxes.csv").write_text("time,x1,y1,x2,y2\n1,2,3,20,30\n2,8,8,60,47\n")
    arguments = ("detect", grey, "--model", "small_ava", "--checkpoint", small_model, "--boxes", tmp_path / "boxes.csv",
                 "--threshold", "0")  # fmt: skip
    code, out, _ = run(*arguments, "--json", "--annotate", tmp_path / "out.mp4")
    rows = json.loads(out)
    assert code == 0
    assert len(rows) == 2 * 80
    assert set(rows[0]) == {"time", "box", "action", "score", "index"}
    assert (rows[0]["time"], rows[0]["box"], rows[-1]["time"]) == (1, [2, 3, 20, 30], 2)
    assert (tmp_path / "out.mp4").is_file()
    code, out, _ = run(*arguments)
    assert code == 0
    assert rows[0]["action"] in out
    assert "2 3 20 30" in out


def test_the_verb_wants_boxes_or_a_detector(grey, small_model, run):
    code, out, err = run("detect", grey, "--model", "small_ava", "--checkpoint", small_model)
    assert (code, out) == (2, "")
    assert "expected one of them: boxes=, or a file of them after --boxes" in err


def test_a_video_that_is_missing_ends_with_misuse(grey, small_model, run, tmp_path):
    (tmp_path / "boxes.csv").write_text("time,x1,y1,x2,y2\n1,2,3,20,30\n")
    code, _, err = run(
        "detect", "absent.mp4", "--model", "small_ava", "--checkpoint", small_model, "--boxes", tmp_path / "boxes.csv"
    )
    assert code == 2
    assert "absent.mp4: no such video file" in err
