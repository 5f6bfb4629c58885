"""What networks of one pathway share: a feature map of the clip, and a head over it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from videohub.models.heads import ClassificationHead, DetectionHead
from videohub.models.video_model import Boxes, VideoModel


class OnePathway(VideoModel):
    """A network whose `feature_map` of a clip goes to its `head`."""

    head: ClassificationHead | DetectionHead

    @property
    def num_features(self) -> int:
        return self.head.projection.in_features

    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits: (B, classes) for a clip (B, 3, T, H, W); (K, classes) with boxes where it detects."""
        return self.head([self.feature_map(self.checked(clip))], boxes)

    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return pooled features before the projection, (B, D), or (K, D) per box where it detects."""
        return self.head.features([self.feature_map(self.checked(clip))], boxes)

    @abstractmethod
    def feature_map(self, clip: Tensor) -> Tensor:
        """Return what the head sees of a clip (B, 3, T, H, W): (B, D, T', H', W')."""
