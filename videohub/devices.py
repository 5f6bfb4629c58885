"""What networks compute on, and how exactly: the devices of this machine whose arithmetic can be trusted, and what they
offer of it: float32, TF32, or float32 weights under bfloat16 or float16 arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from videohub import models
from videohub.architectures.mvit import MViT
from videohub.architectures.parts import AverageWindow, NonLocal, RoiMax
from videohub.architectures.slowfast import SlowFast
from videohub.architectures.swin3d import Swin3D
from videohub.architectures.x3d import X3D
from videohub.errors import DeviceError, UsageError
from videohub.models.inference_form import optimize

NumericPrecision = Literal["fp32", "tf32", "bf16", "fp16"]

PRECISIONS: tuple[NumericPrecision, ...] = ("fp32", "tf32", "bf16", "fp16")
AUTO = "auto"  # fp16 on a GPU where it agrees with fp32, else fp32

_REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AMPERE = (8, 0)  # the first compute capability with TF32 and bfloat16
_TOLERANCE = 1e-3  # of the largest logit; float32 in another order of sums stays below 1e-5


def usable(device: str | torch.device) -> torch.device:
    """Return a device that this machine has and that computes our networks rightly.

    A GPU of Apple's ("mps") may run them if a small network gives there what it gives on the CPU; it is asked once a
    process.

    Raises: UsageError if nothing is called so; DeviceError if this machine has none, or one that computes wrongly.
    """
    try:
        known = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device: found {device!r}, expected a name such as cpu, cuda or cuda:1") from error
    if known.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"device {str(device)!r}: videohub runs on cpu, cuda and mps")
    if known.type == "cuda" and (known.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"device {str(device)!r}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu")
    if known.type == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError(f"device {str(device)!r}: this machine, or its torch, has no MPS; use cpu")
        if problem := disagreement(known):
            raise DeviceError(f"device {str(device)!r}: {problem}; use cpu, or another version of torch")
    return known


def supported(requested: str, device: torch.device) -> NumericPrecision:
    """Return `requested` if the device can compute so.

    Raises: UsageError if nothing is called so; DeviceError if the device cannot.
    """
    if requested not in PRECISIONS:
        raise UsageError(f"precision: found {requested!r}, expected {', '.join(PRECISIONS)} or {AUTO}")
    if device.type == "cpu" and requested == "tf32":
        raise DeviceError("precision tf32: only GPUs have TF32; on a CPU choose fp32, or bf16 where it computes that")
    if device.type == "cpu" and requested == "fp16":
        # torch imitates it: 70 times as slow as fp32 where that was tried, without one more bit of use
        raise DeviceError("precision fp16: CPUs do not compute networks in fp16; on a CPU choose fp32 or bf16")
    if device.type == "mps" and requested != "fp32":
        raise DeviceError(f"precision {requested}: on MPS only fp32 has been compared with the CPU; choose fp32")
    if device.type == "cuda" and requested in ("tf32", "bf16"):
        capability = torch.cuda.get_device_capability(device)
        if capability < _AMPERE:
            raise DeviceError(
                f"precision {requested}: {torch.cuda.get_device_name(device)} has compute capability "
                f"{capability[0]}.{capability[1]}, and {requested} needs {_AMPERE[0]}.{_AMPERE[1]}; choose fp32 or fp16"
            )
    return requested


@contextmanager
def arithmetic(precision: NumericPrecision, device: torch.device) -> Iterator[None]:
    """Let what runs inside compute in a precision, whatever the program's own settings are; they come back after it.

    TF32 is off but for `tf32`: it would move the third decimal of an accuracy. From torch 2.9 on, a module that asks an
    older switch meanwhile, such as `torch.backends.cudnn.allow_tf32`, may get an error from torch.
    """
    reduced = _REDUCED.get(precision)
    switches = _switches()
    before = [switch.read() for switch in switches]
    try:
        for switch in switches:
            switch.set(switch.tf32 if precision == "tf32" else switch.exact)
        with torch.autocast(device.type, dtype=reduced or torch.bfloat16, enabled=reduced is not None):
            yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.set(value)


# --- a device whose arithmetic is asked for --------------------------------------------------------------------------


@cache
def disagreement(device: torch.device) -> str | None:
    """Return how small networks on a device differ from the same on the CPU, or None if they do not.

    They have every kind of layer of our networks, those that attend too, in the form that an evaluation runs.
    """
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        torch.manual_seed(0)
        clip = torch.randn(1, 3, 8, 96, 96, dtype=torch.float32)
        there = clip.to(device, memory_format=torch.channels_last_3d)
        for network, boxes in probes():
            expected = network(clip, boxes)
            try:
                logits = optimize(network).to(device)(there, None if boxes is None else boxes.to(device)).cpu()
            except RuntimeError as error:  # an operation that is lacking is one, too
                return f"torch cannot run a small network there ({str(error).splitlines()[0]:.200})"
            share = float((logits - expected).abs().max() / expected.abs().max())
            if not share <= _TOLERANCE:  # as what is no number is not, either
                return (
                    f"a small network's logits differ by {share:.1%} from the CPU's, "
                    f"allowed are {_TOLERANCE:.1%} of the largest"
                )
    return None


def probes() -> Iterator[tuple[models.VideoModel, Tensor | None]]:
    """Yield four networks that classify and one that detects, for clips (1, 3, 8, 96, 96), each with its boxes.

    None of their blocks is the identity, as they are when training begins. Two attend: one over tokens that it pools,
    with tables of distances, and one within windows that it pads and shifts.
    """
    box = torch.tensor([[0, 10, 20, 70, 90]], dtype=torch.float32)
    non_local = NonLocal(after={"res3": [0]}, affinity="softmax", pool=(1, 2, 2))
    slowfast = SlowFast(depth=(1, 1, 1, 1), width=16, num_classes=7, non_local=non_local, head=AverageWindow(window=2))
    x3d = X3D(size="XS", depth_factor=0.4, num_classes=7, head=AverageWindow(window=2))
    mvit = MViT(version=2, blocks=(1, 1, 1, 1), width=16, crop=96, num_classes=7)
    swin = Swin3D(depth=(1, 2, 1, 1), window=(2, 7, 7), num_classes=7)
    detector = msgspec.structs.replace(slowfast, head=RoiMax(aligned=True))
    for arch, boxes in ((slowfast, None), (x3d, None), (mvit, None), (swin, None), (detector, box)):
        network = models.build(arch, frames=8).float()
        for name, parameter in network.named_parameters():
            if "norm" in name:
                torch.nn.init.uniform_(parameter, 0.2, 1.0)
        yield network, boxes


# --- torch's settings ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Switch:
    """A setting of torch's that decides how float32 is multiplied, and its values for fp32 and for tf32."""

    read: Callable[[], Any]
    set: Callable[[Any], None]
    exact: object
    tf32: object


def _switches() -> list[_Switch]:
    backends: Any = torch.backends
    cuda, cudnn, cpu = backends.cuda.matmul, backends.cudnn, backends.mkldnn
    if not hasattr(cuda, "fp32_precision"):  # before torch 2.9
        return [
            _Switch(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest", "high"),
            _Switch(partial(getattr, cudnn, "allow_tf32"), partial(setattr, cudnn, "allow_tf32"), False, True),
        ]
    # The older switches refuse to be read once a program has used these. The CPU's may allow it bfloat16.
    on_gpu = [(where, "tf32") for where in (cuda, cudnn.conv)]  # no network here is recurrent
    return [
        _Switch(partial(getattr, where, "fp32_precision"), partial(setattr, where, "fp32_precision"), "ieee", tf32)
        for where, tf32 in [*on_gpu, (cpu.matmul, "ieee"), (cpu.conv, "ieee")]
    ]
