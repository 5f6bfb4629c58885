"""Lists and class folders as clips to train on: targets, broken videos, and the same draws however they are loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from torch.utils.data import DataLoader

import videohub
from tests.data.sample_videos import with_pixels
from tests.data.small_videos import small_video
from tests.own_registry import like, write_registry
from tests.verification import datasets
from videohub.errors import DataError, UsageError, VideoError
from videohub.registry.schema import Clip, Record

NAME = "slowfast_motions"
VIDEOS = 5


def small(name: str) -> Record:
    """One of our records with small clips."""
    record = like(name, clip=Clip(frames=4, sampling_rate=2))
    return msgspec.structs.replace(record, protocol=with_pixels(record.protocol, short_side=40, crop=32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Videos of two seconds and more, their lists for training and testing, and one of them that is broken."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(VIDEOS):
        small_video(folder / f"v{number}.mp4", count=60 + number)
    whole = (folder / "v0.mp4").read_bytes()
    (folder / "broken.mp4").write_bytes(whole[: len(whole) // 2])
    lines = [f"v{number}.mp4 {number}\n" for number in range(VIDEOS)]
    (folder / "train.csv").write_text("".join(lines))
    (folder / "test.csv").write_text("".join(lines[3:]))
    (folder / "some_broken.csv").write_text("".join([*lines[:2], "broken.mp4 7\n", *lines[2:], "gone.mp4 8\n"]))
    return folder


def dataset(data: Path, name: str | Record = NAME, *, split: str = "train", train: bool = True, **more):
    return videohub.ClipDataset(data, name, split=split, train=train, **more)


@pytest.mark.parametrize("split", ["training", "trian", "Train", "eval"])
@pytest.mark.parametrize("kind", ["lists", "folders"])
def test_a_split_that_is_not_there_is_not_that_of_the_test(folder, tmp_path, kind, split):
    for part in ("train", "val"):
        if kind == "lists":
            (tmp_path / f"{part}.csv").write_text(f"{folder / 'v0.mp4'} 0\n")
        else:
            (tmp_path / part / "Waving").mkdir(parents=True)
            shutil.copy(folder / "v0.mp4", tmp_path / part / "Waving")
    labels = ["Waving", *(f"other {number}" for number in range(9))]
    assert len(dataset(tmp_path, split="train", labels=labels)) == 1
    with pytest.raises(UsageError, match=f"neither a list \\({split}.csv"):
        dataset(tmp_path, split=split, labels=labels)


def everything(loader: DataLoader) -> tuple[torch.Tensor, list[int]]:
    """All clips and targets of an epoch."""
    batches = list(loader)
    return torch.cat([clips for clips, _ in batches]), [int(target) for _, targets in batches for target in targets]


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_a_list_gives_a_clip_and_the_number_of_its_class(folder):
    clips = dataset(folder)
    assert len(clips) == VIDEOS
    clip, target = clips[3]
    assert (clip.shape, clip.dtype, target, type(target)) == ((3, 16, 32, 32), torch.float32, 3, int)
    assert clips[-1][1] == VIDEOS - 1
    with pytest.raises(IndexError, match="video 5 of 5"):
        clips[VIDEOS]


def test_the_middle_clip_is_seen_through_the_centre_view_and_is_always_the_same(folder):
    """16 frames 2 apart, at 30 a second as the video is: linspace(0, 31, 16) from (60 - 32) / 2 = 14 on."""
    import av
    import numpy as np

    clips = dataset(folder, train=False)
    with av.open(str(folder / "v0.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    middle = torch.from_numpy(np.stack([frames[14 + int(31 * number / 15)] for number in range(16)]))
    assert torch.equal(clips[0][0], videohub.transforms(NAME)(middle))
    assert torch.equal(clips[0][0], clips[0][0])


def test_training_draws_another_clip_each_time(folder):
    clips = dataset(folder, transform=lambda frames: frames)
    result = [clips[0][0] for _ in range(12)]
    assert len({clip.numpy().tobytes() for clip in result}) > 6  # of 29 places
    assert all(clip.shape == (16, 64, 96, 3) and clip.dtype == torch.uint8 for clip in result)


def test_class_folders_are_read_by_names_of_one_s_own(folder, tmp_path):
    for split, videos in (("train", [0, 1, 2]), ("val", [3, 4])):
        for number in videos:
            place = tmp_path / split / ("Waving" if number % 2 else "Jumping high")
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / f"v{number}.mp4", place)
    names = ["waving", "jumping_high"]
    train, val = (dataset(tmp_path, split=split, train=split == "train", labels=names) for split in ("train", "val"))
    assert [(each.name, each.truth) for each in train.samples] == [
        ("Jumping high/v0.mp4", (1,)), ("Jumping high/v2.mp4", (1,)), ("Waving/v1.mp4", (0,))
    ]  # fmt: skip
    assert [each.truth for each in val.samples] == [(1,), (0,)]
    assert train.classes == ["waving", "jumping_high"]
    assert (train.targets, val.targets) == ([1, 1, 0], [1, 0])
    assert train.record.num_classes == 2
    assert dataset(tmp_path, videohub.build(NAME, num_classes=2, labels=names).record)[0][1] == 1


@pytest.mark.parametrize("what", ["a list", "class folders"])
def test_nothing_that_is_there_to_be_tested_is_trained_on(what, folder, tmp_path):
    if what == "a list":
        shutil.copy(folder / "test.csv", tmp_path / "val.csv")
    else:
        (tmp_path / "val" / "growing").mkdir(parents=True)
        shutil.copy(folder / "v0.mp4", tmp_path / "val" / "growing")
    with pytest.raises(UsageError, match=r"neither a list \(train\.csv, here"):
        dataset(tmp_path)


def test_a_registry_of_one_s_own_brings_its_data_set_s_word_on_directions(folder, tmp_path, monkeypatch):
    record = like(NAME, name="mine", upstream_name="MINE", aliases=(), labels=("a", "b", "c", "d", "e", *"fghij"))
    write_registry(tmp_path / "mine.yaml", record)
    monkeypatch.setenv("VIDEOHUB_REGISTRY", str(tmp_path / "mine.yaml"))
    clips = dataset(folder, "MINE")
    assert (clips[2][1], clips.classes[2]) == (2, "c")
    assert not clips.transform.flip


def test_a_folder_of_a_name_that_two_classes_have_is_refused(folder, tmp_path):
    (tmp_path / "train" / "Waving").mkdir(parents=True)
    shutil.copy(folder / "v0.mp4", tmp_path / "train" / "Waving")
    with pytest.raises(DataError, match="Waving is what classes 0, 2 are called, expected one class alone"):
        dataset(tmp_path, labels=["waving", "jumping", "Waving!"])


def test_labels_beyond_the_classes_are_refused(folder):
    with pytest.raises(DataError, match="label 2 is out of range; 2 classes"):
        dataset(folder, labels=["a", "b"])


def test_several_right_classes_are_a_vector_of_ones_and_zeros(tmp_path):
    """Video n of the list has the label n, even ones 5, too."""
    data, more = datasets.charades(tmp_path)
    clips = dataset(data, small("slowfast_r50_16x8_charades"), split="val", **more)
    clip, target = clips[2]
    assert clip.shape == (3, 4, 32, 32)
    assert (target.dtype, target.shape) == (torch.float32, (157,))
    assert target.nonzero().flatten().tolist() == [2, 5]
    assert clips[1][1].nonzero().flatten().tolist() == [1]
    assert torch.stack(clips.targets)[:4].nonzero().tolist() == [[0, 0], [0, 5], [1, 1], [2, 2], [2, 5], [3, 3]]
    assert next(iter(DataLoader(clips, batch_size=4)))[1].shape == (4, 157)


@pytest.mark.parametrize("name", ["tiny_ssv2", "tiny_imagenet"])
def test_lists_of_frames_and_images_are_read_too(name, tmp_path):
    data, more = datasets.WRITE[name](tmp_path)
    record = small("slowfast_r50_16x8_ssv2") if name == "tiny_ssv2" else small("resnet_r50_in1k")
    if name == "tiny_imagenet":
        record = msgspec.structs.replace(record, clip=Clip(frames=1, sampling_rate=1))
    clip, target = dataset(data, record, split="val", **more)[1]
    assert (clip.shape[1:], target) == ((record.clip.frames, 32, 32), 1 if name == "tiny_ssv2" else 100)


def test_boxes_are_refused(tmp_path):
    with pytest.raises(UsageError, match="key frames with boxes"):
        dataset(tmp_path, "slowfast_r101_8x8_ava22")


# --- broken videos ---------------------------------------------------------------------------------------------------


def test_a_broken_video_is_an_error_with_its_name(folder):
    clips = dataset(folder / "some_broken.csv")
    for place, name in ((2, "broken.mp4"), (6, "gone.mp4")):
        with pytest.raises(VideoError, match=rf"^{name}: "):
            clips[place]


def test_another_video_is_drawn_in_its_place_and_that_is_told_once(folder, caplog):
    clips = dataset(folder / "some_broken.csv", skip_broken=True)
    targets = [clips[2][1] for _ in range(20)]
    assert set(targets) <= set(range(VIDEOS))
    assert len(set(targets)) > 1
    assert "broken.mp4" in clips.broken
    assert sum("left out: broken.mp4" in record.getMessage() for record in caplog.records) == 1


def test_a_test_never_takes_another_video(folder):
    with pytest.raises(UsageError, match="skip_broken: found it with train=False"):
        dataset(folder, train=False, skip_broken=True)


def test_a_list_of_broken_videos_alone_comes_to_an_end(folder, tmp_path):
    (tmp_path / "train.csv").write_text("a.mp4 0\nb.mp4 1\n")
    with pytest.raises(VideoError, match="100 videos in a row cannot be read"):
        dataset(tmp_path, skip_broken=True)[0]


# --- the same draws --------------------------------------------------------------------------------------------------


def test_clips_of_an_epoch_follow_from_seed_epoch_and_video_alone(folder):
    one, two, other = dataset(folder), dataset(folder), dataset(folder, seed=1)
    for each in (one, two, other):
        each.set_epoch(3)
    torch.manual_seed(0)
    first = [one[place][0] for place in range(VIDEOS)]
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert all(torch.equal(two[place][0], first[place]) for place in reversed(range(VIDEOS)))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(other[0][0], first[0])
    two.set_epoch(4)
    assert not torch.equal(two[0][0], first[0])
    with pytest.raises(UsageError, match="epoch: found -1"):
        one.set_epoch(-1)
    with pytest.raises(UsageError, match=r"epoch: found 1\.5, expected a whole number"):
        one.set_epoch(1.5)
    with pytest.raises(UsageError, match="seed: found nan, expected a whole number"):
        dataset(folder, seed=float("nan"))
    with pytest.raises(UsageError, match="split: found None, expected a text"):
        dataset(folder, split=None)
    with pytest.raises(UsageError, match="data: found a list, expected the path"):
        dataset([folder])


def test_without_an_epoch_they_follow_torch_s_own_seed(folder):
    clips = dataset(folder)
    result = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        result.append(clips[0][0])
    assert torch.equal(result[0], result[1])
    assert not torch.equal(result[0], result[2])


def test_worker_processes_draw_what_this_one_draws_and_tell_what_is_broken(folder):
    clips = dataset(folder / "some_broken.csv", skip_broken=True)
    clips.set_epoch(0)
    expected, targets = everything(DataLoader(clips, batch_size=2))
    again = dataset(folder / "some_broken.csv", skip_broken=True)
    loader = DataLoader(again, batch_size=2, num_workers=2, multiprocessing_context="fork", persistent_workers=True,
                        generator=torch.Generator())  # fmt: skip
    again.set_epoch(0)
    result, found_targets = everything(loader)
    assert torch.equal(result, expected)
    assert found_targets == targets
    assert again.broken == clips.broken == ["broken.mp4", "gone.mp4"]
    again.set_epoch(1)  # reaches processes that are there already
    assert not torch.equal(everything(loader)[0], expected)
    again.set_epoch(0)
    assert torch.equal(everything(loader)[0], expected)


def test_a_worker_s_error_names_the_video(folder):
    loader = DataLoader(dataset(folder / "some_broken.csv"), num_workers=1, multiprocessing_context="fork")
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        list(loader)


@pytest.mark.slow
@pytest.mark.parametrize("pin", [False, pytest.param(True, marks=pytest.mark.gpu)])
def test_spawned_processes_do_the_same(folder, pin):
    if pin and not torch.cuda.is_available():
        pytest.skip("this machine has no usable CUDA device")
    clips = dataset(folder)
    clips.set_epoch(2)
    expected, _ = everything(DataLoader(clips, batch_size=2))
    loader = DataLoader(clips, batch_size=2, num_workers=1, multiprocessing_context="spawn", pin_memory=pin)
    assert torch.equal(everything(loader)[0], expected)


@pytest.mark.slow
def test_workers_without_an_epoch_differ_and_repeat_with_torch_s_seed(folder):
    clips = dataset(folder)
    loader = DataLoader(clips, batch_size=1, num_workers=2, multiprocessing_context="fork")
    result = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        result += [everything(loader)[0], everything(loader)[0]]  # two epochs
    assert torch.equal(result[0], result[2])
    assert torch.equal(result[1], result[3])
    assert not torch.equal(result[0], result[1])
    assert not torch.equal(result[0], result[4])
