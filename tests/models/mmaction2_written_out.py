"""Residual networks written out over mmaction2's own keys: an implementation beside ours.

It gives the golden cases' logits. The shapes of kernels tell what they see; what no tensor tells is asked of the
arguments that a record has.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from videohub.architectures.csn import CSN
from videohub.architectures.r3d import R3D
from videohub.architectures.resnet import ResNet
from videohub.architectures.slowfast import SlowFast
from videohub.architectures.tsm import TSM


class WrittenOut:
    """The tensors of one file, and what is computed with them."""

    def __init__(self, file: Mapping[str, np.ndarray], arch: ResNet | SlowFast | CSN | TSM | R3D) -> None:
        self.file = {key: torch.from_numpy(np.asarray(array)) for key, array in file.items()}
        self.arch, self.is_csn, self.is_r3d = arch, isinstance(arch, CSN), isinstance(arch, R3D)

    def logits(self, clip: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Return logits (B, classes) of clips (B, 3, T, H, W), or (K, classes) of boxes (K, 5) in them."""
        maps = self.two_pathways(clip) if isinstance(self.arch, SlowFast) else [self.pathway("backbone", clip)[-1]]
        if boxes is None:  # the fast pathway's features come first
            return self.linear("cls_head.fc_cls", torch.cat([each.mean(dim=(2, 3, 4)) for each in maps[::-1]], dim=1))
        return self.in_boxes(maps, boxes)

    def in_boxes(self, maps: list[Tensor], boxes: Tensor) -> Tensor:
        """Return logits (K, classes) of boxes in the last stage's maps."""
        head, fully = self.arch.head, "roi_head.bbox_head.fc_cls"
        of_time = [each.max(dim=2)[0] if head.over_time == "max" else each.mean(dim=2) for each in maps]
        joined = torch.cat(of_time, dim=1)
        seen = roi_align(joined, boxes, head.resolution, 1 / (16 * self.arch.res5.stride), 0, aligned=head.aligned)
        if head.context:
            whole = F.adaptive_avg_pool2d(joined, head.resolution)
            seen = torch.cat([seen, whole[boxes[:, 0].long()]], dim=1)
        seen = seen.amax(dim=(2, 3))
        if f"{fully}.weight" in self.file:
            return self.linear(fully, seen)
        return self.linear(f"{fully}.2", self.linear(f"{fully}.0", seen).relu())

    def two_pathways(self, clip: Tensor) -> list[Tensor]:
        """Return what the last stage of the slow and of the fast pathway puts out."""
        fast = self.pathway("backbone.fast_path", clip)
        slow = self.pathway("backbone.slow_path", clip[:, :, :: self.arch.alpha], fast)
        return [slow[-1], fast[-1]]

    def pathway(self, path: str, x: Tensor, fast: list[Tensor] | None = None) -> list[Tensor]:
        """Return what the stem and each stage put out; what the fast pathway did there joins their outputs."""
        stem = getattr(self.arch, "stem", None)
        x = self.unit(f"{path}.conv1", x, stride=(stem.stride if stem else 1, 2, 2)).relu()
        over = stem.pool_padding if stem else 1
        x = F.max_pool3d(x, (1, 3, 3), (stem.pool_step if stem else 1, 2, 2), (0, over, over))
        outputs = []
        for stage in range(5):
            if stage:
                res5 = getattr(self.arch, "res5", None)
                halves = stage in (2, 3) or (stage == 4 and (res5 is None or res5.stride == 2))
                x = self.stage(f"{path}.layer{stage}", x, 2 if halves else 1)
            outputs.append(x)
            if stage == 1 and getattr(self.arch, "pools_frames", False):
                x = torch.maximum(x[:, :, 0:-1:2], x[:, :, 1::2])
            if fast is not None and stage < 4:
                x = torch.cat([x, self.lateral(f"{path}.layer{stage}" if stage else f"{path}.conv1", fast[stage])], 1)
        return outputs

    def lateral(self, layer: str, fast: Tensor) -> Tensor:
        """Return what a lateral connection makes of the fast pathway's map."""
        name = f"{layer}_lateral"
        x = self.conv(f"{name}.conv", fast, (self.arch.alpha, 1, 1))
        return self.norm(f"{name}.bn", x).relu() if f"{name}.bn.weight" in self.file else x

    def stage(self, layer: str, x: Tensor, stride: int) -> Tensor:
        """Return what the blocks of a stage make of a map."""
        number = 0
        while block := self.block(f"{layer}.{number}"):
            in_time = stride if self.is_csn or self.is_r3d else 1
            there = (in_time, stride, stride) if number == 0 else (1, 1, 1)
            if self.is_r3d:
                y = self.unit(f"{block}.conv2", self.unit(f"{block}.conv1", x, stride=there).relu())
                narrower = x.shape[1] < y.shape[1]
                x = (y + (self.unit(f"{block}.downsample", x, stride=there) if narrower else x)).relu()
                number += 1
                continue
            y = self.first(f"{block}.conv1", x).relu()
            middle = f"{block}.conv2" if not self.is_csn else f"{block}.conv2.0"
            if f"{block}.conv2.1.conv.weight" in self.file:
                middle, y = f"{block}.conv2.1", self.unit(middle, y)
            y = self.unit(middle, y, stride=there).relu()
            y = self.unit(f"{block}.conv3", y)
            x = (y + (self.unit(f"{block}.downsample", x, stride=there) if number == 0 else x)).relu()
            if f"{layer}.{number}.non_local_block.g.0.conv.weight" in self.file:
                x = self.non_local(f"{layer}.{number}.non_local_block", x)
            number += 1
        return x

    def block(self, name: str) -> str | None:
        """Return what a block's keys begin with, which TSM wraps where a non-local block follows; None: no such."""
        last = "conv2.conv.conv_t" if self.is_r3d else "conv3.conv"
        return next((each for each in (name, f"{name}.block") if f"{each}.{last}.weight" in self.file), None)

    def first(self, name: str, x: Tensor) -> Tensor:
        """Return what a block's first convolution and its norm make of a map, whose channels TSM shifts in time."""
        if f"{name}.conv.net.weight" not in self.file:
            return self.unit(name, x)
        fold = x.shape[1] // 8
        shifted = x.clone()
        shifted[:, : 2 * fold] = 0
        shifted[:, :fold, :-1] = x[:, :fold, 1:]
        shifted[:, fold : 2 * fold, 1:] = x[:, fold : 2 * fold, :-1]
        return self.norm(f"{name}.bn", self.conv(f"{name}.conv.net", shifted))

    def non_local(self, name: str, x: Tensor) -> Tensor:
        """Return a map with what each place gathers from all others, pooled in space, added."""
        how = self.arch.non_local

        def pooled(values: Tensor) -> Tensor:
            return F.max_pool3d(values, (1, 2, 2)).flatten(2)

        gaussian = f"{name}.theta.conv.weight" not in self.file
        queries = x if gaussian else self.conv(f"{name}.theta.conv", x)
        keys = pooled(x if gaussian else self.conv(f"{name}.phi.0.conv", x))
        weights = torch.einsum("bcq,bck->bqk", queries.flatten(2), keys)
        if how.affinity == "dot_product":
            weights = weights / weights.shape[2]
        else:
            root = keys.shape[1] ** 0.5 if how.scaled and not gaussian else 1
            weights = torch.exp(weights / root - torch.logsumexp(weights / root, dim=2, keepdim=True))
        gathered = torch.einsum("bqk,bck->bcq", weights, pooled(self.conv(f"{name}.g.0.conv", x)))
        return x + self.unit(f"{name}.conv_out", gathered.reshape(*gathered.shape[:2], *x.shape[2:]))

    def unit(self, name: str, x: Tensor, stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        return self.norm(f"{name}.bn", self.conv(f"{name}.conv", x, stride))

    def conv(self, name: str, x: Tensor, stride: tuple[int, int, int] = (1, 1, 1)) -> Tensor:
        if f"{name}.conv_s.weight" in self.file:  # over space, then over time
            x = self.conv(f"{name}.conv_s", x, (1, *stride[1:]))
            return self.conv(f"{name}.conv_t", self.norm(f"{name}.bn_s", x, eps=1e-5).relu(), (stride[0], 1, 1))
        kernels = self.file[f"{name}.weight"]
        kernels = kernels[:, :, None] if kernels.ndim == 4 else kernels
        padding = [length // 2 for length in kernels.shape[2:]]
        groups = x.shape[1] // kernels.shape[1]  # of CSN each channel is one
        return F.conv3d(x, kernels, self.file.get(f"{name}.bias"), stride, padding, groups=groups)

    def norm(self, name: str, x: Tensor, *, eps: float | None = None) -> Tensor:
        mean, variance, scale, shift = (
            self.file[f"{name}.{part}"].view(-1, 1, 1, 1) for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + (eps or getattr(self.arch, "eps", 1e-5))) * scale + shift

    def linear(self, name: str, x: Tensor) -> Tensor:
        return F.linear(x, self.file[f"{name}.weight"], self.file[f"{name}.bias"])
