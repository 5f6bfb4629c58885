"""A network alone on one device: as it is written, in its inference form, in every precision, and beside another's.

`gpu.py` asks for most of it in its own process. What torch.compile makes is timed in a process of its own, which can
be ended when compiling takes too long: `python benchmarks/gpu_forward.py --device cuda`.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import forward
import pytorchvideo_module
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.utils.flop_counter import FlopCounterMode

import videohub
from videohub import registry
from videohub.devices import NumericPrecision, arithmetic, supported
from videohub.errors import DeviceError

# Dense bf16 and fp16, TFLOP/s, as the vendor gives it; of two entries that fit a device's name the first counts.
PEAKS = {"H100 PCIe": 756.0, "H100 NVL": 835.0, "H200": 989.0, "H100": 989.0, "A100": 312.0}


@dataclass(frozen=True)
class Input:
    """What a network is given."""

    frames: int
    side: int
    batch: int

    def clip(self, device: torch.device) -> Tensor:
        """Return clips of noise, (B, 3, T, H, W)."""
        noise = torch.Generator(device).manual_seed(0)
        return torch.randn(self.batch, 3, self.frames, self.side, self.side, device=device, generator=noise)


@dataclass(frozen=True)
class Variant:
    """A way to run the network."""

    name: str
    precision: NumericPrecision
    module: Callable[[], nn.Module]  # made when its turn comes
    channels_last: bool = True


def main() -> None:
    """Time what torch.compile makes of the inference form; print it as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--model", default="slowfast_r50_8x8")
    options.add_argument("--precision", default="fp16")
    options.add_argument("--input", type=int, nargs=3, default=[32, 256, 32], metavar=("FRAMES", "SIDE", "BATCH"))
    options.add_argument("--seconds", type=float, default=2)
    arguments = options.parse_args()
    device = torch.device(arguments.device)
    form = videohub.optimize(network(arguments.model), compile=True).to(device)
    clip = Input(*arguments.input).clip(device)
    began = time.perf_counter()
    timed(form, clip, arguments.precision, seconds=0)
    compiling = time.perf_counter() - began
    rate, _ = timed(form, clip, arguments.precision, seconds=arguments.seconds)
    print(json.dumps({"views a second": rate, "seconds to compile": round(compiling, 1)}))


@lru_cache(maxsize=1)
def network(name: str) -> nn.Module:
    """Return a network on the CPU with random weights, the same ones each time; its numbers are as a trained one's."""
    torch.manual_seed(0)
    return forward.network(name, torch.randn(1, 3, registry.record(name).clip.frames, 64, 64))


def alone(name: str, given: Input, device: torch.device, *, seconds: float, left: Callable[[], float]) -> dict:
    """Time the network in every way that the device knows, for about `seconds` each; what no time is left for says so.

    Returns: for each way views a second, the largest difference of a probability from the plain network in float32,
        and the share of the device's peak where that is known; then ratios to the plain network.
    """
    plain = copy.deepcopy(network(name)).to(device)
    clip = given.clip(device)
    gflop = view_gflop(plain, given)
    peak = peak_of(device)
    rows: dict[str, dict[str, object]] = {}
    rates: dict[str, float] = {}
    expected: Tensor | None = None
    for variant in _variants(plain, name):
        if left() < 4 * seconds:
            rows[variant.name] = {"skipped": "no time was left"}
            continue
        try:
            supported(variant.precision, device)
            module = variant.module()
            laid_out = clip.contiguous(memory_format=torch.channels_last_3d) if variant.channels_last else clip
            rate, logits = timed(module, laid_out, variant.precision, seconds=seconds)
        except (DeviceError, ImportError, torch.OutOfMemoryError) as reason:
            rows[variant.name] = {"skipped": str(reason)}
            continue
        except RuntimeError as error:  # of torch or cuDNN; the other ways shall have their figures
            rows[variant.name] = {"failed": str(error)}
            continue
        result = logits.float().softmax(dim=1)
        expected = result if expected is None else expected
        rates[variant.name] = rate
        rows[variant.name] = {
            "views a second": float(f"{rate:.4g}"),
            "TFLOP/s": float(f"{rate * gflop / 1000:.4g}"),
            "share of peak": round(rate * gflop / 1000 / peak, 3)
            if peak and variant.precision in ("bf16", "fp16")
            else None,
            "difference of a probability": float(f"{float((result - expected).abs().max()):.2g}"),
        }
        del module
    return {
        "GFLOP a view": float(f"{gflop:.4g}"),
        "batch": given.batch,
        "peak, dense bf16, TFLOP/s": peak,
        "ways": rows,
        **beside(rates),
    }


def beside(rates: dict[str, float]) -> dict[str, object]:
    """Return the ratios that are asked for, of those ways that were timed."""

    def ratio(ours: str, theirs: str, goal: str) -> dict[str, object]:
        known = ours in rates and theirs in rates
        return {"ratio": float(f"{rates[ours] / rates[theirs]:.3g}") if known else None, "goal": goal}

    return {
        "optimised bf16 / plain fp32": ratio("optimised bf16", "plain fp32", ">= 3"),
        "optimised bf16 / PyTorchVideo fp32": ratio("optimised bf16", "PyTorchVideo fp32", ">= 1.5"),
        "optimised bf16 / PyTorchVideo bf16": ratio("optimised bf16", "PyTorchVideo bf16", ">= 1.5"),
        "2-D form / folded 3-D, bf16": ratio("optimised bf16", "folded, 3-D, bf16", "no goal"),
    }


def _variants(plain: nn.Module, name: str) -> Iterator[Variant]:
    """Yield every way, the plain network in float32 first."""
    form = videohub.optimize(plain)
    precisions: tuple[NumericPrecision, ...] = ("fp32", "tf32", "bf16", "fp16")
    yield Variant("plain fp32", "fp32", lambda: plain, channels_last=False)
    for precision in precisions:
        yield Variant(f"optimised {precision}", precision, lambda: form)
    yield Variant("plain bf16", "bf16", lambda: plain, channels_last=False)
    yield Variant("folded, 3-D, bf16", "bf16", lambda: folded(plain))
    yield Variant("folded, 3-D, fp16", "fp16", lambda: folded(plain))
    for precision in ("fp32", "bf16"):
        yield Variant(f"PyTorchVideo {precision}", precision, lambda: _pytorchvideo(plain, name), channels_last=False)


def timed(module: nn.Module, clip: Tensor, precision: str, *, seconds: float) -> tuple[float, Tensor]:
    """Run a module over and over for some seconds; return views a second and its outputs."""
    device = clip.device
    with torch.inference_mode(), arithmetic(precision, device):
        module(clip)  # the first time kernels are chosen and loaded
        _wait(device)
        runs, began = 0, time.perf_counter()
        while not runs or time.perf_counter() - began < seconds:
            out = module(clip)
            _wait(device)  # a batch takes far longer than waiting for it
            runs += 1
        lasted = time.perf_counter() - began
    return runs * len(clip) / lasted, out


def compiled(name: str, given: Input, device: torch.device, precision: str, *, seconds: float, limit_s: float) -> dict:
    """Time what torch.compile makes of the inference form, in a process that is ended with all its own at the limit."""
    command = [sys.executable, str(Path(__file__).resolve()), "--device", str(device), "--model", name,
               "--precision", precision, "--seconds", str(seconds),
               "--input", *map(str, (given.frames, given.side, given.batch))]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            text, complaint = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the compiler has processes of its own
            return {"skipped": f"compiling was not done after {limit_s:.0f} s"}
    if process.returncode:
        return {"failed": complaint.strip().splitlines()[-1] if complaint.strip() else f"exit {process.returncode}"}
    return {"precision": precision, "batch": given.batch, **json.loads(text.splitlines()[-1])}


def folded(model: nn.Module) -> nn.Module:
    """Return the network with its batch norms folded, its convolutions still 3-D: what the 2-D form is compared to."""
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for name, child in list(module.named_children()):
            conv = getattr(module, name.replace("norm", "conv"), None)
            if isinstance(child, nn.BatchNorm3d) and isinstance(conv, nn.Conv3d):
                setattr(module, name.replace("norm", "conv"), fuse_conv_bn_eval(conv, child))
                setattr(module, name, nn.Identity())
    return copied.to(memory_format=torch.channels_last_3d)


def view_gflop(model: nn.Module, given: Input) -> float:
    """Return 10^9 floating-point operations of one view, two for a multiplication and the addition to it."""
    meta = copy.deepcopy(model).to("meta")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        meta(torch.empty(1, 3, given.frames, given.side, given.side, device="meta"))
    return counter.get_total_flops() / 1e9


def peak_of(device: torch.device) -> float | None:
    """Return the peak of the device in TFLOP/s, where it is known."""
    return peak_named(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def peak_named(name: str) -> float | None:
    """Return the peak in TFLOP/s of a GPU that calls itself so."""
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def _pytorchvideo(plain: nn.Module, name: str) -> nn.Module:
    if name != "slowfast_r50_8x8":
        raise ImportError(f"it has no {name}")
    try:
        theirs = pytorchvideo_module.with_weights_of(plain)
    except ImportError as error:
        raise ImportError("not installed") from error
    return theirs.to(next(plain.parameters()).device)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
