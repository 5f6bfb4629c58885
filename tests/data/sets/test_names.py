"""Names of files are bytes: those that are no UTF-8, as old archives unpack, lead to their files, and count."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from videohub import registry
from videohub.data import sets
from videohub.data.samples import DataSet, FrameList, KeyFrame, Sample, VideoFile
from videohub.evaluation.decoding import Task
from videohub.worker_pool.process import decode, encode

LATIN = b"caf\xe9"  # "café" in Latin-1
ODD = os.fsdecode(LATIN)
TEXT = "caf\\udce9"  # what stands for it where only text can


@pytest.fixture
def odd(tmp_path: Path):
    """Write files whose names and contents are bytes; `%` stands for the name that is no UTF-8."""

    def odd(files: dict[bytes, bytes]) -> Path:
        for name, content in files.items():
            path = os.path.join(os.fsencode(tmp_path), name.replace(b"%", LATIN))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(content.replace(b"%", LATIN))
        return tmp_path

    return odd


def is_whole(data: DataSet) -> bool:
    """All that is said of the samples can be written and digested, and their files are there."""
    assert len(data.digest()) == 64
    for sample in data.samples:
        assert sample.name.encode()
        source = sample.source.frames if isinstance(sample.source, KeyFrame) else sample.source
        listed = isinstance(source, FrameList)
        files = [source.folder / name for name in source.names.split("\n")] if listed else [source.path]
        assert all(file.is_file() for file in files)
    return True


def test_a_class_folder_may_hold_such_a_file(odd, read):
    odd({b"abseiling/%.mp4": b"", b"abseiling/good.mp4": b""})
    result = read("slowfast_r50_8x8")
    assert [sample.name for sample in result.samples] == [f"abseiling/{TEXT}.mp4", "abseiling/good.mp4"]
    assert is_whole(result)


def test_a_class_folder_may_have_such_a_name(odd, monkeypatch):
    folder = odd({b"%/a.mp4": b"", b"tea/b.mp4": b""})
    record = registry.record("slowfast_r50_8x8")
    monkeypatch.setattr(
        "videohub.data.sets.kinetics.class_names", lambda labels: ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "tea")
    )
    result = sets.read(folder, root=None, record=record)
    assert [(sample.name, sample.truth) for sample in result.samples] == [(f"{TEXT}/a.mp4", (0,)), ("tea/b.mp4", (1,))]
    assert is_whole(result)


def test_accents_may_be_letters_or_marks_in_a_class_s_folder(odd, monkeypatch):
    """macOS writes é as e and an accent."""
    folder = odd({"cafe\N{COMBINING ACUTE ACCENT}/a.mp4".encode(): b""})
    monkeypatch.setattr(
        "videohub.data.sets.kinetics.class_names", lambda labels: ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe")
    )
    result = sets.read(folder, root=None, record=registry.record("slowfast_r50_8x8"))
    assert [sample.truth for sample in result.samples] == [(0,)]


@pytest.mark.parametrize("record", ["slowfast_r50_8x8", "resnet_r50_in1k"])
def test_a_list_of_paths_may_name_such_files(odd, record):
    folder = odd({b"%/%.jpg": b"", b"val.csv": b"\xef\xbb\xbf%/%.jpg 3\r\n"})
    result = sets.read(folder / "val.csv", root=None, record=registry.record(record))
    assert [(sample.name, sample.truth) for sample in result.samples] == [(f"{TEXT}/{TEXT}.jpg", (3,))]
    assert is_whole(result)


def test_a_frame_list_may_name_such_frames(odd, read):
    lists = {
        b"labels.json": json.dumps({"a": "0"}).encode(),
        b"validation.json": json.dumps([{"id": "7", "template": "a"}]).encode(),
        b"frame_lists/val.csv": b'original_vido_id video_id frame_id path labels\n7 0 0 %/%1.jpg ""\n',
    }
    folder = odd({**lists, b"%/%1.jpg": b""})
    result = read("slowfast_r50_16x8_ssv2")
    assert result.samples[0].source == FrameList(folder, f"{ODD}/{ODD}1.jpg")
    assert is_whole(result)


def test_ava_may_have_such_videos(odd, read):
    box = b"%,902,0.1,0.1,0.2,0.2"
    odd(
        {
            b"frame_lists/val.csv": b'original_vido_id video_id frame_id path labels\n% 0 0 %/%1.jpg ""\n',
            b"annotations/person_box_67091280_iou90/ava_detection_val_boxes_and_labels.csv": box + b",,0.9\n"
            b"%,903,0.1,0.1,0.2,0.2,,0.9\n",
            b"annotations/ava_val_v2.2.csv": box + b",12,0\n",
            b"annotations/ava_val_excluded_timestamps_v2.2.csv": b"%,0903\n",
            b"annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt": b'item { name: "stand" id: 12 }\n',
            b"%/%1.jpg": b"",
        }
    )
    result = read("slowfast_r101_8x8_ava22")
    assert [sample.name for sample in result.samples] == result.ava.keys == [f"{TEXT},0902"]  # 903 is excluded
    assert is_whole(result)


@pytest.mark.parametrize("suffix", [b".mp4", b""])
def test_charades_may_have_such_videos(odd, read, suffix):
    odd({b"Charades_v1_test.csv": b"id,actions\n%,\n", b"%" + (suffix or b"/%1.jpg"): b""})
    result = read("slowfast_r50_16x8_charades")
    assert [sample.name for sample in result.samples] == [TEXT]
    assert is_whole(result)


def test_other_names_stay_as_they_are():
    for name in ("a b/ü.mp4", "日本.mp4", "a\\b.mp4"):
        assert Sample(name, VideoFile(Path(name)), ()).name == name


@pytest.mark.parametrize("kind", ["video", "frames", "key frame"])
def test_such_names_travel_to_the_worker_processes_as_they_are(kind):
    frames = FrameList(Path(f"/{ODD}"), f"{ODD}1.jpg\n2.jpg")
    source = {
        "video": VideoFile(Path(f"/{ODD}.mp4")),
        "frames": frames,
        "key frame": KeyFrame(frames, 1, ((0.0, 0.0, 1.0, 1.0),)),
    }[kind]
    received = decode(encode(Task.of(source, (3,))), Task)
    assert received.whole() == source
    assert received.returned == (3,)
