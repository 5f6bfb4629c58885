"""What is seen in a video: of one view or all, of any input, of several videos, and what is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

import videohub
from tests.data.small_videos import small_video
from tests.hub.publisher import running
from videohub import registry
from videohub.data.views import read_content_views
from videohub.errors import DeviceError, UnknownNameError, UsageError, VideohubError
from videohub.registry.schema import Clip

NAME = "slowfast_motions"  # 16 frames at 30 a second, every second one; short side 40, crops of 32, three clips


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
    return small_video(tmp_path_factory.mktemp("videos") / "clip.mp4", count=60)


@pytest.fixture
def broken(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    return tmp_path / "broken.mp4"


def scores(predictions):
    """The probability of each class, in the order of the classes."""
    return [each.probability for each in sorted(predictions, key=lambda each: each.index)]


def softmax(model, clip):
    with torch.no_grad():
        return model(clip[None]).softmax(dim=1)[0].tolist()


# --- one view, all views ---------------------------------------------------------------------------------------------


def test_one_view_is_the_clip_in_the_middle_under_the_centre_crop(model):
    frames = np.random.default_rng(0).integers(0, 256, (60, 40, 60, 3), np.uint8)
    # 32 frames at 30 a second are covered, from (60 - 32) / 2 on: 16 of them, both ends included, rounded down
    chosen = [14 + number for number in (0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 31)]
    clip = torch.from_numpy(frames[chosen, 4:36, 14:46]).permute(3, 0, 1, 2)
    expected = softmax(model, (clip / 255 - 0.45) / 0.225)
    assert scores(videohub.predict(frames, model, topk=10)) == pytest.approx(expected, abs=1e-5)
    assert scores(videohub.predict(frames, NAME, topk=10, views="one")) == pytest.approx(expected, abs=1e-5)


def test_the_protocol_s_views_are_all_of_them(model, video):
    views = read_content_views(video, model.record.protocol, model.record.clip)
    assert len(views) == 9
    expected = np.mean([softmax(model, view) for view in views.stack()], axis=0)
    assert scores(videohub.predict(video, model, topk=10, views="protocol")) == pytest.approx(expected, abs=1e-5)


def test_a_network_for_images_sees_an_image(tmp_path):
    model = videohub.build("resnet_r50_in1k")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    picture.save(tmp_path / "picture.png")
    result = videohub.predict(tmp_path / "picture.png", model)
    assert videohub.predict(picture, model) == result
    assert videohub.predict((tmp_path / "picture.png").read_bytes(), model) == result


def test_bytes_and_an_open_file_are_seen_as_the_file(model, video):
    expected = videohub.predict(video, model)
    assert videohub.predict(video.read_bytes(), model) == expected
    with video.open("rb") as file:
        assert videohub.predict(file, model) == expected


def test_views_are_made_of_any_input(model, video):
    expected = videohub.views(video, NAME)
    assert torch.equal(videohub.views(video.read_bytes(), NAME), expected)
    frames = np.zeros((60, 40, 60, 3), np.uint8)
    assert videohub.views(frames, NAME, fps=25).shape == (9, 3, 16, 32, 32)


# --- several ---------------------------------------------------------------------------------------------------------


def test_several_videos_are_seen_in_their_order_and_a_broken_one_costs_no_other(model, video, broken):
    frames = np.zeros((20, 40, 60, 3), np.uint8)
    result = list(videohub.predict_many([broken, video, "nowhere.mp4", frames, broken], model, topk=2))
    assert [each.name for each in result] == [
        str(broken), str(video), "nowhere.mp4", "frames (20, 40, 60, 3)", str(broken)
    ]  # fmt: skip
    assert [each.error is None for each in result] == [False, True, False, True, False]
    assert [len(each.predictions) for each in result] == [0, 2, 0, 2, 0]
    assert "not a video" in str(result[0].error)
    for each, alone in ((result[1], video), (result[3], frames)):
        for ours, expected in zip(each.predictions, videohub.predict(alone, model, topk=2), strict=True):
            assert (ours.label, ours.index) == (expected.label, expected.index)
            assert ours.probability == pytest.approx(expected.probability, abs=1e-6)


def test_a_folder_and_what_gives_videos_one_after_another_are_several(model, video):
    (from_folder,) = videohub.predict_many(video.parent, model)
    (from_generator,) = videohub.predict_many((each for each in [video]), model)
    assert from_folder.name == str(video)
    assert scores(from_folder.predictions) == pytest.approx(scores(from_generator.predictions), abs=1e-6)


def test_where_no_video_can_be_read_no_model_is_loaded(broken):
    never_released = "slowfast_r101_8x8"
    result = list(videohub.predict_many([broken, broken], never_released))
    assert [type(each.error).__name__ for each in result] == ["VideoError", "VideoError"]
    assert list(videohub.predict_many([], NAME)) == []


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [b"", io.BytesIO(), np.zeros((4, 40, 60, 3), np.uint8), torch.zeros(4, 40, 60, 3)])
def test_one_video_is_not_taken_for_several(given):
    with pytest.raises(UsageError, match=r"predict_many: found one video \(.*\), expected several; predict takes one"):
        videohub.predict_many(given, NAME)


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"topk": 0}, UsageError, "topk: found 0, expected a whole number, at least 1"),
        ({"topk": 2.5}, UsageError, r"topk: found 2\.5, expected a whole number"),
        ({"views": "all"}, UsageError, "views: found 'all', expected one or protocol"),
        ({"precision": "fp8"}, UsageError, "precision: found 'fp8'"),
        ({"precision": "fp16"}, DeviceError, "CPUs do not compute networks in fp16"),
        ({"device": "warp"}, UsageError, "device: found 'warp'"),
        ({"fps": 25}, UsageError, "fps: found 25 beside"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(video, settings, error, said):
    with pytest.raises(error, match=said):
        videohub.predict(video, NAME, **settings)


def test_a_network_that_detects_names_what_to_call_instead():
    with pytest.raises(UsageError, match=r"slow_r50_4x16_ava22: .*\n  `videohub detect` takes it"):
        videohub.predict("nowhere.mp4", "slow_r50_4x16_ava22")


def test_features_alone_are_no_classes():
    feature_networks = [name for name in videohub.list_models() if videohub.record(name).model.num_classes is None]
    with pytest.raises(UsageError, match="its file has no classifier"):
        videohub.predict("nowhere.mp4", feature_networks[0])


@pytest.mark.parametrize(
    ("like_it", "classes"), [("videomaev2_vit_s_16x4_k710", 710), ("videomaev2_vit_g_16_ssv2", 174)]
)
def test_classes_without_names_go_by_their_numbers_which_one_line_says(like_it, classes, video, caplog):
    of = registry.record(like_it)
    small = msgspec.structs.replace(of.model, depth=1, width=48, heads=1, hidden=48, patch=56)
    model = videohub.build(msgspec.structs.replace(of, name=f"nameless_{classes}", model=small, labels=None))
    text = [
        f"nameless_{classes}: its {classes} classes have no names here: output k is called class k; --labels FILE or "
        "labels= names them"
    ]
    for _ in range(2):
        seen = videohub.predict(video, model)
        assert [each.label for each in seen] == [f"class {each.index}" for each in seen]
        assert caplog.messages == text
    named = videohub.predict(video, model, labels=[f"motion {number}" for number in range(classes)])
    assert [each.label for each in named] == [f"motion {each.index}" for each in seen]
    assert caplog.messages == text


def test_a_part_in_training_mode_is_named(model, video):
    part = videohub.load(NAME)
    part.head.train()
    with pytest.raises(UsageError, match=r"predict: found its part head.* in training mode, expected evaluation mode"):
        videohub.predict(video, part)


def test_an_unknown_name_is_told_before_anything_is_read():
    with pytest.raises(UnknownNameError):
        videohub.predict_many(["nowhere.mp4"], "slowfast_motion")


def test_probabilities_that_are_no_numbers_are_refused(video):
    model = videohub.load(NAME)
    with torch.no_grad():
        model.head.projection.bias[0] = float("nan")
    with pytest.raises(VideohubError, match=r"clip\.mp4: the network gives values that are not numbers"):
        videohub.predict(video, model)
    with pytest.raises(VideohubError, match=r"^\d+ bytes: the network gives values"):  # and not some temporary file
        list(videohub.predict_windows(Path(video).read_bytes(), model))


# --- on the command line ---------------------------------------------------------------------------------------------


def test_one_video_is_printed_as_a_table_and_as_a_line_of_json(run, video):
    code, out, _ = run("predict", video, "--model", NAME, "--topk", "2")
    assert (code, len(out.splitlines())) == (0, 2)
    code, out, _ = run("predict", video, "--model", NAME, "--topk", "2", "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    result = json.loads(out)
    assert result["name"] == str(video)
    assert [set(each) for each in result["predictions"]] == [{"label", "probability", "index"}] * 2


def test_of_several_videos_each_has_its_line_and_a_broken_one_ends_with_1(run, video, broken):
    code, out, err = run("predict", video, broken, video.parent, "--model", NAME, "--json")
    assert code == 1
    result = [json.loads(line) for line in out.splitlines()]
    assert [each["name"] for each in result] == [str(video), str(broken), str(video)]
    assert [set(each) for each in result] == [{"name", "predictions"}, {"name", "error"}, {"name", "predictions"}]
    assert "VideoError: " in err
    assert str(broken) in err
    code, out, _ = run("predict", video, video.parent, "--model", NAME, "--topk", "1")
    assert (code, len(out.splitlines()), out.splitlines()[0]) == (0, 4, str(video))


def test_that_a_single_picture_stands_for_a_whole_clip_is_told(tmp_path, video, caplog):
    Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(tmp_path / "a.png")
    videohub.predict(tmp_path / "a.png", NAME)
    assert "a.png: a single picture, which stands for all 16 frames of a clip" in caplog.text
    caplog.clear()
    videohub.predict(video, NAME)
    assert "single picture" not in caplog.text


def test_clips_that_the_network_does_not_take_are_refused_in_words(video):
    ours = msgspec.structs.replace(registry.record(NAME), clip=Clip(frames=18, sampling_rate=2))
    with pytest.raises(
        UsageError, match=r"does not take clips of 18 frames of 32 x 32 pixels .* multiple of alpha = 4"
    ):
        videohub.predict(video, ours)


def test_a_url_keeps_both_of_its_slashes(run):
    code, out, err = run("predict", "https://127.0.0.1:9/clip.mp4", "--model", NAME)
    assert (code, out) == (4, "")
    assert "video: https://127.0.0.1:9/clip.mp4 could not be downloaded: Failed to establish a new connection" in err


@pytest.mark.parametrize("along", [[], ["--window", 1]])
def test_a_url_is_called_by_what_is_no_credential(run, video, monkeypatch, along):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as publisher:
        url = publisher.publish("/clip.mp4?token=hunter2", video.read_bytes()).replace("//", "//alice:hunter2@")
        code, out, err = run("predict", url, "--model", NAME, "--json", *along)
        code2, out2, err2 = run("predict", url, url, "--model", NAME, *along)
    shown = publisher.url("/clip.mp4")
    assert (code, code2, json.loads(out)["name"], out2.splitlines()[0]) == (0, 0, shown, shown)
    assert "hunter2" not in out + err + out2 + err2


def test_a_name_that_is_no_text_is_a_line_of_json_that_can_be_read(run, video, tmp_path):
    odd = os.fsdecode(bytes(tmp_path) + b"/\xe9.mp4")
    shutil.copy(video, odd)
    code, out, _ = run("predict", odd, "--model", NAME, "--json")
    assert (code, len(out.splitlines())) == (0, 1)
    assert json.loads(out)["name"] == odd


def test_all_views_are_asked_for_by_name(run, video, model):
    _, out, _ = run("predict", video, "--model", NAME, "--views", "protocol", "--topk", "10", "--json")
    expected = videohub.predict(video, model, views="protocol", topk=10)
    assert [each["index"] for each in json.loads(out)["predictions"]] == [each.index for each in expected]
