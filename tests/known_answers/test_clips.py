"""The clips of known answers: the synthetic one by hand, arrays as files hold them, and frames of videos."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.data.small_videos import HEIGHT, WIDTH, moving, small_video
from videohub import registry
from videohub.errors import FormatError
from videohub.known_answers.clips import clip_of, synthetic_levels
from videohub.protocols import Divide
from videohub.registry.known_answers import ArrayClip, KnownAnswer, SyntheticClip, Values, VideoClip


def answer(given, pixels=()):
    values = Values(first=(0.0,))
    return KnownAnswer(layouts=("transformers",), input=given, pixels=pixels, values=values, tolerance=1, source="")


@pytest.fixture
def of_file(tmp_path):
    record = registry.record("videomae_vit_b_16x4")

    def read(frames=2, step=1, kind=ArrayClip, name="clip.npy"):
        given = kind(url=(tmp_path / name).as_uri(), sha256=None, frames=frames, step=step)
        return clip_of(answer(given), record)

    return read


@pytest.mark.parametrize(
    ("place", "level"),
    [
        ((0, 0, 0, 0), 0),
        ((0, 0, 0, 1), 64),  # 64 + 0
        ((0, 0, 0, 2), 127),  # tri(128) = 255 - 128
        ((1, 0, 0, 0), 16),  # 11 + 5
        ((1, 0, 0, 2), 116 + 15),  # tri(139) = 116
        ((0, 100, 10, 0), 114 + 31),  # tri(70 + 300) = tri(114); 1000 div 32 = 31
        ((7, 223, 222, 1), 60 + 81),  # 1554 + 669 + 77 + 64 = 2364 = 9 x 256 + 60; 1547 + 70 = 1617 = 6 x 256 + 81
    ],
)
def test_the_synthetic_clip_is_as_its_formula_says(place, level):
    assert synthetic_levels(8, 224, 224)[place] == level


def test_the_synthetic_clip_is_another_one_turned_round_along_any_axis():
    clip = synthetic_levels(4, 32, 32).astype(int)
    for axis in range(4):
        assert np.abs(np.flip(clip, axis) - clip).mean() > 10


def test_a_clip_is_prepared_as_its_steps_say():
    record = registry.record("videomae_vit_b_16x4")
    clip = clip_of(answer(SyntheticClip(frames=2, height=3, width=4), (Divide(by=127),)), record)
    assert clip.shape == (1, 3, 2, 3, 4)
    assert clip[0, :, 0, 0, 0].tolist() == pytest.approx([0, 64 / 127, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_of_an_array_the_first_frames_are_taken_and_every_step_th(of_file, tmp_path, dtype):
    frames = np.arange(6 * 2 * 2 * 3).reshape(6, 2, 2, 3).astype(dtype)
    np.save(tmp_path / "clip.npy", frames)
    assert torch.equal(of_file(frames=3), torch.from_numpy(frames[:3].astype(np.float32)).permute(3, 0, 1, 2)[None])
    assert torch.equal(of_file(frames=2, step=4)[0, 0, :, 0, 0], torch.tensor([0.0, 48.0]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.zeros((2, 3, 4, 4), np.uint8), r"found uint8 of shape \(2, 3, 4, 4\)"),
        (np.zeros((2, 4, 4, 3), np.int64), "found int64"),
        (np.zeros((1, 4, 4, 3), np.uint8), "found 1 frames, expected at least 2"),
        (np.array([print], object), "cannot be read as an array"),
        (b"", "cannot be read as an array"),
        (b"<html>", "cannot be read as an array"),
    ],
    ids=["channels first", "whole numbers", "too few frames", "a pickle", "empty", "a page"],
)
def test_what_is_no_array_of_frames_is_refused(of_file, tmp_path, content, said):
    if isinstance(content, bytes):
        (tmp_path / "clip.npy").write_bytes(content)
    else:
        np.save(tmp_path / "clip.npy", content, allow_pickle=True)
    with pytest.raises(FormatError, match=said):
        of_file()


def test_an_archive_of_arrays_is_refused(of_file, tmp_path):
    with (tmp_path / "clip.npy").open("wb") as file:
        np.savez(file, clip=np.zeros((2, 4, 4, 3), np.uint8))
    with pytest.raises(FormatError, match="found several arrays"):
        of_file()


def test_of_a_video_the_first_frames_are_taken_and_every_step_th(of_file, tmp_path):
    small_video(tmp_path / "clip.mkv", count=12, codec="ffv1", pix_fmt="bgr0")
    clip = of_file(frames=3, step=4, kind=VideoClip, name="clip.mkv")
    expected = np.stack([moving(number, WIDTH, HEIGHT) for number in (0, 4, 8)]).transpose(3, 0, 1, 2)
    assert np.array_equal(clip[0].numpy(), expected)
