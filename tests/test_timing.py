"""How fast a network is: what is counted, what is timed, and what is divided by what."""

import json
from types import SimpleNamespace

import msgspec
import pytest
import torch
from torch import nn
from tqdm import tqdm

import videohub
from tests.data.sample_videos import with_pixels
from tests.test_architecture import PARAMETERS
from videohub import registry, timing
from videohub.errors import DeviceError, UnknownNameError, UsageError

# 10^9 multiply-adds of a view of 256 x 256: arXiv:1812.03982, tables 2 and 3; of ResNet-50 at 224 x 224: torchvision.
PUBLISHED = {
    "slow_r50_4x16": 27.3,
    "slow_r50_8x8": 54.5,
    "slowfast_r50_4x16": 36.1,
    "slowfast_r50_8x8": 65.7,
    "slowfast_r101_16x8": 213,
    "slowfast_r101_16x8_k600_nl_ava22_pretrain": 234,
    "resnet_r50_in1k": 4.09,
}


SIDE = 256  # of the matrices


@pytest.fixture(autouse=True)
def small_matrices(monkeypatch):
    monkeypatch.setitem(timing._SIDE, "cpu", SIDE)


@pytest.mark.parametrize("name", PUBLISHED)
def test_multiply_adds_are_those_that_were_published(name):
    record = registry.record(name)
    view = (3, record.clip.frames, record.protocol.crop_size, record.protocol.crop_size)
    assert timing.multiply_adds(record, view) / 1e9 == pytest.approx(PUBLISHED[name], rel=0.004)


def small(name="slowfast_motions", **changes):
    """A record whose views are small."""
    record = registry.record(name)
    return msgspec.structs.replace(record, protocol=with_pixels(record.protocol, **changes))


def test_what_is_told_belongs_together():
    result = videohub.speed("slowfast_motions", seconds=0.1)
    record = registry.record("slowfast_motions")
    assert (result.record, result.device, result.precision) == ("slowfast_motions", "cpu", "fp32")
    assert result.threads == torch.get_num_threads()
    assert result.view == (3, record.clip.frames, 32, 32)
    assert result.multiply_adds == timing.multiply_adds(record, result.view)
    assert result.turns >= 3
    assert result.seconds.least <= result.seconds.median <= result.seconds.most
    assert result.views_per_second.most == pytest.approx(1 / result.seconds.least)
    assert (result.sample, result.views_per_sample) == ("video", 9)
    assert result.seconds_per_sample == pytest.approx(9 * result.seconds.median)
    fastest = result.multiply_adds / result.seconds.least / 1e9
    share = result.share_of_product.most
    assert fastest / result.product.most <= share * (1 + 1e-12)  # equal, but for rounding, if that turn was both's best
    assert share <= fastest / result.product.least * (1 + 1e-12)
    assert result.memory is None
    assert result.boxes == 0


def test_parameters_are_those_of_the_network_as_published():
    result = videohub.speed(small("resnet_r50_in1k", crop=32), seconds=0.01)
    assert result.parameters == PARAMETERS["resnet_r50_in1k"]  # its inference form has fewer


class Watching(nn.Module):
    """Keep the shapes that a model is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, clip, boxes=None):
        self.seen.append((tuple(clip.shape), None if boxes is None else boxes.tolist()))
        return torch.zeros(len(clip), 10)


@pytest.fixture
def watching(monkeypatch):
    model = Watching()
    monkeypatch.setattr(timing, "optimize", lambda _: model)
    return model


def test_the_network_gets_as_many_views_as_were_asked_for(watching):
    result = videohub.speed("slowfast_motions", batch=3, seconds=0.01)
    assert result.batch == 3
    assert {shape for shape, _ in watching.seen} == {(3, *result.view)}


def test_without_a_number_it_gets_as_many_as_an_evaluation_takes(watching):
    result = videohub.speed("slowfast_motions", seconds=0.01)
    assert result.batch == 32  # 2**21 values would be 42 of these views; a CPU takes 32 at most
    assert {shape for shape, _ in watching.seen} == {
        (result.batch, *result.view)
    }  # a first, lone view is made up to it


def test_a_detector_sees_a_whole_frame_and_a_box_in_the_middle_of_it(watching):
    result = videohub.speed(small("slow_r50_4x16_ava22", short_side=48), seconds=0.01)
    assert result.view == (3, 4, 48, 64)
    assert (result.boxes, result.batch, result.sample) == (1, 1, "key frame")
    assert watching.seen[0] == ((1, 3, 4, 48, 64), [[0, 16, 12, 48, 36]])
    assert result.multiply_adds == timing.multiply_adds(registry.record("slow_r50_4x16_ava22"), (3, 4, 48, 64)) > 1e9


def test_seconds_are_those_of_one_view(monkeypatch):
    score, multiply = SimpleNamespace(took=0.6, times=[]), SimpleNamespace(took=0.05, times=[])

    class Clock:
        def __init__(self, action, device):
            self.of = score if not made else multiply
            made.append(self)

        def __call__(self, times=1):
            self.of.times.append(times)
            return self.of.took

    made = []
    monkeypatch.setattr(timing, "_Timed", Clock)
    result = videohub.speed("slowfast_motions", batch=3, seconds=1e-9)
    spread = msgspec.structs.astuple(result.seconds)
    assert spread == pytest.approx((0.2, 0.2, 0.2))  # 0.6 s for 3 views
    assert result.views_per_second.median == pytest.approx(5)
    assert result.product.median == pytest.approx(SIDE**3 / 0.05 / 1e9)
    assert result.share_of_product.median == pytest.approx(result.multiply_adds / 0.2 / (SIDE**3 / 0.05))
    assert score.times == [1, 1, 1, 1]  # a first one, and three turns
    assert multiply.times == [1, 1, 4, 4, 4]  # each turn takes 0.2 s


def test_a_first_product_does_not_say_how_many_make_a_turn():
    given = iter([9.0, *[0.01] * 9])  # the first is slow
    asked = []

    def multiply(times=1):
        asked.append(times)
        return next(given)

    with tqdm(disable=True) as bar:
        timing._in_turns(lambda times=1: 0.05, multiply, 1e-9, bar)
    assert asked == [1, 1, 20, 20, 20]


def test_the_batch_is_the_one_that_an_evaluation_comes_to():
    class Shrinking:
        """Come from 8 views to 3 in the first batch that is full, as where a GPU's memory runs out."""

        def __init__(self):
            self.sizes, self.seen = {}, []

        def scored(self, given):
            ((_, views),) = given
            self.seen.append(len(views))
            self.sizes[views.shape[1:]] = 8 if len(views) == 1 else 3
            yield None

    batches = Shrinking()
    views = timing._views_of_a_batch(batches, registry.record("slowfast_motions"), torch.device("cpu"))
    assert (len(views), batches.seen) == (3, [1, 8, 3])


@pytest.mark.parametrize(("bf16", "dtype"), [(2.0, torch.float32), (0.5, torch.bfloat16)])
def test_the_yardstick_is_a_product_that_the_cpu_does_not_imitate(monkeypatch, bf16, dtype):
    """Three tries of `torch.mm` and of oneDNN: in bf16, in float32, and of the product that is taken."""
    took = iter([bf16] * 6 + [1.0] * 6 + [0.1] * 3 + [0.2] * 3)
    monkeypatch.setattr(timing, "_seconds", lambda action: next(took))
    seen = []
    monkeypatch.setattr(torch, "mm", lambda a, b, out: seen.append(a.dtype))
    timing._product("bf16", torch.device("cpu"))(2)
    assert seen == [dtype] * 2


@pytest.mark.parametrize(("mm", "onednn", "way"), [(0.1, 0.2, "torch.mm"), (0.2, 0.1, "oneDNN")])
def test_the_yardstick_is_the_quicker_of_two_ways_to_multiply(monkeypatch, mm, onednn, way):
    took = iter([mm] * 3 + [onednn] * 3)
    monkeypatch.setattr(timing, "_seconds", lambda action: next(took))
    product = timing.MatrixProduct(8)
    assert (product.way, product.seconds, product.multiply_adds) == (way, 0.1, 512)


def test_both_ways_multiply_two_matrices(monkeypatch):
    matrix, results = torch.randn(7, 7), []
    monkeypatch.setattr(torch, "randn", lambda *size, **of: matrix)
    monkeypatch.setattr(timing, "_seconds", lambda action: results.append(action()) or 1.0)
    timing.MatrixProduct(7)
    assert torch.allclose(results[0], matrix @ matrix, atol=1e-5)
    assert torch.allclose(results[3][0, :, :, 0], matrix @ matrix.t(), atol=1e-5)  # pixels are rows there


def test_nothing_is_fetched_or_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOHUB_HOME", str(tmp_path / "cache"))
    videohub.speed("slowfast_motions", seconds=0.01)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"seconds": 0}, UsageError, "seconds: found 0, expected a number above 0"),
        ({"seconds": float("inf")}, UsageError, "seconds: found inf"),
        ({"batch": 0}, UsageError, "batch: found 0"),
        ({"precision": "int8"}, UsageError, "precision: found 'int8'"),
        ({"precision": "fp16"}, DeviceError, "CPUs do not compute networks in fp16"),
        ({"device": "abacus"}, UsageError, "device: found 'abacus'"),
    ],
)
def test_what_cannot_be_is_refused(settings, error, told):
    with pytest.raises(error, match=told):
        videohub.speed("slowfast_motions", **settings)


def test_an_unknown_name_is_told():
    with pytest.raises(UnknownNameError, match="slowfast_r50_8x8"):
        videohub.speed("slowfast_r50_8x88")


def test_the_command_prints_a_table_or_json(run):
    code, out, _ = run("benchmark", "slowfast_motions", "--seconds", 0.01)
    assert code == 0
    assert out.splitlines()[0].startswith("slowfast_motions: cpu, ")
    assert "multiply-adds a view, as published tables count" in out
    assert "% of the speed of a matrix product" in " ".join(out.split())
    code, out, _ = run("benchmark", "slowfast_motions", "--seconds", 0.01, "--batch", 2, "--json")
    assert code == 0
    assert json.loads(out)["batch"] == 2
    assert run("benchmark", "slowfast_motions", "--seconds", 0)[0] == 2


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
def test_a_gpu_is_timed_in_half_precision():
    result = videohub.speed(small("slow_r50_4x16", crop=64), device="cuda", seconds=0.5)
    assert (result.precision, result.threads) == ("fp16", None)
    assert result.device == torch.cuda.get_device_name()
    assert result.batch == 64
    assert result.memory > 0
    assert 0 < result.share_of_product.median < 1
