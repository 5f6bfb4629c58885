"""Batches across videos: on a CPU a view's bits depend on nothing but the view; memory that runs out costs nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.data.sample_videos import protocol
from tests.evaluation.networks import DETECTION, FAMILIES, SIDES, network, video
from videohub.errors import DeviceError, UsageError
from videohub.evaluation.batches import Batches, at_once, fitting

CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2], ids=["one thread", "two threads"])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def scores(model, videos, *, size=None, activation="softmax"):
    batches = Batches(model, protocol(activation=activation), "fp32", size=size)
    return dict(batches.scored(videos.items()))


def same_bits(found, expected):
    return found.keys() == expected.keys() and all(np.array_equal(found[name], expected[name]) for name in found)


# --- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("family", "size"), [*((family, 4) for family in FAMILIES), ("image", None)])
def test_a_video_s_bits_do_not_depend_on_who_shares_its_batches(family, size, threads):
    """Batches of 4 end within videos of 6, 3 and 2 views; alone, in any order and after a part they are the same."""
    model, frames, side = network(family), FAMILIES[family]["frames"], SIDES.get(family, 48)
    videos = {f"{clips} x {crops}": video(f"{clips}{crops}", frames=frames, clips=clips, crops=crops, side=side)
              for clips, crops in [(2, 3), (1, 3), (1, 1), (1, 2)]}  # fmt: skip
    alone = {name: scores(model, {name: views}, size=size)[name] for name, views in videos.items()}
    assert {name: result.shape for name, result in alone.items()} == {name: (len(videos[name]), 7) for name in videos}
    assert all(result.std() > 0 for result in alone.values())
    names = list(videos)
    for order in (names, names[::-1], names[1:]):
        together = scores(model, {name: videos[name] for name in order}, size=size)
        assert list(together) == order
        assert same_bits(together, {name: alone[name] for name in order})


def test_whole_frames_with_boxes_go_one_by_one_on_a_cpu_and_keep_their_bits(threads):
    """Were they put together, the classifier's kernel would see another number of boxes."""
    model = network("slow", **DETECTION, activation="sigmoid")
    boxes = torch.tensor([[4.0, 6, 40, 45], [0, 0, 67, 47], [30, 10, 60, 40]])
    videos = {f"{count} in {width}": video(f"{count}{width}", frames=4, clips=1, width=width, boxes=boxes[:count])
              for count, width in [(3, 68), (1, 68), (2, 80), (0, 80), (3, 64)]}  # fmt: skip
    together = scores(model, videos, activation="sigmoid")
    assert [result.shape for result in together.values()] == [(3, 7), (1, 7), (2, 7), (0, 7), (3, 7)]
    alone = {name: scores(model, {name: views}, activation="sigmoid")[name] for name, views in videos.items()}
    assert same_bits(together, alone)
    for name, views in videos.items():
        expected = model(views.stack(), torch.nn.functional.pad(views.boxes, (1, 0))).sigmoid().detach().numpy()
        assert np.allclose(together[name], expected, atol=1e-6)


def test_boxes_of_a_batch_belong_to_their_own_views():
    model = network("slow", **DETECTION, activation="sigmoid")
    boxes = torch.tensor([[4.0, 6, 40, 45], [30, 10, 60, 40], [0, 0, 67, 47]])
    videos = {f"{count}": video(f"box {count}", frames=4, clips=1, boxes=boxes[:count]) for count in (2, 3, 1)}
    alone = scores(model, videos, activation="sigmoid")
    together = scores(model, videos, size=3, activation="sigmoid")
    assert all(np.allclose(together[name], alone[name], atol=1e-6) for name in videos)
    assert not np.allclose(alone["3"][0], alone["2"][0], atol=1e-3)


def test_scores_are_the_network_s_probabilities():
    model, views = network("slow"), video("plain", frames=4)
    expected = model(views.stack()).softmax(dim=1).detach().numpy()
    assert np.allclose(scores(model, {"": views})[""], expected, atol=1e-6)


# --- how many go together --------------------------------------------------------------------------------------------


# What torch says where a GPU's memory does not suffice: its allocator, cuBLAS, and cuDNN.
LACKS = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore of it"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
)


class Counting(torch.nn.Module):
    """The mean of a view in the first of two classes; it notes the size of each batch and has room for `room` views."""

    def __init__(self, room=1000, lack=LACKS[0]):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.room, self.lack, self.batches = room, lack, []

    def forward(self, batch):
        self.batches.append(len(batch))
        if len(batch) > self.room:
            raise self.lack
        return torch.stack([batch.mean(dim=(1, 2, 3, 4)) * self.weight, torch.zeros(len(batch))], dim=1)


def test_on_a_cpu_the_shape_alone_says_how_many_views_go_together():
    assert at_once((3, 32, 256, 256), CPU) == 1  # 6,291,456 values are more than 2^21
    assert at_once((3, 8, 256, 256), CPU) == 1  # 2^21 / 1,572,864 = 1.3
    assert at_once((3, 4, 256, 256), CPU) == 2  # 2^21 / 786,432 = 2.7
    assert at_once((3, 1, 224, 224), CPU) == 13  # 2^21 / 150,528 = 13.9
    assert at_once((3, 4, 64, 64), CPU) == 32  # 42 would fit; 32 is enough


def test_a_new_shape_begins_a_new_batch_and_the_last_one_of_a_shape_is_filled_up():
    model = Counting()
    videos = {
        "a": video("a", frames=2),
        "b": video("b", frames=2),
        "wide": video("w", frames=2, side=56, width=80),
        "c": None,
    }
    batches = Batches(model, protocol(), "fp32", size=4)
    result = dict(batches.scored(videos.items()))
    assert model.batches == [4, 4, 4, 4, 4]  # 12 views of one shape, then 6 of another
    assert {name: None if each is None else each.shape for name, each in result.items()} == {
        "a": (6, 2), "b": (6, 2), "wide": (6, 2), "c": None}  # fmt: skip
    assert batches.sizes == {(3, 2, 48, 48): 4, (3, 2, 56, 56): 4}


def test_a_video_is_handed_out_as_soon_as_its_views_are_known():
    taken = []

    def videos():
        for name in "abc":
            taken.append(name)
            yield name, video(name, frames=2)  # 6 views

    result = Batches(Counting(), protocol(), "fp32", size=3).scored(videos())
    for name in "abc":
        assert next(result)[0] == name
        assert taken[-1] == name


@pytest.mark.parametrize("lack", LACKS, ids=["torch", "CUDA", "cuBLAS", "cuBLAS at its start", "cuDNN"])
def test_memory_that_runs_out_halves_the_batch_and_loses_nothing(lack):
    model = Counting(room=3, lack=lack)
    videos = {name: video(name, frames=2, clips=clips) for name, clips in [("a", 3), ("b", 1), ("c", 2)]}
    batches = Batches(model, protocol(), "fp32", size=8)
    result = dict(batches.scored(videos.items()))
    assert model.batches == [8, 4] + [2] * 9  # 9 + 3 + 6 views
    assert batches.sizes == {(3, 2, 48, 48): 2}
    assert same_bits(result, scores(Counting(), videos, size=2))


def test_what_is_no_lack_of_memory_is_not_tried_again():
    model = Counting(room=3, lack=RuntimeError("no such kernel"))
    with pytest.raises(RuntimeError, match="no such kernel"):
        scores(model, {"a": video("a", frames=2)}, size=4)
    assert model.batches == [4]


@pytest.mark.parametrize("lack", LACKS, ids=["torch", "CUDA", "cuBLAS", "cuBLAS at its start", "cuDNN"])
def test_the_views_of_one_video_halve_likewise(lack):
    model, views = Counting(room=3, lack=lack), video("a", frames=2, clips=4)
    done = []
    batches = Batches(model, protocol(), "fp32", size=12, progress=done.append)
    result = dict(batches.scored([("a", views)]))
    assert model.batches == [12, 6] + [3] * 4
    assert done == [3] * 4
    assert same_bits(result, scores(Counting(), {"a": views}, size=12))
    with pytest.raises(DeviceError, match="one view of 3 x 2 x 48 x 48 values does not fit"):
        scores(Counting(room=0, lack=lack), {"a": views}, size=12)


def test_a_type_that_torch_lacks_says_what_to_do():
    model = Counting(room=0, lack=RuntimeError("\"slow_conv3d_cpu\" not implemented for 'Half'"))
    with pytest.raises(DeviceError, match=r"does not compute this network in float16 here .*call model\.float\(\)"):
        scores(model.half(), {"a": video("a", frames=2)})


def test_too_many_views_for_a_cpu_are_told_and_not_made_fewer():
    with pytest.raises(DeviceError, match="cpu: 100000000000 views at once do not fit into the memory; take fewer"):
        scores(Counting(), {"a": video("a", frames=2)}, size=100_000_000_000)


def test_a_view_that_does_not_fit_alone_ends_the_run():
    model = Counting(room=0)
    text = r"one view of 3 x 2 x 48 x 48 values does not fit .*Tried to allocate 2.00 GiB\); end what else"
    with pytest.raises(DeviceError, match=text):
        scores(model, {"a": video("a", frames=2)}, size=4)
    assert model.batches == [4, 2, 1]


def test_a_gpu_takes_as_many_views_as_a_trial_of_two_says():
    gigabyte = 10**9
    assert fitting(free=10 * gigabyte, for_trial=2 * gigabyte) == 8  # 80 % of 10 GB, 1 GB a view
    assert fitting(free=140 * gigabyte, for_trial=1 * gigabyte) == 64  # 224 would fit; 64 are enough
    assert fitting(free=1 * gigabyte, for_trial=2 * gigabyte) == 1  # 0.8 of a view: let it try
    assert fitting(free=1 * gigabyte, for_trial=0) == 64


def test_a_trial_on_a_gpu_says_how_many_views_go_together(monkeypatch):
    batches = Batches(Counting(), protocol(), "fp32", size=4)
    shape, view = (3, 2, 56, 56), 4 * 3 * 2 * 56 * 56  # in bytes
    batches._to_measure.add(shape)
    batches.sizes[shape] = 2
    messages = {
        "reset_peak_memory_stats": None,
        "memory_allocated": 5 * view,  # by the model
        "max_memory_allocated": 7 * view,
        "memory_reserved": 8 * view,
        "mem_get_info": (17 * view, 100 * view),
    }
    for name, value in messages.items():
        monkeypatch.setattr(torch.cuda, name, lambda _, value=value: value)
    list(batches.scored([("wide", video("w", frames=2, side=56, width=80))]))
    assert batches.sizes[shape] == 16  # 80 % of 17 + 3 views, where a trial of 2 took the room of 2


def test_a_batch_without_views_is_refused():
    with pytest.raises(UsageError, match="batch: found 0, expected at least 1 view"):
        Batches(Counting(), protocol(), "fp32", size=0)


# --- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
@pytest.mark.parametrize("family", FAMILIES)
def test_on_a_gpu_many_views_go_together_and_score_as_on_the_cpu(family):
    model, frames = network(family), FAMILIES[family]["frames"]
    videos = {name: video(name, frames=frames, clips=4, side=SIDES.get(family, 48)) for name in ("one", "two", "three")}
    expected = scores(model, videos)
    batches = Batches(model.cuda(), protocol(), "fp32")
    there = {
        name: replace(views, frames=views.frames.cuda(), positions=views.positions.cuda())
        for name, views in videos.items()
    }
    result = dict(batches.scored(there.items()))
    assert batches.sizes == {(3, frames, 48, 48): 64}
    assert all(np.allclose(result[name], expected[name], atol=1e-5) for name in videos)
