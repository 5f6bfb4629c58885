"""The parts that all residual video networks share: stem, bottleneck blocks, stages, and how they start training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from torch import Tensor, nn

from videohub.models.non_local import NonLocal, NonLocalBlocks

Blocks = Literal["R18", "R50", "R101", "R152"] | Sequence[int]

# Depths count bottleneck blocks; R18 has bottlenecks too, as the original has no other block for video.
_DEPTHS = {"R18": (2, 2, 2, 2), "R50": (3, 4, 6, 3), "R101": (3, 4, 23, 3), "R152": (3, 8, 36, 3)}

# Temporal kernels of (stem, res2, res3, res4, res5); a stage's list repeats over its blocks.
TemporalKernels = tuple[int, list[int], list[int], list[int], list[int]]


class LastStage(TypedDict):
    """How res5 treats space: stride 2 and dilation 1 to classify; 1 and 2 to keep a finer map for detection."""

    stride: int
    dilation: int


HALVE: LastStage = {"stride": 2, "dilation": 1}


def block_counts(blocks: Blocks) -> tuple[int, int, int, int]:
    """Return the number of blocks in res2 to res5 of a named depth, or the four numbers given."""
    if isinstance(blocks, str):
        if blocks not in _DEPTHS:
            raise ValueError(f"blocks: found {blocks!r}, expected one of {', '.join(_DEPTHS)} or four numbers")
        return _DEPTHS[blocks]
    two, three, four, five = blocks
    return two, three, four, five


class Stem(nn.Module):
    """First convolution, which halves the picture, and a max-pool, which halves it again."""

    def __init__(self, width: int, *, temporal_kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(
            3, width, (temporal_kernel, 7, 7), (1, 2, 2), padding=(temporal_kernel // 2, 3, 3), bias=False
        )
        self.norm = nn.BatchNorm3d(width, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), padding=(0, 1, 1))

    def forward(self, clip: Tensor) -> Tensor:
        return self.pool(self.relu(self.norm(self.conv(clip))))


class Bottleneck(nn.Module):
    """Convolutions of 1 (in space), 3 and 1 beside a shortcut; the middle one carries stride and dilation."""

    def __init__(
        self, width: int, inner: int, out: int, *, temporal_kernel: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        self.conv_a = nn.Conv3d(width, inner, (temporal_kernel, 1, 1), padding=(temporal_kernel // 2, 0, 0), bias=False)
        self.norm_a = nn.BatchNorm3d(inner, eps=1e-5)
        self.conv_b = nn.Conv3d(
            inner,
            inner,
            (1, 3, 3),
            (1, stride, stride),
            padding=(0, dilation, dilation),
            dilation=(1, dilation, dilation),
            bias=False,
        )
        self.norm_b = nn.BatchNorm3d(inner, eps=1e-5)
        self.conv_c = nn.Conv3d(inner, out, 1, bias=False)
        self.norm_c = nn.BatchNorm3d(out, eps=1e-5)
        self.relu = nn.ReLU(inplace=True)
        self.has_projection = width != out or stride != 1
        if self.has_projection:
            self.conv_shortcut = nn.Conv3d(width, out, 1, (1, stride, stride), bias=False)
            self.norm_shortcut = nn.BatchNorm3d(out, eps=1e-5)
        self.non_local: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.norm_shortcut(self.conv_shortcut(x)) if self.has_projection else x
        y = self.relu(self.norm_a(self.conv_a(x)))
        y = self.relu(self.norm_b(self.conv_b(y)))
        y = self.norm_c(self.conv_c(y))
        y += shortcut  # in place, as ReLU is: the largest tensors of a network stand here
        return self.non_local(self.relu(y))


def stages(
    blocks: Blocks,
    *,
    width: int,
    temporal_kernels: TemporalKernels,
    res4_temporal: int | None = None,
    res5: LastStage,
    lateral_widths: Sequence[int] = (0, 0, 0, 0),
    non_local: NonLocalBlocks | None = None,
) -> dict[str, nn.Module]:
    """Return the stem and the stages of one pathway, by name and in order.

    Args:
        blocks: A depth, or the number of blocks of res2 to res5.
        width: Channels after the stem; the stages put out 4, 8, 16 and 32 times as many.
        temporal_kernels: Of the stem, and of each stage's blocks (repeated).
        res4_temporal: Only so many of res4's blocks have their temporal kernel, the rest 1; None: all.
        res5: Stride and dilation of the last stage.
        lateral_widths: Channels that a lateral connection adds to the input of res2 to res5.
        non_local: Where non-local blocks stand.
    """
    counts = block_counts(blocks)
    parts: dict[str, nn.Module] = {"stem": Stem(width, temporal_kernel=temporal_kernels[0])}
    arriving = width
    for number in range(4):
        name = f"res{number + 2}"
        inner, out = width * 2**number, 4 * width * 2**number
        repeated = temporal_kernels[1:][number]
        pattern = [repeated[i % len(repeated)] for i in range(counts[number])]
        if name == "res4" and res4_temporal is not None:
            pattern = [kernel if i < res4_temporal else 1 for i, kernel in enumerate(pattern)]
        stride, dilation = (res5["stride"], res5["dilation"]) if name == "res5" else (1 if name == "res2" else 2, 1)
        chain = [
            Bottleneck(
                arriving + lateral_widths[number] if i == 0 else out,
                inner,
                out,
                temporal_kernel=kernel,
                stride=stride if i == 0 else 1,
                dilation=dilation,
            )
            for i, kernel in enumerate(pattern)
        ]
        if non_local:
            for block in non_local["after"].get(name, []):
                chain[block].non_local = NonLocal(out, affinity=non_local["affinity"], pool=non_local["pool"])
        parts[name] = nn.Sequential(*chain)
        arriving = out
    return parts


def initialise(model: nn.Module) -> None:
    """Start a network for training: He initialisation, and blocks that begin as the identity."""
    for module in model.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.norm_c.weight)
        elif isinstance(module, NonLocal):
            nn.init.zeros_(module.norm.weight)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
