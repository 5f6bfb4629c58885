"""TSM on MobileNetV2 (arXiv:1811.08383, arXiv:1801.04381)."""

from videohub.architectures import Architecture, Count


class TSMMobileNet(Architecture, frozen=True, kw_only=True, tag="tsm_mobilenet"):
    """Blocks that widen, look at each channel, and narrow again; those with a shortcut shift as a ResNet's do."""

    width: Count = 32  # after the first convolution; the last one puts out 40 times as many
    share: Count = 8  # 1 / share of the channels comes from each of the two frames

    @property
    def arch(self) -> str:
        return "tsm"

    @property
    def size(self) -> str:
        return "MobileNetV2"

    @property
    def num_blocks(self) -> int:
        return 17
