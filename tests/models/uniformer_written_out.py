"""UniFormer written out over its authors' keys: an implementation beside ours, which gives the golden cases' logits."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

HEAD = 64  # channels of an attention head


def logits(file: Mapping[str, np.ndarray], clip: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Return logits (B, classes) for clips (B, 3, T, H, W).

    Args:
        eps: Of the norms in the blocks of the last two stages; mmaction2's is another one.
    """
    file = {key: torch.from_numpy(np.asarray(array)) for key, array in file.items()}

    def standardised(x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            file[f"{name}.{part}"].view(-1, 1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    def normalised(x: Tensor, name: str, eps: float) -> Tensor:  # over channels, which are the last axis
        x = (x - x.mean(-1, keepdim=True)) / torch.sqrt(x.var(-1, keepdim=True, unbiased=False) + eps)
        return x * file[f"{name}.weight"] + file[f"{name}.bias"]

    def by_channel(x: Tensor, name: str) -> Tensor:
        kernels = file[f"{name}.weight"]
        return F.conv3d(x, kernels, file[f"{name}.bias"], padding=kernels.shape[-1] // 2, groups=len(kernels))

    def pointwise(x: Tensor, name: str) -> Tensor:  # channels are the second axis
        return torch.einsum("bc...,dc->bd...", x, file[f"{name}.weight"].flatten(1)) + file[f"{name}.bias"].view(
            -1, *[1] * (x.ndim - 2)
        )

    def attended(x: Tensor, name: str) -> Tensor:
        q, k, v = pointwise(x, f"{name}.qkv").unflatten(1, (3, -1, HEAD)).unbind(1)  # (B, heads, HEAD, N)
        affinity = torch.einsum("bhdi,bhdj->bhij", q, k) / HEAD**0.5
        return pointwise(torch.einsum("bhij,bhdj->bhdi", affinity.softmax(-1), v).flatten(1, 2), f"{name}.proj")

    x = clip
    for stage in (1, 2, 3, 4):
        embedding, first = f"patch_embed{stage}", stage == 1
        stride, padding = ((2, 4, 4), (1, 0, 0)) if first else ((1, 2, 2), 0)
        x = F.conv3d(x, file[f"{embedding}.proj.weight"], file[f"{embedding}.proj.bias"], stride, padding)
        x = normalised(x.movedim(1, -1), f"{embedding}.norm", 1e-5).movedim(-1, 1)
        for number in range(sum(key.startswith(f"blocks{stage}.") and "pos_embed.bias" in key for key in file)):
            block = f"blocks{stage}.{number}"
            x = x + by_channel(x, f"{block}.pos_embed")
            size = x.shape[2:]
            if stage < 3:
                y = pointwise(standardised(x, f"{block}.norm1"), f"{block}.conv1")
                x = x + pointwise(by_channel(y, f"{block}.attn"), f"{block}.conv2")
                y = standardised(x, f"{block}.norm2")
            else:
                x = x.flatten(2)
                x = x + attended(normalised(x.mT, f"{block}.norm1", eps).mT, f"{block}.attn")
                y = normalised(x.mT, f"{block}.norm2", eps).mT
            x = x + pointwise(F.gelu(pointwise(y, f"{block}.mlp.fc1")), f"{block}.mlp.fc2")
            x = x.reshape(*x.shape[:2], *size)
    return pointwise(standardised(x, "norm").mean((2, 3, 4)), "head")
