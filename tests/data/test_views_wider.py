"""Test-time views of mmaction2 and torchvision, stated as steps, against what the original code made of them."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.data.test_views import ranks
from videohub import protocols as steps
from videohub import registry
from videohub.data.decoded import decode
from videohub.data.geometry import boxes_in_pixels, crop_squares, resized_size
from videohub.data.samples import KeyFrame, VideoFile
from videohub.data.sampling import keyframe_indices
from videohub.data.spec import list_indices
from videohub.data.views import views_of
from videohub.errors import VideoError
from videohub.protocols import Protocol
from videohub.registry.schema import Clip

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "views_wider"
TEN = ("top_left", "top_right", "bottom_left", "bottom_right", "centre")
CASES = {f"{path.parent.name}/{path.stem}": json.loads(path.read_text()) for path in sorted(GOLDEN.glob("*/*.json"))}
KEY_FRAMES = [name for name, facts in CASES.items() if "samples" in facts]
CLASSIFICATION = [name for name in CASES if name not in KEY_FRAMES]
WHOLE_FILES = [  # those cut short or turned are checked by their numbers alone
    name
    for name in CLASSIFICATION
    if {"frames_given", "frames_transposed"}.isdisjoint(CASES[name]["video_info"]) and not CASES[name].get("skipped")
]
OF_EVERY_KIND = [
    name for name in WHOLE_FILES if "/test_avi__" in name or "/demo__s3d" in name or "/demo__x3d13" in name
]


def arrays(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"{name}.npz"))


def stated(facts: dict) -> tuple[Protocol, Clip]:
    """Return the pipeline of a case as a protocol."""
    return of_torchvision(facts) if facts["family"] == "torchvision" else of_mmaction2(facts)


def of_torchvision(facts: dict) -> tuple[Protocol, Clip]:
    transforms = facts["transforms"]
    size = transforms["resize_size"]
    resize = (
        steps.ResizeShortSide(pixels=size[0], long_side="truncate", arithmetic="torch_uint8")
        if len(size) == 1
        else steps.Resize(height=size[0], width=size[1], arithmetic="torch_uint8")
    )
    pixels = (
        resize,
        steps.Crop(size=transforms["crop_size"][0], arithmetic="torchvision"),
        steps.Divide(by=255.0),
        steps.Normalise(mean=tuple(transforms["mean"]), std=tuple(transforms["std"])),
    )
    rule = steps.Resampled(fps=facts["frame_rate"], past_end="refuse")
    views = steps.ViewGrid(clips=facts["clips_per_video"], crops=("centre",), order="clip_major")
    return made(rule, pixels, views), Clip(frames=facts["clip_len"], sampling_rate=1)


def of_mmaction2(facts: dict) -> tuple[Protocol, Clip]:
    pipeline = {step["type"]: step for step in facts["pipeline"]}
    length, clips, views = facts.get("clip_len", 1), facts.get("clips_per_crop", 1), ("whole",)
    crop: tuple[steps.Pixels, ...] = ()
    for kind, arithmetic, places in (
        ("ThreeCrop", "mmaction2", ("start", "end", "centre")),
        ("CenterCrop", "mmaction2", ("centre",)),
        ("TenCrop", "mmaction2_ten", tuple(place + flip for place in TEN for flip in ("", "_mirrored"))),
    ):
        if kind in pipeline:
            size = pipeline[kind]["crop_size"]
            crop, views = (steps.Crop(size=size, arithmetic=arithmetic),), places
    rate = 1
    if sample := pipeline.get("SampleAVAFrames"):
        length, rate = sample["clip_len"], sample["frame_interval"]
        shift = {"ava": 1, "avakinetics": -1, "multisports": -1}[facts["group"].rstrip("0123456789x")]
        rule: steps.FrameRule = steps.KeyFrames(fps=30.0, shift=shift, boxes="as_given", past_end="repeat")
    elif sample := pipeline.get("DenseSampleFrames"):
        rate = sample["frame_interval"]
        rule = steps.Dense(positions=10, window=64, past_end="loop")
    elif pipeline.get("UniformSample"):
        rule = steps.Uniform(past_end="repeat")
    else:
        sample = pipeline["SampleFrames"]
        rate, clips = sample["frame_interval"], sample["num_clips"]
        length = sample["clip_len"]
        if "target_fps" in sample:
            rule = steps.SpreadAtRate(fps=sample["target_fps"], past_end="loop")
        elif length == 1:
            rule = steps.Centres(past_end="repeat")
        else:
            rule = steps.Spread(past_end="loop")
    pixels = (
        steps.ResizeShortSide(pixels=pipeline["Resize"]["scale"][1], long_side="half_up", arithmetic="opencv_uint8"),
        *crop,
        steps.Normalise(mean=tuple(facts["preprocessor"]["mean"]), std=tuple(facts["preprocessor"]["std"])),
    )
    grid = steps.ViewGrid(clips=clips, crops=views, order="crop_major")
    return made(rule, pixels, grid), Clip(frames=length, sampling_rate=rate)


def made(rule: steps.FrameRule, pixels: tuple, views: steps.ViewGrid) -> Protocol:
    scores = steps.ScoreRule(activation="softmax", join="mean")
    wider = Protocol(name="wider", dataset="kinetics400", split="val", frames=rule, pixels=pixels, views=views,
                     scores=scores, metric="topk", detection=None)  # fmt: skip
    assert list(wider.flaws()) == []
    return wider


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_frames_and_crops_are_the_originals(name):
    facts = CASES[name]
    protocol, clip = stated(facts)
    info = facts["video_info"]
    total = info.get("frames_given", info["decoded_frames"])
    fps = float(Fraction(info["average_rate"]))
    if facts.get("skipped"):
        with pytest.raises(VideoError, match="fewer than a clip takes; resampled sampling skips such a video"):
            list_indices(protocol, clip, total, fps)
        return
    clips = list_indices(protocol, clip, total, fps)
    crops = len(protocol.views.crops)
    expected = arrays(name)["frames"]
    grid = np.array(clips * crops if protocol.views.order == "crop_major" else np.repeat(clips, crops, axis=0))
    assert grid.reshape(expected.shape).tolist() == expected.tolist()
    if "crops" not in facts:
        return
    width, height = info["width"], info["height"]
    if info.get("frames_transposed"):
        width, height = height, width
    size = resized_size(height, width, protocol.whole_frame_steps)
    assert [size[1], size[0]] == facts["resized_wh"]
    crop = next(step for step in protocol.pixels if isinstance(step, steps.Crop))
    cut = crop_squares(*size, crop, protocol.views.crops)
    boxes = [{"box": [c.left, c.top, c.left + crop.size, c.top + crop.size], "flip": c.mirrored} for c in cut]
    assert boxes == facts["crops"]


@pytest.mark.parametrize(
    "name", [name if name in OF_EVERY_KIND else pytest.param(name, marks=pytest.mark.slow) for name in WHOLE_FILES]
)
def test_pixels_are_the_originals(name, media):
    facts, expected = CASES[name], arrays(name)
    protocol, clip = stated(facts)
    file = media / facts["video"]
    views = views_of(decode(VideoFile(file), protocol, clip), protocol)
    images = len(expected["frames"]) // len(views)  # of a network for images, a view's frames are so many views there
    shape = tuple(facts["view_shape"])
    places = ranks(file, views)
    for number in range(len(views)):
        clip_number = number % len(places) if views.crop_major else number // len(views.offsets)
        view = views[number].numpy()
        for row in range(images):
            there = number * images + row
            frames = places[clip_number][row : row + 1] if images > 1 else places[clip_number]
            assert frames.tolist() == expected["frames"][there].tolist()
            part = view[:, row] if images > 1 else view.reshape(shape)
            assert part.shape == shape
            values = part.reshape(-1)[expected["p0_idx"][there]]
            assert np.abs(values - expected["p0_val"][there]).max() <= 1e-6
        if number % 7:
            continue
        means = views[number].flatten(1).double()
        if images == 1:
            assert np.abs(means.mean(dim=1).numpy() - expected["p0_mean"][number]).max() <= 1e-5
            assert np.abs(means.std(dim=1, correction=0).numpy() - expected["p0_std"][number]).max() <= 1e-5


@pytest.mark.parametrize("name", [name for name in KEY_FRAMES if "/nasa_13013__" in name])
def test_records_of_detectors_state_that_pipeline(name):
    facts = CASES[name]
    protocol, clip = stated(facts)
    rule = protocol.frames
    if facts["group"].startswith("multisports"):  # its key frames are counted from 0 here
        rule = msgspec.structs.replace(rule, fps=25.0, shift=rule.shift + 1)
    for record in map(registry.record, facts["records"]):
        theirs = record.protocol
        assert (record.clip, theirs.frames, theirs.pixels) == (clip, rule, protocol.pixels)
        assert theirs.views == protocol.views


@pytest.mark.parametrize("name", KEY_FRAMES)
def test_frames_and_boxes_around_key_frames_are_the_originals(name):
    facts, expected = CASES[name], arrays(name)
    protocol, clip = stated(facts)
    info = facts["video_info"]
    assert [*reversed(resized_size(info["height"], info["width"], protocol.whole_frame_steps))] == facts["resized_wh"]
    for view, sample in enumerate(facts["samples"]):
        count = facts["boxes_per_view"][view]
        boxes = [tuple(map(float, box)) for box in expected["ori_boxes"][view][:count]]
        pixels = boxes_in_pixels(boxes, info["height"], info["width"], protocol)
        assert pixels.tolist() == expected["boxes"][view][:count].tolist(), sample
    for view, sample in enumerate(facts["samples"]):
        video, number = sample.split(",")
        if facts["group"].startswith("multisports"):
            centre = int(number)  # a frame, from 1
        else:  # a second; videos of Kinetics say in their names when they begin
            centre = 30 * (int(number) - (int(video.split("_")[1]) if "_" in video else 900))
        centre += protocol.frames.shift
        frames = keyframe_indices(
            centre, frames=clip.frames, sampling_rate=clip.sampling_rate, num_frames=info["decoded_frames"]
        )
        assert frames == expected["frames"][view].tolist()


@pytest.mark.parametrize("name", [name for name in KEY_FRAMES if "__multisports4x16" in name])
def test_key_frames_of_a_video_are_the_originals(name, media):
    """The video is read itself, as for MultiSports; of one the stamps are out of order, and all is decoded."""
    facts, expected = CASES[name], arrays(name)
    protocol, clip = stated(facts)
    for view, sample in enumerate(facts["samples"]):
        boxes = tuple(tuple(map(float, box)) for box in expected["ori_boxes"][view][: facts["boxes_per_view"][view]])
        source = KeyFrame(VideoFile(media / facts["video"]), int(sample.split(",")[1]), boxes)
        decoded = decode(source, protocol, clip)
        views = views_of(decoded, protocol)
        assert views.boxes.tolist() == expected["boxes"][view][: len(boxes)].tolist()
        pixels = views[0].numpy()
        assert pixels.shape == tuple(facts["view_shape"])
        assert np.abs(pixels.reshape(-1)[expected["p0_idx"][view]] - expected["p0_val"][view]).max() <= 1e-6


def test_a_key_frame_behind_the_end_of_a_video_is_no_view_of_its_last_one(media):
    facts = CASES["mmaction2/test_avi__multisports4x16"]
    protocol, clip = stated(facts)  # it counts from 1, of 164 frames
    beyond = KeyFrame(VideoFile(media / facts["video"]), 165, ((0.0, 0.0, 1.0, 1.0),))
    with pytest.raises(VideoError, match="its 164 frames end before number 166, where people are annotated"):
        decode(beyond, protocol, clip)
