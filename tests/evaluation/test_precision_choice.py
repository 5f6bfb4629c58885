"""A reduced precision is tried beside float32 first, and stops the run where it disagrees."""

import numpy as np
import pytest
import torch

from tests.data.sample_videos import FOUR_FRAMES, protocol
from tests.evaluation.networks import network, video
from videohub.data.samples import Sample, VideoFile
from videohub.data.spec import TestSpec
from videohub.devices import arithmetic, supported
from videohub.errors import DataError, DeviceError, UsageError
from videohub.evaluation import precision_choice
from videohub.evaluation.precision_choice import Trial, choose_precision, compare, try_out

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Offset(torch.nn.Module):
    """Logits near 4096 that a second layer takes back to near 0: bfloat16 has steps of 16 or 32 there."""

    def __init__(self):
        super().__init__()
        self.lift, self.lower = torch.nn.Linear(3, 2), torch.nn.Linear(2, 2)
        with torch.no_grad():
            self.lift.weight.copy_(torch.tensor([[3.0, 0, 0], [0, 3, 0]]))
            self.lower.weight.copy_(torch.eye(2))
            self.lift.bias.fill_(4096.0)
            self.lower.bias.fill_(-4096.0)

    def forward(self, clip):
        return self.lower(self.lift(clip.mean(dim=(2, 3, 4))))


class Large(torch.nn.Module):
    """Logits of about 1 by way of 1e6, which is more than float16 holds (65,504)."""

    def __init__(self):
        super().__init__()
        self.up, self.down = torch.nn.Linear(3, 2, bias=False), torch.nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.up.weight.fill_(1e6)
            self.down.weight.copy_(torch.tensor([[1e-6, 0], [0, -1e-6]]))

    def forward(self, clip):
        return self.down(self.up(1 + clip.mean(dim=(2, 3, 4))))


@pytest.fixture
def samples(videos):
    return [Sample(name, source, (0,)) for name, source in videos.items()]


def settled(wanted, model, samples, **changes):
    return choose_precision(wanted, model, TestSpec(protocol(**changes), FOUR_FRAMES), samples, workers=0)


# --- what is possible where ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wanted", "message"), [("tf32", "only GPUs have TF32"), ("fp16", "choose fp32 or bf16")])
def test_a_cpu_refuses_what_it_does_not_compute_in_and_says_what_it_does(wanted, message):
    with pytest.raises(DeviceError, match=message):
        supported(wanted, CPU)
    assert [supported(name, CPU) for name in ("fp32", "bf16")] == ["fp32", "bf16"]


def test_an_older_gpu_refuses_tf32_and_bf16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    for expected in ("tf32", "bf16"):
        with pytest.raises(DeviceError, match=f"{expected}: Tesla T4 has compute capability 7.5"):
            supported(expected, CUDA)
    assert supported("fp16", CUDA) == "fp16"


def test_an_unknown_precision_names_the_known_ones():
    with pytest.raises(UsageError, match="found 'half', expected fp32, tf32, bf16, fp16 or auto"):
        supported("half", CPU)


def multiplication():
    """Return how float32 is multiplied on a GPU, by matrix products and by convolutions: may it be TF32?"""
    product, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    if hasattr(product, "fp32_precision"):
        return product.fp32_precision != "ieee", convolution.conv.fp32_precision != "ieee"
    return product.allow_tf32, convolution.allow_tf32


def test_fp32_is_float32_whatever_the_program_has_set_and_leaves_its_settings_alone():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        inside = {}
        for name in ("fp32", "tf32", "bf16"):
            with arithmetic(name, CPU):
                inside[name] = multiplication()
                assert torch.is_autocast_enabled("cpu") == (name == "bf16")
        assert inside == {"fp32": (False, False), "tf32": (True, True), "bf16": (False, False)}
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


# --- the comparison --------------------------------------------------------------------------------------------------


def test_a_changed_first_class_counts_only_where_float32_s_margin_is_above_the_largest_difference():
    exact = np.array([[0.50, 0.48, 0.02], [0.60, 0.30, 0.10], [0.2, 0.7, 0.1]], np.float32)
    close = np.array([[0.49, 0.50, 0.01], [0.61, 0.30, 0.09], [0.2, 0.7, 0.1]], np.float32)
    trial = compare("fp16", exact, close)
    assert (trial.views, trial.changed_top1, trial.agrees) == (3, 0, False)  # 0.02 apart, and a float's breadth more
    assert trial.largest_difference == pytest.approx(0.02)
    assert compare("bf16", exact, close).agrees  # its limit is 0.1
    wrong = np.array([[0.50, 0.48, 0.02], [0.42, 0.48, 0.10], [0.2, 0.7, 0.1]], np.float32)
    trial = compare("bf16", exact, wrong)
    assert (trial.changed_top1, trial.agrees) == (1, False)  # by 0.18, where the margin was 0.3


def test_a_probability_that_is_no_number_never_agrees():
    exact = np.full((2, 2), 0.5, np.float32)
    for bad in (np.nan, np.inf):
        assert not compare("bf16", exact, np.array([[0.5, bad], [0.5, 0.5]], np.float32)).agrees


def test_one_class_or_no_box_can_be_compared():
    assert compare("bf16", np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)).agrees
    assert compare("bf16", np.ones((0, 80), np.float32), np.ones((0, 80), np.float32)).agrees


def test_a_golden_network_agrees_with_itself_in_bfloat16_on_this_cpu():
    views = [video("bf16", frames=1, clips=1), video("again", frames=1, clips=1)]
    trial = try_out("bf16", network("image"), protocol(), views)
    assert trial.views == 6
    assert 0 < trial.largest_difference < 0.02
    assert trial.agrees


def test_float16_that_overflows_is_found():
    trial = try_out("fp16", Large(), protocol(), [video("large", frames=2)])
    assert trial == Trial("fp16", views=6, largest_difference=float("inf"), changed_top1=0)


# --- the decision ----------------------------------------------------------------------------------------------------


def test_a_network_that_bfloat16_breaks_is_refused_with_numbers(samples):
    with pytest.raises(DeviceError, match=r"bf16 against fp32 on 8 views.*at most 0\.\d+ \(limit 0.1\)") as refused:
        settled("bf16", Offset(), samples, mean=(0.0, 1.0, 0.0))
    assert refused.value.exit_code == 5


def test_a_precision_that_was_asked_for_and_agrees_is_taken(samples):
    result = settled("bf16", network("slow"), samples)
    assert (result.name, result.trial.views) == ("bf16", 8)  # four videos of two views
    assert result.reason.startswith("asked for; bf16 against fp32 on 8 views: probabilities differ by at most 0.")


def test_fp32_and_auto_on_a_cpu_need_no_trial():
    def never():
        raise AssertionError("no sample is looked at")
        yield

    assert settled("fp32", Offset(), never()).name == "fp32"
    result = settled("auto", Offset(), never())
    assert (result.name, result.trial) == ("fp32", None)


@pytest.mark.parametrize(("model", "expected"), [(Large(), "fp32"), (network("slow"), "fp16")])
def test_auto_takes_fp16_on_a_gpu_only_if_it_agrees_and_keeps_the_reason(samples, monkeypatch, model, expected):
    """The CPU stands in for the GPU: torch imitates fp16 there, slowly."""
    of = precision_choice.views_of
    monkeypatch.setattr(precision_choice, "device_of", lambda model: CUDA)
    monkeypatch.setattr(precision_choice, "views_of", lambda decoded, protocol, device: of(decoded, protocol))
    result = settled("auto", model, samples[:1])
    assert result.name == expected
    assert result.trial.agrees == (expected == "fp16")
    assert result.reason.startswith("auto: fp16 against fp32 on 2 views: probabilities differ by at most ")


def test_samples_that_cannot_be_decoded_are_passed_over(samples, tmp_path):
    missing = [Sample(f"{number}", VideoFile(tmp_path / f"{number}.mp4"), (0,)) for number in range(3)]
    assert settled("bf16", network("image"), [*missing, *samples]).trial.views == 8
    with pytest.raises(DataError, match=r"none of the first samples could be decoded.*0.mp4: no such video file"):
        settled("bf16", network("image"), missing)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no usable CUDA device")
def test_on_a_gpu_every_precision_agrees_for_a_golden_network(samples):
    for expected in ("tf32", "bf16", "fp16", "auto"):
        assert settled(expected, network("slow").cuda(), samples).trial.agrees
