"""Which devices a model may run on: those of this machine whose arithmetic can be trusted."""

from __future__ import annotations

from functools import cache

import torch

from videohub.errors import DeviceError, UsageError
from videohub.models.inference_form import optimize
from videohub.models.probes import probes

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
