"""Convolutions with their batch norms, as residual and Inception networks of one pathway are made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypeAlias

from torch import Tensor, nn

Size: TypeAlias = tuple[int, int, int]  # time, height, width


class ConvNorm(nn.Module):
    """A convolution that keeps the size but for its stride, and the batch norm after it."""

    NORM_AFTER: ClassVar[Mapping[str, str]] = {"conv": "norm"}

    def __init__(
        self, width: int, out: int, kernel: Size, *, stride: Size = (1, 1, 1), groups: int = 1, eps: float = 1e-5
    ) -> None:
        super().__init__()
        time, height, side = kernel
        padding = (time // 2, height // 2, side // 2)
        self.conv = nn.Conv3d(width, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm3d(out, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x))


class SeparableConv(nn.Module):
    """A convolution over space, then one over time, each with its batch norm, and a ReLU between the two."""

    def __init__(
        self,
        width: int,
        out: int,
        kernel: Size,
        *,
        middle: int,
        stride: Size = (1, 1, 1),
        eps: float = 1e-5,
        middle_eps: float | None = None,
    ) -> None:
        super().__init__()
        between = eps if middle_eps is None else middle_eps
        self.spatial = ConvNorm(width, middle, (1, *kernel[1:]), stride=(1, *stride[1:]), eps=between)
        self.relu = nn.ReLU(inplace=True)
        self.temporal = ConvNorm(middle, out, (kernel[0], 1, 1), stride=(stride[0], 1, 1), eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.temporal(self.relu(self.spatial(x)))
