"""UniFormerV2 without local blocks, written out over its authors' keys and on torch's own attention.

An implementation beside ours, which gives the golden case's logits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-5


def logits(file: Mapping[str, np.ndarray], clip: Tensor, *, heads: int) -> Tensor:
    """Return logits (B, classes) for clips (B, 3, T, H, W)."""
    file = {key.removeprefix("backbone."): torch.from_numpy(np.asarray(array)) for key, array in file.items()}

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, file[f"{name}.weight"], file[f"{name}.bias"])

    def normed(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], file[f"{name}.weight"], file[f"{name}.bias"], EPS)

    def attended(name: str, query: Tensor, seen: Tensor) -> Tensor:  # both with the tokens first
        weights = (f"{name}.in_proj_weight", f"{name}.in_proj_bias", f"{name}.out_proj.weight", f"{name}.out_proj.bias")
        in_weight, in_bias, out_weight, out_bias = (file[key] for key in weights)
        result, _ = F.multi_head_attention_forward(
            query, seen, seen, query.shape[-1], heads, in_weight, in_bias, None, None, False, 0.0, out_weight, out_bias,
            training=False, need_weights=False,
        )  # fmt: skip
        return result

    def perceived(name: str, x: Tensor) -> Tensor:
        hidden = linear(f"{name}.c_fc", x)
        return linear(f"{name}.c_proj", hidden / (1 + torch.exp(-1.702 * hidden)))

    def count(part: str) -> int:
        return len({key.split(".")[2] for key in file if key.startswith(f"transformer.{part}.")})

    kernels = file["conv1.weight"]
    patches = F.conv3d(clip, kernels, stride=kernels.shape[2:])
    videos, width, frames, *places = patches.shape
    x = patches.permute(3, 4, 0, 2, 1).reshape(-1, videos * frames, width)  # tokens, frames of all videos, channels
    x = torch.cat([file["class_embedding"].expand(1, videos * frames, width), x])
    x = normed("ln_pre", x + file["positional_embedding"][:, None])
    video = file["transformer.temporal_cls_token"].reshape(1, 1, width).expand(1, videos, width)
    blocks, gatherings = count("resblocks"), count("dec")
    for number in range(blocks):
        block = f"transformer.resblocks.{number}"
        normal = normed(f"{block}.ln_1", x)
        x = x + attended(f"{block}.attn", normal, normal)
        x = x + perceived(f"{block}.mlp", normed(f"{block}.ln_2", x))
        if (gathering := number - (blocks - gatherings)) < 0:
            continue
        dec, dpe = f"transformer.dec.{gathering}", f"transformer.dpe.{gathering}"
        lying = x[1:].reshape(*places, videos, frames, width).permute(2, 4, 3, 0, 1)
        placed = lying + F.conv3d(lying, file[f"{dpe}.weight"], file[f"{dpe}.bias"], padding=1, groups=width)
        of_frames = x[:1].reshape(videos, frames, width).transpose(0, 1)
        seen = normed(f"{dec}.ln_3", torch.cat([of_frames, placed.flatten(2).permute(2, 0, 1)]))
        video = video + attended(f"{dec}.attn", normed(f"{dec}.ln_1", video), seen)
        video = video + perceived(f"{dec}.mlp", normed(f"{dec}.ln_2", video))
    share = torch.sigmoid(file["transformer.balance"])
    of_frames = x[0].reshape(videos, frames, width).mean(1)
    return linear("transformer.proj.2", normed("transformer.proj.0", (1 - share) * video[0] + share * of_frames))
