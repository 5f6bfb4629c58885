"""CSN: a ResNet whose 3x3x3 convolutions each look at one channel (arXiv:1904.02811)."""

from typing import ClassVar

from videohub.architectures import Count
from videohub.architectures.parts import Average, AverageWindow, Depth, Residual


class CSN(Residual, frozen=True, kw_only=True, tag="csn"):
    """The interaction-reduced network: channels meet in the 1x1x1 convolutions before and after alone."""

    classifier: ClassVar[str] = "head.projection"

    depth: Depth
    width: Count = 64
    head: Average = AverageWindow(mean_of="logits")
