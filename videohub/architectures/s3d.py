"""S3D: Inception whose convolutions over space and time are taken apart (arXiv:1712.04851)."""

from videohub.architectures import Architecture
from videohub.architectures.parts import AverageWindow


class S3D(Architecture, frozen=True, kw_only=True, tag="s3d"):
    """Nine Inception blocks, as the paper has them."""

    head: AverageWindow = AverageWindow(mean_of="logits")

    @property
    def size(self) -> str:
        return "Inception"

    @property
    def num_blocks(self) -> int:
        return 9
