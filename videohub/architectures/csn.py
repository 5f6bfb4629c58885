"""CSN: a ResNet whose 3x3x3 convolutions each look at one channel (arXiv:1904.02811)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import Average, AverageWindow, Depth, Eps, Residual


class CSN(Residual, frozen=True, kw_only=True, tag="csn"):
    """In `ir`, interaction-reduced, channels meet in the 1x1x1 convolutions before and after alone.

    `ip`, interaction-preserved, has a further one right before each that looks at one channel.
    """

    NEUTRAL: ClassVar[Mapping[str, Any]] = {"variant": "ir", "eps": 1e-5}

    variant: Literal["ir", "ip"] = "ir"
    depth: Depth
    width: Count = 64
    eps: Eps = 1e-5  # of all batch norms
    head: Average = AverageWindow(mean_of="logits")
