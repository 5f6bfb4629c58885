"""DenseNet of single frames (arXiv:1608.06993), as TSN takes it (arXiv:1608.00859)."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from videohub.architectures import Count
from videohub.architectures.parts import Blocks, Staged


class DenseNet(Staged, frozen=True, kw_only=True, tag="densenet"):
    """Four stages of layers, each of which adds channels to all that were before it."""

    SIZES: ClassVar[Mapping[str, Blocks]] = {"161": (6, 12, 36, 24)}

    depth: Literal["161"] | Blocks = "161"  # layers of each stage
    width: Count = 96  # after the stem
    growth: Count = 48  # channels that a layer adds
