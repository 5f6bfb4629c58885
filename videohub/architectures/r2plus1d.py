"""R(2+1)D of bottleneck blocks, which look at time first and at space second (PyTorchVideo's reading of
arXiv:1711.11248).

That of basic blocks, as in the paper, is a variant of `r3d`.
"""

from videohub.architectures import Count
from videohub.architectures.parts import Average, AverageWindow, Depth, Residual


class R2Plus1D(Residual, frozen=True, kw_only=True, tag="r2plus1d"):
    """A ResNet whose 3x3x3 convolutions are each one over time and one over space, of one width."""

    depth: Depth
    width: Count = 64
    head: Average = AverageWindow()
