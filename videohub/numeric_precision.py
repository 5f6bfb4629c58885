"""How exactly a network computes: float32, TF32, or float32 weights under bfloat16 or float16 arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch

from videohub.errors import DeviceError, UsageError

NumericPrecision = Literal["fp32", "tf32", "bf16", "fp16"]

PRECISIONS: tuple[NumericPrecision, ...] = ("fp32", "tf32", "bf16", "fp16")
AUTO = "auto"  # fp16 on a GPU where it agrees with fp32, else fp32

_REDUCED = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AMPERE = (8, 0)  # the first compute capability with TF32 and bfloat16


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
