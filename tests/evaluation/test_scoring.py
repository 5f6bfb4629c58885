"""A data set through a model: every sample in its turn, the same bits however it is split, and no process left."""

import copy
import gc
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.data.sample_videos import FOUR_FRAMES, numbered, protocol
from tests.data.small_videos import small_video
from tests.evaluation.networks import DETECTION, FAMILIES, family_of, network, score_video
from videohub import architectures
from videohub.data import views as views_file
from videohub.data.samples import FrameList, KeyFrame, Sample, VideoFile
from videohub.data.spec import TestSpec
from videohub.data.views import read_views
from videohub.errors import UsageError, VideohubError
from videohub.evaluation.scoring import EvalModel, evaluate
from videohub.registry.schema import Clip

THREE_CROPS = protocol(crops=3)
WIDE = protocol(clips=2, crops=3, short_side=40, crop=40)
EIGHT_FRAMES = Clip(frames=8, sampling_rate=2)
KEY_FRAMES = protocol(clips=1, crops=1, crop=None, sampling="keyframe",
                      activation="sigmoid", metric="ava_map")  # fmt: skip


@pytest.fixture
def samples(videos):
    return [Sample(name, source, (0,)) for name, source in videos.items()]


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """Three videos of different lengths whose pictures are kept in planes."""
    folder = tmp_path_factory.mktemp("coded")
    return [small_video(folder / f"{count}.mp4", count=count) for count in (24, 40, 56)]


@pytest.fixture(scope="module")
def model():
    return network("slow")


def scored(model, samples, *, rule=THREE_CROPS, clip=FOUR_FRAMES, workers=0, **settings):
    return list(run_of(model, samples, rule=rule, clip=clip, workers=workers, **settings))


def run_of(model, samples, *, rule=THREE_CROPS, clip=FOUR_FRAMES, precision="fp32", **settings):
    return evaluate([EvalModel(model, TestSpec(rule, clip), precision)], samples, **settings)


def children():
    """Return the worker processes of this one that are alive."""
    result = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status, command = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:
            continue  # it has just ended
        state, parent = status.rpartition(")")[2].split()[:2]
        if int(parent) == os.getpid() and state != "Z" and b"videohub.worker_pool.worker" in command:
            result.append(folder.name)
    return result


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_is_scored_or_said_why_not_in_its_turn(model, samples, tmp_path, workers):
    missing = Sample("missing", VideoFile(tmp_path / "missing.mp4"), (1,))
    (tmp_path / "text.mp4").write_text("not a video")
    text = Sample("text", VideoFile(tmp_path / "text.mp4"), (1,))
    given = list(enumerate([missing, *samples[:3], text, *samples[3:5]], start=100))
    result = scored(model, given, workers=workers)
    assert [(each.index, each.sample) for each in result] == given
    for each in result:
        if each.sample in (missing, text):
            assert (each.scores, each.views) == (None, None)
            assert str(each.sample.source.path) in each.failure
        else:
            assert each.failure is None
            assert (each.scores.shape, each.scores.dtype) == ((6, 7), np.float32)
            views = read_views(each.sample.source.path, THREE_CROPS, FOUR_FRAMES)
            assert np.allclose(each.scores.sum(axis=0), score_video(model, views, THREE_CROPS), atol=1e-5)


def test_the_identity_of_views_is_a_digest_over_their_frames(model, samples):
    (result,) = scored(model, [(0, samples[0])])
    # 20 frames, 2 clips of 4 that span 8: starts 0 and 6, so frames 0, 2, 4, 7 and 6, 8, 10, 13
    expected = np.array([[0, 2, 4, 7], [6, 8, 10, 13]], "<i8")
    ticks = expected * 512  # a mov at 30 frames a second counts 15,360 ticks a second
    assert result.views == hashlib.sha256(ticks.tobytes() + expected.tobytes()).hexdigest()


def test_plain_sharded_and_resumed_runs_give_the_same_bits(model, samples):
    given = list(enumerate(samples))
    plain = scored(model, given, workers=2)
    first, second = scored(model, given[0::2], workers=1), scored(model, given[1::2])
    resumed = [*scored(model, given[:5]), *scored(model, given[5:], workers=2)]
    sharded = sorted([*first, *second], key=lambda each: each.index)
    for run in (sharded, resumed):
        assert [each.index for each in run] == list(range(12))
        for each, expected in zip(run, plain, strict=True):
            assert each.scores.tobytes() == expected.scores.tobytes()
            assert each.views == expected.views


def people(tmp_path):
    """Return two key frames, the first with one box and the second with three."""
    names = [f"{number}.png" for number in range(12)]
    for number, name in enumerate(names):
        Image.fromarray(numbered(20 * number, 60, 48)).save(tmp_path / name)
    frames = FrameList(tmp_path, "\n".join(names))
    boxes = ((0.0, 0.0, 1.0, 1.0), (0.2, 0.2, 0.8, 0.9), (0.5, 0.0, 1.0, 0.6))
    return [(centre, Sample(f"{centre}", KeyFrame(frames, centre, boxes[: centre % 3 + 1]), ())) for centre in (3, 5)]


def test_key_frames_give_one_row_a_box(tmp_path):
    given = people(tmp_path)
    detector = network("slow", **DETECTION, activation="sigmoid")
    result = scored(detector, given, rule=KEY_FRAMES, workers=1)
    assert [each.scores.shape for each in result] == [(1, 7), (3, 7)]
    alone = scored(detector, given[1:], rule=KEY_FRAMES)
    assert alone[0].scores.tobytes() == result[1].scores.tobytes()


def test_a_run_says_in_how_large_batches_it_computes(model, samples):
    run = run_of(model, enumerate(samples), workers=0)
    (batches,) = run.batches
    assert batches.sizes == {}
    next(run)
    assert batches.sizes == {(3, 4, 48, 48): 32}
    assert len(list(run_of(model, [], workers=2))) == 0


DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[
            pytest.mark.gpu,
            pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device"),
        ],
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("decoder", ["fast", "exact"])
def test_scores_are_the_same_on_every_device(coded, device, workers, decoder):
    model = network("slowfast")
    expected = [score_video(model, read_views(path, WIDE, EIGHT_FRAMES), WIDE).numpy() for path in coded]
    samples = enumerate([Sample(path.name, VideoFile(path), (0,)) for path in coded] * 3)
    result = scored(model.to(device), samples, rule=WIDE, clip=EIGHT_FRAMES, workers=workers, decoder=decoder)
    assert [each.index for each in result] == list(range(9))
    for each in result:
        assert np.allclose(each.scores.mean(axis=0), expected[each.index % 3] / len(each.scores), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("device", DEVICES)
def test_people_are_scored_the_same_on_every_device(tmp_path, device):
    detector, given = network("slow", **DETECTION, activation="sigmoid"), people(tmp_path)
    expected = scored(detector, given, rule=KEY_FRAMES)
    result = scored(copy.deepcopy(detector).to(device), given, rule=KEY_FRAMES, workers=1)
    assert [len(each.scores) for each in result] == [1, 3]
    for each, known in zip(result, expected, strict=True):
        assert np.allclose(each.scores, known.scores, atol=1e-5)


# --- what stops a run ------------------------------------------------------------------------------------------------


class Faulty(torch.nn.Module):
    """A network with a fault that shows at the third batch."""

    def __init__(self, fault):
        super().__init__()
        self.weight, self.fault, self.batches = torch.nn.Parameter(torch.ones(1)), fault, 0

    def forward(self, batch):
        self.batches += 1
        return self.fault(batch) if self.batches == 3 else torch.zeros(len(batch), 2)


def test_a_fault_of_the_network_is_ours_and_stops_the_run(samples):
    run = run_of(Faulty(lambda batch: batch.reshape(7, 7)), enumerate(samples), workers=2, batch=6)
    assert [next(run).index, next(run).index] == [0, 1]
    with pytest.raises(RuntimeError):
        next(run)
    assert children() == []


def test_a_video_whose_prepared_frames_find_no_memory_fails_alone(model, samples, monkeypatch):
    empty, asked = np.empty, []

    def short(shape, *given, **settings):
        asked.append(shape)
        if len(asked) == 2:
            raise MemoryError("Unable to allocate 52.5 GiB")
        return empty(shape, *given, **settings)

    monkeypatch.setattr(views_file, "np", SimpleNamespace(empty=short, float32=np.float32))
    result = scored(model, list(enumerate(samples[:3])))
    assert [one.scores is not None for one in result] == [True, False, True]
    assert "once resized, take 0.0 GiB; there is not enough memory for them" in result[1].failure


def test_probabilities_that_are_no_numbers_stop_the_run_and_name_the_sample(samples):
    faulty = Faulty(lambda batch: torch.full((len(batch), 2), torch.nan))
    with pytest.raises(VideohubError, match="video02: the network gives values that are not numbers"):
        scored(faulty, enumerate(samples), batch=6)


def test_a_model_is_scored_in_its_precision(samples):
    small = network("image")
    run = run_of(small, enumerate(samples[:3]), clip=Clip(frames=1, sampling_rate=1), workers=0, precision="bf16")
    exact = scored(small, enumerate(samples[:3]), clip=Clip(frames=1, sampling_rate=1))
    for each, expected in zip(run, exact, strict=True):
        assert 0 < np.abs(each.scores - expected.scores).max() < 0.02


def test_a_negative_number_of_workers_is_refused(model):
    with pytest.raises(UsageError, match="workers: found -1"):
        run_of(model, [], workers=-1)


# --- what is left ----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are read from /proc")
@pytest.mark.parametrize(
    "leave", [lambda run: run.close(), lambda run: None, list], ids=["closed", "forgotten", "done"]
)
def test_a_run_that_is_left_ends_its_processes(model, samples, leave):
    run = run_of(model, enumerate(samples), workers=2)
    next(run)
    assert len(children()) == 2
    leave(run)
    del run
    gc.collect()
    assert children() == []


def test_the_small_networks_cover_every_family():
    variants = {"slow", "i3d", "c2d", "image"}
    assert {*map(family_of, FAMILIES)} == architectures.families().keys() - {"resnet"} | variants
