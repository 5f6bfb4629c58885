"""Features along a video are what the network gives for clips that are cut by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

import videohub
from tests.data import barcode
from tests.data.contradicted_videos import VIDEOS, turned
from tests.data.sample_videos import protocol, write_video
from tests.data.small_videos import moving
from tests.models.test_families import NETWORKS, give_weights
from tests.own_registry import like
from videohub.errors import DeviceError, UsageError, VideoError
from videohub.models import VideoModel
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

QUICK = ("slowfast", "x3d", "vit", "mvitv2")
CLASSIFIERS = [name for name, (arch, _) in NETWORKS.items() if arch.task != "detection"]
WIDTH, HEIGHT, COUNT = 96, 64, 30
PROTOCOL = protocol(short_side=64, crop=64)  # pixels / 255, nothing to resize, columns 16 … 79 of 96


def network(name: str, how: Protocol = PROTOCOL, **changes: object) -> VideoModel:
    """Return a small network with weights made from their names, whose clips are frames two apart."""
    arch, frames = NETWORKS[name]
    record = like(
        "slow_r50_4x16", name="small", model=msgspec.structs.replace(arch, **changes), protocol=how, labels=None,
        clip=Clip(frames=frames, sampling_rate=2),
    )  # fmt: skip
    model = videohub.build(record)
    give_weights(model)
    return model


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of lossless video at 30 frames a second."""
    path = tmp_path_factory.mktemp("features") / "clip.mov"
    return write_video(path, COUNT, picture=lambda number: moving(number, WIDTH, HEIGHT))


@torch.no_grad()
def by_hand(model: VideoModel, numbers: Sequence[int], *, left: int = 16, width: int = 64) -> np.ndarray:
    """Return the features of the clip of these frames, of so many columns, in float64."""
    pixels = np.stack([moving(number, WIDTH, HEIGHT)[:, left : left + width] for number in numbers])
    clip = torch.from_numpy(pixels).double().div(255).permute(3, 0, 1, 2)
    return copy.deepcopy(model).double().features(clip[None])[0].numpy()


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    """Say whether features differ by no more than 1e-5 of the largest."""
    assert expected.std() > 0
    return bool(np.abs(found - expected).max() <= 1e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CLASSIFIERS]
)
def test_a_row_is_the_features_of_the_clip_that_is_cut_by_hand(name, video):
    model, frames = network(name), NETWORKS[name][1]
    result = videohub.features(video, model, stride=10)
    windows = [[min(start + 2 * frame, COUNT - 1) for frame in range(frames)] for start in (0, 10, 20)]
    assert result.values.dtype == np.float32
    assert result.values.shape == (3, model.num_features)
    assert all(close(row, by_hand(model, numbers)) for row, numbers in zip(result.values, windows, strict=True))
    expected = [[numbers[place] / 30 for place in (0, frames // 2, -1)] for numbers in windows]
    assert result.times == pytest.approx(np.array(expected))
    assert (result.rate, result.stride, result.frames, result.sampling_rate) == (30, 10, frames, 2)
    assert result.record == "small"
    assert set(result.versions) >= {"videohub", "torch", "av"}


def test_windows_that_go_beyond_the_end_are_padded_or_dropped(video):
    model = network("slow")  # 8 frames two apart: frame 29 is the last one of a window that begins at 15
    padded = videohub.features(video, model, stride=5)
    dropped = videohub.features(video, model, stride=5, tail="drop")
    assert len(padded.values) == 6
    assert len(dropped.values) == 4
    assert np.array_equal(padded.values[:4], dropped.values)
    assert close(padded.values[5], by_hand(model, [25, 27, 29, 29, 29, 29, 29, 29]))
    with pytest.raises(VideoError, match=r"clip\.mov: shorter than a window of 2\.13 s"):
        videohub.features(video, model, stride=5, frames=32, tail="drop")


def test_frames_their_distance_and_the_rate_may_be_others_than_the_record_s(video):
    model = network("slow")
    result = videohub.features(video, model, stride=4, frames=4, sampling_rate=1, fps=10)  # each third frame
    assert len(result.values) == 3
    assert close(result.values[1], by_hand(model, [12, 15, 18, 21]))
    assert close(result.values[2], by_hand(model, [24, 27, 29, 29]))
    assert result.times[1] == pytest.approx([1.2 / 3, 1.8 / 3, 2.1 / 3])
    assert (result.rate, result.frames, result.sampling_rate) == (10, 4, 1)


def test_without_a_rate_of_the_protocol_a_video_s_own_counts(tmp_path):
    path = write_video(tmp_path / "slow.mov", COUNT, rate=12, picture=lambda number: moving(number, WIDTH, HEIGHT))
    model = network("slow", protocol(sampling="spread", short_side=64, crop=64))
    result = videohub.features(path, model, stride=10)
    assert result.rate == 12
    assert close(result.values[1], by_hand(model, [10, 12, 14, 16, 18, 20, 22, 24]))
    assert result.times[1] == pytest.approx([10 / 12, 18 / 12, 24 / 12])


def test_three_crops_are_averaged_and_a_whole_frame_is_seen_whole(video):
    model, numbers = network("slow"), range(0, 16, 2)
    three = videohub.features(video, model, stride=30, crop="three").values[0]
    assert close(three, np.mean([by_hand(model, numbers, left=left) for left in (0, 16, 32)], axis=0))
    whole = videohub.features(video, model, stride=30, crop="whole").values[0]
    assert close(whole, by_hand(model, numbers, left=0, width=WIDTH))


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_network_takes_a_whole_frame_or_says_that_it_does_not(name, video):
    """Frames of 96 x 64, where the networks of tokens were made for squares of 64."""
    model, frames = network(name), NETWORKS[name][1]
    try:
        expected = by_hand(model, [2 * frame for frame in range(frames)], left=0, width=WIDTH)
    except (ValueError, RuntimeError):
        with pytest.raises(UsageError, match=rf"small: its network does not take clips of {frames} frames of 64 x 96"):
            videohub.features(video, model, stride=30, crop="whole")
    else:
        assert close(videohub.features(video, model, stride=30, crop="whole").values[0], expected)


def test_a_protocol_that_cuts_no_crop_shows_whole_frames_in_the_centre(video):
    model = network("slow", protocol(short_side=64, crop=None))
    result = videohub.features(video, model, stride=30).values[0]
    assert close(result, by_hand(model, range(0, 16, 2), left=0, width=WIDTH))
    with pytest.raises(UsageError, match="crop: found 'three', and the test of small knows whole frames"):
        videohub.features(video, model, stride=30, crop="three")


def test_frames_in_memory_are_taken_to_be_at_the_rate(video):
    model = network("slow")
    frames = np.stack([moving(number, WIDTH, HEIGHT) for number in range(COUNT)])
    for fps in (None, 25.0):
        result = videohub.features(frames, model, stride=10, fps=fps)
        assert close(result.values, videohub.features(video, model, stride=10).values)
        assert result.rate == (fps or 30)


def test_a_network_without_a_classifier_gives_the_same_features(video):
    bare = videohub.features(video, network("slow", num_classes=None), stride=10)
    assert close(bare.values, videohub.features(video, network("slow"), stride=10).values)


def test_a_network_for_images_looks_at_single_frames(video):
    model = network("image", protocol(sampling="image", clips=1, short_side=64, crop=64))
    result = videohub.features(video, model, stride=7)
    assert result.rate == 30  # its protocol has none
    assert len(result.values) == 5
    assert close(result.values[4], by_hand(model, [28]))
    assert result.times[4] == pytest.approx([28 / 30] * 3)


def test_in_half_precision_features_are_nearly_the_same(video):
    model = network("slow")
    exact, reduced = (videohub.features(video, model, stride=10, precision=name) for name in ("fp32", "bf16"))
    assert np.abs(exact.values - reduced.values).max() <= 0.02 * np.abs(exact.values).max()
    assert not np.array_equal(exact.values, reduced.values)
    assert reduced.precision == "bf16"


def test_the_weights_are_named_by_a_digest_that_their_values_decide(video):
    model = network("slow")
    first = videohub.features(video, model, stride=30).weights_sha256
    assert videohub.features(video, videohub.optimize(network("slow")), stride=30).weights_sha256 != first
    assert videohub.features(video, network("slow"), stride=10).weights_sha256 == first
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert videohub.features(video, model, stride=30).weights_sha256 != first


# --- headers and stamps that lie -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["two streams", "a second late", "raw", "cover in Matroska"])
def test_a_header_that_lies_changes_no_feature_and_is_told(name, tmp_path, caplog):
    model = network("slow")
    plain = videohub.features(barcode.write(tmp_path / "plain.mkv", 60), model, stride=15)
    lying = videohub.features(VIDEOS[name].write(tmp_path), model, stride=15)
    # lossy, and encoded anew behind frame 60 or otherwise: a grey level or two
    assert np.abs(lying.values[:2] - plain.values[:2]).max() <= 0.02 * np.abs(plain.values).max()
    assert lying.times[:2] == pytest.approx(plain.times[:2], abs=2e-3)
    assert "the header contradicts the content, which is followed" in caplog.text
    assert all(kind in caplog.text for kind in VIDEOS[name].kinds)


def test_a_turned_video_is_seen_upright(tmp_path, caplog):
    model = network("slow", protocol(short_side=64, crop=64))
    result = videohub.features(turned(tmp_path, (0, 1, -1, 0)), model, stride=30, crop="whole")
    upright = [np.rot90(barcode.picture(number), -1) for number in range(30)]
    expected = videohub.features([np.ascontiguousarray(each) for each in upright], model, stride=30, crop="whole")
    assert np.abs(result.values - expected.values).max() <= 0.02 * np.abs(expected.values).max()
    assert "turned picture" in caplog.text


# --- what is refused -------------------------------------------------------------------------------------------------


def test_that_a_single_picture_stands_for_a_whole_window_is_told(tmp_path, video, caplog):
    Image.fromarray(moving(3, WIDTH, HEIGHT)).save(tmp_path / "a.png")
    model, frames = network("slowfast"), NETWORKS["slowfast"][1]
    result = videohub.features(tmp_path / "a.png", model, stride=16, fps=30)
    assert close(result.values, by_hand(model, [3] * frames)[None])
    assert f"a.png: a single picture, which stands for all {frames} frames of a clip" in caplog.text
    caplog.clear()
    videohub.features(video, model, stride=16)
    assert "single picture" not in caplog.text


def test_networks_that_want_boxes_are_refused(video):
    with pytest.raises(UsageError, match="small: this network gives features of people in given boxes"):
        videohub.features(video, network("slow detection", protocol(metric="ava_map")), stride=10)
    with pytest.raises(UsageError, match="features of people in given boxes"):
        videohub.features(video, "slow_r50_4x16_ava22", stride=10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stride": 0}, "stride: found 0, expected at least 1"),
        ({"stride": 1.5}, "stride: found 1.5, expected at least 1, in whole frames"),
        ({"stride": float("nan")}, "stride: found nan, expected at least 1, in whole frames"),
        ({"stride": 4, "frames": 0}, "frames: found 0"),
        ({"stride": 4, "frames": 10**9}, "frames: found 1000000000, expected at most 4096"),
        ({"stride": 4, "sampling_rate": -1}, "sampling_rate: found -1"),
        ({"stride": 4, "fps": 0}, "fps: found 0"),
        ({"stride": 4, "crop": "left"}, "crop: found 'left', expected center, whole, three"),
        ({"stride": 4, "tail": "loop"}, "tail: found 'loop', expected pad or drop"),
        ({"stride": 4, "batch": 0}, "batch: found 0"),
        ({"stride": 4, "checkpoint": "x.pth"}, "found a model and the checkpoint"),
    ],
)
def test_options_out_of_their_range_are_refused(options, words, video):
    with pytest.raises(UsageError, match=words):
        videohub.features(video, network("slow"), **options)


def test_windows_that_a_network_does_not_take_are_refused_before_any_frame(tmp_path):
    with pytest.raises(UsageError, match="small: its network does not take clips of 6 frames of 64 x 64 pixels"):
        videohub.features(tmp_path / "absent.mp4", network("slowfast"), stride=10, frames=6)
    with pytest.raises(UsageError, match="small: its network does not take clips of 4 frames"):
        videohub.features(tmp_path / "absent.mp4", network("vit image"), stride=10, frames=4)


def test_a_video_that_is_not_there_or_none_is_an_error(tmp_path, video):
    with pytest.raises(UsageError, match=r"absent\.mp4: no such video file"):
        videohub.features(tmp_path / "absent.mp4", network("slow"), stride=10)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        videohub.features(tmp_path / "text.mp4", network("slow"), stride=10)
    with pytest.raises(DeviceError):
        videohub.features(video, network("slow"), stride=10, precision="fp16")
