"""X3D written out over PySlowFast's own keys: an implementation beside ours, which gives the golden cases' logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def logits(file: Mapping[str, np.ndarray], clip: Tensor, *, window: int | None) -> Tensor:
    """Return logits (B, 1, H', W', classes) at each position of the head for clips (B, 3, T, H, W).

    Args:
        window: Height and width that the head averages, a training crop by 32; None: the whole map.
    """
    file = {key: torch.from_numpy(np.asarray(array)) for key, array in file.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            file[f"{name}.{part}"].view(-1, 1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    def by_channel(x: Tensor, name: str, stride: int) -> Tensor:
        kernels = file[name]
        padding = [length // 2 for length in kernels.shape[2:]]
        return F.conv3d(x, kernels, None, (1, stride, stride), padding, groups=len(kernels))

    def pointwise(x: Tensor, name: str) -> Tensor:
        return torch.einsum("bc...,dc->bd...", x, file[f"{name}.weight"].flatten(1))

    def excited(x: Tensor, name: str) -> Tensor:
        squeezed = x.mean(dim=(2, 3, 4))
        for layer in ("fc1", "fc2"):
            squeezed = F.linear(squeezed, file[f"{name}.{layer}.weight"].flatten(1), file[f"{name}.{layer}.bias"])
            squeezed = squeezed.relu() if layer == "fc1" else squeezed.sigmoid()
        return x * squeezed[:, :, None, None, None]

    stem = "s1.pathway0_stem"
    x = F.conv3d(clip, file[f"{stem}.conv_xy.weight"], None, (1, 2, 2), (0, 1, 1))
    x = norm(by_channel(x, f"{stem}.conv.weight", 1), f"{stem}.bn").relu()
    for stage in (2, 3, 4, 5):
        blocks = sum(key.startswith(f"s{stage}.pathway0_res") and key.endswith(".branch2.a.weight") for key in file)
        for number in range(blocks):
            block = f"s{stage}.pathway0_res{number}"
            inner = f"{block}.branch2"
            y = norm(pointwise(x, f"{inner}.a"), f"{inner}.a_bn").relu()
            y = norm(by_channel(y, f"{inner}.b.weight", 2 if number == 0 else 1), f"{inner}.b_bn")
            if number % 2 == 0:
                y = excited(y, f"{inner}.se")
            y = norm(pointwise(y * y.sigmoid(), f"{inner}.c"), f"{inner}.c_bn")
            if number == 0:
                x = norm(pointwise(x[..., ::2, ::2], f"{block}.branch1"), f"{block}.branch1_bn")
            x = (x + y).relu()
    x = norm(pointwise(x, "head.conv_5"), "head.conv_5_bn").relu()
    size = (window, window) if window else x.shape[3:]
    x = pointwise(F.avg_pool3d(x, (x.shape[2], *size), stride=1), "head.lin_5").relu()
    return F.linear(x.movedim(1, -1), file["head.projection.weight"], file["head.projection.bias"])
