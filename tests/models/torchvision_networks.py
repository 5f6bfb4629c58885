"""torchvision's own networks with our weights in them, its MViT as PySlowFast's configurations describe theirs, and its
VideoResNet with the convolutions of VMZ's networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.video.mvit import MSBlockConfig, MViT
from torchvision.models.video.resnet import BasicBlock, BasicStem, Bottleneck, R2Plus1dStem, VideoResNet

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


class _Depthwise(nn.Conv3d):
    """A 3x3x3 convolution of each channel."""

    def __init__(self, width: int, out: int, middle: int, stride: int = 1, padding: int = 1) -> None:
        super().__init__(width, out, 3, stride, padding, groups=width, bias=False)

    @staticmethod
    def get_downsample_stride(stride: int) -> tuple[int, int, int]:
        return stride, stride, stride


class _MixedDepthwise(nn.Sequential):
    """The same behind a 1x1x1 convolution and its norm."""

    get_downsample_stride = _Depthwise.get_downsample_stride

    def __init__(self, width: int, out: int, middle: int, stride: int = 1, padding: int = 1) -> None:
        mix = nn.Conv3d(width, out, 1, bias=False)
        super().__init__(mix, nn.BatchNorm3d(out), _Depthwise(out, out, middle, stride))


class _Separate(nn.Sequential):
    """A convolution over space and one over time, whose middle is counted for this very one, and not its block."""

    get_downsample_stride = _Depthwise.get_downsample_stride

    def __init__(self, width: int, out: int, middle: int, stride: int = 1, padding: int = 1) -> None:
        middle = width * out * 3 * 3 * 3 // (width * 3 * 3 + 3 * out)
        space = nn.Conv3d(width, middle, (1, 3, 3), (1, stride, stride), (0, padding, padding), bias=False)
        time = nn.Conv3d(middle, out, (3, 1, 1), (stride, 1, 1), (padding, 0, 0), bias=False)
        super().__init__(space, nn.BatchNorm3d(middle), nn.ReLU(), time)


class _PoolingStem(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(*BasicStem(), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))


def vmz(name: str, *, layers: Sequence[int], num_classes: int) -> VideoResNet:
    """Return torchvision's VideoResNet as VMZ builds its networks (pt/vmz/models at 4cc542d), without their weights."""
    block, convolution, stem = {
        "r2plus1d_34": (BasicBlock, _Separate, R2Plus1dStem),
        "r2plus1d_152": (Bottleneck, _Separate, R2Plus1dStem),
        "ir_csn_152": (Bottleneck, _Depthwise, _PoolingStem),
        "ip_csn_152": (Bottleneck, _MixedDepthwise, _PoolingStem),
    }[name]
    network = VideoResNet(block, [convolution] * 4, list(layers), stem, num_classes=num_classes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.eps = 1e-3
    return network.eval()


def tsm(file: Mapping[str, Tensor], *, every: int = 1, share: int = 8) -> Callable[[Tensor], Tensor]:
    """Return what a file of TSM's authors makes of a clip (B, 3, T, H, W): torchvision's network, with shifts by hand.

    Frames are images there, in a row; the shift is written as the README of mit-han-lab/temporal-shift-module has it.
    """
    tensors = {key.removeprefix("module.base_model.").replace(".net.", "."): tensor for key, tensor in file.items()}
    tensors = {key.replace(".block.", "."): tensor for key, tensor in tensors.items()}
    beside = {key: tensors.pop(key) for key in [*tensors] if ".nl." in key}
    classes = len(tensors["module.new_fc.bias"])
    if "features.0.0.weight" in tensors:
        network = torchvision.models.mobilenet_v2(num_classes=classes)
        tensors = dict(zip(network.state_dict(), tensors.values(), strict=True))  # otherwise called
        blocks = [block for block in network.features if getattr(block, "use_res_connect", False)]
        shifting = [block.conv for block in blocks]
    else:
        depth = {16: 50, 33: 101}[sum(key.endswith(".bn3.weight") for key in tensors)]
        network = getattr(torchvision.models, f"resnet{depth}")(num_classes=classes)
        tensors = {key.replace("module.new_fc.", "fc."): tensor for key, tensor in tensors.items()}
        stages = (network.layer1, network.layer2, network.layer3, network.layer4)
        shifting = [block.conv1 for stage in stages for block in list(stage)[::every]]
    network.load_state_dict(tensors, strict=True)
    network.eval()

    def logits(clip: Tensor) -> Tensor:
        frames = clip.shape[2]

        def shifted(_: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
            x = given[0].unflatten(0, (-1, frames))
            fold = x.shape[2] // share
            out = torch.zeros_like(x)
            out[:, :-1, :fold] = x[:, 1:, :fold]
            out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
            out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
            return (out.flatten(0, 1),)

        def related(place: str, made: Tensor) -> Tensor:
            """Add what non_local.py of theirs does: keys and values are pooled, and products are not scaled."""
            x = made.unflatten(0, (-1, frames)).transpose(1, 2)
            nl = {key.removeprefix(f"{place}.nl."): tensor for key, tensor in beside.items()}
            queries, keys, values = (F.conv3d(x, nl[f"{p}.weight"], nl[f"{p}.bias"]) for p in ("theta", "phi.0", "g.0"))
            keys, values = (F.max_pool3d(each, (1, 2, 2)).flatten(2) for each in (keys, values))
            affinity = (queries.flatten(2).transpose(1, 2) @ keys).softmax(dim=-1)
            y = (affinity @ values.transpose(1, 2)).transpose(1, 2).unflatten(2, x.shape[2:])
            y = F.conv3d(y, nl["W.0.weight"], nl["W.0.bias"])
            norm = (nl[f"W.1.{name}"] for name in ("running_mean", "running_var", "weight", "bias"))
            return (x + F.batch_norm(y, *norm)).transpose(1, 2).flatten(0, 1)

        hooks = [part.register_forward_pre_hook(shifted) for part in shifting]
        for place in {key.partition(".nl.")[0] for key in beside}:
            block = network.get_submodule(place)
            hooks.append(block.register_forward_hook(lambda _, given, made, place=place: related(place, made)))
        made = network(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (-1, frames)).mean(dim=1)
        for hook in hooks:
            hook.remove()
        return made

    return logits


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
