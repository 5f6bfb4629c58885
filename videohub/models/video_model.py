"""What every network of ours is: a module that takes a clip and returns logits, or the features behind them; and what
those of one pathway share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from videohub.models.heads import ClassificationHead, DetectionHead
    from videohub.registry.schema import Record

Boxes: TypeAlias = Tensor | Sequence[Tensor]


class VideoModel(nn.Module):
    """A network over clips. `videohub.load` returns one; `record` is what it was loaded from.

    `smallest` is the clip that leaves something to its head: frames, height and width.
    """

    smallest: tuple[int, int, int] = (1, 1, 1)

    if TYPE_CHECKING:
        record: Record

        def __call__(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
            """Return logits; see `forward`."""

    @abstractmethod
    def forward(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return logits: (B, classes) for a clip (B, 3, T, H, W); (K, classes) with boxes where it detects.

        Boxes are (K, 5), rows of batch index, x1, y1, x2, y2 in input pixels, or, as torchvision has them, a list with
        (L, 4) of x1, y1, x2, y2 for each clip of the batch, which may be empty.
        Raises: ValueError if the clip or the boxes are of another shape, or of another type than the weights.
        """

    @property
    @abstractmethod
    def num_features(self) -> int:
        """How many features there are before the projection: D."""

    @abstractmethod
    def features(self, clip: Tensor | Sequence[Tensor], boxes: Boxes | None = None) -> Tensor:
        """Return pooled features before the projection, (B, D), or (K, D) per box where it detects."""

    def get_classifier(self) -> nn.Module:
        """Return the layer that makes logits of features, as timm's models do: what is new with `num_classes=`."""
        return self.get_submodule(self.record.model.classifier)

    def checked(self, clip: Tensor | Sequence[Tensor]) -> Tensor:
        """Return a clip, where there is one pathway.

        Raises: ValueError if it is a list, or too short or too small for the network; as `check_clip`.
        """
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

    def check_clip(self, clip: Tensor) -> None:
        """Refuse what is no clip (B, 3, T, H, W) of the type that the weights have.

        Raises: ValueError that says what to do.
        """
        if clip.ndim != 5 or clip.shape[1] != 3:
            raise ValueError(f"clip: found shape {tuple(clip.shape)}, expected (B, 3, T, H, W)")
        if not clip.is_floating_point():
            raise ValueError(
                f"clip: found {clip.dtype}, expected normalised pixels as floating-point numbers; "
                "`videohub.views` makes them as the record's test does"
            )
        for weight in self.parameters():  # the first; torch 2.6 exports no `next` with a default
            if weight.dtype != clip.dtype and not under_autocast(clip.device):
                raise ValueError(
                    f"clip: found {clip.dtype}, expected {weight.dtype} as the weights are; "
                    f"call the model with clip.to({weight.dtype}), or bring the model to {clip.dtype}"
                )
            break


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


def under_autocast(device: torch.device) -> bool:
    """Say whether autocast chooses types on a device; `meta` has none, and torch refuses to be asked."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)
