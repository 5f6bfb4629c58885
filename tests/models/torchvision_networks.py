"""torchvision's own networks with our weights in them, and its MViT as PySlowFast's configurations describe theirs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn
from torchvision.models.video.mvit import MSBlockConfig, MViT

from videohub import models
from videohub.architectures import Architecture
from videohub.convert import conversion, tables
from videohub.convert.recognition import recognise


def fill(theirs: nn.Module, network: models.VideoModel, arch: Architecture, path: Path) -> None:
    """Load our weights into a network of torchvision's, by a file of its layout that is read back, too."""
    arguments = {**msgspec.to_builtins(arch), "arch": arch.arch}
    table = tables.find(arch.family, "torchvision").of(arguments)
    conversion.write_file(conversion.to_published(network.state_dict(), table, arguments), table, path)
    theirs.load_state_dict(torch.load(path, weights_only=True), strict=True)
    read = {key: tensor.numpy() for key, tensor in theirs.state_dict().items()}  # with what it computes itself
    back = conversion.imported(read, recognise(read, arch.family, arguments), arguments, "torchvision")
    assert back.keys() == network.state_dict().keys()
    assert all(np.array_equal(back[key], tensor) for key, tensor in network.state_dict().items())


def mvit(
    version: int,
    *,
    depth: int,
    narrows: Sequence[int],
    frames: int,
    num_classes: int,
    kernel: Sequence[int] | None = (3, 3, 3),
) -> MViT:
    """Return torchvision's MViT with the blocks that a configuration of PySlowFast's asks for.

    Args:
        narrows: The blocks of POOL_Q_STRIDE, DIM_MUL and HEAD_MUL, which halve the map and double width and heads.
        kernel: POOL_KVQ_KERNEL; None: each pool has kernels of its stride plus 1, and none where it has no stride.
    """
    width, heads, key_stride, blocks = 96, 1, 8, []  # EMBED_DIM, NUM_HEADS, POOL_KV_STRIDE_ADAPTIVE
    for number in range(depth):
        stride = 2 if number in narrows else 1
        key_stride = max(key_stride // stride, 1)
        given, heads = width, heads * stride
        made = 2 * given if number + (version == 1) in narrows else given  # version 1 widens in the block before
        pools_queries = version == 2 or stride > 1
        blocks.append(
            MSBlockConfig(
                num_heads=heads,
                input_channels=given,
                output_channels=made,
                kernel_q=_kernel(kernel, stride) if pools_queries else [1, 1, 1],
                kernel_kv=_kernel(kernel, key_stride),
                stride_q=[1, stride, stride],
                stride_kv=[1, key_stride, key_stride],
            )
        )
        width = made
    return MViT(
        spatial_size=(224, 224),
        temporal_size=frames,
        block_setting=blocks,
        residual_pool=version == 2,
        residual_with_cls_embed=version == 1,
        rel_pos_embed=version == 2,
        proj_after_attn=version == 2,
        num_classes=num_classes,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).eval()


def _kernel(kernel: Sequence[int] | None, stride: int) -> list[int]:
    if kernel is not None:
        return list(kernel)
    return [1, stride + 1, stride + 1] if stride > 1 else [1, 1, 1]
