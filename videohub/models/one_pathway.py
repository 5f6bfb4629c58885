"""What networks of one pathway share: a feature map of the clip, and a head over it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from videohub.models.heads import ClassificationHead, DetectionHead
from videohub.models.video_model import Boxes, VideoModel


class OnePathway(VideoModel):
    """A network whose `feature_map` of a clip goes to its `head`.

    `smallest` is the clip that leaves something to the head: frames, height and width.
    """

    head: ClassificationHead | DetectionHead
    smallest: tuple[int, int, int] = (1, 1, 1)

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

    def checked(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return a clip. Raises: ValueError if it is a list, or too short or too small for the network."""
        if not isinstance(clip, Tensor):
            raise ValueError(f"clip: found a {type(clip).__name__}, expected one tensor (B, 3, T, H, W)")
        self.check_clip(clip)
        frames, height, width = clip.shape[2:]
        if frames < self.smallest[0]:
            raise ValueError(f"clip: found {frames} frames, expected at least {self.smallest[0]}")
        if height < self.smallest[1] or width < self.smallest[2]:
            least = " x ".join(map(str, self.smallest[1:]))
            raise ValueError(f"clip: found {height} x {width} pixels, expected at least {least}")
        return clip
